"""Operations of `findings`; written by hegui.client_generator, do not edit."""

from datetime import datetime
from uuid import UUID

from hegui.client.group import Group
from service.api.shapes import FindingPage


class FindingsGroup(Group):
    """Operations of `findings`."""

    def list_findings(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        severity: str | None = None,
        disposition: str | None = None,
        case_id: str | None = None,
        agency_id: UUID | None = None,
        outcome: str | None = None,
        rule: str | None = None,
        since: datetime | None = None,
        to: datetime | None = None,
        campaign: str | None = None,
        manifest: UUID | None = None,
    ) -> FindingPage:
        """List findings with what people made of them, newest contact first."""
        return self._typed(
            FindingPage,
            "GET",
            "/v1/findings",
            query={
                "cursor": cursor,
                "limit": limit,
                "severity": severity,
                "disposition": disposition,
                "case_id": case_id,
                "agency_id": agency_id,
                "outcome": outcome,
                "rule": rule,
                "from": since,
                "to": to,
                "campaign": campaign,
                "manifest": manifest,
            },
        )

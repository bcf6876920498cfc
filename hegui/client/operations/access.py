"""Operations of `access`; written by hegui.client_generator, do not edit."""

from datetime import datetime

from hegui.client.group import Group
from service.api.access import EntryPage, MeOut, RegulatorList


class AccessGroup(Group):
    """Operations of `access`."""

    def get_me(self) -> MeOut:
        """Whom does this key or session speak for?."""
        return self._typed(MeOut, "GET", "/v1/me")

    def list_audit(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        action: str | None = None,
        actor: str | None = None,
        subject_id: str | None = None,
        since: datetime | None = None,
        to: datetime | None = None,
    ) -> EntryPage:
        """Read the audit trail."""
        return self._typed(
            EntryPage,
            "GET",
            "/v1/audit",
            query={
                "cursor": cursor,
                "limit": limit,
                "action": action,
                "actor": actor,
                "subject_id": subject_id,
                "from": since,
                "to": to,
            },
        )

    def list_regulators(self) -> RegulatorList:
        """List the authorities that a grant can be made for."""
        return self._typed(RegulatorList, "GET", "/v1/regulators")

"""Operations of `interactions`; written by hegui.client_generator, do not edit."""

from datetime import datetime
from uuid import UUID

from hegui.client.group import Group
from service.api.shapes import InteractionDetailOut, InteractionPage, TranscriptOut, VerdictList


class InteractionsGroup(Group):
    """Operations of `interactions`."""

    def list_interactions(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        case_id: str | None = None,
        agency_id: UUID | None = None,
        outcome: str | None = None,
        rule: str | None = None,
        since: datetime | None = None,
        to: datetime | None = None,
        campaign: str | None = None,
        manifest: UUID | None = None,
    ) -> InteractionPage:
        """List interactions, newest first."""
        return self._typed(
            InteractionPage,
            "GET",
            "/v1/interactions",
            query={
                "cursor": cursor,
                "limit": limit,
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

    def get_interaction(self, interaction: UUID) -> InteractionDetailOut:
        """Show one interaction with its current verdict, findings and recording."""
        return self._typed(InteractionDetailOut, "GET", f"/v1/interactions/{interaction}")

    def list_verdicts(self, interaction: UUID) -> VerdictList:
        """Show every revision of an interaction's verdict, newest first."""
        return self._typed(VerdictList, "GET", f"/v1/interactions/{interaction}/verdicts")

    def get_transcript(self, interaction: UUID) -> TranscriptOut:
        """Show what was said: the sender's transcript, or what the speech engine heard."""
        return self._typed(TranscriptOut, "GET", f"/v1/interactions/{interaction}/transcript")

    def get_vcon(self, interaction: UUID) -> bytes:
        """Give one interaction as a vCon; to whom may not see them without numbers and names."""
        return self._bytes("GET", f"/v1/interactions/{interaction}/vcon")

"""Operations of `scorecards`; written by hegui.client_generator, do not edit."""

from datetime import datetime
from uuid import UUID

from hegui.client.group import Group
from service.api.scorecards import BadgeTokenOut, CardOut, LeagueOut


class ScorecardsGroup(Group):
    """Operations of `scorecards`."""

    def get_league(self, *, since: datetime, to: datetime | None = None) -> LeagueOut:
        """Compare the lender's agencies over a time."""
        return self._typed(LeagueOut, "GET", "/v1/scorecards", query={"from": since, "to": to})

    def get_card(self, agency_id: UUID, *, since: datetime, to: datetime | None = None) -> CardOut:
        """Show rates with their intervals, the trend, families and collectors."""
        return self._typed(
            CardOut, "GET", f"/v1/scorecards/{agency_id}", query={"from": since, "to": to}
        )

    def get_evaluation(self, agency_id: UUID, *, year: int, form: str | None = None) -> bytes:
        """Read an agency's yearly evaluation."""
        return self._bytes(
            "GET", f"/v1/scorecards/{agency_id}/evaluation", query={"year": year, "format": form}
        )

    def post_badge_token(self, agency_id: UUID) -> BadgeTokenOut:
        """Make an address that shows the badge without a key; the token before ends."""
        return self._typed(BadgeTokenOut, "POST", f"/v1/checks/agencies/{agency_id}/badge-token")

    def delete_badge_token(self, agency_id: UUID) -> bytes:
        """Show the badge to nobody without a key."""
        return self._bytes("DELETE", f"/v1/checks/agencies/{agency_id}/badge-token")

    def get_badge(
        self, agency_id: UUID, *, token: str | None = None, lang: str | None = None
    ) -> bytes:
        """Show whether the last seven days passed: a word and a colour, no name and no number."""
        return self._bytes(
            "GET",
            f"/v1/checks/agencies/{agency_id}/badge.svg",
            query={"token": token, "lang": lang},
        )

"""Operations of `review_samples`; written by hegui.client_generator, do not edit."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from hegui.client.group import Group
from service.api.review_samples import (
    AgreementsOut,
    ContactReadingIn,
    ContactReadingOut,
    DrawDetailOut,
    DrawIn,
    DrawOut,
    DrawPage,
    ReadingClaimIn,
    ReadingClaimOut,
    SampledList,
    WatchOut,
)


class ReviewSamplesGroup(Group):
    """Operations of `review_samples`."""

    def post_sample(self, body: DrawIn | Mapping[str, Any]) -> DrawOut:
        """Draw contacts to read, passed ones too, by a seed that is written down."""
        return self._typed(DrawOut, "POST", "/v1/reviews/samples", body=body)

    def list_samples(self, *, cursor: str | None = None, limit: int | None = None) -> DrawPage:
        """List samples, newest first."""
        return self._typed(
            DrawPage, "GET", "/v1/reviews/samples", query={"cursor": cursor, "limit": limit}
        )

    def get_sample(self, sample: UUID) -> DrawDetailOut:
        """Show how it was drawn, and the estimate of what the system misses."""
        return self._typed(DrawDetailOut, "GET", f"/v1/reviews/samples/{sample}")

    def list_items(
        self,
        sample: UUID,
        *,
        reading: str | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> SampledList:
        """List drawn contacts by position."""
        return self._typed(
            SampledList,
            "GET",
            f"/v1/reviews/samples/{sample}/items",
            query={"reading": reading, "after": after, "limit": limit},
        )

    def post_item_claim(
        self, sample: UUID, interaction: UUID, body: ReadingClaimIn | Mapping[str, Any]
    ) -> ReadingClaimOut:
        """Hold it for the caller, or longer; 409 where another reader holds it."""
        return self._typed(
            ReadingClaimOut,
            "POST",
            f"/v1/reviews/samples/{sample}/items/{interaction}/claim",
            body=body,
        )

    def post_reading(
        self, sample: UUID, interaction: UUID, body: ContactReadingIn | Mapping[str, Any]
    ) -> ContactReadingOut:
        """Write down what was missed; the second reader never sees what the first one wrote."""
        return self._typed(
            ContactReadingOut,
            "POST",
            f"/v1/reviews/samples/{sample}/items/{interaction}/reading",
            body=body,
        )

    def get_agreement(self, *, since: datetime, to: datetime | None = None) -> AgreementsOut:
        """Give kappa and alpha with intervals: over all, by rule, by reviewer."""
        return self._typed(
            AgreementsOut, "GET", "/v1/reviews/agreement", query={"from": since, "to": to}
        )

    def get_watch(self) -> WatchOut:
        """Show the live precision of every reviewed rule, and which ones only ask for review."""
        return self._typed(WatchOut, "GET", "/v1/watch")

"""Operations of `reviews`; written by hegui.client_generator, do not edit."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from hegui.client.group import Group
from service.api.review_shapes import AssignmentIn, ClaimOut, ReviewIn, ReviewList, ReviewOut
from service.api.reviews import ReviewPolicyOut, ReviewQueuePage
from service.people.reviews_policy import Policy


class ReviewsGroup(Group):
    """Operations of `reviews`."""

    def list_queue(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        reading: str | None = None,
        rule: str | None = None,
        severity: str | None = None,
        disposition: str | None = None,
        agency_id: UUID | None = None,
        since: datetime | None = None,
        to: datetime | None = None,
        assigned: str | None = None,
        free: bool | None = None,
    ) -> ReviewQueuePage:
        """List findings that nobody has decided, by severity and uncertainty."""
        return self._typed(
            ReviewQueuePage,
            "GET",
            "/v1/reviews/queue",
            query={
                "cursor": cursor,
                "limit": limit,
                "reading": reading,
                "rule": rule,
                "severity": severity,
                "disposition": disposition,
                "agency_id": agency_id,
                "from": since,
                "to": to,
                "assigned": assigned,
                "free": free,
            },
        )

    def post_claim(self, finding: UUID) -> ClaimOut:
        """Hold it for the caller, or longer; 409 where another reviewer holds it."""
        return self._typed(ClaimOut, "POST", f"/v1/findings/{finding}/claim")

    def delete_claim(self, finding: UUID) -> bytes:
        """Let others take it."""
        return self._bytes("DELETE", f"/v1/findings/{finding}/claim")

    def put_assignment(self, finding: UUID, body: AssignmentIn | Mapping[str, Any]) -> bytes:
        """Let only one reviewer take it, or anybody again."""
        return self._bytes("PUT", f"/v1/findings/{finding}/assignment", body=body)

    def post_review(self, finding: UUID, body: ReviewIn | Mapping[str, Any]) -> ReviewOut:
        """Decide on a finding."""
        return self._typed(ReviewOut, "POST", f"/v1/findings/{finding}/review", body=body)

    def list_reviews(self, finding: UUID) -> ReviewList:
        """List every decision over all revisions; 403 for who is still to read it blindly."""
        return self._typed(ReviewList, "GET", f"/v1/findings/{finding}/reviews")

    def get_policy(self) -> ReviewPolicyOut:
        """Show days, leases and floors that are in force."""
        return self._typed(ReviewPolicyOut, "GET", "/v1/reviews/policy")

    def put_policy(self, body: Policy | Mapping[str, Any]) -> ReviewPolicyOut:
        """Put days, leases and floors in force from now on; what is left out has its default."""
        return self._typed(ReviewPolicyOut, "PUT", "/v1/reviews/policy", body=body)

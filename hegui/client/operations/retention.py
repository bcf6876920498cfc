"""Operations of `retention`; written by hegui.client_generator, do not edit."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from hegui.client.group import Group
from service.api.retention import (
    ApprovalIn,
    CertificateOut,
    HoldIn,
    HoldPage,
    PastPage,
    PlacedOut,
    PurgeDetailOut,
    PurgeItemList,
    PurgePage,
    ReleaseIn,
    RetentionOut,
)


class RetentionGroup(Group):
    """Operations of `retention`."""

    def get_retention(self) -> RetentionOut:
        """Count what is kept, held, overdue and purged, and say whether the store proves it."""
        return self._typed(RetentionOut, "GET", "/v1/retention")

    def list_past(self, *, cursor: str | None = None, limit: int | None = None) -> PastPage:
        """List what is kept longer than it has to be, and what keeps it."""
        return self._typed(
            PastPage, "GET", "/v1/retention/past", query={"cursor": cursor, "limit": limit}
        )

    def post_hold(self, body: HoldIn | Mapping[str, Any]) -> PlacedOut:
        """Hold recordings whatever their date, until the hold is released; later ones too."""
        return self._typed(PlacedOut, "POST", "/v1/holds", body=body)

    def list_holds(
        self, *, standing: bool | None = None, cursor: str | None = None, limit: int | None = None
    ) -> HoldPage:
        """List holds with who placed and released them, the newest first."""
        return self._typed(
            HoldPage,
            "GET",
            "/v1/holds",
            query={"standing": standing, "cursor": cursor, "limit": limit},
        )

    def get_hold(self, hold: UUID) -> PlacedOut:
        """Show one hold and how many recordings lie under it."""
        return self._typed(PlacedOut, "GET", f"/v1/holds/{hold}")

    def post_release(self, hold: UUID, body: ReleaseIn | Mapping[str, Any]) -> PlacedOut:
        """End a hold. Nothing goes with it: removal takes a purge run, its wait and two persons."""
        return self._typed(PlacedOut, "POST", f"/v1/holds/{hold}/release", body=body)

    def post_purge(self) -> PurgeDetailOut:
        """Plan a purge run."""
        return self._typed(PurgeDetailOut, "POST", "/v1/purges")

    def list_purges(self, *, cursor: str | None = None, limit: int | None = None) -> PurgePage:
        """List runs, the newest first."""
        return self._typed(PurgePage, "GET", "/v1/purges", query={"cursor": cursor, "limit": limit})

    def get_purge(self, purge_run: UUID) -> PurgeDetailOut:
        """Show one run and what became of its recordings."""
        return self._typed(PurgeDetailOut, "GET", f"/v1/purges/{purge_run}")

    def list_purge_items(
        self, purge_run: UUID, *, after: str | None = None, limit: int | None = None
    ) -> PurgeItemList:
        """List the recordings of a run by hash, tombstones included."""
        return self._typed(
            PurgeItemList,
            "GET",
            f"/v1/purges/{purge_run}/items",
            query={"after": after, "limit": limit},
        )

    def post_approval(
        self, purge_run: UUID, body: ApprovalIn | Mapping[str, Any]
    ) -> PurgeDetailOut:
        """Approve a run after its wait, as another person than its planner; the removal begins."""
        return self._typed(PurgeDetailOut, "POST", f"/v1/purges/{purge_run}/approve", body=body)

    def post_cancel(self, purge_run: UUID) -> PurgeDetailOut:
        """Give a planned run up; its recordings may be listed anew."""
        return self._typed(PurgeDetailOut, "POST", f"/v1/purges/{purge_run}/cancel")

    def get_certificate(self, purge_run: UUID) -> CertificateOut:
        """Give the certificate of a run that has ended."""
        return self._typed(CertificateOut, "GET", f"/v1/purges/{purge_run}/certificate")

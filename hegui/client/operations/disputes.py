"""Operations of `disputes`; written by hegui.client_generator, do not edit."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from hegui.client.group import Group
from service.api.disputes import DisputeFileOut, DisputeIn, DisputeOut, DisputePage, JudgementIn


class DisputesGroup(Group):
    """Operations of `disputes`."""

    def post_dispute(self, finding: UUID, body: DisputeIn | Mapping[str, Any]) -> DisputeOut:
        """Object to an own finding inside the window; a finding is disputed once."""
        return self._typed(DisputeOut, "POST", f"/v1/findings/{finding}/disputes", body=body)

    def list_disputes(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        state: str | None = None,
        agency_id: UUID | None = None,
        rule: str | None = None,
    ) -> DisputePage:
        """List the lender's disputes, or the agency's own, newest first."""
        return self._typed(
            DisputePage,
            "GET",
            "/v1/disputes",
            query={
                "cursor": cursor,
                "limit": limit,
                "state": state,
                "agency_id": agency_id,
                "rule": rule,
            },
        )

    def get_dispute(self, dispute: UUID) -> DisputeOut:
        """Show one dispute with its files and its judgement."""
        return self._typed(DisputeOut, "GET", f"/v1/disputes/{dispute}")

    def post_judgement(self, dispute: UUID, body: JudgementIn | Mapping[str, Any]) -> DisputeOut:
        """Uphold or reject it, finally; not for whoever decided on the finding before."""
        return self._typed(DisputeOut, "POST", f"/v1/disputes/{dispute}/judgement", body=body)

    def post_withdrawal(self, dispute: UUID) -> DisputeOut:
        """Take it back while it is open; the finding cannot be disputed again."""
        return self._typed(DisputeOut, "POST", f"/v1/disputes/{dispute}/withdrawal")

    def get_near_miss(self, dispute: UUID) -> bytes:
        """Give the masked words as a test of the rule, which fails until the rule is mended."""
        return self._bytes("GET", f"/v1/disputes/{dispute}/near-miss")

    def put_file(
        self,
        dispute: UUID,
        sha256: str,
        content: bytes,
        content_type: str = "application/octet-stream",
    ) -> DisputeFileOut:
        """Keep a file under its hash, up to 20 MB and ten a dispute, while the dispute is open."""
        return self._typed(
            DisputeFileOut,
            "PUT",
            f"/v1/disputes/{dispute}/files/{sha256}",
            content=content,
            content_type=content_type,
        )

    def get_file(self, dispute: UUID, sha256: str) -> bytes:
        """Give a file as it was sent; not for keys that see people masked."""
        return self._bytes("GET", f"/v1/disputes/{dispute}/files/{sha256}")

"""Operations of `grants`; written by hegui.client_generator, do not edit."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from hegui.client.group import Group
from service.api.grants import AccessPage, GrantIn, GrantOut, GrantPage, UnmaskedOut, UnmaskIn


class GrantsGroup(Group):
    """Operations of `grants`."""

    def post_grant(self, body: GrantIn | Mapping[str, Any]) -> GrantOut:
        """Write down what a regulator should read; it opens nothing before two have approved it."""
        return self._typed(GrantOut, "POST", "/v1/grants", body=body)

    def list_grants(self, *, cursor: str | None = None, limit: int | None = None) -> GrantPage:
        """List the lender's grants, newest first; a regulator finds its own under `/v1/me`."""
        return self._typed(GrantPage, "GET", "/v1/grants", query={"cursor": cursor, "limit": limit})

    def get_grant(self, grant: UUID) -> GrantOut:
        """Show one grant's terms, approvals and end."""
        return self._typed(GrantOut, "GET", f"/v1/grants/{grant}")

    def post_approve(self, grant: UUID) -> GrantOut:
        """Give the first or second approval; the two are different people."""
        return self._typed(GrantOut, "POST", f"/v1/grants/{grant}/approve")

    def post_end(self, grant: UUID) -> GrantOut:
        """Refuse a request or end a grant: at once, and for good."""
        return self._typed(GrantOut, "POST", f"/v1/grants/{grant}/end")

    def list_accesses(
        self, grant: UUID, *, cursor: str | None = None, limit: int | None = None
    ) -> AccessPage:
        """List every act of the regulator under this grant, newest first."""
        return self._typed(
            AccessPage,
            "GET",
            f"/v1/grants/{grant}/accesses",
            query={"cursor": cursor, "limit": limit},
        )

    def post_unmask(self, interaction: UUID, body: UnmaskIn | Mapping[str, Any]) -> UnmaskedOut:
        """Unmask one contact."""
        return self._typed(UnmaskedOut, "POST", f"/v1/interactions/{interaction}/unmask", body=body)

"""Operations of `people`; written by hegui.client_generator, do not edit."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from hegui.client.group import Group
from service.api.people import NewPersonOut, PersonIn, PersonOut, PersonPage, RoleIn, TokenOut
from service.api.session import SessionList


class PeopleGroup(Group):
    """Operations of `people`."""

    def post_person(self, body: PersonIn | Mapping[str, Any]) -> NewPersonOut:
        """Add somebody and show a token, for that person alone, that sets the first password."""
        return self._typed(NewPersonOut, "POST", "/v1/people", body=body)

    def list_people(self, *, cursor: str | None = None, limit: int | None = None) -> PersonPage:
        """List who may sign in, newest first, the removed ones too."""
        return self._typed(
            PersonPage, "GET", "/v1/people", query={"cursor": cursor, "limit": limit}
        )

    def get_person(self, person: UUID) -> PersonOut:
        """Show one person."""
        return self._typed(PersonOut, "GET", f"/v1/people/{person}")

    def patch_person(self, person: UUID, body: RoleIn | Mapping[str, Any]) -> PersonOut:
        """Give another role: sessions end, and the person's own keys that may more than it."""
        return self._typed(PersonOut, "PATCH", f"/v1/people/{person}", body=body)

    def post_suspend(self, person: UUID) -> PersonOut:
        """Refuse somebody's sessions and own keys from the next request on, until resumed."""
        return self._typed(PersonOut, "POST", f"/v1/people/{person}/suspend")

    def post_resume(self, person: UUID) -> PersonOut:
        """Let somebody sign in again."""
        return self._typed(PersonOut, "POST", f"/v1/people/{person}/resume")

    def delete_person(self, person: UUID) -> bytes:
        """End somebody's sessions and own keys for good; what the person did keeps the handle."""
        return self._bytes("DELETE", f"/v1/people/{person}")

    def post_password_token(self, person: UUID) -> TokenOut:
        """Show a token that sets the person's password once; the tokens before are void."""
        return self._typed(TokenOut, "POST", f"/v1/people/{person}/password-token")

    def list_sessions(self, person: UUID) -> SessionList:
        """List somebody's open sessions, newest first."""
        return self._typed(SessionList, "GET", f"/v1/people/{person}/sessions")

    def delete_sessions(self, person: UUID) -> bytes:
        """End all of somebody's sessions, at once; again changes nothing."""
        return self._bytes("DELETE", f"/v1/people/{person}/sessions")

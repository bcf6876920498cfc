"""Operations of `session`; written by hegui.client_generator, do not edit."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from hegui.client.group import Group
from service.api.session import ChangePasswordIn, NewPasswordIn, SessionList, SignInIn


class SessionGroup(Group):
    """Operations of `session`."""

    def post_session(self, body: SignInIn | Mapping[str, Any]) -> bytes:
        """Begin a session and give its cookie; the session that the browser had before ends."""
        return self._bytes("POST", "/v1/session", body=body)

    def delete_session(self) -> bytes:
        """End the session of this request; its cookie is refused from now on."""
        return self._bytes("DELETE", "/v1/session")

    def list_sessions(self) -> SessionList:
        """List your own open sessions, newest first."""
        return self._typed(SessionList, "GET", "/v1/sessions")

    def delete_own_session(self, session: UUID) -> bytes:
        """End one of your own sessions, at once; again changes nothing."""
        return self._bytes("DELETE", f"/v1/sessions/{session}")

    def post_password(self, body: NewPasswordIn | Mapping[str, Any]) -> bytes:
        """Set the password of whom the token is for, once; all sessions of that person end."""
        return self._bytes("POST", "/v1/password", body=body)

    def put_password(self, body: ChangePasswordIn | Mapping[str, Any]) -> bytes:
        """Take a new password; all sessions end, and the cookie of a new one is given."""
        return self._bytes("PUT", "/v1/password", body=body)

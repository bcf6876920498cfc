"""Operations of `admin`; written by hegui.client_generator, do not edit."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from hegui.client.group import Group
from service.api.admin import (
    AgencyIn,
    AgencyOut,
    AgencyStateOut,
    KeyIn,
    KeyOut,
    KeyPage,
    KeyStateOut,
    RotateIn,
    SecretOut,
)


class AdminGroup(Group):
    """Operations of `admin`."""

    def post_agency(self, body: AgencyIn | Mapping[str, Any]) -> AgencyOut:
        """Add an agency and show the secret that signs its webhooks."""
        return self._typed(AgencyOut, "POST", "/v1/agencies", body=body)

    def post_secret(self, agency_id: UUID) -> SecretOut:
        """Give an agency's webhooks a new secret; both are good for a while."""
        return self._typed(SecretOut, "POST", f"/v1/agencies/{agency_id}/secret")

    def post_suspend_agency(self, agency_id: UUID) -> AgencyStateOut:
        """Refuse an agency's keys and webhooks until it is resumed; its contacts stay."""
        return self._typed(AgencyStateOut, "POST", f"/v1/agencies/{agency_id}/suspend")

    def post_resume_agency(self, agency_id: UUID) -> AgencyStateOut:
        """Take a suspended agency's keys and webhooks again."""
        return self._typed(AgencyStateOut, "POST", f"/v1/agencies/{agency_id}/resume")

    def delete_agency(self, agency_id: UUID) -> bytes:
        """End an agency's keys and webhooks for good; its contacts stay with the lender."""
        return self._bytes("DELETE", f"/v1/agencies/{agency_id}")

    def post_key(self, body: KeyIn | Mapping[str, Any]) -> KeyOut:
        """Add a key for the lender or one of its agencies."""
        return self._typed(KeyOut, "POST", "/v1/keys", body=body)

    def list_keys(self, *, cursor: str | None = None, limit: int | None = None) -> KeyPage:
        """List the keys of the lender and its agencies, newest first, the ended ones too."""
        return self._typed(KeyPage, "GET", "/v1/keys", query={"cursor": cursor, "limit": limit})

    def post_rotate(self, key: UUID, body: RotateIn | Mapping[str, Any]) -> KeyOut:
        """Make a key's successor; the key itself stays good for the overlap."""
        return self._typed(KeyOut, "POST", f"/v1/keys/{key}/rotate", body=body)

    def post_suspend_key(self, key: UUID) -> KeyStateOut:
        """Refuse a key from its next request on, until it is resumed."""
        return self._typed(KeyStateOut, "POST", f"/v1/keys/{key}/suspend")

    def post_resume_key(self, key: UUID) -> KeyStateOut:
        """Take a suspended key again; one that is over stays over."""
        return self._typed(KeyStateOut, "POST", f"/v1/keys/{key}/resume")

    def delete_key(self, key: UUID) -> bytes:
        """End a key for good; the next request with it is refused."""
        return self._bytes("DELETE", f"/v1/keys/{key}")

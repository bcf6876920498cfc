"""Operations of `oidc`; written by hegui.client_generator, do not edit."""

from collections.abc import Mapping
from typing import Any

from hegui.client.group import Group
from service.api.oidc import ProviderIn, ProviderOut


class OidcGroup(Group):
    """Operations of `oidc`."""

    def get_provider(self) -> ProviderOut:
        """Show where the lender's people sign in."""
        return self._typed(ProviderOut, "GET", "/v1/oidc")

    def put_provider(self, body: ProviderIn | Mapping[str, Any]) -> ProviderOut:
        """Set where the lender's people sign in; the client's secret is sealed."""
        return self._typed(ProviderOut, "PUT", "/v1/oidc", body=body)

    def delete_provider(self) -> bytes:
        """Let nobody sign in at the provider any more; open sessions stay until they end."""
        return self._bytes("DELETE", "/v1/oidc")

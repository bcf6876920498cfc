"""Operations of `endpoints`; written by hegui.client_generator, do not edit."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from hegui.client.group import Group
from service.api.endpoints import (
    EndpointChange,
    EndpointIn,
    EndpointList,
    EndpointOut,
    EndpointSecretOut,
    NewEndpointOut,
    RecoveredOut,
    RecoverIn,
    SecretIn,
)


class EndpointsGroup(Group):
    """Operations of `endpoints`."""

    def post_endpoint(self, body: EndpointIn | Mapping[str, Any]) -> NewEndpointOut:
        """Add an address that alerts go to, and say which it wants."""
        return self._typed(NewEndpointOut, "POST", "/v1/endpoints", body=body)

    def list_endpoints(self) -> EndpointList:
        """List the endpoints, the switched-off ones too."""
        return self._typed(EndpointList, "GET", "/v1/endpoints")

    def patch_endpoint(
        self, endpoint: UUID, body: EndpointChange | Mapping[str, Any]
    ) -> EndpointOut:
        """Change what an endpoint has subscribed to, or switch it off and on."""
        return self._typed(EndpointOut, "PATCH", f"/v1/endpoints/{endpoint}", body=body)

    def delete_endpoint(self, endpoint: UUID) -> bytes:
        """Send it nothing more; critical alerts that it still had go to the other endpoints."""
        return self._bytes("DELETE", f"/v1/endpoints/{endpoint}")

    def post_endpoint_secret(
        self, endpoint: UUID, body: SecretIn | Mapping[str, Any]
    ) -> EndpointSecretOut:
        """Give an endpoint a new secret."""
        return self._typed(EndpointSecretOut, "POST", f"/v1/endpoints/{endpoint}/secret", body=body)

    def post_recover(self, endpoint: UUID, body: RecoverIn | Mapping[str, Any]) -> RecoveredOut:
        """Send all that the endpoint should have been told since then, under the same ids."""
        return self._typed(RecoveredOut, "POST", f"/v1/endpoints/{endpoint}/recover", body=body)

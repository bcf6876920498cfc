"""The way out to a lender's OpenID provider: the guarded client, and nothing beside it."""

from collections.abc import Mapping

from service.access.oidc_protocol import Answer, ProviderError
from service.config import settings
from workers.egress import Egress, EgressError

MAX_BYTES = 256 * 1024
TOTAL_S = 10.0
# The guarded client writes these itself.
_OWN_HEADERS = frozenset({"host", "content-length", "connection", "transfer-encoding"})


class ProviderEgress:
    """Asks providers; see `service.access.oidc_protocol.Outbound`."""

    def _egress(self) -> Egress:
        return Egress(allow=settings().egress_hosts, total_s=TOTAL_S)

    def get(self, url: str) -> Answer:
        """Ask for a document of up to `MAX_BYTES`; raises `ProviderError`."""
        try:
            with self._egress().get(url, max_bytes=MAX_BYTES) as (reply, chunks):
                return Answer(reply.status, b"".join(chunks))
        except EgressError as error:
            raise ProviderError(error.code) from None

    def post(self, url: str, *, headers: Mapping[str, str], content: bytes) -> Answer:
        """Post a form; raises `ProviderError`."""
        sent = {name: value for name, value in headers.items() if name.lower() not in _OWN_HEADERS}
        try:
            reply = self._egress().post(url, headers=sent, content=content, max_bytes=MAX_BYTES)
        except EgressError as error:
            raise ProviderError(error.code) from None
        return Answer(reply.status, reply.body)

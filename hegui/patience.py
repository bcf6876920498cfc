"""The HTTP protocol of our servers: a head that trickles in ends the connection."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.config import settings


class PatientProtocol(HttpToolsProtocol):
    """Ends a connection whose next request's head is not complete within `header_timeout_s`.

    The server itself bounds only how long a connection may be idle between requests.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a further request's head."""
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        """The head is here."""
        self._stop()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(settings().header_timeout_s, self._end)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.abort()

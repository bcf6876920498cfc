"""An HTTP server on a free local port, for what tests speak to."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    owner: Any

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of senders that were cut off; some tests kill them."""


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP/1.1 and logs nothing; `server.owner` is the server's own object."""

    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        """Say nothing."""


class LocalServer:
    """Serves with `handler` while it is used as a context manager."""

    handler: ClassVar[type[Handler]]

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), self.handler)
        self._server.owner = self
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """`host:port`, as the operator's allow list wants it."""
        return f"127.0.0.1:{self._server.server_port}"

"""The test client of the API: it calls the application on the test's own thread.

Starlette's client crosses over to a thread of its own several times for each request, which takes
more processor time than most requests themselves do.
"""

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any
from urllib.parse import unquote

import httpx2
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message


class DirectClient(TestClient):
    """A `TestClient` that leaves its thread only the application's lifespan.

    Requests of several threads, and those from within an event loop, still go that way.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self._direct = _Direct(app, self._transport)
        self._transport = self._direct

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        super().__exit__(kind, error, trace)
        self._direct.loop.close()


class _Direct(httpx2.BaseTransport):
    def __init__(self, app: ASGIApp, across: httpx2.BaseTransport) -> None:
        self._app = app
        self._across = across
        self.loop = asyncio.new_event_loop()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if threading.current_thread() is not threading.main_thread() or _is_within_loop():
            return self._across.handle_request(request)
        return self.loop.run_until_complete(self._ask(request))

    def close(self) -> None:
        self._across.close()

    async def _ask(self, request: httpx2.Request) -> httpx2.Response:
        receive, ended = _sending(request.read())
        told: list[Message] = []

        async def send(message: Message) -> None:
            told.append(message)

        await self._app(_scope(request), receive, send)
        ended.set()
        start, *rest = told
        content = b"".join(message.get("body", b"") for message in rest)
        return httpx2.Response(start["status"], headers=start["headers"], content=content)


def _is_within_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _sending(body: bytes) -> tuple[Callable[[], Any], asyncio.Event]:
    """What the application reads: the body, and once it has answered, the end of the sender."""
    given: list[Message] = [{"type": "http.request", "body": body}]
    ended = asyncio.Event()

    async def receive() -> Message:
        if given:
            return given.pop()
        await ended.wait()
        return {"type": "http.disconnect"}

    return receive, ended


def _scope(request: httpx2.Request) -> dict[str, Any]:
    target, _, query = request.url.raw_path.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": unquote(target.decode("ascii")),
        "raw_path": target,
        "query_string": query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("testclient", 50000),
        "server": (request.url.host, request.url.port or 80),
        "state": {},
    }

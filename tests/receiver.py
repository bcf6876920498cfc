"""A lender's webhook receiver on a local port: it checks signatures, and fails on request."""

import base64
import contextlib
import hashlib
import hmac
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

from tests.local_server import Handler, LocalServer

Behaviour = tuple[str, int, Mapping[str, str]]


@dataclass(frozen=True)
class Received:
    """One request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    def signed_with(self, secret: str) -> bool:
        """Check the Standard Webhooks signature without the library that made it."""
        key = base64.b64decode(secret.removeprefix("whsec_") + "==")
        message = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode()
        digest = hmac.new(key, message + self.body, hashlib.sha256).digest()
        expected = f"v1,{base64.b64encode(digest).decode()}"
        return expected in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver(LocalServer):
    """A running receiver; answers 204 until told otherwise. Use as a context manager."""

    requests: list[Received] = field(default_factory=list)
    _script: list[Behaviour] = field(default_factory=list)
    _usual: Behaviour = ("answer", 204, {})
    _files: dict[str, bytes] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        super().__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        return f"http://{self.address}/hook"

    def answer(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        """Answer everything from now on like this."""
        self._usual = ("answer", status, headers or {})

    def answer_next(self, *statuses: int, headers: Mapping[str, str] | None = None) -> None:
        """Answer the next requests with these, then as usual."""
        self._script += [("answer", status, headers or {}) for status in statuses]

    def stall(self) -> None:
        """Take requests and say nothing."""
        self._usual = ("stall", 0, {})

    def trickle(self) -> None:
        """Send header bytes one by one, for ever."""
        self._usual = ("trickle", 200, {})

    def answer_endlessly(self, status: int) -> None:
        """Send a body that does not end."""
        self._usual = ("endless", status, {})

    def reset(self) -> None:
        """Cut each connection instead of answering."""
        self._usual = ("reset", 0, {})

    def serve(self, path: str, content: bytes) -> None:
        """Serve a file below the hook's address."""
        self._files[f"/hook{path}"] = content

    def wait_for(self, count: int, seconds: float = 10) -> list[Received]:
        """Give the requests once there are `count`, or what there is when the time is over."""
        until = time.monotonic() + seconds
        while len(self.requests) < count and time.monotonic() < until:
            time.sleep(0.02)
        return list(self.requests)

    def next_behaviour(self) -> Behaviour:
        return self._script.pop(0) if self._script else self._usual

    def file_at(self, path: str) -> bytes | None:
        return self._files.get(path)

    @property
    def is_over(self) -> bool:
        return self._over.is_set()


class _Handler(Handler):
    @property
    def owner(self) -> Receiver:
        owner: Receiver = self.server.owner
        return owner

    def do_GET(self) -> None:  # noqa: N802  http.server looks for this name
        content = self.owner.file_at(self.path)
        if content is None:
            self._act(b"")
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:  # noqa: N802  http.server looks for this name
        self._act(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _act(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.owner.requests.append(Received(self.path, headers, body, time.time()))
        kind, status, extra = self.owner.next_behaviour()
        acts: dict[str, Callable[[], None]] = {
            "answer": lambda: self._answer(status, extra),
            "stall": self._stall,
            "trickle": self._trickle,
            "endless": lambda: self._endless(status),
            "reset": self._reset,
        }
        with contextlib.suppress(OSError):
            acts[kind]()

    def _answer(self, status: int, extra: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in extra.items():
            self.send_header(name, value)
        if status != 204:  # An answer 204 has no body and no length.
            self.send_header("Content-Length", "0")
        self.end_headers()

    def _stall(self) -> None:
        while not self.owner.is_over:
            time.sleep(0.05)
        self.close_connection = True

    def _trickle(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
        while not self.owner.is_over:
            self.wfile.write(b"x")
            time.sleep(0.05)
        self.close_connection = True

    def _endless(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()
        while not self.owner.is_over:
            self.wfile.write(b"x" * 65536)

    def _reset(self) -> None:
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True


Receiver.handler = _Handler

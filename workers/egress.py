"""The one way out: an HTTP client that dials only addresses it has checked itself."""

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import ip_address
from types import MappingProxyType

import certifi
import httpcore

from service.alerts.destination import (
    Destination,
    RefusedDestinationError,
    is_public,
    parse_destination,
)

CONNECT_S = 5.0
TOTAL_S = 20.0
MAX_ANSWERS = 64
MAX_DIALS = 3
CHUNK_BYTES = 64 * 1024

Resolve = Callable[[str, int, float], Sequence[str]]
Dial = Callable[[str, int, float], httpcore.NetworkStream]


class EgressError(Exception):
    """A request without an answer; `code` is the class of what happened, and all we may show."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class EgressRefusedError(EgressError):
    """We did not dial: the URL or one of its addresses is not allowed."""


class EgressFailedError(EgressError):
    """The other side did not answer in time, in full or in HTTP."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, headers (names in lower case) and what was read of the body of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def resolve_name(host: str, port: int, timeout_s: float) -> Sequence[str]:
    """All addresses of a host; raises `EgressFailedError` where none comes in time."""
    answers: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found = []
        answers.put([str(entry[4][0]) for entry in found])

    # The C resolver cannot be interrupted: the thread is left to end by itself.
    threading.Thread(target=look_up, daemon=True, name="resolve").start()
    try:
        addresses = answers.get(timeout=max(timeout_s, 0.001))
    except queue.Empty:
        raise EgressFailedError("name_timed_out") from None
    if not addresses:
        raise EgressFailedError("name_not_resolved")
    return addresses


def dial_address(address: str, port: int, timeout_s: float) -> httpcore.NetworkStream:
    """Open a TCP connection to a literal address."""
    return httpcore.SyncBackend().connect_tcp(address, port, timeout=timeout_s)


class _Stream(httpcore.NetworkStream):
    """A stream whose reads and writes together end at one deadline."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def _left(self, timeout: float | None) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("deadline")
        return left if timeout is None else min(left, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, self._left(timeout))
        return _Stream(inner, self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Resolves a name once, checks every answer, and dials what it checked."""

    def __init__(
        self, destination: Destination, *, resolve: Resolve, dial: Dial, deadline: float
    ) -> None:
        self._destination = destination
        self._resolve = resolve
        self._dial = dial
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        del local_address, socket_options
        until = min(self._deadline, time.monotonic() + (timeout or CONNECT_S))
        addresses = self.checked_addresses(host, port, until - time.monotonic())
        failure: Exception = EgressFailedError("connection_failed")
        for address in addresses[:MAX_DIALS]:
            left = until - time.monotonic()
            if left <= 0:
                raise EgressFailedError("timed_out")
            try:
                return _Stream(self._dial(address, port, left), self._deadline)
            except httpcore.NetworkError as error:
                failure = error
        raise failure

    def checked_addresses(self, host: str, port: int, timeout_s: float) -> list[str]:
        """The addresses of a host, all of them checked."""
        return self._checked(self._resolve(host, port, timeout_s))

    def _checked(self, answers: Sequence[str]) -> list[str]:
        """The answers, each once; one bad address among them refuses all."""
        unique = list(dict.fromkeys(answers))
        if not unique or len(unique) > MAX_ANSWERS:
            raise EgressRefusedError("too_many_addresses" if unique else "name_not_resolved")
        if not self._destination.listed:
            for text in unique:
                if not _is_public_text(text):
                    raise EgressRefusedError("address_refused")
        return unique


def _is_public_text(text: str) -> bool:
    try:
        return is_public(ip_address(text))
    except ValueError:
        return False


@cache
def secure_context() -> ssl.SSLContext:
    """The TLS settings of everything that goes out.

    Trusted are the machine's authorities (`SSL_CERT_FILE` names a bank's own) and the public ones.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class Egress:
    """Sends single requests: no redirects, no proxies from the environment, no cookies, no retries.

    `allow` holds `host:port` entries that may be private, plain HTTP or on another port.
    Times are in seconds; `total_s` covers the name, the connection, the answer and its body.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        connect_s: float = CONNECT_S,
        total_s: float = TOTAL_S,
        resolve: Resolve = resolve_name,
        dial: Dial = dial_address,
    ) -> None:
        self._allow = tuple(allow)
        self._connect_s = connect_s
        self._total_s = total_s
        self._resolve = resolve
        self._dial = dial

    def post(
        self, url: str, *, headers: Mapping[str, str], content: bytes, max_bytes: int = CHUNK_BYTES
    ) -> Reply:
        """Post a body and give the answer; at most `max_bytes` of its body are read.

        Raises `EgressRefusedError` (nothing was dialled) or `EgressFailedError`.
        """
        with self._answer("POST", url, headers, content) as (reply, chunks):
            body = bytearray()
            try:
                for chunk in chunks:
                    body += chunk
                    if len(body) >= max_bytes:
                        break
            except EgressFailedError:
                pass  # The status has arrived; a body that stalls or breaks does not change it.
            return replace(reply, body=bytes(body[:max_bytes]))

    def dial_socket(self, host: str, port: int) -> socket.socket:
        """Open a plain TCP connection for a protocol that is not HTTP; its timeout is `total_s`.

        The host and port must be listed, or the addresses public. Raises as `post` does.
        """
        listed = f"{host}:{port}".lower() in {entry.strip().lower() for entry in self._allow}
        deadline = time.monotonic() + self._connect_s
        destination = Destination(scheme="", host=host, port=port, target="", listed=listed)
        backend = _Backend(destination, resolve=self._resolve, dial=self._dial, deadline=deadline)
        for address in backend.checked_addresses(host, port, self._connect_s)[:MAX_DIALS]:
            try:
                found = socket.create_connection(
                    (address, port), timeout=max(deadline - time.monotonic(), 0.001)
                )
            except OSError:
                continue
            found.settimeout(self._total_s)
            return found
        raise EgressFailedError("connection_failed")

    @contextmanager
    def get(self, url: str, *, max_bytes: int) -> Iterator[tuple[Reply, Iterator[bytes]]]:
        """Get a body as chunks; more than `max_bytes` raise `EgressFailedError("too_large")`."""
        with self._answer("GET", url, {}, None) as (reply, chunks):
            announced = reply.headers.get("content-length", "")
            if announced.isdigit() and int(announced) > max_bytes:
                raise EgressFailedError("too_large")
            yield reply, _capped(chunks, max_bytes)

    @contextmanager
    def _answer(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None
    ) -> Iterator[tuple[Reply, Iterator[bytes]]]:
        try:
            destination = parse_destination(url, allow=self._allow)
        except RefusedDestinationError as error:
            raise EgressRefusedError(error.code) from None
        backend = _Backend(
            destination,
            resolve=self._resolve,
            dial=self._dial,
            deadline=time.monotonic() + self._total_s,
        )
        with (
            _plain_failures(),
            httpcore.ConnectionPool(ssl_context=secure_context(), network_backend=backend) as pool,
            pool.stream(
                method,
                _url(destination),
                headers=[("host", _host_header(destination)), *headers.items()],
                content=content,
                extensions={"timeout": {"connect": self._connect_s}},
            ) as response,
        ):
            yield _reply(response), _chunks(response)


def _url(destination: Destination) -> httpcore.URL:
    return httpcore.URL(
        scheme=destination.scheme,
        host=destination.host,
        port=destination.port,
        target=destination.target,
    )


def _host_header(destination: Destination) -> str:
    host = f"[{destination.host}]" if ":" in destination.host else destination.host
    usual = {"https": 443, "http": 80}[destination.scheme]
    return host if destination.port == usual else f"{host}:{destination.port}"


def _reply(response: httpcore.Response) -> Reply:
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
    }
    return Reply(response.status, MappingProxyType(headers))


def _chunks(response: httpcore.Response) -> Iterator[bytes]:
    """The body's chunks, with failures told in our words."""
    with _plain_failures():
        yield from response.iter_stream()


def _capped(chunks: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        if seen > max_bytes:
            raise EgressFailedError("too_large")
        yield chunk


@contextmanager
def _plain_failures() -> Iterator[None]:
    """Turn the client's many exceptions into one word each; their texts may hold host names."""
    try:
        yield
    except EgressError:
        raise
    except httpcore.TimeoutException:
        raise EgressFailedError("timed_out") from None
    except ssl.SSLError:
        raise EgressFailedError("tls_failed") from None
    except httpcore.NetworkError as error:
        cause = error.__cause__ or error.__context__
        code = "tls_failed" if isinstance(cause, ssl.SSLError) else "connection_failed"
        raise EgressFailedError(code) from None
    except (httpcore.ProtocolError, httpcore.UnsupportedProtocol):
        raise EgressFailedError("answer_malformed") from None

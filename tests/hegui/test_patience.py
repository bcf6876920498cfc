"""A sender that trickles cannot hold a connection for ever."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from hegui.patience import PatientProtocol
from service.config import settings

LIMIT_S = 0.6


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the size of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]}
    )
    await send({"type": "http.response.body", "body": str(size % 10).encode()})


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    os.environ["HEGUI_HEADER_TIMEOUT_S"] = str(LIMIT_S)
    settings.cache_clear()
    config = uvicorn.Config(echo, port=0, http=PatientProtocol, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[:2]
    server.should_exit = True
    thread.join(20)
    del os.environ["HEGUI_HEADER_TIMEOUT_S"]
    settings.cache_clear()


def ends_after(connection: socket.socket) -> float:
    """How long until the other side ends the connection, in seconds."""
    connection.settimeout(10)
    begun = time.monotonic()
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - begun


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "])
@pytest.mark.asvs("2.4.1", "13.1.3")
def test_a_head_that_does_not_come_ends_the_connection(
    address: tuple[str, int], said: bytes
) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(said)
        assert LIMIT_S / 2 < ends_after(connection) < LIMIT_S + 4


def test_a_second_head_on_a_kept_connection_has_a_time_too(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert ends_after(connection) < LIMIT_S + 4


def test_a_body_may_take_longer_than_a_head(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        for _ in range(3):
            time.sleep(LIMIT_S / 2)
            connection.sendall(b"x")
        answer = b""
        while not answer.endswith(b"\r\n\r\n3"):  # head and body may come apart
            got = connection.recv(4096)
            assert got, answer
            answer += got

"""A body that stalls is answered, and its connection is free again."""

import os
import socket
from collections.abc import Iterator
from uuid import uuid4

import pytest

from service.config import settings


@pytest.fixture
def short_patience() -> Iterator[None]:
    os.environ["HEGUI_UPLOAD_IDLE_S"] = "0.5"
    settings.cache_clear()
    yield
    del os.environ["HEGUI_UPLOAD_IDLE_S"]
    settings.cache_clear()


@pytest.mark.asvs("2.4.1")
def test_a_body_whose_next_piece_does_not_come_is_a_408(port: int, short_patience: None) -> None:
    head = f"POST /v1/webhooks/{uuid4()} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{{"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(20)
        connection.sendall(head.encode())
        answer = b""
        while b"request_timeout" not in answer and (piece := connection.recv(65536)):
            answer += piece

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in answer
    assert b"cache-control: no-store" in answer.lower()

"""The bare wire: odd framing, half requests and resets get a clear answer or none, never a 5xx."""

import socket
import struct
from collections.abc import Callable

import pytest

from tests.factories import Sender, encode, make_agency, make_sms, make_tenant, sign

Wire = Callable[[bytes], bytes]


@pytest.fixture
def wire(port: int, clean: None) -> Wire:
    """Send raw bytes; return all that comes back until the server closes or pauses."""

    def speak(request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
            link.sendall(request)
            answer = b""
            link.settimeout(2)
            try:
                while part := link.recv(65536):
                    answer += part
            except (TimeoutError, ConnectionResetError):
                pass
            return answer

    return speak


@pytest.fixture
def agency(clean: None) -> Sender:
    return make_agency(make_tenant())


def _request(agency: Sender, body: bytes, *framing: str) -> bytes:
    lines = [f"POST /v1/webhooks/{agency.id} HTTP/1.1", "Host: test", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in sign(agency.secret, body).items()]
    return ("\r\n".join([*lines, *framing]) + "\r\n\r\n").encode()


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_plain_and_chunked_and_expecting_senders_are_served(wire: Wire, agency: Sender) -> None:
    first, second, third = (encode(make_sms()) for _ in range(3))
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(second), second)

    plain = wire(_request(agency, first, f"Content-Length: {len(first)}") + first)
    chunked = wire(_request(agency, second, "Transfer-Encoding: chunked") + chunks)
    expecting = wire(
        _request(agency, third, f"Content-Length: {len(third)}", "Expect: 100-continue") + third
    )

    assert _status(plain) == 202, plain
    assert _status(chunked) == 202, chunked
    assert b"HTTP/1.1 202" in expecting


@pytest.mark.parametrize(
    "framing",
    [
        pytest.param(["Content-Length: 5", "Content-Length: 7"], id="two lengths"),
        pytest.param(["Content-Length: -1"], id="negative"),
        pytest.param(["Content-Length: x"], id="no number"),
        pytest.param(["Content-Length: 5", "Transfer-Encoding: chunked"], id="both"),
        pytest.param([], id="no body"),
        pytest.param(["Content-Length: 3"], id="short length"),
        pytest.param(["X: " + "y" * 100_000], id="huge header"),
        pytest.param(["webhook-id: a", "webhook-id: b"], id="header twice"),
    ],
)
def test_odd_framing_is_never_a_server_error(
    wire: Wire, agency: Sender, framing: list[str]
) -> None:
    body = encode(make_sms())

    answer = wire(_request(agency, body, *framing) + body)

    assert answer == b"" or 400 <= _status(answer) < 500, answer[:200]


def test_sender_that_resets_before_the_answer_gets_its_receipt_on_repeating(
    wire: Wire, agency: Sender, port: int
) -> None:
    body = encode(make_sms())
    request = _request(agency, body, f"Content-Length: {len(body)}") + body
    with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.sendall(request)

    statuses = {_status(wire(request)) for _ in range(2)}

    assert statuses <= {200, 202}
    assert 200 in statuses


def test_half_a_request_disturbs_nobody(wire: Wire, agency: Sender, port: int) -> None:
    body = encode(make_sms())
    request = _request(agency, body, f"Content-Length: {len(body)}")
    halves = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(50)]
    for link in halves:
        link.sendall(request + body[:10])

    answer = wire(request + body)

    for link in halves:
        link.close()
    assert _status(answer) == 202

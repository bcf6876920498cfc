"""The signature check against anything a sender may put in its headers."""

import base64
import statistics
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from service.errors import BadSignatureError, InvalidInputError
from service.signature import SignedHeaders, Source, read_headers, verify

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
AT = datetime(2026, 6, 3, 3, 0, 0, tzinfo=UTC)
STAMP = str(int(AT.timestamp()))
SOURCE = Source(uuid4(), uuid4(), (SECRET,))
GOOD = "v1," + base64.b64encode(b"x" * 32).decode()


def _headers(name: Any, stamp: Any, signature: Any) -> list[tuple[bytes, bytes]]:
    pairs = zip(
        (b"webhook-id", b"webhook-timestamp", b"webhook-signature"),
        (name, stamp, signature),
        strict=True,
    )
    return [
        (key, value if isinstance(value, bytes) else value.encode("latin-1", "replace"))
        for key, value in pairs
    ]


@pytest.mark.parametrize(
    "signature",
    [
        "", "v1", "v1,", "v1,,x", "v1,abc", f"{GOOD} ", f" {GOOD}", f"{GOOD}  {GOOD}",
        f"{GOOD},{GOOD}", GOOD[:-1], GOOD + "=", "v1,é" + "A" * 42 + "=", "v2," + GOOD[3:],
        " ".join([GOOD] * 6), GOOD.replace("v1,", "v1,\n"),
        "v1," + "A" * 20 + "!!" + "A" * 21 + "=",
    ],
)  # fmt: skip
def test_malformed_signature_is_refused_before_the_library_sees_it(signature: str) -> None:
    with pytest.raises(BadSignatureError):
        read_headers(_headers("msg_1", STAMP, signature), at=AT)


@pytest.mark.parametrize(
    "stamp",
    [
        "", "0", STAMP + "0", STAMP[:-1], f" {STAMP}", f"{STAMP} ", f"{STAMP}.0", "1_780455600",
        "-780455600", "1e9", "17804556００", "9" * 20, "nan", "+780455600",
    ],
)  # fmt: skip
def test_timestamp_is_ten_digits_and_nothing_else(stamp: str) -> None:
    with pytest.raises(BadSignatureError) as caught:
        read_headers(_headers("msg_1", stamp.encode(), GOOD), at=AT)
    assert caught.value.code == "bad_signature"


@pytest.mark.parametrize(
    ("offset", "is_taken"), [(-301, False), (-300, True), (300, True), (301, False)]
)
def test_tolerance_is_300_seconds_either_way(offset: int, is_taken: bool) -> None:  # noqa: FBT001
    headers = _headers("msg_1", str(int(STAMP) + offset), GOOD)

    if is_taken:
        assert read_headers(headers, at=AT).message_id == "msg_1"
    else:
        with pytest.raises(BadSignatureError, match="2026-06-03T03:00:00"):
            read_headers(headers, at=AT)


@pytest.mark.parametrize("name", ["a.b", "x" * 300, "a b", "a\x01", "é", "", "\u202e"])
def test_odd_message_id_is_named(name: str) -> None:
    with pytest.raises((InvalidInputError, BadSignatureError)):
        read_headers(_headers(name.encode(), STAMP, GOOD), at=AT)


def test_doubled_header_is_refused() -> None:
    headers = _headers("msg_1", STAMP, GOOD)

    for doubled in headers:
        with pytest.raises(BadSignatureError):
            read_headers([*headers, doubled], at=AT)


ODD = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(st.sampled_from([b"v1,", b"v1a,", b"=", b" ", GOOD.encode(), b"\x00", b","])).map(
        b"".join
    ),
)


@given(name=ODD, stamp=st.one_of(ODD, st.just(STAMP.encode())), signature=ODD, body=st.binary())
def test_nothing_but_a_refusal_comes_of_odd_input(
    name: bytes, stamp: bytes, signature: bytes, body: bytes
) -> None:
    try:
        headers = read_headers(_headers(name, stamp, signature), at=AT)
    except (BadSignatureError, InvalidInputError):
        headers = SignedHeaders("msg_1", STAMP, signature.decode("latin-1"))
    with pytest.raises(BadSignatureError):
        verify(SOURCE, headers, body, at=AT)


@given(body=st.text(), name=st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True))
def test_what_was_signed_now_holds_and_a_changed_byte_does_not(body: str, name: str) -> None:
    moment = datetime.now(UTC)
    raw = body.encode("utf-8", "surrogatepass")
    try:
        signature = Webhook(SECRET).sign(name, moment, body)
    except UnicodeEncodeError:
        return
    headers = read_headers(_headers(name, str(int(moment.timestamp())), signature), at=moment)

    assert verify(SOURCE, headers, raw, at=moment) is SOURCE
    with pytest.raises(BadSignatureError):
        verify(SOURCE, headers, raw + b"x", at=moment)
    with pytest.raises(BadSignatureError):
        verify(None, headers, raw, at=moment)


def test_unknown_agency_costs_the_same_work() -> None:
    moment = datetime.now(UTC)
    headers = SignedHeaders("msg_1", str(int(moment.timestamp())), GOOD)
    spent: dict[bool, list[float]] = {True: [], False: []}

    for turn in range(4000):
        known = turn % 2 == 0
        begun = time.perf_counter()
        with pytest.raises(BadSignatureError):
            verify(SOURCE if known else None, headers, b"{}" * 300, at=moment)
        spent[known].append(time.perf_counter() - begun)

    medians = [statistics.median(times) for times in spent.values()]
    assert max(medians) < 1.25 * min(medians)

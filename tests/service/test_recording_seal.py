"""Recordings lie sealed: in the form of Tink, opened in parts, bound to their place, erasable."""

import hashlib
import os
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from service.clock import now
from service.config import settings
from service.db import tenant_session
from service.errors import DigestMismatchError, MasterKeyError, NotFoundError
from service.keeping.sealed import HEAD_BYTES, MARK
from service.keeping.storage import LocalStore, store
from service.privacy import data_keys, sealing
from service.privacy.resealing import reseal_fields
from service.privacy.stream_cipher import HEADER_BYTES, Layout, StreamOpener, StreamSealer
from tests.conftest import Database
from tests.factories import Lender, make_tenant

ABOUT = b"about"
TINK_KEY = bytes.fromhex("ee27f388ee2ed44142a938553dc3f45a0e5374a6f7c7a35f520f2bba92e5880d")
# What tink 1.16.1 sealed with that key: AES256, HKDF with SHA-256, segments of 256 bytes; the
# plain bytes count up modulo 251.
TINK = {
    0: "KOOG1EfOsY0mQh3JzDE8DOw4+N5lAfhMWD8pgid+Mn73mn2L6Tt78TlfMhUhuNItToL8o8RL6ok=",
    200: (
        "KIb9iTm8uW88DmSXcPNsnMAG0By93xb0/QwybJEazraaka30PXId0kxXMEak+35Smnjzn6EkNO+h2QvrcM/7ttfT"
        "v4rKWh2/PGsIKzRmSjf1LMeEV28BxiPKA1GpntPey9KBP0jy5ZjLijWXUCQuXRed7G8LlxiDXLqrHvD42wktvoHH"
        "pxVTxPRopmgzNHXYE+h6ZEgEjzy7luoWM7EBbDayPvn91IkfbCc2M0rygFdnfJ9c0Ogt88DGY3l4Jg9va4wCjrCf"
        "CXWrX8e7S52bkxHYDjMmwZKhLxrZgbii5gjIgNiKKQQISrKdZL9J7zP937i2QR6SvwWyfNCI0KOuOw=="
    ),
    201: (
        "KDL5t2NMkbMF/Ny7tCgVVJKr7GotqKLZvAxMBzO08yEAiCwUJtV7Mg7UM0OpZUzUtiuB+kTCx8o4kqiaIL1BEi6f"
        "BpVZBE1Z0+s3iciMxBo67jzQp6vLxNkUOc22Ilbeo8V79CLqptH2zMm9zU8y0bFsZcKOdQZG6WQqr5+puD+BR36f"
        "5WbJ+j8Ssespg2MZKlP6TJImE8kMPmXFmW8VPhb6cdOTVTvjZnSus0GsX0qZwctYCS7VcKAJqrK1+FXkJj2nVWRV"
        "3r10Umui7i4zMJvrrHFu4hWt5yNsE/nSt9S9S3By6npOGuapQe1ePpFTWB1MuPGbAuGSYAOYNgujZ7g8GEdMMJWS"
        "43YDHTkAvcqs"
    ),
}
AUDIO = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(6000))  # three segments
NAME = hashlib.sha256(AUDIO).hexdigest()


@pytest.mark.asvs("11.3.2")
@pytest.mark.parametrize("length", TINK)
def test_what_tink_sealed_is_opened(length: int) -> None:
    sealed = b64decode(TINK[length])
    layout = Layout(len(sealed), segment=256)
    assert layout.plain_size == length
    opener = StreamOpener(TINK_KEY, ABOUT, sealed[:HEADER_BYTES], layout)

    start, stop = opener.span(0, max(length - 1, 0))

    plain = b"".join(opener.open(iter([sealed[start:stop]]), 0, length - 1))
    assert plain == bytes(i % 251 for i in range(length))


def _seal(plain: bytes, cut: int, segment: int) -> bytes:
    sealer = StreamSealer(TINK_KEY, ABOUT, segment=segment)
    parts = [plain[at : at + cut] for at in range(0, len(plain), cut)]
    return sealer.header + b"".join(sealer.write(part) for part in parts) + sealer.end()


def _open(sealed: bytes, first: int, last: int, segment: int) -> bytes:
    layout = Layout(len(sealed), segment=segment)
    opener = StreamOpener(TINK_KEY, ABOUT, sealed[:HEADER_BYTES], layout)
    start, stop = opener.span(first, last)
    pieces = (sealed[at : min(at + 7, stop)] for at in range(start, stop, 7))
    return b"".join(opener.open(pieces, first, last))


@pytest.mark.asvs("11.3.3")
@given(
    st.integers(1, 700), st.integers(1, 300), st.integers(64, 200), st.data()
)  # fmt: skip
def test_any_part_opens_by_itself_and_no_changed_byte_passes(
    length: int, cut: int, segment: int, data: Any
) -> None:
    plain = AUDIO[:length]
    sealed = _seal(plain, cut, segment)
    first = data.draw(st.integers(0, length - 1))
    last = data.draw(st.integers(first, length - 1))

    assert Layout(len(sealed), segment=segment).plain_size == length
    assert _open(sealed, first, last, segment) == plain[first : last + 1]

    at = data.draw(st.integers(1, len(sealed) - 1))
    changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
    with pytest.raises(InvalidTag):
        _open(changed, 0, length - 1, segment)
    # Cut off anywhere, also between two segments, it does not pass as a shorter recording.
    short = sealed[: data.draw(st.integers(HEADER_BYTES, len(sealed) - 1))]
    with pytest.raises((InvalidTag, ValueError)):
        _open(short, 0, len(short), segment)


@pytest.fixture
def lender(database: Database, clean: None) -> Lender:
    return make_tenant()


def _file(lender: Lender, name: str = NAME) -> Path:
    return settings().object_dir / str(lender.id) / name[:2] / name


def _put(lender: Lender, content: bytes = AUDIO) -> Any:
    name = hashlib.sha256(content).hexdigest()
    return store().put_stream(lender.id, iter([content]), name, 10**7)


def _read(lender: Lender, *span: Any, name: str = NAME) -> bytes:
    return b"".join(store().read(lender.id, name, *span))


@pytest.mark.asvs("11.3.2", "14.2.4")
def test_a_stored_recording_is_sealed_and_any_part_of_it_is_read(lender: Lender) -> None:
    assert _put(lender).fresh
    file = _file(lender)

    assert file.read_bytes().startswith(MARK)
    assert all(AUDIO[at : at + 16] not in file.read_bytes() for at in range(0, 190_000, 4000))
    assert _read(lender) == AUDIO
    for first, last in ((0, 0), (65_000, 66_000), (131_000, 131_001), (191_999, None), (5, 10**9)):
        assert _read(lender, first, last) == AUDIO[first : None if last is None else last + 1]
    assert _read(lender, 10**6, None) == b""
    with store().as_file(lender.id, NAME) as path:
        assert path.read_bytes() == AUDIO
    inode = file.stat().st_ino
    assert not _put(lender).fresh  # a repetition leaves the file that is there
    assert file.stat().st_ino == inode


def test_an_empty_recording_is_sealed_too(lender: Lender) -> None:
    name = hashlib.sha256(b"").hexdigest()

    _put(lender, b"")

    assert _read(lender, name=name) == b""
    assert _file(lender, name).stat().st_size == HEAD_BYTES + 16


@pytest.mark.asvs("11.3.3")
def test_an_object_opens_in_its_own_place_only(lender: Lender) -> None:
    other, content = make_tenant(), b"another recording" * 5000
    name = hashlib.sha256(content).hexdigest()
    _put(lender)
    _put(lender, content)
    moved = _file(lender).read_bytes()
    for victim, whose in ((_file(lender, name), lender), (_file(other), other)):
        victim.parent.mkdir(parents=True, exist_ok=True)
        victim.unlink(missing_ok=True)
        victim.write_bytes(moved)

        with pytest.raises(NotFoundError):
            store().read(whose.id, victim.name)
        assert not store().exists(whose.id, victim.name)
    changed = bytearray(moved)
    changed[70_000] ^= 1
    _file(lender).chmod(0o600)
    _file(lender).write_bytes(changed)
    assert _read(lender, 0, 100) == AUDIO[:101]  # another segment
    with pytest.raises(MasterKeyError, match="changed"):
        _read(lender)


def _bring_plain(lender: Lender) -> Path:
    """A recording as an earlier release wrote it."""
    LocalStore(settings().object_dir).put_stream(lender.id, [AUDIO], NAME, 10**7)
    assert _file(lender).read_bytes() == AUDIO
    return _file(lender)


def test_what_lies_plain_is_read_and_sealed_once_with_its_date(lender: Lender) -> None:
    file = _bring_plain(lender)
    date = file.stat().st_mtime + 1000
    os.utime(file, (date, date))
    assert _read(lender, 3, 9) == AUDIO[3:10]
    with store().as_file(lender.id, NAME) as path:
        assert path == file

    assert store().seal(lender.id, NAME)
    assert not store().seal(lender.id, NAME)

    assert file.read_bytes().startswith(MARK)
    assert (file.stat().st_mtime, file.stat().st_mode & 0o777) == (date, 0o440)
    assert _read(lender) == AUDIO
    assert [path.name for path in file.parent.iterdir()] == [NAME]


def test_bytes_that_are_not_those_of_their_name_are_not_sealed(lender: Lender) -> None:
    file = _bring_plain(lender)
    file.chmod(0o600)
    file.write_bytes(AUDIO[:-1] + b"x")

    with pytest.raises(DigestMismatchError):
        store().seal(lender.id, NAME)

    assert file.read_bytes() == AUDIO[:-1] + b"x"
    assert [path.name for path in file.parent.iterdir()] == [NAME]


@pytest.mark.asvs("11.2.2", "13.3.4")
def test_a_new_data_key_seals_the_recordings_keys_anew_and_leaves_the_objects(
    lender: Lender, database: Database
) -> None:
    _put(lender)
    before, first = _file(lender).read_bytes(), sealing.load_keys(lender.id).current
    with tenant_session(lender.id) as session:
        data_keys.rotate_key(session, tenant_id=lender.id, by="operator")
    sealing.forget_keys()
    with tenant_session(lender.id) as session:
        moment = now()
        assert data_keys.drop_unused(session, tenant_id=lender.id, before=moment, by="x") == 0

    with tenant_session(lender.id) as session:
        assert reseal_fields(session, tenant_id=lender.id) == 1
    with tenant_session(lender.id) as session:
        moment = now()
        assert data_keys.drop_unused(session, tenant_id=lender.id, before=moment, by="x") == 1
    sealing.forget_keys()

    assert first not in sealing.load_keys(lender.id).keys
    assert _file(lender).read_bytes() == before
    assert _read(lender) == AUDIO


def _superuser(database: Database, statement: str, *values: Any) -> list[Any]:
    with psycopg.connect(database.superuser_url) as connection:
        done = connection.execute(statement.encode(), values)
        return done.fetchall() if done.description else []


def _note(database: Database, lender: Lender) -> None:
    _superuser(
        database,
        "insert into recording (tenant_id, sha256, size_bytes, received_at, retain_until)"
        " values (%s, %s, %s, now(), now() + interval '5 years')",
        lender.id, NAME, len(AUDIO),
    )  # fmt: skip


@pytest.mark.asvs("2.3.2")
def test_the_database_keeps_a_key_as_long_as_its_recording(
    lender: Lender, database: Database
) -> None:
    _put(lender)
    _note(database, lender)
    for statement in (
        "delete from recording_key",
        f"update recording_key set id = '{uuid4()}'",
        "truncate recording_key",
    ):
        with pytest.raises(psycopg.Error) as refused:
            _superuser(database, statement)
        assert refused.value.sqlstate in {"HG001", "HG003"}

    _superuser(database, "alter table recording disable trigger user")
    _superuser(database, "update recording set purged_at = now()")
    _superuser(database, "alter table recording enable trigger user")
    _superuser(database, "delete from recording_key")

    # Somebody kept a copy of the object: it opens nowhere, and the bytes may come again.
    assert not store().exists(lender.id, NAME)
    with pytest.raises(NotFoundError):
        store().read(lender.id, NAME)
    assert _put(lender).fresh
    assert _read(lender) == AUDIO


LARGE = """
import hashlib, os, resource, sys
from uuid import UUID
from service.keeping.storage import store
def chunks():
    for _ in range(200):
        yield bytes(1024 * 1024)
digest = hashlib.sha256()
for chunk in chunks():
    digest.update(chunk)
name, tenant = digest.hexdigest(), UUID(sys.argv[1])
store().put_stream(tenant, [b"x"], hashlib.sha256(b"x").hexdigest(), 10)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store().put_stream(tenant, chunks(), name, 2**30)
total = sum(len(chunk) for chunk in store().read(tenant, name))
print(total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_large_recording_is_sealed_and_opened_in_little_memory(lender: Lender) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LARGE, str(lender.id)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    total, grown_kb = map(int, done.stdout.split())

    assert total == 200 * 1024 * 1024
    assert grown_kb < 20_000

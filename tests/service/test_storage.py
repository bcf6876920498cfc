"""The local store: durable, never replaced, nothing left behind."""

import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from service.errors import DigestMismatchError, NotFoundError, TooLargeError
from service.keeping.storage import LocalStore

BYTES = b"sound" * 1000
NAME = hashlib.sha256(BYTES).hexdigest()


def _files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_bytes_lie_under_their_hash_read_only(tmp_path: Path) -> None:
    store, tenant = LocalStore(tmp_path), uuid4()

    stored = store.put_stream(tenant, iter([BYTES[:7], BYTES[7:]]), NAME, 10_000)

    path = store.path(tenant, NAME)
    assert (stored.size_bytes, stored.fresh) == (5000, True)
    assert path == tmp_path / str(tenant) / NAME[:2] / NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o440
    assert path.stat().st_nlink == 1
    assert b"".join(store.read(tenant, NAME)) == BYTES
    assert b"".join(store.read(tenant, NAME, 3, 9)) == BYTES[3:10]


def test_first_bytes_stay(tmp_path: Path) -> None:
    store, tenant = LocalStore(tmp_path), uuid4()
    store.put_stream(tenant, [BYTES], NAME, 10_000)
    before = store.path(tenant, NAME).stat()

    again = store.put_stream(tenant, [BYTES], NAME, 10_000)

    after = store.path(tenant, NAME).stat()
    assert again.fresh is False
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_tenants_do_not_share_bytes(tmp_path: Path) -> None:
    store, tenant = LocalStore(tmp_path), uuid4()
    store.put_stream(tenant, [BYTES], NAME, 10_000)

    assert not store.exists(uuid4(), NAME)


@pytest.mark.parametrize(
    ("name", "limit", "error"),
    [(hashlib.sha256(b"").hexdigest(), 10_000, DigestMismatchError), (NAME, 4999, TooLargeError)],
    ids=["wrong hash", "too large"],
)
def test_refused_bytes_leave_nothing(
    tmp_path: Path, name: str, limit: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        LocalStore(tmp_path).put_stream(uuid4(), [BYTES], name, limit)

    assert _files(tmp_path) == []


def test_interrupted_stream_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield BYTES[:100]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        LocalStore(tmp_path).put_stream(uuid4(), broken(), NAME, 10_000)

    assert _files(tmp_path) == []


@pytest.mark.parametrize("name", ["", "../../etc/passwd", NAME.upper(), NAME[:-1], NAME + "\n"])
def test_only_a_hash_is_a_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFoundError):
        LocalStore(tmp_path).path(uuid4(), name)

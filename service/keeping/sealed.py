"""How a recording lies in a store: sealed under a key of its own, which the tenant's key wraps.

A sealed object is a mark, the id of its key, and a stream (`service.privacy.stream_cipher`). The
key is a row of `recording_key` and goes with the recording, so that no copy of the object opens
afterwards; a new data key seals these rows anew and leaves the objects as they are. Objects of
earlier releases lie there as they came and are read like that.
"""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag

from service import db
from service.errors import MasterKeyError, NotFoundError
from service.privacy import sealing
from service.privacy.stream_cipher import (
    HEADER_BYTES,
    KEY_BYTES,
    Layout,
    StreamOpener,
    StreamSealer,
)

MARK = b"hegui/sealed/1\n"
_ID_BYTES = 16
# What comes before the stream, and what has to be read before anything can be opened.
PREFIX_BYTES = len(MARK) + _ID_BYTES
HEAD_BYTES = PREFIX_BYTES + HEADER_BYTES
NOT_THERE = "There is no such recording."
_ADD = (
    "insert into recording_key (tenant_id, sha256, id, sealed) values (%s, %s, %s, %s)"
    " on conflict do nothing"
)
_FIND = "select sealed from recording_key where tenant_id = %s and sha256 = %s and id = %s"


class Form(Protocol):
    """The form in which bytes are put down: `head`, what `write` gives, and `end`."""

    head: bytes

    def write(self, chunk: bytes) -> bytes:
        """Turn some bytes into what is put down for them, now or later."""

    def end(self) -> bytes:
        """Give what is left to put down."""

    def keep(self) -> None:
        """Make durable what opens them; before the bytes have their name."""


class Plain:
    """Bytes as they are."""

    head = b""

    def write(self, chunk: bytes) -> bytes:
        """Give them back."""
        return chunk

    def end(self) -> bytes:
        """Give nothing."""
        return b""

    def keep(self) -> None:
        """Nothing is needed to open them."""


class Sealed:
    """Bytes sealed under a new key."""

    def __init__(self, tenant_id: UUID, sha256: str) -> None:
        self._place = tenant_id, sha256
        self._id = uuid4()
        self._key = secrets.token_bytes(KEY_BYTES)
        self._stream = StreamSealer(self._key, _about(tenant_id, sha256, self._id))
        self.head = MARK + self._id.bytes + self._stream.header

    def write(self, chunk: bytes) -> bytes:
        """Give the segments that are full."""
        return self._stream.write(chunk)

    def end(self) -> bytes:
        """Give the last segment."""
        return self._stream.end()

    def keep(self) -> None:
        """Write the key down, wrapped."""
        tenant_id, sha256 = self._place
        about = _about_key(tenant_id, sha256, self._id)
        wrapped = sealing.seal(tenant_id, self._key, about)
        with db.pool().connection() as connection, connection.transaction():
            connection.execute("select set_config('app.tenant_id', %s, true)", (str(tenant_id),))
            connection.execute(_ADD, (tenant_id, sha256, self._id, wrapped))


def is_sealed(head: bytes) -> bool:
    """Tell by its beginning whether an object is sealed."""
    return head.startswith(MARK)


def find_opener(tenant_id: UUID, sha256: str, head: bytes, size: int) -> StreamOpener | None:
    """What opens an object of `size` bytes that begins with `head`; None where it lies plain.

    Raises `NotFoundError` where its key is gone, and `MasterKeyError` where it cannot be opened.
    """
    if not is_sealed(head):
        return None
    if len(head) < HEAD_BYTES:
        raise _damaged()
    key_id = UUID(bytes=head[len(MARK) : PREFIX_BYTES])
    with db.pool().connection() as connection, connection.transaction():
        connection.execute("select set_config('app.tenant_id', %s, true)", (str(tenant_id),))
        row = connection.execute(_FIND, (tenant_id, sha256, key_id)).fetchone()
    if row is None:
        raise NotFoundError(NOT_THERE)
    key = sealing.unseal(tenant_id, row[0], _about_key(tenant_id, sha256, key_id))
    try:
        layout = Layout(size - PREFIX_BYTES)
        about = _about(tenant_id, sha256, key_id)
        return StreamOpener(key, about, head[PREFIX_BYTES:HEAD_BYTES], layout)
    except ValueError:
        raise _damaged() from None


def opened(opener: StreamOpener, chunks: Iterator[bytes], first: int, last: int) -> Iterator[bytes]:
    """The plain bytes of a span; raises `MasterKeyError` where the object was changed."""
    try:
        yield from opener.open(chunks, first, last)
    except InvalidTag:
        raise _damaged() from None


def last_byte(opener: StreamOpener, last: int | None) -> int:
    """The last plain byte to read, where `last` was asked for; of nothing, the one before it."""
    end = opener.layout.plain_size - 1
    return end if last is None else min(last, end)


@contextmanager
def lent(chunks: Iterator[bytes]) -> Iterator[Path]:
    """Lend bytes as a file that has no name on the disk, where the system can do that.

    What dies with it open leaves nothing behind.
    """
    with tempfile.TemporaryFile() as file:
        nameless = Path(f"/proc/self/fd/{file.fileno()}")
        if nameless.exists():
            _fill(file, chunks)
            yield nameless
            return
    with tempfile.NamedTemporaryFile(prefix="hegui-recording-") as named:
        _fill(named, chunks)
        yield Path(named.name)


def _fill(file: IO[bytes], chunks: Iterator[bytes]) -> None:
    for chunk in chunks:
        file.write(chunk)
    file.flush()


def _about_key(tenant_id: UUID, sha256: str, key_id: UUID) -> bytes:
    return sealing.about_field(tenant_id, "recording_key", f"{sha256}|{key_id}", "sealed")


def _about(tenant_id: UUID, sha256: str, key_id: UUID) -> bytes:
    return f"hegui/1|{tenant_id}|recording|{sha256}|{key_id}".encode()


def _damaged() -> MasterKeyError:
    return MasterKeyError("A recording was changed in the store.")

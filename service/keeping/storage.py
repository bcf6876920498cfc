"""Recordings by the hash of their bytes: written once, made durable, kept until their date.

The hash is that of the bytes as they came; the stores of the service put them down sealed
(`service.keeping.sealed`), and what lies there in the clear from before is read like that.
"""

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import IO, Literal, Protocol, Self
from uuid import UUID, uuid4

from service.clock import now
from service.config import settings
from service.errors import (
    ConflictError,
    DigestMismatchError,
    FieldProblem,
    NotFoundError,
    StorageFullError,
    TooLargeError,
)
from service.keeping.sealed import (
    HEAD_BYTES,
    NOT_THERE,
    PREFIX_BYTES,
    Form,
    Plain,
    Sealed,
    find_opener,
    is_sealed,
    last_byte,
    lent,
    opened,
)

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_READ_ONLY = 0o440
_WRITING = 0o600
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_CHUNK = 256 * 1024
# What the store holds new bytes for by itself, until it is told their date.
FIRST_LOCK = timedelta(days=7)
PROOF_LASTS = timedelta(hours=1)


class RetentionError(ConflictError):
    """The store keeps these bytes: their date has not come, or they are under a hold."""

    code = "under_retention"


@dataclass(frozen=True, slots=True)
class RetentionProof:
    """Whether the store was seen to refuse early removal, and how; `detail` is one sentence."""

    state: Literal["proven", "unproven"]
    store: str
    detail: str
    checked_at: datetime


@dataclass(frozen=True, slots=True)
class Stored:
    """What lies in the store now; `fresh` is False where it was there before."""

    size_bytes: int
    fresh: bool


def is_hash(name: str) -> bool:
    """Tell whether a name is a SHA-256 in hex."""
    return _SHA256.fullmatch(name) is not None


class Upload(Protocol):
    """Bytes on their way in; leaving the block without `finish` leaves nothing behind."""

    def __enter__(self) -> Self:
        """Open."""

    def __exit__(self, *_: object) -> None:
        """Clean up."""

    def write(self, chunk: bytes) -> None:
        """Take some bytes; raises `TooLargeError` or `StorageFullError`."""

    def finish(self) -> Stored:
        """Check the hash and make the bytes durable; raises `DigestMismatchError`."""


class Store(Protocol):
    """Where recordings lie; a local folder now, an object store later."""

    def begin(self, tenant_id: UUID, expected_sha256: str, max_bytes: int) -> Upload:
        """Start to take a recording in."""

    def put_stream(
        self, tenant_id: UUID, chunks: Iterable[bytes], expected_sha256: str, max_bytes: int
    ) -> Stored:
        """Take a whole recording in."""

    @property
    def removal(self) -> str:
        """Say in one sentence how bytes are removed, for certificates."""

    def read(
        self, tenant_id: UUID, sha256: str, first: int = 0, last: int | None = None
    ) -> Iterator[bytes]:
        """Give the bytes from `first` to `last`, both included; raises `NotFoundError` at once."""

    def as_file(self, tenant_id: UUID, sha256: str) -> AbstractContextManager[Path]:
        """Lend a recording as a local file, for as long as the block lasts."""

    def exists(self, tenant_id: UUID, sha256: str) -> bool:
        """Tell whether a recording is there and can be opened."""

    def seal(self, tenant_id: UUID, sha256: str) -> bool:
        """Seal what lies there in the clear; False where nothing does. It may be done twice.

        Raises `NotFoundError`, and `DigestMismatchError` where the bytes are not those of the name.
        """

    def protect(self, tenant_id: UUID, sha256: str, *, until: datetime, held: bool) -> None:
        """Tell the store until when to keep it (only ever later) and whether it is held.

        Raises `NotFoundError`.
        """

    def remove(self, tenant_id: UUID, sha256: str, *, now: datetime) -> None:
        """Remove a recording for good; raises `RetentionError`. What is gone already is fine."""

    def prove(self, at: datetime) -> RetentionProof:
        """Try to remove something too early and say what came of it."""


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _chunks(file: IO[bytes], first: int, stop: int) -> Iterator[bytes]:
    """The bytes of an open file from `first` up to `stop`; closes it."""
    rest = stop - first
    with file:
        file.seek(first)
        while rest > 0 and (chunk := file.read(min(_CHUNK, rest))):
            rest -= len(chunk)
            yield chunk


class LocalUpload:
    """One recording being written to a temporary file beside its place.

    What has the name already and `holds` stays. `until` is the date that the file gets.
    """

    def __init__(
        self,
        target: Path,
        form: Form,
        max_bytes: int,
        *,
        holds: Callable[[], bool],
        until: float | None = None,
    ) -> None:
        self._target = target
        self._form = form
        self._max_bytes = max_bytes
        self._holds = holds
        self._until = until
        self._hash = hashlib.sha256()
        self._size = 0
        self._temporary = target.parent / f".{uuid4().hex}.part"

    def __enter__(self) -> Self:
        """Make the folders, each durable in its parent, and open the temporary file."""
        missing = []
        folder = self._target.parent
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        try:
            for folder in reversed(missing):
                folder.mkdir(mode=0o750, exist_ok=True)
                _sync_folder(folder.parent)
            self._file = os.fdopen(os.open(self._temporary, _NEW, _WRITING), "wb", buffering=0)
            self._put(self._form.head)
        except OSError as error:
            raise self._translated(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        """Close and remove the temporary file."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """Take some bytes."""
        self._size += len(chunk)
        if self._size > self._max_bytes:
            raise TooLargeError(f"A recording may have up to {self._max_bytes} bytes.")
        self._hash.update(chunk)
        try:
            self._put(self._form.write(chunk))
        except OSError as error:
            raise self._translated(error) from error

    def finish(self) -> Stored:
        """Give the bytes their name: file first, then its link, then the folder made durable.

        What opens the bytes is durable before any of it.
        """
        if self._hash.hexdigest() != self._target.name:
            problem = FieldProblem("sha256", "is not the SHA-256 of the bytes that arrived")
            raise DigestMismatchError("Nothing was stored.", errors=(problem,))
        fresh = not self._holds()
        try:
            if fresh:
                self._put(self._form.end())
                self._form.keep()
                until = self._until or (now() + FIRST_LOCK).timestamp()
                os.utime(self._file.fileno(), (until, until))
                os.fchmod(self._file.fileno(), _READ_ONLY)
                os.fsync(self._file.fileno())
                fresh = self._link()
            _sync_folder(self._target.parent)
        except OSError as error:
            raise self._translated(error) from error
        return Stored(size_bytes=self._size, fresh=fresh)

    def _link(self) -> bool:
        """Name the file; False where somebody else just did. What nobody can open gives way."""
        try:
            # A hard link never replaces: the first bytes under a hash stay.
            os.link(self._temporary, self._target)
        except FileExistsError:
            if self._holds():
                return False
            self._temporary.replace(self._target)
        return True

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    @staticmethod
    def _translated(error: OSError) -> Exception:
        return StorageFullError() if error.errno in _NO_ROOM else error


class LocalStore:
    """A folder `<root>/<tenant>/<aa>/<sha256>` of read-only files.

    A file's time of change is the date until which it is kept (as SnapLock keeps it in the time of
    access); an empty file `.<sha256>.hold` beside it is a hold. Without `seals` new files are
    written as they come; either kind is read.
    """

    removal = "unlinked from the object folder, the folder made durable, and its key deleted"

    def __init__(self, root: Path, *, seals: bool = False) -> None:
        self._root = root
        self._seals = seals

    def _place(self, tenant_id: UUID, sha256: str) -> Path:
        if not is_hash(sha256):
            raise NotFoundError(NOT_THERE)
        return self._root / str(tenant_id) / sha256[:2] / sha256

    def begin(self, tenant_id: UUID, expected_sha256: str, max_bytes: int) -> LocalUpload:
        """Start to take a recording in."""
        target = self._place(tenant_id, expected_sha256)
        form = Sealed(tenant_id, expected_sha256) if self._seals else Plain()
        return LocalUpload(
            target, form, max_bytes, holds=lambda: self.exists(tenant_id, expected_sha256)
        )

    def put_stream(
        self, tenant_id: UUID, chunks: Iterable[bytes], expected_sha256: str, max_bytes: int
    ) -> Stored:
        """Take a whole recording in; on any error nothing is left behind."""
        with self.begin(tenant_id, expected_sha256, max_bytes) as upload:
            for chunk in chunks:
                upload.write(chunk)
            return upload.finish()

    def path(self, tenant_id: UUID, sha256: str) -> Path:
        """Return the path of a recording's file; raises `NotFoundError`."""
        place = self._place(tenant_id, sha256)
        if not place.is_file():
            raise NotFoundError(NOT_THERE)
        return place

    @contextmanager
    def as_file(self, tenant_id: UUID, sha256: str) -> Iterator[Path]:
        """Lend the file itself where it lies plain, and else what is sealed in it."""
        path = self.path(tenant_id, sha256)
        if not is_sealed(_head(path)):
            yield path
            return
        with lent(self.read(tenant_id, sha256)) as opened_path:
            yield opened_path

    def read(
        self, tenant_id: UUID, sha256: str, first: int = 0, last: int | None = None
    ) -> Iterator[bytes]:
        """Give the bytes from `first` to `last`, both included; raises `NotFoundError` at once."""
        file = self.path(tenant_id, sha256).open("rb")
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        try:
            opener = find_opener(tenant_id, sha256, file.read(HEAD_BYTES), size)
        except Exception:
            file.close()
            raise
        if opener is None:
            return _chunks(file, first, size if last is None else last + 1)
        end = last_byte(opener, last)
        if first > max(end, 0):
            file.close()
            return iter(())
        start, stop = opener.span(first, max(end, 0))
        sealed = _chunks(file, PREFIX_BYTES + start, PREFIX_BYTES + stop)
        return opened(opener, sealed, first, end)

    def exists(self, tenant_id: UUID, sha256: str) -> bool:
        """Tell whether a recording is there and can be opened."""
        place = self._place(tenant_id, sha256)
        if not place.is_file():
            return False
        try:
            find_opener(tenant_id, sha256, _head(place), place.stat().st_size)
        except NotFoundError:
            return False
        return True

    def seal(self, tenant_id: UUID, sha256: str) -> bool:
        """Write a plain file anew, sealed, and put it in the old one's place with its date."""
        place = self.path(tenant_id, sha256)
        if not self._seals or is_sealed(_head(place)):
            return False
        until, size = place.stat().st_mtime, place.stat().st_size
        form = Sealed(tenant_id, sha256)
        with LocalUpload(place, form, size, holds=lambda: False, until=until) as upload:
            for chunk in self.read(tenant_id, sha256):
                upload.write(chunk)
            upload.finish()
        return True

    def protect(self, tenant_id: UUID, sha256: str, *, until: datetime, held: bool) -> None:
        """Raise the file's date, and put the mark of a hold beside it or take it away."""
        place = self.path(tenant_id, sha256)
        date = max(until.timestamp(), place.stat().st_mtime)
        with place.open("rb") as file:
            os.utime(file.fileno(), (date, date))
            os.fsync(file.fileno())
        mark = self._mark(place)
        if held:
            mark.touch(mode=_READ_ONLY, exist_ok=True)
        else:
            mark.unlink(missing_ok=True)
        _sync_folder(place.parent)

    def remove(self, tenant_id: UUID, sha256: str, *, now: datetime) -> None:
        """Unlink the file, unless its date has not come or it is held."""
        place = self._place(tenant_id, sha256)
        if not place.is_file():
            return
        if self._mark(place).exists():
            raise RetentionError("The recording is under a hold.")
        if place.stat().st_mtime > now.timestamp():
            raise RetentionError("The recording is under retention.")
        place.unlink()
        _sync_folder(place.parent)

    def prove(self, at: datetime) -> RetentionProof:
        """Say that a folder proves nothing: whoever administers the machine can empty it."""
        detail = "A local folder: the program refuses early removal, the machine's root does not."
        return RetentionProof("unproven", "local", detail, at)

    @staticmethod
    def _mark(place: Path) -> Path:
        return place.with_name(f".{place.name}.hold")


@lru_cache(maxsize=1)
def store() -> Store:
    """Return the store of this process: the bucket that is set, or else the local folder."""
    config = settings()
    if not config.s3_bucket:
        return LocalStore(config.object_dir.resolve(), seals=True)
    from service.keeping.storage_s3 import open_bucket  # noqa: PLC0415  its client is an extra

    return open_bucket(config, seals=True)


_proofs: dict[int, RetentionProof] = {}


def retention_proof() -> RetentionProof:
    """Whether the store was seen to refuse early removal; tried at most once an hour a process."""
    place, moment = store(), datetime.now(UTC)
    held = _proofs.get(id(place))
    if held is None or moment - held.checked_at > PROOF_LASTS:
        _proofs.clear()
        held = _proofs[id(place)] = place.prove(moment)
    return held

"""Recordings by the hash of their bytes: written once, made durable, never replaced."""

import errno
import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Protocol, Self
from uuid import UUID, uuid4

from service.config import settings
from service.errors import (
    DigestMismatchError,
    FieldProblem,
    NotFoundError,
    StorageFullError,
    TooLargeError,
)

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_READ_ONLY = 0o440


@dataclass(frozen=True, slots=True)
class Stored:
    """What lies in the store now; `fresh` is False where it was there before."""

    size_bytes: int
    fresh: bool


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

    def open(self, tenant_id: UUID, sha256: str) -> BinaryIO:
        """Open a recording for reading; raises `NotFoundError`."""

    def path(self, tenant_id: UUID, sha256: str) -> Path:
        """Return a local path of a recording; raises `NotFoundError`."""

    def exists(self, tenant_id: UUID, sha256: str) -> bool:
        """Tell whether a recording is there."""


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class LocalUpload:
    """One recording being written to a temporary file beside its place."""

    def __init__(self, root: Path, target: Path, expected_sha256: str, max_bytes: int) -> None:
        self._root = root
        self._target = target
        self._expected = expected_sha256
        self._max_bytes = max_bytes
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
            self._file = self._temporary.open("xb", buffering=0)
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
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise self._translated(error) from error

    def finish(self) -> Stored:
        """Give the bytes their name: file first, then its link, then the folder made durable."""
        if self._hash.hexdigest() != self._expected:
            problem = FieldProblem("sha256", "is not the SHA-256 of the bytes that arrived")
            raise DigestMismatchError("Nothing was stored.", errors=(problem,))
        try:
            os.fsync(self._file.fileno())
            os.fchmod(self._file.fileno(), _READ_ONLY)
            fresh = True
            try:
                # A hard link never replaces: the first bytes under a hash stay.
                os.link(self._temporary, self._target)
            except FileExistsError:
                fresh = False
            _sync_folder(self._target.parent)
        except OSError as error:
            raise self._translated(error) from error
        return Stored(size_bytes=self._size, fresh=fresh)

    @staticmethod
    def _translated(error: OSError) -> Exception:
        return StorageFullError() if error.errno in _NO_ROOM else error


class LocalStore:
    """A folder `<root>/<tenant>/<aa>/<sha256>` of read-only files."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def _place(self, tenant_id: UUID, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise NotFoundError("There is no such recording.")
        return self._root / str(tenant_id) / sha256[:2] / sha256

    def begin(self, tenant_id: UUID, expected_sha256: str, max_bytes: int) -> LocalUpload:
        """Start to take a recording in."""
        target = self._place(tenant_id, expected_sha256)
        return LocalUpload(self._root, target, expected_sha256, max_bytes)

    def put_stream(
        self, tenant_id: UUID, chunks: Iterable[bytes], expected_sha256: str, max_bytes: int
    ) -> Stored:
        """Take a whole recording in; on any error nothing is left behind."""
        with self.begin(tenant_id, expected_sha256, max_bytes) as upload:
            for chunk in chunks:
                upload.write(chunk)
            return upload.finish()

    def path(self, tenant_id: UUID, sha256: str) -> Path:
        """Return the path of a recording; raises `NotFoundError`."""
        place = self._place(tenant_id, sha256)
        if not place.is_file():
            raise NotFoundError("There is no such recording.")
        return place

    def open(self, tenant_id: UUID, sha256: str) -> BinaryIO:
        """Open a recording for reading; raises `NotFoundError`."""
        return self.path(tenant_id, sha256).open("rb")

    def exists(self, tenant_id: UUID, sha256: str) -> bool:
        """Tell whether a recording is there."""
        return self._place(tenant_id, sha256).is_file()


@lru_cache(maxsize=1)
def store() -> Store:
    """Return the store of this process."""
    return LocalStore(settings().object_dir.resolve())

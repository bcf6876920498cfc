"""Zip files that have one form: stored, in a fixed order, without times, so that no byte is free.

A reader that knows names and contents knows every byte; `unpack` refuses any other. Names are
plain ASCII; sizes stay below 4 GiB.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

CHUNK = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
# Version 2.0, no flags, stored, 1980-01-01 00:00.
_COMMON = struct.pack("<HHHHH", 20, 0, 0, 0, 0x21)
_SIZES = "<LLLHH"
_LARGEST = 0xFFFF_FFFE


class ZipFormError(Exception):
    """The file is not a zip of the one form; the message says where."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file on its way into a zip; `chunks` gives its content, the same each time."""

    name: str
    size: int
    chunks: Callable[[], Iterable[bytes]]

    @classmethod
    def of(cls, name: str, content: bytes) -> "Part":
        """Make a part of bytes."""
        return cls(name, len(content), lambda: (content,))


@dataclass(frozen=True, slots=True)
class Found:
    """A file within a zip: where its content lies."""

    name: str
    offset: int
    size: int

    def chunks(self, file: BinaryIO) -> Iterator[bytes]:
        """Read the content piece by piece."""
        file.seek(self.offset)
        rest = self.size
        while rest:
            chunk = file.read(min(CHUNK, rest))
            if not chunk:
                raise ZipFormError(f"{self.name} ends early")
            rest -= len(chunk)
            yield chunk

    def read(self, file: BinaryIO) -> bytes:
        """Read the content whole."""
        return b"".join(self.chunks(file))


def pack(parts: Sequence[Part]) -> Iterator[bytes]:
    """Give the zip piece by piece; raises `ZipFormError` for a name or size that has no place."""
    offset, directory = 0, b""
    for part in parts:
        if not _NAME.fullmatch(part.name) or part.size > _LARGEST:
            raise ZipFormError(f"{part.name} cannot be put into the file")
        crc = _crc(part.chunks())
        head = _LOCAL + _COMMON + _sizes(part.name, part.size, crc)
        directory += _entry(part.name, part.size, crc, offset)
        offset += len(head) + part.size
        yield head
        yield from part.chunks()
    yield directory + _end(len(parts), len(directory), offset)


def unpack(file: BinaryIO) -> list[Found]:
    """List a zip's files; raises `ZipFormError` unless every byte is as `pack` would write it."""
    found: list[Found] = []
    directory, offset = b"", 0
    while True:
        file.seek(offset)
        head = file.read(30)
        if not head.startswith(_LOCAL):
            break
        if len(head) < 30 or head[4:14] != _COMMON:  # noqa: PLR2004  the length of a local header
            raise ZipFormError(f"the header at byte {offset} is not of the one form")
        crc, packed, size, name_length, extra = struct.unpack(_SIZES, head[14:30])
        name = file.read(name_length).decode("ascii", "replace")
        if packed != size or extra or not _NAME.fullmatch(name):
            raise ZipFormError(f"the header at byte {offset} is not of the one form")
        one = Found(name, offset + 30 + name_length, size)
        if _crc(one.chunks(file)) != crc:
            raise ZipFormError(f"the checksum of {name} is wrong")
        directory += _entry(name, size, crc, offset)
        found.append(one)
        offset = one.offset + size
    file.seek(offset)
    if file.read() != directory + _end(len(found), len(directory), offset):
        raise ZipFormError(f"the directory at byte {offset} is not that of the files")
    if len({one.name for one in found}) != len(found):
        raise ZipFormError("two files have one name")
    return found


def _crc(chunks: Iterable[bytes]) -> int:
    crc = 0
    for chunk in chunks:
        crc = zlib.crc32(chunk, crc)
    return crc


def _sizes(name: str, size: int, crc: int) -> bytes:
    return struct.pack(_SIZES, crc, size, size, len(name), 0) + name.encode()


def _entry(name: str, size: int, crc: int, offset: int) -> bytes:
    # Made on Unix by version 2.0; a regular file, readable by all.
    made = struct.pack("<H", 20 | 3 << 8)
    rest = struct.pack("<HHHLL", 0, 0, 0, 0o100444 << 16, offset)
    sizes = struct.pack(_SIZES, crc, size, size, len(name), 0)
    return _CENTRAL + made + _COMMON + sizes + rest + name.encode()


def _end(count: int, size: int, offset: int) -> bytes:
    return _END + struct.pack("<HHHHLLH", 0, 0, count, count, size, offset, 0)

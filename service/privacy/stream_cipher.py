"""Seals a stream in segments that open one by one, and the arithmetic of where a byte lies in it.

The form is Tink's "AES-GCM-HKDF streaming" (AES256, SHA-256, a header of 40 bytes: its length, a
salt, a nonce's beginning), after Hoang, Reyhanitabar, Rogaway, Vizar: Online Authenticated
Encryption and its Nonce-Reuse Misuse-Resistance (CRYPTO 2015). Tink's own Python streams cannot
seek, and a player asks for parts; the tests open what Tink sealed.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES, TAG_BYTES, SALT_BYTES, NONCE_START_BYTES = 32, 16, 32, 7
HEADER_BYTES = 1 + SALT_BYTES + NONCE_START_BYTES
SEGMENT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Layout:
    """Where plain bytes lie in a sealed stream of `size` bytes, cut into segments.

    The first segment makes room for the header; every one ends with its tag. Raises `ValueError`
    where no stream has that size.
    """

    size: int
    segment: int = SEGMENT_BYTES

    def __post_init__(self) -> None:
        """See that the last segment has room for its tag."""
        count = self.count
        if self.size - self.begin_of(count - 1) < TAG_BYTES:
            raise ValueError("a sealed stream was cut off")

    @property
    def count(self) -> int:
        """How many segments."""
        return max(1, -(-self.size // self.segment))

    @property
    def plain_size(self) -> int:
        """How many bytes are sealed."""
        return self.size - HEADER_BYTES - self.count * TAG_BYTES

    def segment_of(self, position: int) -> int:
        """The segment that holds a plain byte."""
        first = self.segment - HEADER_BYTES - TAG_BYTES
        return 0 if position < first else 1 + (position - first) // (self.segment - TAG_BYTES)

    def begin_of(self, index: int) -> int:
        """Where a segment begins in the sealed stream."""
        return HEADER_BYTES if index == 0 else index * self.segment

    def end_of(self, index: int) -> int:
        """Where a segment ends in the sealed stream."""
        return min((index + 1) * self.segment, self.size)

    def plain_begin_of(self, index: int) -> int:
        """The first plain byte that a segment holds."""
        return 0 if index == 0 else index * (self.segment - TAG_BYTES) - HEADER_BYTES


class _Segments:
    """The cipher of one stream: its own key, and a nonce for each segment."""

    def __init__(self, key: bytes, about: bytes, header: bytes) -> None:
        salt = header[1 : 1 + SALT_BYTES]
        derive = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=about)
        self._cipher = AESGCM(derive.derive(key))
        self._start = header[1 + SALT_BYTES :]

    def seal(self, index: int, plain: bytes, *, is_last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(index, is_last=is_last), plain, None)

    def open(self, index: int, sealed: bytes, *, is_last: bool) -> bytes:
        return self._cipher.decrypt(self._nonce(index, is_last=is_last), sealed, None)

    def _nonce(self, index: int, *, is_last: bool) -> bytes:
        return self._start + index.to_bytes(4, "big") + bytes([is_last])


class StreamSealer:
    """Seals bytes as they come; what `header`, `write` and `end` give is the sealed stream."""

    def __init__(self, key: bytes, about: bytes, *, segment: int = SEGMENT_BYTES) -> None:
        self.header = bytes([HEADER_BYTES]) + secrets.token_bytes(SALT_BYTES + NONCE_START_BYTES)
        self._segments = _Segments(key, about, self.header)
        self._room = segment - HEADER_BYTES - TAG_BYTES
        self._next_room = segment - TAG_BYTES
        self._index = 0
        self._held = bytearray()

    def write(self, chunk: bytes) -> bytes:
        """Take some bytes; gives the segments that are full. One that may be the last is held."""
        self._held += chunk
        full = []
        while len(self._held) > self._room:
            full.append(self._seal(bytes(self._held[: self._room]), is_last=False))
            del self._held[: self._room]
            self._room = self._next_room
            self._index += 1
        return b"".join(full)

    def end(self) -> bytes:
        """Give the last segment."""
        return self._seal(bytes(self._held), is_last=True)

    def _seal(self, plain: bytes, *, is_last: bool) -> bytes:
        return self._segments.seal(self._index, plain, is_last=is_last)


class StreamOpener:
    """Opens segments of a sealed stream of a known size, in any order."""

    def __init__(self, key: bytes, about: bytes, header: bytes, layout: Layout) -> None:
        if len(header) != HEADER_BYTES or header[0] != HEADER_BYTES:
            raise ValueError("a sealed stream begins otherwise")
        self._segments = _Segments(key, about, header)
        self.layout = layout

    def span(self, first: int, last: int) -> tuple[int, int]:
        """What to read of the sealed stream for the plain bytes `first` to `last`: [from, to)."""
        layout = self.layout
        return (
            layout.begin_of(layout.segment_of(first)),
            layout.end_of(layout.segment_of(last)),
        )

    def open(self, chunks: Iterator[bytes], first: int, last: int) -> Iterator[bytes]:
        """Give the plain bytes `first` to `last` from the sealed ones of `span`, however cut.

        Raises `cryptography.exceptions.InvalidTag` where a segment was changed, moved or cut off.
        """
        layout = self.layout
        final = layout.segment_of(last)
        held = bytearray()
        for index in range(layout.segment_of(first), final + 1):
            length = layout.end_of(index) - layout.begin_of(index)
            while len(held) < length and (chunk := next(chunks, b"")):
                held += chunk
            plain = self._segments.open(
                index, bytes(held[:length]), is_last=index == layout.count - 1
            )
            del held[:length]
            begin = layout.plain_begin_of(index)
            yield plain[max(first - begin, 0) : last - begin + 1]

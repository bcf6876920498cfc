"""Which bytes a request asks for: `Range` and `If-Range` as RFC 9110 §14 has them, one range."""

import re
from dataclasses import dataclass

_ONE = re.compile(r"bytes=[ \t]*([0-9]{0,19})-([0-9]{0,19})[ \t]*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes from `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.last - self.first + 1


class UnsatisfiableRangeError(ValueError):
    """The range holds no byte of the recording."""


def read_range(header: str | None, if_range: str | None, *, size: int, etag: str) -> Part | None:
    """The part that is asked for, None for the whole.

    What cannot be read, several ranges, and a range under another entity tag all mean the whole, as
    the RFC allows. Raises `UnsatisfiableRangeError` where the range lies past the end.
    """
    matched = _ONE.fullmatch(header) if header is not None else None
    if matched is None or (if_range is not None and if_range.strip() != etag):
        return None
    begin, end = matched[1], matched[2]
    if not begin and not end:
        return None
    if not begin:
        if int(end) == 0 or size == 0:
            raise UnsatisfiableRangeError
        return Part(max(size - int(end), 0), size - 1)
    first, last = int(begin), min(int(end), size - 1) if end else size - 1
    if end and int(end) < first:
        return None
    if first >= size:
        raise UnsatisfiableRangeError
    return Part(first, last)

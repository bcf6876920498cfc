"""Finds what names or reaches a person in a text, written or spoken, and blots it out."""

import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter

from service.privacy.personal_model import Kind, Personal
from service.privacy.personal_numbers import find_numbers
from service.privacy.personal_words import find_known, find_names, find_places, find_signs

__all__ = ["Kind", "Personal", "find_personal", "mask", "mask_each"]

BLOT = "*"
_JOINT = "\x1f"
# What was blotted out changes how the rest is cut into words; three rounds settle nearly all texts.
_ROUNDS = 8


def find_personal(text: str, known: Collection[str] = ()) -> tuple[Personal, ...]:
    """Stretches of a text that name or reach a person, in order; none touches another's characters.

    `known` are names and numbers of the people concerned: they are found however they are spelt.
    Offsets count the characters of `text`. Linear in the length of the text.
    """
    plain = _fold(text)
    found = list(find_known(plain, known))
    found += find_numbers(plain, known)
    found += find_signs(plain)
    found += find_places(plain)
    left = _blot(plain, found)
    for _ in range(_ROUNDS):
        names = list(find_names(left))
        if not names:
            break
        found += names
        left = _blot(left, names)
    return tuple(_apart(found))


def mask(text: str, known: Collection[str] = ()) -> str:
    """The text with each character of what is personal replaced by `*`; its length stays.

    So offsets into the text stay true, and masking once more changes nothing.
    """
    return _blot(text, find_personal(text, known))


def mask_each(texts: Sequence[str], known: Collection[str] = ()) -> list[str]:
    """Mask texts that follow one another: a number that is read out over several of them too."""
    if any(_JOINT in text for text in texts):
        return [mask(text, known) for text in texts]
    return mask(_JOINT.join(texts), known).split(_JOINT) if texts else []


def _blot(text: str, found: Iterable[Personal]) -> str:
    parts: list[str] = []
    at = 0
    for each in sorted(found, key=attrgetter("start")):
        start, end = max(each.start, at), max(each.end, at)
        parts += [text[at:start], *(c if c == _JOINT else BLOT for c in text[start:end])]
        at = end
    return "".join(parts) + text[at:]


def _apart(found: Iterable[Personal]) -> Iterator[Personal]:
    """What was found, in order; what overlaps becomes one, of the kind of the longer."""
    held: Personal | None = None
    for each in sorted(found, key=lambda one: (one.start, -one.end)):
        if held is None or each.start >= held.end:
            if held is not None:
                yield held
            held = each
        elif each.end > held.end:
            longer = max(held, each, key=lambda one: one.end - one.start)
            held = Personal(held.start, each.end, longer.kind)
    if held is not None:
        yield held


def _fold(text: str) -> str:
    """One character for one: full width and other scripts' figures as ASCII, capitals kept."""
    if text.isascii():
        return text
    return text.translate({ord(char): _plain(char) for char in set(text) if not char.isascii()})


@lru_cache(maxsize=8192)
def _plain(char: str) -> str:
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    if unicodedata.category(char) in {"Cf", "Mn"}:
        return "\u200b"
    plain = unicodedata.normalize("NFKC", char)
    return plain if len(plain) == 1 else char

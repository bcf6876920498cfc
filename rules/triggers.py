"""Which words of a pattern the automata look for: those heard least often in ordinary talk."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rules.compile import Compiled
from rules.grammar import Words
from rules.ordinary import commonness
from rules.phonetic import neighbours, readings
from rules.plausible import REPAIRABLE, SHORT

CORE_WORDS = 800
"""A trigger may stand for this many combinations of words at most."""

_SOUND = True

SIDE_WORDS = 80
SIDE_COST = 0.5
"""A second run of words triggers, too, if heard less often than this in 1,000 characters."""


@dataclass(frozen=True, slots=True)
class Core:
    """Neighbouring items, [first, last), whose combined strings trigger a search."""

    first: int
    last: int
    strings: tuple[tuple[str, ...], ...]
    shortest: int
    cost: float


class Trigger(NamedTuple):
    """A string of a core: `words` are its words, item by item; `side`: not of the first core."""

    pattern: int
    first: int
    last: int
    words: tuple[str, ...]
    code: str
    side: bool
    text: str
    latin: bool


class Sign(NamedTuple):
    """What an automaton looks for, over syllables or characters, and which trigger it announces.

    `offset` says where in the word it stands that may have been meant; -1: it is all of the word.
    """

    by_sound: bool
    string: str
    trigger: Trigger
    offset: int = -1


def _runs(pattern: Compiled) -> Iterator[tuple[int, int]]:
    """Stretches of items that are words and have nothing between them."""
    start: int | None = None
    for n, item in enumerate((*pattern.items, None)):
        if isinstance(item, Words):
            start = n if start is None else start
        elif start is not None:
            yield start, n
            start = None


def _splits(items: Sequence[Words]) -> tuple[tuple[str, ...], ...]:
    sets = [(*item.words, "") if item.optional else item.words for item in items]
    found = dict.fromkeys(itertools.product(*sets))
    return tuple(words for words in found if any(words))


def _size(items: Sequence[Words]) -> int:
    size = 1
    for item in items:
        size *= len(item.words) + item.optional
    return size


def _core(pattern: Compiled, start: int, end: int) -> Core | None:
    """The part of a run whose strings are heard least often in ordinary talk."""
    found: list[Core] = []
    for first in range(start, end):
        for last in range(first + 1, end + 1):
            items = [item for item in pattern.items[first:last] if isinstance(item, Words)]
            shortest = sum(0 if item.optional else min(map(len, item.words)) for item in items)
            if not shortest or _size(items) > CORE_WORDS:
                continue
            strings = _splits(items)
            cost = sum(commonness("".join(words)) for words in strings)
            found.append(Core(first, last, strings, shortest, cost))
    return min(found, key=_preference, default=None)


def _preference(core: Core) -> tuple[bool, float, int]:
    return core.shortest < 2, core.cost, -core.shortest  # noqa: PLR2004  one syllable is too little to hear


def cores(pattern: Compiled) -> tuple[Core, ...]:
    """The best core, of which one string stands in every match, and other rare ones."""
    found = [core for run in _runs(pattern) if (core := _core(pattern, *run)) is not None]
    if not found:
        wide = [
            n
            for n, item in enumerate(pattern.items)
            if isinstance(item, Words) and not item.optional
        ]
        n = min(wide, key=lambda n: len(pattern.items[n].words))  # type: ignore[union-attr]
        words = pattern.items[n].words  # type: ignore[union-attr]
        found = [Core(n, n + 1, tuple((word,) for word in words), min(map(len, words)), 0.0)]
    found.sort(key=_preference)
    side = [
        core
        for core in found[1:]
        if core.shortest > 1 and len(core.strings) <= SIDE_WORDS and core.cost < SIDE_COST
    ]
    return (found[0], *side)


def signs(n: int, pattern: Compiled) -> Iterator[Sign]:
    """What the automata look for on behalf of the pattern with this number."""
    for place, core in enumerate(cores(pattern)):
        for words in core.strings:
            text = "".join(words)
            latin = text[0].isascii() or text[-1].isascii()
            silent = not pattern.style.phonetic or len(text) == 1
            if silent and place:
                continue
            for code in readings(text)[:1] if silent else readings(text):
                trigger = Trigger(n, core.first, core.last, words, code, place > 0, text, latin)
                yield Sign(not silent, text if silent else code, trigger)
                if not silent and not place:
                    yield from _damaged(trigger)


def _damaged(trigger: Trigger) -> Iterator[Sign]:
    """What is still heard of a word when one syllable is wrong."""
    code, length = trigger.code, len(trigger.code)
    if length == SHORT:
        near = neighbours()
        for at, syllable in enumerate(code):
            for other in near.get(syllable, ""):
                yield Sign(_SOUND, code[:at] + other + code[at + 1 :], trigger, 0)
    elif length >= REPAIRABLE:
        part = max(SHORT, (length + 1) // 2)
        yield Sign(_SOUND, code[:part], trigger, 0)
        yield Sign(_SOUND, code[-part:], trigger, length - part)

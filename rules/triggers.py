"""Which words of a pattern the automata look for: those heard least often in ordinary talk."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rules.compile import SHORT, Compiled
from rules.grammar import Words
from rules.ordinary import commonness
from rules.phonetic import neighbours, readings

CORE_WORDS = 800
"""A trigger may stand for this many combinations of words at most."""

SIDE_WORDS = 80
SIDE_COST = 0.5
"""A second run of words triggers, too, if heard less often than this in 1,000 characters."""

REPAIRABLE = 4
"""Syllables from which a word survives a wrong syllable."""


@dataclass(frozen=True, slots=True)
class Core:
    """Neighbouring items, [first, last), whose combined strings trigger a search."""

    first: int
    last: int
    strings: tuple[tuple[str, ...], ...]
    shortest: int
    cost: float


@dataclass(frozen=True, slots=True, order=True)
class Trigger:
    """A string of a core: `words` split by item; `offset` says where in it the found part stands.

    `whole`: all of it was found; otherwise it is what may have been meant. `side`: not the first
    core.
    """

    pattern: int
    first: int
    last: int
    words: tuple[str, ...]
    code: str
    offset: int = 0
    whole: bool = True
    side: bool = False
    text: str = ""
    latin: bool = False
    size: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", len(self.code))


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


def plan(n: int, pattern: Compiled) -> Iterator[tuple[bool, str, Trigger]]:
    """What the automata look for: over syllables or not, the string, and what it sets off."""
    for place, core in enumerate(cores(pattern)):
        for words in core.strings:
            word = "".join(words)
            latin = word[0].isascii() or word[-1].isascii()
            if not pattern.style.phonetic or len(word) == 1:
                if not place:
                    yield (
                        False,
                        word,
                        Trigger(
                            n,
                            core.first,
                            core.last,
                            words,
                            readings(word)[0],
                            text=word,
                            latin=latin,
                        ),
                    )
                continue
            for code in readings(word):
                whole = Trigger(
                    n, core.first, core.last, words, code, side=place > 0, text=word, latin=latin
                )
                yield True, code, whole
                if not place:
                    yield from _damaged(whole)


def _damaged(whole: Trigger) -> Iterator[tuple[bool, str, Trigger]]:
    """What is still heard of a word when one syllable is wrong."""
    code, length = whole.code, len(whole.code)
    fields = (whole.pattern, whole.first, whole.last, whole.words, code)
    if length == SHORT:
        near = neighbours()
        for at, syllable in enumerate(code):
            for other in near.get(syllable, ""):
                yield True, code[:at] + other + code[at + 1 :], Trigger(*fields, 0, whole=False)
    elif length >= REPAIRABLE:
        part = max(SHORT, (length + 1) // 2)
        yield True, code[:part], Trigger(*fields, 0, whole=False)
        yield True, code[-part:], Trigger(*fields, length - part, whole=False)

"""Which words of a pattern the automata look for: those heard least often in ordinary talk."""

import itertools
from collections.abc import Iterator
from operator import itemgetter
from typing import NamedTuple

from rules.compile import Compiled
from rules.grammar import Words
from rules.ordinary import commonness, rarest

CORE_WORDS = 800
"""A trigger may stand for this many combinations of words at most."""

SIDE_WORDS = 80
SIDE_COST = 0.5
"""A second run of words triggers, too, if heard less often than this in 1,000 characters."""


class Spelling(NamedTuple):
    """One string of a core: its words, item by item, and joined."""

    words: tuple[str, ...]
    text: str


class Core(NamedTuple):
    """Neighbouring items, [first, last), whose combined strings trigger a search."""

    first: int
    last: int
    spellings: tuple[Spelling, ...]
    shortest: int
    cost: float


_Choice = tuple[tuple[str, ...], bool]
"""The words of an item, and whether it may be left out."""


class Cores:
    """Finds the cores of patterns; what many patterns have in common is worked out once."""

    def __init__(self) -> None:
        self._spelled: dict[tuple[_Choice, ...], tuple[tuple[Spelling, ...], float]] = {}
        self._costs: dict[str, float] = {}

    def of(self, pattern: Compiled) -> tuple[Core, ...]:
        """The best core, of which one string stands in every match, and other rare ones."""
        found = [core for run in _runs(pattern) if (core := self._best(pattern, *run)) is not None]
        if not found:
            found = [self._lone(pattern)]
        found.sort(key=_preference)
        side = [
            core
            for core in found[1:]
            if core.shortest > 1 and len(core.spellings) <= SIDE_WORDS and core.cost < SIDE_COST
        ]
        return (found[0], *side)

    def _best(self, pattern: Compiled, start: int, end: int) -> Core | None:
        """The part of a run whose strings are heard least often in ordinary talk."""
        parts = []
        for first in range(start, end):
            for last in range(first + 1, end + 1):
                items = [item for item in pattern.items[first:last] if isinstance(item, Words)]
                shortest = sum(0 if item.optional else min(map(len, item.words)) for item in items)
                size = 1
                for item in items:
                    size *= len(item.words) + item.optional
                if shortest and size <= CORE_WORDS:
                    parts.append((size, first, last, shortest, items))
        best: Core | None = None
        for size, first, last, shortest, items in sorted(parts, key=itemgetter(0, 1, 2)):
            if best is None or best.shortest < 2 or (size - 1) * rarest() <= best.cost:  # noqa: PLR2004
                key = tuple((item.words, item.optional) for item in items)
                core = Core(first, last, *self._known(key, shortest))
                if best is None or _order(core) < _order(best):
                    best = core
        return best

    def _known(
        self, key: tuple[_Choice, ...], shortest: int
    ) -> tuple[tuple[Spelling, ...], int, float]:
        if key not in self._spelled:
            sets = [(*words, "") if optional else words for words, optional in key]
            picks = dict.fromkeys(itertools.product(*sets))
            found = [(words, "".join(words)) for words in picks if any(words)]
            cost = sum([self._cost(text) for _, text in found])
            spelled = tuple(Spelling(words, text) for words, text in found)
            self._spelled[key] = spelled, cost
        spellings, cost = self._spelled[key]
        return spellings, shortest, cost

    def _cost(self, text: str) -> float:
        if text not in self._costs:
            self._costs[text] = commonness(text)
        return self._costs[text]

    def _lone(self, pattern: Compiled) -> Core:
        """The item with the fewest words, where no run of items has few enough of them."""
        choices = [
            (n, item)
            for n, item in enumerate(pattern.items)
            if isinstance(item, Words) and not item.optional
        ]
        n, item = min(choices, key=lambda choice: len(choice[1].words))
        spellings = tuple(Spelling((word,), word) for word in item.words)
        return Core(n, n + 1, spellings, min(map(len, item.words)), 0.0)


def _runs(pattern: Compiled) -> Iterator[tuple[int, int]]:
    """Stretches of items that are words and have nothing between them."""
    start: int | None = None
    for n, item in enumerate((*pattern.items, None)):
        if isinstance(item, Words):
            start = n if start is None else start
        elif start is not None:
            yield start, n
            start = None


def _preference(core: Core) -> tuple[bool, float, int]:
    return core.shortest < 2, core.cost, -core.shortest  # noqa: PLR2004  one syllable is too little to hear


def _order(core: Core) -> tuple[tuple[bool, float, int], int, int]:
    return _preference(core), core.first, core.last

"""Where patterns may stand in a text: what two passes of automata set off, damaged words too."""

from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from operator import eq
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.compile import Compiled, Half
from rules.needs import Needs, Places
from rules.normalise import BREAKS
from rules.phonetic import distance
from rules.plausible import STRETCHABLE, WRONG
from rules.sieve import Heard, Sieve, spread_out
from rules.sow import PART, Pass, Sown
from rules.triggers import Trigger

MAX_SEEDS = 5000
"""Places of one pattern in one text that are followed."""

FEW = 250
"""So many places are followed without asking first what stands round them."""

STRETCH = 1 << 13
"""Characters of a text that are gone through at once."""

LOOK = -1
"""Stands for the end of a damaged word, which only a closer look can tell."""

SLIPS = 2
"""Syllables of a word that may be off, if it is still to be heard."""

Halves = tuple[Half | None, Half | None]


class Lead(NamedTuple):
    """How the search goes on from one core of a pattern: what must stand after and before it."""

    pattern: Compiled
    by_sound: bool
    after: Half | None
    before: Half | None


class Announced(NamedTuple):
    """Triggers announced in a text, a column each.

    Their numbers, where they start, their cores, and their offsets: -1 where all of the trigger
    was found.
    """

    triggers: Places
    starts: Places
    cores: Places
    offsets: Places

    def at(self, kept: NDArray[np.bool_] | Places) -> "Announced":
        """Those of them."""
        return Announced(*(column[kept] for column in self))


Seed = tuple[int, int, int, int, int]
"""A trigger's number, where it starts and ends (or `LOOK`), its core, and its offset."""

_NOTHING = np.zeros(0, dtype=np.int64)


def _found(
    passed: Pass, text: str, low: int, high: int, longest: int
) -> tuple[Places, Places, Places]:
    """The triggers announced by what starts in [low, high) of a text.

    Their numbers, where they start, their offsets.
    """
    stretch = text[low : high + longest] if high < len(text) else text[low:]
    hits = passed.automaton.find_overlapping(stretch) if passed.automaton else ()
    if not hits:
        return _NOTHING, _NOTHING, _NOTHING
    table = np.fromiter(chain.from_iterable(hits), dtype=np.int64, count=3 * len(hits))
    places, strings = table[::3], table[2::3]
    if high < len(text):
        own = places < high - low
        places, strings = places[own], strings[own]
    counts = passed.counts[strings].astype(np.int64)
    at = spread_out(passed.first[strings].astype(np.int64), counts)
    offsets = passed.offsets[at].astype(np.int64)
    starts = (places + low).repeat(counts) - np.maximum(offsets, 0)
    return passed.triggers[at].astype(np.int64), starts, offsets


class Sower:
    """Both automata of a set of patterns, over characters and over syllable codes."""

    def __init__(self, patterns: Sequence[Compiled], sown: Sown, needs: Needs) -> None:
        self.patterns, self.sown, self.needs = patterns, sown, needs
        self.leads: list[Lead | None] = [None] * len(sown.cores)
        self._triggers: dict[int, Trigger] = {}
        self._sizes = np.diff(sown.places).astype(np.int64)
        self._longest = int(self._sizes.max(initial=0))
        self._core_of = sown.core_of.astype(np.int64)
        self._pattern_of = sown.cores[:, 0].astype(np.int64)
        conditions = np.array([pattern.condition for pattern in patterns], dtype=np.int64)
        self._condition_of = conditions[self._pattern_of]
        self._sieve = Sieve(needs)

    def trigger(self, n: int) -> Trigger:
        """The trigger with this number, put together when it is first met."""
        held = self._triggers.get(n)
        if held is None:
            sown = self.sown
            words = sown.words[sown.word_places[n] : sown.word_places[n + 1]].split(PART)
            code = sown.codes[sown.places[n] : sown.places[n + 1]]
            text = "".join(words)
            latin = text[0].isascii() or text[-1].isascii()
            pattern, first, last = sown.cores[sown.core_of[n]].tolist()
            held = self._triggers[n] = Trigger(
                pattern, first, last, tuple(words), code, bool(sown.side[n]), text, latin
            )
        return held

    def lead(self, core: int) -> Lead:
        """How the search goes on from a core, compiled when it is first asked for."""
        held = self.leads[core]
        if held is None:
            number, first, last = self.sown.cores[core].tolist()
            pattern = self.patterns[number]
            by_sound = pattern.may_sound
            halves = pattern.halves(first, last, by_sound=by_sound)
            held = self.leads[core] = Lead(pattern, by_sound, *halves)
        return held

    def seeds(self, text: str, codes: str) -> "Seeds":
        """What the text sets off, by condition.

        A long text is gone through in stretches, so that no more is held at once than one of them
        sets off.
        """
        if len(text) <= STRETCH:
            found = self._sifted(text, codes, self._announced(text, codes, 0), None)
        else:
            found = self._piecemeal(text, codes)
        found = self._sorted(found)
        ends = found.starts + self._sizes[found.triggers]
        ends[found.offsets >= 0] = LOOK
        rows = (found.triggers, found.starts, ends, found.cores, found.offsets)
        return Seeds(self, codes, rows, self._condition_of[found.cores])

    def _sorted(self, found: Announced) -> Announced:
        """By pattern, and of each pattern no more than is followed."""
        owners = self._pattern_of[found.cores]
        order = owners.argsort(kind="stable")
        if len(order) > MAX_SEEDS:
            owners = owners[order]
            order = order[np.arange(len(order)) - np.searchsorted(owners, owners) < MAX_SEEDS]
        return found.at(order)

    def _piecemeal(self, text: str, codes: str) -> Announced:
        """The same for a long text: no more of each pattern than is followed."""
        heard = self._sieve.heard(text, codes)
        held = np.zeros(len(self.patterns), dtype=np.int64)
        parts: list[Announced] = []
        for low in range(0, len(text), STRETCH):
            found = self._announced(text, codes, low)
            found = found.at(held[self._pattern_of[found.cores]] < MAX_SEEDS)
            parts.append(self._sifted(text, codes, found, heard))
            held += np.bincount(self._pattern_of[parts[-1].cores], minlength=len(held))
        return Announced(*map(np.concatenate, zip(*parts, strict=True)))

    def _announced(self, text: str, codes: str, low: int) -> Announced:
        """What the automata find in a stretch of the text."""
        high = low + STRETCH
        passes = zip(
            _found(self.sown.characters, text, low, high, self._longest),
            _found(self.sown.syllables, codes, low, high, self._longest),
            strict=True,
        )
        triggers, starts, offsets = map(np.concatenate, passes)
        found = Announced(triggers, starts, self._core_of[triggers], offsets)
        return found.at(starts >= 0) if len(starts) and starts.min() < 0 else found

    def _sifted(self, text: str, codes: str, found: Announced, heard: Heard | None) -> Announced:
        """Those round which other words of the pattern may stand, too."""
        if len(found.starts) <= FEW and (heard is None or not len(found.starts)):
            return found
        heard = heard or self._sieve.heard(text, codes)
        ends, slack = found.starts + self._sizes[found.triggers], 1 * (found.offsets >= 0)
        return found.at(self._sieve.passing(heard, found.cores, found.starts, ends, slack))


class Seeds:
    """The places where patterns may stand in a text, by the conditions they are patterns of."""

    def __init__(
        self, sower: Sower, codes: str, rows: tuple[Places, ...], conditions: Places
    ) -> None:
        self._sower, self._codes = sower, codes
        self._columns = tuple(column.tolist() for column in rows)
        borders = np.flatnonzero(conditions[1:] != conditions[:-1]) + 1
        starts = [0, *borders.tolist()] if len(conditions) else []
        ends = [*starts[1:], len(conditions)]
        self._places = {
            key: slice(first, last)
            for key, first, last in zip(conditions[starts].tolist(), starts, ends, strict=False)
        }
        self._ends: dict[tuple[int, str], int | None] = {}

    @property
    def conditions(self) -> Collection[int]:
        """The conditions whose patterns may stand somewhere."""
        return self._places.keys()

    def of(self, condition: int) -> Iterator[Seed]:
        """The places of a condition's patterns, pattern by pattern."""
        part = self._places.get(condition, slice(0, 0))
        return zip(*[column[part] for column in self._columns], strict=True)

    def end(self, start: int, code: str, *, stretch: bool) -> int | None:
        """Where a damaged word ends, asked once, however many patterns hold the word."""
        key = start, code
        if key not in self._ends:
            self._ends[key] = damaged(self._codes, start, code, stretch=stretch)
        return self._ends[key]


def damaged(codes: str, start: int, meant: str, *, stretch: bool) -> int | None:
    """Where the damaged word ends; None where the damage is too great, or none."""
    length = len(meant)
    heard = codes[start : start + length]
    if heard == meant:
        return None
    wrong = [at for at, same in enumerate(map(eq, heard, meant)) if not same]
    if len(heard) == length and len(wrong) <= SLIPS and _near_enough(heard, meant, len(wrong)):
        broken = any(heard[at] in BREAKS for at in wrong)
        return None if broken else start + length
    if length < STRETCHABLE or not stretch or (wrong and not wrong[0]):
        return None
    return _stretched(codes, start, meant, wrong[0] if wrong else length)


def _near_enough(heard: str, meant: str, wrong: int) -> bool:
    return wrong == 1 or sum(map(distance, heard, meant)) <= WRONG


def _stretched(codes: str, start: int, meant: str, same: int) -> int | None:
    """Where a word ends of which one syllable is missing or added after the first `same` ones."""
    length = len(meant)
    shorter = codes[start : start + length - 1]
    if (
        same < length - 1
        and len(shorter) == length - 1
        and shorter[same:] == meant[same + 1 :]
        and not any(mark in shorter for mark in BREAKS)
    ):
        return start + length - 1
    longer = codes[start : start + length + 1]
    if (
        same < length
        and len(longer) == length + 1
        and longer[same + 1 :] == meant[same:]
        and not any(mark in longer for mark in BREAKS)
    ):
        return start + length + 1
    return None

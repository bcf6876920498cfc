"""Where patterns may stand in a text: what two passes of automata set off, damaged words too."""

from collections.abc import Collection, Sequence

import numpy as np

from rules.compile import Compiled, Half
from rules.likely import LOOK, Announced, Likely
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

BRIEF = 4000
STRETCH = 1 << 13
"""Characters of a text that are gone through at once."""

Halves = tuple[Half | None, Half | None]


class Lead:
    """Where the search for a pattern starts: one core, and what stands after and before it."""

    __slots__ = ("_core", "_pattern", "halves")

    def __init__(self, pattern: Compiled, first: int, last: int) -> None:
        self._pattern, self._core = pattern, (first, last)
        self.halves: Halves | None = None

    def load(self) -> Halves:
        """What must stand after and before the core, compiled when it is first asked for."""
        self.halves = self._pattern.halves(*self._core, by_sound=self._pattern.may_sound)
        return self.halves


Seed = tuple[int, int, Lead, Trigger, bool]
"""Where a core starts and ends, what set it off, and whether all of the trigger was found."""


def _found(
    passed: Pass, text: str, low: int, high: int, longest: int
) -> tuple[Places, Places, Places]:
    """The triggers announced by what starts in [low, high) of a text.

    Their numbers, where they start, their offsets.
    """
    stretch = text[low : high + longest] if high < len(text) else text[low:]
    hits = passed.automaton.find_overlapping(stretch) if passed.automaton else ()
    if not hits:
        nothing = np.zeros(0, dtype=np.int64)
        return nothing, nothing, nothing
    places, _, strings = np.array(hits).T
    if high < len(text):
        own = places < high - low
        places, strings = places[own], strings[own]
    counts = passed.counts[strings].astype(np.int64)
    at = spread_out(passed.first[strings], counts)
    offsets = passed.offsets[at].astype(np.int64)
    triggers = passed.triggers[at].astype(np.int64)
    return triggers, (places + low).repeat(counts) - np.maximum(offsets, 0), offsets


class Sower:
    """Both automata of a set of patterns, over characters and over syllable codes."""

    def __init__(self, patterns: Sequence[Compiled], sown: Sown, needs: Needs) -> None:
        self.patterns, self.sown, self.needs = patterns, sown, needs
        self.leads = [Lead(patterns[n], first, last) for n, first, last in sown.cores.tolist()]
        self._triggers: dict[int, Trigger] = {}
        self._sizes = np.diff(sown.places).astype(np.int64)
        self._longest = int(self._sizes.max(initial=0))
        self._core_of = sown.core_of.astype(np.int64)
        self._pattern_of = sown.cores[:, 0].astype(np.int64)
        self._likely = Likely(sown)
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

    def seeds(self, text: str, codes: str) -> "Seeds":
        """What the text sets off, by pattern.

        A long text is gone through in stretches, so that no more is held at once than one of them
        sets off.
        """
        heard = self._sieve.heard(text, codes) if len(text) > BRIEF else None
        held = np.zeros(len(self.patterns), dtype=np.int64)
        parts: list[Announced] = []
        for low in range(0, len(text), STRETCH):
            found = self._announced(text, codes, low)
            found = found.at(held[self._pattern_of[found.cores]] < MAX_SEEDS)
            found = self._likely.of(text, codes, found)
            if heard is None and len(found.starts) > FEW:
                heard = self._sieve.heard(text, codes)
            if heard is not None and len(found.starts):
                found = found.at(self._passing(heard, found))
            held += np.bincount(self._pattern_of[found.cores], minlength=len(held))
            parts.append(found)
        found = Announced(*map(np.concatenate, zip(*parts, strict=True)))
        owners = self._pattern_of[found.cores]
        order = owners.argsort(kind="stable")
        return Seeds(self, codes, found.at(order), owners[order])

    def _announced(self, text: str, codes: str, low: int) -> Announced:
        """What the automata find in a stretch of the text."""
        high = low + STRETCH
        passes = zip(
            _found(self.sown.characters, text, low, high, self._longest),
            _found(self.sown.syllables, codes, low, high, self._longest),
            strict=True,
        )
        triggers, starts, offsets = map(np.concatenate, passes)
        ends, cores = starts + self._sizes[triggers], self._core_of[triggers]
        return Announced(triggers, starts, ends, cores, offsets)

    def _passing(self, heard: Heard, found: Announced) -> Places:
        """Those round which other words of the pattern may stand, too."""
        ends, slack = found.starts + self._sizes[found.triggers], 1 * (found.offsets >= 0)
        return self._sieve.passing(heard, found.cores, found.starts, ends, slack)


class Seeds:
    """The places where patterns may stand in a text, put together pattern by pattern."""

    def __init__(self, sower: Sower, codes: str, found: Announced, owners: Places) -> None:
        self._sower, self._codes = sower, codes
        self._columns = tuple(column.tolist() for column in found)
        patterns, first, counts = np.unique(owners, return_index=True, return_counts=True)
        spans = zip(first.tolist(), (first + counts).tolist(), strict=True)
        self._places = dict(zip(patterns.tolist(), spans, strict=True))
        self._ends: dict[tuple[int, str], int | None] = {}

    @property
    def patterns(self) -> Collection[int]:
        """The numbers of the patterns that may stand somewhere, in order."""
        return self._places.keys()

    def of(self, pattern: int) -> list[Seed]:
        """The places of a pattern."""
        first, last = self._places[pattern]
        part = slice(first, min(last, first + MAX_SEEDS))
        trigger_of, leads = self._sower.trigger, self._sower.leads
        seeds: list[Seed] = []
        rows = zip(*[column[part] for column in self._columns], strict=True)
        for n, start, known, core, offset in rows:
            trigger, end = trigger_of(n), known
            if known == LOOK:
                place = self._end(start, trigger.code, stretch=not offset)
                if place is None:
                    continue
                end = place
            seeds.append((start, end, leads[core], trigger, offset < 0))
        return seeds

    def _end(self, start: int, code: str, *, stretch: bool) -> int | None:
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
    first, wrong = -1, 0
    for at, (one, other) in enumerate(zip(heard, meant, strict=False)):
        if one != other:
            if first < 0:
                first = at
            wrong += 1
            if wrong > 2:  # noqa: PLR2004
                break
    if len(heard) == length and wrong <= 2 and _near_enough(heard, meant, wrong):  # noqa: PLR2004
        return None if _broken(heard, meant) else start + length
    if length < STRETCHABLE or not stretch or first == 0:
        return None
    return _stretched(codes, start, meant, length if first < 0 else first)


def _near_enough(heard: str, meant: str, wrong: int) -> bool:
    return wrong == 1 or sum(map(distance, heard, meant)) <= WRONG


def _broken(heard: str, meant: str) -> bool:
    """Whether a break stands where a syllable was meant."""
    return any(a in BREAKS for a, b in zip(heard, meant, strict=True) if a != b)


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

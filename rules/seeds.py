"""Where patterns may stand in a text: what two passes of automata set off, damaged words too."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from rules.compile import Compiled, Half
from rules.needs import Needs, Places
from rules.normalise import BREAKS, TURN
from rules.phonetic import distance, units_of
from rules.plausible import STRETCHABLE, WRONG
from rules.sieve import Sieve, spread_out
from rules.sow import PART, Pass, Sown
from rules.triggers import Trigger

MAX_SEEDS = 5000
"""Places of one pattern in one text that are followed."""

FEW = 250
"""So many places are followed without asking first what stands round them."""

LONGEST = 8
"""Codes of a trigger that a first look at damage compares."""

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

Seeds = dict[int, list[Seed]]


def _found(passed: Pass, text: str) -> tuple[Places, Places, Places]:
    """The triggers announced in a text: their numbers, where they start, their offsets."""
    hits = passed.automaton.find_overlapping(text) if passed.automaton else ()
    if not hits:
        nothing = np.zeros(0, dtype=np.int64)
        return nothing, nothing, nothing
    places, _, strings = np.array(hits).T
    counts = passed.counts[strings].astype(np.int64)
    at = spread_out(passed.first[strings], counts)
    offsets = passed.offsets[at].astype(np.int64)
    triggers = passed.triggers[at].astype(np.int64)
    return triggers, places.repeat(counts) - np.maximum(offsets, 0), offsets


class Sower:
    """Both automata of a set of patterns, over characters and over syllable codes."""

    def __init__(self, patterns: Sequence[Compiled], sown: Sown, needs: Needs) -> None:
        self.sown, self.needs = sown, needs
        self._leads = [Lead(patterns[n], first, last) for n, first, last in sown.cores.tolist()]
        self._triggers: dict[int, Trigger] = {}
        self._sizes = np.diff(sown.places).astype(np.int64)
        self._core_of = sown.core_of.astype(np.int64)
        self._spelled = _spellings(sown)
        self._sieve = Sieve(needs)

    def _trigger(self, n: int) -> Trigger:
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

    def seeds(self, text: str, codes: str) -> Seeds:
        """What the text sets off, by pattern."""
        seeds: Seeds = defaultdict(list)
        leads = self._leads
        ends: dict[tuple[int, str], int | None] = {}
        for n, start, known, core, offset in self._worth_following(text, codes):
            trigger, end = self._trigger(n), known
            if end < 0:  # asked once, however many patterns hold the word
                key = start, trigger.code
                if key not in ends:
                    ends[key] = damaged(codes, start, trigger.code, stretch=not offset)
                found = ends[key]
                if found is None:
                    continue
                end = found
            held = seeds[trigger.pattern]
            if len(held) < MAX_SEEDS:
                held.append((start, end, leads[core], trigger, offset < 0))
        return seeds

    def _worth_following(self, text: str, codes: str) -> Iterable[tuple[int, int, int, int, int]]:
        """Trigger, start, end, core and offset where other words of the pattern may stand, too.

        The end is -1 where the damage needs a closer look.
        """
        found = zip(
            _found(self.sown.characters, text), _found(self.sown.syllables, codes), strict=True
        )
        triggers, starts, offsets = map(np.concatenate, found)
        cores, ends = self._core_of[triggers], starts + self._sizes[triggers]
        kept = (starts >= 0).nonzero()[0]
        if len(kept) > FEW:
            columns = (column[kept] for column in (cores, starts, ends, 1 * (offsets >= 0)))
            kept = kept[self._sieve.passing(text, codes, *columns)]
        columns = (column[kept] for column in (triggers, starts, ends, cores, offsets))
        triggers, starts, ends, cores, offsets = columns
        parts = (offsets >= 0).nonzero()[0]
        if len(parts):
            slight = self._slightly_damaged(codes, triggers[parts], starts[parts])
            ends[parts[~slight]] = -1
        lists = (column.tolist() for column in (triggers, starts, ends, cores, offsets))
        return zip(*lists, strict=True)

    def _slightly_damaged(self, codes: str, triggers: Places, starts: Places) -> NDArray[np.bool_]:
        """Whether just one syllable of a trigger is another one; long words are not looked at."""
        units, meant = units_of(codes + TURN * LONGEST), self._spelled[triggers]
        heard = units[starts[:, None] + np.arange(LONGEST)]
        wrong = (heard != meant) & (meant > 0)
        broken = (wrong & (heard[..., None] == _BREAK_UNITS).any(axis=-1)).any(axis=1)
        slight: NDArray[np.bool_] = (
            (wrong.sum(axis=1) == 1) & ~broken & (self._sizes[triggers] <= LONGEST)
        )
        return slight


_BREAK_UNITS = units_of(BREAKS)


def _spellings(sown: Sown) -> NDArray[np.uint16]:
    """The first codes of each trigger, a row each, filled up with zeros."""
    units = np.append(units_of(sown.codes), np.zeros(LONGEST, dtype=np.uint16))
    rows: NDArray[np.uint16] = units[sown.places[:-1, None] + np.arange(LONGEST)]
    rows[np.arange(LONGEST) >= np.diff(sown.places)[:, None]] = 0
    return rows


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

"""Where patterns may stand in a text: what two passes of automata set off, damaged words too."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import daachorse

from rules.compile import Compiled, Half
from rules.normalise import BREAKS
from rules.phonetic import distance
from rules.plausible import STRETCHABLE, WRONG
from rules.triggers import Trigger, plan

MAX_SEEDS = 5000
"""Places of one pattern in one text that are followed."""

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


Seed = tuple[int, int, Lead, Trigger]
"""Where a core starts and where it ends, and what set it off."""

Seeds = dict[int, list[Seed]]
_Aims = tuple[tuple[int, Lead, Trigger], ...]


class _Load(NamedTuple):
    """What one string sets off: whole triggers, and words that it may be an intact part of.

    Of such a word: its code, where in it the string stands, and its triggers.
    """

    whole: _Aims
    parts: tuple[tuple[str, int, _Aims], ...]


class _Pass:
    """One automaton and what its strings set off."""

    def __init__(self, planned: dict[str, set[Trigger]], leads: "_Leads") -> None:
        ordered = sorted(planned)
        self.loads = tuple(_load(sorted(planned[text]), leads) for text in ordered)
        self.automaton = daachorse.CharwiseDoubleArrayAhoCorasick(ordered) if ordered else None

    def find(self, text: str, codes: str, seeds: Seeds) -> None:
        """Add what the strings in the text set off, by pattern.

        Whether a damaged word may stand somewhere is asked once, however many patterns hold it.
        """
        if self.automaton is None:
            return
        loads = self.loads
        for place, found_end, n in self.automaton.find_overlapping(text):
            whole, parts = loads[n]
            for number, lead, trigger in whole:
                held = seeds[number]
                if len(held) < MAX_SEEDS:
                    held.append((place, found_end, lead, trigger))
            for code, offset, aims in parts:
                start = place - offset
                end = damaged(codes, start, code, stretch=not offset) if start >= 0 else None
                if end is not None:
                    for number, lead, trigger in aims:
                        held = seeds[number]
                        if len(held) < MAX_SEEDS:
                            held.append((start, end, lead, trigger))


class _Leads:
    """The leads of a matcher, one for each core of a pattern."""

    def __init__(self, patterns: Sequence[Compiled]) -> None:
        self._patterns = patterns
        self._held: dict[tuple[int, int, int], Lead] = {}

    def of(self, trigger: Trigger) -> Lead:
        """The lead of a trigger."""
        key = trigger.pattern, trigger.first, trigger.last
        if key not in self._held:
            pattern = self._patterns[trigger.pattern]
            self._held[key] = Lead(pattern, trigger.first, trigger.last)
        return self._held[key]


def _load(triggers: Sequence[Trigger], leads: _Leads) -> _Load:
    if len(triggers) == 1:
        (trigger,) = triggers
        only = ((trigger.pattern, leads.of(trigger), trigger),)
        return (
            _Load(only, ()) if trigger.whole else _Load((), ((trigger.code, trigger.offset, only),))
        )
    whole: list[tuple[int, Lead, Trigger]] = []
    parts: dict[tuple[str, int], list[tuple[int, Lead, Trigger]]] = defaultdict(list)
    for trigger in triggers:
        aims = whole if trigger.whole else parts[trigger.code, trigger.offset]
        aims.append((trigger.pattern, leads.of(trigger), trigger))
    return _Load(
        tuple(whole), tuple((code, offset, tuple(aims)) for (code, offset), aims in parts.items())
    )


class Sower:
    """Both automata of a set of patterns, over characters and over syllable codes."""

    def __init__(self, patterns: Sequence[Compiled]) -> None:
        planned: tuple[dict[str, set[Trigger]], ...] = (defaultdict(set), defaultdict(set))
        for n, pattern in enumerate(patterns):
            for by_sound, text, trigger in plan(n, pattern):
                planned[by_sound][text].add(trigger)
        leads = _Leads(patterns)
        self.characters, self.syllables = (_Pass(part, leads) for part in planned)

    def seeds(self, text: str, codes: str) -> Seeds:
        """What the text sets off, by pattern."""
        seeds: Seeds = defaultdict(list)
        self.characters.find(text, codes, seeds)
        self.syllables.find(codes, codes, seeds)
        return seeds


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

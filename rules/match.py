"""Find patterns in a text: regular expressions both ways from what the automata set off."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

from rules.compile import Compiled
from rules.grammar import Builtin
from rules.needs import needs_of
from rules.numbers import is_builtin, masked, number_spans
from rules.plausible import WRONG, Piece, allowed, plausible, spread
from rules.seeds import LOOK, Halves, Lead, Sower
from rules.sow import sow
from rules.triggers import Trigger

MAX_HITS = 200
"""Hits of one pattern in one text after which it is no longer searched for."""


@dataclass(slots=True)
class Match:
    """A pattern found: `start` and `end` in the normal form, words with their own spans."""

    pattern: Compiled
    start: int
    end: int
    words: tuple[tuple[int, int, str], ...]
    cost: float
    exact: bool
    quote: str

    @property
    def syllables(self) -> int:
        """Characters of the words that matched, gaps left out."""
        return sum(len(word) for _, _, word in self.words)


class Matcher:
    """All patterns of one speaker, ready to be found in texts."""

    def __init__(self, patterns: Sequence[Compiled], sower: Sower | None = None) -> None:
        self.patterns = tuple(patterns)
        self.sower = sower or sowed(self.patterns)

    def scan(self, text: str, codes: str) -> "Scan":
        """Run both automata over a normal-form text and its code string, once.

        Both start and end with a turn break, and turns are parted by them.
        """
        return Scan(text, codes, self.sower)


def sowed(patterns: Sequence[Compiled]) -> Sower:
    """The automata of these patterns, made anew."""
    sown = sow(patterns)
    return Sower(
        patterns, sown, needs_of([(patterns[n], *core) for n, *core in sown.cores.tolist()])
    )


class Scan:
    """What the automata set off in one text; patterns are searched for when they are asked for."""

    def __init__(self, text: str, codes: str, sower: Sower) -> None:
        self._plain = _Field(text, codes, text, codes)
        self._masked: _Field | None = None
        self._sower, self._seeds = sower, sower.seeds(text, codes)
        self._cores: dict[int, Iterator[_Core]] = {}

    @property
    def set_off(self) -> Collection[int]:
        """The conditions that may have matches; no other condition has any."""
        return self._seeds.conditions

    def may_match(self, condition: int) -> bool:
        """Whether all words of some pattern of the condition stand somewhere in their order."""
        cores = self._reached(condition)
        first = next(cores, None)
        if first is not None:
            self._cores[condition] = chain((first,), cores)
        return first is not None

    def matches(self, condition: int) -> list[Match]:
        """The matches of a condition's patterns, by place and then by pattern."""
        found: list[Match] = []
        search: _Search | None = None
        for core in self._reached(condition):
            if search is None or search.pattern is not core.lead.pattern:
                if search is not None:
                    found += search.found.values()
                pattern = core.lead.pattern
                field = self._masked_field() if pattern.numeric else self._plain
                search = _Search(pattern, field)
            search.add(core)
        if search is not None:
            found += search.found.values()
        del self._cores[condition]
        return sorted(found, key=_order) if len(found) > 1 else found

    def _reached(self, condition: int) -> Iterator["_Core"]:
        """The cores of a condition's patterns round which their other items stand."""
        if condition not in self._cores:
            self._cores[condition] = self._follow(condition)
        return self._cores[condition]

    def _follow(self, condition: int) -> Iterator["_Core"]:
        """Read the expressions of each pattern both ways from its cores; most end here."""
        sower, seeds, size = self._sower, self._seeds, self._plain.size
        leads = sower.leads
        for number, start, end, core, offset in seeds.of(condition):
            lead = leads[core] or sower.lead(core)
            if end == LOOK:
                place = seeds.end(start, sower.trigger(number).code, stretch=not offset)
                if place is None:
                    continue
                end = place  # noqa: PLW2901  now it is known
            pattern, by_sound, after, before = lead
            field = self._masked_field() if pattern.numeric else self._plain
            later = earlier = None
            if after is not None:
                later = after.match(field.forward[by_sound], end)
                if later is None:
                    continue
            if before is not None:
                earlier = before.match(field.backward[by_sound], size - start)
                if earlier is None:
                    continue
            yield _Core(start, end, sower.trigger(number), offset < 0, lead, later, earlier)

    def _masked_field(self) -> "_Field":
        if self._masked is None:
            text, codes = self._plain.text, self._plain.codes
            spans = number_spans(text)
            self._masked = _Field(text, codes, masked(text, spans), masked(codes, spans))
        return self._masked


def _order(match: Match) -> tuple[int, int, int, float, str]:
    return match.start, match.end, match.pattern.entry, match.cost, match.quote


class _Field:
    """A text and its codes, as they are and as they are searched (numbers masked), both ways."""

    def __init__(self, text: str, codes: str, search_text: str, search_codes: str) -> None:
        self.text, self.codes = text, codes
        self.forward = search_text, search_codes
        self.backward = search_text[::-1], search_codes[::-1]
        self.size = len(text)


_Side = re.Match[str] | None


class _Reach(NamedTuple):
    """What was found round a core: where the match begins and ends, and where its items stand.

    The groups are (number of the item, start, end), but for the items of the core.
    """

    low: int
    high: int
    groups: list[tuple[int, int, int]]


class _Core(NamedTuple):
    """A core in a text, what set it off, and what was found after and before it.

    `whole`: all of its trigger was found.
    """

    start: int
    end: int
    trigger: Trigger
    whole: bool
    lead: Lead
    later: _Side
    earlier: _Side

    def reach(self, size: int) -> _Reach:
        """How far the match reaches in a text of that size, and where its items stand."""
        _, _, after, before = self.lead
        found = self.later, self.earlier
        return _reached((self.start, self.end), (after, before), found, size)


def _reached(
    core: tuple[int, int], halves: Halves, matches: tuple[_Side, _Side], size: int
) -> _Reach:
    """The reach of a core, from what was found after and before it."""
    (low, high), (after, before), (later, earlier) = core, halves, matches
    groups: list[tuple[int, int, int]] = []
    if after is not None and later is not None:
        high = later.end()
        groups += [(n, *later.span(g)) for g, n in enumerate(after.groups, start=1) if later[g]]
    if before is not None and earlier is not None:
        low = size - earlier.end()
        for g, n in enumerate(before.groups, start=1):
            if earlier[g]:
                groups.append((n, size - earlier.end(g), size - earlier.start(g)))
    return _Reach(low, high, groups)


class _Search:
    """The search for one pattern in one text."""

    def __init__(self, pattern: Compiled, field: _Field) -> None:
        self.pattern, self.field = pattern, field
        self.found: dict[tuple[int, int], Match] = {}

    def add(self, core: _Core) -> None:
        """Keep the match round a core, if it is one."""
        start, end, trigger = core.start, core.end, core.trigger
        if len(self.found) >= MAX_HITS or (
            core.whole and trigger.latin and self.inside_latin(start, trigger.text)
        ):
            return
        reach = core.reach(self.field.size)
        written = core.whole and not trigger.side and self.field.text[start:end] == trigger.text
        if written and self.by_characters(start, end, trigger, reach):
            return
        if self.pattern.may_sound:
            self.by_sound(start, end, trigger, reach)

    def inside_latin(self, start: int, word: str) -> bool:
        """Whether Latin letters go on before or after a word of Latin letters."""
        text, end = self.field.text, start + len(word)
        before, after = text[start - 1 : start], text[end : end + 1]
        return (word[0].isalpha() and before.isascii() and before.isalpha()) or (
            word[-1].isascii() and word[-1].isalpha() and after.isascii() and after.isalpha()
        )

    def by_characters(self, start: int, end: int, trigger: Trigger, heard: _Reach) -> bool:
        """Keep the match round a trigger that is written as meant, if its other items are."""
        reach = self.as_written(start, end, trigger) if self.pattern.may_sound else heard
        if reach is None:
            return False
        text = self.field.text
        parts = _split(end - start, trigger.words, trigger.code, trigger.code)
        words = [(piece.start, piece.end, piece.word) for piece in parts.at(start)]
        for n, a, b in reach.groups:
            item = self.pattern.items[n]
            if isinstance(item, Builtin) and not is_builtin(item.name, text[a:b]):
                return False
            words.append((a, b, text[a:b]))
        words.sort()
        low, high = reach.low, reach.high
        quote = text[low:high]
        self.keep(Match(self.pattern, low, high, tuple(words), 0.0, exact=True, quote=quote))
        return True

    def as_written(self, start: int, end: int, trigger: Trigger) -> _Reach | None:
        """How far the pattern reaches by characters."""
        field = self.field
        halves = self.pattern.halves(trigger.first, trigger.last, by_sound=False)
        after, before = halves
        later = earlier = None
        if after is not None:
            later = after.match(field.forward[False], end)
            if later is None:
                return None
        if before is not None:
            earlier = before.match(field.backward[False], field.size - start)
            if earlier is None:
                return None
        return _reached((start, end), halves, (later, earlier), field.size)

    def by_sound(self, start: int, end: int, trigger: Trigger, reach: _Reach) -> None:
        """Weigh a match by sound, from a trigger that is heard or nearly heard."""
        text, codes = self.field.text, self.field.codes
        parts = _split(end - start, trigger.words, trigger.code, codes[start:end])
        syllables, cost, off = len(trigger.code), parts.cost, parts.off
        heard: list[tuple[int, int, tuple[float, int, str] | None]] = []
        for n, a, b in reach.groups:
            item = self.pattern.items[n]
            if isinstance(item, Builtin):
                if not is_builtin(item.name, text[a:b]):
                    return
                heard.append((a, b, None))
                continue
            meant = self.pattern.sounds[n].likeliest(codes[a:b])
            if meant is None:
                return
            cost += meant[0]
            off += meant[1]
            syllables += len(meant[2])
            heard.append((a, b, meant))
        strong = self.pattern.style.strong
        if cost > allowed(syllables, off, strong=strong):
            return
        pieces = parts.at(start)
        pieces += [
            Piece(a, b, text[a:b], number=True)
            if meant is None
            else Piece(a, b, meant[2], meant[0], meant[1])
            for a, b, meant in heard
        ]
        pieces.sort(key=_start)
        if plausible(pieces, text, strong=strong):
            words = tuple((piece.start, piece.end, piece.word) for piece in pieces)
            same = all(text[a:b] == word for a, b, word in words)
            quote = _quote(words, reach.low, reach.high, text)
            self.keep(
                Match(self.pattern, reach.low, reach.high, words, cost, exact=same, quote=quote)
            )

    def keep(self, match: Match) -> None:
        """Remember a match; of two at one place the cheaper one stays."""
        held = self.found.get((match.start, match.end))
        if held is None or (match.cost, match.quote) < (held.cost, held.quote):
            self.found[match.start, match.end] = match


_start = attrgetter("start")


class _Parts(NamedTuple):
    """The words of a trigger, their places counted from its start, and what they cost together."""

    pieces: tuple[Piece, ...]
    cost: float
    off: int

    def at(self, start: int) -> list[Piece]:
        """The words in their places, where the trigger starts there."""
        return [
            Piece(start + a, start + b, word, cost, off) for a, b, word, cost, off, _ in self.pieces
        ]


@lru_cache(maxsize=4096)
def _split(size: int, words: tuple[str, ...], code: str, heard: str) -> _Parts:
    """The words of a trigger that is heard so; a missing or added syllable is in the longest."""
    spoken = [word for word in words if word]
    shift = size - len(code)
    longest = 0
    if len(spoken) > 1 and shift:
        longest = max(range(len(spoken)), key=lambda n: (len(spoken[n]), -n))
    found: list[Piece] = []
    at = 0
    for n, word in enumerate(spoken):
        length = len(word) + (shift if n == longest else 0)
        cost, off = 0.0, 0
        if shift and n == longest:
            cost, off = WRONG, 1
        elif not shift and heard != code:
            cost, off = spread(heard[at : at + length], code[at : at + length])
        found.append(Piece(at, at + length, word, cost, off))
        at += length
    return _Parts(tuple(found), sum(p.cost for p in found), sum(p.off for p in found))


def _quote(words: Sequence[tuple[int, int, str]], low: int, high: int, text: str) -> str:
    """What was meant: the words of the pattern, and between them what was heard."""
    parts: list[str] = []
    at = low
    for start, end, word in words:
        parts += [text[at:start], word]
        at = end
    return "".join(parts) + text[at:high]

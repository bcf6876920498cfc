"""Find patterns in a text: weigh what stands where all of their words do."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from rules.compile import Compiled
from rules.field import Field
from rules.grammar import Builtin
from rules.numbers import is_builtin
from rules.plausible import WRONG, Piece, allowed, plausible, spread
from rules.seeds import Sower, sowed
from rules.trail import Trail
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


Place = tuple[int, int, int, bool, int, int, list[tuple[int, int, int]]]
"""Where all of a pattern stands, by its words alone.

The number of the trigger that set it off, where that starts and ends, and whether all of it was
found; from where to where the pattern reaches, and (number of the item, start, end) of its items
but for those of the trigger.
"""


class Matcher:
    """All patterns of one speaker, ready to be found in texts."""

    def __init__(self, patterns: Sequence[Compiled], sower: Sower | None = None) -> None:
        self.patterns = tuple(patterns)
        self.sower = sower or sowed(self.patterns)

    def scan(self, field: Field) -> "Scan":
        """Search a normal-form text and its code string for all patterns, once.

        Both start and end with a turn break, and turns are parted by them.
        """
        return Scan(field, self.sower)


class Scan:
    """Where patterns stand in one text; their matches are weighed when they are asked for."""

    def __init__(self, field: Field, sower: Sower) -> None:
        self._field, self._sower = field, sower
        self._trail = Trail(sower.machine, field)

    @property
    def set_off(self) -> Collection[int]:
        """The conditions that may have matches: all words of one of their patterns stand there.

        They stand in their order; no other condition has any match.
        """
        return self._trail.conditions.keys()

    def matches(self, condition: int) -> list[Match]:
        """The matches of a condition's patterns, by place and then by pattern."""
        found: list[Match] = []
        search: _Search | None = None
        trigger_of, patterns = self._sower.trigger, self._sower.patterns
        for place in self._trail.of(condition):
            trigger = trigger_of(place[0])
            pattern = patterns[trigger.pattern]
            if search is None or pattern is not search.pattern:
                if search is not None:
                    found += search.found.values()
                search = _Search(pattern, self._field, self._trail)
            search.add(place, trigger)
        if search is not None:
            found += search.found.values()
        return sorted(found, key=_order) if len(found) > 1 else found


def _order(match: Match) -> tuple[int, int, int, float, str]:
    return match.start, match.end, match.pattern.entry, match.cost, match.quote


class _Search:
    """The search for one pattern in one text."""

    def __init__(self, pattern: Compiled, field: Field, trail: Trail) -> None:
        self.pattern, self.field, self.trail = pattern, field, trail
        self.found: dict[tuple[int, int], Match] = {}

    def add(self, place: Place, trigger: Trigger) -> None:
        """Keep the match at a place, if it is one."""
        _, start, end, whole, _, _, _ = place
        if len(self.found) >= MAX_HITS or (
            whole and trigger.latin and self.inside_latin(start, trigger.text)
        ):
            return
        written = whole and not trigger.side and self.field.text[start:end] == trigger.text
        if written and self.by_characters(place, trigger):
            return
        if self.pattern.may_sound:
            self.by_sound(place, trigger)

    def inside_latin(self, start: int, word: str) -> bool:
        """Whether Latin letters go on before or after a word of Latin letters."""
        text, end = self.field.text, start + len(word)
        before, after = text[start - 1 : start], text[end : end + 1]
        return (word[0].isalpha() and before.isascii() and before.isalpha()) or (
            word[-1].isascii() and word[-1].isalpha() and after.isascii() and after.isalpha()
        )

    def by_characters(self, place: Place, trigger: Trigger) -> bool:
        """Keep the match round a trigger that is written as meant, if its other items are."""
        number, start, end, _, low, high, groups = place
        if self.pattern.may_sound:
            reach = self.trail.written(number, start, end)
            if reach is None:
                return False
            low, high, groups = reach
        held = self.found.get((low, high))
        if held is not None and held.exact and not held.cost and not self.pattern.numeric:
            return True  # met from another of its words
        words, text = _placed(trigger.words, start), self.field.text
        for n, a, b in groups:
            item = self.pattern.items[n]
            if isinstance(item, Builtin) and not is_builtin(item.name, text[a:b]):
                return False
            words.append((a, b, text[a:b]))
        words.sort()
        quote = text[low:high]
        self.keep(Match(self.pattern, low, high, tuple(words), 0.0, exact=True, quote=quote))
        return True

    def by_sound(self, place: Place, trigger: Trigger) -> None:
        """Weigh a match by sound, from a trigger that is heard or nearly heard."""
        _, start, end, _, low, high, groups = place
        text, codes, pattern = self.field.text, self.field.codes, self.pattern
        parts = _split(end - start, trigger.words, trigger.code, codes[start:end])
        syllables, cost, off = len(trigger.code), parts.cost, parts.off
        pieces: list[Piece] = []
        for n, a, b in groups:
            item = pattern.items[n]
            if isinstance(item, Builtin):
                if not is_builtin(item.name, text[a:b]):
                    return
                pieces.append(Piece(a, b, text[a:b], number=True))
                continue
            meant = pattern.sounds[n].likeliest(codes[a:b])
            if meant is None:
                return
            more, wrong, word = meant
            cost += more
            off += wrong
            syllables += len(word)
            pieces.append(Piece(a, b, word, more, wrong))
        held, strong = self.found.get((low, high)), pattern.style.strong
        dearer = held is not None and held.cost < cost
        if dearer or cost > allowed(syllables, off, strong=strong):
            return
        pieces = [*parts.at(start), *pieces]
        pieces.sort(key=_start)
        if plausible(pieces, text, strong=strong):
            words = tuple([(piece.start, piece.end, piece.word) for piece in pieces])
            same = all(text[a:b] == word for a, b, word in words)
            quote = _quote(words, low, high, text)
            self.keep(Match(pattern, low, high, words, cost, exact=same, quote=quote))

    def keep(self, match: Match) -> None:
        """Remember a match; of two at one place the cheaper one stays."""
        held = self.found.get((match.start, match.end))
        if held is None or (match.cost, match.quote) < (held.cost, held.quote):
            self.found[match.start, match.end] = match


_start = attrgetter("start")


def _placed(words: Iterable[str], start: int) -> list[tuple[int, int, str]]:
    """Words that follow one another from there on, with their spans."""
    found: list[tuple[int, int, str]] = []
    for word in filter(None, words):
        found.append((start, start + len(word), word))
        start += len(word)
    return found


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

"""Find patterns in a text: two passes of automata.

Then regular expressions both ways from what they found.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import daachorse

from rules.compile import Compiled
from rules.grammar import Builtin
from rules.normalise import BREAKS
from rules.numbers import is_builtin, masked, number_spans
from rules.phonetic import distance
from rules.plausible import STRETCHABLE, WRONG, Piece, likeliest, plausible, spread
from rules.triggers import Trigger, plan

MAX_HITS = 200
"""Hits of one pattern in one text after which it is no longer searched for."""

MAX_SEEDS = 5000
"""Triggers of one pattern in one text that are followed."""


@dataclass(frozen=True, slots=True)
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


class _Passes:
    """One automaton and what its strings set off."""

    def __init__(self, planned: dict[str, set[Trigger]]) -> None:
        ordered = sorted(planned)
        self.loads = tuple(tuple(sorted(planned[text])) for text in ordered)
        self.automaton = daachorse.CharwiseDoubleArrayAhoCorasick(ordered) if ordered else None

    def find(self, text: str, seeds: dict[int, list[tuple[int, Trigger]]]) -> None:
        """Add what the strings in the text set off, by pattern."""
        if self.automaton is None:
            return
        loads = self.loads
        for start, _, n in self.automaton.find_overlapping(text):
            for trigger in loads[n]:
                seeds[trigger.pattern].append((start, trigger))


class Matcher:
    """All patterns of one speaker, ready to be found in texts."""

    def __init__(self, patterns: Sequence[Compiled]) -> None:
        self.patterns = tuple(patterns)
        self.members: dict[int, list[int]] = defaultdict(list)
        planned: tuple[dict[str, set[Trigger]], ...] = (defaultdict(set), defaultdict(set))
        for n, pattern in enumerate(self.patterns):
            self.members[pattern.condition].append(n)
            for by_sound, text, trigger in plan(n, pattern):
                planned[by_sound][text].add(trigger)
        self._characters, self._syllables = map(_Passes, planned)

    def scan(self, text: str, codes: str) -> "Scan":
        """Run both automata over a normal-form text and its code string, once.

        Both start and end with a turn break, and turns are parted by them.
        """
        seeds: dict[int, list[tuple[int, Trigger]]] = defaultdict(list)
        self._characters.find(text, seeds)
        self._syllables.find(codes, seeds)
        return Scan(self, text, codes, seeds)


class Scan:
    """What the automata set off in one text.

    Patterns are searched for when their condition is asked for.
    """

    def __init__(
        self, matcher: Matcher, text: str, codes: str, seeds: dict[int, list[tuple[int, Trigger]]]
    ) -> None:
        self._matcher, self._seeds = matcher, seeds
        self._plain = _Field(text, codes, text, codes)
        self._masked: _Field | None = None

    def matches(self, condition: int) -> list[Match]:
        """The matches of a condition's patterns, by place and then by pattern."""
        found: list[Match] = []
        for n in self._matcher.members.get(condition, ()):
            if n in self._seeds:
                pattern = self._matcher.patterns[n]
                search = _Search(pattern, self._field(pattern))
                found += search.all_of(self._seeds[n])
        return sorted(found, key=lambda m: (m.start, m.end, m.pattern.entry, m.cost, m.quote))

    def _field(self, pattern: Compiled) -> "_Field":
        if not pattern.numeric:
            return self._plain
        if self._masked is None:
            text, codes = self._plain.text, self._plain.codes
            spans = number_spans(text)
            self._masked = _Field(text, codes, masked(text, spans), masked(codes, spans))
        return self._masked


class _Field:
    """A text and its codes, as they are and as they are searched (numbers masked), both ways."""

    def __init__(self, text: str, codes: str, search_text: str, search_codes: str) -> None:
        self.text, self.codes = text, codes
        self.forward = search_text, search_codes
        self.backward = search_text[::-1], search_codes[::-1]
        self.size = len(text)


class _Search:
    """The search for one pattern in one text."""

    def __init__(self, pattern: Compiled, field: _Field) -> None:
        self.pattern, self.field = pattern, field
        self.found: dict[tuple[int, int], Match] = {}

    def all_of(self, seeds: Sequence[tuple[int, Trigger]]) -> list[Match]:
        """All matches round the seeds (place and trigger)."""
        for place, trigger in seeds[:MAX_SEEDS]:
            if trigger.whole and self.hopeless(place, trigger):
                continue
            start = place - trigger.offset
            if start < 0 or (trigger.latin and self.inside_latin(start, trigger.text)):
                continue
            if len(self.found) >= MAX_HITS:
                break
            if trigger.whole:
                self.whole(start, trigger)
            else:
                end = _damage(self.field.codes, start, trigger.code, stretch=not trigger.offset)
                reach = None if end is None else self.reach(start, end, trigger, by_sound=True)
                if end is not None and reach is not None:
                    self.by_sound(start, end, trigger, reach)
        return list(self.found.values())

    def hopeless(self, place: int, trigger: Trigger) -> bool:
        """Whether the other items do not follow or precede; most triggers end here."""
        by_sound = self.pattern.may_sound
        after, before = self.pattern.halves(trigger.first, trigger.last, by_sound=by_sound)
        field = self.field
        if after is not None and after.match(field.forward[by_sound], place + trigger.size) is None:
            return True
        return (
            before is not None
            and before.match(field.backward[by_sound], field.size - place) is None
        )

    def inside_latin(self, start: int, word: str) -> bool:
        """Whether Latin letters go on before or after a word of Latin letters."""
        text, end = self.field.text, start + len(word)
        before, after = text[start - 1 : start], text[end : end + 1]
        return (word[0].isalpha() and before.isascii() and before.isalpha()) or (
            word[-1].isascii() and word[-1].isalpha() and after.isascii() and after.isalpha()
        )

    def whole(self, start: int, trigger: Trigger) -> None:
        """Search where a whole trigger stands.

        What matches by characters matches by sound as well.
        """
        end = start + len(trigger.code)
        written = self.field.text[start:end] == trigger.text and not trigger.side
        if not self.pattern.may_sound:
            if written:
                self.by_characters(start, end, trigger)
            return
        reach = self.reach(start, end, trigger, by_sound=True)
        if reach is not None and not (written and self.by_characters(start, end, trigger)):
            self.by_sound(start, end, trigger, reach)

    def by_characters(self, start: int, end: int, trigger: Trigger) -> bool:
        """Search both ways from a trigger that is written as meant."""
        reach = self.reach(start, end, trigger, by_sound=False)
        if reach is None:
            return False
        text = self.field.text
        words = [
            (piece.start, piece.end, piece.word) for piece in _split(start, end, trigger, None)
        ]
        for n, a, b in reach.groups:
            item = self.pattern.items[n]
            if isinstance(item, Builtin) and not is_builtin(item.name, text[a:b]):
                return False
            words.append((a, b, text[a:b]))
        quote = text[reach.low : reach.high]
        self.keep(
            Match(
                self.pattern,
                reach.low,
                reach.high,
                tuple(sorted(words)),
                0.0,
                exact=True,
                quote=quote,
            )
        )
        return True

    def by_sound(self, start: int, end: int, trigger: Trigger, reach: "_Reach") -> None:
        """Weigh a match by sound, from a trigger that is heard or nearly heard."""
        text, codes = self.field.text, self.field.codes
        pieces = _split(start, end, trigger, codes)
        for n, a, b in reach.groups:
            piece = self.piece(n, a, b)
            if piece is None:
                return
            pieces.append(piece)
        pieces.sort(key=lambda piece: piece.start)
        if plausible(pieces, text, strong=self.pattern.style.strong):
            words = tuple((piece.start, piece.end, piece.word) for piece in pieces)
            cost = sum(piece.cost for piece in pieces)
            same = all(text[a:b] == word for a, b, word in words)
            quote = _quote(words, reach.low, reach.high, text)
            self.keep(
                Match(self.pattern, reach.low, reach.high, words, cost, exact=same, quote=quote)
            )

    def piece(self, n: int, start: int, end: int) -> Piece | None:
        """The word of an item that was most likely meant by what was heard."""
        item = self.pattern.items[n]
        heard = self.field.text[start:end]
        if isinstance(item, Builtin):
            return Piece(start, end, heard, number=True) if is_builtin(item.name, heard) else None
        words = self.pattern.sounds[n].get(end - start)
        if words is None:
            return None
        cost, off, word = likeliest(self.field.codes[start:end], words)
        return Piece(start, end, word, cost, off)

    def reach(self, start: int, end: int, trigger: Trigger, *, by_sound: bool) -> "_Reach | None":
        """How far the pattern reaches both ways from a trigger, and where its other items stand."""
        field = self.field
        after, before = self.pattern.halves(trigger.first, trigger.last, by_sound=by_sound)
        low, high = start, end
        found = later = None
        if after is not None:
            later = after.match(field.forward[by_sound], end)
            if later is None:
                return None
            high = later.end()
        if before is not None:
            found = before.match(field.backward[by_sound], field.size - start)
            if found is None:
                return None
            low = field.size - found.end()
        groups: list[tuple[int, int, int]] = []
        if after is not None and later is not None:
            groups += [(n, *later.span(g)) for g, n in enumerate(after.groups, start=1) if later[g]]
        if before is not None and found is not None:
            for g, n in enumerate(before.groups, start=1):
                if found[g]:
                    groups.append((n, field.size - found.end(g), field.size - found.start(g)))
        return _Reach(low, high, groups)

    def keep(self, match: Match) -> None:
        """Remember a match; of two at one place the cheaper one stays."""
        held = self.found.get((match.start, match.end))
        if held is None or (match.cost, match.quote) < (held.cost, held.quote):
            self.found[match.start, match.end] = match


@dataclass(frozen=True, slots=True)
class _Reach:
    """Where a match begins and ends, and where its items (number, start.

    End) stand but for the trigger's.
    """

    low: int
    high: int
    groups: list[tuple[int, int, int]]


def _split(start: int, end: int, trigger: Trigger, codes: str | None) -> list[Piece]:
    """The words of a trigger in their places.

    Where one syllable is missing or added, in the longest word.
    """
    words = [word for word in trigger.words if word]
    shift = end - start - len(trigger.code)
    longest = max(range(len(words)), key=lambda n: (len(words[n]), -n))
    found: list[Piece] = []
    at, meant_at = start, 0
    for n, word in enumerate(words):
        size = len(word) + (shift if n == longest else 0)
        cost, off = 0.0, 0
        if shift and n == longest:
            cost, off = WRONG, 1
        elif codes is not None and not shift:
            cost, off = spread(codes[at : at + size], trigger.code[meant_at : meant_at + size])
        found.append(Piece(at, at + size, word, cost, off))
        at, meant_at = at + size, meant_at + len(word)
    return found


def _quote(words: Sequence[tuple[int, int, str]], low: int, high: int, text: str) -> str:
    """What was meant: the words of the pattern, and between them what was heard."""
    parts: list[str] = []
    at = low
    for start, end, word in words:
        parts += [text[at:start], word]
        at = end
    return "".join(parts) + text[at:high]


def _damage(codes: str, start: int, meant: str, *, stretch: bool) -> int | None:
    """Where the damaged word ends; None where the damage is too great, or none."""
    length = len(meant)
    heard = codes[start : start + length]
    if len(heard) == length:
        wrong = [pair for pair in zip(heard, meant, strict=True) if pair[0] != pair[1]]
        if not wrong:
            return None
        near = len(wrong) == 2 and sum(distance(*pair) for pair in wrong) <= WRONG  # noqa: PLR2004
        if len(wrong) == 1 or near:
            return None if any(pair[0] in BREAKS for pair in wrong) else start + length
    if length < STRETCHABLE or not stretch:
        return None
    for size in (length - 1, length + 1):
        piece = codes[start : start + size]
        if (
            len(piece) == size
            and not any(mark in piece for mark in BREAKS)
            and _one_apart(piece, meant)
        ):
            return start + size
    return None


def _one_apart(heard: str, meant: str) -> bool:
    """Whether one inserted or missing syllable is all the difference."""
    longer, shorter = (heard, meant) if len(heard) > len(meant) else (meant, heard)
    at = next(
        (i for i, (a, b) in enumerate(zip(longer, shorter, strict=False)) if a != b), len(shorter)
    )
    return 0 < at < len(shorter) and longer[at + 1 :] == shorter[at:]

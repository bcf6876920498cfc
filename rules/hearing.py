"""What the patterns of a pack find in one contact, searched once, after the guards."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from operator import attrgetter
from typing import Any

from rules.context import Span
from rules.document import Document, Voice
from rules.events import Segment, Speaker
from rules.guards import SOFTENING, first_objection, is_softened
from rules.legible import GARBLED, oddity
from rules.match import Match, Scan
from rules.model import Contact, Disposition, Severity
from rules.phonetic import encode
from rules.place import Place
from rules.rule import Entry, Pack, WordsCondition
from rules.walk import Walk

SURE_ROLE = 0.8
"""Speaker labels less sure than this can only ask for a review."""

VOICES = tuple(Voice)
SHORT_WORD = 2
UNLESS_REACH = 12


_FAILING = frozenset({None, Disposition.VIOLATION})
"""What a pattern may say of itself and still fail a contact."""


Heard = tuple[Document, Voice, Match]
"""A match where it was heard."""


def _span_of(heard: Heard) -> Span:
    """The span of a match; one by sound quotes what was meant."""
    document, voice, match = heard
    found = document.span(voice, match.start, match.end)
    if not match.exact:
        found.quote, found.match, found.confidence = match.quote, "phonetic", certainty(match)
    return found


class Hit:
    """A place or a fact where a condition holds; `order` sorts hits by time inside a contact."""

    __slots__ = (
        "_heard",
        "_span",
        "confidence",
        "disposition",
        "facts",
        "missing",
        "missing_zh",
        "order",
        "severity",
    )

    def __init__(
        self,
        order: tuple[int, int],
        span: Span | None = None,
        heard: Heard | None = None,
        *,
        facts: Mapping[str, Any] | None = None,
        missing: str = "",
        missing_zh: str = "",
        disposition: Disposition | None = None,
        severity: Severity | None = None,
        confidence: float = 1.0,
    ) -> None:
        self.order, self.facts, self.confidence = order, facts, confidence
        self.missing, self.missing_zh = missing, missing_zh
        self.disposition, self.severity = disposition, severity
        self._span, self._heard = span, heard

    @property
    def span(self) -> Span | None:
        """The place in the words, if it has one."""
        if self._span is None and self._heard is not None:
            self._span = _span_of(self._heard)
        return self._span

    @property
    def match(self) -> Match | None:
        """The match that it stands on, if it does."""
        return None if self._heard is None else self._heard[2]

    @property
    def turn(self) -> int:
        """The turn it lies in; -1 for facts."""
        return self.order[0]

    def beside(self, other: "Hit") -> "Hit":
        """This hit with the facts, and the milder judgement, of its company."""
        facts = {**(self.facts or {}), **(other.facts or {})}
        bare = self._heard is None and self._span is None
        return Hit(
            self.order,
            self._span,
            self._heard,
            facts=facts or None,
            missing=self.missing or other.missing,
            missing_zh=self.missing_zh or other.missing_zh,
            disposition=self.disposition
            or (other.disposition if other.turn < 0 or other.facts else None),
            severity=self.severity or (other.severity if other.facts else None),
            confidence=self.confidence * (other.confidence if bare else 1.0),
        )


_order = attrgetter("order")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A match and what became of it: `cleared_by` names the guard, or is None where it counts."""

    condition: int
    entry: Entry
    match: Match
    voice: Voice
    span: Span
    cleared_by: str | None
    why: str


def certainty(match: Match) -> float:
    """How sure a match is of what was meant, 0..1."""
    if match.exact:
        return 1.0
    syllables = max(1, match.syllables)
    return max(0.3, 0.95 - 0.8 * match.cost / syllables - (0.1 if syllables <= SHORT_WORD else 0.0))


class _Ear:
    """What is heard of one voice: its words, what was found in them, its turns."""

    __slots__ = ("_idioms", "_pack", "_walk", "own", "scan", "side", "voice")

    def __init__(self, pack: Pack, document: Document, voice: Voice) -> None:
        self.voice, self.side, self.own = voice, document.side(voice), document.own_turns(voice)
        self.scan: Scan = pack.matchers[voice].scan(self.side.field)
        self._idioms: list[tuple[int, int]] | None = None
        self._walk: Walk | None = None
        self._pack = pack

    @property
    def idioms(self) -> list[tuple[int, int]]:
        """Where idioms of the pack stand."""
        if self._idioms is None:
            known = self._pack.idioms
            found = known.find_overlapping(self.side.text) if known is not None else ()
            self._idioms = [(start, end) for start, end, _ in found]
        return self._idioms

    @property
    def walk(self) -> Walk:
        """Reads in its words what cancels a match."""
        if self._walk is None:
            self._walk = self._pack.unless.walk(self.side.field)
        return self._walk

    def place(self, match: Match) -> Place:
        """A match as guards look at it."""
        words = [(start, end) for start, end, _ in match.words]
        return Place(self.side, match.start, match.end, words, self.idioms, exact=match.exact)


class Hearing:
    """The words of one contact."""

    def __init__(self, pack: Pack, contact: Contact) -> None:
        self.pack = pack
        self.contact = contact
        self.document = document = Document(contact.interaction)
        self._role = contact.interaction.party.role.value
        self._hits: dict[int, tuple[Hit, ...]] = {}
        self._ears = {
            voice: _Ear(pack, document, voice) for voice in VOICES if document.speaks(voice)
        }
        self.set_off: frozenset[int] = frozenset().union(
            *[ear.scan.set_off for ear in self._ears.values()]
        )
        """The keys of the `words` conditions that may hold; no other one does."""

    def may_hold(self, possible: Sequence[frozenset[int]]) -> bool:
        """Whether all `words` conditions of one of these sets may hold."""
        return any(map(self.set_off.issuperset, possible))

    def hits(self, condition: WordsCondition) -> tuple[Hit, ...]:
        """The places where a `words` condition holds, in order."""
        key = condition.key
        held = self._hits.get(key)
        if held is None:
            held = ()
            if key in self.set_off:
                ear = self._ears[condition.voice]
                if matches := ear.scan.matches(key):
                    held = self._judged(condition, ear, matches)
            self._hits[key] = held
        return held

    def _judged(
        self, condition: WordsCondition, ear: _Ear, matches: list[Match]
    ) -> tuple[Hit, ...]:
        """The matches that count, the surest of overlapping ones; guards hear of no other."""
        kept: list[tuple[Entry, Match]] = []
        entries = condition.entries
        if len(matches) > 1:
            matches = sorted(matches, key=partial(_rank, entries))
        for match in matches:
            if kept and _touches(match, kept):
                continue
            entry = entries[match.pattern.entry]
            if (
                self._applies(condition, entry, ear, match)
                and self._objection(entry, ear, match, by_cost=True) is None
            ):
                kept.append((entry, match))
        hits = [self._hit(entry, ear, match) for entry, match in kept]
        if len(hits) > 1:
            hits.sort(key=_order)
        return tuple(hits)

    def candidates(self) -> list[Candidate]:
        """Every match in the contact and which guard cleared it."""
        found = []
        for key, condition in sorted(self.pack.conditions.items()):
            ear = self._ears.get(condition.voice)
            for match in ear.scan.matches(key) if ear else ():
                entry = condition.entries[match.pattern.entry]
                if ear is None or not self._applies(condition, entry, ear, match):
                    continue
                name, why = self._objection(entry, ear, match) or (None, "")
                span = _span_of((self.document, condition.voice, match))
                found.append(Candidate(key, entry, match, condition.voice, span, name, why))
        return found

    def _applies(self, condition: WordsCondition, entry: Entry, ear: _Ear, match: Match) -> bool:
        if entry.parties and self._role not in entry.parties:
            return False
        if condition.turns is None:
            return True
        return ear.side.piece_at(match.start).turn in ear.own[: condition.turns]

    def _objection(
        self, entry: Entry, ear: _Ear, match: Match, *, by_cost: bool = False
    ) -> tuple[str, str] | None:
        """What has something against a match, and why; guards in the order of their cost or not."""
        if entry.unless:
            side, start, end = ear.side, match.start, match.end
            low, high = side.turn_span(start)
            near = max(low - 1, start - UNLESS_REACH), min(high + 1, end + UNLESS_REACH)
            for key in entry.unless:
                found = self.pack.unless.cancelling(key, ear.walk, near, (start, end))
                if found is not None:
                    return "unless", found
        if not entry.guards:
            return None
        return first_objection(ear.place(match), entry.guards, by_cost=by_cost)

    def _hit(self, entry: Entry, ear: _Ear, match: Match) -> Hit:
        disposition, start = entry.disposition, match.start
        if (
            disposition in _FAILING
            and not entry.guards.isdisjoint(SOFTENING)
            and is_softened(ear.place(match), entry.guards)
        ):
            disposition = Disposition.REVIEW
        return Hit(
            (ear.side.turn_of(start, match.end), start),
            heard=(self.document, ear.voice, match),
            disposition=disposition,
            severity=entry.severity,
            confidence=entry.confidence if match.exact else certainty(match) * entry.confidence,
        )

    def said(self, cue: str) -> tuple[Span, ...]:
        """Places where a cue holds, in order."""
        condition = self.pack.cues.get(cue)
        return (
            () if condition is None else tuple(hit.span for hit in self.hits(condition) if hit.span)
        )

    def goes_on(self, segment: int) -> bool:
        """Whether a turn of the collector begins after that segment."""
        runs = self.document.runs
        return any(run[0][0] > segment and run[0][1].speaker is Speaker.COLLECTOR for run in runs)

    def sounds(self, needle: str, turns: int | None) -> Span | None:
        """The first place where the collector says what sounds like the needle, near enough."""
        codes = encode(needle)
        if not codes:
            return None
        side = self.document.side(Voice.COLLECTOR)
        own = self.document.own_turns(Voice.COLLECTOR)[:turns]
        for start, cost in side.echo.places(codes, max(0.5, len(codes) / 4)):
            if side.piece_at(start).turn in own:
                end = start + len(codes)
                span = self.document.span(Voice.COLLECTOR, start, end)
                match = "exact" if side.text[start:end] == needle else "phonetic"
                return replace(span, quote=needle, match=match, confidence=1 - cost / len(codes))
        return None

    @cached_property
    def oddity(self) -> float:
        """How many odd characters the collector's words hold; 0 for what was written, not said.

        Where there are many, a guard may have missed the word that clears a match.
        """
        if self.contact.interaction.transcript is None:
            return 0.0
        own = self.document.own_turns(Voice.COLLECTOR)
        return oddity(segment.text for n in own for _, segment in self.document.runs[n])

    @property
    def garbled(self) -> bool:
        """Whether what was said is written down badly."""
        return self.oddity > GARBLED

    def words(self, keys: Iterable[int]) -> Iterator[tuple[int, int, int, str]]:
        """Segment, first and last character (exclusive) of each word of each hit, and the word.

        In no order; of what was said, not of the notes of a visit; of all that was asked for so
        far, and of the `words` conditions of these keys.
        """
        conditions = self.pack.conditions
        for key in {*self._hits, *(self.set_off & frozenset(keys))}:
            voice = conditions[key].voice
            for hit in self.hits(conditions[key]) if voice is not Voice.LOG else ():
                for start, end, word in hit.match.words if hit.match else ():
                    span = self.document.span(voice, start, end)
                    yield span.segment, span.char_start, span.char_end, word

    def silent(self, voice: Voice, turns: int | None) -> bool:
        """Whether nothing that can be judged was said by this voice in its first turns."""
        own = self.document.own_turns(voice)[:turns]
        return not any(segment.trusted for n in own for _, segment in self.document.runs[n])

    def doubtful(self, voice: Voice, turns: int | None) -> bool:
        """Whether some of those turns is untrusted, or it is uncertain who speaks at all."""
        own = self.document.own_turns(voice)[:turns]
        untrusted = any(not segment.trusted for n in own for _, segment in self.document.runs[n])
        return untrusted or self.unsure()

    def unsure(self) -> bool:
        """Whether it is uncertain of any words of the contact who said them."""
        runs = self.document.runs
        return any(is_unsure(segment) for run in runs for _, segment in run)


def is_unsure(segment: Segment) -> bool:
    """Whether the speaker of a segment is unknown, or known too little for a violation."""
    return segment.speaker is Speaker.UNKNOWN or segment.role_score < SURE_ROLE


def _rank(entries: Sequence[Entry], match: Match) -> tuple[Any, ...]:
    """Smaller is surer: what can stand as a violation, then certainty, length and severity."""
    entry, start = entries[match.pattern.entry], match.start
    milder = entry.disposition not in _FAILING
    severity = -entry.severity.rank if entry.severity else 0
    sure = -entry.confidence if match.exact else -certainty(match) * entry.confidence
    return (milder, sure, start - match.end, severity, start, match.pattern.entry)


def _touches(match: Match, kept: Sequence[tuple[Entry, Match]]) -> bool:
    """Whether a match overlaps one of those that count already."""
    start, end = match.start, match.end
    return any(start < other.end and other.start < end for _, other in kept)


def overlap(one: Hit, other: Hit) -> bool:
    """Whether both hits stand on overlapping words."""
    a, b = one.span, other.span
    return (
        a is not None
        and b is not None
        and a.segment == b.segment
        and a.speaker == b.speaker
        and a.char_start < b.char_end
        and b.char_start < a.char_end
    )

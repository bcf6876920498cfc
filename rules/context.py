"""What a fact condition is given and what it gives back."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rules.events import Case, Speaker
from rules.model import CaseHistory, Contact, Disposition, Severity


@dataclass(slots=True, unsafe_hash=True)
class Span:
    """A stretch of one segment's raw text: segments and characters count from 0, end exclusive.

    In a message or letter (`text`) and in a visit's notes the segment is 0. Nobody changes one; it
    is not frozen because frozen objects take seven times as long to make.
    """

    segment: int
    char_start: int
    char_end: int
    heard: str
    quote: str
    speaker: Speaker | None
    turn: int
    start: float | None = None
    end: float | None = None
    match: str = "exact"
    confidence: float = 1.0
    trusted: bool = True
    biased: bool = False


class Words(Protocol):
    """What the engine can say of the words of a contact."""

    def said(self, cue: str, contact: Contact) -> tuple[Span, ...]:
        """Places where the cue holds, in order."""

    def goes_on(self, contact: Contact, segment: int) -> bool:
        """Whether a turn of the collector begins after that segment."""

    def garbled(self, contact: Contact) -> bool:
        """Whether what was said in the contact is badly written down."""

    def sounds(self, needle: str, contact: Contact, *, turns: int | None) -> Span | None:
        """The first place where the collector says something that sounds like `needle`."""


@dataclass(slots=True)
class ContactContext:
    """One contact in its history, as a fact condition sees it."""

    history: CaseHistory
    contact: Contact
    index: int
    case: Case | None
    parameters: Mapping[str, Any]
    arguments: Mapping[str, Any]
    words: Words
    memory: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What conditions work out once for a whole history; all its contacts share it."""

    def said(self, cue: str, contact: Contact | None = None) -> tuple[Span, ...]:
        """Hits of a cue in this contact, or in another one of the history."""
        return self.words.said(cue, contact or self.contact)

    def goes_on(self, segment: int) -> bool:
        """Whether a turn of the collector begins after that segment of this contact."""
        return self.words.goes_on(self.contact, segment)

    def garbled(self) -> bool:
        """Whether what was said in this contact is badly written down."""
        return self.words.garbled(self.contact)

    def sounds(self, needle: str, *, turns: int | None = None) -> Span | None:
        """Where the collector says something like `needle` in its first `turns`."""
        return self.words.sounds(needle, self.contact, turns=turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactHit:
    """One reason why a condition holds; `unknown` instead says why it cannot be decided."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    missing: str | None = None
    disposition: Disposition | None = None
    severity: Severity | None = None
    at: Span | None = None
    unknown: str | None = None


FactCondition = Callable[[ContactContext], Iterable[FactHit]]

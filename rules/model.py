"""The values that go in and come out of the engine: histories, findings, verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from rules.events import Case, Interaction, Speaker, Stop


class Severity(StrEnum):
    """How bad a finding is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for low up to 3 for critical."""
        return list(Severity).index(self)


class Disposition(StrEnum):
    """What a finding asks for: it stands, a person must confirm it, or it only informs."""

    VIOLATION = "violation"
    REVIEW = "review"
    SIGNAL = "signal"


class Outcome(StrEnum):
    """The result of one check."""

    PASS = "pass"  # noqa: S105  not a password
    FAIL = "fail"
    REVIEW = "review"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class CaseVersion:
    """A case as the event of `as_of` described it."""

    as_of: datetime
    case: Case


@dataclass(frozen=True, slots=True)
class Audio:
    """What became of an interaction's recording, as the speech side found it.

    `state`: `none` (no recording was announced), `given` (the event carried its transcript),
    `transcribed`, `missing` (announced, never received), `failed` (not decodable; see `reason`).
    `decoded_seconds` is the decoded length; `untrusted_share` the part of speech that is not to be
    relied on (0..1). `flags` name what is wrong or unusual about the sound (see `rules.flaws`).
    """

    state: str = "none"
    reason: str | None = None
    decoded_seconds: float | None = None
    untrusted_share: float = 0.0
    retain_until: datetime | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contact:
    """One interaction with everything that is known of it; its transcript is inside."""

    interaction: Interaction
    audio: Audio = Audio()

    @property
    def key(self) -> tuple[str, str]:
        """Agency and interaction id: unique within a lender."""
        return (self.interaction.agency_id or "", self.interaction.interaction_id)


@dataclass(frozen=True, slots=True)
class CaseHistory:
    """The whole ledger of one case: every version, contact and stop, in a canonical order."""

    case_id: str
    versions: tuple[CaseVersion, ...] = ()
    contacts: tuple[Contact, ...] = ()
    stops: tuple[Stop, ...] = ()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a second reader proposes for a gated utterance; it can only become `review`.

    `rule` is the likeliest one of the family; by default the first one in force.
    """

    family: str
    segment: int
    char_start: int
    char_end: int
    score: float
    reason: str
    reason_zh: str = ""
    rule: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule that one contact broke, with its evidence; see CONTRACT §2 for the fields."""

    rule: str
    articles: tuple[str, ...]
    severity: Severity
    disposition: Disposition
    why: str
    why_zh: str
    speaker: Speaker | None = None
    quote: str | None = None
    heard: str | None = None
    segment: int | None = None
    char_start: int | None = None
    char_end: int | None = None
    start: float | None = None
    end: float | None = None
    match: str = "facts"
    confidence: float = 1.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """The letters of its rule before the dash."""
        return self.rule.split("-", 1)[0]

    def as_dict(self) -> dict[str, Any]:
        """The finding as plain JSON values, absent fields left out, keys in a fixed order."""
        found: dict[str, Any] = {
            "rule": self.rule,
            "articles": list(self.articles),
            "severity": self.severity.value,
            "disposition": self.disposition.value,
            "speaker": self.speaker.value if self.speaker else None,
            "quote": self.quote,
            "heard": self.heard,
            "segment": self.segment,
            "char_start": self.char_start,
            "char_end": self.char_end,
            "start": self.start,
            "end": self.end,
            "match": self.match,
            "confidence": round(self.confidence, 3),
            "why": self.why,
            "why_zh": self.why_zh,
            "facts": dict(self.facts) or None,
        }
        return {key: value for key, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of one check of one contact, and the findings it stands on.

    `untrusted_share` is the part of its speech that was not relied on (0..1).
    """

    interaction_id: str
    agency_id: str | None
    outcome: Outcome
    findings: tuple[Finding, ...]
    reasons: tuple[str, ...] = ()
    pack: str = ""
    pack_digest: str = ""
    untrusted_share: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The verdict as plain JSON values."""
        return {
            "interaction_id": self.interaction_id,
            "agency_id": self.agency_id,
            "outcome": self.outcome.value,
            "reasons": list(self.reasons),
            "untrusted_share": round(self.untrusted_share, 4),
            "pack": self.pack,
            "pack_digest": self.pack_digest,
            "findings": [finding.as_dict() for finding in self.findings],
        }

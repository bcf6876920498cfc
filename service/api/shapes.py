"""The shapes that the read routes answer with."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from rules.events import Channel, Speaker
from rules.model import Disposition, Outcome, Severity
from service.api.review_shapes import Asked, StandingOut
from service.checks import CheckStatus, Conclusion, conclusion_of
from service.models import (
    Agency,
    FindingRow,
    InteractionRow,
    InteractionState,
    RecordingRow,
    TranscriptRow,
    VerdictRow,
)
from service.read import InteractionDetail
from service.speech import shown_parameters


class Out(BaseModel):
    """An answer: frozen, and documented field by field in the OpenAPI."""

    model_config = ConfigDict(frozen=True)


class FindingOut(Out):
    """One rule that a contact broke; see the contract for the fields of `evidence`."""

    id: UUID
    interaction: UUID = Field(description="The id of the interaction within this service.")
    agency_id: UUID
    started_at: datetime = Field(description="When the contact started.")
    rule: str = Field(examples=["THR-02"])
    severity: Severity
    disposition: Disposition
    evidence: dict[str, Any] = Field(
        description="Quote, heard text, span, seconds, facts, articles and the reason in words.",
        examples=[
            {
                "rule": "THR-02",
                "articles": ["nifa-2018/26"],
                "quote": "上门泼油漆",
                "heard": "上门颇游戏",
                "start": 12.4,
                "end": 14.1,
            }
        ],
    )
    review: StandingOut | None = Field(
        default=None, description="What people made of it; null where nobody has looked."
    )

    @classmethod
    def of(cls, row: FindingRow, review: StandingOut | None = None) -> "FindingOut":
        """Show one row, and what people made of it."""
        return cls(
            id=row.id,
            interaction=row.interaction_id,
            agency_id=row.agency_id,
            started_at=row.started_at,
            rule=row.rule,
            severity=Severity(row.severity),
            disposition=Disposition(row.disposition),
            evidence=row.doc,
            review=review,
        )


class VerdictOut(Out):
    """The outcome of one check; a later check that differs adds a revision."""

    id: UUID
    revision: int = Field(ge=1, description="1 for the first verdict, then counting up.")
    is_current: bool
    outcome: Outcome
    reasons: list[str] = Field(description="Why the outcome is inconclusive or error, in codes.")
    pack: str
    pack_digest: str
    parameters_revision: int = Field(description="The lender's parameter set; 0: the pack's own.")
    untrusted_share: float = Field(description="Share of the speech that is not relied on, 0..1.")
    evaluated_at: datetime
    findings: list[FindingOut]

    @classmethod
    def of(cls, row: VerdictRow, findings: Any, ask: Asked) -> "VerdictOut":
        """Show one row with its findings; `ask` tells what people made of them."""
        reviews = ask([finding.id for finding in findings])
        return cls(
            id=row.id,
            revision=row.revision,
            is_current=row.is_current,
            outcome=Outcome(row.outcome),
            reasons=row.reasons,
            pack=row.pack,
            pack_digest=row.pack_digest,
            parameters_revision=row.parameters_revision,
            untrusted_share=row.untrusted_share,
            evaluated_at=row.evaluated_at,
            findings=[FindingOut.of(finding, reviews.get(finding.id)) for finding in findings],
        )


class ContactCheckOut(Out):
    """The contact as a check in the manner of continuous integration."""

    status: CheckStatus = Field(description="`completed` once it has a verdict.")
    conclusion: Conclusion | None = Field(
        description="By its outcome: pass is `success`, inconclusive and error are `neutral`, "
        "review is `action_required`, fail is `failure`. Null while in progress."
    )


class InteractionOut(Out):
    """One contact and how far it has come; `outcome` is None until it is checked."""

    id: UUID = Field(description="The id within this service.")
    interaction_id: str = Field(description="The agency's own id.", examples=["C-2026-000123"])
    agency_id: UUID
    case_id: str
    channel: Channel
    direction: Literal["outbound", "inbound"]
    started_at: datetime
    received_at: datetime
    state: InteractionState
    reason: str | None = Field(description="Why it could not be processed, where it could not.")
    outcome: Outcome | None
    recording_sha256: str | None
    progress: float | None = Field(
        description="While it is transcribed: the share that is heard, 0..1. Otherwise null."
    )
    progress_at: datetime | None = Field(description="When `progress` last changed.")
    check: ContactCheckOut

    @classmethod
    def of(cls, row: InteractionRow) -> "InteractionOut":
        """Show one row."""
        conclusion = conclusion_of(row.outcome)
        status = CheckStatus.COMPLETED if conclusion else CheckStatus.IN_PROGRESS
        names = set(InteractionOut.model_fields) - {"check"}
        return cls(
            check=ContactCheckOut(status=status, conclusion=conclusion),
            **{name: getattr(row, name) for name in names},
        )


class RecordingOut(Out):
    """The bytes held for an interaction, and how long they must stay."""

    sha256: str
    size_bytes: int
    received_at: datetime
    retain_until: datetime
    purged_at: datetime | None = Field(description="When the bytes were purged; else null.")


class InteractionDetailOut(InteractionOut):
    """One contact with its current verdict."""

    receipt: UUID = Field(description="The receipt of the event that describes it.")
    campaign: str | None = Field(description="The campaign that this event names.")
    verdict: VerdictOut | None
    recording: RecordingOut | None
    flags: list[str] = Field(
        description="What is wrong or unusual about the sound, as the speech side found it.",
        examples=[["swapped_channels", "clipped"]],
    )

    @classmethod
    def of_detail(cls, detail: InteractionDetail, ask: Asked) -> "InteractionDetailOut":
        """Show one interaction and all that hangs on it."""
        return cls(
            **InteractionOut.of(detail.row).model_dump(),
            receipt=detail.event.id,
            campaign=detail.event.body.get("data", {}).get("campaign"),
            verdict=VerdictOut.of(detail.verdict, detail.findings, ask) if detail.verdict else None,
            recording=_recording(detail.recording),
            flags=list(detail.flags),
        )


def _recording(row: RecordingRow | None) -> RecordingOut | None:
    return RecordingOut.model_validate(row, from_attributes=True) if row else None


class WordOut(Out):
    """One word; times in seconds from the start of the recording, probability 0 to 1."""

    text: str
    start: float
    end: float
    probability: float


class SegmentOut(Out):
    """A stretch of one speaker's words; times in seconds from the start of the recording."""

    speaker: Speaker
    start: float
    end: float
    text: str
    trusted: bool = True
    role_score: float = 1.0
    normalised: str | None = Field(default=None, description="The text with numbers in digits.")
    biased: bool = Field(
        default=False, description="Heard only with the lender's own words; for review."
    )
    doubts: list[str] = Field(default=[], description="Why the text is not trusted, in codes.")
    words: list[WordOut] = []


class TranscriptOut(Out):
    """What was said; `engine` is None where the agency sent the transcript itself."""

    interaction: UUID
    engine: str | None
    model_digest: str | None
    parameters: dict[str, Any] = Field(
        description="Everything else that decided what the engine heard."
    )
    flags: list[str]
    decoded_seconds: float | None
    untrusted_share: float = Field(description="Share of the speech that is not relied on, 0..1.")
    segments: list[SegmentOut]

    @classmethod
    def of(
        cls,
        interaction: UUID,
        row: TranscriptRow | None,
        segments: list[dict[str, Any]],
        *,
        to_agency: bool,
    ) -> "TranscriptOut":
        """Show the engine's transcript or the sender's own."""
        return cls(
            interaction=interaction,
            engine=row.engine if row else None,
            model_digest=row.model_digest if row else None,
            parameters=shown_parameters(row.parameters, to_agency=to_agency) if row else {},
            flags=row.flags if row else [],
            decoded_seconds=row.decoded_seconds if row else None,
            untrusted_share=row.untrusted_share if row else 0.0,
            segments=[SegmentOut.model_validate(segment) for segment in segments],
        )


class AgencyOut(Out):
    """A collection agency of the lender."""

    id: UUID
    name: str
    created_at: datetime

    @classmethod
    def of(cls, row: Agency) -> "AgencyOut":
        """Show one row."""
        return cls.model_validate(row, from_attributes=True)


class InteractionPage(Out):
    """One page of interactions, newest first."""

    items: list[InteractionOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


class FindingPage(Out):
    """One page of findings, newest contact first."""

    items: list[FindingOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


class AgencyList(Out):
    """The agencies that the caller can see."""

    items: list[AgencyOut]


class VerdictList(Out):
    """Every revision of a verdict, newest first."""

    items: list[VerdictOut]

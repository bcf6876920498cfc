"""The database halves of transcription: claim a recording to hear, store what was heard."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from rules.events import InteractionCompleted, Segment
from service.models import (
    EventRow,
    InteractionRow,
    InteractionState,
    TranscriptPiece,
    TranscriptRow,
)
from service.privacy.sealed_words import open_piece, seal_heard, seal_piece
from service.speech import NO_BIAS, Bias, find_bias
from service.work import (
    MAX_TRIES,
    LostLeaseError,
    claim,
    count_try,
    find_interaction,
    finish,
    is_free,
    renew,
)

_HEARING = InteractionState.TRANSCRIBING


@dataclass(frozen=True, slots=True)
class Heard:
    """What a speech engine made of a recording; `untrusted_share` is 0 to 1."""

    segments: tuple[Segment, ...]
    engine: str
    model_digest: str
    parameters: Mapping[str, Any]
    decoded_seconds: float
    untrusted_share: float
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredPiece:
    """A finished part of a transcript; `doc` comes back to the letter, `key` says what made it."""

    position: int
    key: str
    until_seconds: float
    doc: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Hearing:
    """One claimed recording; `attempt` is the fence that `store_*` must still find.

    `pieces` are what workers before this one have heard of it. With `alone` a worker may have ended
    over it: it is to be heard with no other beside it, which would be cut short for nothing.
    """

    tenant_id: UUID
    interaction_id: UUID
    case_id: str
    sha256: str
    speakers: tuple[str, ...]
    attempt: int
    bias: Bias = NO_BIAS
    pieces: tuple[StoredPiece, ...] = ()
    alone: bool = False


def load_recording(
    session: Session, *, tenant_id: UUID, interaction_id: UUID, now: datetime
) -> Hearing | None:
    """Claim an interaction that waits to be heard; None where there is nothing for us to do.

    `begin` follows once it is really heard: until then its worker's death is not held against it.
    An interaction that has ended its worker too often becomes `undecodable` instead.
    """
    held = find_interaction(session, interaction_id)
    if held is None or held.state != _HEARING.value or not is_free(held.lease_until, now):
        return None
    if held.tries >= MAX_TRIES:
        _set_aside(session, held)
        return None
    row = claim(session, interaction_id, _HEARING, now=now, counts=False)
    if row is None:
        return None
    body = session.exec(select(EventRow.body).where(col(EventRow.id) == row.event_id)).one()
    recording = InteractionCompleted.model_validate(body).data.recording
    if recording is None:
        raise LookupError("an interaction to be heard has no recording")
    return Hearing(
        tenant_id=tenant_id,
        interaction_id=interaction_id,
        case_id=row.case_id,
        sha256=recording.sha256,
        speakers=tuple(speaker.value for speaker in recording.speakers),
        attempt=row.attempt,
        bias=find_bias(session),
        pieces=_pieces(session, interaction_id),
        alone=row.tries > 0,
    )


def begin(session: Session, work: Hearing) -> None:
    """Count the try, as the hearing begins; raises `LostLeaseError`."""
    count_try(session, work.interaction_id, work.attempt)


def _pieces(session: Session, interaction_id: UUID) -> tuple[StoredPiece, ...]:
    rows = session.exec(
        select(TranscriptPiece)
        .where(col(TranscriptPiece.interaction_id) == interaction_id)
        .order_by(col(TranscriptPiece.position))
    )
    return tuple(
        StoredPiece(row.position, row.key, row.until_seconds, open_piece(row)) for row in rows
    )


def store_piece(
    session: Session,
    work: Hearing,
    piece: StoredPiece,
    *,
    progress: float | None,
    now: datetime,
) -> None:
    """Keep a finished part; raises `LostLeaseError`, and writes nothing, without the fence.

    The lease is renewed first: its row's lock keeps a successor's claim waiting until the commit.
    """
    is_ours = renew(
        session,
        work.interaction_id,
        work.attempt,
        now=now,
        progress=progress,
        has_stored=True,
    )
    if not is_ours:
        raise LostLeaseError
    values = {
        "key": piece.key,
        "until_seconds": piece.until_seconds,
        "doc": {},
        "sealed": seal_piece(work.tenant_id, work.interaction_id, piece.position, piece.doc),
        "created_at": now,
    }
    session.exec(
        insert(TranscriptPiece)
        .values(
            tenant_id=work.tenant_id,
            interaction_id=work.interaction_id,
            position=piece.position,
            **values,
        )
        .on_conflict_do_update(
            index_elements=["tenant_id", "interaction_id", "position"], set_=values
        )
    )


def store_transcript(session: Session, work: Hearing, heard: Heard, *, now: datetime) -> None:
    """Write what was heard and ask for a check; raises `LostLeaseError` where the fence is gone."""
    _end(session, work, InteractionState.TRANSCRIBED, None)
    said = seal_heard(
        session,
        work.tenant_id,
        work.interaction_id,
        segments=[segment.model_dump(mode="json", exclude={"words"}) for segment in heard.segments],
        words=[
            [word.model_dump(mode="json") for word in segment.words] for segment in heard.segments
        ],
    )
    values = {
        **said,
        "recording_sha256": work.sha256,
        "engine": heard.engine,
        "model_digest": heard.model_digest,
        "parameters": dict(heard.parameters),
        "decoded_seconds": heard.decoded_seconds,
        "untrusted_share": heard.untrusted_share,
        "flags": list(heard.flags),
        "created_at": now,
    }
    session.exec(
        insert(TranscriptRow)
        .values(tenant_id=work.tenant_id, interaction_id=work.interaction_id, **values)
        .on_conflict_do_update(index_elements=["tenant_id", "interaction_id"], set_=values)
    )


def store_undecodable(session: Session, work: Hearing, reason: str) -> None:
    """Write why nothing can be heard; the bytes stay. Raises `LostLeaseError`."""
    _end(session, work, InteractionState.UNDECODABLE, reason)


def _end(session: Session, work: Hearing, entered: InteractionState, reason: str | None) -> None:
    finish(
        session,
        work.interaction_id,
        case_id=work.case_id,
        attempt=work.attempt,
        left=_HEARING,
        entered=entered,
        reason=reason,
    )


def _set_aside(session: Session, row: InteractionRow) -> None:
    finish(
        session,
        row.id,
        case_id=row.case_id,
        attempt=row.attempt,
        left=_HEARING,
        entered=InteractionState.UNDECODABLE,
        reason=f"set_aside: transcription was cut short {MAX_TRIES} times",
    )

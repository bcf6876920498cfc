"""The read side: pages of interactions, verdicts and findings, newest first."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, tuple_
from sqlmodel import Session, col, select

from service.db import front_door_session
from service.errors import FieldProblem, InvalidInputError, NotFoundError
from service.keeping.manifest_queries import ids_in_campaign, ids_in_manifest
from service.models import (
    Agency,
    EventRow,
    FindingRow,
    Heartbeat,
    InteractionRow,
    RecordingRow,
    TranscriptRow,
    VerdictRow,
)
from service.privacy.sealed_words import segments_of, words_of

Period = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list is narrowed by; None leaves a field open. `to` is exclusive."""

    case_id: str | None = None
    agency_id: UUID | None = None
    outcome: str | None = None
    rule: str | None = None
    severity: str | None = None
    disposition: str | None = None
    since: datetime | None = None
    to: datetime | None = None
    period: Period | None = None
    campaign: str | None = None
    manifest: UUID | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page and the cursor of the next; None on the last page."""

    rows: Sequence[Any]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class InteractionDetail:
    """One interaction with its current verdict and what it stands on."""

    row: InteractionRow
    event: EventRow
    verdict: VerdictRow | None
    findings: Sequence[FindingRow]
    recording: RecordingRow | None
    flags: Sequence[str]


def make_cursor(started_at: datetime, row_id: UUID) -> str:
    """Name a place in a list, opaque to callers."""
    text = orjson.dumps([started_at.isoformat(), str(row_id)])
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Read a cursor back; raises `InvalidInputError` for anything `make_cursor` did not make."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        moment, row_id = orjson.loads(text)
        found = datetime.fromisoformat(moment)
        if found.tzinfo is None:
            raise ValueError(cursor)  # noqa: TRY301  one answer for every bad cursor
        return found, UUID(row_id)
    except (binascii.Error, ValueError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            "The cursor is not one that this service gave.",
            errors=(FieldProblem("cursor", "take it from next_cursor of the page before"),),
        ) from error


def list_interactions(
    session: Session, filters: Filters, *, cursor: str | None = None, limit: int = 50
) -> Page:
    """Interactions by start, newest first; `outcome` and `rule` look at the current verdict."""
    table = InteractionRow
    conditions = _conditions(table, filters)
    if filters.outcome is not None:
        conditions.append(col(table.outcome) == filters.outcome)
    if filters.rule is not None:
        found = select(FindingRow.interaction_id).where(
            col(FindingRow.verdict_id) == col(table.verdict_id), FindingRow.rule == filters.rule
        )
        conditions.append(found.exists())
    return _page(session, table, conditions, cursor, limit)


def list_findings(
    session: Session, filters: Filters, *, cursor: str | None = None, limit: int = 50
) -> Page:
    """Findings of current verdicts by the start of their interaction, newest first."""
    table = FindingRow
    conditions = _conditions(table, filters)
    current = select(InteractionRow.id).where(
        col(InteractionRow.verdict_id) == col(table.verdict_id)
    )
    if filters.case_id is not None:
        current = current.where(InteractionRow.case_id == filters.case_id)
    if filters.outcome is not None:
        current = current.where(InteractionRow.outcome == filters.outcome)
    conditions.append(current.exists())
    for name in ("rule", "severity", "disposition"):
        value = getattr(filters, name)
        if value is not None:
            conditions.append(getattr(table, name) == value)
    return _page(session, table, conditions, cursor, limit)


def get_interaction(
    session: Session, interaction_id: UUID, *, period: Period | None = None
) -> InteractionDetail:
    """One interaction; raises `NotFoundError` where it is not there for this caller."""
    row = _interaction(session, interaction_id, period)
    event = session.exec(select(EventRow).where(EventRow.id == row.event_id)).one()
    verdict = session.exec(select(VerdictRow).where(VerdictRow.id == row.verdict_id)).first()
    recording = session.exec(
        select(RecordingRow).where(RecordingRow.sha256 == row.recording_sha256)
    ).first()
    flags = session.exec(
        select(TranscriptRow.flags).where(
            TranscriptRow.interaction_id == interaction_id,
            TranscriptRow.recording_sha256 == row.recording_sha256,
        )
    ).first()
    return InteractionDetail(
        row,
        event,
        verdict,
        findings_of(session, verdict) if verdict else (),
        recording,
        flags or (),
    )


def list_verdicts(
    session: Session, interaction_id: UUID, *, period: Period | None = None
) -> list[tuple[VerdictRow, Sequence[FindingRow]]]:
    """Every revision of one interaction's verdict, the newest first."""
    _interaction(session, interaction_id, period)
    verdicts = session.exec(
        select(VerdictRow)
        .where(VerdictRow.interaction_id == interaction_id)
        .order_by(col(VerdictRow.revision).desc())
    ).all()
    return [(verdict, findings_of(session, verdict)) for verdict in verdicts]


def get_transcript(
    session: Session, interaction_id: UUID, *, period: Period | None = None
) -> tuple[TranscriptRow | None, list[dict[str, Any]]]:
    """What was said: the engine's row, if there is one, and the segments."""
    row = _interaction(session, interaction_id, period)
    heard = session.exec(
        select(TranscriptRow).where(TranscriptRow.interaction_id == interaction_id)
    ).first()
    if heard is not None:
        return heard, _with_words(heard)
    event = session.exec(select(EventRow).where(EventRow.id == row.event_id)).one()
    given = event.body.get("data", {}).get("transcript")
    if given is None:
        raise NotFoundError("This interaction has no transcript.")
    # `doubts` are our own; what a sender may have written there is not shown as ours.
    return None, [
        {key: value for key, value in segment.items() if key != "doubts"} for segment in given
    ]


def _with_words(heard: TranscriptRow) -> list[dict[str, Any]]:
    """The segments, each with its words where they are known."""
    segments = segments_of(heard)
    words = words_of(heard) or [[] for _ in segments]
    return [{**segment, "words": own} for segment, own in zip(segments, words, strict=True)]


def read_heartbeats(*, at: datetime) -> list[tuple[str, float]]:
    """How long ago each periodic step ran, in seconds before `at`."""
    with front_door_session() as session:
        rows = session.exec(select(Heartbeat)).all()
    return [(row.name, (at - row.at).total_seconds()) for row in rows]


def list_agencies(session: Session) -> Sequence[Agency]:
    """The agencies that the caller can see, by name."""
    return session.exec(select(Agency).order_by(Agency.name, col(Agency.id))).all()


def get_agency(session: Session, agency_id: UUID) -> Agency:
    """One agency; raises `NotFoundError`."""
    row = session.exec(select(Agency).where(Agency.id == agency_id)).first()
    if row is None:
        raise NotFoundError("There is no such agency.")
    return row


def findings_of(session: Session, verdict: VerdictRow) -> Sequence[FindingRow]:
    """The findings of one verdict, in its order."""
    return session.exec(
        select(FindingRow)
        .where(FindingRow.verdict_id == verdict.id)
        .order_by(col(FindingRow.position))
    ).all()


def _interaction(session: Session, interaction_id: UUID, period: Period | None) -> InteractionRow:
    row = session.exec(select(InteractionRow).where(InteractionRow.id == interaction_id)).first()
    if row is None or (period and not period[0] <= row.started_at < period[1]):
        raise NotFoundError("There is no such interaction.")
    return row


def _conditions(table: Any, filters: Filters) -> list[ColumnElement[bool]]:
    found = []
    if filters.agency_id is not None:
        found.append(table.agency_id == filters.agency_id)
    if filters.case_id is not None and table is InteractionRow:
        found.append(table.case_id == filters.case_id)
    contact = col(table.id if table is InteractionRow else table.interaction_id)
    if filters.campaign is not None:
        found.append(contact.in_(ids_in_campaign(filters.campaign)))
    if filters.manifest is not None:
        found.append(contact.in_(ids_in_manifest(filters.manifest)))
    for since, to in ((filters.since, filters.to), filters.period or (None, None)):
        if since is not None:
            found.append(table.started_at >= since)
        if to is not None:
            found.append(table.started_at < to)
    return found


def _page(
    session: Session,
    table: Any,
    conditions: list[ColumnElement[bool]],
    cursor: str | None,
    limit: int,
) -> Page:
    if cursor is not None:
        conditions.append(tuple_(table.started_at, table.id) < read_cursor(cursor))
    rows = session.exec(
        select(table)
        .where(*conditions)
        .order_by(table.started_at.desc(), table.id.desc())
        .limit(limit + 1)
    ).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(rows[:limit], make_cursor(last.started_at, last.id) if last else None)

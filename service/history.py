"""Reads everything that is known of a case into the history that the engine judges."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy.orm import QueryableAttribute, defer
from sqlmodel import Session, col, select

from rules.events import EVENT
from rules.history import AnyEvent, Key, build_histories
from rules.model import Audio, CaseHistory
from service.keeping.retention import raise_case
from service.models import (
    EventRow,
    InteractionRow,
    InteractionState,
    TranscriptRow,
)
from service.privacy.sealed_words import segments_of
from service.privacy.sealing import open_event

# What only our own engine may say of words: in a sender's transcript it would excuse them.
ENGINE_MARKS = frozenset({"trusted", "biased", "doubts"})
# A check reads the whole case; the words with their times are many and say nothing to a rule.
_WITHOUT_WORDS = [
    defer(cast("QueryableAttribute[Any]", column), raiseload=True)
    for column in (TranscriptRow.words, TranscriptRow.sealed_words)
]


def list_interactions(session: Session, case_id: str) -> dict[Key, InteractionRow]:
    """The interactions of a case, by agency and the agency's own id."""
    rows = session.exec(select(InteractionRow).where(col(InteractionRow.case_id) == case_id))
    return {(str(row.agency_id), row.interaction_id): row for row in rows}


def read_history(session: Session, case_id: str, rows: Mapping[Key, InteractionRow]) -> CaseHistory:
    """Read a case's events, transcripts and recordings; `rows` are its interactions.

    On the way each recording's `retain_until` is raised to the floor that the case asks for.
    """
    transcripts = _transcripts(session, rows)
    events = _events(session, case_id, rows, transcripts)
    history = build_histories(events).get(case_id, CaseHistory(case_id))
    kept = raise_case(session, case_id)
    return _with_audio(history, rows, transcripts, kept)


def _transcripts(session: Session, rows: Mapping[Key, InteractionRow]) -> dict[UUID, TranscriptRow]:
    """The transcripts that belong to the interactions' present recordings, by interaction."""
    wanted = {row.id: row.recording_sha256 for row in rows.values() if row.to_hear}
    found = session.exec(
        select(TranscriptRow)
        .where(col(TranscriptRow.interaction_id).in_(wanted))
        .options(*_WITHOUT_WORDS)
    )
    return {
        row.interaction_id: row
        for row in found
        if row.recording_sha256 == wanted[row.interaction_id]
    }


def _events(
    session: Session,
    case_id: str,
    rows: Mapping[Key, InteractionRow],
    transcripts: Mapping[UUID, TranscriptRow],
) -> list[AnyEvent]:
    """Every event of the case, each contact with its agency and with what was heard of it."""
    events: list[AnyEvent] = []
    found = select(EventRow).where(
        col(EventRow.case_id) == case_id, col(EventRow.erased_at).is_(None)
    )
    for event in session.exec(found):
        body = open_event(event)
        if event.interaction_id is not None:
            key = (str(event.agency_id), event.interaction_id)
            data = {**body["data"], "agency_id": key[0]}
            heard = transcripts.get(rows[key].id)
            # Only the version of a contact that announced these very bytes has these words.
            if data.get("transcript") is not None:
                data["transcript"] = [_as_said(segment) for segment in data["transcript"]]
            elif heard is not None:
                announced = (data.get("recording") or {}).get("sha256")
                if announced == heard.recording_sha256:
                    data["transcript"] = segments_of(heard)
            body = {**body, "data": data}
        events.append(EVENT.validate_python(body))
    return events


def _as_said(segment: dict[str, Any]) -> dict[str, Any]:
    """A sender's segment without the marks that only our engine sets: they would excuse words."""
    return {name: value for name, value in segment.items() if name not in ENGINE_MARKS}


def _with_audio(
    history: CaseHistory,
    rows: Mapping[Key, InteractionRow],
    transcripts: Mapping[UUID, TranscriptRow],
    kept: Mapping[str, datetime],
) -> CaseHistory:
    contacts = []
    for contact in history.contacts:
        row = rows[contact.key]
        audio = replace(
            _audio(row, transcripts.get(row.id), contact.audio),
            retain_until=kept.get(row.recording_sha256 or ""),
        )
        contacts.append(replace(contact, audio=audio))
    return replace(history, contacts=tuple(contacts))


def _audio(row: InteractionRow, heard: TranscriptRow | None, said: Audio) -> Audio:
    if heard is not None:
        return Audio(
            state="transcribed",
            decoded_seconds=heard.decoded_seconds,
            untrusted_share=heard.untrusted_share,
            flags=tuple(heard.flags),
        )
    if row.state == InteractionState.UNDECODABLE.value:
        return Audio(state="failed", reason=row.reason)
    if row.state == InteractionState.MISSING.value:
        return Audio(state="missing", reason=row.reason)
    return said

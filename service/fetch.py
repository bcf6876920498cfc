"""The database halves of fetching: claim a recording at a URL, store what became of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel import Session, col, select

from rules.events import InteractionCompleted
from service.ingest import record_arrival
from service.models import EventRow, InteractionRow, InteractionState
from service.work import claim, finish

_FETCHING = InteractionState.FETCHING
_REST_S = (10, 60, 300, 1800, 7200)


@dataclass(frozen=True, slots=True)
class Fetch:
    """One claimed download; `attempt` is its fence, `tries` counts it."""

    tenant_id: UUID
    interaction_id: UUID
    agency_id: UUID
    url: str
    sha256: str
    attempt: int
    tries: int


def load_url(
    session: Session, *, tenant_id: UUID, interaction_id: UUID, now: datetime
) -> Fetch | None:
    """Claim an interaction whose recording is to be fetched; None where nothing is to do."""
    row = claim(session, interaction_id, _FETCHING, now=now)
    if row is None:
        return None
    body = session.exec(select(EventRow.body).where(col(EventRow.id) == row.event_id)).one()
    recording = InteractionCompleted.model_validate(body).data.recording
    if recording is None or recording.url is None:
        raise LookupError("an interaction to be fetched has no address")
    return Fetch(
        tenant_id=tenant_id,
        interaction_id=interaction_id,
        agency_id=row.agency_id,
        url=recording.url,
        sha256=recording.sha256,
        attempt=row.attempt,
        tries=row.tries,
    )


def store_arrival(session: Session, work: Fetch, *, size_bytes: int, now: datetime) -> None:
    """Note that the bytes lie in the store, which sends every interaction waiting for them on.

    No fence is needed: whoever brought them, the bytes are the ones that were announced.
    """
    record_arrival(
        session,
        tenant_id=work.tenant_id,
        agency_id=work.agency_id,
        sha256=work.sha256,
        size_bytes=size_bytes,
        now=now,
    )


def store_failure(
    session: Session, work: Fetch, code: str, *, is_final: bool, now: datetime
) -> None:
    """Let the download rest, or, when it is final, wait for the bytes to be sent instead.

    Does nothing where somebody else has claimed the interaction since.
    """
    row = session.exec(
        select(InteractionRow)
        .where(col(InteractionRow.id) == work.interaction_id)
        .where(col(InteractionRow.attempt) == work.attempt)
        .where(col(InteractionRow.state) == _FETCHING.value)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return
    row.reason = f"fetch_failed: {code}"
    if is_final or work.tries > len(_REST_S):
        row.state, row.tries, row.lease_until = InteractionState.WAITING.value, 0, None
    else:
        row.lease_until = now + timedelta(seconds=_REST_S[work.tries - 1])


def list_overdue(session: Session, *, announced_before: datetime) -> list[InteractionRow]:
    """The interactions whose recordings were announced too long ago and never came."""
    states = [InteractionState.WAITING.value, _FETCHING.value]
    return list(
        session.exec(
            select(InteractionRow)
            .where(col(InteractionRow.state).in_(states))
            .where(col(InteractionRow.received_at) <= announced_before)
        )
    )


def store_missing(session: Session, row: InteractionRow) -> None:
    """Stop waiting for a recording and have the contact checked without it.

    Raises `LostLeaseError` where the interaction has moved on since it was listed.
    """
    finish(
        session,
        row.id,
        case_id=row.case_id,
        attempt=row.attempt,
        left=InteractionState(row.state),
        entered=InteractionState.MISSING,
        reason=row.reason or "never_received",
    )

"""Step 1: take events in, or a recording's bytes, so that what was acknowledged is never lost."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

import orjson
import psycopg
from psycopg import errors as pg
from psycopg_pool import PoolTimeout
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from rules.events import InteractionCompleted
from service import db
from service.audit import add_entry
from service.errors import (
    ConflictError,
    FieldProblem,
    ServiceError,
    StorageFullError,
    UnavailableError,
)
from service.event_body import AnyEvent, Parsed, parse, refusal
from service.jobs import Job, enqueue
from service.keeping.retention import first_until
from service.keeping.storage import store
from service.privacy.sealing import part_event

T = TypeVar("T")

_TRIES = 3
_OTHER_CASE = "HG002"
# One statement takes in any number of events, a lender's by one call of the function.
_CALL = (
    "select a.given, a.receipt, a.body_sha256, a.received_at"
    " from jsonb_to_recordset(%s::jsonb) as t(tenant uuid, arrived jsonb),"
    " lateral hegui_ingest_all(t.tenant, array(select r"
    " from jsonb_populate_recordset(null::hegui_arrival, t.arrived) as r)) as a"
)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The receipt of an event; `fresh` is False for a repetition."""

    receipt: UUID
    fresh: bool
    body_sha256: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that holds, ready to be stored; `columns` are those of the type `hegui_arrival`.

    `receipt` is what it gets where it did not come before.
    """

    tenant_id: UUID
    receipt: UUID
    digest: str
    columns: dict[str, Any]


def _interaction_columns(event: AnyEvent) -> dict[str, Any]:
    if not isinstance(event, InteractionCompleted):
        return {"has_url": False, "to_hear": False}
    data = event.data
    recording = data.recording
    return {
        "interaction": data.interaction_id,
        "channel": data.channel.value,
        "direction": data.direction,
        "started_at": data.started_at.astimezone(UTC),
        "recording": recording.sha256 if recording else None,
        "has_url": bool(recording and recording.url),
        "to_hear": recording is not None and data.transcript is None,
    }


def read_event(
    *,
    tenant_id: UUID,
    agency_id: UUID,
    message_id: str,
    body: bytes,
    parsed: Parsed | None = None,
) -> Entry:
    """Read a signed body into what will be stored, its persons sealed; raises `InvalidInputError`.

    `parsed` is the event of a body in another form than our own.
    """
    parsed = parsed or parse(body)
    event = parsed.event
    digest = hashlib.sha256(body).hexdigest()
    parted = part_event(
        parsed.document, tenant_id=tenant_id, agency_id=agency_id, message_id=message_id
    )
    receipt = uuid4()
    columns = {
        "receipt": receipt,
        "agency": agency_id,
        "message_id": message_id,
        "digest": digest,
        "body": parted.body,
        "sealed": None if parted.sealed is None else f"\\x{parted.sealed.hex()}",
        "phones": parted.phones,
        "kind": event.type,
        "case_id": event.data.case_id,
        "occurred_at": event.timestamp.astimezone(UTC),
        **_interaction_columns(event),
    }
    return Entry(tenant_id=tenant_id, receipt=receipt, digest=digest, columns=columns)


def patiently(work: Callable[[], T]) -> T:
    """Run one idempotent transaction, again where the database lost a race or its connection.

    Raises `UnavailableError` or `StorageFullError` where it cannot be done now.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            return work()
        except (psycopg.Error, DBAPIError) as error:
            _rest_or_raise(error, last=attempt == _TRIES)
    raise AssertionError


def _rest_or_raise(error: psycopg.Error | DBAPIError, *, last: bool) -> None:
    """Return where the work is worth another try; raise what the caller should see otherwise."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    match cause:
        case pg.DeadlockDetected() | pg.SerializationFailure():
            if last:
                raise UnavailableError("The database is busy; send it again.") from None
        case pg.DiskFull() | pg.InsufficientResources():
            raise StorageFullError("The database has no room; send it again later.") from None
        case pg.QueryCanceled() | pg.LockNotAvailable() | PoolTimeout():
            raise UnavailableError("The database is busy; send it again.") from None
        case psycopg.Error(sqlstate=str() as state) if state.startswith("HG"):
            raise error  # our own refusals; the driver takes their class for an operational fault
        case psycopg.OperationalError() | psycopg.InterfaceError():
            if last:
                raise UnavailableError("The database is away; send it again.") from None
            # It may have restarted under the pool; dead connections are replaced first.
            db.pool().check()
        case _:
            raise error


def _store(entries: Sequence[Entry]) -> list[Accepted]:
    """Take all events in by one transaction; its commit is the acknowledgement."""
    # Lenders in one order, and the function locks their cases in one order, whoever stores.
    lenders: dict[UUID, list[dict[str, Any]]] = {}
    for entry in entries:
        lenders.setdefault(entry.tenant_id, []).append(entry.columns)
    document = orjson.dumps(
        [{"tenant": tenant, "arrived": lenders[tenant]} for tenant in sorted(lenders)]
    ).decode()
    with db.pool().connection() as connection:
        connection.renew_plans()
        rows = connection.execute(_CALL, (document,)).fetchall()
    found = {
        given: Accepted(receipt, given == receipt, digest, received_at)
        for given, receipt, digest, received_at in rows
    }
    return [found[entry.receipt] for entry in entries]


def _store_one(entry: Entry) -> Accepted | Exception:
    try:
        return patiently(lambda: _store([entry]))[0]
    except pg.DataError:
        return refusal("holds a value that cannot be stored")
    except psycopg.Error as error:
        if error.sqlstate != _OTHER_CASE:
            return error
        problem = FieldProblem("data.case_id", "differs from the case of this interaction")
        return ConflictError(
            "The interaction was reported under another case before.",
            code="interaction_of_other_case",
            errors=(problem,),
        )
    except ServiceError as error:
        return error


def store_events(entries: Sequence[Entry]) -> list[Accepted | Exception]:
    """Take events in together, each once: its row, case, interaction and jobs in one transaction.

    Answers one by one: a receipt, or the error that this event met. An event that cannot be stored
    does not hold up the others: they are then taken in one at a time.
    """
    try:
        return (
            [*patiently(lambda: _store(entries))] if len(entries) > 1 else [_store_one(entries[0])]
        )
    except UnavailableError as error:
        return [error] * len(entries)
    except psycopg.Error:
        return [_store_one(entry) for entry in entries]


def settle(entry: Entry, stored: Accepted | Exception) -> Accepted:
    """Return the receipt; raises what the event met, and `ConflictError` for another body."""
    if isinstance(stored, Exception):
        raise stored
    if stored.body_sha256 != entry.digest:
        raise ConflictError(
            "This webhook-id came before with another body; the first one stands.",
            code="idempotency_conflict",
        )
    return stored


_LOCK = text("select pg_advisory_xact_lock(hashtextextended(:tenant || :sha256, 0))")
_KEEP = text(
    "insert into recording (tenant_id, sha256, size_bytes, received_at, retain_until)"
    " values (:tenant, :sha256, :size, :now, :until)"
    " on conflict (tenant_id, sha256) do nothing returning sha256"
)
# Bytes that were purged and come again are kept again; their tombstone stays in the purge run.
_RETURN = text(
    "update recording set purged_at = null, purge_run_id = null, received_at = :now,"
    " retain_until = greatest(retain_until, :until), store_until = null, store_held = false"
    " where tenant_id = :tenant and sha256 = :sha256 and purged_at is not null returning sha256"
)
_RELEASE = text(
    "update interaction set state = 'transcribing', reason = null, attempt = attempt + 1,"
    " tries = 0, lease_until = null"
    " where tenant_id = :tenant and agency_id = :agency and recording_sha256 = :sha256 and to_hear"
    " and state in ('waiting', 'fetching', 'missing') returning id"
)


def _note_return(session: Session, *, tenant_id: UUID, agency_id: UUID, sha256: str) -> None:
    """See that the bytes are there again; a purge may have taken them since they were written."""
    if not store().exists(tenant_id, sha256):
        raise UnavailableError("The recording was being purged; send it again.")
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=str(agency_id),
        action="recording_returned",
        subject_id=sha256,
    )


def record_arrival(
    session: Session,
    *,
    tenant_id: UUID,
    agency_id: UUID,
    sha256: str,
    size_bytes: int,
    now: datetime,
) -> bool:
    """Note that a recording's bytes lie in the store, and send on the interactions waiting for it.

    Only the given agency's interactions move: holding the bytes is what entitles to them. Returns
    whether the recording was new. Its first date is that of the contacts known; a check may only
    extend it.
    """
    connection = session.connection()
    connection.execute(_LOCK, {"tenant": str(tenant_id), "sha256": sha256})
    until = first_until(session, sha256, now=now)
    values = {"tenant": tenant_id, "sha256": sha256, "now": now, "until": until}
    fresh = connection.execute(_KEEP, {**values, "size": size_bytes}).first() is not None
    if not fresh and connection.execute(_RETURN, values).first() is not None:
        _note_return(session, tenant_id=tenant_id, agency_id=agency_id, sha256=sha256)
        fresh = True
    released = connection.execute(
        _RELEASE, {"tenant": tenant_id, "agency": agency_id, "sha256": sha256}
    )
    for (interaction,) in released.all():
        enqueue(session, Job.TRANSCRIBE, tenant_id=tenant_id, subject_id=interaction)
    return fresh

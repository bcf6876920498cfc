"""Step 1: take an event in, or a recording's bytes, so that what was acknowledged is never lost."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar
from uuid import UUID

import orjson
import psycopg
from psycopg import errors as pg
from psycopg_pool import PoolTimeout
from pydantic import ValidationError
from sqlalchemy import text
from sqlmodel import Session

from rules.events import EVENT, CaseUpserted, InteractionCompleted, StopRequested
from service import db
from service.config import settings
from service.errors import (
    ConflictError,
    FieldProblem,
    InvalidInputError,
    StorageFullError,
    UnavailableError,
)
from service.jobs import Job, enqueue

T = TypeVar("T")

MAX_PROBLEMS = 50
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_LARGEST = 2**63 - 1
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_BOM = b"\xef\xbb\xbf"
_TRIES = 3
_KINDS = {"case.upserted", "interaction.completed", "stop.requested"}
# What a whole-object check says begins with the field that it is about.
_NAMED_FIRST = re.compile(r"^(ended_at|text|visit|end|start|transcript|recording)\b")
_FIELD_NAME = re.compile(r"[a-z_0-9]{1,40}", re.ASCII)
_CALL = (
    "select receipt, fresh, body_sha256, received_at from hegui_ingest("
    "%s, %s, %s, %s, %s::jsonb, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The receipt of an event; `fresh` is False for a repetition."""

    receipt: UUID
    fresh: bool
    body_sha256: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Parsed:
    """An event that holds, and its document as it will be kept."""

    event: CaseUpserted | InteractionCompleted | StopRequested
    document: str


def _refuse(message: str, field: str = "body") -> NoReturn:
    raise InvalidInputError(
        "The event is not one we can take.", errors=(FieldProblem(field, message),)
    )


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = ""
        for twice, _ in pairs:
            if twice in seen:
                break
            seen.add(twice)
        # An odd name is the sender's text, not a field's name.
        is_name = _FIELD_NAME.fullmatch(twice)
        _refuse("appears twice in one object", twice if is_name else "body")
    return found


def _bounded_int(digits: str) -> int:
    number = int(digits) if len(digits) <= len(str(_LARGEST)) + 1 else _LARGEST + 1
    if not -_LARGEST - 1 <= number <= _LARGEST:
        _refuse("holds a whole number beyond 64 bits")
    return number


def _finite_float(digits: str) -> float:
    number = float(digits)
    if number in {float("inf"), float("-inf")}:
        _refuse("holds a number that is too large")
    return number


def _refuse_constant(_name: str) -> NoReturn:
    _refuse("holds NaN or Infinity, which are not JSON")


def read_json(body: bytes) -> tuple[Any, bytes]:
    """Read strict JSON; return the value and its canonical bytes, which PostgreSQL can hold.

    Refuses, as `InvalidInputError`, what parsers disagree on or databases cannot keep: a byte order
    mark, doubled fields, NaN, numbers beyond 64 bits, NUL, lone surrogates, extreme depth.
    """
    if not body.strip():
        _refuse("is empty")
    if body.startswith(_BOM):
        _refuse("begins with a byte order mark")
    try:
        document = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_int=_bounded_int,
            parse_float=_finite_float,
            parse_constant=_refuse_constant,
        )
    except UnicodeDecodeError:
        _refuse("is not UTF-8")
    except json.JSONDecodeError as error:
        _refuse(f"is not JSON: {error.msg} (line {error.lineno}, column {error.colno})")
    except RecursionError:
        _refuse("is nested too deep")
    try:
        canonical = orjson.dumps(document)
    except (TypeError, RecursionError):
        _refuse("is nested too deep or holds a lone surrogate")
    if b"\\u0000" in canonical and _NUL.search(canonical):
        _refuse("holds a NUL character")
    return document, canonical


def _problem_of(error: Any) -> FieldProblem:
    """Name the field of one pydantic error, without its value."""
    kind, location, message = error["type"], error["loc"], error["msg"]
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return FieldProblem("type", f"must be one of: {', '.join(sorted(_KINDS))}")
    path = [str(part) for part in location if part not in _KINDS]
    message = message.removeprefix("Value error, ")
    named = _NAMED_FIRST.match(message)
    if kind == "value_error" and named and (not path or path[-1] != named[1]):
        path.append(named[1])
    if kind == "missing":
        message = "is required"
    return FieldProblem(".".join(path) or "body", message)


def parse(body: bytes) -> Parsed:
    """Read one event; raises `InvalidInputError` that names every field that is wrong."""
    document, canonical = read_json(body)
    if not isinstance(document, dict):
        _refuse("must be one JSON object")
    try:
        event = EVENT.validate_python(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise InvalidInputError(
            "The event has fields that are missing or wrong.",
            errors=tuple(_problem_of(problem) for problem in found[:MAX_PROBLEMS]),
        ) from None
    for field, moment in _moments(event):
        if not _EARLIEST <= moment < _LATEST:
            _refuse("must lie between 1990 and 2100", field)
    return Parsed(event=event, document=canonical.decode())


def _moments(
    event: CaseUpserted | InteractionCompleted | StopRequested,
) -> list[tuple[str, datetime]]:
    found = [("timestamp", event.timestamp)]
    if isinstance(event, InteractionCompleted):
        found.append(("data.started_at", event.data.started_at))
        if event.data.ended_at is not None:
            found.append(("data.ended_at", event.data.ended_at))
    elif isinstance(event, StopRequested):
        found.append(("data.at", event.data.at))
    return found


def _interaction_part(
    event: CaseUpserted | InteractionCompleted | StopRequested,
) -> tuple[Any, ...]:
    """Return the interaction's columns: id, channel, direction, start, hash, has url, to hear."""
    if not isinstance(event, InteractionCompleted):
        return (None, None, None, None, None, False, False)
    data = event.data
    recording = data.recording
    return (
        data.interaction_id,
        data.channel.value,
        data.direction,
        data.started_at.astimezone(UTC),
        recording.sha256 if recording else None,
        bool(recording and recording.url),
        recording is not None and data.transcript is None,
    )


def _store(arguments: tuple[Any, ...]) -> tuple[UUID, bool, str, datetime]:
    """Run the one statement that takes an event in; its commit is the acknowledgement."""
    with db.pool().connection() as connection:
        row = connection.execute(_CALL, arguments).fetchone()
    assert row is not None
    receipt, fresh, digest, received_at = row
    return receipt, fresh, digest, received_at


def patiently(work: Callable[[], T]) -> T:
    """Run one idempotent transaction, again where the database lost a race or its connection.

    Raises `UnavailableError` or `StorageFullError` where it cannot be done now.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            return work()
        except (pg.DeadlockDetected, pg.SerializationFailure):
            if attempt == _TRIES:
                raise UnavailableError("The database is busy; send it again.") from None
        except (pg.DiskFull, pg.InsufficientResources):
            raise StorageFullError("The database has no room; send it again later.") from None
        except (pg.QueryCanceled, pg.LockNotAvailable, PoolTimeout):
            raise UnavailableError("The database is busy; send it again.") from None
        except (psycopg.OperationalError, psycopg.InterfaceError):
            if attempt == _TRIES:
                raise UnavailableError("The database is away; send it again.") from None
            # It may have restarted under the pool; dead connections are replaced first.
            db.pool().check()
    raise AssertionError


def accept_event(*, tenant_id: UUID, agency_id: UUID, message_id: str, body: bytes) -> Accepted:
    """Take an event in once; its row, its case, its interaction and its jobs are one transaction.

    Raises `InvalidInputError` for a malformed event, and `ConflictError` where the message id
    came before with another body or the interaction belongs to another case.
    """
    parsed = parse(body)
    event = parsed.event
    digest = hashlib.sha256(body).hexdigest()
    arguments = (
        tenant_id,
        agency_id,
        message_id,
        digest,
        parsed.document,
        event.type,
        event.data.case_id,
        event.timestamp.astimezone(UTC),
        *_interaction_part(event),
    )
    try:
        receipt, fresh, held_digest, received_at = patiently(lambda: _store(arguments))
    except pg.DataError:
        _refuse("holds a value that cannot be stored")
    except psycopg.Error as error:
        if error.sqlstate != "HG002":
            raise
        problem = FieldProblem("data.case_id", "differs from the case of this interaction")
        raise ConflictError(
            "The interaction was reported under another case before.",
            code="interaction_of_other_case",
            errors=(problem,),
        ) from None
    if held_digest != digest:
        raise ConflictError(
            "This webhook-id came before with another body; the first one stands.",
            code="idempotency_conflict",
        )
    return Accepted(receipt, fresh, held_digest, received_at)


_LOCK = text("select pg_advisory_xact_lock(hashtextextended(:tenant || :sha256, 0))")
_KEEP = text(
    "insert into recording (tenant_id, sha256, size_bytes, received_at, retain_until)"
    " values (:tenant, :sha256, :size, :now, :until)"
    " on conflict (tenant_id, sha256) do nothing returning sha256"
)
_RELEASE = text(
    "update interaction set state = 'transcribing', reason = null, attempt = attempt + 1,"
    " tries = 0, lease_until = null"
    " where tenant_id = :tenant and agency_id = :agency and recording_sha256 = :sha256 and to_hear"
    " and state in ('waiting', 'fetching', 'missing') returning id"
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
    whether the recording was new. The first retention is a floor; the check may only extend it.
    """
    connection = session.connection()
    connection.execute(_LOCK, {"tenant": str(tenant_id), "sha256": sha256})
    until = now + timedelta(days=settings().retention_floor_days)
    fresh = connection.execute(
        _KEEP,
        {"tenant": tenant_id, "sha256": sha256, "size": size_bytes, "now": now, "until": until},
    ).first()
    released = connection.execute(
        _RELEASE, {"tenant": tenant_id, "agency": agency_id, "sha256": sha256}
    )
    for (interaction,) in released.all():
        enqueue(session, Job.TRANSCRIBE, tenant_id=tenant_id, subject_id=interaction)
    return fresh is not None

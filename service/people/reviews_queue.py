"""The queue of reviewers: what nobody has decided, the grave and uncertain first."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlmodel import Session, col, select

from service.errors import FieldProblem, InvalidInputError
from service.models import FindingRow
from service.people.models import Reading

# Severity doubles at each step. A violation is as uncertain as its match is; what the system asks
# a person about is at least an even chance. In thousandths, so that places in the list are exact.
_PRIORITY = (
    "(case f.severity when 'critical' then 8 when 'high' then 4 when 'medium' then 2 else 1 end"
    " * round(1000 * greatest("
    "case f.disposition when 'review' then 0.5 else 0.05 end,"
    " 1 - coalesce((f.doc ->> 'confidence')::numeric, 1))))::int"
)
_QUEUE = (
    "select f.id, q.priority, q.mark, i.assigned_to, i.held_by,"  # noqa: S608  fixed words, no input
    " case when i.lease_until > clock_timestamp() then i.lease_until end as lease_until"
    " from finding as f"
    " join interaction as n on n.tenant_id = f.tenant_id and n.verdict_id = f.verdict_id"
    f" cross join lateral (select {_PRIORITY} as priority,"
    "  hegui_finding_mark(f.rule, f.doc) as mark) as q"
    " left join review_item as i on i.tenant_id = f.tenant_id"
    "  and i.interaction_id = f.interaction_id and i.mark = q.mark"
    " where f.disposition in ('violation', 'review') and {reading}"
    " and not exists (select 1 from dispute as d where d.tenant_id = f.tenant_id"
    "  and d.interaction_id = f.interaction_id and d.mark = q.mark"
    "  and d.state in ('upheld', 'rejected'))"
    "{filters}"
    " order by q.priority desc, f.started_at desc, f.id desc limit :limit"
)
_DECIDED = (
    "exists (select 1 from review as r where r.tenant_id = f.tenant_id"
    " and r.interaction_id = f.interaction_id and r.mark = q.mark and r.reading = '{}'{})"
)
_DRAWN_TWICE = (
    "exists (select 1 from review_sample_item as s where s.tenant_id = f.tenant_id"
    " and s.interaction_id = f.interaction_id and s.second)"
)
_READINGS = {
    Reading.FIRST: "not " + _DECIDED.format("first", ""),
    Reading.SECOND: " and ".join(
        (
            _DRAWN_TWICE,
            _DECIDED.format("first", ""),
            "not " + _DECIDED.format("first", " and r.decided_by = :by"),
            "not " + _DECIDED.format("second", ""),
        )
    ),
}
_FILTERS = {
    "rule": " and f.rule = :rule",
    "severity": " and f.severity = :severity",
    "disposition": " and f.disposition = :disposition",
    "agency_id": " and f.agency_id = :agency_id",
    "since": " and f.started_at >= :since",
    "to": " and f.started_at < :to",
}
_MOST = 8000
_ASSIGNED = {
    "me": " and i.assigned_to = :by",
    "nobody": " and i.assigned_to is null",
}
_FREE = (
    " and (i.lease_until is null or i.lease_until <= clock_timestamp() or i.held_by = :by)"
    " and (i.assigned_to is null or i.assigned_to = :by)"
)


@dataclass(frozen=True, slots=True)
class QueueFilters:
    """What the queue is narrowed by; None leaves a field open.

    `free` leaves out what somebody else holds or is assigned.
    """

    reading: Reading = Reading.FIRST
    rule: str | None = None
    severity: str | None = None
    disposition: str | None = None
    agency_id: UUID | None = None
    since: datetime | None = None
    to: datetime | None = None
    assigned: str | None = None
    free: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """A finding that waits for a reviewer; `lease_until` only while somebody holds it."""

    finding: FindingRow
    priority: int
    assigned_to: str | None
    held_by: str | None
    lease_until: datetime | None


@dataclass(frozen=True, slots=True)
class QueuePage:
    """One page, the most urgent first."""

    rows: Sequence[Waiting]
    next_cursor: str | None


def list_queue(
    session: Session,
    filters: QueueFilters,
    *,
    by: str,
    cursor: str | None = None,
    limit: int = 50,
) -> QueuePage:
    """What waits for this reviewer (a person); raises `InvalidInputError` for a bad cursor."""
    values: dict[str, object] = {"by": by, "limit": limit + 1}
    conditions = ""
    for name, condition in _FILTERS.items():
        value = getattr(filters, name)
        if value is not None:
            conditions += condition
            values[name] = value
    conditions += _ASSIGNED.get(filters.assigned or "", "")
    conditions += _FREE if filters.free else ""
    if cursor is not None:
        conditions += " and (q.priority, f.started_at, f.id) < (:at_priority, :at_start, :at_id)"
        values |= _read_cursor(cursor)
    query = text(_QUEUE.format(reading=_READINGS[filters.reading], filters=conditions))
    found = session.connection().execute(query, values).all()
    rows = {
        row.id: row
        for row in session.exec(
            select(FindingRow).where(col(FindingRow.id).in_([each.id for each in found[:limit]]))
        )
    }
    waiting = [
        Waiting(
            rows[each.id],
            each.priority,
            each.assigned_to,
            each.held_by if each.lease_until else None,
            each.lease_until,
        )
        for each in found[:limit]
    ]
    return QueuePage(waiting, _cursor(waiting[-1]) if len(found) > limit else None)


def _cursor(last: Waiting) -> str:
    place = [last.priority, last.finding.started_at.isoformat(), str(last.finding.id)]
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def _read_cursor(cursor: str) -> dict[str, object]:
    try:
        place = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        priority, start, id_ = orjson.loads(place)
        moment = datetime.fromisoformat(start)
        if moment.tzinfo is None or not 0 <= priority <= _MOST:
            raise ValueError(cursor)  # noqa: TRY301  one answer for every bad cursor
        return {"at_priority": int(priority), "at_start": moment, "at_id": UUID(id_)}
    except (binascii.Error, ValueError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            "The cursor is not one that this service gave.",
            errors=(FieldProblem("cursor", "take it from next_cursor of the page before"),),
        ) from error

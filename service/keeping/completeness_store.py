"""The database's side of completeness: lists in, a day reconciled, faults and figures out."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import delete, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from service.audit import add_entry
from service.errors import NotFoundError
from service.keeping.call_lists import ZONE, CallRow, Manifest
from service.keeping.completeness import RULES, Arrived, Found, Listed, reconcile
from service.keeping.completeness_models import (
    CallList,
    CallListRow,
    CompletenessDay,
    CompletenessFinding,
    Fault,
)
from service.models import Agency
from service.privacy.sealing import about_event, phone_digest, unseal
from service.read import Page, make_cursor, read_cursor

_CHUNK = 1000
_LOOK_BACK = timedelta(days=14)
_AGAIN_AFTER = timedelta(hours=20)
_ARRIVED = text(
    "select i.interaction_id, i.id, i.started_at, i.recording_sha256, i.state,"
    " r.sha256 is not null as is_here, e.body #>> '{data,mode}' as mode,"
    " (e.body #>> '{data,recording,duration_seconds}')::float as announced,"
    " t.decoded_seconds, t.flags, e.message_id, e.sealed, e.body #>> '{data,party,phone}' as phone"
    " from interaction as i join event as e on e.tenant_id = i.tenant_id and e.id = i.event_id"
    " left join recording as r on r.tenant_id = i.tenant_id and r.sha256 = i.recording_sha256"
    "  and r.purged_at is null"
    " left join transcript as t on t.tenant_id = i.tenant_id and t.interaction_id = i.id"
    "  and t.recording_sha256 = i.recording_sha256"
    " where i.agency_id = :agency and i.channel = 'call' and ("
    "  i.interaction_id in (select l.call_id from call_list_row as l"
    "   where l.agency_id = :agency and l.day = :day)"
    "  or (i.started_at >= :since and i.started_at < :to and not exists ("
    "   select 1 from call_list_row as l where l.tenant_id = i.tenant_id"
    "    and l.agency_id = :agency and l.call_id = i.interaction_id)))"
)
_FIRST_USES = text(
    "select distinct on (u.sha256) u.sha256, u.interaction_id,"
    " case when u.agency_id = :agency then i.interaction_id end as call_id"
    " from recording_use as u join interaction as i"
    "  on i.tenant_id = u.tenant_id and i.id = u.interaction_id"
    " where u.sha256 = any(:hashes) order by u.sha256, u.started_at, i.received_at, i.id"
)
_DUE = text(
    "select l.agency_id, l.day from call_list as l left join completeness_day as d"
    " on d.tenant_id = l.tenant_id and d.agency_id = l.agency_id and d.day = l.day"
    " where l.day < :today and (d.day is null or d.told_sha256 is null"
    "  or d.reconciled_at <= l.received_at"
    "  or (l.day >= :since and d.reconciled_at < :before)) order by l.day, l.agency_id limit 100"
)


@dataclass(frozen=True, slots=True)
class Filters:
    """What lists of days and faults are narrowed by; None leaves a field open."""

    agency_id: UUID | None = None
    first: date | None = None
    last: date | None = None
    kind: Fault | None = None
    is_open: bool | None = None


def put_call_list(
    session: Session,
    *,
    tenant_id: UUID,
    agency_id: UUID,
    manifest: Manifest,
    rows: Sequence[CallRow],
    by: str,
    now: datetime,
) -> tuple[CallList, bool]:
    """Keep a day's list in place of the one before; the same list again changes nothing.

    Raises `NotFoundError` where there is no such agency for the caller.
    """
    if session.exec(select(Agency.id).where(col(Agency.id) == agency_id)).first() is None:
        raise NotFoundError("There is no such agency.")
    held = session.exec(
        select(CallList)
        .where(col(CallList.agency_id) == agency_id, col(CallList.day) == manifest.day)
        .with_for_update()
    ).one_or_none()
    if held is not None and held.sha256 == manifest.sha256:
        return held, False
    head = held or CallList(
        tenant_id=tenant_id, agency_id=agency_id, day=manifest.day, revision=0, sha256="", rows=0,
        received_by=by,
    )  # fmt: skip
    head.revision, head.sha256, head.rows = head.revision + 1, manifest.sha256, len(rows)
    head.received_at, head.received_by = now, by
    session.add(head)
    session.flush()
    _replace_rows(session, tenant_id, agency_id, manifest.day, rows)
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=by,
        action="call_list_received",
        subject_id=str(agency_id),
        details={
            "day": manifest.day.isoformat(),
            "rows": len(rows),
            "sha256": manifest.sha256,
            "revision": head.revision,
        },
    )
    return head, True


def _replace_rows(
    session: Session, tenant_id: UUID, agency_id: UUID, day: date, rows: Sequence[CallRow]
) -> None:
    session.exec(
        delete(CallListRow).where(
            col(CallListRow.agency_id) == agency_id, col(CallListRow.day) == day
        )
    )
    values = [
        {
            "tenant_id": tenant_id,
            "agency_id": agency_id,
            "day": day,
            "call_id": row.call_id,
            "started_at": row.started_at.astimezone(UTC),
            "answered": row.answered,
            "talk_seconds": row.talk_seconds,
            "party_digest": phone_digest(tenant_id, row.party_number) if row.party_number else None,
        }
        for row in rows
    ]
    if values:
        session.connection().execute(insert(CallListRow), values)


def reconcile_day(
    session: Session, *, tenant_id: UUID, agency_id: UUID, day: date, now: datetime
) -> CompletenessDay:
    """Compare a day's list with what is here now; faults that are gone are marked as resolved.

    Gives the day's figure. Doing it again changes nothing. Raises `NotFoundError` where that day
    has no list.
    """
    if session.get(CallList, (tenant_id, agency_id, day)) is None:
        raise NotFoundError("There is no list of that day.")
    listed = _listed(session, agency_id, day)
    arrived = _arrived(session, tenant_id, agency_id, day)
    uses = _first_uses(session, agency_id, arrived)
    result = reconcile(listed, arrived, first_uses=uses)
    _store_faults(session, tenant_id, agency_id, day, result.found, now)
    values = {
        "listed": result.listed,
        "expected": result.expected,
        "complete": result.complete,
        "share": result.share,
        "faults": _counts(result.found),
        "reconciled_at": now,
    }
    session.exec(
        insert(CompletenessDay)
        .values(tenant_id=tenant_id, agency_id=agency_id, day=day, **values)
        .on_conflict_do_update(index_elements=["tenant_id", "agency_id", "day"], set_=values)
    )
    return session.get_one(CompletenessDay, (tenant_id, agency_id, day), populate_existing=True)


def due_days(session: Session, *, now: datetime) -> list[tuple[UUID, date]]:
    """Days that are over and want another look: new lists, and once a day the last two weeks."""
    today = now.astimezone(ZONE).date()
    values = {"today": today, "since": today - _LOOK_BACK, "before": now - _AGAIN_AFTER}
    rows = session.connection().execute(_DUE, values).all()
    return [(row.agency_id, row.day) for row in rows]


def open_faults(session: Session, agency_id: UUID, day: date) -> Sequence[CompletenessFinding]:
    """The faults of a day that are not resolved, by call."""
    return session.exec(
        select(CompletenessFinding)
        .where(col(CompletenessFinding.agency_id) == agency_id)
        .where(col(CompletenessFinding.day) == day, col(CompletenessFinding.resolved_at).is_(None))
        .order_by(col(CompletenessFinding.call_id), col(CompletenessFinding.kind))
    ).all()


def list_days(
    session: Session, filters: Filters, *, limit: int = 50, cursor: str | None = None
) -> Page:
    """The figures, the newest day first."""
    table = CompletenessDay
    query = select(table)
    if filters.agency_id is not None:
        query = query.where(col(table.agency_id) == filters.agency_id)
    if filters.first is not None:
        query = query.where(col(table.day) >= filters.first)
    if filters.last is not None:
        query = query.where(col(table.day) <= filters.last)
    if cursor is not None:
        moment, agency_id = read_cursor(cursor)
        query = query.where(
            tuple_(col(table.day), col(table.agency_id)) < tuple_(moment.date(), agency_id)
        )
    rows = session.exec(
        query.order_by(col(table.day).desc(), col(table.agency_id).desc()).limit(limit + 1)
    ).all()
    last = rows[limit - 1] if len(rows) > limit else None
    mark = datetime.combine(last.day, time(), UTC) if last else None
    return Page(rows[:limit], make_cursor(mark, last.agency_id) if last and mark else None)


def list_faults(
    session: Session, filters: Filters, *, limit: int = 50, cursor: str | None = None
) -> Page:
    """Faults, those found last first."""
    table = CompletenessFinding
    query = select(table)
    if filters.agency_id is not None:
        query = query.where(col(table.agency_id) == filters.agency_id)
    if filters.first is not None:
        query = query.where(col(table.day) >= filters.first)
    if filters.last is not None:
        query = query.where(col(table.day) <= filters.last)
    if filters.kind is not None:
        query = query.where(col(table.kind) == filters.kind.value)
    if filters.is_open is not None:
        resolved = col(table.resolved_at)
        query = query.where(resolved.is_(None) if filters.is_open else resolved.is_not(None))
    if cursor is not None:
        place = tuple_(*read_cursor(cursor))
        query = query.where(tuple_(col(table.found_at), col(table.id)) < place)
    rows = session.exec(
        query.order_by(col(table.found_at).desc(), col(table.id).desc()).limit(limit + 1)
    ).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(rows[:limit], make_cursor(last.found_at, last.id) if last else None)


def narrow(filters: Filters, *, kind: Fault | None, is_open: bool | None) -> Filters:
    """The same filters for faults of one kind or state."""
    return replace(filters, kind=kind, is_open=is_open)


def told_digest(faults: Iterable[CompletenessFinding]) -> str:
    """Names a set of faults: who was told of it is not told of it again."""
    text_ = "".join(f"{row.call_id}\t{row.kind}\n" for row in faults)
    return hashlib.sha256(text_.encode()).hexdigest()


def _listed(session: Session, agency_id: UUID, day: date) -> list[Listed]:
    rows = session.exec(
        select(CallListRow)
        .where(col(CallListRow.agency_id) == agency_id, col(CallListRow.day) == day)
        .order_by(col(CallListRow.started_at), col(CallListRow.call_id))
    )
    return [
        Listed(row.call_id, row.started_at, row.answered, row.talk_seconds, row.party_digest)
        for row in rows
    ]


def _arrived(session: Session, tenant_id: UUID, agency_id: UUID, day: date) -> list[Arrived]:
    since = datetime.combine(day, time(), ZONE)
    values = {"agency": agency_id, "day": day, "since": since, "to": since + timedelta(days=1)}
    return [
        _arrived_of(tenant_id, agency_id, row)
        for row in session.connection().execute(_ARRIVED, values)
    ]


def _arrived_of(tenant_id: UUID, agency_id: UUID, row: Any) -> Arrived:
    seconds = row.decoded_seconds
    if seconds is None and row.is_here:
        seconds = row.announced
    flags = set(row.flags or ())
    if row.state == "undecodable":
        flags.add("undecodable")
    phone = row.phone
    if row.sealed is not None:
        about = about_event(tenant_id, agency_id, row.message_id)
        phone = orjson.loads(unseal(tenant_id, row.sealed, about)).get("party", {}).get("phone")
    return Arrived(
        call_id=row.interaction_id,
        interaction_id=row.id,
        started_at=row.started_at,
        sha256=row.recording_sha256,
        is_here=row.is_here,
        is_notice=row.mode == "notice",
        seconds=seconds,
        flags=frozenset(flags),
        party=phone_digest(tenant_id, phone) if phone else None,
    )


def _first_uses(
    session: Session, agency_id: UUID, arrived: Iterable[Arrived]
) -> dict[str, tuple[UUID, str | None]]:
    hashes = sorted({call.sha256 for call in arrived if call.sha256 is not None})
    rows = session.connection().execute(_FIRST_USES, {"agency": agency_id, "hashes": hashes})
    return {sha256: (interaction_id, call_id) for sha256, interaction_id, call_id in rows.all()}


def _counts(found: Iterable[Found]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in found:
        counts[each.kind.value] = counts.get(each.kind.value, 0) + 1
    return dict(sorted(counts.items()))


def _store_faults(
    session: Session,
    tenant_id: UUID,
    agency_id: UUID,
    day: date,
    found: Sequence[Found],
    now: datetime,
) -> None:
    names = {(each.call_id, each.kind.value) for each in found}
    gone = [row.id for row in open_faults(session, agency_id, day)
            if (row.call_id, row.kind) not in names]  # fmt: skip
    session.exec(
        update(CompletenessFinding)
        .where(col(CompletenessFinding.id).in_(gone))
        .values(resolved_at=now)
    )
    for start in range(0, len(found), _CHUNK):
        statement = insert(CompletenessFinding).values(
            [
                CompletenessFinding(
                    tenant_id=tenant_id,
                    agency_id=agency_id,
                    day=day,
                    call_id=each.call_id,
                    kind=each.kind.value,
                    rule=RULES[each.kind][0],
                    severity=RULES[each.kind][1],
                    facts=dict(each.facts),
                    interaction_id=each.interaction_id,
                    found_at=now,
                ).model_dump()
                for each in found[start : start + _CHUNK]
            ]
        )
        session.exec(
            statement.on_conflict_do_update(
                index_elements=["tenant_id", "agency_id", "day", "call_id", "kind"],
                set_={
                    "facts": statement.excluded.facts,
                    "interaction_id": statement.excluded.interaction_id,
                    "resolved_at": None,
                },
            )
        )

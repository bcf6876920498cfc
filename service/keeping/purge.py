"""Purge runs: what is past its date is listed, waits, is checked by another person, and goes.

Recordings are removed one by one, each leaves a tombstone, and the run ends with a certificate.
Every step is a transaction that may be repeated: a run that is killed goes on where it stood.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import delete, func, or_, text, tuple_, update
from sqlmodel import Session, col, select

from service.access.keys import person_of
from service.audit import add_entry
from service.errors import ConflictError, ForbiddenError, NotFoundError
from service.jobs import Job, enqueue
from service.keeping.retention import clock_flaw, orphan_until, raise_dates, required_until
from service.keeping.retention_models import ItemState, PurgeItem, PurgeRun, PurgeState
from service.keeping.storage import store
from service.models import RecordingRow
from service.privacy.models import RecordingKey
from service.read import Page, make_cursor, read_cursor
from service.work import LEASE

SCHEMA = "hegui.purge/1"
# The state of an SQL error by which the database's own guard refuses.
REFUSED = "HG001"
_LOCK = text("select pg_advisory_xact_lock(hashtextextended(:tenant || :sha256, 0))")
# Why a listed recording stays, where it does; NULL where nothing speaks for it.
_KEEP_REASON = (
    "case when r.purged_at is not null then 'purged_before'"
    " when r.retain_until > :now then 'under_retention'"
    " when hegui_is_held(r.tenant_id, r.sha256) then 'held'"
    " when exists (select 1 from interaction as i where i.tenant_id = r.tenant_id"
    "  and i.recording_sha256 = r.sha256 and i.to_hear"
    "  and i.state in ('fetching', 'transcribing')) then 'being_heard' end"
)
_CANDIDATES = text(
    "select r.sha256, r.size_bytes, r.received_at, r.retain_until,"  # noqa: S608  fixed words
    " (select count(*) from recording_use as u where u.tenant_id = r.tenant_id"
    "  and u.sha256 = r.sha256) as contacts"
    f" from recording as r where r.retain_until <= :now and {_KEEP_REASON} is null"
    " and r.purged_at is null and not exists (select 1 from purge_item as i join purge_run as p"
    "  on p.tenant_id = i.tenant_id and p.id = i.run_id where i.tenant_id = r.tenant_id"
    "  and i.sha256 = r.sha256 and p.state in ('planned', 'removing'))"
    " order by r.retain_until, r.sha256 limit :limit"
)
_REASONS = text(
    f"select r.sha256, {_KEEP_REASON} from recording as r where r.sha256 = any(:hashes)"  # noqa: S608  fixed words
)
_PURGE = text(
    "update recording set purged_at = :now, purge_run_id = :run"
    " where sha256 = :sha256 and purged_at is null"
)
_GIVE_BACK = text(
    "update recording set purged_at = null, purge_run_id = null"
    " where sha256 = :sha256 and purge_run_id = :run"
)


def plan_purge(
    session: Session, *, tenant_id: UUID, by: str, cooling: timedelta, limit: int, now: datetime
) -> PurgeRun:
    """List what is past its date, under no hold and in no other run, and begin the wait.

    Dates are computed anew from the contacts first, and raised where they ask for more. Raises
    `ConflictError` where nothing is due, or where the clock cannot be trusted.
    """
    _see_clock(session)
    rows = session.connection().execute(_CANDIDATES, {"now": now, "limit": limit}).all()
    raised = _raise_anew(session, {row.sha256: row.received_at for row in rows})
    due = [row for row in rows if raised.get(row.sha256, row.retain_until) <= now]
    if not due:
        raise ConflictError("No recording is due to be purged.", code="nothing_to_purge")
    run = PurgeRun(
        tenant_id=tenant_id,
        planned_at=now,
        planned_by=person_of(session, by),
        ready_at=now + cooling,
        listed=len(due),
        list_sha256=digest_of(row.sha256 for row in due),
    )
    session.add(run)
    session.flush()
    session.add_all(
        PurgeItem(tenant_id=tenant_id, run_id=run.id, **row._mapping)  # noqa: SLF001  its public name
        for row in due
    )
    details = {"listed": run.listed, "list_sha256": run.list_sha256}
    _note(session, run, run.planned_by, "purge_planned", details)
    return run


def approve_purge(
    session: Session, run_id: UUID, *, list_sha256: str, by: str, now: datetime
) -> PurgeRun:
    """Approve a run after its wait, as somebody else than who planned it, and start the removal.

    `list_sha256` says which list was looked at. Everything is checked anew: what is held, needed
    or being heard by now is kept. Raises `NotFoundError`, `ForbiddenError` or `ConflictError`.
    """
    run = _locked(session, run_id)
    by = person_of(session, by, before=run.planned_at, what="the run was planned")
    _refuse_approval(run, list_sha256=list_sha256, by=by, now=now)
    _see_clock(session)
    rows = session.exec(select(PurgeItem).where(col(PurgeItem.run_id) == run.id)).all()
    _raise_anew(session, {row.sha256: row.received_at for row in rows})
    hashes = [row.sha256 for row in rows]
    found = session.connection().execute(_REASONS, {"hashes": hashes, "now": now}).all()
    reasons: dict[str, str | None] = {row[0]: row[1] for row in found}
    for row in rows:
        if reasons.get(row.sha256) is not None:
            row.state, row.reason = ItemState.KEPT.value, reasons[row.sha256]
    session.flush()
    run.state, run.approved_at, run.approved_by = PurgeState.REMOVING.value, now, by
    session.flush()
    kept = sum(reason is not None for reason in reasons.values())
    _note(session, run, by, "purge_approved", {"listed": run.listed, "kept": kept})
    enqueue(session, Job.PURGE, tenant_id=run.tenant_id, subject_id=run.id)
    return run


def cancel_purge(session: Session, run_id: UUID, *, by: str, now: datetime) -> PurgeRun:
    """Give a planned run up; raises `NotFoundError`, and `ConflictError` once it is approved."""
    run = _locked(session, run_id)
    if run.state != PurgeState.PLANNED.value:
        raise ConflictError("Only a planned run can be cancelled.", code="purge_not_planned")
    run.state, run.ended_at, run.ended_by = PurgeState.CANCELLED.value, now, by
    _note(session, run, by, "purge_cancelled", {"listed": run.listed})
    return run


def claim_purge(session: Session, run_id: UUID, *, now: datetime) -> bool:
    """Take an approved run for a while; False where there is nothing to do or somebody is at it."""
    claimed = session.exec(
        update(PurgeRun)
        .where(
            col(PurgeRun.id) == run_id,
            col(PurgeRun.state) == PurgeState.REMOVING.value,
            or_(col(PurgeRun.lease_until).is_(None), col(PurgeRun.lease_until) <= now),
        )
        .values(lease_until=now + LEASE)
    )
    return claimed.rowcount == 1


def renew_purge(session: Session, run_id: UUID, *, now: datetime) -> None:
    """Keep a claimed run for another while."""
    session.exec(update(PurgeRun).where(col(PurgeRun.id) == run_id).values(lease_until=now + LEASE))


def next_item(session: Session, run_id: UUID) -> PurgeItem | None:
    """The recording to go on with: one whose removal was begun, or else the next of the list."""
    return session.exec(
        select(PurgeItem)
        .where(col(PurgeItem.run_id) == run_id)
        .where(col(PurgeItem.state).in_([ItemState.REMOVING.value, ItemState.LISTED.value]))
        .order_by(col(PurgeItem.state).desc(), col(PurgeItem.sha256))
        .limit(1)
    ).first()


def begin_removal(session: Session, item: PurgeItem, *, now: datetime) -> bool:
    """Mark a recording as purged, which is the moment it goes; False where it is kept after all.

    The dates are computed anew under the lock that a new contact takes as well. Where code and
    database disagree the database's trigger ends the transaction.
    """
    _lock(session, item)
    row = _item(session, item)
    if row.state != ItemState.LISTED.value:
        return row.state == ItemState.REMOVING.value
    _raise_anew(session, {row.sha256: row.received_at})
    values = {"hashes": [row.sha256], "now": now}
    reason = session.connection().execute(_REASONS, values).one()[1]
    if reason is not None:
        row.state, row.reason = ItemState.KEPT.value, reason
        return False
    row.state = ItemState.REMOVING.value
    session.flush()
    session.connection().execute(_PURGE, {"sha256": row.sha256, "run": row.run_id, "now": now})
    return True


def finish_removal(session: Session, item: PurgeItem, *, now: datetime) -> None:
    """Remove the bytes with the key that opens copies of them, and write the tombstone.

    The one place where the store is spoken to inside a transaction: its lock keeps anybody from
    bringing the bytes back, or naming them anew, in between. Raises what the store refuses.
    """
    _lock(session, item)
    row = _item(session, item)
    if row.state != ItemState.REMOVING.value:
        return
    recording = session.exec(
        select(RecordingRow).where(col(RecordingRow.sha256) == row.sha256)
    ).one()
    if recording.purge_run_id != row.run_id:
        row.state, row.reason = ItemState.KEPT.value, "came_again"
        return
    store().remove(row.tenant_id, row.sha256, now=now)
    session.exec(delete(RecordingKey).where(col(RecordingKey.sha256) == row.sha256))
    row.state, row.removed_at = ItemState.REMOVED.value, now


def keep_item(session: Session, item: PurgeItem, *, reason: str) -> None:
    """Leave a recording that could not be marked; what is marked already must go on."""
    row = _item(session, item)
    if row.state == ItemState.LISTED.value:
        row.state, row.reason = ItemState.KEPT.value, reason


def give_back(session: Session, item: PurgeItem, *, now: datetime) -> None:
    """Take the mark off a recording whose bytes the store keeps; it is ours as before."""
    _lock(session, item)
    row = _item(session, item)
    row.state, row.reason = ItemState.KEPT.value, "refused_by_store"
    session.connection().execute(_GIVE_BACK, {"sha256": row.sha256, "run": row.run_id})
    add_entry(
        session,
        tenant_id=row.tenant_id,
        actor="purge",
        action="purge_refused",
        subject_id=row.sha256,
        details={"run_id": str(row.run_id), "at": _moment(now)},
    )


def certify(session: Session, run_id: UUID, *, now: datetime) -> PurgeRun | None:
    """End a run that has nothing left to do, with its certificate; None where it goes on."""
    run = _locked(session, run_id)
    if run.state != PurgeState.REMOVING.value or next_item(session, run_id) is not None:
        return None
    items = session.exec(
        select(PurgeItem).where(col(PurgeItem.run_id) == run_id).order_by(col(PurgeItem.sha256))
    ).all()
    run.certificate = make_certificate(run, items, now=now)
    run.certificate_sha256 = certificate_digest(run.certificate)
    run.state, run.ended_at, run.ended_by = PurgeState.DONE.value, now, "purge"
    run.lease_until = None
    counts = {name: run.certificate[name] for name in ("removed", "kept")}
    _note(
        session,
        run,
        "purge",
        "purge_certified",
        {**counts, "certificate_sha256": run.certificate_sha256},
    )
    return run


def make_certificate(run: PurgeRun, items: Sequence[PurgeItem], *, now: datetime) -> dict[str, Any]:
    """Say what a run removed and kept, who proposed and who approved it; nobody is named in it."""
    removed = [row for row in items if row.state == ItemState.REMOVED.value]
    kept = [row for row in items if row.state == ItemState.KEPT.value]
    return {
        "schema": SCHEMA,
        "run_id": str(run.id),
        "tenant_id": str(run.tenant_id),
        "planned": {"at": _moment(run.planned_at), "by": run.planned_by},
        "ready_at": _moment(run.ready_at),
        "approved": {"at": _moment(run.approved_at), "by": run.approved_by},
        "ended_at": _moment(now),
        "listed": run.listed,
        "list_sha256": run.list_sha256,
        "removed": len(removed),
        "kept": len(kept),
        "method": store().removal,
        "items": [
            {
                "sha256": row.sha256,
                "size_bytes": row.size_bytes,
                "received_at": _moment(row.received_at),
                "retain_until": _moment(row.retain_until),
                "contacts": row.contacts,
                "removed_at": _moment(row.removed_at),
            }
            for row in removed
        ],
        "not_removed": [{"sha256": row.sha256, "reason": row.reason} for row in kept],
    }


def certificate_digest(certificate: dict[str, Any]) -> str:
    """SHA-256 of a certificate with sorted keys."""
    return hashlib.sha256(orjson.dumps(certificate, option=orjson.OPT_SORT_KEYS)).hexdigest()


def digest_of(hashes: Iterable[str]) -> str:
    """SHA-256 of a list of recordings: their hashes in order, one a line."""
    return hashlib.sha256("".join(f"{each}\n" for each in sorted(hashes)).encode()).hexdigest()


def get_purge(session: Session, run_id: UUID) -> PurgeRun:
    """One run; raises `NotFoundError`."""
    run = session.exec(select(PurgeRun).where(col(PurgeRun.id) == run_id)).one_or_none()
    if run is None:
        raise NotFoundError("There is no such purge run.")
    return run


def certificate_of(session: Session, run_id: UUID) -> tuple[dict[str, Any], str]:
    """The certificate of a run and its digest; raises `NotFoundError`, `ConflictError` before."""
    run = get_purge(session, run_id)
    if run.certificate is None or run.certificate_sha256 is None:
        raise ConflictError("The run has not ended yet.", code="purge_not_done")
    return run.certificate, run.certificate_sha256


def count_items(session: Session, run_id: UUID) -> dict[str, int]:
    """How many recordings of a run are in each state."""
    rows = session.exec(
        select(PurgeItem.state, func.count())
        .where(col(PurgeItem.run_id) == run_id)
        .group_by(col(PurgeItem.state))
    ).all()
    return dict(rows)


def list_purges(session: Session, *, cursor: str | None = None, limit: int = 50) -> Page:
    """Runs, the newest first."""
    query = select(PurgeRun)
    if cursor is not None:
        place = tuple_(*read_cursor(cursor))
        query = query.where(tuple_(col(PurgeRun.planned_at), col(PurgeRun.id)) < place)
    rows = session.exec(
        query.order_by(col(PurgeRun.planned_at).desc(), col(PurgeRun.id).desc()).limit(limit + 1)
    ).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(rows[:limit], make_cursor(last.planned_at, last.id) if last else None)


def list_items(
    session: Session, run_id: UUID, *, after: str | None = None, limit: int = 50
) -> Sequence[PurgeItem]:
    """A run's recordings by hash, those after `after`."""
    query = select(PurgeItem).where(col(PurgeItem.run_id) == run_id)
    if after is not None:
        query = query.where(col(PurgeItem.sha256) > after)
    return session.exec(query.order_by(col(PurgeItem.sha256)).limit(limit)).all()


def _refuse_approval(run: PurgeRun, *, list_sha256: str, by: str, now: datetime) -> None:
    if run.state != PurgeState.PLANNED.value:
        raise ConflictError("Only a planned run can be approved.", code="purge_not_planned")
    if by == run.planned_by:
        raise ForbiddenError("Somebody else than who planned a run must approve it.")
    if now < run.ready_at:
        at = _moment(run.ready_at)
        raise ConflictError(f"The run waits until {at}.", code="purge_waits")
    if list_sha256 != run.list_sha256:
        raise ConflictError("That is not the digest of this run's list.", code="purge_other_list")


def _see_clock(session: Session) -> None:
    flaw = clock_flaw(session)
    if flaw is not None:
        raise ConflictError(
            "The clock's row of ticks is broken; look at the clock, then vouch for it"
            " with hegui purge clock.",
            code="clock_not_trusted",
            extra={"flaw": flaw},
        )


def _raise_anew(session: Session, received: dict[str, datetime]) -> dict[str, datetime]:
    """Compute the dates again, from contacts or, without any, from receipt; raise to them."""
    needed = required_until(session, received)
    dates = {
        sha256: needed.get(sha256) or orphan_until(at.astimezone(UTC))
        for sha256, at in received.items()
    }
    raise_dates(session, dates)
    return dates


def _lock(session: Session, item: PurgeItem) -> None:
    values = {"tenant": str(item.tenant_id), "sha256": item.sha256}
    session.connection().execute(_LOCK, values)


def _item(session: Session, item: PurgeItem) -> PurgeItem:
    return session.exec(
        select(PurgeItem)
        .where(col(PurgeItem.run_id) == item.run_id, col(PurgeItem.sha256) == item.sha256)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def _locked(session: Session, run_id: UUID) -> PurgeRun:
    run = session.exec(
        select(PurgeRun).where(col(PurgeRun.id) == run_id).with_for_update()
    ).one_or_none()
    if run is None:
        raise NotFoundError("There is no such purge run.")
    return run


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else None


def _note(
    session: Session, run: PurgeRun, actor: str, action: str, details: dict[str, Any]
) -> None:
    add_entry(
        session,
        tenant_id=run.tenant_id,
        actor=actor,
        action=action,
        subject_id=str(run.id),
        details=details,
    )

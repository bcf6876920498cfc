"""Finds unfinished work in our own tables, because the queue's word is not enough."""

from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from service import log
from service.clock import now
from service.config import settings
from service.db import front_door_session, tenant_session
from service.fetch import list_overdue, store_missing
from service.jobs import Job, enqueue
from service.models import Heartbeat, InteractionRow, Tenant
from service.queue import drop_jobs_of_removed, prune_jobs
from service.work import LostLeaseError

_LOG = log.get(__name__)
EVERY_S = 10
_BATCH = 500

# What each job still has to do, with nobody at it and no job waiting for it.
_UNFINISHED: dict[Job, TextClause] = {
    job: text(
        f"select t.id from {source} and (t.lease_until is null or t.lease_until <= :now)"  # noqa: S608  fixed words, no input
        " and not exists (select 1 from procrastinate_jobs as j"
        f" where j.queueing_lock = '{job.value}:' || t.id and j.status = 'todo')"
        " limit :batch"
    )
    for job, source in {
        Job.CHECK: "collection_case as t where t.checked < t.wanted",
        Job.TRANSCRIBE: "interaction as t where t.state = 'transcribing'",
        Job.FETCH: "interaction as t where t.state = 'fetching'",
        Job.ALERT: "alert as t where t.state = 'pending' and t.next_at <= :now"
        " and t.rule = ''",  # those with a rule are carried by digests
        Job.DIGEST: "endpoint as t where exists (select 1 from alert as a"
        " where a.tenant_id = t.tenant_id and a.endpoint_id = t.id and a.state = 'pending'"
        " and a.rule <> '' and a.next_at <= :now)",
        Job.ESCALATE: "alert as t where t.escalate_at <= :now",
        Job.PURGE: "purge_run as t where t.state = 'removing'",
        Job.NOTIFY: "notice as t where t.state = 'pending' and t.next_at <= :now",
        Job.LAPSE: "(select d.*, null::timestamptz as lease_until from dispute as d) as t"
        " where t.state = 'open' and t.decide_by <= :now",
    }.items()
}


def reconcile(timestamp: int) -> None:
    """Queue again what is unfinished, give up on what never came, tidy the queue, and sign off."""
    del timestamp  # the queue's word for when this run was due
    for tenant_id in list_tenants(working=True):
        counts = reconcile_tenant(tenant_id, now=now())
        if counts:
            _LOG.info("work_requeued", tenant_id=str(tenant_id), count=counts.total())
    with front_door_session() as session:
        pruned = prune_jobs(session, now=now()) + drop_jobs_of_removed(session)
    if pruned:
        _LOG.info("old_jobs_removed", count=pruned)
    beat("reconcile", now())


def reconcile_tenant(tenant_id: UUID, *, now: datetime) -> Counter[str]:
    """Do it for one tenant; gives what was found, by job or state."""
    counts: Counter[str] = Counter()
    with tenant_session(tenant_id) as session:
        for job, unfinished in _UNFINISHED.items():
            found = session.connection().execute(unfinished, {"now": now, "batch": _BATCH})
            for (subject_id,) in found.all():
                enqueue(session, job, tenant_id=tenant_id, subject_id=subject_id)
                counts[job.value] += 1
    before = now - timedelta(hours=settings().recording_wait_hours)
    for row in _overdue(tenant_id, before):
        counts["missing"] += _give_up(tenant_id, row)
    return +counts


def list_tenants(*, working: bool = False) -> list[UUID]:
    """Return every lender's id; those whose work rests, because they are suspended, on request not.

    What the law asks for (locks, the ledger) goes on for all of them.
    """
    query = select(col(Tenant.id))
    if working:
        query = query.where(col(Tenant.suspended_at).is_(None), col(Tenant.removed_at).is_(None))
    with front_door_session() as session:
        return list(session.exec(query))


def _overdue(tenant_id: UUID, before: datetime) -> list[InteractionRow]:
    with tenant_session(tenant_id) as session:
        return list_overdue(session, announced_before=before)


def _give_up(tenant_id: UUID, row: InteractionRow) -> int:
    """One transaction each, so that one that moves on meanwhile does not hold up the others."""
    try:
        with tenant_session(tenant_id) as session:
            store_missing(session, row)
    except LostLeaseError:
        return 0
    return 1


def beat(name: str, at: datetime) -> None:
    """Write down that a periodic job ran to its end."""
    with front_door_session() as session:
        _write_beat(session, name, at)


def _write_beat(session: Session, name: str, at: datetime) -> None:
    session.exec(
        insert(Heartbeat)
        .values(name=name, at=at)
        .on_conflict_do_update(index_elements=["name"], set_={"at": at})
    )

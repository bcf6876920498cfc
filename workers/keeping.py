"""The keeper's jobs: tell the store dates and holds, reconcile lists, carry out purge runs."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from service import log
from service.alerts.notices import load_notice, store_notice, tell_day
from service.clock import now
from service.config import settings
from service.db import front_door_session, tenant_session
from service.errors import NotFoundError, ServiceError
from service.jobs import Job
from service.keeping import purge
from service.keeping.completeness_store import due_days, open_faults, reconcile_day
from service.keeping.retention import note_tick
from service.keeping.retention_models import PurgeItem
from service.keeping.storage import RetentionError, retention_proof, store
from workers.reconcile import beat, list_tenants
from workers.sender import try_once
from workers.tasks import MARGIN, named_job

_LOG = log.get(__name__)
_BATCH = 500
_said: list[str] = []
_UNTOLD = text(
    "select sha256, retain_until, hegui_is_held(tenant_id, sha256), xmin::text from recording"
    " where purged_at is null and store_until is distinct from retain_until limit :batch"
)
# The row must be as it was read: a hold or a later date since then is told the next time.
_TOLD = text(
    "update recording set store_until = :until, store_held = :held"
    " where sha256 = :sha256 and xmin::text = :seen"
)


def keep(timestamp: int) -> None:
    """Do what time asks for, for every lender, and sign off."""
    del timestamp  # the queue's word for when this run was due
    with front_door_session() as session:
        note_tick(session, now=now())
    _say_proof()
    for tenant_id in list_tenants():
        try:
            told = protect_recordings(tenant_id)
            days = reconcile_lists(tenant_id)
        except (ServiceError, SQLAlchemyError) as error:
            # One lender's trouble does not hold up the others; it is tried again in a minute.
            _LOG.error("recordings_not_kept", tenant_id=str(tenant_id), **log.describe_error(error))
            continue
        if told:
            _LOG.info("store_told", tenant_id=str(tenant_id), count=told)
        if days:
            _LOG.info("days_reconciled", tenant_id=str(tenant_id), count=days)
    beat("keep", now())


def _say_proof() -> None:
    """Log what the store's canary showed, at the start and whenever it changes."""
    proof = retention_proof()
    if _said != [proof.state]:
        _said[:] = [proof.state]
        _LOG.info("retention_tried", state=proof.state, reason=proof.detail)


def protect_recordings(tenant_id: UUID) -> int:
    """Tell the store the dates and holds that it does not know yet; gives how many."""
    with tenant_session(tenant_id) as session:
        rows = session.connection().execute(_UNTOLD, {"batch": _BATCH}).all()
    for sha256, until, held, seen in rows:
        try:
            store().protect(tenant_id, sha256, until=until, held=held)
        except NotFoundError:
            # The row says that we have it. It is reported, and not tried again until it changes.
            _LOG.error("recording_bytes_missing", tenant_id=str(tenant_id), recording=sha256)
        values = {"until": until, "held": held, "sha256": sha256, "seen": seen}
        with tenant_session(tenant_id) as session:
            session.connection().execute(_TOLD, values)
    return len(rows)


def reconcile_lists(tenant_id: UUID) -> int:
    """Reconcile the days that are due and tell of what is missing; gives how many days."""
    with tenant_session(tenant_id) as session:
        due = due_days(session, now=now())
    for agency_id, day in due:
        moment = now()
        with tenant_session(tenant_id) as session:
            figure = reconcile_day(
                session, tenant_id=tenant_id, agency_id=agency_id, day=day, now=moment
            )
            faults = open_faults(session, agency_id, day)
            base_url = settings().public_base_url
            tell_day(session, figure, faults, base_url=base_url, now=moment)
    return len(due)


def notify(*, tenant_id: str, subject_id: str) -> None:
    """Send a notice, once."""
    with named_job(Job.NOTIFY, tenant_id, subject_id) as (tenant, subject):
        lease = timedelta(seconds=settings().alert_timeout_s) + MARGIN
        with tenant_session(tenant) as session:
            work = load_notice(session, tenant_id=tenant, notice_id=subject, now=now(), lease=lease)
        if work is None:
            return
        attempt, moment, next_at = try_once(work)
        with tenant_session(tenant) as session:
            store_notice(session, work, attempt, next_at=next_at, now=moment)
        _LOG.info("notice_attempted", attempt=work.attempts, reason=attempt.reason)


def purge_recordings(*, tenant_id: str, subject_id: str) -> None:
    """Carry out an approved purge run, or go on with one that was cut short."""
    with named_job(Job.PURGE, tenant_id, subject_id) as (tenant, subject):
        removed = run_purge(tenant, subject)
        if removed is not None:
            _LOG.info("purge_ended", count=removed)


def run_purge(tenant_id: UUID, run_id: UUID) -> int | None:
    """Remove a run's recordings one by one and certify it; gives how many went, None if not ours.

    May be killed anywhere and run again.
    """
    with tenant_session(tenant_id) as session:
        if not purge.claim_purge(session, run_id, now=now()):
            return None
    removed = 0
    while True:
        with tenant_session(tenant_id) as session:
            purge.renew_purge(session, run_id, now=now())
            item = purge.next_item(session, run_id)
        if item is None:
            break
        removed += _remove(tenant_id, item)
    with tenant_session(tenant_id) as session:
        purge.certify(session, run_id, now=now())
    return removed


def _remove(tenant_id: UUID, item: PurgeItem) -> int:
    """Take one recording through both of its transactions; 1 where it went."""
    try:
        with tenant_session(tenant_id) as session:
            if not purge.begin_removal(session, item, now=now()):
                return 0
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != purge.REFUSED:
            raise
        with tenant_session(tenant_id) as session:
            purge.keep_item(session, item, reason="refused_by_database")
        return 0
    try:
        with tenant_session(tenant_id) as session:
            purge.finish_removal(session, item, now=now())
    except RetentionError:
        # The date in the store is later than ours: the bytes stay, and the row is a row again.
        with tenant_session(tenant_id) as session:
            purge.give_back(session, item, now=now())
        return 0
    return 1

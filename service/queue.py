"""Takes old rows out of the queue: what ended or died long ago is only in the way."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlmodel import Session

KEEP = timedelta(days=7)
_BATCH = 1000
# A worker deletes the job that it ends well; the rest stays: failed ones, and those whose worker
# died. Our own tables say what is unfinished, so nothing here is needed to go on. A row without
# any event is as old as nobody knows and stays.
_PRUNE = text(
    "delete from procrastinate_jobs where id in ("
    " select j.id from procrastinate_jobs as j"
    " left join procrastinate_workers as w on w.id = j.worker_id"
    " where (j.status not in ('todo', 'doing')"
    "   or (j.status = 'doing' and (w.id is null or w.last_heartbeat < :before)))"
    " and (select max(e.at) from procrastinate_events as e where e.job_id = j.id) < :before"
    " order by j.id limit :batch for update of j skip locked)"
)

# Nobody takes these any more; a purge that was approved goes on with `hegui purge run`.
_DROP = text(
    "delete from procrastinate_jobs where id in ("
    " select j.id from procrastinate_jobs as j join tenant as t"
    " on t.id::text = j.args ->> 'tenant_id' and t.removed_at is not null"
    " where j.status = 'todo' order by j.id limit :batch for update of j skip locked)"
)


def prune_jobs(session: Session, *, now: datetime) -> int:
    """Delete up to a thousand jobs that ended, or whose worker died, a week ago; gives how many."""
    found = session.connection().execute(_PRUNE, {"before": now - KEEP, "batch": _BATCH})
    return int(found.rowcount)


def drop_jobs_of_removed(session: Session) -> int:
    """Delete up to a thousand waiting jobs of lenders that were removed; gives how many."""
    return int(session.connection().execute(_DROP, {"batch": _BATCH}).rowcount)

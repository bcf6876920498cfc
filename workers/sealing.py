"""The sealer's jobs: once a minute every lender's ledger, and the posts of signed heads."""

from datetime import timedelta

from service import log
from service.clock import now
from service.config import settings
from service.db import tenant_session
from service.evidence.ledger_post import enqueue_due, load_checkpoint, store_checkpoint
from service.evidence.ledger_run import LedgerForkedError, run_sealer
from service.jobs import Job
from workers.egress import Egress
from workers.reconcile import beat, list_tenants
from workers.sender import next_attempt_at, send
from workers.tasks import MARGIN, named_job

_LOG = log.get(__name__)


def seal(timestamp: int) -> None:
    """Seal every lender's ledger, and sign off; one that is forked does not hold up the others."""
    del timestamp  # the queue's word for when this run was due
    for tenant_id in list_tenants():
        try:
            done = run_sealer(tenant_id)
        except LedgerForkedError:
            _LOG.error("ledger_forked", tenant_id=str(tenant_id))
            continue
        with tenant_session(tenant_id) as session:
            enqueue_due(session, tenant_id=tenant_id, now=now())
        if done is not None and done.added:
            _LOG.info("ledger_sealed", tenant_id=str(tenant_id), count=done.added)
    beat("seal", now())


def checkpoint(*, tenant_id: str, subject_id: str) -> None:
    """Post the newest signed head to an endpoint, once."""
    with named_job(Job.CHECKPOINT, tenant_id, subject_id) as (tenant, subject):
        config = settings()
        lease = timedelta(seconds=config.alert_timeout_s) + MARGIN
        with tenant_session(tenant) as session:
            work = load_checkpoint(
                session, tenant_id=tenant, endpoint_id=subject, now=now(), lease=lease
            )
        if work is None:
            return
        egress = Egress(allow=config.egress_hosts, total_s=config.alert_timeout_s)
        attempt = send(egress, work, now=now())
        moment = now()
        next_at = next_attempt_at(work.attempts, attempt, now=moment)
        with tenant_session(tenant) as session:
            store_checkpoint(session, work, attempt, next_at=next_at, now=moment)
        _LOG.info("checkpoint_posted", attempt=work.attempts, reason=attempt.reason)

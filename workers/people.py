"""The jobs of review and dispute: deadlines that pass without anybody's doing."""

from service import log
from service.clock import now
from service.db import tenant_session
from service.jobs import Job
from service.people.disputes import lapse as lapse_dispute
from workers.tasks import named_job

_LOG = log.get(__name__)


def lapse(*, tenant_id: str, subject_id: str) -> None:
    """Close a dispute that nobody judged in time."""
    with (
        named_job(Job.LAPSE, tenant_id, subject_id) as (tenant, subject),
        tenant_session(tenant) as session,
    ):
        if lapse_dispute(session, subject, tenant_id=tenant, now=now()):
            _LOG.info("dispute_lapsed")

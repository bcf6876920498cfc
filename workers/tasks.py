"""The jobs: each loads in one transaction, works in none, and stores in another."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from rules.model import Verdict
from service import log
from service.alerts.alert import Attempt, load_alert, store_attempt
from service.alerts.digest import Post, load_post, store_post
from service.alerts.escalation import escalate as escalate_alert
from service.check import CaseWork, load_case, release_case, store_verdicts
from service.clock import now
from service.config import settings
from service.db import tenant_session
from service.errors import DigestMismatchError, TooLargeError
from service.fetch import Fetch, load_url, store_arrival, store_failure
from service.jobs import Job
from service.keeping.storage import store
from service.models import EndpointKind
from service.packs import load_pack
from service.parameters import judge
from service.transcribe import load_recording, store_transcript, store_undecodable
from service.work import LostLeaseError, release, renew
from workers.egress import Egress, EgressError, EgressRefusedError
from workers.hearing import hear
from workers.lease import kept_alive
from workers.mail import mail, relay_address
from workers.robots import post_to_robot
from workers.sender import next_attempt_at, try_once
from workers.speech import UndecodableError

_LOG = log.get(__name__)
_MEGABYTE = 1024 * 1024
# What a delivery needs beside its own time limit, on a busy machine.
MARGIN = timedelta(seconds=10)


@contextmanager
def named_job(job: Job, tenant_id: str, subject_id: str) -> Iterator[tuple[UUID, UUID]]:
    """Name the job in every log line, and end quietly where somebody else has taken it over."""
    with structlog.contextvars.bound_contextvars(
        job=job.value, tenant_id=tenant_id, subject_id=subject_id
    ):
        try:
            yield UUID(tenant_id), UUID(subject_id)
        except LostLeaseError:
            _LOG.info("job_was_taken_over")


def fetch(*, tenant_id: str, subject_id: str) -> None:
    """Bring a recording that lies at a URL into the store."""
    with named_job(Job.FETCH, tenant_id, subject_id) as (tenant, subject):
        with tenant_session(tenant) as session:
            work = load_url(session, tenant_id=tenant, interaction_id=subject, now=now())
        if work is None:
            return
        with kept_alive(lambda: _renew(tenant, subject, work.attempt)):
            failure = _download(work)
        if failure is not None:
            code, is_final = failure
            with tenant_session(tenant) as session:
                store_failure(session, work, code, is_final=is_final, now=now())
            _LOG.info("recording_not_fetched", code=code, attempt=work.tries)


def _download(work: Fetch) -> tuple[str, bool] | None:
    """Stream the bytes into the store; gives the failure's code, and whether it is final."""
    config = settings()
    limit = config.recording_max_mb * _MEGABYTE
    egress = Egress(allow=config.egress_hosts, total_s=config.fetch_timeout_s)
    try:
        with egress.get(work.url, max_bytes=limit) as (reply, chunks):
            if reply.status != 200:  # noqa: PLR2004  the one answer that carries the whole body
                return f"http_{reply.status}", 400 <= reply.status < 500  # noqa: PLR2004
            stored = store().put_stream(work.tenant_id, chunks, work.sha256, limit)
    except (DigestMismatchError, TooLargeError) as error:
        return error.code, True
    except EgressError as error:
        is_final = isinstance(error, EgressRefusedError) or error.code == "too_large"
        return error.code, is_final
    with tenant_session(work.tenant_id) as session:
        store_arrival(session, work, size_bytes=stored.size_bytes, now=now())
    return None


def transcribe(*, tenant_id: str, subject_id: str) -> None:
    """Hear a recording and write down what was said."""
    with named_job(Job.TRANSCRIBE, tenant_id, subject_id) as (tenant, subject):
        with tenant_session(tenant) as session:
            work = load_recording(session, tenant_id=tenant, interaction_id=subject, now=now())
        if work is None:
            return
        try:
            heard = hear(work)
        except LostLeaseError:
            raise
        except UndecodableError as error:
            with tenant_session(tenant) as session:
                store_undecodable(session, work, error.reason)
            _LOG.info("recording_undecodable", attempt=work.attempt)
        except Exception:
            with tenant_session(tenant) as session:
                release(session, subject, work.attempt, now=now())
            raise
        else:
            with tenant_session(tenant) as session:
                store_transcript(session, work, heard, now=now())
            _LOG.info("recording_transcribed", attempt=work.attempt, seconds=heard.decoded_seconds)


def _renew(tenant: UUID, subject: UUID, attempt: int) -> bool:
    with tenant_session(tenant) as session:
        return renew(session, subject, attempt, now=now())


def check(*, tenant_id: str, subject_id: str) -> None:
    """Check every contact of a case against the pack."""
    with named_job(Job.CHECK, tenant_id, subject_id) as (tenant, subject):
        with tenant_session(tenant) as session:
            work = load_case(session, tenant_id=tenant, case_uuid=subject, now=now())
        if work is None:
            return
        try:
            verdicts = judge(load_pack(), work.history, work.settings)
            written = _store(work, verdicts, now=now())
        except LostLeaseError:
            raise
        except Exception:
            with tenant_session(tenant) as session:
                release_case(session, work, now=now())
            raise
        _LOG.info("case_checked", attempt=work.attempt, count=written)


def _store(work: CaseWork, verdicts: tuple[Verdict, ...], *, now: datetime) -> int:
    base_url = settings().public_base_url
    with tenant_session(work.tenant_id) as session:
        return store_verdicts(session, work, verdicts, base_url=base_url, now=now)


def alert(*, tenant_id: str, subject_id: str) -> None:
    """Tell a lender about a failing contact, once."""
    with named_job(Job.ALERT, tenant_id, subject_id) as (tenant, subject):
        lease = timedelta(seconds=settings().alert_timeout_s) + MARGIN
        with tenant_session(tenant) as session:
            work = load_alert(session, tenant_id=tenant, alert_id=subject, now=now(), lease=lease)
        if work is None:
            return
        attempt, moment, next_at = try_once(work)
        with tenant_session(tenant) as session:
            store_attempt(session, work, attempt, next_at=next_at, now=moment)
        _LOG.info(
            "alert_attempted",
            attempt=work.attempts,
            reason=attempt.reason,
            peer_status=attempt.status,
            endpoint_id=str(work.endpoint_id),
        )


def digest(*, tenant_id: str, subject_id: str) -> None:
    """Post what is due at an endpoint that takes digests, once."""
    with named_job(Job.DIGEST, tenant_id, subject_id) as (tenant, subject):
        post_digest(tenant, subject)


def post_digest(tenant: UUID, endpoint_id: UUID, clock: Callable[[], datetime] = now) -> bool:
    """Do it by this clock; False where nothing was to be sent yet."""
    config = settings()
    with tenant_session(tenant) as session:
        post = load_post(
            session,
            tenant_id=tenant,
            endpoint_id=endpoint_id,
            titles={rule.id: rule.title for rule in load_pack().rules},
            base_url=config.public_base_url,
            now=clock(),
            lease=timedelta(seconds=config.alert_timeout_s) + MARGIN,
        )
    if post is None:
        return False
    attempt = _send_post(post, clock())
    moment = clock()
    with tenant_session(tenant) as session:
        store_post(
            session,
            post,
            attempt,
            retry_at=lambda attempts: next_attempt_at(attempts, attempt, now=moment),
            now=moment,
        )
    _LOG.info(
        "digest_posted",
        count=post.alerts,
        reason=attempt.reason,
        peer_status=attempt.status,
        endpoint_id=str(endpoint_id),
    )
    return True


def _send_post(post: Post, moment: datetime) -> Attempt:
    config = settings()
    if post.kind is EndpointKind.EMAIL:
        relay = config.smtp_url.get_secret_value()
        # The operator names the relay: naming it is allowing it.
        allow = config.egress_hosts | {relay_address(relay)}
        egress = Egress(allow=allow, total_s=config.alert_timeout_s)
        return mail(egress, post, relay=relay, sender=config.smtp_from, now=moment)
    egress = Egress(allow=config.egress_hosts, total_s=config.alert_timeout_s)
    return post_to_robot(egress, post, now=moment)


def escalate(*, tenant_id: str, subject_id: str) -> None:
    """Hand a critical alert on that nobody has acknowledged in time."""
    with (
        named_job(Job.ESCALATE, tenant_id, subject_id) as (tenant, subject),
        tenant_session(tenant) as session,
    ):
        added = escalate_alert(session, tenant_id=tenant, alert_id=subject, now=now())
        _LOG.info("alert_escalated", count=added)

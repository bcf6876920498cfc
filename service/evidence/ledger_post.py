"""Checkpoints on their way to the lender: each endpoint that asks for them gets the newest one.

Heads follow one another every minute and the newest proves all before it, so an endpoint is told
at most once in `EVERY`, always the newest, under the schedule of alerts where it does not answer.
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import or_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from service.alerts.alert import Attempt, Delivery, Result, judge_endpoint, previous_secret
from service.evidence.ledger_models import LedgerCheckpoint, LedgerPost
from service.jobs import Job, enqueue
from service.models import Endpoint, EndpointKind
from service.privacy.sealed_fields import opened

EVERY = timedelta(hours=1)


def want_posts(session: Session, *, tenant_id: UUID, size: int, now: datetime) -> None:
    """Note that the head of this size should reach every endpoint that takes checkpoints."""
    endpoints = session.exec(
        select(Endpoint.id).where(
            col(Endpoint.checkpoints),
            col(Endpoint.active),
            Endpoint.kind == EndpointKind.WEBHOOK.value,
            col(Endpoint.removed_at).is_(None),
        )
    ).all()
    for endpoint_id in endpoints:
        session.exec(
            insert(LedgerPost)
            .values(tenant_id=tenant_id, endpoint_id=endpoint_id, wanted=size, next_at=now)
            .on_conflict_do_update(
                index_elements=["tenant_id", "endpoint_id"], set_={"wanted": size}
            )
        )
    enqueue_due(session, tenant_id=tenant_id, now=now)


def enqueue_due(session: Session, *, tenant_id: UUID, now: datetime) -> int:
    """Queue the posts that are due and that nobody is at; gives how many."""
    due = session.exec(
        select(LedgerPost.endpoint_id).where(
            col(LedgerPost.posted) < col(LedgerPost.wanted),
            col(LedgerPost.next_at) <= now,
            or_(col(LedgerPost.lease_until).is_(None), col(LedgerPost.lease_until) <= now),
        )
    ).all()
    for endpoint_id in due:
        enqueue(session, Job.CHECKPOINT, tenant_id=tenant_id, subject_id=endpoint_id)
    return len(due)


def load_checkpoint(
    session: Session, *, tenant_id: UUID, endpoint_id: UUID, now: datetime, lease: timedelta
) -> Delivery | None:
    """Claim the next attempt at an endpoint; None where nothing is to be sent now."""
    post = session.exec(
        select(LedgerPost).where(LedgerPost.endpoint_id == endpoint_id).with_for_update()
    ).one_or_none()
    endpoint = session.exec(select(Endpoint).where(Endpoint.id == endpoint_id)).one_or_none()
    if post is None or endpoint is None or not endpoint.active or not endpoint.checkpoints:
        return None
    is_leased = post.lease_until is not None and post.lease_until > now
    if post.posted >= post.wanted or post.next_at > now or is_leased:
        return None
    row = session.exec(
        select(LedgerCheckpoint).order_by(col(LedgerCheckpoint.size).desc()).limit(1)
    ).one()
    # Attempts at one head share its message id; a newer head is another message.
    post.attempts = post.attempts + 1
    post.sending, post.lease_until = row.size, now + lease
    session.flush()
    return Delivery(
        alert_id=endpoint.id,
        tenant_id=tenant_id,
        endpoint_id=endpoint.id,
        url=opened(endpoint, "url"),
        secret=opened(endpoint, "secret"),
        message_id=f"chk_{endpoint.id.hex}_{row.size}",
        payload={
            "type": "checkpoint.sealed",
            "timestamp": row.sealed_at.isoformat(),
            "data": {
                "size": row.size,
                "root_sha256": row.root.hex(),
                "sealed_at": row.sealed_at.isoformat(),
                "key_id": row.key_id,
                "note": row.note,
            },
        },
        attempts=post.attempts,
        started_at=now,
        secret_previous=previous_secret(endpoint, now),
    )


def store_checkpoint(
    session: Session,
    delivery: Delivery,
    attempt: Attempt,
    *,
    next_at: datetime | None,
    now: datetime,
) -> bool:
    """Write how an attempt ended; False, and nothing written, where another took it over.

    A head whose schedule is used up is left to the next one.
    """
    endpoint = session.exec(
        select(Endpoint).where(Endpoint.id == delivery.endpoint_id).with_for_update(key_share=True)
    ).one()
    post = session.exec(
        select(LedgerPost)
        .where(LedgerPost.endpoint_id == delivery.endpoint_id)
        .where(LedgerPost.attempts == delivery.attempts)
        .with_for_update()
    ).one_or_none()
    if post is None or post.sending is None:
        return False
    judge_endpoint(session, endpoint, attempt, now=now)
    post.last_reason, post.lease_until = attempt.reason, None
    if attempt.result is Result.DELIVERED:
        post.posted, post.attempts, post.next_at = post.sending, 0, now + EVERY
    else:
        post.next_at = next_at or now + EVERY
        post.attempts = post.attempts if next_at else 0
    post.sending = None
    session.flush()
    return True

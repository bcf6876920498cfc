"""Alerts: what a lender is told about a failing contact, and what became of the telling."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import or_, update
from sqlmodel import Session, col, select

from service.alerts.escalation import rescue
from service.alerts.routing import release_pending
from service.audit import add_entry
from service.jobs import Job, enqueue
from service.models import AlertRow, AlertState, DeliveryRow, Endpoint
from service.privacy.sealed_fields import opened, opened_or_none

# While an endpoint fails, one alert at a time tries it, so it cannot hold up the others' work.
PROBE_EVERY = timedelta(seconds=60)
# An endpoint that has failed for this long, with nothing delivered in between, is switched off.
GIVE_UP_AFTER = timedelta(days=5)
# The first attempt and one after each delay of the sender's schedule.
MAX_ATTEMPTS = 10


class Result(StrEnum):
    """What one attempt came to."""

    DELIVERED = "delivered"
    FAILED = "failed"
    THROTTLED = "throttled"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One claimed attempt; `attempts` counts it and is its fence.

    `secret_previous` signs too while the secret is being rotated.
    """

    alert_id: UUID
    tenant_id: UUID
    endpoint_id: UUID
    url: str
    secret: str
    message_id: str
    payload: dict[str, Any]
    attempts: int
    started_at: datetime
    secret_previous: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt ended; `reason` is one word, `retry_after_s` the receiver's wish."""

    result: Result
    reason: str
    status: int | None = None
    retry_after_s: float | None = None


def load_alert(
    session: Session, *, tenant_id: UUID, alert_id: UUID, now: datetime, lease: timedelta
) -> Delivery | None:
    """Claim the next attempt of an alert; None where nothing is to be sent now.

    The lease must outlast one delivery, or a live sender loses its claim. An alert of an endpoint
    that was switched off becomes `dead`.
    """
    alert = session.exec(select(AlertRow).where(col(AlertRow.id) == alert_id)).one_or_none()
    if alert is None or alert.state != AlertState.PENDING.value:
        return None
    if alert.next_at > now:
        enqueue(session, Job.ALERT, tenant_id=tenant_id, subject_id=alert_id, at=alert.next_at)
        return None
    endpoint = session.exec(
        select(Endpoint)
        .where(col(Endpoint.id) == alert.endpoint_id)
        .with_for_update(key_share=True)
    ).one()
    if not endpoint.active or alert.attempts >= MAX_ATTEMPTS:
        reason = "gave_up" if endpoint.active else "endpoint_disabled"
        bury(session, alert, reason=reason, now=now)
        return None
    if endpoint.failing_since is not None:
        if endpoint.paused_until is not None and endpoint.paused_until > now:
            at = endpoint.paused_until
            enqueue(session, Job.ALERT, tenant_id=tenant_id, subject_id=alert_id, at=at)
            return None
        endpoint.paused_until = now + PROBE_EVERY
    claimed = session.exec(
        update(AlertRow)
        .where(
            col(AlertRow.id) == alert_id,
            col(AlertRow.state) == AlertState.PENDING.value,
            or_(col(AlertRow.lease_until).is_(None), col(AlertRow.lease_until) <= now),
        )
        .values(attempts=col(AlertRow.attempts) + 1, lease_until=now + lease)
        .returning(col(AlertRow.attempts))
    ).scalar_one_or_none()
    if claimed is None:
        return None
    return Delivery(
        alert_id=alert.id,
        tenant_id=tenant_id,
        endpoint_id=endpoint.id,
        url=opened(endpoint, "url"),
        secret=opened(endpoint, "secret"),
        message_id=alert.message_id,
        payload=alert.payload,
        attempts=claimed,
        started_at=now,
        secret_previous=previous_secret(endpoint, now),
    )


def store_attempt(
    session: Session,
    delivery: Delivery,
    attempt: Attempt,
    *,
    next_at: datetime | None,
    now: datetime,
) -> bool:
    """Write how an attempt ended; with `next_at` None a failed alert is dead.

    Returns False, and changes nothing, where another worker has claimed the alert since.
    """
    endpoint = session.exec(
        select(Endpoint)
        .where(col(Endpoint.id) == delivery.endpoint_id)
        .with_for_update(key_share=True)
    ).one()
    alert = session.exec(
        select(AlertRow)
        .where(col(AlertRow.id) == delivery.alert_id)
        .where(col(AlertRow.attempts) == delivery.attempts)
        .where(col(AlertRow.state) == AlertState.PENDING.value)
        .with_for_update()
    ).one_or_none()
    if alert is None:
        return False
    session.add(
        DeliveryRow(
            tenant_id=delivery.tenant_id,
            endpoint_id=delivery.endpoint_id,
            message_id=delivery.message_id,
            alerts=1,
            attempt=delivery.attempts,
            started_at=delivery.started_at,
            ended_at=now,
            result=attempt.result.value,
            status=attempt.status,
            reason=attempt.reason,
        )
    )
    judge_endpoint(session, endpoint, attempt, now=now)
    alert.last_status, alert.last_reason = attempt.status, attempt.reason
    alert.lease_until = None
    if attempt.result is Result.DELIVERED:
        deliver(alert, now=now)
    elif attempt.result is Result.GONE:
        bury(session, alert, reason=attempt.reason, now=now)
    else:
        _retry_or_bury(session, alert, endpoint, reason=attempt.reason, next_at=next_at, now=now)
    session.flush()
    return True


def previous_secret(endpoint: Endpoint, now: datetime) -> str | None:
    """The secret before the last rotation, while it still holds."""
    until = endpoint.previous_until
    is_good = until is not None and until > now
    return opened_or_none(endpoint, "secret_previous") if is_good else None


def judge_endpoint(
    session: Session, endpoint: Endpoint, attempt: Attempt, *, now: datetime
) -> None:
    """Note what an attempt says of its endpoint, and switch off one that is gone or long silent."""
    if attempt.result is Result.DELIVERED:
        endpoint.failing_since = endpoint.paused_until = None
    elif attempt.result is Result.GONE:
        reason = "the receiver answered 410 Gone"
        _switch_off(session, endpoint, "gone", reason, now=now)
    elif attempt.result is Result.FAILED:
        endpoint.failing_since = endpoint.failing_since or now
        if now - endpoint.failing_since >= GIVE_UP_AFTER:
            days = f"nothing was delivered for {GIVE_UP_AFTER.days} days"
            _switch_off(session, endpoint, "failing", days, now=now)


def deliver(alert: AlertRow, *, now: datetime) -> None:
    """Mark an alert as delivered."""
    alert.state, alert.delivered_at = AlertState.DELIVERED.value, now


def _retry_or_bury(
    session: Session,
    alert: AlertRow,
    endpoint: Endpoint,
    *,
    reason: str,
    next_at: datetime | None,
    now: datetime,
) -> None:
    if next_at is None or not endpoint.active:
        bury(session, alert, reason=f"gave_up: {reason}", now=now)
        return
    alert.next_at = next_at
    endpoint.paused_until = min(next_at, now + PROBE_EVERY)
    enqueue(session, Job.ALERT, tenant_id=alert.tenant_id, subject_id=alert.id, at=next_at)


def bury(session: Session, alert: AlertRow, *, reason: str, now: datetime) -> None:
    """Give an alert up, with its reason; a critical one goes to the other endpoints instead."""
    alert.state = AlertState.DEAD.value
    alert.last_reason = reason
    alert.lease_until = None
    add_entry(
        session,
        tenant_id=alert.tenant_id,
        actor="alert",
        action="alert_died",
        subject_id=str(alert.id),
        details={"reason": reason, "attempts": alert.attempts},
    )
    session.flush()
    rescue(session, alert, now=now)


def _switch_off(
    session: Session, endpoint: Endpoint, code: str, reason: str, *, now: datetime
) -> None:
    """Send it nothing more; the lender switches it on again once its receiver answers."""
    endpoint.active = False
    endpoint.disabled_reason = reason
    release_pending(session, endpoint, now=now)
    add_entry(
        session,
        tenant_id=endpoint.tenant_id,
        actor="alert",
        action="endpoint_disabled",
        subject_id=str(endpoint.id),
        details={"reason": code},
    )

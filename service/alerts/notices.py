"""Signed messages that are about no single contact: what is missing, told to lender and agency."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import or_, update
from sqlmodel import Session, col, select

from service.alerts.alert import (
    MAX_ATTEMPTS,
    Attempt,
    Delivery,
    Result,
    judge_endpoint,
    previous_secret,
)
from service.alerts.models import AlertState, Endpoint, EndpointKind
from service.alerts.routing import active_endpoints
from service.audit import add_entry
from service.jobs import Job, enqueue
from service.keeping.completeness import ASKED_FOR
from service.keeping.completeness_models import (
    AgencyEndpoint,
    CompletenessDay,
    CompletenessFinding,
    Fault,
    Notice,
)
from service.keeping.completeness_store import told_digest
from service.privacy.sealed_fields import opened

# A message names so many calls; the rest is listed at its link.
MOST_ITEMS = 500


def tell_day(
    session: Session,
    figure: CompletenessDay,
    faults: Sequence[CompletenessFinding],
    *,
    base_url: str,
    now: datetime,
) -> int:
    """Tell lender and agency of a day's open faults, unless they were told of these already.

    The lender's webhooks get `completeness.found`; the agency's endpoint, where it has one, gets
    `recording.requested`, and where it has none it finds the same by the API. Gives how many
    messages were added.
    """
    digest = told_digest(faults)
    if figure.told_sha256 == digest:
        return 0
    figure.told_sha256 = digest
    added = 0
    if faults:
        for endpoint in active_endpoints(session):
            if endpoint.kind == EndpointKind.WEBHOOK.value and _wants(endpoint, figure.agency_id):
                payload = _found(figure, faults, base_url=base_url, now=now)
                added += _add(session, figure.tenant_id, payload, endpoint_id=endpoint.id, now=now)
    asked = [row for row in faults if Fault(row.kind) in ASKED_FOR]
    for row in asked:
        row.requested_at = now
    if asked and session.get(AgencyEndpoint, (figure.tenant_id, figure.agency_id)) is not None:
        payload = _requested(figure, asked, base_url=base_url, now=now)
        agency_id = figure.agency_id
        added += _add(session, figure.tenant_id, payload, agency_id=agency_id, now=now)
    add_entry(
        session,
        tenant_id=figure.tenant_id,
        actor="completeness",
        action="completeness_found",
        subject_id=str(figure.agency_id),
        details={"day": figure.day.isoformat(), "share": figure.share, "faults": figure.faults},
    )
    return added


def load_notice(
    session: Session, *, tenant_id: UUID, notice_id: UUID, now: datetime, lease: timedelta
) -> Delivery | None:
    """Claim the next attempt of a notice; None where nothing is to be sent now."""
    row = session.exec(
        update(Notice)
        .where(
            col(Notice.id) == notice_id,
            col(Notice.state) == AlertState.PENDING.value,
            col(Notice.next_at) <= now,
            or_(col(Notice.lease_until).is_(None), col(Notice.lease_until) <= now),
        )
        .values(attempts=col(Notice.attempts) + 1, lease_until=now + lease)
        .returning(Notice)
    ).scalar_one_or_none()
    if row is None:
        return None
    place = _place(session, row)
    if place is None:
        row.state, row.last_reason = AlertState.DEAD.value, "endpoint_disabled"
        row.lease_until = None
        return None
    url, secret, previous = place[0], place[1], place[2]
    return Delivery(
        alert_id=row.id,
        tenant_id=tenant_id,
        endpoint_id=row.endpoint_id or row.id,
        url=url,
        secret=secret,
        message_id=row.message_id,
        payload=row.payload,
        attempts=row.attempts,
        started_at=now,
        secret_previous=previous(now) if previous else None,
    )


def store_notice(
    session: Session,
    delivery: Delivery,
    attempt: Attempt,
    *,
    next_at: datetime | None,
    now: datetime,
) -> bool:
    """Write how an attempt ended; False where another worker has claimed the notice since."""
    row = session.exec(
        select(Notice)
        .where(col(Notice.id) == delivery.alert_id, col(Notice.attempts) == delivery.attempts)
        .where(col(Notice.state) == AlertState.PENDING.value)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return False
    row.last_status, row.last_reason, row.lease_until = attempt.status, attempt.reason, None
    if row.endpoint_id is not None:
        endpoint = session.exec(select(Endpoint).where(col(Endpoint.id) == row.endpoint_id)).one()
        judge_endpoint(session, endpoint, attempt, now=now)
    if attempt.result is Result.DELIVERED:
        row.state, row.delivered_at = AlertState.DELIVERED.value, now
    elif attempt.result is Result.GONE or next_at is None or row.attempts >= MAX_ATTEMPTS:
        row.state = AlertState.DEAD.value
        add_entry(
            session,
            tenant_id=row.tenant_id,
            actor="alert",
            action="notice_died",
            subject_id=str(row.id),
            details={"reason": attempt.reason, "attempts": row.attempts},
        )
    else:
        row.next_at = next_at
        enqueue(session, Job.NOTIFY, tenant_id=row.tenant_id, subject_id=row.id, at=next_at)
    return True


def _place(session: Session, row: Notice) -> tuple[str, str, Any] | None:
    """Address, secret and a function that gives the secret before; None where it is gone."""
    if row.agency_id is not None:
        own = session.get(AgencyEndpoint, (row.tenant_id, row.agency_id))
        return (opened(own, "url"), opened(own, "secret"), None) if own else None
    endpoint = session.exec(select(Endpoint).where(col(Endpoint.id) == row.endpoint_id)).one()
    if not endpoint.active or endpoint.removed_at is not None:
        return None
    return (
        opened(endpoint, "url"),
        opened(endpoint, "secret"),
        lambda at: previous_secret(endpoint, at),
    )


def _wants(endpoint: Endpoint, agency_id: UUID) -> bool:
    is_family = endpoint.families is None or "REC" in endpoint.families
    return is_family and (endpoint.agencies is None or str(agency_id) in endpoint.agencies)


def _add(
    session: Session,
    tenant_id: UUID,
    payload: dict[str, Any],
    *,
    endpoint_id: UUID | None = None,
    agency_id: UUID | None = None,
    now: datetime,
) -> int:
    row = Notice(
        tenant_id=tenant_id,
        endpoint_id=endpoint_id,
        agency_id=agency_id,
        message_id="",
        payload=payload,
        next_at=now,
        created_at=now,
    )
    row.message_id = f"notice_{row.id.hex}"
    session.add(row)
    session.flush()
    enqueue(session, Job.NOTIFY, tenant_id=tenant_id, subject_id=row.id)
    return 1


def _found(
    figure: CompletenessDay,
    faults: Sequence[CompletenessFinding],
    *,
    base_url: str,
    now: datetime,
) -> dict[str, Any]:
    return {
        "type": "completeness.found",
        "timestamp": now.isoformat(),
        "data": {
            "agency_id": str(figure.agency_id),
            "day": figure.day.isoformat(),
            "listed": figure.listed,
            "expected": figure.expected,
            "complete": figure.complete,
            "share": figure.share,
            "faults": figure.faults,
            "rules": sorted({row.rule for row in faults}),
            "link": _link(base_url, figure),
        },
    }


def _requested(
    figure: CompletenessDay,
    asked: Sequence[CompletenessFinding],
    *,
    base_url: str,
    now: datetime,
) -> dict[str, Any]:
    return {
        "type": "recording.requested",
        "timestamp": now.isoformat(),
        "data": {
            "agency_id": str(figure.agency_id),
            "day": figure.day.isoformat(),
            "count": len(asked),
            "items": [
                {"interaction_id": row.call_id, "fault": row.kind} for row in asked[:MOST_ITEMS]
            ],
            "link": _link(base_url, figure),
        },
    }


def _link(base_url: str, figure: CompletenessDay) -> str:
    day = figure.day.isoformat()
    query = f"agency_id={figure.agency_id}&from={day}&to={day}&open=true"
    return f"{base_url.rstrip('/')}/v1/completeness/findings?{query}"

"""What became of alerts: pages of them and of every attempt; acknowledged, resent, recovered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import tuple_, update
from sqlmodel import Session, col, select

from service.alerts.endpoints import get_endpoint
from service.alerts.routing import Contact, active_endpoints, add_alerts, route, told_of, wake
from service.audit import add_entry
from service.clock import now
from service.config import settings
from service.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from service.models import (
    AlertRow,
    AlertState,
    DeliveryRow,
    Endpoint,
    InteractionRow,
    VerdictRow,
)
from service.read import Page, make_cursor, read_cursor

# A webhook's receiver drops what it has seen by its id for about this long, so further back than
# this nothing is sent again.
RECOVER_AT_MOST = timedelta(days=30)
MAX_RECOVERED = 10_000


@dataclass(frozen=True, slots=True)
class AlertFilters:
    """What a list of alerts is narrowed by; None leaves a field open."""

    endpoint_id: UUID | None = None
    agency_id: UUID | None = None
    state: str | None = None
    severity: str | None = None
    acknowledged: bool | None = None


def list_alerts(
    session: Session, filters: AlertFilters, *, cursor: str | None = None, limit: int = 50
) -> Page:
    """Alerts, newest first."""
    conditions = [
        getattr(AlertRow, name) == value
        for name in ("endpoint_id", "agency_id", "state", "severity")
        if (value := getattr(filters, name)) is not None
    ]
    if filters.acknowledged is not None:
        held = col(AlertRow.acknowledged_at)
        conditions.append(held.is_not(None) if filters.acknowledged else held.is_(None))
    return _page(session, AlertRow, "created_at", conditions, cursor, limit)


def list_deliveries(
    session: Session, endpoint_id: UUID | None, *, cursor: str | None = None, limit: int = 50
) -> Page:
    """Every attempt at every endpoint, or at one, newest first."""
    conditions = [] if endpoint_id is None else [col(DeliveryRow.endpoint_id) == endpoint_id]
    return _page(session, DeliveryRow, "started_at", conditions, cursor, limit)


def get_alert(session: Session, alert_id: UUID) -> AlertRow:
    """One alert; raises `NotFoundError`."""
    found = session.exec(
        select(AlertRow).where(col(AlertRow.id) == alert_id).with_for_update(key_share=True)
    ).one_or_none()
    if found is None:
        raise NotFoundError("There is no such alert.")
    return found


def acknowledge(session: Session, alert_id: UUID, *, by: str) -> AlertRow:
    """Note that somebody has seen to the contact: all alerts of that verdict stop escalating.

    The first acknowledgement stays; a later one changes nothing.
    """
    found = get_alert(session, alert_id)
    if found.acknowledged_at is not None:
        return found
    moment = now()
    session.exec(
        update(AlertRow)
        .where(
            col(AlertRow.verdict_id) == found.verdict_id, col(AlertRow.acknowledged_at).is_(None)
        )
        .values(acknowledged_at=moment, acknowledged_by=by, escalate_at=None)
        .execution_options(synchronize_session=False)
    )
    session.refresh(found)
    _note(session, found.tenant_id, by, "alert_acknowledged", alert_id)
    return found


def resend(session: Session, alert_id: UUID, *, by: str) -> AlertRow:
    """Send one alert again under its id, whatever became of it; raises `ConflictError`.

    An alert that is still pending goes at once.
    """
    found = get_alert(session, alert_id)
    endpoint = session.exec(select(Endpoint).where(col(Endpoint.id) == found.endpoint_id)).one()
    if not endpoint.active:
        raise ConflictError("Its endpoint is switched off.")
    if found.lease_until is not None and found.lease_until > now():
        raise ConflictError("It is being sent at this moment.")
    _again(session, endpoint, found)
    _note(session, found.tenant_id, by, "alert_resent", alert_id)
    return found


def recover(session: Session, endpoint_id: UUID, *, since: datetime, by: str) -> int:
    """Send an endpoint all that it should have been told since then; gives how many alerts.

    Alerts that it has go again under their ids; verdicts that it was never told of (it was switched
    off, or is new) are read from the ledger, as they stand now.
    """
    endpoint = get_endpoint(session, endpoint_id, lock=True)
    if not endpoint.active:
        raise ConflictError("The endpoint is switched off: switch it on first.")
    moment = now()
    if not moment - RECOVER_AT_MOST <= since <= moment:
        days = RECOVER_AT_MOST.days
        problem = FieldProblem("since", f"must lie within the last {days} days")
        raise InvalidInputError("The time cannot be recovered.", errors=(problem,))
    held = session.exec(
        select(AlertRow)
        .where(
            col(AlertRow.endpoint_id) == endpoint_id,
            col(AlertRow.created_at) >= since,
            col(AlertRow.state) != AlertState.PENDING.value,
        )
        .order_by(col(AlertRow.created_at), col(AlertRow.id))
        .limit(MAX_RECOVERED)
    ).all()
    for alert in held:
        _again(session, endpoint, alert)
    count = len(held) + _tell_what_is_missing(session, endpoint, since, moment)
    _note(session, endpoint.tenant_id, by, "endpoint_recovered", endpoint_id, count=count)
    return count


def _tell_what_is_missing(
    session: Session, endpoint: Endpoint, since: datetime, moment: datetime
) -> int:
    told_already = select(AlertRow.id).where(
        col(AlertRow.verdict_id) == col(VerdictRow.id), col(AlertRow.endpoint_id) == endpoint.id
    )
    rows = session.exec(
        select(InteractionRow, VerdictRow)
        .join(VerdictRow, col(VerdictRow.id) == col(InteractionRow.verdict_id))
        .where(
            col(VerdictRow.evaluated_at) >= since,
            col(VerdictRow.outcome).in_(("fail", "review")),
            ~told_already.exists(),
        )
        .order_by(col(VerdictRow.evaluated_at))
        .limit(MAX_RECOVERED)
    ).all()
    endpoints = active_endpoints(session)
    added = 0
    for interaction, verdict in rows:
        chosen = route(endpoints, interaction.agency_id, told_of(session, verdict.id))
        added += add_alerts(
            session,
            Contact.of(interaction, verdict),
            chosen,
            [endpoint],
            base_url=settings().public_base_url,
            now=moment,
        )
    return added


def _again(session: Session, endpoint: Endpoint, alert: AlertRow) -> None:
    alert.state = AlertState.PENDING.value
    alert.next_at, alert.window_until = now(), None
    alert.delivered_at = alert.delivery_id = None
    alert.attempts = 0
    endpoint.paused_until = None  # somebody asks for it: that is the next probe
    session.flush()
    wake(session, endpoint, alert.id, at=None)


def _note(
    session: Session, tenant_id: UUID, by: str, action: str, subject: UUID, **details: Any
) -> None:
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=by,
        action=action,
        subject_id=str(subject),
        details=details,
    )


def _page(
    session: Session,
    table: Any,
    moment: str,
    conditions: Sequence[Any],
    cursor: str | None,
    limit: int,
) -> Page:
    at = getattr(table, moment)
    own = list(conditions)
    if cursor is not None:
        own.append(tuple_(at, table.id) < read_cursor(cursor))
    rows = session.exec(
        select(table).where(*own).order_by(at.desc(), table.id.desc()).limit(limit + 1)
    ).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(rows[:limit], make_cursor(getattr(last, moment), last.id) if last else None)

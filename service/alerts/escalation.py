"""Critical alerts that nobody acknowledged, or that could not be delivered, go to somebody else."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, select

from service.alerts.routing import Contact, active_endpoints, add_alerts, told_of
from service.audit import add_entry
from service.config import settings
from service.jobs import Job, enqueue
from service.models import AlertRow, Endpoint, InteractionRow, VerdictRow


def escalate(session: Session, *, tenant_id: UUID, alert_id: UUID, now: datetime) -> int:
    """Hand an alert whose time has come to the endpoint that is named for it.

    Where that one is switched off it goes to every other active endpoint. Gives how many alerts
    were added; none where somebody acknowledged it meanwhile.
    """
    alert = session.exec(
        select(AlertRow).where(col(AlertRow.id) == alert_id).with_for_update(key_share=True)
    ).one_or_none()
    if alert is None or alert.escalate_at is None:
        return 0
    if alert.escalate_at > now:
        at = alert.escalate_at
        enqueue(session, Job.ESCALATE, tenant_id=tenant_id, subject_id=alert_id, at=at)
        return 0
    alert.escalate_at = None
    named = session.exec(
        select(Endpoint.escalate_to).where(col(Endpoint.id) == alert.endpoint_id)
    ).one()
    others = [row for row in active_endpoints(session) if row.id != alert.endpoint_id]
    chosen = [row for row in others if row.id == named] or others
    return _tell(session, alert, chosen, action="alert_escalated", now=now)


def rescue(session: Session, alert: AlertRow, *, now: datetime) -> int:
    """Give an alert that died to every other active endpoint, if it is a critical one."""
    alert.escalate_at = None
    if alert.notice:
        return 0
    others = [row for row in active_endpoints(session) if row.id != alert.endpoint_id]
    return _tell(session, alert, others, action="alert_rescued", now=now)


def _tell(
    session: Session,
    alert: AlertRow,
    endpoints: Sequence[Endpoint],
    *,
    action: str,
    now: datetime,
) -> int:
    """Tell these endpoints the critical part of an alert, past their filters."""
    told = [
        each
        for each in told_of(session, alert.verdict_id)
        if each.is_critical and alert.rule in {"", each.rule}
    ]
    if not told:
        return 0
    interaction = session.exec(
        select(InteractionRow).where(col(InteractionRow.id) == alert.interaction_id)
    ).one()
    verdict = session.exec(select(VerdictRow).where(col(VerdictRow.id) == alert.verdict_id)).one()
    added = add_alerts(
        session,
        Contact.of(interaction, verdict),
        {row.id: told for row in endpoints},
        endpoints,
        base_url=settings().public_base_url,
        now=now,
        escalated=True,
    )
    add_entry(
        session,
        tenant_id=alert.tenant_id,
        actor="alert",
        action=action,
        subject_id=str(alert.id),
        details={"endpoints": [str(row.id) for row in endpoints], "added": added},
    )
    return added

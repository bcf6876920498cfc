"""Tells the lender's endpoints that a rule went under watch, or came back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from rules.model import Severity
from service.alerts.routing import active_endpoints, wake
from service.models import AlertRow, Endpoint, EndpointKind, InteractionRow, VerdictRow

WORDS = {
    "rule_demoted": ("进入观察期，只提示人工复核", "went under watch and only asks for review"),
    "rule_recovered": ("准确率恢复，重新独立判定", "is precise again and decides by itself"),
}


def tell(
    session: Session,
    notice: str,
    rule: str,
    figures: Mapping[str, Any],
    *,
    verdict_id: UUID,
    base_url: str,
    now: datetime,
) -> int:
    """Add the notice for every active endpoint that hears of the rule's family; gives how many.

    An alert hangs on a verdict: this one on that of the decision that tipped the figures.
    """
    verdict = session.exec(select(VerdictRow).where(col(VerdictRow.id) == verdict_id)).one()
    contact = session.exec(
        select(InteractionRow).where(col(InteractionRow.id) == verdict.interaction_id)
    ).one()
    data = {
        "rule": rule,
        "precision": round(figures["share"], 4),
        "low": round(figures["low"], 4),
        "high": round(figures["high"], 4),
        "reviews": figures["total"],
        "floor": figures["floor"],
        "link": f"{base_url.rstrip('/')}/v1/watch",
    }
    payload = {"type": notice.replace("_", "."), "timestamp": now.isoformat(), "data": data}
    added = 0
    for endpoint in active_endpoints(session):
        if endpoint.families is None or rule[:3] in endpoint.families:
            added += _add(session, endpoint, contact, verdict_id, notice, rule, payload, now)
    return added


def line(notice: str, rule: str, name: str, payload: Mapping[str, Any]) -> str:
    """The notice as a digest writes it."""
    data = payload["data"]
    zh, en = WORDS[notice]
    shown = f"{data['precision']:.0%} ({data['low']:.0%}–{data['high']:.0%}, n={data['reviews']})"
    return (
        f"\n[观察 watch] {rule} {name[:200]}\n"
        f"{zh} · {en}\n"
        f"复核准确率 precision: {shown} · 下限 floor: {data['floor']:.0%}\n"
        f"{data['link']}"
    )


def _add(
    session: Session,
    endpoint: Endpoint,
    contact: InteractionRow,
    verdict_id: UUID,
    notice: str,
    rule: str,
    payload: Mapping[str, Any],
    now: datetime,
) -> int:
    row = AlertRow(
        tenant_id=contact.tenant_id,
        endpoint_id=endpoint.id,
        interaction_id=contact.id,
        verdict_id=verdict_id,
        message_id="",
        payload=dict(payload),
        next_at=now,
        created_at=now,
        rule="" if endpoint.kind == EndpointKind.WEBHOOK.value else rule,
        severity=Severity.HIGH.value,
        findings=0,
        notice=f"{notice}:{rule}",
    )
    row.message_id = f"alert_{row.id.hex}"
    made = session.exec(
        insert(AlertRow)
        .values(**row.model_dump())
        .on_conflict_do_nothing()
        .returning(col(AlertRow.id))
    ).scalar_one_or_none()
    if made is None:
        return 0
    wake(session, endpoint, row.id, at=None)
    return 1

"""Which endpoint is told what: subscriptions, and the alerts that a verdict gives rise to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from rules.model import Disposition, Severity
from service.jobs import Job, enqueue
from service.models import (
    AlertRow,
    AlertState,
    Endpoint,
    EndpointKind,
    FindingRow,
    InteractionRow,
    VerdictRow,
)


@dataclass(frozen=True, slots=True)
class Told:
    """The findings of one rule and disposition in one verdict, as alerts count them."""

    rule: str
    severity: Severity
    disposition: Disposition
    findings: int = 1

    @property
    def is_critical(self) -> bool:
        """Whether it may never be muted: a critical rule, broken beyond doubt."""
        return self.severity is Severity.CRITICAL and self.disposition is Disposition.VIOLATION


@dataclass(frozen=True, slots=True)
class Contact:
    """The contact and the revision of its verdict that alerts are about."""

    tenant_id: UUID
    id: UUID
    interaction_id: str
    case_id: str
    agency_id: UUID
    verdict_id: UUID
    revision: int
    outcome: str
    evaluated_at: datetime

    @classmethod
    def of(cls, row: InteractionRow, verdict: VerdictRow) -> "Contact":
        """Take it from the rows."""
        return cls(
            tenant_id=row.tenant_id,
            id=row.id,
            interaction_id=row.interaction_id,
            case_id=row.case_id,
            agency_id=row.agency_id,
            verdict_id=verdict.id,
            revision=verdict.revision,
            outcome=verdict.outcome,
            evaluated_at=verdict.evaluated_at,
        )


def count_findings(findings: Iterable[tuple[str, str, str]]) -> list[Told]:
    """Sum up (rule, severity, disposition), the worst first."""
    counts: dict[tuple[str, Severity, Disposition], int] = {}
    for rule, severity, disposition in findings:
        key = (rule, Severity(severity), Disposition(disposition))
        counts[key] = counts.get(key, 0) + 1
    told = [Told(*key, findings) for key, findings in counts.items()]
    return sorted(told, key=lambda each: (-each.severity.rank, each.rule, each.disposition))


def told_of(session: Session, verdict_id: UUID) -> list[Told]:
    """What a stored verdict found."""
    rows = session.exec(
        select(FindingRow.rule, FindingRow.severity, FindingRow.disposition).where(
            col(FindingRow.verdict_id) == verdict_id
        )
    ).all()
    return count_findings(rows)


def wants(endpoint: Endpoint, agency_id: UUID, told: Told) -> bool:
    """Say whether an endpoint has subscribed to it."""
    return (
        told.disposition.value in endpoint.dispositions
        and told.severity.rank >= Severity(endpoint.lowest_severity).rank
        and (endpoint.agencies is None or str(agency_id) in endpoint.agencies)
        and (endpoint.families is None or told.rule.split("-", maxsplit=1)[0] in endpoint.families)
    )


def route(
    endpoints: Sequence[Endpoint], agency_id: UUID, told: Sequence[Told]
) -> dict[UUID, list[Told]]:
    """Say what each of the active endpoints is told.

    A critical violation that no subscription wants goes to every endpoint: filters divide the
    work, they do not mute.
    """
    chosen = {
        endpoint.id: [each for each in told if wants(endpoint, agency_id, each)]
        for endpoint in endpoints
    }
    for each in told:
        if each.is_critical and not any(each in own for own in chosen.values()):
            for own in chosen.values():
                own.append(each)
    return chosen


def active_endpoints(session: Session) -> Sequence[Endpoint]:
    """The endpoints that are told anything at all, oldest first."""
    return session.exec(
        select(Endpoint)
        .where(col(Endpoint.active), col(Endpoint.removed_at).is_(None))
        .order_by(col(Endpoint.created_at), col(Endpoint.id))
    ).all()


def add_alerts(
    session: Session,
    contact: Contact,
    chosen: Mapping[UUID, Sequence[Told]],
    endpoints: Sequence[Endpoint],
    *,
    base_url: str,
    now: datetime,
    escalated: bool = False,
) -> int:
    """Write the alerts and their jobs; what an endpoint has already is not added again.

    A webhook gets one message about the contact, every other kind one alert a rule, which its
    digests gather. Gives how many were added.
    """
    added = 0
    for endpoint in endpoints:
        told = chosen.get(endpoint.id)
        if not told:
            continue
        if endpoint.kind == EndpointKind.WEBHOOK.value:
            payload = make_payload(contact, told, base_url=base_url, escalated=escalated)
            groups = {"": (list(told), payload)}
        else:
            groups = {}
            for each in told:
                groups.setdefault(each.rule, ([], {}))[0].append(each)
        for rule, (own, payload) in groups.items():
            row = _make_row(session, endpoint, contact, rule, own, payload, now=now)
            row.escalated = escalated
            added += _add(session, endpoint, row)
    return added


def make_payload(
    contact: Contact, told: Sequence[Told], *, base_url: str, escalated: bool = False
) -> dict[str, Any]:
    """What a webhook says: ids, rules, severities and a link; nothing said, nobody named."""
    worst = max(told, key=lambda each: each.severity.rank).severity
    is_failed = any(each.disposition is Disposition.VIOLATION for each in told)
    rules = sorted({(each.rule, each.severity.value, each.disposition.value) for each in told})
    return {
        "type": "interaction.failed" if is_failed else "interaction.flagged",
        "timestamp": contact.evaluated_at.isoformat(),
        "data": {
            "id": str(contact.id),
            "interaction_id": contact.interaction_id,
            "case_id": contact.case_id,
            "agency_id": str(contact.agency_id),
            "verdict_id": str(contact.verdict_id),
            "revision": contact.revision,
            "outcome": contact.outcome,
            "severity": worst.value,
            "escalated": escalated,
            "findings": [
                {"rule": rule, "severity": severity, "disposition": disposition}
                for rule, severity, disposition in rules
            ],
            "link": f"{base_url.rstrip('/')}/v1/interactions/{contact.id}",
        },
    }


def _make_row(
    session: Session,
    endpoint: Endpoint,
    contact: Contact,
    rule: str,
    told: Sequence[Told],
    payload: dict[str, Any],
    *,
    now: datetime,
) -> AlertRow:
    is_critical = any(each.is_critical for each in told)
    row = AlertRow(
        tenant_id=contact.tenant_id,
        endpoint_id=endpoint.id,
        interaction_id=contact.id,
        verdict_id=contact.verdict_id,
        message_id="",
        payload=payload,
        next_at=now,
        created_at=now,
        agency_id=contact.agency_id,
        rule=rule,
        severity=max(told, key=lambda each: each.severity.rank).severity.value,
        findings=sum(each.findings for each in told),
    )
    row.message_id = f"alert_{row.id.hex}"
    if not is_critical and endpoint.window_s and rule:
        row.next_at = row.window_until = _window_end(session, endpoint, row, now)
    if is_critical and endpoint.escalate_after_s is not None:
        row.escalate_at = now + timedelta(seconds=endpoint.escalate_after_s)
    return row


def _window_end(session: Session, endpoint: Endpoint, row: AlertRow, now: datetime) -> datetime:
    """The end of the window that the group (agency and rule) has open, or of a new one."""
    held = session.exec(
        select(func.max(AlertRow.window_until)).where(
            col(AlertRow.endpoint_id) == endpoint.id,
            col(AlertRow.state) == AlertState.PENDING.value,
            col(AlertRow.agency_id) == row.agency_id,
            col(AlertRow.rule) == row.rule,
            col(AlertRow.window_until) > now,
        )
    ).one()
    return held or now + timedelta(seconds=endpoint.window_s)


def _add(session: Session, endpoint: Endpoint, row: AlertRow) -> bool:
    made = session.exec(
        insert(AlertRow)
        .values(**row.model_dump())
        .on_conflict_do_nothing()
        .returning(col(AlertRow.id))
    ).scalar_one_or_none()
    if made is None:
        return False
    wake(session, endpoint, row.id, at=None if row.window_until is None else row.next_at)
    if row.escalate_at is not None:
        tenant_id = row.tenant_id
        enqueue(session, Job.ESCALATE, tenant_id=tenant_id, subject_id=row.id, at=row.escalate_at)
    return True


def wake(session: Session, endpoint: Endpoint, alert_id: UUID, *, at: datetime | None) -> None:
    """Queue what delivers an alert: its own job, or that of the endpoint that takes digests."""
    if endpoint.kind == EndpointKind.WEBHOOK.value:
        job, subject_id = Job.ALERT, alert_id
    else:
        job, subject_id = Job.DIGEST, endpoint.id
    enqueue(session, job, tenant_id=endpoint.tenant_id, subject_id=subject_id, at=at)


def release_pending(session: Session, endpoint: Endpoint, *, now: datetime) -> None:
    """Call up the critical alerts that wait at an endpoint that was switched off.

    Their jobs find it so and give them to the other endpoints; they do not wait for a retry.
    """
    waiting = session.exec(
        update(AlertRow)
        .where(
            col(AlertRow.endpoint_id) == endpoint.id,
            col(AlertRow.state) == AlertState.PENDING.value,
            col(AlertRow.severity) == Severity.CRITICAL.value,
        )
        .values(next_at=now)
        .returning(col(AlertRow.id))
        .execution_options(synchronize_session="fetch")
    ).scalars()
    for alert_id in waiting.all():
        wake(session, endpoint, alert_id, at=None)

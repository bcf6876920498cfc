"""Digests: what waits for one endpoint, gathered by agency and rule into one post at its pace."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Text, func, update
from sqlalchemy.dialects.postgresql import array
from sqlmodel import Session, col, select

from rules.model import Severity
from rules.rule import Title
from service.alerts.alert import (
    PROBE_EVERY,
    Attempt,
    Result,
    bury,
    deliver,
    judge_endpoint,
)
from service.alerts.channel import channel
from service.jobs import Job, enqueue
from service.models import Agency, AlertRow, AlertState, DeliveryRow, Endpoint, EndpointKind
from service.people import watch_notice
from service.privacy.sealed_fields import opened

MAX_ROWS = 5000
SEVERITIES_ZH = {
    Severity.LOW: "低",
    Severity.MEDIUM: "中",
    Severity.HIGH: "高",
    Severity.CRITICAL: "严重",
}
# What chat programs read as mentions or markup has no place in the name of an agency.
_HARMLESS = str.maketrans({"<": "‹", ">": "›", "&": "＆", "@": "＠", "\n": " ", "\r": " "})


@dataclass(frozen=True, slots=True)
class Group:
    """The waiting alerts of one agency and rule."""

    agency: str
    agency_id: UUID | None
    rule: str
    severity: Severity
    findings: int
    escalated: bool
    since: datetime
    alert_ids: tuple[UUID, ...]
    interaction_id: UUID | None
    notice: str = ""
    payload: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """One claimed post; `delivery_id` is its fence and names it to the receiver."""

    delivery_id: UUID
    tenant_id: UUID
    endpoint_id: UUID
    kind: EndpointKind
    url: str
    secret: str
    subject: str
    text: str
    alerts: int


def load_post(
    session: Session,
    *,
    tenant_id: UUID,
    endpoint_id: UUID,
    titles: Mapping[str, Title],
    base_url: str,
    now: datetime,
    lease: timedelta,
) -> Post | None:
    """Claim what is due at an endpoint as one post; None where nothing is to be sent now.

    Only one post of an endpoint is under way at a time, and the next one keeps its distance. What
    does not fit stays for the next; critical ones come first.
    """
    endpoint = session.exec(
        select(Endpoint).where(col(Endpoint.id) == endpoint_id).with_for_update(key_share=True)
    ).one_or_none()
    if endpoint is None or endpoint.kind == EndpointKind.WEBHOOK.value:
        return None
    if not endpoint.active:
        for alert in _waiting(session, endpoint_id):
            bury(session, alert, reason="endpoint_disabled", now=now)
        return None
    if endpoint.lease_until is not None and endpoint.lease_until > now:
        return None
    at = _earliest(session, endpoint)
    if at is None:
        return None
    if at > now:
        enqueue(session, Job.DIGEST, tenant_id=tenant_id, subject_id=endpoint_id, at=at)
        return None
    waiting = _waiting(session, endpoint_id)
    limit = channel(endpoint.kind).text_bytes
    used, text = compose(_groups(session, waiting, now), titles, base_url=base_url, limit=limit)
    chosen = {alert_id for group in used for alert_id in group.alert_ids}
    return _claim(
        session,
        endpoint,
        [alert for alert in waiting if alert.id in chosen],
        subject=_head(used),
        text=text,
        now=now,
        lease=lease,
    )


def store_post(
    session: Session,
    post: Post,
    attempt: Attempt,
    *,
    retry_at: Callable[[int], datetime | None],
    now: datetime,
) -> bool:
    """Write how a post ended; `retry_at` says when an alert of so many attempts is tried again.

    An alert for which it says None is dead. Returns False, and changes nothing, where another
    worker has taken the endpoint over since.
    """
    endpoint = session.exec(
        select(Endpoint).where(col(Endpoint.id) == post.endpoint_id).with_for_update(key_share=True)
    ).one()
    if endpoint.delivery_id != post.delivery_id:
        return False
    limits = channel(endpoint.kind)
    endpoint.delivery_id = endpoint.lease_until = None
    endpoint.next_post_at = now + timedelta(seconds=limits.pace_s)
    judge_endpoint(session, endpoint, attempt, now=now)
    if attempt.result is Result.THROTTLED:
        rest = max(limits.penalty_s, attempt.retry_after_s or 0.0)
        endpoint.paused_until = now + timedelta(seconds=rest)
    elif attempt.result is Result.FAILED:
        endpoint.paused_until = now + PROBE_EVERY
    session.exec(
        update(DeliveryRow)
        .where(col(DeliveryRow.id) == post.delivery_id)
        .values(
            ended_at=now,
            result=attempt.result.value,
            status=attempt.status,
            reason=attempt.reason,
        )
    )
    carried = session.exec(
        select(AlertRow).where(
            col(AlertRow.delivery_id) == post.delivery_id,
            col(AlertRow.endpoint_id) == post.endpoint_id,
            col(AlertRow.state) == AlertState.PENDING.value,
        )
    ).all()
    for alert in carried:
        _settle(session, endpoint, alert, attempt, retry_at(alert.attempts), now=now)
    session.flush()
    at = _earliest(session, endpoint)
    if at is not None:
        tenant_id = endpoint.tenant_id
        enqueue(session, Job.DIGEST, tenant_id=tenant_id, subject_id=endpoint.id, at=at)
    return True


def compose(
    groups: Sequence[Group], titles: Mapping[str, Title], *, base_url: str, limit: int
) -> tuple[list[Group], str]:
    """Write as many groups as fit into `limit` bytes, the most severe and oldest first.

    Gives those that are in it, one at least, and the text: rules, severities, names of agencies,
    counts and a link; nothing said, nobody named.
    """
    ordered = sorted(groups, key=lambda group: (-group.severity.rank, group.since, group.rule))
    used: list[Group] = []
    lines: list[str] = []
    for group in ordered:
        line = _line(group, titles.get(group.rule), base_url)
        text = "\n".join([_head([*used, group]), *lines, line])
        if used and len(text.encode()) > limit:
            break
        used.append(group)
        lines.append(line)
    return used, "\n".join([_head(used), *lines])


def _head(groups: Sequence[Group]) -> str:
    total = sum(group.findings for group in groups)
    critical = sum(g.findings for g in groups if g.severity is Severity.CRITICAL)
    again = "【升级】ESCALATED · " if any(group.escalated for group in groups) else ""
    return (
        f"{again}催收合规告警 {total} 项，其中严重 {critical} 项 · "
        f"Collection alert: {total} findings, {critical} critical"
    )


def _line(group: Group, title: Title | None, base_url: str) -> str:
    name = f"{title.zh} {title.en}" if title else ""
    if group.notice and group.payload is not None:
        return watch_notice.line(group.notice, group.rule, name, group.payload)
    agency = group.agency.translate(_HARMLESS)[:60]
    query = f"findings?agency_id={group.agency_id}&rule={group.rule}"
    path = f"interactions/{group.interaction_id}" if group.interaction_id else query
    severity = f"{SEVERITIES_ZH[group.severity]} {group.severity.value}"
    return (
        f"\n[{severity}] {group.rule} {name[:200]}\n"
        f"机构 agency: {agency} · {group.findings} 项 findings\n"
        f"{base_url.rstrip('/')}/v1/{path}"
    )


def _earliest(session: Session, endpoint: Endpoint) -> datetime | None:
    """When the endpoint's next post may go; None where nothing waits."""
    first: datetime | None = session.exec(
        select(func.min(AlertRow.next_at)).where(
            col(AlertRow.endpoint_id) == endpoint.id,
            col(AlertRow.state) == AlertState.PENDING.value,
        )
    ).one()
    if first is None:
        return None
    times = (first, endpoint.paused_until, endpoint.next_post_at)
    return max(each for each in times if each is not None)


def _waiting(session: Session, endpoint_id: UUID) -> list[AlertRow]:
    """What waits for an endpoint, the most severe first."""
    worst_first = array([each.value for each in reversed(Severity)], type_=Text)
    rank = func.array_position(worst_first, col(AlertRow.severity))
    return list(
        session.exec(
            select(AlertRow)
            .where(
                col(AlertRow.endpoint_id) == endpoint_id,
                col(AlertRow.state) == AlertState.PENDING.value,
            )
            .order_by(rank, col(AlertRow.created_at), col(AlertRow.id))
            .limit(MAX_ROWS)
        )
    )


def _groups(session: Session, waiting: Sequence[AlertRow], now: datetime) -> list[Group]:
    """The groups that are due, with all that waits of each; a failed alert keeps its own time."""
    due = {(row.agency_id, row.rule, row.notice) for row in waiting if row.next_at <= now}
    found: dict[tuple[UUID | None, str, str], list[AlertRow]] = {}
    for row in waiting:
        key = (row.agency_id, row.rule, row.notice)
        if row.next_at <= now or (key in due and not row.attempts):
            found.setdefault(key, []).append(row)
    names: dict[UUID | None, str] = dict(session.exec(select(Agency.id, Agency.name)).all())
    return [
        Group(
            agency=names.get(agency_id, ""),
            agency_id=agency_id,
            rule=rule,
            severity=max((Severity(row.severity) for row in rows), key=lambda each: each.rank),
            findings=sum(row.findings for row in rows),
            escalated=any(row.escalated for row in rows),
            since=min(row.created_at for row in rows),
            alert_ids=tuple(row.id for row in rows),
            interaction_id=rows[0].interaction_id if len(rows) == 1 else None,
            notice=notice.partition(":")[0],
            payload=rows[-1].payload if notice else None,
        )
        for (agency_id, rule, notice), rows in found.items()
    ]


def _claim(
    session: Session,
    endpoint: Endpoint,
    alerts: Sequence[AlertRow],
    *,
    subject: str,
    text: str,
    now: datetime,
    lease: timedelta,
) -> Post:
    delivery_id = uuid4()
    endpoint.delivery_id, endpoint.lease_until = delivery_id, now + lease
    for alert in alerts:
        alert.delivery_id = delivery_id
        alert.attempts += 1
    session.add(
        DeliveryRow(
            tenant_id=endpoint.tenant_id,
            id=delivery_id,
            endpoint_id=endpoint.id,
            message_id=f"post_{delivery_id.hex}",
            alerts=len(alerts),
            attempt=max(alert.attempts for alert in alerts),
            started_at=now,
        )
    )
    session.flush()
    return Post(
        delivery_id=delivery_id,
        tenant_id=endpoint.tenant_id,
        endpoint_id=endpoint.id,
        kind=EndpointKind(endpoint.kind),
        url=opened(endpoint, "url"),
        secret=opened(endpoint, "secret"),
        subject=subject,
        text=text,
        alerts=len(alerts),
    )


def _settle(
    session: Session,
    endpoint: Endpoint,
    alert: AlertRow,
    attempt: Attempt,
    next_at: datetime | None,
    *,
    now: datetime,
) -> None:
    alert.last_status, alert.last_reason = attempt.status, attempt.reason
    if attempt.result is Result.DELIVERED:
        deliver(alert, now=now)
    elif attempt.result is Result.THROTTLED:
        alert.attempts -= 1  # being told to wait is no failure; the endpoint's pause holds it
    elif next_at is None or not endpoint.active:
        bury(session, alert, reason=f"gave_up: {attempt.reason}", now=now)
    else:
        alert.next_at = next_at

"""Endpoints for alerts: added, listed, changed, removed, and given a new secret."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlmodel import Session, col, select

from rules.model import Disposition, Severity
from service.access.tenants import make_webhook_secret
from service.alerts.channel import channel
from service.alerts.destination import RefusedDestinationError, parse_destination
from service.alerts.routing import release_pending
from service.audit import add_entry
from service.clock import now
from service.config import settings
from service.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from service.models import Agency, Endpoint, EndpointKind
from service.privacy.sealed_fields import move_sealed, opened, put_sealed

MAX_WINDOW_S = 86_400
ESCALATE_AFTER_S = range(60, 604_801)
MAX_SECRET = 200
_MAILTO = re.compile(r"mailto:[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")
_FAMILY = re.compile(r"[A-Z]{3}")
_REFUSED = "The endpoint cannot be taken like this."


@dataclass(frozen=True, slots=True)
class EndpointWish:
    """A new endpoint: `agencies` and `families` None for all; `window_s` None for the kind's."""

    url: str
    kind: EndpointKind = EndpointKind.WEBHOOK
    secret: str | None = None
    agencies: Sequence[UUID] | None = None
    families: Sequence[str] | None = None
    lowest_severity: Severity = Severity.LOW
    dispositions: Sequence[Disposition] = field(default=(Disposition.VIOLATION,))
    window_s: int | None = None
    escalate_to: UUID | None = None
    escalate_after_s: int | None = None
    checkpoints: bool = False


def add_endpoint(session: Session, *, tenant_id: UUID, wish: EndpointWish, by: str) -> Endpoint:
    """Make an endpoint; raises `InvalidInputError` naming the fields, `ConflictError`.

    A webhook's secret is made here; robots that sign bring the one their provider gave them.
    """
    problems = [*_refuse_url(wish), *_refuse_secret(wish.kind, wish.secret)]
    values = _values(wish)
    problems += _refuse_values(session, values, own=None)
    problems += _refuse_checkpoints(wish.kind, wish.checkpoints)
    if problems:
        raise InvalidInputError(_REFUSED, errors=tuple(problems))
    if wish.kind is not EndpointKind.WEBHOOK:
        _refuse_second(session, wish.url)
    made = Endpoint(
        tenant_id=tenant_id,
        url="",
        kind=wish.kind.value,
        secret="",
        **values,
    )
    is_ours = wish.kind is EndpointKind.WEBHOOK
    put_sealed(made, url=wish.url, secret=make_webhook_secret() if is_ours else wish.secret or "")
    session.add(made)
    session.flush()
    _note(session, made, by, "endpoint_added")
    return made


def _refuse_checkpoints(kind: EndpointKind, wanted: object) -> list[FieldProblem]:
    """A signed head is for a program that keeps it, not for a chat or a mailbox."""
    if wanted and kind is not EndpointKind.WEBHOOK:
        return [FieldProblem("checkpoints", "only an endpoint of kind webhook takes them")]
    return []


def list_endpoints(session: Session) -> Sequence[Endpoint]:
    """Every endpoint that was not removed, oldest first, the switched-off ones too."""
    return session.exec(
        select(Endpoint)
        .where(col(Endpoint.removed_at).is_(None))
        .order_by(col(Endpoint.created_at), col(Endpoint.id))
    ).all()


def get_endpoint(session: Session, endpoint_id: UUID, *, lock: bool = False) -> Endpoint:
    """One endpoint that was not removed; raises `NotFoundError`."""
    query = select(Endpoint).where(
        col(Endpoint.id) == endpoint_id, col(Endpoint.removed_at).is_(None)
    )
    found = session.exec(query.with_for_update(key_share=True) if lock else query).one_or_none()
    if found is None:
        raise NotFoundError("There is no such endpoint.")
    return found


def change_endpoint(
    session: Session, endpoint_id: UUID, changes: Mapping[str, Any], *, by: str
) -> Endpoint:
    """Set the fields that `changes` names, by the names of `EndpointWish`, and `active`.

    Switching on forgets why it was off; raises as `add_endpoint` does.
    """
    found = get_endpoint(session, endpoint_id, lock=True)
    values = {name: _plain(value) for name, value in changes.items()}
    active = values.pop("active", None)
    problems = _refuse_values(session, {**_current(found), **values}, own=endpoint_id)
    problems += _refuse_checkpoints(EndpointKind(found.kind), values.get("checkpoints", False))
    if problems:
        raise InvalidInputError(_REFUSED, errors=tuple(problems))
    for name, value in values.items():
        setattr(found, name, value)
    if active is not None and active != found.active:
        found.active = active
        found.disabled_reason = None if active else "switched off by the lender"
        found.failing_since = found.paused_until = None
        if not active:
            release_pending(session, found, now=now())
    session.flush()
    _note(session, found, by, "endpoint_changed", fields=sorted(changes))
    return found


def remove_endpoint(session: Session, endpoint_id: UUID, *, by: str) -> None:
    """Send it nothing more and show it no more; what it was sent stays in the log."""
    found = get_endpoint(session, endpoint_id, lock=True)
    found.active, found.removed_at, found.disabled_reason = False, now(), "removed"
    for other in session.exec(select(Endpoint).where(col(Endpoint.escalate_to) == endpoint_id)):
        other.escalate_to = other.escalate_after_s = None
    release_pending(session, found, now=now())
    session.flush()
    _note(session, found, by, "endpoint_removed")


def rotate_endpoint_secret(
    session: Session, endpoint_id: UUID, *, secret: str | None, by: str
) -> Endpoint:
    """Give an endpoint a new secret: a webhook ours, a robot the one from its provider.

    For the set overlap a webhook's messages carry signatures of both.
    """
    found = get_endpoint(session, endpoint_id, lock=True)
    kind = EndpointKind(found.kind)
    problems = _refuse_secret(kind, secret)
    if kind in {EndpointKind.WECOM, EndpointKind.SLACK, EndpointKind.EMAIL}:
        problems = [FieldProblem("secret", "is none of its own: add the new address instead")]
    if problems:
        raise InvalidInputError(_REFUSED, errors=tuple(problems))
    if kind is EndpointKind.WEBHOOK:
        move_sealed(found, source="secret", target="secret_previous")
        found.previous_until = now() + timedelta(hours=settings().secret_overlap_hours)
        put_sealed(found, secret=make_webhook_secret())
    else:
        put_sealed(found, secret=secret or "")
    session.flush()
    _note(session, found, by, "endpoint_secret_rotated")
    return found


def _note(session: Session, endpoint: Endpoint, by: str, action: str, **details: Any) -> None:
    add_entry(
        session,
        tenant_id=endpoint.tenant_id,
        actor=by,
        action=action,
        subject_id=str(endpoint.id),
        details={"kind": endpoint.kind, **details},
    )


def _values(wish: EndpointWish) -> dict[str, Any]:
    """The columns of a wish beside its address and secret."""
    return {
        "agencies": _plain(wish.agencies),
        "families": _plain(wish.families),
        "lowest_severity": wish.lowest_severity.value,
        "dispositions": _plain(wish.dispositions),
        "window_s": channel(wish.kind).window_s if wish.window_s is None else wish.window_s,
        "escalate_to": wish.escalate_to,
        "escalate_after_s": wish.escalate_after_s,
        "checkpoints": wish.checkpoints,
    }


def _current(row: Endpoint) -> dict[str, Any]:
    names = ("agencies", "families", "dispositions", "window_s", "escalate_to", "escalate_after_s")
    return {name: getattr(row, name) for name in names}


def _plain(value: Any) -> Any:
    """A list as JSON keeps it: texts, each once, in order."""
    if isinstance(value, Collection) and not isinstance(value, str):
        return sorted({str(each) for each in value})
    return value


def _refuse_url(wish: EndpointWish) -> list[FieldProblem]:
    if wish.kind is EndpointKind.EMAIL:
        if not _MAILTO.fullmatch(wish.url):
            return [FieldProblem("url", "must be an address of the form mailto:name@host")]
        if not settings().smtp_url.get_secret_value():
            return [FieldProblem("kind", "needs a mail relay (HEGUI_SMTP_URL)")]
        return []
    try:
        parse_destination(wish.url, allow=settings().egress_hosts)
    except RefusedDestinationError as error:
        return [FieldProblem("url", f"is not an address that we connect to ({error.code})")]
    return []


def _refuse_secret(kind: EndpointKind, secret: str | None) -> list[FieldProblem]:
    needs_one = kind in {EndpointKind.DINGTALK, EndpointKind.FEISHU}
    if needs_one and not (secret and secret.isascii() and len(secret) <= MAX_SECRET):
        return [FieldProblem("secret", "must be the signing secret that the robot's settings show")]
    if secret and not needs_one:
        return [FieldProblem("secret", "belongs to robots that sign, and only to them")]
    return []


def _refuse_second(session: Session, url: str) -> None:
    """Two endpoints at one robot would each keep to the limit and break it together."""
    if any(opened(row, "url") == url for row in list_endpoints(session)):
        raise ConflictError("There is an endpoint with this address already.")


def _refuse_values(
    session: Session, values: Mapping[str, Any], *, own: UUID | None
) -> list[FieldProblem]:
    problems = []
    known = {str(found) for found in session.exec(select(Agency.id)).all()}
    if values["agencies"] is not None and not set(values["agencies"]) <= known:
        problems.append(FieldProblem("agencies", "must be agencies of this lender"))
    if any(not _FAMILY.fullmatch(family) for family in values["families"] or ()):
        problems.append(FieldProblem("families", "must be the three letters before a rule's dash"))
    if not values["dispositions"]:
        problems.append(FieldProblem("dispositions", "must name at least one"))
    if not 0 <= values["window_s"] <= MAX_WINDOW_S:
        problems.append(FieldProblem("window_s", f"must be 0 to {MAX_WINDOW_S}"))
    target, after = values["escalate_to"], values["escalate_after_s"]
    if (target is None) != (after is None):
        problems.append(FieldProblem("escalate_after_s", "goes together with escalate_to"))
    elif after is not None and after not in ESCALATE_AFTER_S:
        first, last = ESCALATE_AFTER_S[0], ESCALATE_AFTER_S[-1]
        problems.append(FieldProblem("escalate_after_s", f"must be {first} to {last}"))
    others = {row.id for row in list_endpoints(session)} - {own}
    if target is not None and target not in others:
        problems.append(FieldProblem("escalate_to", "must be another endpoint of this lender"))
    return problems

"""Grants: what a lender lets a regulator read, who approved it, and everything read under it."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, text, tuple_
from sqlmodel import Session, col, select

from service.access import console
from service.access import door as access_door
from service.access.keys import get_regulator, person_of
from service.access.models import AccessGrant, AccessKind, GrantAccess, GrantField
from service.access.tenants import LiveGrant, Principal
from service.audit import add_entry
from service.db import front_door_session, tenant_session
from service.errors import (
    ConflictError,
    FieldProblem,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    RefusedError,
)
from service.models import Agency, InteractionRow, Tenant
from service.read import Page, make_cursor, read_cursor

MAX_LIFE = timedelta(days=366)
UNMASKED_FOR = timedelta(hours=1)
RECHECK_S = 5.0
_NO_GRANT = "No live grant lets this key read; `GET /v1/grants` lists its grants."
_GRANTED = text("select hegui_granted(:tenant)")


class GrantState(StrEnum):
    """Where a grant stands, by the database's clock."""

    REQUESTED = "requested"
    APPROVED_ONCE = "approved_once"
    NOT_YET = "not_yet"
    LIVE = "live"
    OVER = "over"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class GrantWish:
    """The terms of a grant; `agencies` None: all of the lender's."""

    regulator_id: UUID
    case_number: str
    purpose: str
    period_from: datetime
    period_to: datetime
    ends_at: datetime
    starts_at: datetime | None = None
    agencies: Sequence[UUID] | None = None
    fields: frozenset[GrantField] = frozenset()


def database_now(session: Session) -> datetime:
    """Return the database's time: it alone says what is over."""
    found: datetime = session.exec(select(func.clock_timestamp())).one()
    return found


def state_of(row: AccessGrant, at: datetime) -> GrantState:
    """Tell where a grant stands at a time of the database's clock."""
    if row.ended_at is not None:
        return GrantState.ENDED
    if at >= row.ends_at:
        return GrantState.OVER
    if row.second_approved_at is None:
        return GrantState.APPROVED_ONCE if row.first_approver else GrantState.REQUESTED
    return GrantState.LIVE if row.starts_at <= at else GrantState.NOT_YET


def request_grant(session: Session, *, tenant_id: UUID, wish: GrantWish, by: str) -> AccessGrant:
    """Write a grant's terms down; it opens nothing before two have approved it.

    Raises `InvalidInputError` where the terms contradict themselves.
    """
    at = database_now(session)
    starts_at = wish.starts_at or at
    _refuse_terms(session, wish, starts_at, at)
    row = AccessGrant(
        tenant_id=tenant_id,
        regulator_id=wish.regulator_id,
        case_number=wish.case_number,
        purpose=wish.purpose,
        agencies=sorted({str(agency) for agency in wish.agencies}) if wish.agencies else None,
        fields=sorted(field.value for field in wish.fields),
        period_from=wish.period_from,
        period_to=wish.period_to,
        starts_at=starts_at,
        ends_at=wish.ends_at,
        requested_by=by,
        requested_at=at,
    )
    session.add(row)
    session.flush()
    _note(session, row, by, "grant_requested", regulator=str(wish.regulator_id))
    return row


def _refuse_terms(session: Session, wish: GrantWish, starts_at: datetime, at: datetime) -> None:
    problems: list[FieldProblem] = []
    if wish.period_to <= wish.period_from:
        problems.append(FieldProblem("period_to", "must lie after period_from"))
    if wish.ends_at <= max(starts_at, at):
        problems.append(FieldProblem("ends_at", "must lie after starts_at, and in the future"))
    elif wish.ends_at > starts_at + MAX_LIFE:
        problems.append(FieldProblem("ends_at", f"a grant lives up to {MAX_LIFE.days} days"))
    if wish.agencies is not None:
        known = set(session.exec(select(Agency.id)).all())
        if not wish.agencies or not known.issuperset(wish.agencies):
            problems.append(FieldProblem("agencies", "names agencies of this lender, or is null"))
    try:
        if get_regulator(session, wish.regulator_id).removed_at is not None:
            problems.append(FieldProblem("regulator_id", "that regulator was removed"))
    except NotFoundError:
        problem = "is no regulator that the operator knows; GET /v1/regulators lists them"
        problems.append(FieldProblem("regulator_id", problem))
    if problems:
        raise InvalidInputError("The grant cannot be made.", errors=tuple(problems))


def approve_grant(session: Session, grant_id: UUID, *, by: str) -> AccessGrant:
    """Approve a grant; the second approval puts it in force.

    The two are different administrators of the lender, or one of them and the operator. A key and
    its successors are one approver, and a key made after the request is none: nobody approves
    twice by making keys. Raises `ConflictError` for an approval too many.
    """
    row = get_grant(session, grant_id, for_update=True)
    at = database_now(session)
    if state_of(row, at) not in {GrantState.REQUESTED, GrantState.APPROVED_ONCE}:
        raise ConflictError("The grant is approved, over or ended.", code="grant_not_open")
    approver = person_of(session, by, before=row.requested_at, what="the grant was requested")
    if row.first_approver is None:
        row.first_approver, row.first_approved_at = approver, at
    elif row.first_approver == approver:
        raise ConflictError(
            "You approved this grant already; somebody else gives the second approval.",
            code="same_approver",
        )
    else:
        row.second_approver, row.second_approved_at = approver, at
    session.flush()
    _note(session, row, by, "grant_approved", approvals=2 if row.second_approver else 1)
    return row


def end_grant(session: Session, grant_id: UUID, *, by: str) -> AccessGrant:
    """End a grant or refuse a request, at once and for good; again changes nothing."""
    row = get_grant(session, grant_id, for_update=True)
    if row.ended_at is None:
        row.ended_at, row.ended_by = database_now(session), by
        session.flush()
        _note(session, row, by, "grant_ended")
    return row


def get_grant(session: Session, grant_id: UUID, *, for_update: bool = False) -> AccessGrant:
    """One grant; raises `NotFoundError`."""
    query = select(AccessGrant).where(col(AccessGrant.id) == grant_id)
    row = session.exec(query.with_for_update() if for_update else query).one_or_none()
    if row is None:
        raise NotFoundError("There is no such grant.")
    return row


def list_grants(session: Session, *, cursor: str | None = None, limit: int = 50) -> Page:
    """Grants that the session can see, newest request first."""
    query = select(AccessGrant)
    if cursor is not None:
        place = tuple_(col(AccessGrant.requested_at), col(AccessGrant.id))
        query = query.where(place < read_cursor(cursor))
    rows = session.exec(
        query.order_by(col(AccessGrant.requested_at).desc(), col(AccessGrant.id).desc()).limit(
            limit + 1
        )
    ).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(rows[:limit], make_cursor(last.requested_at, last.id) if last else None)


def list_own_grants(regulator_id: UUID) -> list[tuple[AccessGrant, str, GrantState]]:
    """A regulator's grants of every lender, newest first, each with the lender's name."""
    with front_door_session(regulator_id=regulator_id) as session:
        at = database_now(session)
        rows = session.exec(
            select(AccessGrant, Tenant.name)
            .join(Tenant, col(Tenant.id) == col(AccessGrant.tenant_id))
            .order_by(col(AccessGrant.requested_at).desc(), col(AccessGrant.id).desc())
        ).all()
    return [(row, lender, state_of(row, at)) for row, lender in rows]


def list_accesses(
    session: Session, grant_id: UUID, *, cursor: str | None = None, limit: int = 50
) -> Page:
    """What was done under a grant, newest first; raises `NotFoundError`."""
    get_grant(session, grant_id)
    query = select(GrantAccess).where(col(GrantAccess.grant_id) == grant_id)
    if cursor is not None:
        place = tuple_(col(GrantAccess.at), col(GrantAccess.id))
        query = query.where(place < read_cursor(cursor))
    rows = session.exec(
        query.order_by(col(GrantAccess.at).desc(), col(GrantAccess.id).desc()).limit(limit + 1)
    ).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(rows[:limit], make_cursor(last.at, last.id) if last else None)


def choose_grant(regulator_id: UUID, wanted: UUID | None) -> LiveGrant:
    """Return the live grant that a request names, or the only one there is.

    Raises `ForbiddenError`, the same for a grant that is over, foreign or unknown, and
    `RefusedError` where several live and none is named.
    """
    with front_door_session(regulator_id=regulator_id) as session:
        query = (
            select(AccessGrant)
            .join(Tenant, col(Tenant.id) == col(AccessGrant.tenant_id))
            .where(col(AccessGrant.regulator_id) == regulator_id, _is_live())
            .where(col(Tenant.suspended_at).is_(None), col(Tenant.removed_at).is_(None))
        )
        if wanted is not None:
            query = query.where(col(AccessGrant.id) == wanted)
        rows = session.exec(query.limit(2)).all()
    if not rows:
        raise ForbiddenError(_NO_GRANT, code="no_live_grant")
    if len(rows) > 1:
        raise RefusedError(
            "Several grants are live: name one in the header Hegui-Grant.", code="grant_not_named"
        )
    return _live(rows[0])


def _is_live() -> ColumnElement[bool]:
    at = func.statement_timestamp()
    return (
        col(AccessGrant.second_approved_at).is_not(None)
        & col(AccessGrant.ended_at).is_(None)
        & (col(AccessGrant.starts_at) <= at)
        & (at < col(AccessGrant.ends_at))
    )


def _live(row: AccessGrant) -> LiveGrant:
    return LiveGrant(
        id=row.id,
        tenant_id=row.tenant_id,
        regulator_id=row.regulator_id,
        case_number=row.case_number,
        agencies=None if row.agencies is None else tuple(row.agencies),
        fields=frozenset(GrantField(field) for field in row.fields),
        period_from=row.period_from,
        period_to=row.period_to,
        ends_at=row.ends_at,
    )


def note_access(
    grant: LiveGrant,
    *,
    key_id: str,
    route: str,
    subject_id: str | None,
    kind: AccessKind = AccessKind.READ,
    reason: str | None = None,
) -> bool:
    """Write an act under a grant down and commit, before anything is read.

    Tells whether the contact `subject_id` is unmasked for this key: by an act of the last hour.
    """
    with tenant_session(grant.tenant_id) as session:
        row = GrantAccess(
            tenant_id=grant.tenant_id,
            grant_id=grant.id,
            key_id=key_id,
            kind=kind.value,
            route=route,
            subject_id=subject_id,
            reason=reason,
            at=database_now(session),
        )
        session.add(row)
        add_entry(
            session,
            tenant_id=grant.tenant_id,
            actor=key_id,
            action={AccessKind.READ: "regulator_read", AccessKind.UNMASK: "unmasked"}.get(
                kind, "regulator_sampled"
            ),
            subject_id=subject_id,
            details={"grant": str(grant.id), "route": route, "access": str(row.id)},
        )
        return _is_unmasked(session, grant, key_id, subject_id)


def _is_unmasked(session: Session, grant: LiveGrant, key_id: str, subject_id: str | None) -> bool:
    if GrantField.PERSONAL not in grant.fields or subject_id is None:
        return False
    found = session.exec(
        select(GrantAccess.id)
        .where(col(GrantAccess.grant_id) == grant.id, col(GrantAccess.key_id) == key_id)
        .where(col(GrantAccess.kind) == AccessKind.UNMASK.value)
        .where(col(GrantAccess.subject_id) == subject_id)
        .where(col(GrantAccess.at) > func.statement_timestamp() - UNMASKED_FOR)
        .limit(1)
    ).first()
    return found is not None


def unmask(
    session: Session, principal: Principal, interaction_id: UUID, *, reason: str
) -> datetime:
    """Show one contact's personal data to this key for an hour; gives when that is over.

    Raises `ForbiddenError` where the grant does not say so, `NotFoundError` for a contact that it
    does not cover.
    """
    grant = require_grant(principal)
    if GrantField.PERSONAL not in grant.fields:
        raise ForbiddenError("This grant does not show personal data.", code="not_granted")
    row = session.exec(
        select(InteractionRow.id).where(col(InteractionRow.id) == interaction_id)
    ).first()
    if row is None:
        raise NotFoundError("There is no such interaction.")
    note_access(
        grant,
        key_id=principal.key_id,
        route="/v1/interactions/{interaction}/unmask",
        subject_id=str(interaction_id),
        kind=AccessKind.UNMASK,
        reason=reason,
    )
    return database_now(session) + UNMASKED_FOR


def require_grant(principal: Principal) -> LiveGrant:
    """Return the grant of a regulator's request; raises `ForbiddenError` for everybody else."""
    if principal.grant is None:
        raise ForbiddenError("This needs a regulator's key.")
    return principal.grant


def require_field(principal: Principal, field: GrantField) -> None:
    """Refuse a regulator whose grant does not open this; others pass."""
    if principal.grant is not None and field not in principal.grant.fields:
        raise ForbiddenError(f"This grant does not open {field.value}.", code="not_granted")


def is_still_open(principal: Principal) -> bool:
    """Tell whether a caller may go on reading: its key is good, and a regulator's grant lives."""
    if principal.session_id is not None:
        is_good = console.is_live(principal.session_id)
    else:
        is_good = access_door.is_live(principal.key_id)
    if not is_good:
        return False
    grant = principal.grant
    if grant is None:
        return True
    with tenant_session(
        grant.tenant_id, regulator_id=grant.regulator_id, grant_id=grant.id
    ) as session:
        found = session.connection().execute(_GRANTED, {"tenant": grant.tenant_id}).scalar()
    return bool(found)


def watched(
    principal: Principal, chunks: Iterable[bytes], *, recheck_s: float = RECHECK_S
) -> Iterator[bytes]:
    """Pass chunks on, and look every few seconds whether the caller may still have them.

    Raises `ForbiddenError` in the middle where it may not: the answer breaks off, shorter than the
    length that it declared.
    """
    due = time.monotonic() + recheck_s
    for chunk in chunks:
        if time.monotonic() >= due:
            if not is_still_open(principal):
                raise ForbiddenError(_NO_GRANT, code="no_live_grant")
            due = time.monotonic() + recheck_s
        yield chunk


def _note(session: Session, row: AccessGrant, by: str, action: str, **details: Any) -> None:
    add_entry(
        session,
        tenant_id=row.tenant_id,
        actor=by,
        action=action,
        subject_id=str(row.id),
        details=details,
    )

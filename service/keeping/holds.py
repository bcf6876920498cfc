"""Legal holds: while one stands nothing under it is removed, whatever its date."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, text, tuple_
from sqlmodel import Session, col, select

from service.audit import add_entry
from service.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from service.keeping.retention_models import HoldKind, HoldRow, RecordingUse
from service.models import Agency, CollectionCase, InteractionRow, RecordingRow
from service.read import Page, make_cursor, read_cursor

_COUNT = text(
    "select count(distinct r.sha256) filter (where r.purged_at is null),"
    " count(distinct r.sha256) filter (where r.purged_at is not null)"
    " from recording as r left join recording_use as u"
    " on u.tenant_id = r.tenant_id and u.sha256 = r.sha256"
    " where r.sha256 = :sha256 or u.interaction_id = :interaction_id or u.case_id = :case_id"
    " or (u.agency_id = :agency_id and u.started_at >= :period_from and u.started_at < :period_to)"
)
# The store is told of a recording anew once this is empty.
_FORGET = text(
    "update recording as r set store_until = null where r.purged_at is null"
    " and r.store_until is not null and (r.sha256 = :sha256 or exists ("
    "  select 1 from recording_use as u where u.tenant_id = r.tenant_id and u.sha256 = r.sha256"
    "  and (u.interaction_id = :interaction_id or u.case_id = :case_id"
    "  or (u.agency_id = :agency_id and u.started_at >= :period_from"
    "  and u.started_at < :period_to))))"
)
_SUBJECT = ("interaction_id", "case_id", "sha256", "agency_id", "period_from", "period_to")


@dataclass(frozen=True, slots=True)
class HoldWish:
    """What to hold: one interaction, case or recording, or an agency's contacts of a period.

    `period_to` is exclusive. `reason` is kept with the hold and goes nowhere else.
    """

    reason: str
    interaction_id: UUID | None = None
    case_id: str | None = None
    sha256: str | None = None
    agency_id: UUID | None = None
    period_from: datetime | None = None
    period_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A hold, how many recordings it holds now, and how many of its own were purged before."""

    row: HoldRow
    held: int
    purged: int


def place_hold(
    session: Session, *, tenant_id: UUID, wish: HoldWish, by: str, now: datetime
) -> Placed:
    """Place a hold, from its commit on; raises `InvalidInputError`.

    What comes later under the same subject (a case's next call, a recording still on its way) is
    held too.
    """
    kind = _kind(wish)
    _see_subject(session, kind, wish)
    row = HoldRow(
        tenant_id=tenant_id,
        kind=kind.value,
        reason=wish.reason,
        placed_at=now,
        placed_by=by,
        **{name: getattr(wish, name) for name in _SUBJECT},
    )
    session.add(row)
    session.flush()
    _tell_store(session, row)
    placed = count_held(session, row)
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=by,
        action="hold_placed",
        subject_id=str(row.id),
        details={"kind": kind.value, "held": placed.held, "purged": placed.purged},
    )
    return placed


def release_hold(session: Session, hold_id: UUID, *, reason: str, by: str, now: datetime) -> Placed:
    """Release a hold; raises `NotFoundError`, and `ConflictError` where it was released before.

    Nothing goes with it: removal still takes a purge run of two persons, and its wait.
    """
    row = session.exec(
        select(HoldRow).where(col(HoldRow.id) == hold_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFoundError("There is no such hold.")
    if row.released_at is not None:
        raise ConflictError("The hold was released before.", code="hold_released")
    row.released_at, row.released_by, row.release_reason = now, by, reason
    session.flush()
    _tell_store(session, row)
    add_entry(
        session,
        tenant_id=row.tenant_id,
        actor=by,
        action="hold_released",
        subject_id=str(row.id),
        details={"kind": row.kind},
    )
    return count_held(session, row)


def get_hold(session: Session, hold_id: UUID) -> Placed:
    """One hold; raises `NotFoundError`."""
    row = session.exec(select(HoldRow).where(col(HoldRow.id) == hold_id)).one_or_none()
    if row is None:
        raise NotFoundError("There is no such hold.")
    return count_held(session, row)


def list_holds(
    session: Session, *, standing: bool | None = None, cursor: str | None = None, limit: int = 50
) -> Page:
    """Holds, the newest first; `standing` narrows to those that hold, or to the released ones."""
    query = select(HoldRow)
    if standing is not None:
        released = col(HoldRow.released_at)
        query = query.where(released.is_(None) if standing else released.is_not(None))
    if cursor is not None:
        query = query.where(
            tuple_(col(HoldRow.placed_at), col(HoldRow.id)) < tuple_(*read_cursor(cursor))
        )
    rows = session.exec(
        query.order_by(col(HoldRow.placed_at).desc(), col(HoldRow.id).desc()).limit(limit + 1)
    ).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(rows[:limit], make_cursor(last.placed_at, last.id) if last else None)


def holds_on(session: Session, *, sha256: str) -> Sequence[HoldRow]:
    """The holds that stand on a recording now, oldest first."""
    found = text(
        "select h.id from hold as h where h.released_at is null and (h.sha256 = :sha256"
        " or exists (select 1 from recording_use as u where u.tenant_id = h.tenant_id"
        " and u.sha256 = :sha256 and (u.interaction_id = h.interaction_id"
        " or u.case_id = h.case_id or (u.agency_id = h.agency_id"
        " and u.started_at >= h.period_from and u.started_at < h.period_to))))"
    )
    ids = session.connection().execute(found, {"sha256": sha256}).scalars().all()
    return session.exec(
        select(HoldRow)
        .where(col(HoldRow.id).in_(ids))
        .order_by(col(HoldRow.placed_at), col(HoldRow.id))
    ).all()


def holds_on_case(session: Session, case_id: str) -> Sequence[HoldRow]:
    """The holds that stand on anything of a case now, messages too, oldest first."""
    contacts = select(InteractionRow.id).where(col(InteractionRow.case_id) == case_id)
    in_period = (
        select(InteractionRow.id)
        .where(col(InteractionRow.case_id) == case_id)
        .where(col(InteractionRow.agency_id) == col(HoldRow.agency_id))
        .where(col(InteractionRow.started_at) >= col(HoldRow.period_from))
        .where(col(InteractionRow.started_at) < col(HoldRow.period_to))
    )
    recordings = select(RecordingUse.sha256).where(col(RecordingUse.case_id) == case_id)
    return session.exec(
        select(HoldRow)
        .where(col(HoldRow.released_at).is_(None))
        .where(
            or_(
                col(HoldRow.case_id) == case_id,
                col(HoldRow.interaction_id).in_(contacts),
                col(HoldRow.sha256).in_(recordings),
                in_period.exists(),
            )
        )
        .order_by(col(HoldRow.placed_at), col(HoldRow.id))
    ).all()


def count_held(session: Session, row: HoldRow) -> Placed:
    """Count the recordings under a hold's subject."""
    values: dict[str, Any] = {name: getattr(row, name) for name in _SUBJECT}
    held, purged = session.connection().execute(_COUNT, values).one()
    return Placed(row, held, purged)


def _tell_store(session: Session, row: HoldRow) -> None:
    values = {name: getattr(row, name) for name in _SUBJECT}
    session.connection().execute(_FORGET, values)


def _kind(wish: HoldWish) -> HoldKind:
    named = {
        HoldKind.INTERACTION: wish.interaction_id,
        HoldKind.CASE: wish.case_id,
        HoldKind.RECORDING: wish.sha256,
        HoldKind.AGENCY: wish.agency_id,
    }
    found = [kind for kind, value in named.items() if value is not None]
    problems = []
    if len(found) != 1:
        one_of = "interaction_id, case_id, sha256, agency_id"
        problems.append(FieldProblem("subject", f"name exactly one of: {one_of}"))
    has_period = wish.period_from is not None and wish.period_to is not None
    is_agency = wish.agency_id is not None
    if is_agency != has_period or (wish.period_from is None) != (wish.period_to is None):
        problems.append(
            FieldProblem("period_from", "an agency is held for a period, from and to; others not")
        )
    elif wish.period_from and wish.period_to and wish.period_to <= wish.period_from:
        problems.append(FieldProblem("period_to", "must lie after period_from"))
    if problems:
        raise InvalidInputError("The hold cannot be placed.", errors=tuple(problems))
    return found[0]


def _see_subject(session: Session, kind: HoldKind, wish: HoldWish) -> None:
    """A hold on a name that was mistyped would hold nothing, and nobody would notice."""
    match kind:
        case HoldKind.INTERACTION:
            query = select(InteractionRow.id).where(col(InteractionRow.id) == wish.interaction_id)
            field = "interaction_id"
        case HoldKind.CASE:
            query = select(CollectionCase.id).where(col(CollectionCase.case_id) == wish.case_id)
            field = "case_id"
        case HoldKind.AGENCY:
            query = select(Agency.id).where(col(Agency.id) == wish.agency_id)
            field = "agency_id"
        case HoldKind.RECORDING:
            known = session.exec(
                select(RecordingRow.sha256).where(col(RecordingRow.sha256) == wish.sha256)
            ).first()
            if known is None:
                _refuse("sha256")
            return
    if session.exec(query).first() is None:
        _refuse(field)


def _refuse(field: str) -> None:
    problem = FieldProblem(field, "names nothing that this lender has")
    raise InvalidInputError("The hold cannot be placed.", errors=(problem,))

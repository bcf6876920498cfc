"""How much a lender and each of its agencies may ask for; the database counts for all processes.

A process takes from the database as much as it will need for the next moment, more while it is
busy, so that a flood of webhooks costs few statements; a refusal is remembered until it ends.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from uuid import UUID

from sqlalchemy import delete
from sqlmodel import Session, col, select

from service import db
from service.audit import add_entry
from service.clock import now
from service.config import settings
from service.errors import (
    FieldProblem,
    InvalidInputError,
    LimitedError,
    NotFoundError,
    UnavailableError,
)
from service.models import Agency
from service.privacy.models import LimitKind, RateLimit, RateState

_TAKE = "select * from hegui_take(%s, %s, %s, %s, %s, %s, %s, %s)"
# What is taken and not used within this time is given up; so little is taken at first.
_FRESH_S = 1.0
_UNLIMITED_S = 10.0
_MOST_TAKEN = 512
# More is taken when less than this part of what was taken last is left.
_LOW_SHARE = 4
_MOST_HELD = 100_000
_LARGEST = 1_000_000_000

Payer = tuple[UUID, UUID | None, LimitKind]


@dataclass(frozen=True, slots=True)
class Limit:
    """`amount` in each `period_s` seconds, and up to `burst` at once; an amount of 0: no limit."""

    amount: int
    period_s: int
    burst: int


@dataclass(slots=True)
class _Purse:
    """What this process holds of a limit until `until`; or that it is refused until then."""

    tokens: int
    until: float
    taken: int
    limit: Limit
    room: int
    refused: bool = False

    def pays(self, cost: int, moment: float) -> bool:
        """Whether it holds the cost, and is not so low that more should be taken ahead of need."""
        return (
            not self.refused
            and self.until > moment
            and self.tokens >= max(cost, self.taken // _LOW_SHARE)
        )


_purses: dict[Payer, _Purse] = {}
_lock = Lock()
# Of many requests that find a purse empty one asks the database and the others wait for it: each
# taking for itself would cost as many statements, and give up what all but the last had taken.
_turns = tuple(Lock() for _ in range(64))


def forget_limits() -> None:
    """Drop what this process holds; the next request asks the database."""
    with _lock:
        _purses.clear()


def default_limit(kind: LimitKind) -> Limit:
    """The limit of a lender for which the operator has set none."""
    config = settings()
    per_minute = {
        LimitKind.REQUESTS: config.limit_requests_per_minute,
        LimitKind.EVENTS: config.limit_events_per_minute,
        LimitKind.UPLOAD_MB: config.limit_upload_mb_per_minute,
    }[kind]
    return Limit(per_minute, 60, max(per_minute // 6, min(per_minute, 10)))


def is_free(tenant_id: UUID, agency_id: UUID | None, kind: LimitKind, cost: int = 1) -> bool:
    """Spend what this process holds already; False where the database should be asked."""
    moment = time.monotonic()
    payers = _payers(tenant_id, agency_id, kind)
    with _lock:
        held = [_purses.get(payer) for payer in payers]
        if not all(purse is not None and purse.pays(cost, moment) for purse in held):
            return False
        for purse in held:
            assert purse is not None
            purse.tokens -= cost
    return True


def spend(
    tenant_id: UUID, agency_id: UUID | None, kind: LimitKind, cost: int = 1
) -> dict[str, str]:
    """Count `cost` against the lender's limit and the agency's own; gives the headers to show.

    Raises `LimitedError` where either has no room.
    """
    shown: _Purse | None = None
    for payer in _payers(tenant_id, agency_id, kind):
        purse = _pay(payer, cost)
        if purse.limit.amount and (shown is None or purse.room < shown.room):
            shown = purse
    return _headers(kind, shown) if shown else {}


def _payers(tenant_id: UUID, agency_id: UUID | None, kind: LimitKind) -> list[Payer]:
    payers: list[Payer] = [(tenant_id, None, kind)]
    if agency_id is not None:
        payers.append((tenant_id, agency_id, kind))
    return payers


def _pay(payer: Payer, cost: int) -> _Purse:
    """Spend, and take from the database first where too little is held; one at a time for each."""
    purse = _spend_held(payer, cost)
    if purse is not None:
        return purse
    turn = _turns[hash(payer) % len(_turns)]
    if not turn.acquire(timeout=settings().pool_timeout_s):
        raise UnavailableError("The database is busy; send it again.")
    try:
        # Whoever had the turn before may have taken enough for all who waited.
        return _spend_held(payer, cost) or _take(payer, cost)
    finally:
        turn.release()


def _spend_held(payer: Payer, cost: int) -> _Purse | None:
    """Spend what is held; None where more should be taken. Raises a refusal that is remembered."""
    moment = time.monotonic()
    with _lock:
        purse = _purses.get(payer)
        if purse is None or purse.until <= moment:
            return None
        if purse.refused:
            raise _refusal(payer[2], purse, purse.until - moment)
        if not purse.pays(cost, moment):
            return None
        purse.tokens -= cost
        return purse


def _take(payer: Payer, cost: int) -> _Purse:
    """Take from the database, twice what was taken last by a busy process, and spend of it."""
    begun = time.monotonic()
    with _lock:
        held = _held(payer, begun)
        enough, last = held is not None and held.tokens >= cost, held.taken if held else 0
    wanted = min(max(cost, 2 * last), max(cost, _MOST_TAKEN))
    taken, room, wait_s, limit = _ask(payer, least=1 if enough else cost, wanted=wanted)
    moment = time.monotonic()
    with _lock:
        # Others went on spending what was held meanwhile.
        held = _held(payer, begun)
        left = held.tokens if held else 0
        if not limit.amount:
            purse = _Purse(_LARGEST, moment + _UNLIMITED_S, 0, limit, _LARGEST)
        elif taken:
            # What costs more than a burst takes a whole one.
            tokens = max(left + taken - cost, 0)
            purse = _Purse(tokens, moment + _FRESH_S, taken, limit, room)
        elif held is not None and left >= cost:
            purse = _Purse(left - cost, held.until, 0, limit, room)
        else:
            purse = _Purse(0, moment + wait_s, 0, limit, room, refused=True)
        if len(_purses) >= _MOST_HELD:
            _purses.clear()
        _purses[payer] = purse
    if purse.refused:
        raise _refusal(payer[2], purse, wait_s)
    return purse


def _held(payer: Payer, moment: float) -> _Purse | None:
    """What a payer holds and may still spend; the lock is held."""
    purse = _purses.get(payer)
    return purse if purse is not None and not purse.refused and purse.until > moment else None


def _ask(payer: Payer, *, least: int, wanted: int) -> tuple[int, int, float, Limit]:
    """Take from the database: how much was given, what is left there, when to come back."""
    tenant_id, agency_id, kind = payer
    # Only a lender has a limit where none is set; an agency shares its lender's.
    preset = default_limit(kind) if agency_id is None else Limit(0, 1, 1)
    limit = (preset.amount, preset.period_s, preset.burst)
    with db.pool().connection() as connection:
        row = connection.execute(
            _TAKE, (tenant_id, agency_id, kind.value, least, wanted, *limit)
        ).fetchone()
    assert row is not None
    taken, room, wait_s, *rest = row
    return taken, room, wait_s, Limit(*rest)


def _refusal(kind: LimitKind, purse: _Purse, wait_s: float) -> LimitedError:
    limit = purse.limit
    return LimitedError(
        f"The limit of {limit.amount} {kind.value} in {limit.period_s} s is used up.",
        wait_s=wait_s,
        policy=_headers(kind, purse),
    )


def _headers(kind: LimitKind, purse: _Purse) -> dict[str, str]:
    """The fields of draft-ietf-httpapi-ratelimit-headers-10: the policy, and what is left of it."""
    limit = purse.limit
    left = 0 if purse.refused else purse.room + purse.tokens
    return {
        "RateLimit-Policy": f'"{kind.value}";q={limit.burst};w={limit.period_s}',
        "RateLimit": f'"{kind.value}";r={left}',
    }


def set_limit(
    session: Session,
    *,
    tenant_id: UUID,
    agency_id: UUID | None,
    kind: LimitKind,
    limit: Limit,
    by: str,
) -> None:
    """Set a lender's limit, or that of one of its agencies; processes follow within seconds.

    Raises `InvalidInputError` for a number that is no limit, `NotFoundError` for the agency.
    """
    problems = [
        FieldProblem(name, "must be from 1 to 1000000000")
        for name in ("amount", "period_s", "burst")
        if not 1 <= getattr(limit, name) <= _LARGEST
    ]
    if problems:
        raise InvalidInputError("This is no limit.", errors=tuple(problems))
    if agency_id is not None:
        known = session.exec(select(Agency.id).where(col(Agency.id) == agency_id)).first()
        if known is None:
            raise NotFoundError("There is no such agency.")
    row = _find(session, agency_id, kind) or RateLimit(
        tenant_id=tenant_id,
        agency_id=agency_id,
        kind=kind.value,
        amount=1,
        period_s=1,
        burst=1,
        set_by=by,
    )
    row.amount, row.period_s, row.burst = limit.amount, limit.period_s, limit.burst
    row.set_at, row.set_by = now(), by
    session.add(row)
    _begin_anew(session, agency_id, kind)
    details = {"kind": kind.value, "amount": limit.amount, "period_s": limit.period_s}
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=by,
        action="limit_set",
        subject_id=str(agency_id) if agency_id else None,
        details={**details, "burst": limit.burst},
    )


def clear_limit(
    session: Session, *, tenant_id: UUID, agency_id: UUID | None, kind: LimitKind, by: str
) -> None:
    """Take a limit away, so that the default counts again; raises `NotFoundError`."""
    row = _find(session, agency_id, kind)
    if row is None:
        raise NotFoundError("No such limit is set.")
    session.delete(row)
    _begin_anew(session, agency_id, kind)
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=by,
        action="limit_cleared",
        subject_id=str(agency_id) if agency_id else None,
        details={"kind": kind.value},
    )


def list_limits(session: Session) -> Sequence[RateLimit]:
    """The limits that are set for the session's lender and its agencies."""
    return session.exec(
        select(RateLimit).order_by(col(RateLimit.kind), col(RateLimit.agency_id).nulls_first())
    ).all()


def _begin_anew(session: Session, agency_id: UUID | None, kind: LimitKind) -> None:
    """What was used under another limit does not count under this one."""
    session.exec(
        delete(RateState).where(
            col(RateState.agency_id) == (agency_id or UUID(int=0)),
            col(RateState.kind) == kind.value,
        )
    )


def _find(session: Session, agency_id: UUID | None, kind: LimitKind) -> RateLimit | None:
    return session.exec(
        select(RateLimit).where(
            col(RateLimit.agency_id).is_not_distinct_from(agency_id),
            col(RateLimit.kind) == kind.value,
        )
    ).one_or_none()

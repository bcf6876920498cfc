"""The fence around work that may die: claims, leases, and what is set aside in the end."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, case, or_, update
from sqlmodel import Session, col, select

from service.cases import want_check
from service.models import InteractionRow, InteractionState

# A live worker renews its lease three times in this span; a dead one is noticed after it.
LEASE = timedelta(seconds=30)
# Work that ended its worker this often is set aside with a reason, so that the others go on.
MAX_TRIES = 3
_BACKOFF_S = (5, 25, 125)


class LostLeaseError(Exception):
    """Somebody else has claimed this work since: our result is dropped, nothing is written."""


def backoff(tries: int) -> timedelta:
    """How long failed work rests before it is tried again."""
    return timedelta(seconds=_BACKOFF_S[min(max(tries, 1), len(_BACKOFF_S)) - 1])


def is_free(lease_until: datetime | None, now: datetime) -> bool:
    """Say whether nobody holds the work."""
    return lease_until is None or lease_until <= now


def free(lease_until: object, now: datetime) -> ColumnElement[bool]:
    """`is_free` as a condition on a column."""
    return or_(col(lease_until).is_(None), col(lease_until) <= now)


def find_interaction(session: Session, interaction_id: UUID) -> InteractionRow | None:
    """Read an interaction without locking it."""
    return session.exec(
        select(InteractionRow).where(col(InteractionRow.id) == interaction_id)
    ).one_or_none()


def claim(
    session: Session,
    interaction_id: UUID,
    state: InteractionState,
    *,
    now: datetime,
    counts: bool = True,
) -> InteractionRow | None:
    """Take an interaction in this state that nobody holds: raises its fence, counts the try.

    Without `counts` the work only waits its turn so far; `count_try` follows where it begins.
    """
    return session.scalars(
        update(InteractionRow)
        .where(
            col(InteractionRow.id) == interaction_id,
            col(InteractionRow.state) == state.value,
            free(InteractionRow.lease_until, now),
        )
        .values(
            attempt=col(InteractionRow.attempt) + 1,
            tries=col(InteractionRow.tries) + int(counts),
            lease_until=now + LEASE,
        )
        .returning(InteractionRow)
        .execution_options(populate_existing=True)
    ).one_or_none()


def count_try(session: Session, interaction_id: UUID, attempt: int) -> None:
    """Count that claimed work begins; raises `LostLeaseError` where it is not ours any more."""
    found = session.exec(
        update(InteractionRow)
        .where(col(InteractionRow.id) == interaction_id, col(InteractionRow.attempt) == attempt)
        .where(col(InteractionRow.lease_until).is_not(None))
        .values(tries=col(InteractionRow.tries) + 1)
    )
    if found.rowcount != 1:
        raise LostLeaseError


def renew(
    session: Session,
    interaction_id: UUID,
    attempt: int,
    *,
    now: datetime,
    progress: float | None = None,
    has_stored: bool = False,
) -> bool:
    """Extend a lease that is still ours; False where it is not.

    `progress` is the share of the work that is done (0..1; None: as before). With `has_stored` a
    part of the work is safe, so the deaths before it no longer count against it.
    """
    values: dict[str, object] = {"lease_until": now + LEASE}
    if progress is not None:
        moved = col(InteractionRow.progress).is_distinct_from(progress)
        values["progress"] = progress
        values["progress_at"] = case((moved, now), else_=col(InteractionRow.progress_at))
    if has_stored:
        values["tries"] = 1
    found = session.exec(
        update(InteractionRow)
        .where(col(InteractionRow.id) == interaction_id, col(InteractionRow.attempt) == attempt)
        .where(col(InteractionRow.lease_until).is_not(None))
        .values(**values)
    )
    return found.rowcount == 1


def release(session: Session, interaction_id: UUID, attempt: int, *, now: datetime) -> None:
    """Let work that failed rest for a while; the reconcile step starts it again."""
    row = session.exec(
        select(InteractionRow)
        .where(col(InteractionRow.id) == interaction_id, col(InteractionRow.attempt) == attempt)
        .with_for_update()
    ).one_or_none()
    if row is not None and row.lease_until is not None:
        row.lease_until = now + backoff(row.tries)


def finish(
    session: Session,
    interaction_id: UUID,
    *,
    case_id: str,
    attempt: int,
    left: InteractionState,
    entered: InteractionState,
    reason: str | None = None,
) -> None:
    """Move an interaction on under its fence and ask for a check of its case.

    Raises `LostLeaseError` where the fence is not ours any more. The case is locked before the
    interaction, as everywhere.
    """
    want_check(session, case_id)
    found = session.exec(
        update(InteractionRow)
        .where(
            col(InteractionRow.id) == interaction_id,
            col(InteractionRow.attempt) == attempt,
            col(InteractionRow.state) == left.value,
        )
        .values(state=entered.value, reason=reason, tries=0, lease_until=None)
    )
    if found.rowcount != 1:
        raise LostLeaseError

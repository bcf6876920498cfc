"""Reviews: people confirm, dismiss or change findings; what the system said stays beside it.

`by` is a person (`Principal.person`): with several keys one is still the same person. `under` is
the key or session that the act is written down under, where that has another name.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session, col, select

from rules.model import Severity
from service.access.keys import person_of
from service.audit import add_entry
from service.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from service.models import ApiKey, FindingRow, InteractionRow, Person
from service.people import watch
from service.people.models import (
    Decision,
    DisputeRow,
    DisputeState,
    Reading,
    ReviewItem,
    ReviewRow,
)
from service.people.reviews_policy import get_policy
from service.people.reviews_standing import (
    FINAL,
    MARK,
    Standing,
    drawn_twice,
    is_blind_to,
    standing,
)
from service.privacy.sealed_fields import opened, put_sealed

__all__ = [
    "FINAL", "MARK", "Claim", "Standing", "Subject", "Wish", "acted_for", "add_review", "assign",
    "claim", "decide", "get_subject", "hold", "is_blind_to", "is_current", "let_go",
    "list_reviews", "lock", "recount", "release", "standing", "take",
]  # fmt: skip


# Leases are told by the database's clock alone: machines that disagree share no finding.
_CLAIM = text(
    "insert into review_item as i"
    " (tenant_id, interaction_id, mark, held_by, attempt, lease_until)"
    " values (:tenant, :interaction, :mark, :by, 1, clock_timestamp() + :lease)"
    " on conflict (tenant_id, interaction_id, mark) do update set"
    "   attempt = i.attempt + (i.held_by is distinct from excluded.held_by)::int,"
    "   held_by = excluded.held_by, lease_until = excluded.lease_until"
    " where (i.held_by = excluded.held_by or i.lease_until is null"
    "     or i.lease_until <= clock_timestamp())"
    "   and (i.assigned_to is null or i.assigned_to = excluded.held_by)"
    " returning attempt, lease_until"
)
_HELD = text(
    "select attempt from review_item where interaction_id = :interaction and mark = :mark"
    " and held_by = :by and lease_until > clock_timestamp() for update"
)
_RELEASE = text(
    "update review_item set held_by = null, lease_until = null"
    " where interaction_id = :interaction and mark = :mark and held_by = :by"
)
_LOCK = text(
    "insert into review_item as i (tenant_id, interaction_id, mark, attempt)"
    " values (:tenant, :interaction, :mark, 0)"
    " on conflict (tenant_id, interaction_id, mark) do update set attempt = i.attempt"
)
_ASSIGN = text(
    "insert into review_item as i (tenant_id, interaction_id, mark, assigned_to, attempt)"
    " values (:tenant, :interaction, :mark, :to, 0)"
    " on conflict (tenant_id, interaction_id, mark) do update set assigned_to = :to"
)


@dataclass(frozen=True, slots=True)
class Subject:
    """A finding, the contact it lies in, and its mark over all revisions."""

    finding: FindingRow
    interaction: InteractionRow
    mark: str

    @property
    def key(self) -> tuple[UUID, str]:
        """What reviews and disputes name it by."""
        return self.interaction.id, self.mark


@dataclass(frozen=True, slots=True)
class Claim:
    """That a reviewer holds a finding until then; `attempt` counts the holders."""

    finding_id: UUID
    held_by: str
    attempt: int
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class Wish:
    """A decision: `rule` and `severity` belong to a change; `revises` names the one that stands."""

    decision: Decision
    reason: str
    reading: Reading = Reading.FIRST
    rule: str | None = None
    severity: Severity | None = None
    revises: UUID | None = None


def get_subject(session: Session, finding_id: UUID) -> Subject:
    """A finding of any revision; raises `NotFoundError`."""
    row = session.exec(
        select(FindingRow, InteractionRow, MARK)
        .join(InteractionRow, col(InteractionRow.id) == col(FindingRow.interaction_id))
        .where(col(FindingRow.id) == finding_id)
    ).one_or_none()
    if row is None:
        raise NotFoundError("There is no such finding.")
    return Subject(*row)


def claim(session: Session, finding_id: UUID, *, tenant_id: UUID, by: str) -> Claim:
    """Hold a finding for one reviewer, or longer; raises `ConflictError` where another holds it."""
    subject = get_subject(session, finding_id)
    lease = timedelta(minutes=get_policy(session)[1].lease_minutes)
    attempt, until = take(session, subject.key, tenant_id=tenant_id, by=by, lease=lease)
    return Claim(finding_id, by, attempt, until)


def take(
    session: Session, key: tuple[UUID, str], *, tenant_id: UUID, by: str, lease: timedelta
) -> tuple[int, datetime]:
    """Take an item, or go on holding it; gives the holder's number and the end of the lease."""
    row = session.connection().execute(
        _CLAIM,
        {"tenant": tenant_id, "interaction": key[0], "mark": key[1], "by": by, "lease": lease},
    )
    found = row.one_or_none()
    if found is None:
        item = session.exec(
            select(ReviewItem).where(
                col(ReviewItem.interaction_id) == key[0], col(ReviewItem.mark) == key[1]
            )
        ).one()
        if item.assigned_to is not None and item.assigned_to != by:
            raise ConflictError("It is assigned to another reviewer.", code="assigned_to_another")
        until = item.lease_until.isoformat() if item.lease_until else None
        raise ConflictError(
            "Another reviewer holds it; take the next one, or come back after lease_until.",
            code="claimed_by_another",
            extra={"lease_until": until},
        )
    return found.attempt, found.lease_until


def release(session: Session, finding_id: UUID, *, by: str) -> None:
    """Give a finding back; nothing happens where somebody else holds it."""
    let_go(session, get_subject(session, finding_id).key, by=by)


def let_go(session: Session, key: tuple[UUID, str], *, by: str) -> None:
    """End a reviewer's lease of an item."""
    session.connection().execute(_RELEASE, {"interaction": key[0], "mark": key[1], "by": by})


def assign(session: Session, finding_id: UUID, *, tenant_id: UUID, to: str | None, by: str) -> None:
    """Let only one reviewer take a finding; None: anybody. Raises `InvalidInputError`."""
    subject = get_subject(session, finding_id)
    person = None if to is None else _reviewer(session, tenant_id, to)
    session.connection().execute(
        _ASSIGN,
        {"tenant": tenant_id, "interaction": subject.key[0], "mark": subject.mark, "to": person},
    )
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=by,
        action="review_assigned",
        subject_id=str(finding_id),
        details={"to": person},
    )


def decide(
    session: Session,
    finding_id: UUID,
    wish: Wish,
    *,
    tenant_id: UUID,
    by: str,
    under: str | None = None,
    known_rules: Collection[str],
    base_url: str,
    now: datetime,
) -> tuple[ReviewRow, bool]:
    """Write a decision; gives it, and whether it is new: the same one again changes nothing.

    Raises `InvalidInputError`, or `ConflictError` with the code: `lease_lost`,
    `already_decided`, `finding_superseded`, `judgement_final`, `dispute_open`, `own_reading`,
    `second_not_wanted`.
    """
    subject = get_subject(session, finding_id)
    _refuse_wish(subject, wish, known_rules)
    before = list_reviews(session, subject)
    own = [row for row in before if row.reading == wish.reading.value]
    if own and own[-1].decided_by == by and _is_same(own[-1], wish):
        return own[-1], False
    hold(session, subject.key, by=by, way_out=f"POST /v1/findings/{finding_id}/claim")
    before = list_reviews(session, subject)  # once more: now nobody else can decide
    _refuse_state(session, subject, wish, before, by=by)
    row = add_review(
        session, subject, wish, before, tenant_id=tenant_id, by=by, under=under, now=now
    )
    let_go(session, subject.key, by=by)
    recount(session, row, subject, base_url=base_url, now=now)
    return row, True


def recount(
    session: Session, row: ReviewRow, subject: Subject, *, base_url: str, now: datetime
) -> None:
    """Let the watch count the rule anew, where the decision tells of its precision."""
    if row.reading != Reading.SECOND.value and row.was_violation:
        watch.recount(
            session,
            row.rule,
            tenant_id=row.tenant_id,
            verdict_id=subject.finding.verdict_id,
            base_url=base_url,
            now=now,
        )


def lock(session: Session, key: tuple[UUID, str], *, tenant_id: UUID) -> None:
    """Lock an item without holding it, so that nobody else decides meanwhile."""
    session.connection().execute(
        _LOCK, {"tenant": tenant_id, "interaction": key[0], "mark": key[1]}
    )


def hold(session: Session, key: tuple[UUID, str], *, by: str, way_out: str) -> None:
    """Lock an item that the reviewer holds; raises `ConflictError` where the lease is over."""
    held = session.connection().execute(_HELD, {"interaction": key[0], "mark": key[1], "by": by})
    if held.one_or_none() is None:
        raise ConflictError(
            f"You do not hold it, or no more. Claim it ({way_out}) and decide again.",
            code="lease_lost",
            extra={"claim": way_out},
        )


def list_reviews(session: Session, subject: Subject) -> Sequence[ReviewRow]:
    """Every decision on a finding over all its revisions, the oldest first."""
    return session.exec(
        select(ReviewRow)
        .where(
            col(ReviewRow.interaction_id) == subject.interaction.id,
            col(ReviewRow.mark) == subject.mark,
        )
        .order_by(col(ReviewRow.decided_at), col(ReviewRow.number), col(ReviewRow.reading))
    ).all()


def _is_same(row: ReviewRow, wish: Wish) -> bool:
    severity = wish.severity.value if wish.severity else None
    return (row.decision, opened(row, "reason"), row.to_rule, row.to_severity) == (
        wish.decision.value,
        wish.reason,
        wish.rule,
        severity,
    )


def _refuse_wish(subject: Subject, wish: Wish, known_rules: Collection[str]) -> None:
    problems = []
    changes = wish.rule is not None or wish.severity is not None
    if changes != (wish.decision is Decision.CHANGE):
        problems.append(FieldProblem("decision", "change goes together with rule or severity"))
    if wish.rule is not None and wish.rule not in known_rules:
        problems.append(FieldProblem("rule", "must be a rule of the pack"))
    same = (wish.rule or subject.finding.rule, wish.severity or subject.finding.severity)
    if changes and same == (subject.finding.rule, subject.finding.severity):
        problems.append(FieldProblem("severity", "or rule must differ from the finding's own"))
    if problems:
        raise InvalidInputError("The decision contradicts itself.", errors=tuple(problems))


def _refuse_state(
    session: Session, subject: Subject, wish: Wish, before: Sequence[ReviewRow], *, by: str
) -> None:
    """Raise `ConflictError` where this reviewer may not decide this now."""
    if not is_current(session, subject):
        raise ConflictError(
            "A later revision of the verdict no longer has this finding.",
            code="finding_superseded",
        )
    dispute = session.exec(
        select(DisputeRow.state).where(
            col(DisputeRow.interaction_id) == subject.interaction.id,
            col(DisputeRow.mark) == subject.mark,
        )
    ).one_or_none()
    if dispute in FINAL:
        raise ConflictError("The judgement of a dispute is final.", code="judgement_final")
    if any(row.decided_by == by and row.reading != wish.reading.value for row in before):
        raise ConflictError("Nobody reads a finding twice.", code="own_reading")
    own = [row for row in before if row.reading == wish.reading.value]
    if wish.reading is Reading.SECOND:
        if len(own) == len(before) or not drawn_twice(session, [subject.interaction.id]):
            raise ConflictError("No second reading is wanted here.", code="second_not_wanted")
    elif dispute == DisputeState.OPEN.value and own:
        raise ConflictError("It is disputed: judge the dispute instead.", code="dispute_open")
    if own and wish.revises != own[-1].id:
        raise ConflictError(
            "It is decided. To change the decision, name it as `revises`.",
            code="already_decided",
            extra={"review": str(own[-1].id)},
        )


def is_current(session: Session, subject: Subject) -> bool:
    """Whether the current revision of the verdict has this finding still."""
    if subject.finding.verdict_id == subject.interaction.verdict_id:
        return True
    found = session.exec(
        select(FindingRow.id).where(
            col(FindingRow.verdict_id) == subject.interaction.verdict_id, subject.mark == MARK
        )
    )
    return found.first() is not None


def add_review(
    session: Session,
    subject: Subject,
    wish: Wish,
    before: Sequence[ReviewRow],
    *,
    tenant_id: UUID,
    by: str,
    under: str | None = None,
    now: datetime,
) -> ReviewRow:
    """Add the next decision of its reading; the caller holds the item's lock."""
    finding = subject.finding
    row = ReviewRow(
        tenant_id=tenant_id,
        interaction_id=subject.interaction.id,
        mark=subject.mark,
        reading=wish.reading.value,
        number=1 + sum(row.reading == wish.reading.value for row in before),
        finding_id=finding.id,
        agency_id=finding.agency_id,
        rule=finding.rule,
        severity=finding.severity,
        disposition=finding.disposition,
        was_violation=watch.was_violation(finding.doc),
        decision=wish.decision.value,
        to_rule=wish.rule,
        to_severity=wish.severity.value if wish.severity else None,
        reason="",
        decided_by=by,
        decided_at=now,
    )
    put_sealed(row, reason=wish.reason)
    session.add(row)
    details: Mapping[str, object] = {
        "review_id": str(row.id),
        "interaction": str(row.interaction_id),
        "rule": row.rule,
        "decision": row.decision,
        "reading": row.reading,
        "number": row.number,
        **acted_for(by, under),
    }
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=under or by,
        action="review_decided",
        subject_id=str(finding.id),
        details=details,
    )
    session.flush()
    return row


def acted_for(by: str, under: str | None) -> dict[str, str]:
    """What an audit entry adds where it is written under another name than the person's."""
    return {} if under in {None, by} else {"person": by}


def _reviewer(session: Session, tenant_id: UUID, name: str) -> str:
    """The person whom a handle or key id names; raises `InvalidInputError` where none may review.

    Keys are not fenced: the tenant is named here.
    """
    may = ["admin", "review"]
    key = select(ApiKey.id).where(
        col(ApiKey.tenant_id) == tenant_id,
        col(ApiKey.key_id) == name,
        col(ApiKey.actor) == "lender",
        col(ApiKey.scope).in_(may),
        col(ApiKey.revoked_at).is_(None),
    )
    person = select(Person.id).where(
        col(Person.tenant_id) == tenant_id,
        col(Person.handle) == name,
        col(Person.actor) == "lender",
        col(Person.scope).in_(may),
        col(Person.removed_at).is_(None),
    )
    if session.exec(key).first() is None and session.exec(person).first() is None:
        problem = FieldProblem(
            "reviewer", "must be the handle of a person, or the key_id of a key, that may review"
        )
        raise InvalidInputError("It cannot be assigned like this.", errors=(problem,))
    return person_of(session, name)

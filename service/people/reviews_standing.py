"""What people made of findings: the decision that stands, beside the system's own word."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlmodel import Session, col, select

from service.models import FindingRow
from service.people.models import (
    Decision,
    DisputeRow,
    DisputeState,
    Reading,
    ReviewRow,
    SampleItem,
)
from service.privacy.sealed_fields import opened, opened_or_none

MARK = func.hegui_finding_mark(col(FindingRow.rule), col(FindingRow.doc))
FINAL = frozenset({DisputeState.UPHELD, DisputeState.REJECTED})


@dataclass(frozen=True, slots=True)
class Standing:
    """What people made of a finding; the system's own word is the finding itself.

    `state` is `confirm`, `dismiss` or `change`, or `second_reading` where the caller may not know
    yet. `rule` and `severity` are those that hold now. `is_final`: a judgement closed it.
    """

    state: str
    rule: str
    severity: str
    reason: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    review_id: UUID | None = None
    is_final: bool = False
    dispute_id: UUID | None = None
    dispute_state: str | None = None

    @property
    def is_dismissed(self) -> bool:
        """Whether the finding counts no more."""
        return self.state == Decision.DISMISS.value


def is_blind_to(
    session: Session, interaction_id: UUID, reviews: Sequence[ReviewRow], viewer: str | None
) -> bool:
    """Whether a person of the lender may not know yet: the second reading is still to come."""
    return _hides(reviews, viewer) and bool(drawn_twice(session, [interaction_id]))


def standing(
    session: Session, finding_ids: Collection[UUID], *, viewer: str | None = None
) -> dict[UUID, Standing]:
    """What people made of findings, by id; those that nobody touched are left out.

    With `viewer`, a person of the lender, what this person may have to judge blindly is hidden.
    """
    if not finding_ids:
        return {}
    rows = session.exec(
        select(
            FindingRow.id, FindingRow.interaction_id, FindingRow.rule, FindingRow.severity, MARK
        ).where(col(FindingRow.id).in_(finding_ids))  # type: ignore[call-overload]  # sqlmodel types up to four columns
    ).all()
    contacts = {row[1] for row in rows}
    reviews: dict[tuple[UUID, str], list[ReviewRow]] = {}
    for each in session.exec(
        select(ReviewRow)
        .where(col(ReviewRow.interaction_id).in_(contacts))
        .order_by(col(ReviewRow.number))
    ):
        reviews.setdefault((each.interaction_id, each.mark), []).append(each)
    disputes = {
        (each.interaction_id, each.mark): each
        for each in session.exec(
            select(DisputeRow).where(col(DisputeRow.interaction_id).in_(contacts))
        )
    }
    twice = drawn_twice(session, contacts) if viewer is not None else frozenset()
    found = {}
    for id_, contact, rule, severity, mark in rows:
        key = (contact, mark)
        is_blind = contact in twice and _hides(reviews.get(key, []), viewer)
        stands = _standing(rule, severity, reviews.get(key, []), disputes.get(key), is_blind)
        if stands is not None:
            found[id_] = stands
    return found


def _standing(
    rule: str,
    severity: str,
    reviews: Sequence[ReviewRow],
    dispute: DisputeRow | None,
    is_blind: bool,  # noqa: FBT001  private, named at the one call
) -> Standing | None:
    first = [row for row in reviews if row.reading == Reading.FIRST.value]
    about = {
        "dispute_id": dispute.id if dispute else None,
        "dispute_state": dispute.state if dispute else None,
    }
    if dispute is not None and dispute.state in FINAL:
        is_upheld = dispute.state == DisputeState.UPHELD.value
        last = None if is_upheld or not first else first[-1]
        return Standing(
            state=Decision.DISMISS.value if is_upheld else _kept(last),
            rule=(last.to_rule if last else None) or rule,
            severity=(last.to_severity if last else None) or severity,
            reason=opened_or_none(dispute, "reason"),
            decided_by=dispute.decided_by,
            decided_at=dispute.decided_at,
            is_final=True,
            **about,  # type: ignore[arg-type]  # the two fields of a dispute
        )
    if is_blind:
        return Standing("second_reading", rule, severity, **about)  # type: ignore[arg-type]
    if not first:
        return None if dispute is None else Standing("open", rule, severity, **about)  # type: ignore[arg-type]
    last = first[-1]
    return Standing(
        state=last.decision,
        rule=last.to_rule or rule,
        severity=last.to_severity or severity,
        reason=opened(last, "reason"),
        decided_by=last.decided_by,
        decided_at=last.decided_at,
        review_id=last.id,
        **about,  # type: ignore[arg-type]
    )


def _kept(last: ReviewRow | None) -> str:
    """A finding whose dispute was rejected stands, also where a reviewer had dismissed it."""
    is_changed = last is not None and last.decision == Decision.CHANGE.value
    return Decision.CHANGE.value if is_changed else Decision.CONFIRM.value


def _hides(reviews: Sequence[ReviewRow], viewer: str | None) -> bool:
    first = [row.decided_by for row in reviews if row.reading == Reading.FIRST.value]
    only_first = len(first) == len(reviews)
    return viewer is not None and bool(first) and only_first and viewer not in first


def drawn_twice(session: Session, interaction_ids: Collection[UUID]) -> frozenset[UUID]:
    """Those of these contacts that are drawn to be read twice."""
    return frozenset(
        session.exec(
            select(SampleItem.interaction_id).where(
                col(SampleItem.interaction_id).in_(interaction_ids), col(SampleItem.second)
            )
        )
    )

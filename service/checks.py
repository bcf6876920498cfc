"""Checks in the manner of continuous integration: status and conclusion of contacts and batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import distinct, func
from sqlmodel import Session, col, select

from rules.model import Disposition, Outcome, Severity
from service.models import FindingRow, InteractionRow
from service.read import get_agency


class CheckStatus(StrEnum):
    """Whether every contact in it has its verdict."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


class Conclusion(StrEnum):
    """What a completed check says; the words are those of the code forges' check runs."""

    SUCCESS = "success"
    NEUTRAL = "neutral"
    ACTION_REQUIRED = "action_required"
    FAILURE = "failure"


# Missing evidence is neither a pass nor a fault that was proven.
CONCLUSIONS = {
    Outcome.PASS: Conclusion.SUCCESS,
    Outcome.INCONCLUSIVE: Conclusion.NEUTRAL,
    Outcome.ERROR: Conclusion.NEUTRAL,
    Outcome.REVIEW: Conclusion.ACTION_REQUIRED,
    Outcome.FAIL: Conclusion.FAILURE,
}


def conclusion_of(outcome: str | None) -> Conclusion | None:
    """What one contact's outcome concludes; None while there is none."""
    return None if outcome is None else CONCLUSIONS[Outcome(outcome)]


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How often a rule was reported: findings, and the contacts that they lie in."""

    rule: str
    severity: Severity
    disposition: Disposition
    findings: int
    interactions: int


@dataclass(frozen=True, slots=True)
class BatchCheck:
    """The contacts of one agency that started in [since, to), as their current verdicts stand."""

    agency_id: UUID
    agency_name: str
    since: datetime
    to: datetime
    outcomes: Mapping[Outcome, int]
    pending: int
    rules: Sequence[RuleCount]

    @property
    def interactions(self) -> int:
        """Contacts in all, checked or not."""
        return sum(self.outcomes.values()) + self.pending

    @property
    def status(self) -> CheckStatus:
        """`in_progress` while a contact waits for its verdict."""
        return CheckStatus.IN_PROGRESS if self.pending else CheckStatus.COMPLETED

    @property
    def conclusion(self) -> Conclusion | None:
        """The worst contact's conclusion; None while in progress. No contact at all is neutral."""
        if self.pending:
            return None
        found = [CONCLUSIONS[outcome] for outcome, count in self.outcomes.items() if count]
        return max(found, key=list(Conclusion).index, default=Conclusion.NEUTRAL)

    def findings(self, disposition: Disposition) -> dict[Severity, int]:
        """Findings of that disposition by severity, worst first."""
        return {
            severity: sum(
                row.findings
                for row in self.rules
                if row.severity is severity and row.disposition is disposition
            )
            for severity in reversed(Severity)
        }


def check_batch(session: Session, agency_id: UUID, *, since: datetime, to: datetime) -> BatchCheck:
    """Sum up one agency's contacts of a time; raises `NotFoundError` where it is not to be seen."""
    agency = get_agency(session, agency_id)
    within = (
        col(InteractionRow.agency_id) == agency_id,
        col(InteractionRow.started_at) >= since,
        col(InteractionRow.started_at) < to,
    )
    counts: dict[str | None, int] = dict(
        session.exec(
            select(InteractionRow.outcome, func.count())
            .where(*within)
            .group_by(col(InteractionRow.outcome))
        ).all()
    )
    return BatchCheck(
        agency_id=agency_id,
        agency_name=agency.name,
        since=since,
        to=to,
        outcomes={outcome: counts.get(outcome.value, 0) for outcome in CONCLUSIONS},
        pending=counts.get(None, 0),
        rules=_rules(session, within),
    )


def _rules(session: Session, within: tuple[Any, ...]) -> list[RuleCount]:
    """Findings of current verdicts by rule, the worst and most frequent first."""
    key = (col(FindingRow.rule), col(FindingRow.severity), col(FindingRow.disposition))
    rows = session.exec(
        select(  # type: ignore[call-overload]  # sqlmodel types up to four columns
            *key, func.count(), func.count(distinct(col(FindingRow.interaction_id)))
        )
        .join(InteractionRow, col(InteractionRow.verdict_id) == col(FindingRow.verdict_id))
        .where(*within)
        .group_by(*key)
    ).all()
    found = [
        RuleCount(rule, Severity(severity), Disposition(disposition), findings, contacts)
        for rule, severity, disposition, findings, contacts in rows
    ]
    return sorted(
        found,
        key=lambda row: (
            list(Disposition).index(row.disposition),
            -row.severity.rank,
            -row.findings,
            row.rule,
        ),
    )

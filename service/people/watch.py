"""Rules under watch: a rule that reviewers too often find wrong asks for review by itself.

A period under watch counts by the time of the contact, as parameters do: what started in it asks
for review, whatever the order of arrival, and a later change never rewrites an earlier verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from rules.model import Disposition, Finding, Outcome, Verdict
from service.audit import add_entry
from service.people.agreement import Share, share
from service.people.models import WatchPeriod
from service.people.reviews_policy import Policy, get_policy
from service.people.watch_notice import tell

WHY = " (This rule is under watch: reviewers often found it wrong, so a person confirms it.)"
WHY_ZH = "（该规则处于观察期：人工复核多次认定其误报，须由人工确认。）"

# The newest decision on each finding that the rule itself called a violation; the judgement of a
# dispute stands above it. What reviewers gave to another rule was no hit of this one.
_COUNTED = text(
    "with latest as ("
    " select distinct on (r.interaction_id, r.mark) r.interaction_id, r.mark, r.decision,"
    "   r.to_rule, r.rule, r.decided_at"
    " from review as r where r.rule = :rule and r.reading <> 'second' and r.was_violation"
    "   and r.decided_at > :since"
    " order by r.interaction_id, r.mark, r.reading = 'judgement' desc, r.number desc),"
    " counted as (select * from latest order by decided_at desc limit :window)"
    " select count(*), count(*) filter (where decision <> 'dismiss'"
    "   and coalesce(to_rule, rule) = rule) from counted"
)
_EVER = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Period:
    """Contacts that started in [since, until) ask for review under this rule; None: open."""

    rule: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Watched:
    """A rule as the watch sees it: its live precision, its floor, and since when it is under."""

    rule: str
    precision: Share
    floor: float
    minimum: int
    since: datetime | None
    at_start: Mapping[str, Any] | None


def list_periods(session: Session) -> tuple[Period, ...]:
    """Every period of every rule of the tenant."""
    rows = session.exec(select(WatchPeriod)).all()
    return tuple(Period(row.rule, row.since_at, row.until_at) for row in rows)


def under_watch(periods: Sequence[Period], at: datetime) -> frozenset[str]:
    """The rules that only ask for review in a contact which started at this moment."""
    return frozenset(
        period.rule
        for period in periods
        if period.since <= at and (period.until is None or at < period.until)
    )


def apply(verdict: Verdict, rules: frozenset[str]) -> Verdict:
    """Turn what rules under watch call violations into questions, and the outcome with them."""
    if not any(_turns(finding, rules) for finding in verdict.findings):
        return verdict
    findings = tuple(
        replace(
            finding,
            disposition=Disposition.REVIEW,
            why=finding.why + WHY,
            why_zh=finding.why_zh + WHY_ZH,
        )
        if _turns(finding, rules)
        else finding
        for finding in verdict.findings
    )
    stands = any(finding.disposition is Disposition.VIOLATION for finding in findings)
    outcome = verdict.outcome
    if outcome is Outcome.FAIL and not stands:
        outcome = Outcome.INCONCLUSIVE if verdict.reasons else Outcome.REVIEW
    return replace(verdict, findings=findings, outcome=outcome)


def was_violation(document: Mapping[str, Any]) -> bool:
    """Whether the rule by itself called it a violation, from a finding's public document."""
    return document.get("disposition") == Disposition.VIOLATION.value or str(
        document.get("why", "")
    ).endswith(WHY)


def precision(session: Session, rule: str, policy: Policy, *, since: datetime = _EVER) -> Share:
    """The share of a rule's violations that reviewers found right, of the newest reviewed.

    Decisions after `since` count: the one that tipped the rule belongs to the time before.
    """
    total, right = (
        session.connection()
        .execute(_COUNTED, {"rule": rule, "since": since, "window": policy.window})
        .one()
    )
    return share(right, total)


def recount(
    session: Session,
    rule: str,
    *,
    tenant_id: UUID,
    verdict_id: UUID,
    base_url: str,
    now: datetime,
) -> str | None:
    """Count a rule anew after a decision; `verdict_id` is the verdict that the decision was about.

    It goes under watch where its interval lies below its floor, and comes back where the reviews
    since then reach the floor. Gives `rule_demoted`, `rule_recovered` or None.
    """
    policy = get_policy(session)[1]
    if not policy.watch:
        return None
    held = session.exec(
        select(WatchPeriod)
        .where(col(WatchPeriod.rule) == rule, col(WatchPeriod.until_at).is_(None))
        .with_for_update()
    ).one_or_none()
    found = precision(session, rule, policy, since=held.since_at if held else _last(session, rule))
    if found.total < policy.minimum or found.share is None:
        return None
    floor = policy.floor_of(rule)
    figures = {**asdict(found), "floor": floor}
    if held is None and found.high < floor:
        if not _open(session, tenant_id, rule, figures, now):
            return None
        action = "rule_demoted"
    elif held is not None and found.share >= floor:
        held.until_at, held.at_end = now, figures
        action = "rule_recovered"
    else:
        return None
    add_entry(
        session,
        tenant_id=tenant_id,
        actor="watch",
        action=action,
        subject_id=rule,
        details={name: round(value, 4) for name, value in figures.items()},
    )
    session.flush()
    tell(session, action, rule, figures, verdict_id=verdict_id, base_url=base_url, now=now)
    return action


def list_watched(session: Session) -> list[Watched]:
    """Every rule that was reviewed or is under watch, by its id."""
    policy = get_policy(session)[1]
    reviewed = session.connection().execute(text("select distinct rule from review")).scalars()
    open_periods = {
        row.rule: row
        for row in session.exec(select(WatchPeriod).where(col(WatchPeriod.until_at).is_(None)))
    }
    found = []
    for rule in sorted({*reviewed, *open_periods}):
        held = open_periods.get(rule)
        since = held.since_at if held else _last(session, rule)
        found.append(
            Watched(
                rule=rule,
                precision=precision(session, rule, policy, since=since),
                floor=policy.floor_of(rule),
                minimum=policy.minimum,
                since=held.since_at if held else None,
                at_start=held.at_start if held else None,
            )
        )
    return found


def _turns(finding: Finding, rules: frozenset[str]) -> bool:
    return finding.disposition is Disposition.VIOLATION and finding.rule in rules


def _open(
    session: Session, tenant_id: UUID, rule: str, figures: dict[str, Any], now: datetime
) -> bool:
    """Begin a period; False where another decision has begun one at the same time."""
    made = session.exec(
        insert(WatchPeriod)
        .values(tenant_id=tenant_id, rule=rule, since_at=now, at_start=figures)
        .on_conflict_do_nothing()
        .returning(col(WatchPeriod.rule))
    ).scalar_one_or_none()
    return made is not None


def _last(session: Session, rule: str) -> datetime:
    """When the rule last went under watch: reviews before that belong to another time."""
    row = session.exec(
        select(WatchPeriod.since_at)
        .where(col(WatchPeriod.rule) == rule)
        .order_by(col(WatchPeriod.since_at).desc())
        .limit(1)
    ).one_or_none()
    return row or _EVER

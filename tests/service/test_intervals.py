"""Intervals of 95 per cent hold the truth as often as they say: exactly, and by simulation."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlmodel import Session

from service.db import tenant_session
from service.models import FindingRow
from service.people import watch
from service.people.agreement import bootstrap, cohen_kappa, wilson
from service.people.models import Decision, Reading, ReviewRow
from service.people.reviews_policy import Policy, set_policy
from tests.chances import binomial, lowest, sums
from tests.factories import Lender, Sender
from tests.workers.test_watch import QUARTER, add_contact

LEVEL = 0.95
RULES, REVIEWED = 40, 30


def coverage(total: int, p: float) -> float:
    """The chance that Wilson's interval of `total` trials holds p, summed over all outcomes."""
    intervals = (wilson(count, total) for count in range(total + 1))
    pairs = zip(intervals, binomial(total, p), strict=True)
    return sum(chance for (low, high), chance in pairs if low <= p <= high)


@pytest.mark.parametrize("total", [20, 60, 200])
def test_wilsons_interval_holds_the_truth_in_95_of_100_cases(total: int) -> None:
    held = [coverage(total, p / 100) for p in range(5, 96)]

    assert sum(held) / len(held) == pytest.approx(LEVEL, abs=0.01)
    assert min(held) > 0.92  # Brown, Cai and DasGupta (2001): away from the ends it stays near


def add_reviews(
    session: Session, sender: Sender, rule: str, finding: UUID, decisions: list[bool]
) -> None:
    """Reviews of as many findings of a rule, as people write them."""
    row = session.get_one(FindingRow, (sender.tenant_id, finding))
    for number, is_right in enumerate(decisions):
        session.add(
            ReviewRow(
                tenant_id=sender.tenant_id,
                interaction_id=row.interaction_id,
                mark=f"{rule}-{number}",
                reading=Reading.FIRST.value,
                number=1,
                finding_id=finding,
                agency_id=sender.id,
                rule=rule,
                severity=row.severity,
                disposition=row.disposition,
                was_violation=True,
                decision=(Decision.CONFIRM if is_right else Decision.DISMISS).value,
                reason="按录音判断",
                decided_by="anna",
                decided_at=datetime(2026, 6, 1, tzinfo=UTC) + timedelta(minutes=number),
            )
        )


def test_the_precision_of_rules_under_watch_holds_the_truth_as_often_as_it_says(
    lender: Lender, agency: Sender
) -> None:
    dice = random.Random(45251)  # noqa: S311  made-up reviews, repeatable
    truth = {f"TST-{n:02}": 0.3 + 0.65 * n / RULES for n in range(RULES)}
    with tenant_session(lender.id) as session:
        # Only the newest count; the older ones would pull every share to a half.
        set_policy(session, Policy(minimum=20, window=REVIEWED), tenant_id=lender.id, by="test")
        for rule, p in truth.items():
            finding = add_contact(session, agency, rule, QUARTER)
            older = [number % 2 == 0 for number in range(10)]
            newest = [dice.random() < p for _ in range(REVIEWED)]
            add_reviews(session, agency, rule, finding, [*older, *newest])
    with tenant_session(lender.id) as session:
        watched = {each.rule: each.precision for each in watch.list_watched(session)}

    assert {rule: found.total for rule, found in watched.items()} == dict.fromkeys(truth, REVIEWED)
    held = sum(watched[rule].low <= p <= watched[rule].high for rule, p in truth.items())
    expected = sums(coverage(REVIEWED, p) for p in truth.values())
    assert held >= lowest(expected), (held, RULES)


def test_the_interval_of_kappa_holds_the_truth_as_often_as_it_says() -> None:
    share, right, rounds = 0.7, 0.9, 150
    # What two readers who err in one of ten come to: agreement, and what chance alone gives.
    agreed = right**2 + (1 - right) ** 2
    yes = share * right + (1 - share) * (1 - right)
    chance = yes**2 + (1 - yes) ** 2
    truth = (agreed - chance) / (1 - chance)
    dice = random.Random(1960)  # noqa: S311  made-up readers, repeatable

    def read(is_so: bool) -> bool:  # noqa: FBT001  the one thing that is read
        return is_so if dice.random() < right else not is_so

    held = 0
    for number in range(rounds):
        units = [(read(it), read(it)) for it in (dice.random() < share for _ in range(150))]
        found = bootstrap(units, cohen_kappa, seed=str(number), rounds=200)
        held += (found.low or 0) <= truth <= (found.high or 0)
    assert held >= lowest(binomial(rounds, LEVEL)), (held, rounds)

"""A quarter of reviews: agreement, precision by rule, a rule that falls under watch and returns."""

import os
import random
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from statistics import NormalDist
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlmodel import Session, col, select
from starlette.testclient import TestClient

from rules.model import Disposition, Finding, Outcome, Severity, Verdict
from service.clock import now
from service.config import settings
from service.db import tenant_session
from service.models import (
    AuditEntry,
    EventRow,
    FindingRow,
    InteractionRow,
    InteractionState,
    VerdictRow,
)
from service.people import reviews, reviews_figures, reviews_sample, watch
from service.people.models import READINGS, Decision, DrawMethod, Reading, WatchPeriod
from service.people.reviews import Wish
from service.people.reviews_figures import Agreements
from service.people.reviews_policy import Policy, set_policy
from tests.chances import ONE_IN_A_THOUSAND, is_plausible
from tests.factories import Lender, Sender
from tests.people import findings, make_reviewer, review, send_threat
from tests.receiver import Receiver
from tests.robots import Clock, Provider
from workers.tasks import post_digest

QUARTERS_WORK = 1000
REVIEWS = QUARTERS_WORK if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 240
QUARTER = datetime(2026, 4, 1, tzinfo=UTC)
# How often each rule is right, and the rule that is mended in the middle of the quarter.
TRUTH = {"THR-02": 0.97, "ABU-01": 0.9, "FAL-01": 0.45}
MENDED = "FAL-01"
READERS = ("anna", "boli", "chen")
norm = NormalDist()


def add_contact(session: Session, sender: Sender, rule: str | None, at: datetime) -> UUID:
    """A checked contact, with a finding where a rule is named; gives that one's id."""
    event = EventRow(
        tenant_id=sender.tenant_id,
        agency_id=sender.id,
        message_id=uuid4().hex,
        body_sha256="",
        body={"data": {"collector": {"id": "E-1"}}},
        kind="interaction.completed",
        case_id="K-1",
        occurred_at=at,
    )
    session.add(event)
    session.flush()
    contact = InteractionRow(
        tenant_id=sender.tenant_id,
        agency_id=sender.id,
        interaction_id=uuid4().hex,
        case_id="K-1",
        event_id=event.id,
        as_of=at,
        channel="call",
        direction="outbound",
        started_at=at,
        state=InteractionState.CHECKED.value,
        outcome="fail" if rule else "pass",
    )
    session.add(contact)
    session.flush()
    verdict = VerdictRow(
        tenant_id=sender.tenant_id,
        interaction_id=contact.id,
        revision=1,
        outcome=contact.outcome or "",
        pack="collection",
        pack_digest="",
        findings_digest="",
        evaluated_at=at,
    )
    session.add(verdict)
    session.flush()
    contact.verdict_id = verdict.id
    if rule is None:
        return contact.id
    row = FindingRow(
        tenant_id=sender.tenant_id,
        verdict_id=verdict.id,
        interaction_id=contact.id,
        agency_id=sender.id,
        position=0,
        rule=rule,
        severity="high",
        disposition="violation",
        doc={"rule": rule, "disposition": "violation", "heard": uuid4().hex, "confidence": 0.8},
        started_at=at,
    )
    session.add(row)
    session.flush()
    return row.id


def decide(lender: Lender, finding: UUID, by: str, decision: Decision, reading: Reading) -> None:
    wish = Wish(decision, "按录音判断", reading=reading)
    with tenant_session(lender.id) as session:
        reviews.claim(session, finding, tenant_id=lender.id, by=by)
        reviews.decide(
            session, finding, wish, tenant_id=lender.id, by=by, known_rules=set(TRUTH),
            base_url="http://x", now=now(),
        )  # fmt: skip


def prepare(lender: Lender, agency: Sender) -> tuple[list[tuple[str, UUID]], set[UUID]]:
    """The findings of the quarter in order, and those that are to be read twice."""
    with tenant_session(lender.id) as session:
        set_policy(session, Policy(minimum=20, window=100), tenant_id=lender.id, by="test")
        made = [
            (rule, add_contact(session, agency, rule, QUARTER + timedelta(hours=2 * n)))
            for n, rule in zip(range(REVIEWS), cycle(TRUTH), strict=False)
        ]
        wish = reviews_sample.SampleWish(
            DrawMethod.RANDOM, QUARTER, now(), REVIEWS, second_share=0.25, seed="quarter-2"
        )
        drawn = reviews_sample.draw(session, wish, tenant_id=lender.id, by="test", now=now())
        items = reviews_sample.list_items(session, drawn.id, limit=REVIEWS)
        twice = {item.interaction_id for item in items if item.second}
        rows = session.exec(select(FindingRow.id, FindingRow.interaction_id)).all()
    return made, {finding for finding, contact in rows if contact in twice}


def work_through(
    lender: Lender, made: list[tuple[str, UUID]], twice: set[UUID]
) -> list[tuple[int, str]]:
    """Let readers who err in one of twenty decide it all; gives when MENDED changed, and how."""
    dice = random.Random(2026)  # noqa: S311  a simulated quarter, repeatable
    changes: list[tuple[int, str]] = []
    for number, (rule, finding) in enumerate(made):
        is_mended = rule == MENDED and number > REVIEWS / 2
        truth = dice.random() < (0.98 if is_mended else TRUTH[rule])
        for reader, reading in zip(dice.sample(READERS, 2), READINGS, strict=True):
            said = truth if dice.random() < 0.95 else not truth
            decision = Decision.CONFIRM if said else Decision.DISMISS
            if reading is Reading.FIRST or finding in twice:
                decide(lender, finding, reader, decision, reading)
        with tenant_session(lender.id) as session:
            under = {each.rule for each in watch.list_periods(session) if each.until is None}
        was_under = bool(changes) and changes[-1][1] == "rule_demoted"
        if (MENDED in under) != was_under:
            changes.append((number, "rule_recovered" if was_under else "rule_demoted"))
    return changes


def test_a_quarter_of_reviews_shows_agreement_and_a_rule_that_falls_and_returns(
    lender: Lender, agency: Sender
) -> None:
    made, twice = prepare(lender, agency)

    changes = work_through(lender, made, twice)

    assert [action for _, action in changes] == ["rule_demoted", "rule_recovered"]
    assert changes[0][0] < REVIEWS / 2 < changes[1][0]
    with tenant_session(lender.id) as session:
        watched = {each.rule: each for each in watch.list_watched(session)}
        found = reviews_figures.agreements(session, since=QUARTER, to=now())
        acts = session.exec(
            select(AuditEntry).where(col(AuditEntry.actor) == "watch").order_by(col(AuditEntry.at))
        ).all()
    if REVIEWS == QUARTERS_WORK:
        tell_quarter(watched, found, changes)
    assert [(entry.action, entry.subject_id) for entry in acts] == [
        ("rule_demoted", MENDED),
        ("rule_recovered", MENDED),
    ]
    assert acts[0].details["high"] < 0.8 <= acts[1].details["share"]
    assert [rule for rule, each in watched.items() if each.since is not None] == []
    for rule in ("THR-02", "ABU-01"):
        right = seen_right(TRUTH[rule])
        counted = watched[rule].precision
        assert counted.total == min(100, REVIEWS // len(TRUTH))
        assert is_plausible(counted.count, counted.total, right), (rule, counted)
    kappa, alpha = found.all.kappa, found.all.alpha
    assert found.all.pairs == len(twice)
    assert None not in {kappa.value, kappa.low, alpha.value}
    assert -1 <= (kappa.low or 0) < (kappa.value or 0) < 1
    # Within the interval that holds the truth in 999 of 1,000 quarters.
    wide = (norm.inv_cdf(1 - ONE_IN_A_THOUSAND / 2) / norm.inv_cdf(0.975)) * (
        (kappa.high or 0) - (kappa.low or 0)
    )
    assert abs((kappa.value or 0) - true_kappa(made, twice)) < wide / 2
    assert abs((kappa.value or 0) - (alpha.value or 0)) < 0.05
    assert set(found.by_reviewer) == set(READERS)


def seen_right(truth: float) -> float:
    """How often readers who err in one of twenty call a rule right that is so often right."""
    return truth * 0.95 + (1 - truth) * 0.05


def true_kappa(made: list[tuple[str, UUID]], twice: set[UUID]) -> float:
    """What kappa comes to over many quarters: two such readers of these very findings."""
    truths = [
        0.98 if rule == MENDED and number > REVIEWS / 2 else TRUTH[rule]
        for number, (rule, finding) in enumerate(made)
        if finding in twice
    ]
    agreed = 0.95**2 + 0.05**2
    yes = sum(map(seen_right, truths)) / len(truths)
    chance = yes**2 + (1 - yes) ** 2
    return (agreed - chance) / (1 - chance)


def tell_quarter(
    watched: dict[str, watch.Watched], found: Agreements, changes: list[tuple[int, str]]
) -> None:
    """Write the figures of docs/review.md."""
    lines = [f"{changes}"]
    for rule, each in watched.items():
        p = each.precision
        lines.append(f"{rule} {p.count}/{p.total} {p.share:.2f} [{p.low:.2f}, {p.high:.2f}]")
    for name, own in {"all": found.all, **found.by_rule, **found.by_reviewer}.items():
        k = own.kappa
        shown = f"{k.value:.2f} [{k.low or 0:.2f}, {k.high or 0:.2f}]"
        lines.append(f"{name} pairs={own.pairs} kappa={shown} alpha={own.alpha.value:.2f}")
    sys.stdout.write("\n".join(["", *lines, ""]))


def verdict_of(*rules: tuple[str, Disposition], reasons: tuple[str, ...] = ()) -> Verdict:
    findings_ = tuple(
        Finding(
            rule=rule,
            articles=(),
            severity=Severity.HIGH,
            disposition=disposition,
            why="w",
            why_zh="因",
        )
        for rule, disposition in rules
    )
    return Verdict(
        interaction_id="I", agency_id="A", outcome=Outcome.FAIL, findings=findings_, reasons=reasons
    )


def test_what_a_watched_rule_calls_a_violation_becomes_a_question() -> None:
    alone = verdict_of(("FAL-01", Disposition.VIOLATION))
    beside = verdict_of(("FAL-01", Disposition.VIOLATION), ("THR-02", Disposition.VIOLATION))
    rules = frozenset({"FAL-01"})

    turned = watch.apply(alone, rules)
    assert (turned.outcome, turned.findings[0].disposition) == (Outcome.REVIEW, Disposition.REVIEW)
    assert watch.was_violation(turned.findings[0].as_dict())
    assert turned.findings[0].why_zh.endswith(watch.WHY_ZH)
    assert watch.apply(beside, rules).outcome is Outcome.FAIL
    doubtful = replace(alone, reasons=("role_unknown",))
    assert watch.apply(doubtful, rules).outcome is Outcome.INCONCLUSIVE
    assert watch.apply(alone, frozenset()) is alone
    assert watch.apply(turned, rules) == turned


def test_a_period_counts_by_the_time_of_the_contact() -> None:
    start, end = QUARTER, QUARTER + timedelta(days=7)
    periods = (watch.Period("FAL-01", start, end), watch.Period("ABU-01", end, None))
    second = timedelta(seconds=1)

    assert watch.under_watch(periods, start - second) == frozenset()
    assert watch.under_watch(periods, start) == {"FAL-01"}
    assert watch.under_watch(periods, end - second) == {"FAL-01"}
    assert watch.under_watch(periods, end) == {"ABU-01"}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_every_order_of_arrival_gives_the_same_verdicts_around_a_demotion(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    run_jobs: Callable[[], None],
    order: tuple[int, ...],
) -> None:
    demoted_at = datetime.fromisoformat("2026-06-03T12:00:00+08:00")
    with tenant_session(lender.id) as session:
        for rule in ("THR-02", "SMS-02"):  # what this message breaks
            session.add(
                WatchPeriod(
                    tenant_id=lender.id, rule=rule, since_at=demoted_at, at_start={"share": 0.1}
                )
            )
    for number in order:
        started = f"2026-06-03T{11 + number}:00:00+08:00"
        own = {"interaction_id": f"S-{number}", "started_at": started, "text": "明天去你家烧纸。"}
        send_threat(client, agency, 1, **own)
        run_jobs()

    with tenant_session(lender.id) as session:
        rows = session.exec(select(InteractionRow).order_by(col(InteractionRow.started_at))).all()
    assert [row.outcome for row in rows] == ["fail", "review", "review"]
    shown = {
        row["started_at"]: row["disposition"]
        for row in findings(client, lender.auth, rule="THR-02")
    }
    assert [shown[key] for key in sorted(shown)] == ["violation", "review", "review"]


def test_the_lender_is_told_by_webhook_that_a_rule_went_under_watch(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    receiver: Receiver,
    endpoint: dict[str, Any],
    run_jobs: Callable[[], None],
) -> None:
    client.put("/v1/reviews/policy", json={"minimum": 5, "window": 50}, headers=lender.auth)
    reviewer = make_reviewer(lender)
    with tenant_session(lender.id) as session:
        doubted = [add_contact(session, agency, "FAL-01", QUARTER) for _ in range(8)]
    for finding in doubted:
        review(client, reviewer, str(finding), "dismiss")
    run_jobs()

    (told,) = [request for request in receiver.requests if b"rule.demoted" in request.body]
    assert told.signed_with(endpoint["secret"])
    (state,) = client.get("/v1/watch", headers=lender.auth).json()["items"]
    assert (state["rule"], state["under_watch"]) == ("FAL-01", True)
    (alert,) = client.get("/v1/alerts", headers=lender.auth).json()["items"]
    assert (alert["notice"], alert["state"]) == ("rule_demoted:FAL-01", "delivered")


def test_a_robot_is_told_in_words_that_a_rule_went_under_watch_and_came_back(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    policy = {"minimum": 5, "window": 10, "floor": 0.8}
    client.put("/v1/reviews/policy", json=policy, headers=lender.auth)
    reviewer = make_reviewer(lender)
    with tenant_session(lender.id) as session:
        made = [add_contact(session, agency, "FAL-01", QUARTER) for _ in range(13)]
    clock = Clock(now())
    with Provider("dingtalk", "SEC-not-a-real-one", clock=clock.seconds) as robot:
        os.environ["HEGUI_EGRESS_ALLOW"] = robot.address
        settings.cache_clear()
        ids = []
        for family in ("FAL", "THR"):
            wish = {
                "kind": "dingtalk",
                "url": f"{robot.url}&for={family}",
                "secret": robot.secret,
                "families": [family],
                "window_s": 0,
            }
            answer = client.post("/v1/endpoints", json=wish, headers=lender.auth)
            ids.append(UUID(answer.json()["id"]))
        for decision, findings_ in (("dismiss", made[:5]), ("confirm", made[5:])):
            for finding in findings_:
                review(client, reviewer, str(finding), decision)
            clock.at = max(clock.at, now()) + timedelta(minutes=1)
            for endpoint_id in ids:
                post_digest(lender.id, endpoint_id, clock)
    del os.environ["HEGUI_EGRESS_ALLOW"]
    settings.cache_clear()

    assert robot.refusals == []
    fallen, risen = robot.texts  # the one that asked for threats is not told of lies
    assert "[观察 watch] FAL-01" in fallen
    assert "进入观察期，只提示人工复核 · went under watch and only asks for review" in fallen
    assert "复核准确率 precision: 0% (0%–43%, n=5) · 下限 floor: 80%" in fallen
    assert "/v1/watch" in fallen
    assert "准确率恢复，重新独立判定 · is precise again and decides by itself" in risen
    assert "precision: 100% (57%–100%, n=5)" in risen
    assert not re.search(r"1[3-9]\d{9}|K-\d", fallen + risen)

"""Digests keep to a robot's limit, put critical findings first, and lose none."""

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient

from rules.model import Disposition, Severity
from service.alerts.alert import GIVE_UP_AFTER
from service.alerts.channel import CHANNELS
from service.alerts.routing import Contact, Told, active_endpoints, add_alerts, route
from service.clock import now
from service.config import settings
from service.db import tenant_session
from service.models import (
    AlertRow,
    AlertState,
    DeliveryRow,
    Endpoint,
    EndpointKind,
    FindingRow,
    InteractionRow,
    VerdictRow,
)
from service.packs import load_pack
from tests.conftest import Database
from tests.factories import Lender, Sender, make_agency, make_case, make_sms, post_event
from tests.robots import Clock, Provider
from tests.workers.texts import LAWFUL
from workers.reconcile import reconcile_tenant
from workers.tasks import post_digest

START = datetime(2026, 6, 3, 2, 0, tzinfo=UTC)
NAME, PHONE = "欧阳金丝雀", "+8613900017654"
SECRET = "SEC-not-a-real-one"
PERSONAL = re.compile(r"1[3-9]\d{9}|\d{17}[\dXx]|K-\d|S-\d|" + NAME)


@pytest.fixture
def robot(database: Database) -> Iterator[Provider]:
    limits = CHANNELS[EndpointKind.DINGTALK].limits
    with Provider("dingtalk", SECRET, limits=limits) as running:
        os.environ["HEGUI_EGRESS_ALLOW"] = running.address
        settings.cache_clear()
        yield running
    del os.environ["HEGUI_EGRESS_ALLOW"]
    settings.cache_clear()


def add(client: TestClient, lender: Lender, robot: Provider, **values: Any) -> UUID:
    wish = {"url": robot.url, "kind": robot.kind, "secret": robot.secret or None, **values}
    answer = client.post("/v1/endpoints", json=wish, headers=lender.auth)
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["id"])


def contacts(lender: Lender) -> list[Contact]:
    with tenant_session(lender.id) as session:
        rows = session.exec(
            select(InteractionRow, VerdictRow)
            .join(VerdictRow, col(VerdictRow.id) == col(InteractionRow.verdict_id))
            .order_by(col(InteractionRow.interaction_id))
        ).all()
        return [Contact.of(row, verdict) for row, verdict in rows]


def tell(lender: Lender, contact: Contact, told: list[Told], at: datetime) -> None:
    """As a check does when it stores a verdict."""
    with tenant_session(lender.id) as session:
        endpoints = active_endpoints(session)
        chosen = route(endpoints, contact.agency_id, told)
        add_alerts(session, contact, chosen, endpoints, base_url="https://hegui.example", now=at)


def violation(rule: str, severity: Severity) -> Told:
    return Told(rule, severity, Disposition.VIOLATION)


def alerts(lender: Lender) -> list[AlertRow]:
    with tenant_session(lender.id) as session:
        return list(session.exec(select(AlertRow)))


def make_contacts(
    client: TestClient, lender: Lender, run_jobs: Callable[[], None], count: int
) -> list[Contact]:
    """Lawful messages of several agencies, checked on the real road; they tell nobody anything."""
    agencies = [make_agency(lender, f"示例催收公司{n}") for n in range(5)]
    for number in range(count):
        agency = agencies[number % len(agencies)]
        case_id = f"K-{number}"
        debtor = {"name": NAME, "phones": [PHONE]}
        post_event(client, agency, make_case(case_id=case_id, debtor=debtor))
        post_event(
            client, agency, make_sms(case_id=case_id, interaction_id=f"S-{number:03}", text=LAWFUL)
        )
    run_jobs()
    return contacts(lender)


def test_500_findings_in_a_minute_become_at_most_20_posts_and_none_is_lost(
    client: TestClient, lender: Lender, robot: Provider, run_jobs: Callable[[], None]
) -> None:
    known = make_contacts(client, lender, run_jobs, 25)
    endpoint = add(client, lender, robot)
    rules = [rule.id for rule in load_pack().rules][:20]
    clock = Clock(START)
    robot.clock = clock.seconds
    told = [
        violation(rule, Severity.CRITICAL if number == 7 else Severity.MEDIUM)
        for number, rule in enumerate(rules)
    ]
    last_wait = timedelta()
    for second in range(130):
        clock.at = START + timedelta(seconds=second)
        if second < 50:
            half = slice(0, 10) if second < 25 else slice(10, 20)
            tell(lender, known[second % 25], told[half], clock())
        post_digest(lender.id, endpoint, clock)
        last_wait = max([last_wait, *waits_of_critical(lender, clock())])

    assert robot.refusals == []
    assert 1 < len([at for at in robot.times if at < START.timestamp() + 60]) <= 20
    assert max(sum(0 <= at - first < 60 for at in robot.times) for first in robot.times) <= 20
    assert {row.state for row in alerts(lender)} == {AlertState.DELIVERED.value}
    counts = [int(n) for text in robot.texts for n in re.findall(r"· (\d+) 项 findings", text)]
    assert sum(counts) == sum(row.findings for row in alerts(lender)) == 500
    assert last_wait <= timedelta(seconds=4)
    for text in robot.texts:
        assert not PERSONAL.search(text)
        shown = re.findall(r"^\[\S+ (\w+)\]", text, re.MULTILINE)
        assert shown == sorted(shown, key=lambda each: -Severity(each).rank)


def waits_of_critical(lender: Lender, at: datetime) -> list[timedelta]:
    """How long the critical alerts that are still here have waited."""
    with tenant_session(lender.id) as session:
        times = session.exec(
            select(AlertRow.created_at).where(
                col(AlertRow.severity) == "critical", col(AlertRow.state) == "pending"
            )
        ).all()
    return [at - created for created in times]


def test_one_agency_and_rule_is_one_alert_a_window_and_critical_ones_do_not_wait(
    client: TestClient,
    lender: Lender,
    robot: Provider,
    run_jobs: Callable[[], None],
) -> None:
    known = make_contacts(client, lender, run_jobs, 10)
    endpoint = add(client, lender, robot)
    clock = Clock(START)
    robot.clock = clock.seconds
    for second in range(0, 120, 2):
        clock.at = START + timedelta(seconds=second)
        if second < 20:
            contact = known[second // 2]
            own = [violation("TIM-01", Severity.HIGH)]
            tell(lender, contact, own, clock())
        if second == 10:
            tell(lender, known[0], [violation("THR-02", Severity.CRITICAL)], clock())
        post_digest(lender.id, endpoint, clock)

    lines = [line for text in robot.texts for line in re.findall(r"[A-Z]{3}-\d\d", text)]
    assert lines.count("THR-02") == 1  # its line; one contact's link names no rule
    assert lines.count("TIM-01") == 2 * 5  # a line and a link an agency, for two findings each
    assert round(robot.times[0] - START.timestamp()) == 10
    assert min(robot.times[1:]) >= START.timestamp() + 60


def test_the_road_ends_in_the_group_with_no_word_of_the_debtor(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    robot: Provider,
    run_jobs: Callable[[], None],
) -> None:
    add(client, lender, robot, window_s=0)
    post_event(client, agency, make_case(debtor={"name": NAME, "phones": [PHONE]}))
    night = "2026-06-03T23:30:00+08:00"
    text = f"{NAME}，{PHONE}，明天再联系您"
    post_event(client, agency, make_sms(interaction_id="S-1", started_at=night, text=text))
    run_jobs()

    (posted,) = robot.texts
    assert "TIM-01" in posted
    assert "示例催收公司" in posted
    assert not PERSONAL.search(posted)
    (row,) = [row for row in alerts(lender) if row.rule == "TIM-01"]
    assert f"/v1/interactions/{row.interaction_id}" in posted
    assert not PERSONAL.search(json.dumps([row.payload for row in alerts(lender)]))


def test_a_failing_robot_is_tried_again_and_after_days_switched_off_but_nothing_critical_is_lost(
    client: TestClient,
    lender: Lender,
    robot: Provider,
    run_jobs: Callable[[], None],
) -> None:
    (contact,) = make_contacts(client, lender, run_jobs, 1)
    endpoint = add(client, lender, robot)
    clock = Clock(now())
    with Provider("wecom") as second:
        os.environ["HEGUI_EGRESS_ALLOW"] = f"{robot.address},{second.address}"
        settings.cache_clear()
        other = add(client, lender, second, families=["PRV"])
        store_finding(lender, contact, "THR-02")
        robot.failing = True
        tell(lender, contact, [violation("THR-02", Severity.CRITICAL)], clock())

        assert post_digest(lender.id, endpoint, clock)
        assert not post_digest(lender.id, endpoint, clock)
        (row,) = alerts(lender)
        assert (row.state, row.attempts, row.last_reason) == ("pending", 1, "http_500")
        clock.at += timedelta(seconds=61)
        assert post_digest(lender.id, endpoint, clock)
        clock.at += GIVE_UP_AFTER
        assert post_digest(lender.id, endpoint, clock)
        with tenant_session(lender.id) as session:
            held = session.exec(select(Endpoint).where(col(Endpoint.id) == endpoint)).one()
        assert (held.active, held.disabled_reason) == (False, "nothing was delivered for 5 days")

        assert post_digest(lender.id, other, clock)
        assert "THR-02" in second.texts[0]
        assert "ESCALATED" in second.texts[0]
    assert {(row.endpoint_id, row.state) for row in alerts(lender)} == {
        (endpoint, "dead"),
        (other, "delivered"),
    }
    with tenant_session(lender.id) as session:
        log = session.exec(select(DeliveryRow).order_by(col(DeliveryRow.started_at))).all()
    assert [row.reason for row in log] == ["http_500"] * 3 + ["delivered"]


def store_finding(lender: Lender, contact: Contact, rule: str) -> None:
    """The finding that the alert stands on, as the check stores it."""
    with tenant_session(lender.id) as session:
        session.add(
            FindingRow(
                tenant_id=lender.id,
                verdict_id=contact.verdict_id,
                interaction_id=contact.id,
                agency_id=contact.agency_id,
                position=99,
                rule=rule,
                severity="critical",
                disposition="violation",
                doc={},
                started_at=START,
            )
        )


def test_a_robot_that_asks_to_wait_costs_no_attempt(
    client: TestClient,
    lender: Lender,
    robot: Provider,
    run_jobs: Callable[[], None],
) -> None:
    (contact,) = make_contacts(client, lender, run_jobs, 1)
    endpoint = add(client, lender, robot)
    clock = Clock(START)
    robot.clock, robot.limits = clock.seconds, ((0, 60),)
    tell(lender, contact, [violation("THR-02", Severity.CRITICAL)], clock())

    assert post_digest(lender.id, endpoint, clock)
    (row,) = alerts(lender)
    assert (row.state, row.attempts, row.last_reason) == ("pending", 0, "code_130101")
    robot.limits = ()
    clock.at += timedelta(seconds=599)
    assert not post_digest(lender.id, endpoint, clock)
    clock.at += timedelta(seconds=1)
    assert post_digest(lender.id, endpoint, clock)
    assert [row.state for row in alerts(lender)] == ["delivered"]


def test_a_worker_that_died_with_a_post_is_followed_by_another(
    client: TestClient,
    lender: Lender,
    robot: Provider,
    run_jobs: Callable[[], None],
) -> None:
    (contact,) = make_contacts(client, lender, run_jobs, 1)
    add(client, lender, robot)
    tell(lender, contact, [violation("THR-02", Severity.CRITICAL)], now())
    with tenant_session(lender.id) as session:
        held = session.exec(select(Endpoint)).one()
        held.lease_until, held.delivery_id = now() + timedelta(seconds=30), contact.id
    run_jobs()
    assert robot.texts == []
    assert reconcile_tenant(lender.id, now=now()) == {}

    with tenant_session(lender.id) as session:
        session.exec(select(Endpoint)).one().lease_until = now() - timedelta(seconds=1)
    assert reconcile_tenant(lender.id, now=now()) == {"digest": 1}
    run_jobs()

    assert len(robot.texts) == 1

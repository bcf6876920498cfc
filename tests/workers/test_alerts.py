"""An alert is repeated with patience, and one bad endpoint holds up nobody."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlmodel import col, select
from starlette.testclient import TestClient

from service.alerts.alert import GIVE_UP_AFTER, MAX_ATTEMPTS
from service.clock import now
from service.db import tenant_session
from service.jobs import Job, enqueue
from service.models import AlertRow, AlertState, AuditEntry, Endpoint
from tests.factories import Lender, Sender, make_case, make_sms, post_event
from tests.receiver import Receiver


def send_violations(client: TestClient, agency: Sender, count: int) -> None:
    for number in range(count):
        case_id = f"K-{number}"
        post_event(client, agency, make_case(case_id=case_id))
        night = "2026-06-03T23:30:00+08:00"
        post_event(client, agency, make_sms(case_id=case_id, started_at=night))


def alerts(lender: Lender) -> list[AlertRow]:
    with tenant_session(lender.id) as session:
        return list(session.exec(select(AlertRow).order_by(col(AlertRow.created_at))))


def make_due(lender: Lender) -> None:
    """Let the time of every pending retry come."""
    with tenant_session(lender.id) as session:
        for alert in session.exec(select(AlertRow)):
            if alert.state == AlertState.PENDING.value:
                alert.next_at = now() - timedelta(seconds=1)
                enqueue(session, Job.ALERT, tenant_id=lender.id, subject_id=alert.id)
        for endpoint in session.exec(select(Endpoint)):
            endpoint.paused_until = None


def test_a_failed_alert_is_repeated_under_its_id_until_it_arrives(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    receiver: Receiver,
    endpoint: dict[str, Any],
    run_jobs: Callable[[], None],
) -> None:
    receiver.answer_next(500, 301)
    send_violations(client, agency, 1)
    run_jobs()
    (alert,) = alerts(lender)
    assert (alert.state, alert.attempts, alert.last_status) == ("pending", 1, 500)
    assert timedelta(seconds=3) < alert.next_at - now() < timedelta(seconds=7)

    make_due(lender)
    run_jobs()
    make_due(lender)
    run_jobs()

    (alert,) = alerts(lender)
    assert (alert.state, alert.attempts, alert.last_reason) == ("delivered", 3, "delivered")
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    assert all(request.signed_with(endpoint["secret"]) for request in receiver.requests)


def test_the_last_failure_buries_the_alert_with_its_reason(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    receiver: Receiver,
    endpoint: dict[str, Any],
    run_jobs: Callable[[], None],
) -> None:
    receiver.answer(503)
    send_violations(client, agency, 1)
    run_jobs()
    with tenant_session(lender.id) as session:
        session.exec(select(AlertRow)).one().attempts = MAX_ATTEMPTS - 1
    make_due(lender)
    run_jobs()

    (alert,) = alerts(lender)
    assert (alert.state, alert.attempts) == ("dead", MAX_ATTEMPTS)
    assert alert.last_reason == "gave_up: http_503"
    with tenant_session(lender.id) as session:
        entry = session.exec(select(AuditEntry).where(col(AuditEntry.action) == "alert_died")).one()
    assert entry.details == {"reason": "gave_up: http_503", "attempts": MAX_ATTEMPTS}


def test_gone_switches_the_endpoint_off(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    receiver: Receiver,
    endpoint: dict[str, Any],
    run_jobs: Callable[[], None],
) -> None:
    receiver.answer(410)
    send_violations(client, agency, 1)
    run_jobs()
    send_violations(client, agency, 2)
    run_jobs()

    assert len(receiver.requests) == 1
    assert [alert.last_reason for alert in alerts(lender)] == ["endpoint_gone"]
    with tenant_session(lender.id) as session:
        held = session.exec(select(Endpoint)).one()
    assert not held.active
    assert held.disabled_reason == "the receiver answered 410 Gone"


def test_an_endpoint_that_fails_for_days_is_switched_off(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    receiver: Receiver,
    endpoint: dict[str, Any],
    run_jobs: Callable[[], None],
) -> None:
    receiver.answer(500)
    send_violations(client, agency, 2)
    run_jobs()
    for age, is_active in ((GIVE_UP_AFTER - timedelta(hours=1), True), (GIVE_UP_AFTER, False)):
        with tenant_session(lender.id) as session:
            session.exec(select(Endpoint)).one().failing_since = now() - age
        make_due(lender)
        run_jobs()
        with tenant_session(lender.id) as session:
            held = session.exec(select(Endpoint)).one()
        assert held.active is is_active

    assert held.disabled_reason == "nothing was delivered for 5 days"
    with tenant_session(lender.id) as session:
        entries = session.exec(
            select(AuditEntry).where(col(AuditEntry.action) == "endpoint_disabled")
        ).all()
    assert [entry.details for entry in entries] == [{"reason": "failing"}]
    make_due(lender)
    run_jobs()
    assert {alert.state for alert in alerts(lender)} == {"dead"}


def test_while_an_endpoint_fails_one_alert_tries_it_and_the_others_wait(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    receiver: Receiver,
    endpoint: dict[str, Any],
    run_jobs: Callable[[], None],
) -> None:
    receiver.answer(500)
    send_violations(client, agency, 1)
    run_jobs()
    assert len(receiver.requests) == 1
    with tenant_session(lender.id) as session:  # let the retry lie well beyond this test
        session.exec(select(Endpoint)).one().paused_until = now() + timedelta(seconds=60)
        session.exec(select(AlertRow)).one().next_at = now() + timedelta(seconds=60)

    send_violations(client, agency, 6)
    run_jobs()
    assert len(receiver.requests) == 1

    receiver.answer(204)
    make_due(lender)
    run_jobs()
    make_due(lender)
    run_jobs()
    assert {alert.state for alert in alerts(lender)} == {"delivered"}
    assert len(receiver.requests) == 1 + 7

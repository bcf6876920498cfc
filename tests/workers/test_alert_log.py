"""Alerts are acknowledged, escalated, sent again, recovered and logged."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlmodel import col, select
from starlette.testclient import TestClient

from service.clock import now
from service.db import tenant_session
from service.jobs import Job, enqueue
from service.models import AlertRow, AuditEntry
from tests.conftest import Database
from tests.factories import Lender, Sender, make_case, make_sms, post_event
from tests.receiver import Received, Receiver
from tests.workers.test_fence import forget_jobs
from workers.reconcile import reconcile_tenant

THREAT = "再不还钱，我们今天就上门泼油漆，让你家里人都不得安宁。"


def send_threat(client: TestClient, agency: Sender, number: int = 0) -> None:
    case_id = f"K-{number}"
    post_event(client, agency, make_case(case_id=case_id))
    post_event(client, agency, make_sms(case_id=case_id, text=THREAT))


def add(client: TestClient, lender: Lender, receiver: Receiver, **values: Any) -> dict[str, Any]:
    answer = client.post("/v1/endpoints", json={"url": receiver.url, **values}, headers=lender.auth)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def get(client: TestClient, lender: Lender, path: str) -> list[dict[str, Any]]:
    answer = client.get(path, headers=lender.auth)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def act(client: TestClient, lender: Lender, path: str, body: Any = None) -> dict[str, Any]:
    answer = client.post(path, json=body, headers=lender.auth)
    assert answer.is_success, answer.text
    done: dict[str, Any] = answer.json()
    return done


def let_time_pass(lender: Lender) -> None:
    """Let the time of every escalation come."""
    with tenant_session(lender.id) as session:
        for alert in session.exec(select(AlertRow).where(col(AlertRow.escalate_at).is_not(None))):
            alert.escalate_at = now() - timedelta(seconds=1)
            enqueue(session, Job.ESCALATE, tenant_id=lender.id, subject_id=alert.id)


def signed_by(requests: list[Received], endpoint: dict[str, Any]) -> list[dict[str, Any]]:
    own = [request for request in requests if request.signed_with(endpoint["secret"])]
    return [json.loads(request.body)["data"] for request in own]


def test_a_critical_alert_that_nobody_acknowledges_goes_to_the_second_endpoint(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    receiver: Receiver,
    database: Database,
    run_jobs: Callable[[], None],
) -> None:
    second = add(client, lender, receiver, families=["ZZZ"])
    first = add(client, lender, receiver, escalate_to=second["id"], escalate_after_s=600)
    for number in (0, 1):
        send_threat(client, agency, number)
    run_jobs()
    assert len(signed_by(receiver.requests, first)) == 2
    assert signed_by(receiver.requests, second) == []
    seen, unseen = get(client, lender, f"/v1/alerts?endpoint_id={first['id']}")
    for alert in (seen, unseen):
        after = datetime.fromisoformat(alert["escalate_at"]) - datetime.fromisoformat(
            alert["created_at"]
        )
        assert after == timedelta(seconds=600)

    done = act(client, lender, f"/v1/alerts/{seen['id']}/acknowledge")
    again = act(client, lender, f"/v1/alerts/{seen['id']}/acknowledge")
    assert done["acknowledged_by"] is not None
    assert again == done
    let_time_pass(lender)
    forget_jobs(database, "failed")
    assert reconcile_tenant(lender.id, now=now()) == {"escalate": 1}
    run_jobs()

    (told,) = signed_by(receiver.requests, second)
    assert told["escalated"] is True
    assert told["id"] == unseen["interaction"]
    assert told["severity"] == "critical"
    let_time_pass(lender)
    run_jobs()
    assert len(receiver.requests) == 3
    open_ = get(client, lender, "/v1/alerts?acknowledged=false")
    assert {alert["verdict_id"] for alert in open_} == {unseen["verdict_id"]}
    with tenant_session(lender.id) as session:
        actions = session.exec(
            select(AuditEntry.action)
            .where(col(AuditEntry.action).startswith("alert_"))
            .order_by(col(AuditEntry.seq))
        ).all()
    assert actions == ["alert_acknowledged", "alert_escalated"]


def test_the_log_has_every_attempt_in_pages_and_an_alert_is_sent_again_under_its_id(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    receiver: Receiver,
    run_jobs: Callable[[], None],
) -> None:
    made = add(client, lender, receiver)
    receiver.answer_next(500)
    send_threat(client, agency)
    run_jobs()
    [alert] = get(client, lender, "/v1/alerts?state=pending")
    assert (alert["attempts"], alert["last_reason"]) == (1, "http_500")

    resent = act(client, lender, f"/v1/alerts/{alert['id']}/resend")
    run_jobs()
    assert resent["state"] == "pending"
    [alert] = get(client, lender, "/v1/alerts?state=delivered")
    act(client, lender, f"/v1/alerts/{alert['id']}/resend")
    run_jobs()

    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    first = client.get("/v1/deliveries?limit=2", headers=lender.auth).json()
    rest = client.get(
        f"/v1/deliveries?limit=2&cursor={first['next_cursor']}", headers=lender.auth
    ).json()
    log = [*first["items"], *rest["items"]]
    assert rest["next_cursor"] is None
    assert [row["reason"] for row in log] == ["delivered", "delivered", "http_500"]
    assert {row["endpoint_id"] for row in log} == {made["id"]}
    assert all(row["ended_at"] >= row["started_at"] for row in log)


def test_an_endpoint_recovers_what_it_missed_and_a_rotated_secret_signs_with_the_old_one(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    receiver: Receiver,
    run_jobs: Callable[[], None],
) -> None:
    begun = now().isoformat()
    for number in range(2):
        send_threat(client, agency, number)
    run_jobs()
    assert receiver.requests == []
    made = add(client, lender, receiver)
    path = f"/v1/endpoints/{made['id']}"

    assert act(client, lender, f"{path}/recover", {"since": begun}) == {"alerts": 2}
    run_jobs()
    new = act(client, lender, f"{path}/secret", {})
    assert new["overlap_hours"] == 24
    assert act(client, lender, f"{path}/recover", {"since": begun}) == {"alerts": 2}
    run_jobs()

    ids = [request.headers["webhook-id"] for request in receiver.requests]
    assert (len(ids), len(set(ids))) == (4, 2)
    for request in receiver.requests[2:]:
        assert request.signed_with(new["secret"])
        assert request.signed_with(made["secret"])
    assert not receiver.requests[0].signed_with(new["secret"])
    later = {"since": (now() + timedelta(hours=1)).isoformat()}
    refused = client.post(f"{path}/recover", json=later, headers=lender.auth)
    assert refused.status_code == 422


def test_a_critical_alert_of_an_endpoint_that_is_gone_goes_to_the_others(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    receiver: Receiver,
    run_jobs: Callable[[], None],
) -> None:
    first = add(client, lender, receiver)
    second = add(client, lender, receiver, families=["ZZZ"])
    receiver.answer_next(410)
    send_threat(client, agency)
    run_jobs()

    told = signed_by(receiver.requests, second)
    assert [document["escalated"] for document in told] == [True]
    states = {
        UUID(alert["endpoint_id"]): alert["state"] for alert in get(client, lender, "/v1/alerts")
    }
    assert states == {UUID(first["id"]): "dead", UUID(second["id"]): "delivered"}


def test_what_waits_at_an_endpoint_that_is_removed_is_told_to_the_others_at_once(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    receiver: Receiver,
    run_jobs: Callable[[], None],
) -> None:
    first = add(client, lender, receiver)
    second = add(client, lender, receiver, families=["ZZZ"])
    receiver.answer_next(503, headers={"Retry-After": "3600"})
    send_threat(client, agency)
    run_jobs()
    assert signed_by(receiver.requests, second) == []

    removed = client.delete(f"/v1/endpoints/{first['id']}", headers=lender.auth)
    assert removed.status_code == 204
    run_jobs()

    assert [document["escalated"] for document in signed_by(receiver.requests, second)] == [True]

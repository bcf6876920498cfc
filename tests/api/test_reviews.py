"""Reviewers claim, decide and read again; what the system said stays beside it."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient

from service.db import tenant_session
from service.models import AuditEntry, VerdictRow
from tests.conftest import Database
from tests.factories import Lender, Sender, make_case, make_sms, post_event
from tests.people import (
    act,
    draw_all_twice,
    findings,
    make_quality,
    make_reviewer,
    review,
    send_threat,
)


@pytest.fixture
def threat(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> dict[str, Any]:
    """A contact that the system fails for a threat; its finding."""
    send_threat(client, agency)
    run_jobs()
    found: dict[str, Any] = findings(client, lender.auth, rule="THR-02")[0]
    return found


def queue(client: TestClient, auth: dict[str, str], **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/v1/reviews/queue", params=query, headers=auth)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_a_decision_stands_beside_the_verdict_and_never_in_its_place(
    client: TestClient, lender: Lender, agency: Sender, threat: dict[str, Any]
) -> None:
    reviewer = make_reviewer(lender)
    waiting = [row["finding"]["id"] for row in queue(client, reviewer)]
    assert threat["id"] in waiting

    made = review(client, reviewer, threat["id"], "dismiss")

    (shown,) = (row for row in findings(client, lender.auth) if row["id"] == threat["id"])
    assert (shown["disposition"], shown["rule"]) == ("violation", "THR-02")
    assert (shown["review"]["state"], shown["review"]["reason"]) == ("dismiss", "听了录音")
    assert shown["review"]["decided_by"] == made["decided_by"]
    detail = client.get(f"/v1/interactions/{threat['interaction']}", headers=lender.auth).json()
    assert detail["outcome"] == "fail"
    assert detail["check"] == {"status": "completed", "conclusion": "failure"}
    assert {row["review"] and row["review"]["state"] for row in detail["verdict"]["findings"]} >= {
        "dismiss"
    }
    assert threat["id"] not in [row["finding"]["id"] for row in queue(client, reviewer)]
    (own,) = (row for row in findings(client, agency.auth) if row["id"] == threat["id"])
    assert own["review"]["state"] == "dismiss"
    assert own["review"]["decided_by"] is None
    with tenant_session(lender.id) as session:
        assert session.exec(select(VerdictRow.outcome)).all() == ["fail"]
        entry = session.exec(
            select(AuditEntry).where(col(AuditEntry.action) == "review_decided")
        ).one()
    assert "听了录音" not in str(entry.details)


def test_two_reviewers_never_hold_the_same_finding_and_a_lost_lease_says_the_way_out(
    client: TestClient, lender: Lender, threat: dict[str, Any], database: Database
) -> None:
    first, second = make_reviewer(lender), make_reviewer(lender)
    path = f"/v1/findings/{threat['id']}"
    held = act(client, first, f"{path}/claim")

    refused = act(client, second, f"{path}/claim", expect=409)
    assert (refused["code"], refused["lease_until"]) == (
        "claimed_by_another",
        held["lease_until"].replace("Z", "+00:00"),
    )
    assert threat["id"] not in [row["finding"]["id"] for row in queue(client, second, free=True)]
    wish = {"decision": "confirm", "reason": "确有威胁"}
    lost = act(client, second, f"{path}/review", wish, expect=409)
    assert lost["code"] == "lease_lost"
    assert lost["claim"] == f"POST {path}/claim"

    with psycopg.connect(database.superuser_url, autocommit=True) as door:
        door.execute("update review_item set lease_until = clock_timestamp()")
    assert act(client, second, f"{path}/claim")["attempt"] == held["attempt"] + 1
    assert act(client, first, f"{path}/review", wish, expect=409)["code"] == "lease_lost"
    act(client, second, f"{path}/review", wish, expect=201)
    assert client.delete(f"{path}/claim", headers=first).status_code == 204


def test_the_same_decision_again_changes_nothing_and_another_must_name_what_it_replaces(
    client: TestClient, lender: Lender, threat: dict[str, Any]
) -> None:
    first, second = make_reviewer(lender), make_reviewer(lender)
    path = f"/v1/findings/{threat['id']}"

    made = review(client, first, threat["id"], "confirm")
    again = act(client, first, f"{path}/review", {"decision": "confirm", "reason": "听了录音"})
    assert again == made
    act(client, second, f"{path}/claim")
    other = {"decision": "change", "severity": "low", "reason": "没有那么严重"}
    refused = act(client, second, f"{path}/review", other, expect=409)
    assert (refused["code"], refused["review"]) == ("already_decided", made["id"])
    changed = act(client, second, f"{path}/review", {**other, "revises": made["id"]}, expect=201)

    history = client.get(f"{path}/reviews", headers=lender.auth).json()["items"]
    assert [row["id"] for row in history] == [made["id"], changed["id"]]
    (shown,) = findings(client, lender.auth, rule="THR-02")
    assert (shown["severity"], shown["review"]["severity"]) == ("critical", "low")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"decision": "change"}, "decision"),
        ({"decision": "confirm", "severity": "low"}, "decision"),
        ({"decision": "change", "rule": "ZZZ-99"}, "rule"),
        ({"decision": "change", "severity": "critical"}, "severity"),
        ({"decision": "confirm", "reason": " "}, "reason"),
    ],
)
def test_a_decision_that_contradicts_itself_names_the_field(
    client: TestClient, lender: Lender, threat: dict[str, Any], body: dict[str, Any], field: str
) -> None:
    reviewer = make_reviewer(lender)

    refused = review(client, reviewer, threat["id"], **body, expect=422)

    assert field in {problem["field"] for problem in refused["errors"]}


def test_only_who_it_is_assigned_to_may_take_it(
    client: TestClient, lender: Lender, agency: Sender, threat: dict[str, Any]
) -> None:
    first, second = make_reviewer(lender), make_reviewer(lender)
    path = f"/v1/findings/{threat['id']}"
    mine = act(client, first, f"{path}/claim")
    assert mine["attempt"] == 1
    client.delete(f"{path}/claim", headers=first)
    key_id = second["authorization"].split("_")[2]

    done = client.put(f"{path}/assignment", json={"reviewer": key_id}, headers=lender.auth)
    assert done.status_code == 204, done.text
    refused = act(client, first, f"{path}/claim", expect=409)
    assert refused["code"] == "assigned_to_another"
    assert [row["finding"]["id"] for row in queue(client, second, assigned="me")] == [threat["id"]]
    act(client, second, f"{path}/claim")

    wrong = client.put(f"{path}/assignment", json={"reviewer": "nobody"}, headers=lender.auth)
    assert wrong.status_code == 422
    for auth in (agency.auth, make_quality(lender, agency)):
        assert client.get("/v1/reviews/queue", headers=auth).status_code == 403
        assert client.post(f"{path}/claim", headers=auth).status_code == 403


def test_the_second_reader_does_not_see_what_the_first_one_said(
    client: TestClient, lender: Lender, threat: dict[str, Any]
) -> None:
    first, second = make_reviewer(lender), make_reviewer(lender)
    path = f"/v1/findings/{threat['id']}"
    draw_all_twice(lender)
    review(client, first, threat["id"], "dismiss")

    (shown,) = findings(client, second, rule="THR-02")
    assert (shown["review"]["state"], shown["review"]["reason"]) == ("second_reading", None)
    assert client.get(f"{path}/reviews", headers=second).status_code == 403
    assert client.get(f"{path}/reviews", headers=first).status_code == 200
    waiting = queue(client, second, reading="second", rule="THR-02")
    assert [row["finding"]["id"] for row in waiting] == [threat["id"]]
    assert waiting[0]["finding"]["review"] is None
    assert queue(client, first, reading="second") == []
    own = review(client, first, threat["id"], "confirm", reading="second", expect=409)
    assert own["code"] == "own_reading"
    client.delete(f"{path}/claim", headers=first)

    review(client, second, threat["id"], "confirm", reading="second")

    (shown,) = findings(client, second, rule="THR-02")
    assert shown["review"]["state"] == "dismiss"  # the first decision stands; both are on record
    assert len(client.get(f"{path}/reviews", headers=second).json()["items"]) == 2


def test_a_decision_outlives_a_revision_that_leaves_the_evidence_as_it_was(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> None:
    night = "2026-06-03T22:30:00+08:00"
    post_event(client, agency, make_case())
    post_event(client, agency, make_sms(started_at=night, text="今晚不还清，我们就上门泼油漆。"))
    run_jobs()
    reviewer = make_reviewer(lender)
    by_rule = {row["rule"]: row for row in findings(client, lender.auth)}
    for rule in ("THR-02", "TIM-01"):
        review(client, reviewer, by_rule[rule]["id"], "dismiss")

    consent = {"kind": "contact_hours", "from": "22:00", "to": "23:00", "evidence": "录音 4711"}
    late = make_case(timestamp="2026-06-02T09:00:00+08:00", consents=[consent])
    post_event(client, agency, late)
    run_jobs()

    now = {row["rule"]: row for row in findings(client, lender.auth)}
    assert "TIM-01" not in now
    assert now["THR-02"]["id"] != by_rule["THR-02"]["id"]
    assert now["THR-02"]["review"]["state"] == "dismiss"
    gone = review(client, reviewer, by_rule["TIM-01"]["id"], "confirm", expect=409)
    assert gone["code"] == "finding_superseded"


def test_the_queue_comes_in_pages_the_most_urgent_first(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> None:
    for number in range(4):
        send_threat(client, agency, number, started_at="2026-06-03T23:30:00+08:00")
    run_jobs()
    reviewer = make_reviewer(lender)
    whole = queue(client, reviewer)
    assert len(whole) >= 8
    assert [row["priority"] for row in whole] == sorted(
        (row["priority"] for row in whole), reverse=True
    )

    paged: list[dict[str, Any]] = []
    cursor = None
    while True:
        query = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = client.get("/v1/reviews/queue", params=query, headers=reviewer).json()
        paged += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert paged == whole
    assert {row["finding"]["rule"] for row in queue(client, reviewer, rule="TIM-01")} == {"TIM-01"}
    for cursor in ("e30", "WzFd", "xx"):
        bad = client.get("/v1/reviews/queue", params={"cursor": cursor}, headers=reviewer)
        assert bad.status_code == 422


def test_the_policy_is_kept_by_revision_and_refuses_nonsense(
    client: TestClient, lender: Lender
) -> None:
    assert client.get("/v1/reviews/policy", headers=lender.auth).json()["revision"] == 0

    made = client.put(
        "/v1/reviews/policy",
        json={"dispute_days": 7, "floors": {"THR-02": 0.9}},
        headers=lender.auth,
    )

    assert made.json() == client.get("/v1/reviews/policy", headers=lender.auth).json()
    assert (made.json()["revision"], made.json()["policy"]["dispute_days"]) == (1, 7)
    for body in ({"floor": 2}, {"minimum": 300, "window": 200}, {"floors": {"x": 1}}, {"d": 1}):
        refused = client.put("/v1/reviews/policy", json=body, headers=lender.auth)
        assert refused.status_code == 422, body

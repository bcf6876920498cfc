"""What each caller can read: lists, filters, pages, details, and nobody else's."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from service.db import tenant_session
from service.models import AuditEntry
from tests.factories import (
    Lender,
    Sender,
    make_agency,
    make_call,
    make_case,
    make_regulator,
    make_sms,
    make_tenant,
    post_event,
)

NIGHT = "2026-06-03T23:30:00+08:00"
DAY = "2026-06-04T11:00:00+08:00"


@pytest.fixture
def checked(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> dict[str, Any]:
    """A night-time dial that fails and a lawful one, checked; their rows by the agency's id."""
    other = make_agency(lender, "另一家")
    assert post_event(client, agency, make_case()).status_code == 202
    for sender, name, start in ((agency, "N-1", NIGHT), (agency, "D-1", DAY), (other, "O-1", DAY)):
        call = make_call(
            interaction_id=name, started_at=start, outcome="no_answer", talk_seconds=None
        )
        assert post_event(client, sender, call).status_code == 202
    run_jobs()
    items = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    return {item["interaction_id"]: item for item in items}


def ids(client: TestClient, auth: dict[str, str], query: str = "") -> list[str]:
    answer = client.get(f"/v1/interactions{query}", headers=auth)
    assert answer.status_code == 200, answer.text
    return [item["interaction_id"] for item in answer.json()["items"]]


def test_filters_narrow_the_list(
    client: TestClient, lender: Lender, agency: Sender, checked: dict[str, Any]
) -> None:
    assert set(ids(client, lender.auth)) == {"N-1", "D-1", "O-1"}
    assert ids(client, lender.auth, "?outcome=fail") == ["N-1"]
    assert ids(client, lender.auth, "?rule=TIM-01") == ["N-1"]
    assert ids(client, lender.auth, "?rule=THR-01") == []
    assert set(ids(client, lender.auth, f"?agency_id={agency.id}")) == {"N-1", "D-1"}
    assert ids(client, lender.auth, "?case_id=K-2") == []
    assert ids(client, lender.auth, "?to=2026-06-04T00:00:00%2B08:00") == ["N-1"]
    assert set(ids(client, lender.auth, "?from=2026-06-04T00:00:00%2B08:00")) == {"D-1", "O-1"}


def test_pages_join_without_gap_or_repeat(
    client: TestClient, lender: Lender, checked: dict[str, Any]
) -> None:
    seen, cursor = [], ""
    for _ in range(5):
        page = client.get(f"/v1/interactions?limit=1{cursor}", headers=lender.auth).json()
        seen += [item["interaction_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert sorted(seen) == sorted(checked)
    assert seen[-1] == "N-1"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?cursor=!!", "cursor"),
        ("?cursor=WzEsMl0", "cursor"),
        ("?limit=0", "limit"),
        ("?outcome=good", "outcome"),
        ("?from=2026-06-04T00:00:00", "from"),
        ("?agency_id=1", "agency_id"),
        ("?rule=nonsense", "rule"),
    ],
)
def test_a_wrong_parameter_is_named(
    client: TestClient, lender: Lender, query: str, field: str
) -> None:
    answer = client.get(f"/v1/interactions{query}", headers=lender.auth)

    assert answer.status_code == 422
    assert [problem["field"] for problem in answer.json()["errors"]] == [field]


def test_findings_carry_their_evidence(
    client: TestClient, lender: Lender, checked: dict[str, Any]
) -> None:
    (item,) = client.get("/v1/findings?rule=TIM-01", headers=lender.auth).json()["items"]

    assert item["interaction"] == checked["N-1"]["id"]
    assert item["severity"] == "high"
    assert item["evidence"]["articles"]
    assert item["evidence"]["facts"]
    assert client.get("/v1/findings?severity=low", headers=lender.auth).json()["items"] == []


def test_an_interaction_shows_its_verdict_and_its_revisions(
    client: TestClient, lender: Lender, checked: dict[str, Any]
) -> None:
    path = f"/v1/interactions/{checked['N-1']['id']}"

    found = client.get(path, headers=lender.auth).json()
    revisions = client.get(f"{path}/verdicts", headers=lender.auth).json()["items"]

    assert found["state"] == "checked"
    assert found["verdict"]["outcome"] == "fail"
    assert found["verdict"]["pack_digest"]
    assert [revision["revision"] for revision in revisions] == [1]
    assert client.get(f"{path}/transcript", headers=lender.auth).status_code == 404


def test_a_given_transcript_can_be_read(client: TestClient, lender: Lender, agency: Sender) -> None:
    words = [{"speaker": "collector", "start": 0.0, "end": 2.0, "text": "您好，这里是示例银行。"}]
    assert post_event(client, agency, make_call(transcript=words)).status_code == 202
    (item,) = client.get("/v1/interactions", headers=lender.auth).json()["items"]

    answer = client.get(f"/v1/interactions/{item['id']}/transcript", headers=lender.auth)

    assert answer.json()["engine"] is None
    assert [segment["text"] for segment in answer.json()["segments"]] == [words[0]["text"]]


def test_an_agency_sees_its_own_and_no_other(
    client: TestClient, agency: Sender, checked: dict[str, Any]
) -> None:
    assert set(ids(client, agency.auth)) == {"N-1", "D-1"}
    foreign = client.get(f"/v1/interactions/{checked['O-1']['id']}", headers=agency.auth)
    unknown = client.get(f"/v1/interactions/{uuid4()}", headers=agency.auth)

    assert foreign.status_code == unknown.status_code == 404
    assert foreign.content == unknown.content
    assert len(client.get("/v1/agencies", headers=agency.auth).json()["items"]) == 1


def test_another_lender_gets_404_on_every_read_route(
    client: TestClient, agency: Sender, checked: dict[str, Any]
) -> None:
    stranger = make_tenant("别家银行")
    key = checked["N-1"]["id"]
    period = "from=2026-06-01&to=2026-06-30"

    for path in (
        f"/v1/interactions/{key}",
        f"/v1/interactions/{key}/verdicts",
        f"/v1/interactions/{key}/transcript",
        f"/v1/reports/agencies/{agency.id}?{period}",
    ):
        assert client.get(path, headers=stranger.auth).status_code == 404, path
        assert client.get(path).status_code == 401, path
    assert ids(client, stranger.auth) == []
    assert client.get("/v1/findings", headers=stranger.auth).json()["items"] == []
    assert client.get("/v1/agencies", headers=stranger.auth).json()["items"] == []


def test_a_regulator_reads_its_period_only_and_leaves_a_trace(
    client: TestClient, lender: Lender, agency: Sender, checked: dict[str, Any]
) -> None:
    key = make_regulator(
        lender,
        period_from=datetime.fromisoformat("2026-06-04T00:00:00+08:00"),
        period_to=datetime.fromisoformat("2026-07-01T00:00:00+08:00"),
    )
    auth = {"authorization": f"Bearer {key.token}"}

    assert set(ids(client, auth)) == {"D-1", "O-1"}
    assert client.get(f"/v1/interactions/{checked['N-1']['id']}", headers=auth).status_code == 404
    path = f"/v1/reports/agencies/{agency.id}"
    assert client.get(f"{path}?from=2026-06-03&to=2026-06-04", headers=auth).status_code == 403
    assert client.get(f"{path}?from=2026-06-04&to=2026-06-05", headers=auth).status_code == 200
    assert client.post("/v1/agencies", json={"name": "x"}, headers=auth).status_code == 403
    with tenant_session(lender.id) as session:
        entries = session.exec(
            select(AuditEntry).where(AuditEntry.action == "regulator_read")
        ).all()
    assert {entry.actor for entry in entries} == {key.key_id}
    assert "/v1/interactions" in {entry.details["route"] for entry in entries}


def test_messages_are_listed_like_calls(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> None:
    assert post_event(client, agency, make_sms(started_at=NIGHT)).status_code == 202
    run_jobs()

    (item,) = client.get("/v1/interactions?outcome=fail", headers=lender.auth).json()["items"]

    assert item["channel"] == "sms"


def test_the_age_of_the_reconcile_step_is_measured(
    client: TestClient, lender: Lender, run_jobs: Callable[[], None]
) -> None:
    from workers.reconcile import reconcile

    reconcile(0)

    (line,) = [
        line
        for line in client.get("/metrics").text.splitlines()
        if line.startswith("hegui_heartbeat_age_seconds{")
    ]
    assert 'step="reconcile"' in line
    assert 0 <= float(line.rsplit(" ", 1)[1]) < 60

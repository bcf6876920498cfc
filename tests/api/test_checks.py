"""Checks that sum up a manifest or a campaign: what is missing, unfinished, or not listed."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from starlette.testclient import TestClient

from tests.conftest import Database
from tests.factories import Lender, Sender, make_agency, make_case, make_sms, post_event

THREAT = "今晚不还清，我们就上门泼油漆。"
DIAL = {"channel": "call", "outcome": "no_answer", "text": None}
CALLS = "call_id,started_at,answered,talk_seconds,party_number\n{},2026-06-03T10:12:00+08:00,1,9,\n"


def send(client: TestClient, agency: Sender, name: str, **data: Any) -> None:
    assert post_event(client, agency, make_sms(interaction_id=name, **data)).status_code == 202


def put(client: TestClient, agency: Sender, names: list[str], **more: Any) -> Any:
    """Send a manifest; `body` and `kind` replace the plain list of ids."""
    body = more.pop("body", "interaction_id\n" + "".join(f"{name}\n" for name in names)).encode()
    headers = {**agency.auth, "content-type": more.pop("kind", "text/csv")}
    params = {"name": "夜班", "sha256": hashlib.sha256(body).hexdigest(), **more}
    return client.post("/v1/manifests", params=params, content=body, headers=headers)


def check(client: TestClient, auth: dict[str, str], path: str) -> dict[str, Any]:
    answer = client.get(f"/v1/checks/{path}", headers=auth)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def stages(client: TestClient, auth: dict[str, str], manifest: str, query: str = "") -> Any:
    answer = client.get(f"/v1/manifests/{manifest}/interactions?{query}", headers=auth)
    assert answer.status_code == 200, answer.text
    return {row["interaction_id"]: row["stage"] for row in answer.json()["items"]}


def pass_due(database: Database) -> None:
    """Let the time pass in which what is listed may still come."""
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute("update upload_manifest set due_at = now() - interval '1 second'")


def test_a_manifest_is_in_progress_until_all_came_and_then_says_the_worst(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    database: Database,
    run_jobs: Callable[[], None],
) -> None:
    send(client, agency, "S-1", **DIAL)
    made = put(client, agency, ["S-1", "S-2", "S-3"], rows=3)
    assert made.status_code == 201, made.text
    manifest = made.json()["id"]
    waiting = check(client, lender.auth, f"manifests/{manifest}")
    assert (waiting["status"], waiting["conclusion"]) == ("in_progress", None)
    assert (waiting["listed"], waiting["pending"], waiting["missing"]) == (3, 1, 2)

    post_event(client, agency, make_case())
    send(client, agency, "S-2", **DIAL)
    run_jobs()
    assert stages(client, agency.auth, manifest) == {
        "S-1": "checked", "S-2": "checked", "S-3": "missing",
    }  # fmt: skip
    assert stages(client, agency.auth, manifest, "stage=missing") == {"S-3": "missing"}
    assert check(client, agency.auth, f"manifests/{manifest}")["status"] == "in_progress"

    pass_due(database)
    late = check(client, lender.auth, f"manifests/{manifest}")
    assert (late["status"], late["conclusion"]) == ("completed", "action_required")
    assert (late["outcomes"]["pass"], late["missing"]) == (2, 1)

    send(client, agency, "S-3", text=THREAT)
    run_jobs()
    whole = check(client, lender.auth, f"manifests/{manifest}")
    assert (whole["conclusion"], whole["missing"]) == ("failure", 0)
    assert {row["rule"] for row in whole["rules"]} >= {"THR-02"}
    assert whole["violations"]["critical"] >= 1


def test_a_campaign_sums_up_the_contacts_of_all_its_agencies_and_manifests(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    database: Database,
    run_jobs: Callable[[], None],
) -> None:
    sibling = make_agency(lender, "另一家")
    post_event(client, agency, make_case())
    post_event(client, sibling, make_case(case_id="K-2"))
    send(client, agency, "S-1", campaign="2026-春", **DIAL)
    send(client, agency, "S-2", **DIAL)
    send(client, agency, "S-9", case_id="K-3", text=THREAT)
    send(client, sibling, "S-1", case_id="K-2", campaign="2026-春", text=THREAT)
    listed = put(client, agency, ["S-2", "S-404"], campaign="2026-春")
    put(client, agency, ["S-404"], campaign="2026-春", name="再一份")
    run_jobs()
    pass_due(database)

    whole = check(client, lender.auth, "campaigns/2026-春")
    own = check(client, agency.auth, "campaigns/2026-春")
    narrowed = check(client, lender.auth, f"campaigns/2026-春?agency_id={sibling.id}")

    assert whole["interactions"] == 3
    assert (whole["conclusion"], whole["missing"], whole["manifests"]) == ("failure", 1, 2)
    assert {row["name"] for row in whole["agencies"]} == {"示例催收公司", "另一家"}
    assert (own["interactions"], own["conclusion"]) == (2, "action_required")
    assert (narrowed["interactions"], narrowed["missing"]) == (1, 0)
    by_manifest = check(client, lender.auth, f"manifests/{listed.json()['id']}")
    assert (by_manifest["listed"], by_manifest["unlisted"]) == (2, 1)
    for path, count in (
        ("interactions?campaign=2026-春", 3),
        (f"interactions?manifest={listed.json()['id']}", 1),
        ("findings?campaign=2026-春&rule=THR-02", 1),
        (f"findings?manifest={listed.json()['id']}&rule=THR-02", 0),
    ):
        found = client.get(f"/v1/{path}", headers=lender.auth).json()["items"]
        assert len(found) == count, path
    (shown,) = client.get(
        f"/v1/interactions?manifest={listed.json()['id']}", headers=lender.auth
    ).json()["items"]
    detail = client.get(f"/v1/interactions/{shown['id']}", headers=lender.auth).json()
    assert detail["campaign"] is None


def test_a_later_event_moves_a_contact_to_another_campaign(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    later = "2026-06-04T11:00:00+08:00"
    send(client, agency, "S-1", campaign="A")
    send(client, agency, "S-1", campaign="B", timestamp=later)

    assert client.get("/v1/checks/campaigns/A", headers=lender.auth).status_code == 404
    assert check(client, lender.auth, "campaigns/B")["pending"] == 1


@pytest.mark.parametrize("campaign", ["", "a b", "a/b", "..", "x" * 129, 7, ["A"]])
def test_a_campaign_that_cannot_stand_in_an_address_is_refused_by_name(
    client: TestClient, agency: Sender, campaign: Any
) -> None:
    answer = post_event(client, agency, make_sms(campaign=campaign))

    assert answer.status_code == 422
    assert [row["field"] for row in answer.json()["errors"]] == ["data.campaign"]


def test_the_same_manifest_again_is_the_one_that_is_here(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    first = put(client, agency, ["S-1"], due_at="2099-01-01T00:00:00Z")
    again = put(client, agency, ["S-1"], due_at="2026-01-01T00:00:00Z")
    other = put(client, agency, ["S-1", "S-2"])

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 201)
    assert again.json() == first.json()
    assert other.json()["id"] != first.json()["id"]
    page = client.get("/v1/manifests?name=夜班&limit=1", headers=lender.auth).json()
    assert [row["id"] for row in page["items"]] == [other.json()["id"]]
    rest = client.get(f"/v1/manifests?cursor={page['next_cursor']}", headers=lender.auth).json()
    assert [row["id"] for row in rest["items"]] == [first.json()["id"]]
    due = datetime.fromisoformat(other.json()["due_at"])
    assert timedelta(hours=23) < due - datetime.now(UTC) < timedelta(hours=25)


def test_the_contacts_of_a_manifest_are_read_in_pages(client: TestClient, agency: Sender) -> None:
    names = [f"S-{number}" for number in range(5)]
    manifest = put(client, agency, names).json()["id"]

    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        path = f"/v1/manifests/{manifest}/interactions?limit=2&after={after}"
        page = client.get(path, headers=agency.auth).json()
        seen += [row["interaction_id"] for row in page["items"]]
        after = page["next_after"]
    assert seen == names


def test_a_list_of_calls_is_a_manifest_as_it_is_and_so_are_json_lines(
    client: TestClient, agency: Sender
) -> None:
    calls = put(client, agency, [], body=CALLS.format("C-1"), rows=1)
    lines = put(client, agency, [], body='{"interaction_id": "S-1"}\n', kind="application/jsonl")

    assert stages(client, agency.auth, calls.json()["id"]) == {"C-1": "missing"}
    assert stages(client, agency.auth, lines.json()["id"]) == {"S-1": "missing"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"body": "name\nS-1\n"}, "row 1, call_id"),
        ({"body": "interaction_id\nS-1\nS-1\n"}, "row 3, call_id"),
        ({"body": "interaction_id\n=1+1\n"}, "row 2, call_id"),
        ({"rows": 2}, "rows"),
        ({"sha256": "0" * 64}, "sha256"),
        ({"due_at": "2026-01-01T00:00:00Z"}, "due_at"),
        ({"due_at": "2026-01-01T00:00:00"}, "due_at"),
        ({"campaign": "a/b"}, "campaign"),
        ({"name": ""}, "name"),
    ],
)
def test_a_manifest_that_does_not_hold_is_refused_whole(
    client: TestClient, lender: Lender, agency: Sender, change: dict[str, Any], field: str
) -> None:
    answer = put(client, agency, ["S-1"], **change)

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field
    assert client.get("/v1/manifests", headers=lender.auth).json()["items"] == []


def test_a_check_of_what_is_not_there_is_a_404(client: TestClient, lender: Lender) -> None:
    for path in (f"manifests/{uuid4()}", "campaigns/none"):
        assert client.get(f"/v1/checks/{path}", headers=lender.auth).status_code == 404

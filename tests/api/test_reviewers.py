"""A reviewer is a person: with several keys one neither reads twice nor judges the own decision."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from starlette.testclient import TestClient

from service.models import Scope
from tests.conftest import Database
from tests.factories import Lender, Sender, make_key
from tests.people import (
    Auth,
    act,
    draw_all_twice,
    findings,
    make_person,
    make_quality,
    make_reviewer,
    make_reviewer_key,
    review,
    send_threat,
)

Keys = tuple[Auth, Auth]


@pytest.fixture
def finding(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> str:
    send_threat(client, agency)
    run_jobs()
    return str(findings(client, lender.auth, rule="THR-02")[0]["id"])


@pytest.fixture
def two_keys(lender: Lender) -> Keys:
    """Two keys of one person."""
    person = make_person(lender)
    return make_reviewer_key(lender, person), make_reviewer_key(lender, person)


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_what_one_key_of_a_person_holds_the_other_holds_too(
    client: TestClient, lender: Lender, finding: str, two_keys: Keys
) -> None:
    one, other = two_keys
    stranger = make_reviewer(lender)
    path = f"/v1/findings/{finding}"

    first = act(client, one, f"{path}/claim")
    assert act(client, other, f"{path}/claim")["attempt"] == first["attempt"]
    assert code(client.post(f"{path}/claim", headers=stranger)) == (409, "claimed_by_another")
    body = {"decision": "confirm", "reason": "听了录音"}
    decided = act(client, other, f"{path}/review", body, expect=201)
    act(client, one, f"{path}/review", body, expect=200)  # the same person's same decision

    handle = decided["decided_by"]
    assert handle.startswith("pn_")
    (entry,) = client.get("/v1/audit?action=review_decided", headers=lender.auth).json()["items"]
    assert entry["actor"] == other["authorization"].split("_")[2]
    assert entry["details"]["person"] == handle


def test_nobody_reads_blindly_what_another_own_key_decided(
    client: TestClient, lender: Lender, finding: str, two_keys: Keys
) -> None:
    draw_all_twice(lender)
    one, other = two_keys
    stranger = make_reviewer(lender)
    review(client, one, finding, "confirm")

    waits = {
        name: finding in {row["finding"]["id"] for row in _second(client, auth)}
        for name, auth in (("own", other), ("stranger", stranger))
    }
    assert waits == {"own": False, "stranger": True}
    body = {"decision": "dismiss", "reason": "再听一次", "reading": "second"}
    act(client, other, f"/v1/findings/{finding}/claim")
    refused = client.post(f"/v1/findings/{finding}/review", json=body, headers=other)
    assert code(refused) == (409, "own_reading")
    shown = findings(client, other, rule="THR-02")[0]["review"]["state"]
    assert shown == "confirm"  # the own decision is no secret
    client.delete(f"/v1/findings/{finding}/claim", headers=other)
    review(client, stranger, finding, "dismiss", reading="second")

    agreed = client.get(
        "/v1/reviews/agreement?from=2026-01-01T00:00:00Z", headers=lender.auth
    ).json()
    assert len(agreed["by_reviewer"]) == 2
    assert agreed["all"]["pairs"] == 1


def _second(client: TestClient, auth: Auth) -> list[Any]:
    items: list[Any] = client.get("/v1/reviews/queue?reading=second", headers=auth).json()["items"]
    return items


def test_a_sampled_contact_is_read_by_two_people(
    client: TestClient, lender: Lender, finding: str, two_keys: Keys
) -> None:
    sample = draw_all_twice(lender)
    contact = findings(client, lender.auth, rule="THR-02")[0]["interaction"]
    path = f"/v1/reviews/samples/{sample}/items/{contact}"
    one, other = two_keys
    body = {"missed": [], "reason": "听了录音"}

    act(client, one, f"{path}/claim", {})
    act(client, one, f"{path}/reading", body, expect=201)
    act(client, other, f"{path}/claim", {"reading": "second"})
    again = client.post(f"{path}/reading", json={**body, "reading": "second"}, headers=other)

    assert code(again) == (409, "own_reading")


def test_nobody_judges_what_another_own_key_decided(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    finding: str,
    two_keys: Keys,
    database: Database,
) -> None:
    one, other = two_keys
    review(client, one, finding, "confirm")
    text = {"text": "这是借款人自己的话，催收员只是复述，请听录音。"}
    quality = make_quality(lender, agency)
    dispute = act(client, quality, f"/v1/findings/{finding}/disputes", text, expect=201)["id"]
    judgement = {"upheld": False, "reason": "录音里听得见"}

    own = client.post(f"/v1/disputes/{dispute}/judgement", json=judgement, headers=other)
    assert code(own) == (409, "own_decision")
    with (
        psycopg.connect(database.superuser_url) as connection,
        pytest.raises(psycopg.Error, match="own decision"),
    ):
        connection.execute(
            "update dispute set state = 'rejected', decided_by ="
            " (select decided_by from review limit 1) where id = %s",
            (UUID(dispute),),
        )
    act(client, make_reviewer(lender), f"/v1/disputes/{dispute}/judgement", judgement, expect=201)


def test_a_finding_is_assigned_to_a_person_and_any_of_their_keys_takes_it(
    client: TestClient, lender: Lender, finding: str
) -> None:
    person = make_person(lender)
    one, other = (make_reviewer_key(lender, person) for _ in range(2))
    path = f"/v1/findings/{finding}"

    for name in (person.handle, one["authorization"].split("_")[2]):
        done = client.put(f"{path}/assignment", json={"reviewer": name}, headers=lender.auth)
        assert done.status_code == 204, done.text
        mine = client.get("/v1/reviews/queue?assigned=me", headers=other).json()["items"]
        assert [row["assigned_to"] for row in mine] == [person.handle]
    refused = client.post(f"{path}/claim", headers=make_reviewer(lender))
    assert code(refused) == (409, "assigned_to_another")
    act(client, other, f"{path}/claim")
    viewer = make_key(lender, scope=Scope.READ).key_id
    wrong = client.put(f"{path}/assignment", json={"reviewer": viewer}, headers=lender.auth)
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["field"] == "reviewer"


def test_a_rotated_key_is_the_same_reviewer(
    client: TestClient, lender: Lender, finding: str
) -> None:
    draw_all_twice(lender)
    first = make_key(lender, scope=Scope.REVIEW)
    review(client, {"authorization": f"Bearer {first.token}"}, finding, "confirm")
    made = client.post(f"/v1/keys/{first.id}/rotate", json={}, headers=lender.auth).json()
    rotated = {"authorization": f"Bearer {made['key']}"}

    body = {"decision": "confirm", "reason": "再听一次", "reading": "second"}
    act(client, rotated, f"/v1/findings/{finding}/claim")
    again = client.post(f"/v1/findings/{finding}/review", json=body, headers=rotated)
    assert code(again) == (409, "own_reading")

"""A person learns what is held of them, has it corrected, and erased once nothing keeps it."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from service.db import tenant_session
from service.models import AuditEntry, Scope
from tests.conftest import Database
from tests.factories import (
    Lender,
    Sender,
    make_call,
    make_case,
    make_key,
    make_recording,
    make_sms,
    post_event,
    put_recording,
)
from tests.people import act, findings, make_quality, make_reviewer, review

NAME, PHONE, FRIEND, FRIENDS_PHONE = "欧阳金丝雀", "+8613900017654", "皇甫信鸽", "+8613700026543"
WORDS = f"{NAME}，再不还钱我们就上门泼油漆"
AUDIO = b"RIFF no sound at all" * 40
FILE = "附件：录音摘要".encode() * 50


@pytest.fixture
def told(client: TestClient, agency: Sender, run_jobs: Callable[[], None]) -> None:
    """Two cases long past: one that the person owes, one where their number is a contact."""
    mine = {"party": {"role": "debtor", "phone": PHONE}}
    old = {"started_at": "2023-06-03T11:00:00+08:00", "timestamp": "2023-06-03T11:00:00+08:00"}
    talk = [{"speaker": "collector", "start": 0.0, "end": 4.0, "text": WORDS}]
    events = [
        make_case(
            debtor={"name": NAME, "phones": [PHONE]},
            contacts=[{"phone": FRIENDS_PHONE, "relation": "朋友", "name": FRIEND}],
        ),
        make_call(interaction_id="C-1", transcript=talk, **mine, **old),
        make_sms(interaction_id="S-1", text=WORDS, **mine, **old),
        make_sms(
            interaction_id="S-2",
            text="请转告",
            party={"role": "agreed_contact", "phone": FRIENDS_PHONE},
            **old,
        ),
        make_case(
            case_id="K-2",
            debtor={"name": "别人", "phones": ["+8613600000009"]},
            contacts=[{"phone": PHONE, "relation": "同事", "name": NAME}],
        ),
    ]  # fmt: skip
    for event in events:
        assert post_event(client, agency, event).status_code == 202
    run_jobs()


def ask(client: TestClient, lender: Lender, act: str, **body: Any) -> Any:
    return client.post(f"/v1/subjects/{act}", json=body, headers=lender.auth)


def is_whole(document: dict[str, Any]) -> bool:
    """Whether the receipt's digest is that of its other fields."""
    rest = {key: value for key, value in document.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return bool(hashlib.sha256(text.encode()).hexdigest() == document["digest"])


@pytest.mark.asvs("14.2.6")
def test_access_and_export_give_all_of_ones_own_case_and_of_others_only_ones_part(
    client: TestClient, lender: Lender, told: None
) -> None:
    access = ask(client, lender, "access", phone="139 0001 7654").json()
    export = ask(client, lender, "export", phone=PHONE).json()

    assert is_whole(access)
    assert is_whole(export)
    own, other = export["cases"]
    assert (own["case_id"], own["roles"]) == ("K-1", ["debtor", "party"])
    assert [event["type"] for event in own["events"]].count("interaction.completed") == 3
    assert own["events"][-1]["data"]["debtor"] == {"name": NAME, "phones": [PHONE]}
    assert any(contact["findings"] for contact in own["contacts"])
    assert (other["case_id"], other["roles"]) == ("K-2", ["contact"])
    assert other["events"][0]["data"] == {
        "case_id": "K-2",
        "contacts": [{"phone": PHONE, "relation": "同事", "name": NAME}],
    }
    assert "别人" not in str(export)
    assert [(row["case_id"], row["events"]) for row in access["cases"]] == [("K-1", 4), ("K-2", 1)]
    assert NAME not in str(access)
    friend = ask(client, lender, "export", phone=FRIENDS_PHONE).json()
    assert [contact["interaction_id"] for contact in friend["cases"][0]["contacts"]] == ["S-2"]
    assert NAME not in str(friend)


def test_only_an_administrator_asks_and_only_of_its_own_lender(
    client: TestClient, lender: Lender, agency: Sender, told: None
) -> None:
    reviewer = make_key(lender, scope=Scope.REVIEW).token
    for right in ("access", "export", "erasure"):
        for auth in (f"Bearer {reviewer}", agency.auth["authorization"]):
            answer = client.post(
                f"/v1/subjects/{right}", json={"phone": PHONE}, headers={"authorization": auth}
            )
            assert answer.status_code == 403
    assert ask(client, lender, "access", phone="+8613800009999").status_code == 404
    assert ask(client, lender, "access", phone="not a number").status_code == 422
    assert ask(client, lender, "access").status_code == 422


def test_a_correction_is_a_new_event_and_the_old_one_stays(
    client: TestClient, lender: Lender, told: None, run_jobs: Callable[[], None]
) -> None:
    right = {"debtor": {"name": "欧阳金丝"}, "balance": "12.00"}

    receipt = ask(client, lender, "correction", case_id="K-1", fields=right).json()

    assert is_whole(receipt)
    assert receipt["fields"] == ["balance", "debtor"]
    events = ask(client, lender, "export", case_id="K-1").json()["cases"][0]["events"]
    cases = [event["data"] for event in events if event["type"] == "case.upserted"]
    assert [case["debtor"]["name"] for case in cases] == [NAME, "欧阳金丝"]
    assert cases[1]["debtor"]["phones"] == [PHONE]
    wrong = ask(client, lender, "correction", case_id="K-1", fields={"product": "x", "debtor": {}})
    assert wrong.status_code == 422
    assert [row["field"] for row in wrong.json()["errors"]] == ["product"]
    odd = ask(client, lender, "correction", case_id="K-1", fields={"debtor": {"phones": ["1"]}})
    assert odd.status_code == 422


@pytest.mark.asvs("14.2.7")
def test_erasure_takes_all_that_names_the_person_and_leaves_a_receipt(
    database: Database, client: TestClient, lender: Lender, told: None
) -> None:
    found = ask(client, lender, "erasure", phone=PHONE)

    assert found.status_code == 200, found.text
    receipt = found.json()
    assert is_whole(receipt)
    (erased,) = receipt["erased"]
    assert (erased["case_id"], erased["events"]) == ("K-1", 4)
    assert erased["findings"] >= 1
    with psycopg.connect(database.superuser_url) as connection:
        held = str(
            connection.execute(
                "select (select json_agg(e.body) from event e where case_id = 'K-1'),"
                " (select json_agg(f.doc) from finding f), (select json_agg(t) from transcript t),"
                " (select count(*) from event where case_id = 'K-1' and sealed is not null)"
            ).fetchone()
        )
    for mark in (NAME, PHONE, "泼油漆", "请转告", FRIEND):
        assert mark not in held
    with tenant_session(lender.id) as session:
        entries = {row.action: row for row in session.exec(select(AuditEntry))}
    assert entries["subject_erased"].details["digest"] == receipt["digest"]
    for mark in (NAME, PHONE[3:], FRIEND):
        assert mark not in str([row.model_dump() for row in entries.values()])
    # What is left is a count without a person, and the other case, where they owe nothing.
    items = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    assert {item["outcome"] for item in items} >= {"fail"}
    assert [
        case["case_id"] for case in ask(client, lender, "export", phone=PHONE).json()["cases"]
    ] == ["K-2"]
    again = ask(client, lender, "erasure", phone=PHONE)
    assert (again.status_code, again.json()["code"]) == (409, "not_the_debtor")


def _purge(database: Database, *names: str) -> None:
    """Mark recordings as a purge run of long ago does."""
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(
            "update recording set purged_at = now() where sha256 = any(%s)", (list(names),)
        )


@pytest.mark.asvs("14.2.7")
def test_erasure_takes_what_people_wrote_and_their_files_and_leaves_what_they_decided(
    database: Database, client: TestClient, lender: Lender, agency: Sender, told: None
) -> None:
    reviewer, judge = make_reviewer(lender), make_reviewer(lender)
    quality = make_quality(lender, agency)
    accused = [row for row in findings(client, lender.auth) if row["rule"] == "THR-02"]
    reviewed, disputed = accused[0]["id"], accused[1]["id"]
    review(client, reviewer, reviewed, "confirm", reason=f"{NAME}听见了")
    path = f"/v1/findings/{disputed}/disputes"
    dispute = act(client, quality, path, {"text": f"{FRIEND}不是这么说的"}, expect=201)["id"]
    name = hashlib.sha256(FILE).hexdigest()
    file = f"/v1/disputes/{dispute}/files/{name}"
    sent = {**quality, "content-type": "text/plain"}
    assert client.put(file, content=FILE, headers=sent).status_code == 201

    refused = ask(client, lender, "erasure", phone=PHONE)
    assert refused.status_code == 409
    assert {row["what"] for row in refused.json()["kept"]} == {"dispute", "dispute_file"}
    ruling = {"upheld": True, "reason": f"{NAME}说得对"}
    act(client, judge, f"/v1/disputes/{dispute}/judgement", ruling, expect=201)
    refused = ask(client, lender, "erasure", phone=PHONE)
    (kept,) = refused.json()["kept"]
    assert (kept["what"], kept["id"], kept["why"]) == (
        "dispute_file", name, "retention of the dispute file"
    )  # fmt: skip
    assert kept["until"] > "2030"
    assert client.get(file, headers=reviewer).content == FILE
    _purge(database, name)

    receipt = ask(client, lender, "erasure", phone=PHONE).json()

    assert is_whole(receipt)
    (erased,) = receipt["erased"]
    # The judgement is a review too; its reason stood with the dispute and with the review.
    assert (erased["reviews"], erased["disputes"], erased["files"]) == (2, 1, 1)
    decided = client.get(f"/v1/findings/{reviewed}/reviews", headers=lender.auth).json()["items"]
    assert [(row["decision"], row["reason"]) for row in decided] == [("confirm", "")]
    shown = client.get(f"/v1/disputes/{dispute}", headers=lender.auth).json()
    assert (shown["state"], shown["text"], shown["reason"], shown["files"]) == (
        "upheld", "", "", []
    )  # fmt: skip
    assert client.get(file, headers=reviewer).status_code == 404
    standing = {
        row["id"]: row["review"]["state"] for row in findings(client, lender.auth) if row["review"]
    }
    assert standing == {reviewed: "confirm", disputed: "dismiss"}


def test_an_erased_case_is_checked_again_without_its_persons(
    client: TestClient, lender: Lender, agency: Sender, told: None, run_jobs: Callable[[], None]
) -> None:
    assert ask(client, lender, "erasure", case_id="K-1").status_code == 200
    assert post_event(client, agency, make_sms(interaction_id="S-9")).status_code == 202

    run_jobs()

    items = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    outcomes = {item["interaction_id"]: item["outcome"] for item in items}
    assert outcomes["S-9"] is not None
    assert outcomes["S-1"] == "fail"


@pytest.mark.asvs("14.2.7")
def test_erasure_is_refused_with_dates_while_anything_must_be_kept(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    call = make_call(interaction_id="C-9", recording=make_recording(AUDIO))
    for event in (make_case(debtor={"name": NAME, "phones": [PHONE]}), call):
        assert post_event(client, agency, event).status_code == 202
    assert put_recording(client, agency, AUDIO).status_code == 201

    refused = ask(client, lender, "erasure", phone=PHONE)

    assert refused.status_code == 409
    problem = refused.json()
    assert problem["code"] == "erasure_refused"
    kept = {row["what"]: row for row in problem["kept"]}
    assert kept["contact"]["until"] == "2028-06-03T03:00:00+00:00"
    assert kept["recording"]["id"] == hashlib.sha256(AUDIO).hexdigest()
    assert NAME in str(ask(client, lender, "export", phone=PHONE).json())


@pytest.mark.asvs("2.3.2")
def test_the_database_refuses_an_erasure_that_code_forgot_to_refuse(
    database: Database, client: TestClient, lender: Lender, agency: Sender
) -> None:
    call = make_call(interaction_id="C-9", recording=make_recording(AUDIO))
    assert post_event(client, agency, call).status_code == 202
    assert put_recording(client, agency, AUDIO).status_code == 201

    with psycopg.connect(database.app_url) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", (str(lender.id),))
        with pytest.raises(psycopg.DatabaseError) as caught:
            connection.execute("select hegui_erase_case('K-1')")
    assert caught.value.sqlstate == "HG001"

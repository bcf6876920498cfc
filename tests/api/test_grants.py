"""What a regulator may read: under a live grant, what it says, nothing more, and nothing unseen."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from starlette.testclient import TestClient

from service.access import grants, tenants
from service.access.models import GrantField
from service.access.notebook import OPERATOR
from service.access.tenants import LiveGrant, Principal
from service.db import tenant_session
from service.errors import ConflictError, ForbiddenError
from service.models import Actor, Scope
from tests.conftest import Database
from tests.factories import (
    Lender,
    Sender,
    make_agency,
    make_call,
    make_case,
    make_grant,
    make_key,
    make_regulator,
    make_regulator_key,
    make_sms,
    make_tenant,
    post_event,
)
from tools import redraw

WORDS = [{"speaker": "collector", "start": 0.0, "end": 2.0, "text": "您好，这里是示例银行。"}]
IN, OUT = "2026-06-03T23:30:00+08:00", "2025-06-03T23:30:00+08:00"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def contacts(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> dict[str, str]:
    """Contacts by their names: two agencies, within the usual grant's period and before it."""
    other = make_agency(lender, "另一家")
    post_event(client, agency, make_case())
    post_event(client, agency, make_call(interaction_id="IN", started_at=IN, transcript=WORDS))
    post_event(client, agency, make_sms(interaction_id="OUT", started_at=OUT))
    post_event(client, other, make_sms(interaction_id="OTHER", started_at=IN))
    run_jobs()
    items = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    return {item["interaction_id"]: item["id"] for item in items}


def make_wish(**wish: Any) -> dict[str, Any]:
    return {
        "regulator_id": str(tenants.add_regulator("监管局").id),
        "case_number": "金罚查〔2026〕12号",
        "purpose": "inspection",
        "period_from": "2026-01-01T00:00:00Z",
        "period_to": "2027-01-01T00:00:00Z",
        "ends_at": (datetime.now(UTC) + timedelta(days=30)).isoformat(),
        **wish,
    }


def test_two_people_approve_and_then_the_regulator_reads(
    client: TestClient, lender: Lender, contacts: dict[str, str]
) -> None:
    second = bearer(make_key(lender).token)
    wish = make_wish()
    regulator = bearer(make_regulator_key(UUID(wish["regulator_id"])).token)

    made = client.post("/v1/grants", json=wish, headers=lender.auth).json()
    path = f"/v1/grants/{made['id']}"
    states = [made["state"]]
    for auth in (lender.auth, second):
        assert client.get("/v1/interactions", headers=regulator).status_code == 403
        states.append(client.post(f"{path}/approve", headers=auth).json()["state"])

    assert states == ["requested", "approved_once", "live"]
    found = client.get("/v1/interactions", headers=regulator).json()["items"]
    assert {item["id"] for item in found} == {contacts["IN"], contacts["OTHER"]}
    me = client.get("/v1/me", headers=regulator).json()
    assert [(held["id"], held["state"]) for held in me["grants"]] == [(made["id"], "live")]
    assert client.post(f"{path}/end", headers=second).json()["state"] == "ended"
    assert client.get("/v1/interactions", headers=regulator).status_code == 403
    acts = client.get("/v1/audit", params={"subject_id": made["id"]}, headers=lender.auth).json()
    assert [entry["action"] for entry in acts["items"]] == [
        "grant_ended", "grant_approved", "grant_approved", "grant_requested",
    ]  # fmt: skip


def test_nobody_approves_twice_not_by_rotation_nor_by_new_keys(
    client: TestClient, lender: Lender
) -> None:
    early = make_key(lender)
    made = client.post("/v1/grants", json=make_wish(), headers=lender.auth).json()
    path = f"/v1/grants/{made['id']}/approve"
    rotated = client.post(f"/v1/keys/{early.id}/rotate", json={}, headers=lender.auth).json()["key"]
    late = make_key(lender).token

    answers = [client.post(path, headers=bearer(key)) for key in (early.token, rotated, late)]

    assert [answer.status_code for answer in answers] == [200, 409, 403]
    assert [answer.json().get("code") for answer in answers[1:]] == [
        "same_approver", "approver_too_new",
    ]  # fmt: skip
    assert client.post(path, headers=lender.auth).json()["state"] == "live"
    assert client.post(path, headers=lender.auth).json()["code"] == "grant_not_open"


def test_the_operator_is_one_of_two_at_most(lender: Lender, clean: None) -> None:
    with tenant_session(lender.id) as session:
        regulator = tenants.add_regulator("监管局").id
        now = datetime.now(UTC)
        later = now + timedelta(days=1)
        wish = grants.GrantWish(regulator, "1", "x", now, later, later)
        row = grants.request_grant(session, tenant_id=lender.id, wish=wish, by=OPERATOR)
        grants.approve_grant(session, row.id, by=OPERATOR)
        with pytest.raises(ConflictError):
            grants.approve_grant(session, row.id, by=OPERATOR)


@pytest.mark.parametrize(
    "change",
    [
        {"period_to": "2026-01-01T00:00:00Z"},
        {"ends_at": "2026-01-01T00:00:00Z"},
        {"ends_at": "2099-01-01T00:00:00Z"},
        {"regulator_id": str(uuid4())},
        {"agencies": [str(uuid4())]},
        {"agencies": []},
        {"fields": ["everything"]},
        {"purpose": ""},
        {"tenant_id": str(uuid4())},
    ],
    ids=lambda change: next(iter(change)),
)
def test_terms_that_contradict_themselves_are_refused(
    client: TestClient, lender: Lender, change: dict[str, Any]
) -> None:
    answer = client.post("/v1/grants", json=make_wish(**change), headers=lender.auth)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith(next(iter(change)))


def test_the_database_keeps_a_grants_terms_and_approvals(
    database: Database, lender: Lender, clean: None
) -> None:
    grant = make_grant(lender, tenants.add_regulator("监管局").id)
    with psycopg.connect(database.app_url, autocommit=True) as connection:
        connection.execute("select set_config('app.tenant_id', %s, false)", (str(lender.id),))
        for change in (
            "ends_at = ends_at + interval '1 day'",
            "fields = '[\"personal\"]'",
            "agencies = null, period_from = period_from - interval '1 day'",
            "second_approver = 'x'",
            "first_approver = null, first_approved_at = null",
        ):
            with pytest.raises(psycopg.DatabaseError) as caught:
                connection.execute(f"update access_grant set {change}".encode())
            assert caught.value.sqlstate == "HG003", change
        row = connection.execute("select * from access_grant").fetchone()
        assert row is not None
        names = "tenant_id, id, regulator_id, case_number, purpose, fields, period_from, period_to,"
        names += " starts_at, ends_at, requested_by, requested_at"
        copied = names.replace(" id,", f" '{uuid4()}',", 1)
        connection.execute(
            f"insert into access_grant ({names}) select {copied} from access_grant".encode()
        )
        for approvals in (
            "first_approver = 'operator', second_approver = 'operator'",
            "first_approver = 'nobody'",
            "second_approver = 'operator'",
        ):
            with pytest.raises(psycopg.DatabaseError):
                connection.execute(
                    f"update access_grant set {approvals}, first_approved_at = now(),"
                    f" second_approved_at = now() where id <> '{grant}'".encode()
                )


def test_a_grant_is_narrowed_by_agency_period_and_fields(
    client: TestClient, lender: Lender, agency: Sender, contacts: dict[str, str]
) -> None:
    auth = bearer(make_regulator(lender, agencies=[agency.id], fields=frozenset()).token)

    found = client.get("/v1/interactions", headers=auth).json()["items"]

    assert [item["id"] for item in found] == [contacts["IN"]]
    for name in ("OUT", "OTHER"):
        answer = client.get(f"/v1/interactions/{contacts[name]}", headers=auth)
        missing = client.get(f"/v1/interactions/{uuid4()}", headers=auth)
        assert (answer.status_code, answer.content) == (404, missing.content)
    for part in ("transcript", "vcon"):
        answer = client.get(f"/v1/interactions/{contacts['IN']}/{part}", headers=auth)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_granted")
    agencies = client.get("/v1/agencies", headers=auth).json()["items"]
    assert [row["id"] for row in agencies] == [str(agency.id)]


def test_every_read_is_written_down_before_it_and_the_lender_sees_it(
    client: TestClient, lender: Lender, contacts: dict[str, str]
) -> None:
    key = make_regulator(lender)
    auth = bearer(key.token)
    (grant,) = client.get("/v1/grants", headers=lender.auth).json()["items"]
    for path in ("/v1/interactions", f"/v1/interactions/{contacts['OUT']}", "/v1/parameters"):
        client.get(path, headers=auth)

    path = f"/v1/grants/{grant['id']}/accesses"
    first = client.get(path, params={"limit": 2}, headers=lender.auth).json()
    rest = client.get(
        path, params={"limit": 2, "cursor": first["next_cursor"]}, headers=lender.auth
    ).json()

    seen = [(row["route"], row["subject_id"]) for row in first["items"] + rest["items"]]
    assert seen == [
        ("/v1/parameters", None),
        ("/v1/interactions/{interaction}", contacts["OUT"]),
        ("/v1/interactions", None),
    ]
    assert {row["key_id"] for row in first["items"]} == {key.key_id}
    entries = client.get(
        "/v1/audit", params={"action": "regulator_read"}, headers=lender.auth
    ).json()["items"]
    assert len(entries) == 3


@pytest.mark.asvs("14.2.6", "16.3.2")
def test_unmasking_is_an_act_with_a_reason_for_one_contact(
    client: TestClient, lender: Lender, contacts: dict[str, str]
) -> None:
    masked = bearer(make_regulator(lender).token)
    key = make_regulator(lender, fields=frozenset(GrantField))
    auth = bearer(key.token)
    path = f"/v1/interactions/{contacts['IN']}"

    def shown(where: str) -> str:
        return client.get(f"/v1/interactions/{contacts[where]}/vcon", headers=auth).text

    assert "13800000001" not in shown("IN")
    refused = client.post(f"{path}/unmask", json={"reason": "x"}, headers=masked)
    assert refused.json()["code"] == "not_granted"
    assert client.post(f"{path}/unmask", json={}, headers=auth).status_code == 422
    assert client.post(f"{path}/unmask", json={"reason": "x"}, headers=lender.auth).is_error
    outside = f"/v1/interactions/{contacts['OUT']}/unmask"
    assert client.post(outside, json={"reason": "x"}, headers=auth).status_code == 404
    assert client.post(f"{path}/unmask", json={"reason": "complaint 7"}, headers=auth).is_success

    assert "13800000001" in shown("IN")
    assert "13800000001" not in shown("OTHER")
    assert "13800000001" not in client.get("/v1/interactions", headers=auth).text
    (entry,) = client.get("/v1/audit", params={"action": "unmasked"}, headers=lender.auth).json()[
        "items"
    ]
    assert (entry["actor"], entry["subject_id"]) == (key.key_id, contacts["IN"])
    assert "complaint" not in str(entry)
    grant = entry["details"]["grant"]
    acts = client.get(f"/v1/grants/{grant}/accesses", headers=lender.auth).json()["items"]
    assert [act["reason"] for act in acts if act["kind"] == "unmask"] == ["complaint 7"]


def test_what_is_unmasked_is_masked_again_after_an_hour(
    client: TestClient, database: Database, lender: Lender, contacts: dict[str, str]
) -> None:
    auth = bearer(make_regulator(lender, fields=frozenset(GrantField)).token)
    path = f"/v1/interactions/{contacts['IN']}"
    client.post(f"{path}/unmask", json={"reason": "x"}, headers=auth)

    with psycopg.connect(database.superuser_url) as connection:
        connection.execute("update grant_access set at = at - interval '61 minutes'")

    assert "13800000001" not in client.get(f"{path}/vcon", headers=auth).text


def test_the_databases_clock_ends_a_grant(
    client: TestClient, database: Database, lender: Lender, contacts: dict[str, str]
) -> None:
    auth = bearer(make_regulator(lender).token)
    assert client.get("/v1/interactions", headers=auth).status_code == 200

    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(
            "update access_grant set starts_at = now() - interval '2 s',"
            " ends_at = now() - interval '1 s'"
        )

    answer = client.get("/v1/interactions", headers=auth)
    assert (answer.status_code, answer.json()["code"]) == (403, "no_live_grant")


def test_one_proceeding_over_two_lenders_names_its_grant(
    client: TestClient, lender: Lender, contacts: dict[str, str]
) -> None:
    second = make_tenant("乙银行")
    post_event(client, make_agency(second), make_sms(interaction_id="SECOND", started_at=IN))
    regulator = tenants.add_regulator("监管局").id
    held = {one.id: make_grant(one, regulator) for one in (lender, second)}
    foreign = make_grant(second, tenants.add_regulator("别的监管局").id)
    auth = bearer(make_regulator_key(regulator).token)

    def ask(grant: UUID | None) -> Any:
        named = {} if grant is None else {"Hegui-Grant": str(grant)}
        return client.get("/v1/interactions", headers={**auth, **named})

    assert ask(None).json()["code"] == "grant_not_named"
    names = [item["interaction_id"] for item in ask(held[second.id]).json()["items"]]
    assert names == ["SECOND"]
    assert len(ask(held[lender.id]).json()["items"]) == 2
    assert ask(foreign).content == ask(uuid4()).content
    assert ask(foreign).status_code == 403
    tenants.suspend_tenant(second.id)
    assert ask(held[second.id]).content == ask(uuid4()).content
    seen = client.get("/v1/grants", headers=lender.auth).json()["items"]
    assert [row["id"] for row in seen] == [str(held[lender.id])]


def test_a_stream_breaks_off_when_the_grant_ends(lender: Lender, clean: None) -> None:
    regulator = tenants.add_regulator("监管局").id
    grant = make_grant(lender, regulator)
    key = make_regulator_key(regulator)
    now = datetime.now(UTC)
    live = LiveGrant(grant, lender.id, regulator, "1", None, frozenset(), now, now, now)
    principal = Principal(
        lender.id,
        Actor.REGULATOR,
        Scope.READ,
        key.key_id,
        key.key_id,
        regulator_id=regulator,
        grant=live,
    )
    chunks = grants.watched(principal, (b"x" for _ in range(9)), recheck_s=0.0)
    assert next(chunks) == b"x"

    with tenant_session(lender.id) as session:
        grants.end_grant(session, grant, by=lender.key_id)

    with pytest.raises(ForbiddenError):
        next(chunks)


@pytest.mark.parametrize("method", ["simple", "stratified", "risk_weighted"])
def test_a_sample_is_committed_revealed_and_drawn_again_offline(
    client: TestClient, lender: Lender, contacts: dict[str, str], method: str, tmp_path: Path
) -> None:
    auth, seed = bearer(make_regulator(lender).token), "7b" * 32
    promise = hashlib.sha256(bytes.fromhex(seed)).hexdigest()
    wish = {"method": method, "size": 1, "seed_sha256": promise}

    made = client.post("/v1/samples", json=wish, headers=auth).json()
    path = f"/v1/samples/{made['id']}"
    early = client.post(f"{path}/reveal", json={"seed": seed}, headers=auth)
    committed = client.post(f"{path}/commit", headers=lender.auth).json()
    again = client.post(f"{path}/commit", headers=lender.auth)
    wrong = client.post(f"{path}/reveal", json={"seed": "00" * 32}, headers=auth)
    drawn = client.post(f"{path}/reveal", json={"seed": seed}, headers=auth).json()
    late = client.post(f"{path}/reveal", json={"seed": seed}, headers=auth)

    assert (early.status_code, again.status_code, late.status_code) == (409, 409, 409)
    assert wrong.json()["errors"][0]["field"] == "seed"
    assert (committed["population_size"], committed["seed"]) == (2, None)
    assert set(drawn["drawn"]) <= {contacts["IN"], contacts["OTHER"]}
    (tmp_path / "s").write_bytes(client.get(path, headers=lender.auth).content)
    (tmp_path / "p").write_bytes(client.get(f"{path}/population", headers=auth).content)
    done = subprocess.run(
        [sys.executable, "-I", redraw.__file__, tmp_path / "s", tmp_path / "p"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "genuine: 1 of 2 contacts\n", done.stderr


def test_another_regulator_sees_no_sample(client: TestClient, lender: Lender) -> None:
    mine, other = (bearer(make_regulator(lender).token) for _ in range(2))
    wish = {"method": "simple", "size": 1, "seed_sha256": "00" * 32}
    made = client.post("/v1/samples", json=wish, headers=mine).json()

    answer = client.get(f"/v1/samples/{made['id']}", headers=other)

    assert answer.status_code == 404
    assert answer.content == client.get(f"/v1/samples/{uuid4()}", headers=other).content
    assert client.get("/v1/samples", headers=other).json()["items"] == []
    assert len(client.get("/v1/samples", headers=mine).json()["items"]) == 1
    empty = client.post(f"/v1/samples/{made['id']}/commit", headers=lender.auth)
    assert empty.json()["errors"][0]["field"] == "period"

"""Who may come in: keys and agencies made, rotated, suspended, removed, at once refused."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from starlette.testclient import TestClient

from service.access import keys as access_keys
from service.access import tenants
from service.access.keys import Owner
from service.clock import now
from service.db import tenant_session
from service.models import Scope
from tests.conftest import Database
from tests.factories import (
    Lender,
    Sender,
    make_key,
    make_regulator,
    make_regulator_key,
    make_sms,
    make_tenant,
    post_event,
)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def status(client: TestClient, token: str) -> int:
    return int(client.get("/v1/me", headers=bearer(token)).status_code)


def acts(client: TestClient, lender: Lender, **query: str) -> list[tuple[str, str]]:
    answer = client.get("/v1/audit", params=query, headers=lender.auth)
    assert answer.status_code == 200, answer.text
    return [(entry["action"], entry["subject_id"]) for entry in answer.json()["items"]]


def test_a_rotated_key_and_its_successor_both_live_for_the_overlap(
    client: TestClient, lender: Lender
) -> None:
    first = make_key(lender, label="dialler")
    path = f"/v1/keys/{first.id}/rotate"

    second = client.post(path, json={"overlap_hours": 2}, headers=lender.auth).json()
    again = client.post(path, json={}, headers=lender.auth)

    assert (status(client, first.token), status(client, second["key"])) == (200, 200)
    assert again.json()["code"] == "key_rotated"
    rows = {row["id"]: row for row in client.get("/v1/keys", headers=lender.auth).json()["items"]}
    assert rows[second["id"]]["replaces"] == str(first.id)
    assert rows[second["id"]]["label"] == "dialler"
    assert rows[second["id"]]["expires_at"] is None
    assert rows[str(first.id)]["expires_at"] is not None
    third = client.post(
        f"/v1/keys/{second['id']}/rotate", json={"overlap_hours": 0}, headers=lender.auth
    ).json()
    tokens = (first.token, second["key"], third["key"])
    assert [status(client, token) for token in tokens] == [401, 401, 200]
    assert [act for act, subject in acts(client, lender) if subject == first.key_id] == [
        "key_revoked", "key_added",
    ]  # fmt: skip


@pytest.mark.asvs("8.3.2")
def test_a_key_is_refused_on_the_next_request_and_taken_again(
    client: TestClient, lender: Lender
) -> None:
    key = make_key(lender)
    path = f"/v1/keys/{key.id}"

    seen = [status(client, key.token)]
    for verb, method in (("/suspend", "POST"), ("/resume", "POST"), ("", "DELETE")):
        assert client.request(method, path + verb, headers=lender.auth).is_success
        seen.append(status(client, key.token))
    resumed = client.post(f"{path}/resume", headers=lender.auth)

    assert seen == [200, 401, 200, 401]
    assert resumed.is_success
    assert status(client, key.token) == 401
    assert [act for act, subject in acts(client, lender) if subject == key.key_id] == [
        "key_revoked", "key_resumed", "key_suspended", "key_added",
    ]  # fmt: skip
    assert client.post(f"{path}/rotate", json={}, headers=lender.auth).status_code == 409


def test_a_key_is_over_by_the_databases_clock(
    client: TestClient, database: Database, lender: Lender
) -> None:
    key = make_key(lender, expires_at=now() + timedelta(days=1))
    assert status(client, key.token) == 200

    with psycopg.connect(database.superuser_url) as connection:
        connection.execute(
            "update api_key set expires_at = clock_timestamp() where id = %s", (key.id,)
        )

    assert status(client, key.token) == 401


def test_the_last_administrator_does_not_lock_the_lender_out(
    client: TestClient, lender: Lender
) -> None:
    (row,) = client.get("/v1/keys", headers=lender.auth).json()["items"]
    path = f"/v1/keys/{row['id']}"
    make_key(lender, scope=Scope.REVIEW)
    make_key(lender, expires_at=now() + timedelta(days=1))

    for method, verb in (("DELETE", ""), ("POST", "/suspend")):
        answer = client.request(method, path + verb, headers=lender.auth)
        assert answer.json()["code"] == "last_administrator"
    make_key(lender)
    assert client.delete(path, headers=lender.auth).status_code == 204


def test_a_suspended_agency_is_refused_by_key_and_by_webhook(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    path = f"/v1/agencies/{agency.id}"

    def doors() -> tuple[int, int]:
        return status(client, agency.key), post_event(client, agency, make_sms()).status_code

    seen = [doors()]
    for verb, method in (("/suspend", "POST"), ("/resume", "POST"), ("", "DELETE")):
        assert client.request(method, path + verb, headers=lender.auth).is_success
        seen.append(doors())

    assert seen == [(200, 202), (401, 401), (200, 202), (401, 401)]
    assert client.post(f"{path}/resume", headers=lender.auth).json()["code"] == "removed"
    (row,) = client.get("/v1/agencies", headers=lender.auth).json()["items"]
    assert row["id"] == str(agency.id)
    assert len(client.get("/v1/interactions", headers=lender.auth).json()["items"]) == 2
    wish = {"actor": "agency", "scope": "send", "label": "x", "agency_id": str(agency.id)}
    assert client.post("/v1/keys", json=wish, headers=lender.auth).status_code == 422
    assert [act for act, subject in acts(client, lender) if subject == str(agency.id)] == [
        "agency_removed", "agency_resumed", "agency_suspended", "agency_added",
    ]  # fmt: skip


def test_a_suspended_lender_is_refused_with_all_its_agencies(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    from service.signature import forget_sources  # what other processes forget within a second

    def doors() -> tuple[int, int, int]:
        forget_sources()
        posted = post_event(client, agency, make_sms()).status_code
        return status(client, lender.key), status(client, agency.key), posted

    seen = [doors()]
    for change in (tenants.suspend_tenant, tenants.resume_tenant, tenants.remove_tenant):
        change(lender.id)
        seen.append(doors())

    assert seen == [(200, 200, 202), (401, 401, 401), (200, 200, 202), (401, 401, 401)]
    with tenant_session(lender.id) as session:
        assert tenants.list_tenants(session)[0].removed_at is not None


def test_a_suspended_regulator_is_refused_and_its_lenders_are_told(
    client: TestClient, lender: Lender
) -> None:
    key = make_regulator(lender)
    regulator = UUID(client.get("/v1/me", headers=bearer(key.token)).json()["regulator_id"])

    seen = []
    for what in ("suspended", "resumed", "removed"):
        tenants.change_regulator(regulator, what)
        seen.append(status(client, key.token))

    assert seen == [401, 200, 401]
    told = [act for act, subject in acts(client, lender) if subject == str(regulator)]
    assert told == ["regulator_removed", "regulator_resumed", "regulator_suspended"]


def test_a_key_tells_whom_it_speaks_for(client: TestClient, lender: Lender, agency: Sender) -> None:
    regulator = tenants.add_regulator("监管局")
    token = make_regulator_key(regulator.id).token

    told = [client.get("/v1/me", headers=auth).json() for auth in (lender.auth, agency.auth)]
    mine = client.get("/v1/me", headers=bearer(token)).json()

    assert [(me["actor"], me["scope"], me["owner"]) for me in told] == [
        ("lender", "admin", "示例银行"), ("agency", "send", "示例银行"),
    ]  # fmt: skip
    assert told[1]["agency_id"] == str(agency.id)
    assert (mine["owner"], mine["tenant_id"], mine["grants"]) == ("监管局", None, [])
    refused = client.get("/v1/interactions", headers=bearer(token))
    assert (refused.status_code, refused.json()["code"]) == (403, "no_live_grant")


@pytest.mark.parametrize(
    ("scope", "seen"),
    [(Scope.ADMIN, 200), (Scope.REVIEW, 403), (Scope.READ, 403)],
)
def test_the_audit_trail_is_the_administrators(
    client: TestClient, lender: Lender, scope: Scope, seen: int
) -> None:
    auth = bearer(make_key(lender, scope=scope).token)

    assert client.get("/v1/audit", headers=auth).status_code == seen
    assert client.get("/v1/keys", headers=auth).status_code == seen


def test_the_audit_trail_has_pages_and_filters(client: TestClient, lender: Lender) -> None:
    keys = [make_key(lender, label=f"k{number}").key_id for number in range(4)]

    found: list[Any] = []
    cursor: dict[str, str] = {}
    for _ in range(9):
        page = client.get("/v1/audit", params={"limit": 2, **cursor}, headers=lender.auth).json()
        found += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}

    assert [entry["subject_id"] for entry in found][:4] == keys[::-1]
    assert len({entry["seq"] for entry in found}) == len(found) == 6
    assert acts(client, lender, subject_id=keys[0]) == [("key_added", keys[0])]
    assert len(acts(client, lender, action="key_added", actor="test")) == 4
    assert acts(client, lender, to="2020-01-01T00:00:00Z") == []
    for bad in ("!!", "WzEsMl0", "c2VxOng"):
        answer = client.get("/v1/audit", params={"cursor": bad}, headers=lender.auth)
        assert answer.json()["errors"][0]["field"] == "cursor"


def test_keys_have_pages_and_show_no_secret(client: TestClient, lender: Lender) -> None:
    made = [make_key(lender) for _ in range(3)]

    first = client.get("/v1/keys", params={"limit": 3}, headers=lender.auth)
    rest = client.get(
        "/v1/keys",
        params={"limit": 3, "cursor": first.json()["next_cursor"]},
        headers=lender.auth,
    )

    names = [row["key_id"] for row in first.json()["items"] + rest.json()["items"]]
    assert names == [key.key_id for key in reversed(made)] + [lender.key_id]
    for key in made:
        assert key.token.split("_")[3] not in first.text + rest.text
    assert "digest" not in first.text


def test_a_lender_makes_no_key_for_a_regulator(client: TestClient, lender: Lender) -> None:
    wish = {"actor": "regulator", "scope": "read", "label": "x"}

    answer = client.post("/v1/keys", json=wish, headers=lender.auth)

    assert answer.json()["errors"] == [
        {
            "field": "actor",
            "message": "a regulator's key is made by the operator: hegui key add --regulator ID",
        }
    ]


def test_the_database_keeps_what_a_key_is_good_for(
    client: TestClient, database: Database, lender: Lender
) -> None:
    key, other = make_key(lender, expires_at=now() + timedelta(days=1)), make_tenant()
    with tenant_session(lender.id) as session:
        access_keys.revoke_key(session, Owner(lender.id), key.id, by="test")
    with psycopg.connect(database.app_url, autocommit=True) as connection:
        for change in (
            "revoked_at = null",
            "expires_at = null",
            "expires_at = expires_at + interval '1 s'",
            "scope = 'admin', digest = 'x'",
            f"tenant_id = '{other.id}'",
        ):
            with pytest.raises(psycopg.DatabaseError) as caught:
                connection.execute(f"update api_key set {change} where id = '{key.id}'".encode())
            assert caught.value.sqlstate == "HG003", change
    assert status(client, key.token) == 401


def test_a_machine_changes_its_key_for_a_token(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    key_id = agency.key.split("_")[2]
    form = {"grant_type": "client_credentials", "client_id": key_id, "client_secret": agency.key}

    answer = client.post("/v1/token", data=form)
    basic = client.post(
        "/v1/token", data={"grant_type": "client_credentials"}, auth=(key_id, agency.key)
    )

    made = answer.json()
    assert (made["token_type"], made["expires_in"]) == ("Bearer", 900)
    assert answer.headers["cache-control"] == "no-store"
    me = client.get("/v1/me", headers=bearer(made["access_token"])).json()
    assert (me["key_id"], me["agency_id"]) == (key_id, str(agency.id))
    assert status(client, basic.json()["access_token"]) == 200
    assert made["access_token"] not in client.get("/v1/keys", headers=lender.auth).text
    client.post(f"/v1/agencies/{agency.id}/suspend", headers=lender.auth)
    assert status(client, made["access_token"]) == 401


def test_a_token_is_over_by_the_databases_clock_and_ends_with_its_key(
    client: TestClient, database: Database, lender: Lender
) -> None:
    key = make_key(lender)

    def token() -> str:
        form = {"grant_type": "client_credentials"}
        answer = client.post("/v1/token", data=form, auth=(key.key_id, key.token))
        return str(answer.json()["access_token"])

    first = token()
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute("update access_token set expires_at = clock_timestamp()")
    second = token()

    assert (status(client, first), status(client, second)) == (401, 200)
    with psycopg.connect(database.superuser_url) as connection:
        assert connection.execute("select count(*) from access_token").fetchone() == (1,)
    client.delete(f"/v1/keys/{key.id}", headers=lender.auth)
    assert status(client, second) == 401


@pytest.mark.parametrize(
    ("form", "expected", "error"),
    [
        ({}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, 401, "invalid_client"),
        (
            {"grant_type": "client_credentials", "client_id": "x", "client_secret": "hg_dev_x"},
            401,
            "invalid_client",
        ),
    ],
)
def test_a_request_for_a_token_that_is_wrong_is_told_so(
    client: TestClient, lender: Lender, form: dict[str, str], expected: int, error: str
) -> None:
    answer = client.post("/v1/token", data=form)

    assert (answer.status_code, answer.json()["error"]) == (expected, error)


def test_a_token_makes_no_token(client: TestClient, lender: Lender) -> None:
    form = {"grant_type": "client_credentials"}
    made = client.post("/v1/token", data=form, auth=(lender.key_id, lender.key)).json()
    token = made["access_token"]

    again = client.post("/v1/token", data=form, auth=(token.split("_")[2], token))

    assert again.json()["error"] == "invalid_client"

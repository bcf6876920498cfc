"""People sign in with passwords, stay as long as they may, and are out at once."""

import re
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

from service.access.console import COOKIE
from service.access.passwords import hash_password, is_right
from service.access.throttle import account_of, address_of, begin_attempt
from service.errors import LimitedError
from service.models import Actor, Scope
from tests.conftest import Database
from tests.factories import (
    ORIGIN,
    Lender,
    Sender,
    make_person,
    make_tenant,
    sign_in,
)

PASSWORD = "七只蓝色的鲸鱼在唱歌 and nobody listens"
OTHER = "an entirely other phrase with 九 rivers"
EMAIL = "li.na@bank.example"


def add(client: TestClient, auth: dict[str, str], *, expect: int = 201, **more: Any) -> Any:
    body = {"actor": "lender", "scope": "review", "email": EMAIL, "name": "李娜", **more}
    answer = client.post("/v1/people", json=body, headers=auth)
    assert answer.status_code == expect, answer.text
    return answer.json()


def set_password(client: TestClient, made: Any, password: str = PASSWORD) -> int:
    body = {"token": made["password_token"]["token"], "password": password}
    return int(client.post("/v1/password", json=body).status_code)


def enter(
    client: TestClient, lender: Lender, password: str = PASSWORD, email: str = EMAIL, **headers: str
) -> Any:
    body = {"tenant_id": str(lender.id), "email": email, "password": password}
    answer = client.post("/v1/session", json=body, headers=headers)
    client.cookies.clear()
    return answer


def cookie_of(answer: Any) -> dict[str, str]:
    assert answer.status_code == 204, answer.text
    (value,) = re.findall(rf"{COOKIE}=([^;]+)", answer.headers["set-cookie"])
    return {"cookie": f"{COOKIE}={value}", "origin": ORIGIN}


def me(client: TestClient, auth: dict[str, str]) -> int:
    return int(client.get("/v1/me", headers=auth).status_code)


def acts(client: TestClient, lender: Lender) -> list[tuple[str, str]]:
    items = client.get("/v1/audit", headers=lender.auth).json()["items"]
    return [(entry["action"], entry["actor"]) for entry in reversed(items)]


@pytest.fixture
def ask(database: Database) -> Iterator[Any]:
    """Ask and change what no door would: past triggers."""
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        yield connection.execute


@pytest.mark.asvs("3.3.1", "3.3.2", "3.3.3", "3.3.4", "7.4.1", "16.3.1")
def test_somebody_is_added_sets_a_password_signs_in_and_out(
    client: TestClient, lender: Lender
) -> None:
    made = add(client, lender.auth)
    handle = made["person"]["handle"]

    assert enter(client, lender).status_code == 401
    assert set_password(client, made) == 204
    answer = enter(client, lender)
    auth = cookie_of(answer)
    shown = client.get("/v1/me", headers=auth).json()
    out = client.request("DELETE", "/v1/session", headers=auth)

    flags = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "secure", "samesite=lax", "path=/"} <= flags
    assert not [flag for flag in flags if flag.startswith("domain")]
    assert (shown["key_id"], shown["person"]) == (handle, handle)
    assert (shown["actor"], shown["scope"]) == ("lender", "review")
    assert out.status_code == 204
    assert me(client, auth) == 401
    assert acts(client, lender)[-5:] == [
        ("person_added", lender.key_id),
        ("password_token_issued", lender.key_id),
        ("password_set", handle),
        ("signed_in", handle),
        ("session_ended", handle),
    ]


@pytest.mark.asvs("6.4.1")
def test_a_token_sets_a_password_once_in_time_and_the_last_one_only(
    client: TestClient, lender: Lender, ask: Any
) -> None:
    made = add(client, lender.auth)
    person = made["person"]["id"]
    again = client.post(f"/v1/people/{person}/password-token", headers=lender.auth).json()

    assert set_password(client, made) == 401
    assert set_password(client, {"password_token": again}) == 204
    assert set_password(client, {"password_token": again}) == 401
    late = client.post(f"/v1/people/{person}/password-token", headers=lender.auth).json()
    ask("update password_token set expires_at = now() - interval '1 s'")
    assert set_password(client, {"password_token": late}) == 401
    assert set_password(client, {"password_token": {"token": "hgp_dev_x"}}) == 401


@pytest.mark.parametrize(
    "password",
    [
        "odd 9 but tiny",
        "passwordpassword",
        "123456789012345",
        "aaaaaaaaaaaaaaaaaaaa",
        "qwertyuiopasdfgh",
        "x" * 257,
        EMAIL,
        "hegui hegui hegui",
    ],
)
@pytest.mark.asvs("6.2.1", "6.2.4", "6.2.5", "6.2.9", "6.2.11")
def test_a_password_that_is_short_or_soon_guessed_is_refused_by_name(
    client: TestClient, lender: Lender, password: str
) -> None:
    made = add(client, lender.auth)

    body = {"token": made["password_token"]["token"], "password": password}
    answer = client.post("/v1/password", json=body)

    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == ["password"]
    assert password not in answer.text
    assert set_password(client, made, PASSWORD * 5) == 204, "any characters, and many"


@pytest.mark.asvs("6.3.8")
def test_a_wrong_password_nobody_and_a_stranger_get_one_answer(
    client: TestClient, lender: Lender
) -> None:
    assert set_password(client, add(client, lender.auth)) == 204
    gone = add(client, lender.auth, email="gone@bank.example")
    assert set_password(client, gone) == 204
    client.post(f"/v1/people/{gone['person']['id']}/suspend", headers=lender.auth)

    answers = [
        enter(client, lender, "wrong wrong wrong wrong"),
        enter(client, lender, email="nobody@bank.example"),
        enter(client, lender, email="gone@bank.example"),
        enter(client, make_tenant("乙银行")),
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert enter(client, lender, email=EMAIL.upper()).status_code == 204


@pytest.mark.asvs("6.3.1")
def test_failures_cost_waiting_for_an_account_that_is_and_one_that_is_not(
    client: TestClient, lender: Lender, ask: Any
) -> None:
    assert set_password(client, add(client, lender.auth)) == 204
    emails = (EMAIL, "nobody@bank.example")
    tried = [enter(client, lender, "wrong wrong wrong", each) for each in emails for _ in range(5)]
    counted = ask("select failures from sign_in_attempt order by failures").fetchall()
    ask("update sign_in_attempt set failures = failures + 5 where failures = 5")
    told = [
        enter(client, lender, password, each) for each in emails for password in ("x", PASSWORD)
    ]

    assert {answer.status_code for answer in tried} == {401}
    assert counted == [(5,), (5,), (10,)], "each account, and the address of both"
    assert [answer.status_code for answer in told] == [429] * 4, "nor with the right password"
    assert len({answer.content for answer in told}) == 1
    assert all(25 <= int(answer.headers["retry-after"]) <= 32 for answer in told)
    ask("update sign_in_attempt set last_at = last_at - interval '20 minutes'")
    assert enter(client, lender).status_code == 204
    ask(
        "insert into sign_in_attempt values (%s, 100, now() - interval '2 days')",
        (account_of(str(lender.id), EMAIL),),
    )
    assert enter(client, lender).status_code == 429, "a hundred in a row need a new password"
    ask("delete from sign_in_attempt")
    ask("insert into sign_in_attempt values (%s, 60, now())", (address_of("testclient"),))
    assert enter(client, lender).status_code == 429, "one address, many accounts"


@pytest.mark.asvs("6.3.8")
def test_nobodys_password_takes_the_work_of_somebodys() -> None:
    kept = hash_password(PASSWORD)

    def seconds(held: str | None) -> float:
        begun = time.thread_time()
        assert not is_right(held, OTHER)
        return time.thread_time() - begun

    is_right(None, OTHER)  # the first one makes what is compared with
    pairs = [(seconds(None), seconds(kept)) for _ in range(9)]

    ratio = statistics.median(nobody / somebody for nobody, somebody in pairs)
    assert 0.8 < ratio < 1.25
    assert is_right(kept, PASSWORD)


def test_many_attempts_at_once_are_one_attempt_after_a_wait(clean: None, ask: Any) -> None:
    account = account_of("lender", EMAIL)
    ask("insert into sign_in_attempt values (%s, 10, now() - interval '1 hour')", (account,))

    def attempt(number: int) -> bool:
        try:
            begin_attempt(account, address_of(f"192.0.2.{number}"))
        except LimitedError:
            return False
        return True

    with ThreadPoolExecutor(12) as pool:
        let_in = list(pool.map(attempt, range(12)))

    assert sum(let_in) == 1
    assert ask("select failures from sign_in_attempt where failures > 1").fetchall() == [(11,)]


def test_a_new_password_ends_the_wait_and_every_session(
    client: TestClient, lender: Lender, ask: Any
) -> None:
    made = add(client, lender.auth)
    set_password(client, made)
    before = cookie_of(enter(client, lender))
    account = account_of(str(lender.id), EMAIL)
    ask("insert into sign_in_attempt values (%s, 100, now())", (account,))
    assert enter(client, lender).status_code == 429
    person = made["person"]["id"]
    token = client.post(f"/v1/people/{person}/password-token", headers=lender.auth).json()

    assert set_password(client, {"password_token": token}, OTHER) == 204

    assert me(client, before) == 401
    assert enter(client, lender, OTHER).status_code == 204


@pytest.mark.asvs("6.2.2", "6.2.3", "7.4.3")
def test_changing_a_password_asks_for_the_old_and_ends_other_sessions(
    client: TestClient, lender: Lender
) -> None:
    set_password(client, add(client, lender.auth))
    here, there = cookie_of(enter(client, lender)), cookie_of(enter(client, lender))

    def change(current: str, new: str) -> Any:
        body = {"current": current, "new": new}
        answer = client.put("/v1/password", json=body, headers=here)
        client.cookies.clear()
        return answer

    assert change("wrong wrong wrong", OTHER).status_code == 401
    weak = change(PASSWORD, "passwordpassword")
    assert [each["field"] for each in weak.json()["errors"]] == ["new"]
    assert me(client, there) == 200
    anew = cookie_of(change(PASSWORD, OTHER))

    assert [me(client, auth) for auth in (here, there, anew)] == [401, 401, 200]
    assert enter(client, lender).status_code == 401
    assert enter(client, lender, OTHER).status_code == 204


@pytest.mark.asvs("7.3.1", "7.3.2")
def test_a_session_ends_when_idle_and_in_any_case_by_the_databases_clock(
    client: TestClient, lender: Lender, ask: Any
) -> None:
    person = make_person(lender)
    idle, old, live = (sign_in(person) for _ in range(3))
    digest = "encode(sha256(%s), 'hex')"
    ask(
        f"update console_session set seen_at = now() - interval '31 min' where digest = {digest}",
        (idle.token.encode(),),
    )
    ask(
        f"update console_session set expires_at = now() where digest = {digest}",
        (old.token.encode(),),
    )
    ask(
        f"update console_session set seen_at = now() - interval '29 min' where digest = {digest}",
        (live.token.encode(),),
    )

    assert [me(client, each.auth) for each in (idle, old, live)] == [401, 401, 200]
    seen = client.get("/v1/sessions", headers=live.auth).json()["items"]
    assert [each["is_current"] for each in seen] == [True]
    age = ask(
        f"select now() - seen_at < interval '1 min' from console_session where digest = {digest}",
        (live.token.encode(),),
    ).fetchone()
    assert age == (True,), "a request keeps it alive"


@pytest.mark.asvs("7.2.1", "7.2.4")
def test_the_table_holds_no_token_and_a_log_in_makes_a_new_one(
    client: TestClient, lender: Lender, ask: Any
) -> None:
    set_password(client, add(client, lender.auth))
    first = cookie_of(enter(client, lender))

    second = cookie_of(enter(client, lender, cookie=first["cookie"]))

    assert first != second
    assert [me(client, auth) for auth in (first, second)] == [401, 200]
    secret = second["cookie"].split("=", 1)[1]
    for table in ("console_session", "password_token", "person", "audit_entry"):
        rows = ask(f"select row_to_json(t)::text from {table} as t").fetchall()
        assert rows
        assert not [row for (row,) in rows if secret in row or PASSWORD in row]
    (kept,) = ask("select password from person").fetchone()
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.asvs("7.4.5")
def test_sessions_are_listed_and_ended_by_oneself_and_by_an_administrator(
    client: TestClient, lender: Lender
) -> None:
    person, stranger = make_person(lender, scope=Scope.READ), sign_in(make_person(lender))
    first, second, third = (sign_in(person) for _ in range(3))
    rows = client.get("/v1/sessions", headers=first.auth).json()["items"]
    theirs = client.get("/v1/sessions", headers=stranger.auth).json()["items"]

    def end(session: str) -> Any:
        return client.delete(f"/v1/sessions/{session}", headers=first.auth)

    assert len(rows) == 3
    assert end(rows[0]["id"]).status_code == 204
    assert end(rows[0]["id"]).status_code == 204
    foreign, missing = end(theirs[0]["id"]), end(str(person.id))
    assert (foreign.status_code, foreign.content) == (404, missing.content)
    assert [me(client, each.auth) for each in (first, second, third)] == [200, 200, 401]
    path = f"/v1/people/{person.id}/sessions"
    assert len(client.get(path, headers=stranger.auth).json()["items"]) == 2
    assert client.delete(path, headers=first.auth).status_code == 403
    assert client.delete(path, headers=stranger.auth).status_code == 204
    assert [me(client, each.auth) for each in (first, second, stranger)] == [401, 401, 200]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": ORIGIN}, 204),
        ({"sec-fetch-site": "same-origin"}, 204),
        ({}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ORIGIN + ".evil.example"}, 403),
        ({"origin": ORIGIN, "sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
    ],
)
@pytest.mark.asvs("3.5.1")
def test_what_changes_something_is_taken_from_this_services_pages_alone(
    client: TestClient, lender: Lender, headers: dict[str, str], status: int
) -> None:
    signed = sign_in(make_person(lender))
    cookie = {"cookie": signed.auth["cookie"], **headers}

    answer = client.request("DELETE", "/v1/session", headers=cookie)
    client.cookies.clear()

    assert answer.status_code == status
    assert me(client, {"cookie": signed.auth["cookie"]}) == (401 if status == 204 else 200)
    if status == 403:
        assert answer.json()["code"] == "cross_site"
        foreign = enter(client, lender, **headers)
        assert foreign.status_code == (401 if not headers else 403)


@pytest.mark.asvs("7.4.2", "8.3.2")
def test_a_suspended_or_removed_person_lender_agency_is_out_on_the_next_request(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    person = make_person(lender, Actor.AGENCY, Scope.QUALITY, agency_id=agency.id)
    signed = sign_in(person)
    key = add(client, lender.auth, scope="admin")

    def change(path: str, verb: str = "POST") -> None:
        assert client.request(verb, path, headers=lender.auth).status_code in {200, 204}

    assert me(client, signed.auth) == 200
    change(f"/v1/agencies/{agency.id}/suspend")
    assert me(client, signed.auth) == 401
    change(f"/v1/agencies/{agency.id}/resume")
    assert me(client, signed.auth) == 200
    change(f"/v1/people/{person.id}/suspend")
    change(f"/v1/people/{person.id}/suspend")
    change(f"/v1/people/{person.id}/resume")
    assert me(client, signed.auth) == 401, "what was ended stays ended"
    again = sign_in(person)
    assert me(client, again.auth) == 200
    change(f"/v1/people/{person.id}", "DELETE")
    change(f"/v1/people/{person.id}", "DELETE")
    assert me(client, again.auth) == 401
    told = client.post(f"/v1/people/{person.id}/resume", headers=lender.auth)
    assert (told.status_code, told.json()["code"]) == (409, "removed")
    assert key["person"]["handle"] not in str(acts(client, lender)[-3:])


@pytest.mark.asvs("2.3.5")
def test_nobody_becomes_a_second_person_by_a_session_or_a_key(
    client: TestClient, lender: Lender
) -> None:
    from service.access import tenants

    regulator = tenants.add_regulator("监管局").id
    one, other = make_person(lender), make_person(lender)
    first, second = sign_in(one), sign_in(one)
    made = client.post(
        "/v1/keys", json={"actor": "lender", "scope": "admin", "label": "x"}, headers=first.auth
    ).json()
    key = {"authorization": f"Bearer {made['key']}"}
    terms = {
        "regulator_id": str(regulator), "case_number": "1", "purpose": "x",
        "period_from": "2026-01-01T00:00:00Z", "period_to": "2027-01-01T00:00:00Z",
        "ends_at": "2099-01-01T00:00:00Z", "starts_at": "2098-06-01T00:00:00Z",
    }  # fmt: skip
    grant = client.post("/v1/grants", json=terms, headers=key).json()["id"]

    def approve(auth: dict[str, str]) -> Any:
        return client.post(f"/v1/grants/{grant}/approve", headers=auth)

    late = sign_in(make_person(lender))
    assert client.get("/v1/me", headers=key).json()["person"] == one.handle
    assert approve(first.auth).status_code == 200
    assert [approve(auth).json()["code"] for auth in (second.auth, key, late.auth)] == [
        "same_approver", "same_approver", "approver_too_new",
    ]  # fmt: skip
    assert approve(sign_in(other).auth).status_code == 200


def test_whose_password_somebody_else_set_approves_nothing_that_was_asked_before(
    client: TestClient, lender: Lender
) -> None:
    from service.access import tenants
    from tests.api.matrix import TERMS

    made = add(client, lender.auth, scope="admin")
    set_password(client, made)
    regulator = str(tenants.add_regulator("监管局").id)
    grant = client.post(
        "/v1/grants", json={**TERMS, "regulator_id": regulator}, headers=lender.auth
    ).json()["id"]
    path = f"/v1/people/{made['person']['id']}/password-token"
    token = client.post(path, headers=lender.auth).json()
    assert set_password(client, {"password_token": token}, OTHER) == 204

    auth = cookie_of(enter(client, lender, OTHER))
    told = client.post(f"/v1/grants/{grant}/approve", headers=auth)

    assert told.json()["code"] == "approver_too_new"


def test_a_lower_role_ends_sessions_and_keys_that_may_more(
    client: TestClient, lender: Lender
) -> None:
    person = make_person(lender)
    signed = sign_in(person)

    def key(scope: str) -> dict[str, str]:
        body = {"actor": "lender", "scope": scope, "label": "x"}
        made = client.post("/v1/keys", json=body, headers=signed.auth).json()
        return {"authorization": f"Bearer {made['key']}"}

    keys = [key("admin"), key("review"), key("read")]
    path = f"/v1/people/{person.id}"
    wrong = client.patch(path, json={"scope": "send"}, headers=lender.auth)
    assert [each["field"] for each in wrong.json()["errors"]] == ["scope"]
    for _ in range(2):
        role = client.patch(path, json={"scope": "review"}, headers=lender.auth)
        assert role.json()["scope"] == "review"

    assert me(client, signed.auth) == 401
    assert [me(client, each) for each in keys] == [401, 200, 200]
    assert client.delete(path, headers=lender.auth).status_code == 204
    assert [me(client, each) for each in keys] == [401, 401, 401]


def test_the_last_administrator_stays_until_there_is_another(
    client: TestClient, lender: Lender
) -> None:
    set_password(client, add(client, lender.auth, scope="admin"))
    auth = cookie_of(enter(client, lender))
    person = client.get("/v1/people", headers=auth).json()["items"][0]["id"]
    key = client.get("/v1/keys", headers=auth).json()["items"][0]["id"]

    assert client.delete(f"/v1/keys/{key}", headers=auth).status_code == 204
    told = [
        client.post(f"/v1/people/{person}/suspend", headers=auth),
        client.delete(f"/v1/people/{person}", headers=auth),
        client.patch(f"/v1/people/{person}", json={"scope": "read"}, headers=auth),
    ]

    assert {answer.json()["code"] for answer in told} == {"last_administrator"}
    assert me(client, auth) == 200


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"scope": "send"}, "scope"),
        ({"actor": "operator", "scope": "operate"}, "actor"),
        ({"actor": "agency", "scope": "send"}, "agency_id"),
        ({"email": "nobody"}, "email"),
        ({"name": ""}, "name"),
    ],
)
def test_a_wish_that_contradicts_itself_names_the_field(
    client: TestClient, lender: Lender, wish: dict[str, Any], field: str
) -> None:
    answer = add(client, lender.auth, **{**wish, "expect": 422})

    assert field in [each["field"] for each in answer["errors"]]


def test_an_operator_looks_after_regulators_people_and_sees_no_lender(
    client: TestClient, lender: Lender
) -> None:
    from service.access import tenants

    add(client, lender.auth)
    operator = sign_in(make_person(None, Actor.OPERATOR, Scope.OPERATE))
    regulator = str(tenants.add_regulator("监管局").id)
    wish: dict[str, Any] = {"actor": "regulator", "scope": "read", "regulator_id": regulator}

    made = add(client, operator.auth, **wish)
    again = add(client, operator.auth, expect=409, **wish)
    set_password(client, made)
    body = {"regulator_id": regulator, "email": EMAIL, "password": PASSWORD}
    auth = cookie_of(client.post("/v1/session", json=body))
    client.cookies.clear()

    assert again["code"] == "person_exists"
    shown = client.get("/v1/people", headers=operator.auth).json()["items"]
    assert {row["actor"] for row in shown} == {"operator", "regulator"}
    assert client.get("/v1/interactions", headers=operator.auth).status_code == 403
    assert client.get("/v1/me", headers=auth).json()["regulator_id"] == regulator
    assert client.get("/v1/interactions", headers=auth).json()["code"] == "no_live_grant"


@pytest.mark.asvs("11.4.2")
def test_a_password_of_older_parameters_is_made_anew_at_the_next_log_in(
    client: TestClient, lender: Lender, ask: Any
) -> None:
    from argon2 import PasswordHasher

    set_password(client, add(client, lender.auth))
    ask("update person set password = %s", (PasswordHasher(1, 1024, 1).hash(PASSWORD),))

    cookie_of(enter(client, lender))

    (kept,) = ask("select password from person").fetchone()
    assert kept.split("$")[3] == hash_password("x").split("$")[3] == "m=19456,t=2,p=1"
    assert enter(client, lender).status_code == 204

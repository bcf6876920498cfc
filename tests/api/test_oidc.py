"""Log-in at a lender's own provider: a real one on a local port, honest and otherwise."""

import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from joserfc.jwk import RSAKey
from starlette.testclient import TestClient

from hegui.serve import create_api
from service.access import oidc
from service.access.console import COOKIE
from service.config import settings
from service.models import Scope
from tests.conftest import Database
from tests.factories import ORIGIN, Lender, make_person, make_tenant
from tests.oidc_server import CLIENT_ID, CLIENT_SECRET, OidcServer, callback

EMAIL = "li.na@bank.example"
USER = {"sub": "248289761001", "email": EMAIL, "email_verified": True, "name": "李娜"}


@pytest.fixture(scope="module")
def web(database: Database) -> Iterator[TestClient]:
    """The application as `hegui api` runs it: with its way out."""
    with TestClient(create_api(), follow_redirects=False) as client:
        yield client


@pytest.fixture
def provider(web: TestClient, clean: None) -> Iterator[OidcServer]:
    with OidcServer(user=dict(USER)) as server:
        allow(server.address)
        yield server
    del os.environ["HEGUI_EGRESS_ALLOW"]
    settings.cache_clear()
    oidc.forget_providers()


def allow(address: str) -> None:
    os.environ["HEGUI_EGRESS_ALLOW"] = address
    settings.cache_clear()
    oidc.forget_providers()


@pytest.fixture
def bank(provider: OidcServer, web: TestClient) -> Lender:
    """A lender whose people sign in at the provider, and one of them, not yet known there."""
    lender = make_tenant()
    configure(web, lender, provider.issuer)
    make_person(lender, scope=Scope.REVIEW, email=EMAIL)
    return lender


def configure(
    web: TestClient, lender: Lender, issuer: str, *, expect: int = 200, **more: Any
) -> Any:
    body = {"issuer": issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **more}
    answer = web.put("/v1/oidc", json=body, headers=lender.auth)
    assert answer.status_code == expect, answer.text
    return answer.json()


def start(web: TestClient, lender: Lender) -> tuple[str, dict[str, str]]:
    """Where the browser is sent, and the cookie it holds."""
    answer = web.get("/v1/oidc/start", params={"tenant_id": str(lender.id)})
    web.cookies.clear()
    assert answer.status_code == 303, answer.text
    (cookie,) = re.findall(rf"({oidc.BROWSER_COOKIE}=[^;]+)", answer.headers["set-cookie"])
    return answer.headers["location"], {"cookie": cookie}


def come_back(web: TestClient, back: dict[str, str], browser: dict[str, str]) -> Any:
    answer = web.get(callback(back), headers=browser)
    web.cookies.clear()
    return answer


def go(web: TestClient, lender: Lender, provider: OidcServer) -> Any:
    """One whole log-in; the answer of the way back."""
    url, browser = start(web, lender)
    return come_back(web, provider.authorize(url), browser)


def me(web: TestClient, answer: Any) -> Any:
    assert answer.status_code == 303, answer.text
    (value,) = re.findall(rf"{COOKIE}=([^;]+)", answer.headers["set-cookie"])
    shown = web.get("/v1/me", headers={"cookie": f"{COOKIE}={value}", "origin": ORIGIN})
    assert shown.status_code == 200
    return shown.json()


def test_the_provider_names_somebody_who_was_added_and_later_by_subject_alone(
    web: TestClient, bank: Lender, provider: OidcServer
) -> None:
    first = me(web, go(web, bank, provider))
    provider.user = {"sub": USER["sub"]}
    second = me(web, go(web, bank, provider))

    assert first["person"] == second["person"]
    assert first["person"].startswith("usr_")
    assert first["scope"] == "review"
    acts = web.get("/v1/audit", headers=bank.auth).json()["items"]
    assert [entry["action"] for entry in acts[:3]] == ["signed_in", "signed_in", "provider_bound"]
    assert EMAIL not in str(acts)


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("nonce", "another"),
        ("nonce", None),
        ("aud", "another-client"),
        ("aud", None),
        ("iss", "https://elsewhere.example"),
        ("exp", 1_700_000_000),
        ("exp", None),
        ("nbf", 4_000_000_000),
        ("iat", None),
        ("sub", ""),
        ("sub", None),
        ("azp", "another-client"),
        ("email", None),
        ("email", "nobody@bank.example"),
        ("email_verified", False),
        ("email_verified", "true"),
    ],
)
@pytest.mark.asvs("9.2.1", "9.2.3", "10.5.1", "10.5.4")
def test_a_word_that_does_not_hold_lets_nobody_in(
    web: TestClient, bank: Lender, provider: OidcServer, claim: str, value: Any
) -> None:
    def twist(claims: dict[str, Any]) -> None:
        claims.pop(claim, None)
        if value is not None:
            claims[claim] = value

    provider.twist = twist
    answer = go(web, bank, provider)
    provider.twist = None

    assert (answer.status_code, answer.json()["code"]) == (401, "bad_sign_in")
    assert COOKIE + "=" not in answer.headers.get("set-cookie", "")
    assert me(web, go(web, bank, provider)), "and an honest word does"


@pytest.mark.parametrize("forged", ["none", "HS256", "another key"])
@pytest.mark.asvs("6.8.2", "9.1.1", "9.1.2")
def test_a_word_that_the_provider_did_not_sign_lets_nobody_in(
    web: TestClient, bank: Lender, provider: OidcServer, forged: str
) -> None:
    url, browser = start(web, bank)
    back = provider.authorize(url)
    if forged == "another key":
        honest = provider.key
        sign = provider.sign

        def forge(claims: dict[str, Any]) -> str:
            provider.key = RSAKey.generate_key(2048, {"kid": "1", "use": "sig"})
            try:
                return sign(claims)
            finally:
                provider.key = honest

        provider.sign = forge  # type: ignore[method-assign]
    else:
        provider.header = {"alg": forged}

    answer = come_back(web, back, browser)

    assert (answer.status_code, answer.json()["code"]) == (401, "bad_sign_in")
    assert "/keys" in provider.asked


@pytest.mark.asvs("10.1.2", "10.2.1")
def test_a_state_and_a_code_work_once_for_the_browser_that_began(
    web: TestClient, bank: Lender, provider: OidcServer, database: Database
) -> None:
    url, browser = start(web, bank)
    back = provider.authorize(url)
    _, other = start(web, bank)
    told = [come_back(web, back, other)]
    told.append(come_back(web, back, browser))
    url, browser = start(web, bank)
    back = provider.authorize(url)
    assert come_back(web, back, browser).status_code == 303
    told.append(come_back(web, back, browser))
    url, browser = start(web, bank)
    told.append(come_back(web, {**provider.authorize(url), "code": back["code"]}, browser))
    told.append(come_back(web, {**back, "state": "x"}, browser))
    told.append(come_back(web, {"state": "x"}, browser))
    url, browser = start(web, bank)
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        connection.execute("update oidc_flow set expires_at = now()")
        connection.execute("delete from sign_in_attempt")
    told.append(come_back(web, provider.authorize(url), browser))

    assert {answer.status_code for answer in told} == {401}
    assert {answer.json()["code"] for answer in told} == {"bad_sign_in"}


@pytest.mark.asvs("6.8.1", "10.5.2")
def test_nobody_who_is_unknown_suspended_or_of_another_domain_gets_in(
    web: TestClient, bank: Lender, provider: OidcServer
) -> None:
    configure(web, bank, provider.issuer, domains=["other.example"])
    assert go(web, bank, provider).status_code == 401
    configure(web, bank, provider.issuer, domains=["Bank.example"])
    shown = me(web, go(web, bank, provider))
    people = web.get("/v1/people", headers=bank.auth).json()["items"]
    person = next(row["id"] for row in people if row["handle"] == shown["person"])
    assert people[0]["has_provider"] is True

    provider.user["sub"] = "somebody-else-with-the-same-address"
    assert go(web, bank, provider).status_code == 401
    provider.user = {**USER, "email": "new@bank.example", "sub": "7"}
    assert go(web, bank, provider).status_code == 401
    provider.user = dict(USER)
    web.post(f"/v1/people/{person}/suspend", headers=bank.auth)
    assert go(web, bank, provider).status_code == 401
    web.post(f"/v1/people/{person}/resume", headers=bank.auth)
    assert go(web, bank, provider).status_code == 303


def test_the_claim_gives_roles_makes_people_and_takes_roles_away(
    web: TestClient, bank: Lender, provider: OidcServer
) -> None:
    roles = {"hegui-admins": "admin", "hegui-readers": "read"}
    configure(
        web, bank, provider.issuer, role_claim="groups", roles=roles, domains=["bank.example"]
    )
    provider.user = {**USER, "email": "new@bank.example", "sub": "7"}

    assert go(web, bank, provider).status_code == 401
    provider.user["groups"] = ["staff", "hegui-readers", "hegui-admins"]
    first = me(web, go(web, bank, provider))
    provider.user["groups"] = "hegui-readers"
    second = me(web, go(web, bank, provider))
    provider.user["groups"] = []
    assert go(web, bank, provider).status_code == 401

    assert (first["scope"], second["scope"]) == ("admin", "read")
    assert first["person"] == second["person"]


@pytest.mark.asvs("10.2.2")
def test_a_provider_that_names_itself_is_held_to_it(
    web: TestClient, bank: Lender, provider: OidcServer
) -> None:
    provider.names_itself = True

    for change in ({"iss": "https://elsewhere.example"}, None):
        url, browser = start(web, bank)
        back = provider.authorize(url)
        sent = {**back, **change} if change else {k: v for k, v in back.items() if k != "iss"}
        assert come_back(web, sent, browser).status_code == 401
    assert go(web, bank, provider).status_code == 303


@pytest.mark.parametrize("what", ["issuer", "gone", "not allowed"])
@pytest.mark.asvs("1.3.6", "10.5.3")
def test_a_provider_that_is_not_what_was_set_is_not_used(
    web: TestClient, bank: Lender, provider: OidcServer, what: str
) -> None:
    path = "/v1/oidc/start"
    if what == "issuer":
        provider.issuer_told = "https://elsewhere.example"
    elif what == "gone":
        provider.metadata = dict  # type: ignore[method-assign]
    else:
        allow("127.0.0.1:1")
    before = len(provider.asked)

    answer = web.get(path, params={"tenant_id": str(bank.id)})

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert (len(provider.asked) > before) is (what != "not allowed")


def test_a_lender_without_a_provider_is_like_none(web: TestClient, clean: None) -> None:
    lender = make_tenant()

    answers = [
        web.get("/v1/oidc/start", params={"tenant_id": name})
        for name in (str(lender.id), "00000000-0000-4000-8000-000000000000")
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"issuer": "http://127.0.0.1/"}, "issuer"),
        ({"issuer": "https://169.254.169.254/"}, "issuer"),
        ({"issuer": "https://login.bank.example/?x=1"}, "issuer"),
        ({"roles": {"a": "read"}, "domains": ["a.example"]}, "role_claim"),
        ({"roles": {"a": "send"}, "role_claim": "groups", "domains": ["a.example"]}, "roles"),
        ({"roles": {"a": "read"}, "role_claim": "groups"}, "domains"),
    ],
)
def test_settings_that_cannot_be_name_their_field(
    web: TestClient, clean: None, change: dict[str, Any], field: str
) -> None:
    told = configure(
        web, make_tenant(), **{"issuer": "https://login.bank.example", **change, "expect": 422}
    )

    assert [each["field"] for each in told["errors"]] == [field]


@pytest.mark.asvs("13.3.1")
def test_the_clients_secret_is_sealed_and_shown_to_nobody(
    web: TestClient, bank: Lender, database: Database
) -> None:
    shown = web.get("/v1/oidc", headers=bank.auth)
    with psycopg.connect(database.superuser_url) as connection:
        (kept,) = connection.execute("select client_secret from oidc_provider").fetchone() or ("",)

    assert CLIENT_SECRET not in shown.text
    assert CLIENT_SECRET.encode() not in bytes(kept)
    assert shown.json()["redirect_uri"] == f"{ORIGIN}/v1/oidc/callback"
    assert web.delete("/v1/oidc", headers=bank.auth).status_code == 204
    assert web.get("/v1/oidc", headers=bank.auth).status_code == 404


@pytest.mark.filterwarnings("ignore")  # its own, of what it is made from
def test_a_provider_that_others_wrote_lets_somebody_in(
    web: TestClient, bank: Lender, provider: OidcServer
) -> None:
    import oidc_provider_mock  # type: ignore[import-untyped]

    user = oidc_provider_mock.User(sub="1", claims={"email": EMAIL, "email_verified": True})

    with oidc_provider_mock.run_server_in_thread(user_claims=[user]) as server:
        address = f"localhost:{server.server_port}"
        allow(address)
        configure(web, bank, f"http://{address}")
        url, browser = start(web, bank)
        signed = httpx.post(url, data={"sub": "1"}, trust_env=False)
        back = urlsplit(signed.headers["location"])
        answer = web.get(f"{back.path}?{back.query}", headers=browser)
        web.cookies.clear()

        assert me(web, answer)["scope"] == "review"

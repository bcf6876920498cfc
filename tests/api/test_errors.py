"""Every error has one shape, and says nothing about the person or the machine."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from openapi_spec_validator import validate
from starlette.testclient import TestClient

from hegui.postgres import Postgres
from service import db
from service.app import create_app
from service.config import settings
from service.models import Actor
from service.provision import migrate
from tests.factories import Sender, make_agency, make_key, make_sms, make_tenant, post_event


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/webhooks/1", 405),
        ("POST", "/v1/agencies", 401),
        ("GET", "/v1/receipts/75424156-c698-46ea-b2ef-830d1463f054", 401),
    ],
)
def test_framework_errors_have_our_shape(
    client: TestClient, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"]
    assert {"type", "title", "status", "detail", "code"} <= set(answer.json())


def test_unknown_fields_and_foreign_words_are_refused_in_administration(
    client: TestClient,
) -> None:
    lender = make_tenant()

    answer = client.post(
        "/v1/agencies", json={"name": "a", "tenant_id": str(uuid4())}, headers=lender.auth
    )

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "tenant_id"


@pytest.mark.parametrize("name", ["", " ", "a\x00b", "\u202e", "x" * 201])
def test_names_are_printable(client: TestClient, name: str) -> None:
    answer = client.post("/v1/agencies", json={"name": name}, headers=make_tenant().auth)

    assert answer.status_code == 422


def test_administrator_sets_up_an_agency_that_can_send(client: TestClient) -> None:
    lender = make_tenant()

    agency = client.post("/v1/agencies", json={"name": "甲公司"}, headers=lender.auth).json()
    key = client.post(
        "/v1/keys",
        json={"actor": "agency", "scope": "send", "label": "dialler", "agency_id": agency["id"]},
        headers=lender.auth,
    ).json()
    auth = {"authorization": f"Bearer {key['key']}"}

    assert agency["webhook_path"] == f"/v1/webhooks/{agency['id']}"
    assert client.get(f"/v1/receipts/{uuid4()}", headers=auth).status_code == 404
    assert client.post("/v1/agencies", json={"name": "乙"}, headers=auth).status_code == 403
    ended = client.delete(f"/v1/keys/{key['id']}", headers=lender.auth)
    assert ended.status_code == 204
    assert client.get(f"/v1/receipts/{uuid4()}", headers=auth).status_code == 401


@pytest.mark.parametrize(
    "wish",
    [
        {"actor": "agency", "scope": "send", "label": "x"},
        {"actor": "agency", "scope": "send", "label": "x", "agency_id": str(uuid4())},
        {"actor": "lender", "scope": "send", "label": "x"},
        {"actor": "regulator", "scope": "read", "label": "x"},
        {"actor": "king", "scope": "read", "label": "x"},
    ],
)
def test_key_that_contradicts_itself_is_refused(client: TestClient, wish: dict[str, Any]) -> None:
    answer = client.post("/v1/keys", json=wish, headers=make_tenant().auth)

    assert answer.status_code == 422
    assert answer.json()["errors"]


@pytest.mark.parametrize(
    "url",
    [
        "http://lender.example/a",
        "ftp://x",
        "https://127.0.0.1/",
        "https://user@lender.example/",
        "",
    ],
)
def test_endpoint_we_would_not_dial_is_refused(client: TestClient, url: str) -> None:
    answer = client.post("/v1/endpoints", json={"url": url}, headers=make_tenant().auth)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "url"


def test_endpoint_is_added_with_its_secret(client: TestClient) -> None:
    answer = client.post(
        "/v1/endpoints", json={"url": "https://lender.example/alerts"}, headers=make_tenant().auth
    )

    assert answer.status_code == 201
    assert answer.json()["secret"].startswith("whsec_")


def test_ended_keys_are_refused_alike(client: TestClient) -> None:
    lender = make_tenant()
    expired = make_key(lender, Actor.LENDER, expires_at=None).token
    tokens = ["", "hg_dev_x", expired[:-1] + ("0" if expired[-1] != "0" else "1"), "Bearer"]

    answers = [
        client.get(f"/v1/receipts/{uuid4()}", headers={"authorization": f"Bearer {token}"})
        for token in tokens
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1


def test_health_and_openapi(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 200
    assert b"hegui_http_answers_total" in client.get("/metrics").content
    document = client.get("/openapi.json").json()
    post = document["paths"]["/v1/webhooks/{agency_id}"]["post"]
    content = post["requestBody"]["content"]["application/json"]
    assert set(content["examples"]) == {"call", "sms", "case", "stop"}
    assert "Problem" in document["components"]["schemas"]
    assert "webhookSignature" in document["components"]["securitySchemes"]


def test_database_that_dies_costs_nothing_acknowledged(tmp_path: Path, clean: None) -> None:
    """Kill every database process while events come in; start it again in the same process."""
    before = settings().database_url.get_secret_value()
    folder = tmp_path / "pg"
    with Postgres(folder, say=lambda _: None) as server:
        migrate(server.owner_url)
        _point_at(server.app_url)
        try:
            with TestClient(create_app()) as client:
                agency = make_agency(make_tenant())
                assert post_event(client, agency, make_sms()).status_code == 202
                acknowledged = _storm(client, agency, server)
                assert client.get("/readyz").status_code == 200
            with psycopg.connect(server.owner_url, user="postgres") as connection:
                stored = {name for (name,) in connection.execute("select message_id from event")}
        finally:
            _point_at(before)
    assert acknowledged <= stored
    assert len(acknowledged) == 60


def _point_at(url: str) -> None:
    db.dispose()
    os.environ["HEGUI_DATABASE_URL"] = url
    settings.cache_clear()


def _storm(client: TestClient, agency: Sender, server: Postgres) -> set[str]:
    """Send 60 events, each until it is acknowledged; kill the server after the first ones."""
    statuses: list[int] = []
    killed = threading.Event()

    def send(number: int) -> str:
        event, name = make_sms(), f"msg_{number}"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status = post_event(client, agency, event, message_id=name).status_code
            statuses.append(status)
            if status in {200, 202}:
                return name
            killed.set()
        raise AssertionError

    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(send, number) for number in range(60)]
        sent[10].result()
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        assert killed.wait(30)
        assert server.restart_if_dead()
        names = {one.result() for one in sent}
    assert set(statuses) == {202, 503} or set(statuses) == {200, 202, 503}
    return names


def test_openapi_is_valid_and_documents_every_refusal(client: TestClient) -> None:
    document = client.get("/openapi.json").json()

    validate(document)

    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            refused = operation["responses"]["422"]["content"]
            assert list(refused) == ["application/problem+json"], (method, path)

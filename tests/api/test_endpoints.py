"""Endpoints subscribe to what they want, and no filter mutes a critical violation."""

from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient

from rules.model import Disposition, Severity
from service.alerts.routing import Told, route
from service.db import tenant_session
from service.models import Actor, AuditEntry, Endpoint, Scope
from tests.factories import Lender, Sender, make_agency, make_key, make_regulator, make_tenant

URL = "https://alerts.example.com/hook?token=secret"
AGENCY, OTHER = uuid4(), uuid4()


def told(rule: str, severity: str, disposition: str = "violation") -> Told:
    return Told(rule, Severity(severity), Disposition(disposition))


THREAT = told("THR-02", "critical")
NIGHT = told("TIM-02", "high")
NOTE = told("WRN-01", "low")
DOUBT = told("THR-02", "critical", "review")


def endpoint(**values: Any) -> Endpoint:
    return Endpoint(tenant_id=uuid4(), url=URL, secret="", **values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, [THREAT, NIGHT, NOTE]),
        ({"lowest_severity": "high"}, [THREAT, NIGHT]),
        ({"families": ["TIM", "WRN"]}, [NIGHT, NOTE, THREAT]),
        ({"agencies": [str(OTHER)]}, [THREAT]),
        ({"agencies": [str(AGENCY)], "families": ["THR"]}, [THREAT]),
        ({"dispositions": ["review"]}, [DOUBT, THREAT]),
        ({"dispositions": ["violation", "review"]}, [THREAT, NIGHT, NOTE, DOUBT]),
    ],
)
def test_a_filter_divides_but_the_only_endpoint_hears_of_every_critical_violation(
    values: dict[str, Any], expected: list[Told]
) -> None:
    only = endpoint(**values)

    assert route([only], AGENCY, [THREAT, NIGHT, NOTE, DOUBT]) == {only.id: expected}


def test_a_critical_violation_that_nobody_wants_goes_to_everybody() -> None:
    threats, nights = endpoint(families=["THR"]), endpoint(families=["TIM"])
    privacy = told("PRV-01", "critical")

    chosen = route([threats, nights], AGENCY, [THREAT, NIGHT, privacy])

    assert chosen == {threats.id: [THREAT, privacy], nights.id: [NIGHT, privacy]}


def post(client: TestClient, lender: Lender, **values: Any) -> Any:
    return client.post("/v1/endpoints", json={"url": URL, **values}, headers=lender.auth)


def test_an_endpoint_is_added_listed_changed_and_removed(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    wish = {"agencies": [str(agency.id)], "families": ["THR"], "lowest_severity": "high"}
    made = post(client, lender, **wish)
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    other = post(client, lender).json()

    path = f"/v1/endpoints/{made.json()['id']}"
    change = {"families": None, "escalate_to": other["id"], "escalate_after_s": 600}
    changed = client.patch(path, json=change, headers=lender.auth)
    assert changed.status_code == 200
    shown = client.get("/v1/endpoints", headers=lender.auth).json()["items"][0]
    assert shown == changed.json()
    assert shown["agencies"] == [str(agency.id)]
    assert (shown["families"], shown["lowest_severity"]) == (None, "high")
    assert (shown["escalate_to"], shown["escalate_after_s"]) == (other["id"], 600)
    assert "secret" not in shown
    assert "token" not in shown["url"]

    assert client.delete(f"/v1/endpoints/{other['id']}", headers=lender.auth).status_code == 204
    [left] = client.get("/v1/endpoints", headers=lender.auth).json()["items"]
    assert (left["id"], left["escalate_to"]) == (shown["id"], None)
    with tenant_session(lender.id) as session:
        query = select(AuditEntry.action).where(col(AuditEntry.action).startswith("endpoint"))
        assert session.exec(query.order_by(col(AuditEntry.seq))).all() == [
            "endpoint_added", "endpoint_added", "endpoint_changed", "endpoint_removed",
        ]  # fmt: skip


def test_what_does_not_fit_is_refused_by_its_field(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    neighbour = make_tenant()
    stranger, elsewhere = make_agency(neighbour), post(client, neighbour).json()["id"]
    for values, field in (
        ({"agencies": [str(stranger.id)]}, "agencies"),
        ({"escalate_to": elsewhere, "escalate_after_s": 600}, "escalate_to"),
        ({"escalate_after_s": 600}, "escalate_after_s"),
        ({"kind": "dingtalk"}, "secret"),
        ({"kind": "wecom", "secret": "x"}, "secret"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"kind": "email", "url": "mailto:a@b"}, "url"),
        ({"kind": "email", "url": "mailto:risk@bank.example"}, "kind"),
    ):
        answer = post(client, lender, **values)
        assert answer.status_code == 422, values
        assert field in {problem["field"] for problem in answer.json()["errors"]}, values
    own = post(client, lender).json()["id"]
    itself = {"escalate_to": own, "escalate_after_s": 600}
    assert client.patch(f"/v1/endpoints/{own}", json=itself, headers=lender.auth).status_code == 422


def test_one_robot_has_one_endpoint_and_shows_no_token(client: TestClient, lender: Lender) -> None:
    robot = {"kind": "dingtalk", "secret": "SEC0123", "url": "https://oapi.dingtalk.com/s?a=token"}

    made = post(client, lender, **robot)

    assert made.status_code == 201
    assert made.json()["secret"] == ""
    assert made.json()["window_s"] == 60
    assert "token" not in made.text
    assert post(client, lender, **robot).status_code == 409


def test_only_an_administrator_of_the_lender_changes_endpoints(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    reader = {"authorization": f"Bearer {make_key(lender, Actor.LENDER, scope=Scope.READ).token}"}
    regulator = {"authorization": f"Bearer {make_regulator(lender).token}"}

    for auth in (agency.auth, regulator):
        assert client.get("/v1/endpoints", headers=auth).status_code == 403
    assert client.get("/v1/endpoints", headers=reader).status_code == 200
    for auth in (agency.auth, regulator, reader):
        answer = client.post("/v1/endpoints", json={"url": URL}, headers=auth)
        assert answer.status_code == 403

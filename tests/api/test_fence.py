"""The neighbour test: another lender's ids do not exist, on any route, byte for byte."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from service.app import create_app
from service.db import tenant_session
from service.models import Actor, AlertRow, FindingRow, VerdictRow
from service.reviews_models import DisputeRow
from service.tenants import add_regulator
from tests.factories import (
    Lender,
    Sender,
    make_agency,
    make_grant,
    make_key,
    make_sms,
    make_tenant,
    post_event,
    put_recording,
)
from tests.people import draw_all_twice
from tests.retention import keep_bytes, tick

ROUTES = sorted(
    (path, method.upper())
    for path, methods in create_app().openapi()["paths"].items()
    for method in methods
    if "{" in path
)
# Their ids are no secret of a tenant's: a webhook answers 401 to all but the right signature, and
# a recording's address is the hash of bytes that the caller itself brings.
OWN_TESTS = {
    ("/v1/webhooks/{agency_id}", "POST"),
    ("/v1/recordings/{sha256}", "PUT"),
    ("/v1/recordings/{sha256}", "GET"),  # tests/api/test_playback.py
    ("/v1/call-lists/{agency_id}/{day}", "PUT"),  # tests/api/test_completeness.py
}
# A body that is whole, so that the id alone decides.
BODIES: dict[str, dict[str, Any]] = {
    "/v1/agencies/{agency_id}/endpoint": {"url": "https://agency.example.com/"},
    "/v1/holds/{hold}/release": {"reason": "x"},
    "/v1/purges/{purge_run}/approve": {"list_sha256": "0" * 64},
    "/v1/keys/{key}/rotate": {},
    "/v1/interactions/{interaction}/unmask": {"reason": "x"},
    "/v1/findings/{finding}/assignment": {"reviewer": None},
    "/v1/findings/{finding}/review": {"decision": "confirm", "reason": "确实如此"},
    "/v1/findings/{finding}/disputes": {"text": "这不是违规，请复核。"},
    "/v1/disputes/{dispute}/judgement": {"upheld": True, "reason": "确实如此"},
    "/v1/reviews/samples/{sample}/items/{interaction}/claim": {},
    "/v1/reviews/samples/{sample}/items/{interaction}/reading": {
        "missed": [],
        "reason": "没有问题",
    },
    "/v1/endpoints/{endpoint}": {"active": True},
    "/v1/endpoints/{endpoint}/secret": {},
    "/v1/endpoints/{endpoint}/recover": {"since": "2026-06-01T00:00:00Z"},
}
PAST = datetime(2026, 6, 3, tzinfo=UTC)
QUERY = {"from": "2026-06-01", "to": "2026-07-01", "year": "2026"}
MOMENTS = {"from": "2026-06-01T00:00:00Z", "to": "2026-07-01T00:00:00Z"}


@dataclass(frozen=True)
class World:
    """A lender with everything in it, and a neighbour."""

    lender: Lender
    agency: Sender
    sibling: Sender
    ids: dict[str, str]
    neighbour: Lender
    stranger: Sender


def make_alert(lender: Lender, agency: Sender, interaction: UUID, endpoint: UUID) -> UUID:
    with tenant_session(lender.id) as session:
        verdict = VerdictRow(
            tenant_id=lender.id,
            interaction_id=interaction,
            revision=1,
            outcome="fail",
            pack="collection",
            pack_digest="",
            findings_digest="",
        )
        session.add(verdict)
        session.flush()
        alert = AlertRow(
            tenant_id=lender.id,
            endpoint_id=endpoint,
            interaction_id=interaction,
            verdict_id=verdict.id,
            message_id="alert_1",
            payload={},
            agency_id=agency.id,
        )
        session.add(alert)
        return alert.id


def make_people_rows(lender: Lender, agency: Sender, interaction: UUID) -> dict[str, str]:
    """A finding of the contact, a dispute of it, and a sample."""
    sample = draw_all_twice(lender)
    with tenant_session(lender.id) as session:
        verdict = session.exec(
            select(VerdictRow).where(VerdictRow.interaction_id == interaction)
        ).one()
        finding = FindingRow(
            tenant_id=lender.id,
            verdict_id=verdict.id,
            interaction_id=interaction,
            agency_id=agency.id,
            position=0,
            rule="THR-02",
            severity="high",
            disposition="violation",
            doc={},
            started_at=PAST,
        )
        session.add(finding)
        session.flush()
        dispute = DisputeRow(
            tenant_id=lender.id,
            interaction_id=interaction,
            mark="",
            finding_id=finding.id,
            agency_id=agency.id,
            rule="THR-02",
            severity="high",
            text="",
            opened_by="",
            opened_at=PAST,
            window_until=PAST + timedelta(days=1),
            decide_by=PAST + timedelta(days=2),
        )
        session.add(dispute)
        return {"finding": str(finding.id), "dispute": str(dispute.id), "sample": str(sample)}


@pytest.fixture
def world(client: TestClient) -> World:
    lender, neighbour = make_tenant("甲银行"), make_tenant("乙银行")
    agency, stranger = make_agency(lender), make_agency(neighbour)
    receipt = post_event(client, agency, make_sms()).json()["receipt"]
    put_recording(client, agency, b"audio")
    made = client.post(
        "/v1/endpoints", json={"url": "https://alerts.example.com/"}, headers=lender.auth
    )
    [item] = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    hold = client.post(
        "/v1/holds", json={"reason": "x", "case_id": "K-1"}, headers=lender.auth
    ).json()
    tick()
    past = datetime.now(UTC) - timedelta(days=9000)
    keep_bytes(agency, b"long ago", at=past)
    purge = client.post("/v1/purges", headers=lender.auth).json()
    ids = {
        "hold": hold["id"],
        "purge_run": purge["id"],
        "interaction": item["id"],
        "receipt": receipt,
        "agency_id": str(agency.id),
        "endpoint": made.json()["id"],
        "alert": str(make_alert(lender, agency, UUID(item["id"]), UUID(made.json()["id"]))),
        "key": str(make_key(lender, Actor.LENDER).id),
        "grant": str(make_grant(lender, add_regulator("监管局").id)),
        **make_people_rows(lender, agency, UUID(item["id"])),
    }
    return World(lender, agency, make_agency(lender), ids, neighbour, stranger)


def _ask(client: TestClient, path: str, method: str, value: str, auth: dict[str, str]) -> Any:
    name = path[path.index("{") + 1 : path.index("}")]
    address = path.replace("{" + name + "}", value)
    address = address.replace("{sha256}", "0" * 64).replace("{interaction}", str(UUID(int=0)))
    query = MOMENTS if path.startswith(("/v1/checks/", "/v1/scorecards/")) else QUERY
    query = QUERY if path.endswith("/evaluation") else query
    params, body = (query, None) if method == "GET" else ({}, BODIES.get(path))
    return client.request(method, address, params=params, json=body, headers=auth)


@pytest.mark.parametrize(
    ("path", "method"), [route for route in ROUTES if route not in OWN_TESTS], ids=str
)
def test_foreign_ids_are_answered_like_ids_that_never_were(
    client: TestClient, world: World, path: str, method: str
) -> None:
    name = path[path.index("{") + 1 : path.index("}")]
    assert name in world.ids, "a route's id is missing in this test's world"

    for auth in (world.neighbour.auth, world.stranger.auth):
        foreign = _ask(client, path, method, world.ids[name], auth)
        random = _ask(client, path, method, str(uuid4()), auth)

        assert foreign.status_code in {403, 404}, foreign.text
        assert foreign.status_code == random.status_code
        assert foreign.content == random.content
    assert _ask(client, path, method, world.ids[name], {}).status_code == 401


def test_lists_hold_nothing_of_a_neighbour(client: TestClient, world: World) -> None:
    for path in ("/v1/interactions", "/v1/findings"):
        for auth in (world.neighbour.auth, world.stranger.auth, world.sibling.auth):
            assert client.get(path, headers=auth).json()["items"] == []
    for auth in (world.neighbour.auth, world.stranger.auth):
        assert str(world.agency.id) not in client.get("/v1/agencies", headers=auth).text

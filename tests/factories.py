"""Makers of what tests stand on: plain functions with keyword overrides, through the real doors."""

import hashlib
import json
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from standardwebhooks import Webhook
from starlette.testclient import TestClient

from service.access import console, grants, persons, tenants
from service.access.console import Caller
from service.access.grants import GrantWish
from service.access.keys import IssuedKey, KeyWish, add_key
from service.access.models import GrantField
from service.access.notebook import OPERATOR
from service.access.person_models import How, Person
from service.access.persons import Circle, PersonWish
from service.db import front_door_session, tenant_session
from service.models import Actor, Scope


@dataclass(frozen=True)
class Lender:
    """A tenant and its administrator key."""

    id: UUID
    key: str

    @property
    def key_id(self) -> str:
        return self.key.split("_")[2]

    @property
    def auth(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}


@dataclass(frozen=True)
class Sender:
    """An agency, its webhook secret and its key."""

    tenant_id: UUID
    id: UUID
    secret: str
    key: str

    @property
    def auth(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}


def make_tenant(name: str = "示例银行") -> Lender:
    tenant, key = tenants.add_tenant(name)
    return Lender(tenant.id, key.token)


def make_key(lender: Lender, actor: Actor = Actor.LENDER, **wish: Any) -> IssuedKey:
    scope = {Actor.LENDER: Scope.ADMIN, Actor.AGENCY: Scope.SEND}.get(actor, Scope.READ)
    made = KeyWish(**{"actor": actor, "scope": scope, "label": "test", **wish})
    with tenant_session(lender.id) as session:
        return add_key(session, tenant_id=lender.id, wish=made, by="test")


def make_regulator_key(regulator: UUID) -> IssuedKey:
    wish = KeyWish(Actor.REGULATOR, Scope.READ, "test", regulator_id=regulator)
    with front_door_session() as session:
        return add_key(session, tenant_id=None, wish=wish, by=OPERATOR)


def make_grant(lender: Lender, regulator: UUID, **wish: Any) -> UUID:
    """A grant in force, approved by the lender's administrator and the operator."""
    terms = {
        "case_number": "金罚查〔2026〕1号",
        "purpose": "inspection",
        "period_from": datetime(2026, 1, 1, tzinfo=UTC),
        "period_to": datetime(2027, 1, 1, tzinfo=UTC),
        "ends_at": datetime.now(UTC) + timedelta(days=30),
        "fields": frozenset({GrantField.TRANSCRIPTS, GrantField.RECORDINGS}),
        **wish,
    }
    with tenant_session(lender.id) as session:
        asked = GrantWish(regulator_id=regulator, **terms)
        grant = grants.request_grant(session, tenant_id=lender.id, wish=asked, by=OPERATOR)
        grants.approve_grant(session, grant.id, by=OPERATOR)
        grants.approve_grant(session, grant.id, by=lender.key_id)
        return grant.id


def make_regulator(lender: Lender, **wish: Any) -> IssuedKey:
    """The key of a new regulator with one grant in force; keywords are the grant's terms."""
    regulator = tenants.add_regulator("示例监管局")
    make_grant(lender, regulator.id, **wish)
    return make_regulator_key(regulator.id)


ORIGIN = "http://127.0.0.1:8080"  # what the setting says where it is not set


@dataclass(frozen=True)
class Signed:
    """Somebody who signed in, and what that browser sends."""

    id: UUID
    handle: str
    token: str

    @property
    def auth(self) -> dict[str, str]:
        return {"cookie": f"{console.COOKIE}={self.token}", "origin": ORIGIN}


def make_person(
    lender: Lender | None, actor: Actor = Actor.LENDER, scope: Scope = Scope.ADMIN, **wish: Any
) -> Person:
    """Somebody who may sign in; no lender: an operator, or of `regulator_id`."""
    tenant = lender.id if lender else None
    asked = PersonWish(
        actor, scope, **{"email": f"{uuid4().hex}@example.com", "name": "李娜", **wish}
    )
    with console.circle_session(tenant) as session:
        return persons.add_person(session, Circle(tenant), asked, by=OPERATOR)


def sign_in(person: Person) -> Signed:
    """A session of somebody, as the provider's word would begin it."""
    caller = Caller("127.0.0.1", "test")
    return Signed(
        person.id, person.handle, console.begin_session(person, How.OIDC, caller, old=None)
    )


def make_agency(lender: Lender, name: str = "示例催收公司") -> Sender:
    with tenant_session(lender.id) as session:
        agency = tenants.add_agency(session, tenant_id=lender.id, name=name, by="test")
    key = make_key(lender, Actor.AGENCY, agency_id=agency.id)
    return Sender(lender.id, agency.id, agency.webhook_secret, key.token)


def make_sms(**data: Any) -> dict[str, Any]:
    """An SMS event; keywords replace fields of its data."""
    return {
        "type": "interaction.completed",
        "timestamp": data.pop("timestamp", "2026-06-03T11:00:00+08:00"),
        "data": {
            "interaction_id": f"S-{uuid4().hex[:12]}",
            "case_id": "K-1",
            "channel": "sms",
            "direction": "outbound",
            "started_at": "2026-06-03T11:00:00+08:00",
            "outcome": "delivered",
            "collector": {"id": "E-104"},
            "party": {"role": "debtor", "phone": "+8613800000001"},
            "text": "您的账单已逾期，请尽快与我们联系。",
            **data,
        },
    }


def make_call(**data: Any) -> dict[str, Any]:
    """An answered call; pass `recording=` or `transcript=` for its words."""
    return make_sms(
        **{
            "interaction_id": f"C-{uuid4().hex[:12]}",
            "channel": "call",
            "outcome": "answered",
            "talk_seconds": 60,
            "text": None,
            **data,
        }
    )


def make_recording(audio: bytes, **fields: Any) -> dict[str, Any]:
    """The `recording` part of an event for these bytes."""
    return {
        "sha256": hashlib.sha256(audio).hexdigest(),
        "speakers": ["collector", "party"],
        **fields,
    }


def make_case(**data: Any) -> dict[str, Any]:
    return {
        "type": "case.upserted",
        "timestamp": data.pop("timestamp", "2026-06-01T09:00:00+08:00"),
        "data": {
            "case_id": "K-1",
            "product": "credit_card",
            "debtor": {"name": "示例", "phones": ["+8613800000001"]},
            **data,
        },
    }


def encode(document: Any) -> bytes:
    return json.dumps(deepcopy(document), ensure_ascii=False).encode()


def sign(
    secret: str, body: bytes, *, message_id: str | None = None, at: datetime | None = None
) -> dict[str, str]:
    """The three headers of a webhook, as an agency's sender makes them."""
    moment = at or datetime.now(UTC)
    name = message_id or f"msg_{uuid4().hex}"
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(name, moment, body.decode()),
        "content-type": "application/json",
    }


def post_event(
    client: TestClient, agency: Sender, document: Any, *, message_id: str | None = None
) -> Any:
    """Post one signed event; returns the response."""
    body = document if isinstance(document, bytes) else encode(document)
    headers = sign(agency.secret, body, message_id=message_id)
    return client.post(f"/v1/webhooks/{agency.id}", content=body, headers=headers)


def put_recording(client: TestClient, agency: Sender, audio: bytes, **headers: str) -> Any:
    """Put a recording's bytes under their hash; returns the response."""
    name = hashlib.sha256(audio).hexdigest()
    return client.put(f"/v1/recordings/{name}", content=audio, headers={**agency.auth, **headers})

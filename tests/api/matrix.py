"""Who may do what: one rule for every route, and a world in which each of them can be tried.

A new route needs a line in RULES; tests/api/test_matrix.py says so where one is missing, and tries
every route with every actor and every id. docs/access.md shows the same table.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlmodel import select
from starlette.testclient import TestClient

from service.access import tenants
from service.access.models import GrantField
from service.access.persons import end_sessions
from service.clock import now
from service.db import tenant_session
from service.keeping.retention_models import PurgeRun
from service.models import Actor, AlertRow, Scope, VerdictRow
from service.people.models import DisputeRow
from tests.factories import (
    Lender,
    Sender,
    make_agency,
    make_call,
    make_grant,
    make_key,
    make_person,
    make_regulator_key,
    make_tenant,
    post_event,
    put_recording,
    sign_in,
)
from tests.people import THREAT, send_threat

ADMIN, REVIEW, VIEWER = "admin", "review", "viewer"
SEND, QUALITY, CLERK = "send", "quality", "clerk"
REGULATOR = "regulator"
OPERATOR = "operator"
LENDER = frozenset({ADMIN, REVIEW, VIEWER})
REVIEWERS = frozenset({ADMIN, REVIEW})
AGENCY = frozenset({SEND, QUALITY, CLERK})
PARTICIPANTS = LENDER | AGENCY
OVERSEERS = LENDER | {REGULATOR}
EVERYBODY = PARTICIPANTS | {REGULATOR}
ADMINISTRATOR = frozenset({ADMIN})
KEEPERS = frozenset({ADMIN, OPERATOR})
SENDER, ITS_QUALITY, ITS_REGULATOR = map(frozenset, ({SEND}, {QUALITY}, {REGULATOR}))

Auth = dict[str, str]
AUDIO = b"audio of the matrix"
SHA256 = hashlib.sha256(AUDIO).hexdigest()
# What everybody may put in: other bytes, so that nobody else comes to own the world's recording.
SPARE = b"another recording"
SPARE_SHA256 = hashlib.sha256(SPARE).hexdigest()
CAMPAIGN = "0c5f4d1e-6f5b-4a0e-9b7f-2f6a3c1d8e90"
DAYS = {"from": "2026-06-01", "to": "2026-07-01"}
MOMENTS = {"from": "2026-06-01T00:00:00Z", "to": "2026-07-01T00:00:00Z"}


@dataclass(frozen=True)
class Rule:
    """Who may take a route, and a request that is whole, so that the caller alone decides.

    `ids` maps a parameter of the path to what it names in the world; `fresh` makes a new one for
    each request. `fixed` are parameters that are no ids. `body_ids` are fields of the body that
    take an id: a foreign one is answered like one that never was. `echoes` says that ids which
    others have asked for in vain are shown. `ok` are the statuses of those
    who may: for a read 200, for an act any but a refusal of the caller.
    """

    who: frozenset[str]
    body: Any = None
    query: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    fresh: frozenset[str] = frozenset()
    fixed: dict[str, str] = field(default_factory=dict)
    body_ids: dict[str, str] = field(default_factory=dict)
    echoes: bool = False
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    ok: frozenset[int] = frozenset()


def reads(who: frozenset[str], **more: Any) -> Rule:
    return Rule(who, **{"ok": frozenset({200}), **more})


def acts(who: frozenset[str], body: Any = None, **more: Any) -> Rule:
    return Rule(who, body, **{"ok": frozenset({200, 201, 202, 204, 409, 422}), **more})


INTERACTION = {"interaction": "interaction"}
OF_AGENCY = {"agency_id": "agency"}
FINDING, DISPUTE = {"finding": "finding"}, {"dispute": "dispute"}
KEY, GRANT, SAMPLE = {"key": "key"}, {"grant": "grant"}, {"sample": "sample"}
REVIEW_SAMPLE = {"sample": "review_sample"}
PURGE, HOLD = {"purge_run": "purge_run"}, {"hold": "hold"}
MANIFEST = {"manifest": "manifest"}
ENDPOINT, ALERT = {"endpoint": "endpoint"}, {"alert": "alert"}
NEW_AGENCY = {"ids": {"agency_id": "new_agency"}, "fresh": frozenset({"new_agency"})}
NEW_KEY = {"ids": {"key": "new_key"}, "fresh": frozenset({"new_key"})}
PERSON = {"person": "person"}
NEW_PERSON = {"ids": {"person": "new_person"}, "fresh": frozenset({"new_person"})}
NEW_ENDPOINT = {"ids": {"endpoint": "new_endpoint"}, "fresh": frozenset({"new_endpoint"})}
WHY = "这是借款人自己的话，催收员只是复述，请听录音。"
TERMS = {
    "case_number": "1",
    "purpose": "x",
    "period_from": "2026-01-01T00:00:00Z",
    "period_to": "2027-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "starts_at": "2098-06-01T00:00:00Z",
}

# A person of whom nothing is held: its routes are asked without harm to the world.
SUBJECTS = frozenset({200, 404, 409, 422})

# Answered to everybody, without a key: they say nothing of anybody.
OPEN = {"GET /healthz", "GET /readyz", "GET /metrics", "GET /v1/health", "GET /openapi.json"}
# Those who signed in act on their own sessions: no key does. tests/api/test_sign_in.py has more.
BY_SESSION = {
    "DELETE /v1/session",
    "GET /v1/sessions",
    "DELETE /v1/sessions/{session}",
    "PUT /v1/password",
}
# Whose caller is told otherwise than by an API key; each has tests of its own.
OTHERWISE = {
    "POST /v1/token": "a key in the body or as Basic: tests/api/test_access.py",
    "POST /v1/session": "an address and a password: tests/api/test_sign_in.py",
    "POST /v1/password": "a token in the body: tests/api/test_sign_in.py",
    "GET /v1/oidc/start": "a browser that has nothing yet: tests/api/test_oidc.py",
    "GET /v1/oidc/callback": "the provider's word: tests/api/test_oidc.py",
    "POST /v1/webhooks/{agency_id}": "the agency's signature: tests/api/test_webhooks.py",
}

RULES: dict[str, Rule] = {
    "GET /v1/receipts/{receipt}": reads(PARTICIPANTS, ids={"receipt": "receipt"}),
    "PUT /v1/recordings/{sha256}": acts(SENDER, fixed={"sha256": SPARE_SHA256}, content=SPARE),
    "GET /v1/recordings/{sha256}": reads(
        REVIEWERS | AGENCY | {REGULATOR}, ids={"sha256": "recording"}
    ),
    "GET /v1/interactions": reads(EVERYBODY),
    "GET /v1/interactions/{interaction}": reads(EVERYBODY, ids=INTERACTION),
    "GET /v1/interactions/{interaction}/verdicts": reads(EVERYBODY, ids=INTERACTION),
    "GET /v1/interactions/{interaction}/transcript": reads(EVERYBODY, ids={"interaction": "call"}),
    "GET /v1/interactions/{interaction}/vcon": reads(EVERYBODY, ids=INTERACTION),
    "GET /v1/interactions/{interaction}/bundle": reads(EVERYBODY, ids=INTERACTION),
    "POST /v1/interactions/{interaction}/unmask": acts(
        ITS_REGULATOR, {"reason": "x"}, ids=INTERACTION
    ),
    "GET /v1/findings": reads(EVERYBODY),
    "POST /v1/findings/{finding}/claim": acts(REVIEWERS, ids=FINDING),
    "DELETE /v1/findings/{finding}/claim": acts(REVIEWERS, ids=FINDING),
    "PUT /v1/findings/{finding}/assignment": acts(ADMINISTRATOR, {"reviewer": None}, ids=FINDING),
    "POST /v1/findings/{finding}/review": acts(
        REVIEWERS, {"decision": "confirm", "reason": "录音里听得见"}, ids=FINDING
    ),
    "GET /v1/findings/{finding}/reviews": reads(LENDER, ids=FINDING),
    "POST /v1/findings/{finding}/disputes": acts(ITS_QUALITY, {"text": WHY}, ids=FINDING),
    "GET /v1/reviews/queue": reads(REVIEWERS),
    "GET /v1/reviews/policy": reads(LENDER),
    "PUT /v1/reviews/policy": acts(ADMINISTRATOR, {}),
    "POST /v1/reviews/samples": acts(
        ADMINISTRATOR,
        {"method": "random", "size": 1, **MOMENTS},
        body_ids={"agency_id": "agency"},
    ),
    "GET /v1/reviews/samples": reads(LENDER),
    "GET /v1/reviews/samples/{sample}": reads(LENDER, ids=REVIEW_SAMPLE),
    "GET /v1/reviews/samples/{sample}/items": reads(REVIEWERS, ids=REVIEW_SAMPLE),
    "POST /v1/reviews/samples/{sample}/items/{interaction}/claim": acts(
        REVIEWERS, {}, ids=REVIEW_SAMPLE | INTERACTION
    ),
    "POST /v1/reviews/samples/{sample}/items/{interaction}/reading": acts(
        REVIEWERS, {"missed": [], "reason": "录音里听得见"}, ids=REVIEW_SAMPLE | INTERACTION
    ),
    "GET /v1/reviews/agreement": reads(LENDER, query={"from": MOMENTS["from"]}),
    "GET /v1/watch": reads(LENDER),
    "GET /v1/disputes": reads(PARTICIPANTS),
    "GET /v1/disputes/{dispute}": reads(PARTICIPANTS, ids=DISPUTE),
    "POST /v1/disputes/{dispute}/judgement": acts(
        REVIEWERS, {"upheld": False, "reason": "录音里听得见"}, ids=DISPUTE
    ),
    "POST /v1/disputes/{dispute}/withdrawal": acts(ITS_QUALITY, ids=DISPUTE),
    "GET /v1/disputes/{dispute}/near-miss": reads(REVIEWERS, ids=DISPUTE, ok=frozenset({200, 409})),
    "PUT /v1/disputes/{dispute}/files/{sha256}": acts(
        ITS_QUALITY,
        ids=DISPUTE,
        fixed={"sha256": SHA256},
        content=AUDIO,
        headers={"content-type": "audio/wav"},
    ),
    "GET /v1/disputes/{dispute}/files/{sha256}": reads(
        PARTICIPANTS, ids=DISPUTE, fixed={"sha256": SHA256}, ok=frozenset({200, 403, 404})
    ),
    "GET /v1/agencies": reads(EVERYBODY),
    "POST /v1/agencies": acts(ADMINISTRATOR, {"name": "新的"}),
    "DELETE /v1/agencies/{agency_id}": acts(ADMINISTRATOR, **NEW_AGENCY),
    "POST /v1/agencies/{agency_id}/suspend": acts(ADMINISTRATOR, **NEW_AGENCY),
    "POST /v1/agencies/{agency_id}/resume": acts(ADMINISTRATOR, **NEW_AGENCY),
    "POST /v1/agencies/{agency_id}/secret": acts(ADMINISTRATOR, **NEW_AGENCY),
    "PUT /v1/agencies/{agency_id}/endpoint": acts(
        frozenset({ADMIN, SEND}), {"url": "https://agency.example.com/ask"}, ids=OF_AGENCY
    ),
    "DELETE /v1/agencies/{agency_id}/endpoint": acts(
        frozenset({ADMIN, SEND}), ids=OF_AGENCY, ok=frozenset({204, 404})
    ),
    "PUT /v1/call-lists/{agency_id}/{day}": acts(
        SENDER,
        ids=OF_AGENCY,
        fixed={"day": "2026-06-03"},
        query={"rows": "0", "sha256": hashlib.sha256(b"").hexdigest()},
        content=b"",
        headers={"content-type": "application/x-ndjson"},
    ),
    "GET /v1/completeness": reads(EVERYBODY),
    "GET /v1/completeness/findings": reads(EVERYBODY),
    "POST /v1/manifests": acts(
        SENDER,
        query={"name": "x", "rows": "0", "sha256": hashlib.sha256(b"").hexdigest()},
        content=b"",
        headers={"content-type": "application/x-ndjson"},
    ),
    "GET /v1/manifests": reads(PARTICIPANTS),
    "GET /v1/manifests/{manifest}/interactions": reads(PARTICIPANTS, ids=MANIFEST),
    "GET /v1/checks/manifests/{manifest}": reads(PARTICIPANTS, ids=MANIFEST),
    "GET /v1/checks/campaigns/{campaign}": reads(PARTICIPANTS, ids={"campaign": "campaign"}),
    "GET /v1/checks/agencies/{agency_id}": reads(EVERYBODY, ids=OF_AGENCY, query=MOMENTS),
    "GET /v1/checks/agencies/{agency_id}/badge.svg": reads(EVERYBODY, ids=OF_AGENCY),
    "POST /v1/checks/agencies/{agency_id}/badge-token": acts(ADMINISTRATOR, ids=OF_AGENCY),
    "DELETE /v1/checks/agencies/{agency_id}/badge-token": acts(ADMINISTRATOR, ids=OF_AGENCY),
    "GET /v1/scorecards": reads(LENDER, query=MOMENTS),
    "GET /v1/scorecards/{agency_id}": reads(PARTICIPANTS, ids=OF_AGENCY, query=MOMENTS),
    "GET /v1/scorecards/{agency_id}/evaluation": reads(
        LENDER, ids=OF_AGENCY, query={"year": "2026"}
    ),
    "GET /v1/reports/agencies/{agency_id}": reads(EVERYBODY, ids=OF_AGENCY, query=DAYS),
    "GET /v1/reports/lender": reads(EVERYBODY, query=DAYS),
    "POST /v1/subjects/access": acts(ADMINISTRATOR, {"case_id": "K-9"}, ok=SUBJECTS),
    "POST /v1/subjects/export": acts(ADMINISTRATOR, {"case_id": "K-9"}, ok=SUBJECTS),
    "POST /v1/subjects/correction": acts(
        ADMINISTRATOR, {"case_id": "K-9", "fields": {"balance": "1"}}, ok=SUBJECTS
    ),
    "POST /v1/subjects/erasure": acts(ADMINISTRATOR, {"case_id": "K-9"}, ok=SUBJECTS),
    "GET /v1/ledger/checkpoint": reads(EVERYBODY, ok=frozenset({200, 404})),
    "GET /v1/ledger/entries": reads(LENDER, echoes=True),
    "GET /v1/ledger/proof/inclusion": reads(
        OVERSEERS, query={"seq": "0"}, ok=frozenset({200, 404, 409})
    ),
    "GET /v1/ledger/proof/consistency": reads(
        EVERYBODY, query={"from": "1"}, ok=frozenset({200, 404, 409})
    ),
    "GET /v1/ledger/proof/receipts/{receipt}": reads(
        PARTICIPANTS, ids={"receipt": "receipt"}, ok=frozenset({200, 409})
    ),
    "GET /v1/ledger/key": reads(EVERYBODY),
    "GET /v1/parameters": reads(OVERSEERS),
    "PUT /v1/parameters": acts(ADMINISTRATOR, {"values": {}}),
    "GET /v1/parameters/speech": reads(OVERSEERS),
    "PUT /v1/parameters/speech": acts(ADMINISTRATOR, {}),
    "GET /v1/retention": reads(LENDER),
    "GET /v1/retention/past": reads(LENDER),
    "POST /v1/holds": acts(
        ADMINISTRATOR, {"reason": "x", "case_id": "K-1"}, body_ids={"interaction_id": "interaction"}
    ),
    "GET /v1/holds": reads(LENDER),
    "GET /v1/holds/{hold}": reads(LENDER, ids=HOLD),
    "POST /v1/holds/{hold}/release": acts(ADMINISTRATOR, {"reason": "x"}, ids=HOLD),
    "POST /v1/purges": acts(ADMINISTRATOR),
    "GET /v1/purges": reads(LENDER),
    "GET /v1/purges/{purge_run}": reads(LENDER, ids=PURGE),
    "GET /v1/purges/{purge_run}/items": reads(LENDER, ids=PURGE),
    "POST /v1/purges/{purge_run}/approve": acts(
        ADMINISTRATOR, {"list_sha256": "0" * 64}, ids=PURGE
    ),
    "POST /v1/purges/{purge_run}/cancel": acts(ADMINISTRATOR, ids=PURGE),
    "GET /v1/purges/{purge_run}/certificate": reads(LENDER, ids=PURGE, ok=frozenset({200, 409})),
    "POST /v1/keys": acts(
        ADMINISTRATOR,
        {"actor": "agency", "scope": "read", "label": "x"},
        body_ids={"agency_id": "agency"},
    ),
    "GET /v1/keys": reads(ADMINISTRATOR),
    "DELETE /v1/keys/{key}": acts(ADMINISTRATOR, **NEW_KEY),
    "POST /v1/keys/{key}/rotate": acts(ADMINISTRATOR, {}, **NEW_KEY),
    "POST /v1/keys/{key}/suspend": acts(ADMINISTRATOR, **NEW_KEY),
    "POST /v1/keys/{key}/resume": acts(ADMINISTRATOR, **NEW_KEY),
    "POST /v1/people": acts(
        KEEPERS,
        lambda _: {
            "actor": "agency",
            "scope": "send",
            "email": f"{uuid4().hex}@example.com",
            "name": "x",
        },
        body_ids={"agency_id": "agency"},
    ),
    "GET /v1/people": reads(KEEPERS),
    "GET /v1/people/{person}": reads(KEEPERS, ids=PERSON),
    "PATCH /v1/people/{person}": acts(KEEPERS, {"scope": "read"}, **NEW_PERSON),
    "DELETE /v1/people/{person}": acts(KEEPERS, **NEW_PERSON),
    "POST /v1/people/{person}/suspend": acts(KEEPERS, **NEW_PERSON),
    "POST /v1/people/{person}/resume": acts(KEEPERS, **NEW_PERSON),
    "POST /v1/people/{person}/password-token": acts(KEEPERS, **NEW_PERSON),
    "GET /v1/people/{person}/sessions": reads(KEEPERS, ids=PERSON),
    "DELETE /v1/people/{person}/sessions": acts(KEEPERS, **NEW_PERSON),
    "GET /v1/oidc": reads(ADMINISTRATOR, ok=frozenset({200, 404})),
    "PUT /v1/oidc": acts(
        ADMINISTRATOR,
        {"issuer": "https://login.bank.example", "client_id": "x", "client_secret": "x"},
    ),
    "DELETE /v1/oidc": acts(ADMINISTRATOR, ok=frozenset({204, 404})),
    "GET /v1/audit": reads(ADMINISTRATOR, echoes=True),
    "GET /v1/regulators": reads(LENDER),
    "POST /v1/grants": acts(
        ADMINISTRATOR,
        lambda world: {**TERMS, "regulator_id": world.ids["regulator"]},
        body_ids={"agencies": "agency"},
    ),
    "GET /v1/grants": reads(LENDER),
    "GET /v1/grants/{grant}": reads(LENDER, ids=GRANT),
    "GET /v1/grants/{grant}/accesses": reads(LENDER, ids=GRANT),
    "POST /v1/grants/{grant}/approve": acts(ADMINISTRATOR, ids=GRANT),
    "POST /v1/grants/{grant}/end": acts(ADMINISTRATOR, ids={"grant": "spare_grant"}),
    "POST /v1/samples": acts(
        ITS_REGULATOR, {"method": "simple", "size": 1, "seed_sha256": "0" * 64}
    ),
    "GET /v1/samples": reads(OVERSEERS),
    "GET /v1/samples/{sample}": reads(OVERSEERS, ids=SAMPLE),
    "GET /v1/samples/{sample}/population": reads(OVERSEERS, ids=SAMPLE),
    "POST /v1/samples/{sample}/commit": acts(ADMINISTRATOR, ids=SAMPLE),
    "POST /v1/samples/{sample}/reveal": acts(ITS_REGULATOR, {"seed": "0" * 64}, ids=SAMPLE),
    "POST /v1/endpoints": acts(
        ADMINISTRATOR,
        lambda _: {"url": f"https://{uuid4().hex}.example.com/"},
        body_ids={"agencies": "agency", "escalate_to": "endpoint"},
    ),
    "GET /v1/endpoints": reads(LENDER),
    "PATCH /v1/endpoints/{endpoint}": acts(ADMINISTRATOR, {"active": True}, ids=ENDPOINT),
    "DELETE /v1/endpoints/{endpoint}": acts(ADMINISTRATOR, **NEW_ENDPOINT),
    "POST /v1/endpoints/{endpoint}/secret": acts(ADMINISTRATOR, {}, ids=ENDPOINT),
    "POST /v1/endpoints/{endpoint}/recover": acts(
        ADMINISTRATOR, {"since": "2026-06-01T00:00:00Z"}, ids=ENDPOINT
    ),
    "GET /v1/alerts": reads(LENDER),
    "POST /v1/alerts/{alert}/acknowledge": acts(ADMINISTRATOR, ids=ALERT),
    "POST /v1/alerts/{alert}/resend": acts(ADMINISTRATOR, ids=ALERT),
    "GET /v1/deliveries": reads(LENDER),
}
# The key alone counts, whatever its owner may read: a regulator without a grant is told so here.
BY_KEY = {"GET /v1/me": EVERYBODY | {OPERATOR}}


ROLES = (ADMIN, REVIEW, VIEWER, SEND, QUALITY, CLERK, REGULATOR, OPERATOR)


def write_table() -> str:
    """The rules as docs/access.md shows them."""
    heads = "| route | " + " | ".join(ROLES).replace(CLERK, "read") + " |"
    lines = [heads, "|---" * (len(ROLES) + 1) + "|"]
    held = {**{route: rule.who for route, rule in RULES.items()}, **BY_KEY}
    for route in sorted(held, key=lambda name: name.split(" ")[::-1]):
        marks = ("●" if role in held[route] else "" for role in ROLES)
        lines.append(f"| `{route}` | " + " | ".join(marks) + " |")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class World:
    """A lender with everything in it, its neighbour, and everybody who may ask.

    `own` are the keys of the lender's own callers by role, `signed` the sessions of its people;
    `foreign` are those of others, each with its role: another lender (by keys and by sessions),
    another agency of this one, a regulator whose grant is another lender's, an operator.
    """

    lender: Lender
    own: dict[str, Auth]
    signed: dict[str, Auth]
    foreign: list[tuple[str, str, Auth]]
    ungranted: Auth
    revoked: Auth
    ended: Auth
    ids: dict[str, str]
    make: dict[str, Callable[[], str]]


def bearer(token: str) -> Auth:
    return {"authorization": f"Bearer {token}"}


def make_auths(lender: Lender, agency: Sender) -> dict[str, Auth]:
    """The callers of one lender and one of its agencies, by role."""
    held = {ADMIN: lender.auth, SEND: agency.auth}
    for role, scope in ((REVIEW, Scope.REVIEW), (VIEWER, Scope.READ)):
        held[role] = bearer(make_key(lender, scope=scope).token)
    for role, scope in ((QUALITY, Scope.QUALITY), (CLERK, Scope.READ)):
        key = make_key(lender, Actor.AGENCY, agency_id=agency.id, scope=scope)
        held[role] = bearer(key.token)
    return held


def sign_in_all(lender: Lender, agency: Sender, regulator: UUID | None = None) -> dict[str, Auth]:
    """The sessions of one lender's and one of its agencies' people, by role."""
    held = {
        role: sign_in(make_person(lender, Actor.LENDER, scope)).auth
        for role, scope in ((ADMIN, Scope.ADMIN), (REVIEW, Scope.REVIEW), (VIEWER, Scope.READ))
    }
    for role, scope in ((SEND, Scope.SEND), (QUALITY, Scope.QUALITY), (CLERK, Scope.READ)):
        person = make_person(lender, Actor.AGENCY, scope, agency_id=agency.id)
        held[role] = sign_in(person).auth
    if regulator is not None:
        person = make_person(None, Actor.REGULATOR, Scope.READ, regulator_id=regulator)
        held[REGULATOR] = sign_in(person).auth
    return held


def end_session(lender: Lender) -> Auth:
    """What the browser still sends of a session that was ended."""
    person = make_person(lender)
    signed = sign_in(person)
    with tenant_session(lender.id) as session:
        end_sessions(session, person.id)
    return signed.auth


def make_alert(lender: Lender, agency: Sender, interaction: UUID, endpoint: UUID) -> UUID:
    with tenant_session(lender.id) as session:
        verdict = session.exec(
            select(VerdictRow).where(VerdictRow.interaction_id == interaction)
        ).first()
        assert verdict is not None
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


def make_world(client: TestClient, run_jobs: Callable[[], None]) -> World:
    """Build it through the real doors; takes about two seconds."""
    lender, neighbour = make_tenant("甲银行"), make_tenant("乙银行")
    agency, sibling = make_agency(lender), make_agency(lender, "同门")
    stranger = make_agency(neighbour, "别家")
    send_threat(client, agency)
    sent = make_call(
        interaction_id="CALL",
        campaign=CAMPAIGN,
        transcript=[{"speaker": "collector", "start": 0.0, "end": 1.0, "text": THREAT}],
        recording={"sha256": SHA256, "speakers": ["collector", "party"]},
    )
    receipt = post_event(client, agency, sent).json()["receipt"]
    put_recording(client, agency, AUDIO)
    run_jobs()
    regulator, other = (tenants.add_regulator(name).id for name in ("监管局", "别的监管局"))
    grant = make_grant(lender, regulator, fields=frozenset(GrantField))
    make_grant(neighbour, other, fields=frozenset(GrantField))
    own = make_auths(lender, agency)
    own[REGULATOR] = bearer(make_regulator_key(regulator).token)
    apart = bearer(make_regulator_key(other).token)
    revoked = make_key(lender)
    assert client.delete(f"/v1/keys/{revoked.id}", headers=lender.auth).status_code == 204
    foreign = [
        *(("another lender", role, auth) for role, auth in make_auths(neighbour, stranger).items()),
        *(
            ("another agency", role, auth)
            for role, auth in make_auths(lender, sibling).items()
            if role in AGENCY
        ),
        ("another regulator", REGULATOR, apart),
        *(
            ("another lender's people", role, auth)
            for role, auth in sign_in_all(neighbour, stranger).items()
            if role in {ADMIN, QUALITY}
        ),
        ("operator", OPERATOR, sign_in(make_person(None, Actor.OPERATOR, Scope.OPERATE)).auth),
    ]
    world = World(
        lender=lender,
        own=own,
        signed=sign_in_all(lender, agency, regulator),
        foreign=foreign,
        ungranted=bearer(make_regulator_key(tenants.add_regulator("无授权").id).token),
        revoked=bearer(revoked.token),
        ended=end_session(lender),
        ids={
            "agency": str(agency.id),
            "receipt": receipt,
            "recording": SHA256,
            "campaign": CAMPAIGN,
            "regulator": str(regulator),
            "grant": str(grant),
            "person": str(make_person(lender).id),
            "spare_grant": str(make_grant(lender, tenants.add_regulator("三").id)),
        },
        make={
            "new_agency": lambda: str(make_agency(lender, "新的").id),
            "new_person": lambda: str(make_person(lender).id),
            "new_key": lambda: str(make_key(lender).id),
            "new_endpoint": lambda: add_endpoint(client, lender),
        },
    )
    fill(client, world, agency)
    return world


def add_endpoint(client: TestClient, lender: Lender) -> str:
    made = client.post(
        "/v1/endpoints",
        json={"url": f"https://{uuid4().hex}.example.com/"},
        headers=lender.auth,
    )
    return str(made.json()["id"])


def make_purge_run(lender: Lender) -> UUID:
    """Nothing is due in a new world, so no run can be planned by the door."""
    with tenant_session(lender.id) as session:
        run = PurgeRun(
            tenant_id=lender.id,
            planned_by="test",
            ready_at=now() + timedelta(days=2),
            listed=0,
            list_sha256="0" * 64,
        )
        session.add(run)
        return run.id


def fill(client: TestClient, world: World, agency: Sender) -> None:
    """Make what routes of their own make: their ids are the ones that others try."""
    ids, own = world.ids, world.own

    def make(role: str, path: str, body: Any = None) -> str:
        answer = client.post(path, json=body, headers=own[role])
        assert answer.status_code in {200, 201}, answer.text
        return str(answer.json()["id"])

    items = client.get("/v1/interactions", headers=own[ADMIN]).json()["items"]
    by_channel = {item["channel"]: item["id"] for item in items}
    ids["interaction"], ids["call"] = by_channel["sms"], by_channel["call"]
    found = client.get("/v1/findings?rule=THR-02", headers=own[ADMIN]).json()["items"]
    ids["finding"] = next(row["id"] for row in found if row["interaction"] == ids["interaction"])
    ids["endpoint"] = add_endpoint(client, world.lender)
    alert = make_alert(world.lender, agency, UUID(ids["interaction"]), UUID(ids["endpoint"]))
    ids["alert"] = str(alert)
    ids["dispute"] = make(QUALITY, f"/v1/findings/{ids['finding']}/disputes", {"text": WHY})
    wish = {"method": "random", "size": 2, "from": "2026-01-01T00:00:00Z"}
    ids["review_sample"] = make(
        ADMIN, "/v1/reviews/samples", {**wish, "to": "2027-01-01T00:00:00Z"}
    )
    ids["hold"] = make(ADMIN, "/v1/holds", {"reason": "x", "case_id": "K-1"})
    ids["purge_run"] = str(make_purge_run(world.lender))
    digest = hashlib.sha256(b"interaction_id\nCALL\n").hexdigest()
    listed = client.post(
        "/v1/manifests",
        params={"name": "夜班", "sha256": digest},
        content=b"interaction_id\nCALL\n",
        headers=own[SEND],
    )
    ids["manifest"] = listed.json()["id"]
    opened = {"method": "simple", "size": 1, "seed_sha256": "0" * 64}
    ids["sample"] = make(REGULATOR, "/v1/samples", opened)
    make(ADMIN, f"/v1/samples/{ids['sample']}/commit")
    with tenant_session(world.lender.id) as session:
        assert session.exec(select(DisputeRow)).first() is not None


def values_of(rule: Rule, world: World) -> dict[str, str]:
    """The path's parameters, all the world's own."""
    named = {
        name: world.make[what]() if what in rule.fresh else world.ids[what]
        for name, what in rule.ids.items()
    }
    return {**named, **rule.fixed}


def strangers(value: str) -> str:
    """An id of the same form that never was."""
    return uuid4().hex * 2 if len(value) == len(SHA256) else str(uuid4())


def ask(
    client: TestClient,
    route: str,
    world: World,
    auth: Auth,
    values: dict[str, str],
    body: Any = None,
) -> Any:
    """Make the route's whole request as somebody."""
    rule = RULES.get(route, Rule(EVERYBODY))
    method, path = route.split(" ", 1)
    made = rule.body(world) if callable(rule.body) else rule.body
    more: dict[str, Any] = {"json": body if body is not None else made}
    if rule.content is not None:
        more = {"content": rule.content}
    return client.request(
        method,
        path.format(**values),
        params=rule.query,
        headers={**rule.headers, **auth},
        **{name: value for name, value in more.items() if value is not None},
    )


def variants(rule: Rule, world: World) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """For each id of the path: the world's own, and one that never was in its place."""
    for name in rule.ids:
        values = values_of(rule, world)
        yield values, {**values, name: strangers(values[name])}

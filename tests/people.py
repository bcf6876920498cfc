"""Makers for tests of review and dispute: contacts with findings, reviewers, quality teams."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlmodel import col, select
from starlette.testclient import TestClient

from service.clock import now
from service.db import tenant_session
from service.models import Actor, FindingRow, InteractionRow, Person, Scope
from service.people.models import SampleItem, SampleRow
from tests.factories import Lender, Sender, make_case, make_key, make_sms, post_event

THREAT = "今晚不还清，我们就上门泼油漆。"
Auth = dict[str, str]


def auth_of(token: str) -> Auth:
    return {"authorization": f"Bearer {token}"}


def make_reviewer(lender: Lender) -> Auth:
    return auth_of(make_key(lender, scope=Scope.REVIEW, label="reviewer").token)


def make_person(lender: Lender, name: str = "复核员") -> Person:
    """Somebody of the lender who may review."""
    with tenant_session(lender.id) as session:
        person = Person(
            handle=f"pn_{uuid4().hex[:12]}",
            tenant_id=lender.id,
            actor=Actor.LENDER.value,
            scope=Scope.REVIEW.value,
            email=f"{uuid4().hex[:8]}@bank.example",
            name=name,
        )
        session.add(person)
        return person


def make_reviewer_key(lender: Lender, person: Person) -> Auth:
    """One of the keys of a person."""
    return auth_of(make_key(lender, scope=Scope.REVIEW, person_id=person.id).token)


def make_quality(lender: Lender, agency: Sender) -> Auth:
    key = make_key(lender, Actor.AGENCY, agency_id=agency.id, scope=Scope.QUALITY)
    return auth_of(key.token)


def send_threat(client: TestClient, agency: Sender, number: int = 0, **data: Any) -> None:
    """One contact that THR-02 flags, in a case of its own."""
    case_id = f"K-{number}"
    assert post_event(client, agency, make_case(case_id=case_id)).status_code == 202
    sms = make_sms(case_id=case_id, **{"text": THREAT, **data})
    assert post_event(client, agency, sms).status_code == 202


def findings(client: TestClient, auth: Auth, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/v1/findings", params=query, headers=auth)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def act(client: TestClient, auth: Auth, path: str, body: Any = None, *, expect: int = 200) -> Any:
    """Post, and hold the status; gives the document."""
    answer = client.post(path, json=body, headers=auth)
    assert answer.status_code == expect, answer.text
    return answer.json()


def review(
    client: TestClient, auth: Auth, finding: str, decision: str, *, expect: int = 201, **more: Any
) -> Any:
    """Claim and decide."""
    act(client, auth, f"/v1/findings/{finding}/claim")
    body = {"decision": decision, "reason": "听了录音", **more}
    return act(client, auth, f"/v1/findings/{finding}/review", body, expect=expect)


def draw_all_twice(lender: Lender) -> UUID:
    """A sample that holds every contact and wants each read twice."""
    with tenant_session(lender.id) as session:
        contacts = session.exec(select(InteractionRow).order_by(col(InteractionRow.id))).all()
        sample = SampleRow(
            tenant_id=lender.id,
            method="random",
            seed="all",
            since=datetime.fromisoformat("2026-01-01T00:00:00Z"),
            to=now(),
            size=len(contacts),
            second_share=1.0,
            frame=len(contacts),
            frame_sha256="",
            drawn_by="test",
        )
        session.add(sample)
        session.flush()
        for position, contact in enumerate(contacts):
            session.add(
                SampleItem(
                    tenant_id=lender.id,
                    sample_id=sample.id,
                    position=position,
                    interaction_id=contact.id,
                    outcome=contact.outcome or "",
                    stratum="",
                    chance=1.0,
                    second=True,
                )
            )
        return sample.id


def finding_rows(lender: Lender) -> list[FindingRow]:
    with tenant_session(lender.id) as session:
        return list(session.exec(select(FindingRow).order_by(col(FindingRow.started_at))))

"""Verdicts follow the whole ledger of a case, in whatever order and however often it arrives."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient

from service.db import tenant_session
from service.models import AlertRow, AuditEntry, InteractionRow, VerdictRow
from tests.factories import (
    Lender,
    Sender,
    make_agency,
    make_call,
    make_case,
    make_sms,
    make_tenant,
    post_event,
)
from tests.receiver import Receiver
from tests.workers.texts import LAWFUL

NIGHT = "2026-06-03T22:30:00+08:00"
CONSENT = {"kind": "contact_hours", "from": "22:00", "to": "23:00", "evidence": "录音 4711"}


def verdicts(lender: Lender, interaction_id: str) -> list[VerdictRow]:
    with tenant_session(lender.id) as session:
        return list(
            session.exec(
                select(VerdictRow)
                .join(InteractionRow, col(InteractionRow.id) == col(VerdictRow.interaction_id))
                .where(col(InteractionRow.interaction_id) == interaction_id)
                .order_by(col(VerdictRow.revision))
            )
        )


def test_a_late_event_revises_the_verdict_and_a_repetition_does_not(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    receiver: Receiver,
    endpoint: dict[str, Any],
    run_jobs: Callable[[], None],
) -> None:
    post_event(client, agency, make_case())
    post_event(client, agency, make_sms(interaction_id="N-1", started_at=NIGHT, text=LAWFUL))
    run_jobs()
    (first,) = verdicts(lender, "N-1")
    assert (first.outcome, first.revision, first.is_current) == ("fail", 1, True)
    assert len(receiver.requests) == 1

    late = make_case(timestamp="2026-06-02T09:00:00+08:00", consents=[CONSENT])
    post_event(client, agency, late)
    run_jobs()
    retired, current = verdicts(lender, "N-1")
    assert (retired.outcome, retired.is_current) == ("fail", False)
    assert (current.outcome, current.revision, current.is_current) == ("pass", 2, True)

    post_event(client, agency, late)
    run_jobs()
    assert len(verdicts(lender, "N-1")) == 2
    assert len(receiver.requests) == 1
    with tenant_session(lender.id) as session:
        actions = session.exec(
            select(AuditEntry)
            .where(col(AuditEntry.action) == "interaction_checked")
            .order_by(col(AuditEntry.seq))
        ).all()
    assert [entry.details["revision"] for entry in actions] == [1, 2]


def test_a_sender_cannot_excuse_its_own_words(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> None:
    said = {"speaker": "collector", "start": 0, "end": 4, "text": "今晚不还清，我们就上门泼油漆。"}
    marks = {"plain": {}, "doubted": {"trusted": False}, "hinted": {"biased": True}}
    post_event(client, agency, make_case())
    for name, mark in marks.items():
        call = make_call(interaction_id=name, transcript=[said | mark])
        assert post_event(client, agency, call).status_code == 202
    run_jobs()

    outcomes = {name: verdicts(lender, name)[-1].outcome for name in marks}
    assert outcomes == dict.fromkeys(marks, "fail")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_order_of_arrival_gives_the_same_findings(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    run_jobs: Callable[[], None],
    seed: int,
) -> None:
    events = [
        make_case(),
        *(
            make_sms(interaction_id=f"M-{n:02}", started_at=f"2026-06-03T{8 + n:02}:10:00+08:00")
            for n in range(11)
        ),
    ]
    dice = random.Random(seed)  # noqa: S311  an order of arrival, not a secret
    arrivals = events + dice.sample(events, 4)
    dice.shuffle(arrivals)
    for number, event in enumerate(arrivals):
        post_event(client, agency, event)
        if number % 5 == 0:
            run_jobs()
    run_jobs()

    found = {}
    with tenant_session(lender.id) as session:
        for row in session.exec(select(VerdictRow).where(col(VerdictRow.is_current))):
            name = session.get_one(InteractionRow, (lender.id, row.interaction_id)).interaction_id
            found[name] = (row.outcome, row.findings_digest)
    assert len(found) == 11
    in_order = found_in_order(client, events, run_jobs)
    assert found == in_order


def found_in_order(
    client: TestClient, events: list[dict[str, Any]], run_jobs: Callable[[], None]
) -> dict[str, tuple[str, str]]:
    """The same events, once each and in order, for a second lender beside the first."""
    lender = make_tenant()
    agency = make_agency(lender)
    for event in events:
        post_event(client, agency, event)
    run_jobs()
    with tenant_session(lender.id) as session:
        rows = session.exec(select(VerdictRow).where(col(VerdictRow.is_current))).all()
        return {
            session.get_one(InteractionRow, (lender.id, row.interaction_id)).interaction_id: (
                row.outcome,
                row.findings_digest,
            )
            for row in rows
        }


def test_a_disabled_or_absent_endpoint_costs_nothing(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> None:
    post_event(client, agency, make_case())
    post_event(client, agency, make_sms(started_at=NIGHT))

    run_jobs()

    with tenant_session(lender.id) as session:
        assert session.exec(select(AlertRow)).all() == []

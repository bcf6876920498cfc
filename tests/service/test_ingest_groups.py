"""What is taken in together leaves the same rows as what is taken in one by one."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from service import ingest
from service.db import tenant_session
from service.ingest import Accepted, Entry
from tests.conftest import Database
from tests.factories import (
    Sender,
    encode,
    make_agency,
    make_call,
    make_case,
    make_recording,
    make_sms,
    make_tenant,
)

SHARED, LATER = b"bytes that are there", b"bytes that are not"
ROWS = (
    "select message_id, body_sha256, kind, case_id, interaction_id from event",
    "select case_id, wanted, checked from collection_case",
    "select case_id, role, count(*) from person_phone group by 1, 2",
    (
        "select i.interaction_id, i.case_id, e.message_id, i.as_of, i.channel, i.recording_sha256,"
        " i.to_hear, i.state, i.attempt from interaction as i join event as e on e.id = i.event_id"
    ),
    "select u.sha256, u.case_id, u.started_at from recording_use as u",
    (
        "select j.task_name, j.queue_name, coalesce(c.case_id, i.interaction_id), e.type"
        " from procrastinate_jobs as j join procrastinate_events as e on e.job_id = j.id"
        " left join collection_case as c on c.id::text = j.args ->> 'subject_id'"
        " left join interaction as i on i.id::text = j.args ->> 'subject_id'"
    ),
)


def draw(chance: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Message ids, some twice, and what they say: few contacts, told again and differently."""
    drawn: list[tuple[str, dict[str, Any]]] = []
    for number in range(chance.randint(2, 24)):
        contact = chance.randint(1, 4)
        named = {
            "case_id": f"K-{contact % 2}",
            "interaction_id": f"C-{contact}",
            "timestamp": f"2026-06-03T11:00:0{chance.randint(0, 2)}+08:00",
        }
        recording = make_recording(chance.choice((SHARED, LATER)))
        if chance.random() < 0.5:
            recording["url"] = "https://agency.example/a.wav"
        if chance.random() < 0.3:
            recording["speakers"].reverse()
        event = chance.choice(
            (
                make_case(case_id=f"K-{contact}"),
                make_sms(**named),
                make_call(**named, recording=recording),
                make_call(**named, recording=recording, transcript=[]),
            )
        )
        drawn.append((f"msg_{number:02}", event))
        if chance.random() < 0.2:
            drawn.append((f"msg_{number:02}", event))
    return drawn


def lend() -> Sender:
    """A lender's agency, with one recording there already."""
    agency = make_agency(make_tenant())
    recording = make_recording(SHARED)
    with tenant_session(agency.tenant_id) as session:
        ingest.record_arrival(
            session,
            tenant_id=agency.tenant_id,
            agency_id=agency.id,
            sha256=recording["sha256"],
            size_bytes=len(SHARED),
            now=datetime.now(UTC),
        )
    return agency


def read(agency: Sender, drawn: Iterable[tuple[str, dict[str, Any]]]) -> list[Entry]:
    return [
        ingest.read_event(
            tenant_id=agency.tenant_id,
            agency_id=agency.id,
            message_id=message_id,
            body=encode(event),
        )
        for message_id, event in drawn
    ]


def rows(database: Database, agency: Sender) -> list[list[tuple[Any, ...]]]:
    with psycopg.connect(database.app_url) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", (str(agency.tenant_id),))
        found = [connection.execute(query.encode()).fetchall() for query in ROWS]
    mine = [row for row in found[-1] if row[2] is not None]  # the queue has no fence
    return [sorted(each, key=repr) for each in (*found[:-1], mine)]


@pytest.mark.parametrize("seed", range(12))
def test_a_group_of_two_lenders_leaves_what_its_events_leave_one_by_one(
    database: Database, clean: None, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311  the same groups in every run
    drawn = [draw(chance), draw(chance)]
    together, apart = [lend(), lend()], [lend(), lend()]
    group = [
        entry
        for agency, events in zip(together, drawn, strict=True)
        for entry in read(agency, events)
    ]
    chance.shuffle(group)

    stored = ingest.store_events(group)
    for agency, events in zip(apart, drawn, strict=True):
        for entry in read(agency, events):
            (single,) = ingest.store_events([entry])
            assert isinstance(single, Accepted)

    assert all(isinstance(each, Accepted) for each in stored), stored
    answered = [
        (entry.columns["message_id"], each)
        for entry, each in zip(group, stored, strict=True)
        if isinstance(each, Accepted)
    ]
    fresh = [each.receipt for _, each in answered if each.fresh]
    assert len(set(fresh)) == len(fresh) == sum(len(dict(events)) for events in drawn)
    assert {each.receipt for _, each in answered} == set(fresh)
    for one, other in zip(together, apart, strict=True):
        assert rows(database, one) == rows(database, other)

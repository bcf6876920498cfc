"""Lists of calls against what arrived: 37 planted faults, and exactly those are found."""

import csv
import hashlib
import io
import json
import os
import random
import sys
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Jsonb
from starlette.testclient import TestClient

from service.config import settings
from service.db import tenant_session
from service.errors import InvalidInputError
from service.keeping.call_lists import Manifest, read_call_list
from service.keeping.completeness_models import Fault
from service.keeping.completeness_store import due_days
from service.privacy.sealing import phone_digest
from tests.conftest import Database
from tests.factories import (
    Lender,
    Sender,
    make_agency,
    make_call,
    make_recording,
    make_regulator,
    post_event,
)
from tests.receiver import Receiver
from tests.retention import keep_bytes, rows
from workers.keeping import reconcile_lists

DAY = date(2026, 6, 3)
CALLS = int(os.environ.get("HEGUI_TEST_CALLS", "2000"))
PLANTED = {
    Fault.ABSENT: 8,
    Fault.SILENT: 5,
    Fault.TRUNCATED: 5,
    Fault.WRONG_LENGTH: 4,
    Fault.REUSED_AUDIO: 6,
    Fault.WRONG_PARTY: 4,
    Fault.UNLISTED: 5,
}


@dataclass
class Call:
    """One call as the list has it and as it arrived."""

    name: str
    at: datetime
    talk: float
    number: str
    answered: bool = True
    listed: bool = True
    recording: str | None = None
    arrived: bool = True
    seconds: float | None = None
    flags: tuple[str, ...] = ()
    said_number: str = ""


def make_day(seed: int) -> tuple[list[Call], dict[str, Fault]]:
    """A day's calls and what is wrong with which."""
    dice = random.Random(seed)  # noqa: S311  made-up calls
    calls = []
    for number in range(CALLS):
        talk = float(dice.randint(11, 600))
        answered = dice.random() < 0.8
        calls.append(
            Call(
                name=f"C-{number:06}",
                at=datetime(2026, 6, 3, 1, tzinfo=UTC) + timedelta(seconds=3 * number),
                talk=talk if answered else 0.0,
                number=f"+86138000{dice.randint(0, 99999):05}",
                answered=answered,
                recording=hashlib.sha256(f"{seed}/{number}".encode()).hexdigest()
                if answered
                else None,
                seconds=talk + dice.uniform(-4.9, 4.9) if answered else None,
            )
        )
    answered_calls = [call for call in calls[10:] if call.answered]
    chosen = iter(dice.sample(answered_calls, sum(PLANTED.values())))
    planted: dict[str, Fault] = {}
    for kind, count in PLANTED.items():
        for turn in range(count):
            call = next(chosen)
            planted[call.name] = kind
            _spoil(call, kind, turn, calls)
    return calls, planted


def _spoil(call: Call, kind: Fault, turn: int, calls: list[Call]) -> None:
    match kind:
        case Fault.ABSENT:
            call.arrived, call.recording = turn % 2 == 0, None
        case Fault.SILENT:
            call.flags = ("silent",) if turn % 2 else ("no_speech",)
        case Fault.TRUNCATED:
            call.seconds = call.talk - 5.1
        case Fault.WRONG_LENGTH:
            call.seconds = call.talk + 5.1
        case Fault.REUSED_AUDIO:
            first = next(each for each in calls[:10] if each.answered)
            call.recording, call.talk, call.seconds = first.recording, first.talk, first.seconds
        case Fault.WRONG_PARTY:
            call.said_number = "+8613800099999"
        case Fault.UNLISTED:
            call.listed = False


def as_csv(calls: list[Call], *, dialect: str = "excel") -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, dialect=dialect)
    writer.writerow(["通话编号", "开始时间", "是否接通", "通话秒数", "被叫号码", "备注"])
    for call in calls:
        if call.listed:
            moment = call.at.astimezone(UTC).isoformat()
            writer.writerow([call.name, moment, int(call.answered), call.talk, call.number, "无"])
    return out.getvalue().encode()


def put(client: TestClient, agency: Sender, body: bytes, count: int, **more: Any) -> Any:
    digest = more.pop("sha256", hashlib.sha256(body).hexdigest())
    place = f"/v1/call-lists/{more.pop('agency_id', agency.id)}/{more.pop('day', DAY)}"
    headers = {**agency.auth, "content-type": more.pop("kind", "text/csv")}
    params = {"rows": count, "sha256": digest}
    return client.put(place, params=params, content=body, headers=headers)


def arrive(database: Database, agency: Sender, calls: list[Call]) -> None:
    """Write what arrived as ingest and transcription leave it: thousands of rows at once."""
    tenant, sender = agency.tenant_id, agency.id
    with psycopg.connect(database.superuser_url) as connection, connection.cursor() as cursor:
        events, interactions, recordings, transcripts = [], [], {}, []
        for call in calls:
            if not call.arrived:
                continue
            event, contact = uuid4(), uuid4()
            number = call.said_number or call.number
            body = {"data": {"party": {"role": "debtor", "phone": number}}}
            events.append((tenant, event, sender, call.name, Jsonb(body), call.name, call.at))
            interactions.append(
                (tenant, contact, sender, call.name, event, call.at, call.at, call.recording)
            )
            if call.recording is not None:
                recordings[call.recording] = (tenant, call.recording, call.at, call.at)
                transcripts.append(
                    (tenant, contact, call.recording, call.seconds, Jsonb(list(call.flags)))
                )
        cursor.executemany(
            "insert into event (tenant_id, id, agency_id, message_id, body_sha256, body, kind,"
            " case_id, interaction_id, occurred_at, received_at) values (%s, %s, %s, %s, '', %s,"
            " 'interaction.completed', 'K-1', %s, %s, now())",
            events,
        )
        cursor.executemany(
            "insert into interaction (tenant_id, id, agency_id, interaction_id, case_id, event_id,"
            " as_of, channel, direction, started_at, recording_sha256, to_hear, state, attempt,"
            " received_at) values (%s, %s, %s, %s, 'K-1', %s, %s, 'call', 'outbound', %s, %s,"
            " true, 'checked', 0, now())",
            interactions,
        )
        cursor.executemany(
            "insert into recording (tenant_id, sha256, size_bytes, received_at, retain_until)"
            " values (%s, %s, 1, %s, %s)",
            list(recordings.values()),
        )
        cursor.executemany(
            "insert into transcript (tenant_id, interaction_id, recording_sha256, segments, words,"
            " engine, model_digest, parameters, decoded_seconds, untrusted_share, flags,"
            " created_at) values (%s, %s, %s, '[]', '[]', 'e', 'd', '{}', %s, 0, %s, now())",
            transcripts,
        )


def found(client: TestClient, auth: dict[str, str], query: str = "open=true") -> dict[str, str]:
    answer = client.get(f"/v1/completeness/findings?limit=200&{query}", headers=auth)
    assert answer.status_code == 200, answer.text
    return {item["call_id"]: item["kind"] for item in answer.json()["items"]}


def test_exactly_the_planted_faults_are_found_and_soon(
    client: TestClient, lender: Lender, agency: Sender, database: Database
) -> None:
    calls, planted = make_day(seed=7)
    arrive(database, agency, calls)
    body = as_csv(calls)
    listed = [call for call in calls if call.listed]

    begun = time.process_time()
    answer = put(client, agency, body, len(listed))
    spent = time.process_time() - begun

    assert answer.status_code == 201, answer.text
    assert found(client, lender.auth) == {name: kind.value for name, kind in planted.items()}
    figure = answer.json()["completeness"]
    wanted = [call for call in listed if call.answered]
    bad = [call for call in wanted if call.name in planted]
    assert (figure["listed"], figure["expected"]) == (len(listed), len(wanted))
    assert figure["complete"] == len(wanted) - len(bad)
    assert figure["faults"] == {kind.value: PLANTED[kind] for kind in sorted(PLANTED)}
    assert spent < 3 + CALLS / 1000, f"{spent:.1f} s of this processor for {CALLS} calls"
    sys.stdout.write(f"{CALLS} calls, {len(planted)} faults: {spent:.2f} CPU s in the API\n")


def test_a_list_is_replaced_whole_and_faults_resolve(
    client: TestClient, lender: Lender, agency: Sender, database: Database
) -> None:
    calls, _ = make_day(seed=8)
    calls = calls[:40]
    arrive(database, agency, calls)
    calls[3].arrived = False
    ghost = Call("GHOST-1", calls[0].at, 60.0, "+8613800000009", recording="0" * 64)
    first = as_csv([*calls, ghost])

    assert put(client, agency, first, sum(call.listed for call in calls) + 1).status_code == 201
    again = put(client, agency, first, sum(call.listed for call in calls) + 1)
    assert (again.status_code, again.json()["revision"]) == (200, 1)
    assert found(client, lender.auth)["GHOST-1"] == "absent"

    second = put(client, agency, as_csv(calls), sum(call.listed for call in calls))
    assert second.json()["revision"] == 2
    assert "GHOST-1" not in found(client, lender.auth)
    assert found(client, lender.auth, "open=false")["GHOST-1"] == "absent"


def test_an_agency_sees_its_own_and_cannot_list_for_another(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    sibling = make_agency(lender, "另一家")
    ghost = [Call("GHOST-1", datetime(2026, 6, 3, 2, tzinfo=UTC), 60.0, "")]
    assert put(client, agency, as_csv(ghost), 1).status_code == 201

    assert found(client, agency.auth) == {"GHOST-1": "absent"}
    assert found(client, sibling.auth) == {}
    assert client.get("/v1/completeness", headers=sibling.auth).json()["items"] == []
    foreign = put(client, sibling, as_csv(ghost), 1, agency_id=agency.id)
    missing = put(client, sibling, as_csv(ghost), 1, agency_id=uuid4())
    assert (foreign.status_code, foreign.content) == (404, missing.content)


def test_a_regulator_sees_whole_days_of_granted_agencies(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    sibling = make_agency(lender, "另一家")
    june = {"period_from": datetime(2026, 6, 2, 16, tzinfo=UTC),
            "period_to": datetime(2026, 6, 30, 16, tzinfo=UTC)}  # fmt: skip
    for sender, day in ((agency, 2), (agency, 3), (sibling, 3)):
        ghost = [Call("GHOST-1", datetime(2026, 6, day, 2, tzinfo=UTC), 60.0, "")]
        assert put(client, sender, as_csv(ghost), 1, day=date(2026, 6, day)).status_code == 201
    key = make_regulator(lender, agencies=[agency.id], **june).token
    auth = {"authorization": f"Bearer {key}"}

    days = client.get("/v1/completeness", headers=auth).json()["items"]
    assert [(row["agency_id"], row["day"]) for row in days] == [(str(agency.id), "2026-06-03")]
    faults = client.get("/v1/completeness/findings?from=2026-06-01", headers=auth).json()["items"]
    assert [row["day"] for row in faults] == ["2026-06-03"]


GOOD = "C-1,2026-06-03T10:12:00+08:00,1,60,+8613800000001"


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("=cmd|'/c calc'!A1,2026-06-03T10:12:00+08:00,1,60,", "row 3, call_id"),
        ("C-2,2026-06-03 10:12:00,1,60,", "row 3, started_at"),
        ("C-2,2026-06-04T10:12:00+08:00,1,60,", "row 3, started_at"),
        ("C-2,2026-06-03T10:12:00+08:00,maybe,60,", "row 3, answered"),
        ("C-2,2026-06-03T10:12:00+08:00,1,-1,", "row 3, talk_seconds"),
        ("C-2,2026-06-03T10:12:00+08:00,1,60,138000", "row 3, party_number"),
        ("C-1,2026-06-03T10:12:00+08:00,1,60,", "row 3, call_id"),
        ("C-2,2026-06-03T10:12:00+08:00,1", "row 3"),
        ('C-2,"2026-06-03', "row 3"),
    ],
)
def test_a_bad_row_is_named_by_row_and_column_and_nothing_is_stored(
    client: TestClient, agency: Sender, database: Database, line: str, field: str
) -> None:
    head = "call_id,started_at,answered,talk_seconds,party_number"
    body = f"{head}\n{GOOD}\n{line}\n".encode()

    answer = put(client, agency, body, 2)

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field
    assert "138000" not in answer.text
    assert rows(database.superuser_url, "select count(*) from call_list_row") == [(0,)]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"sha256": "0" * 64}, "sha256"), ({"count": 3}, "rows")],
    ids=["digest", "rows"],
)
def test_a_list_that_is_not_what_its_manifest_says_is_refused(
    client: TestClient, agency: Sender, change: dict[str, Any], field: str
) -> None:
    body = f"call_id,started_at,answered,talk_seconds\n{GOOD.rsplit(',', 1)[0]}\n".encode()

    answer = put(client, agency, body, change.pop("count", 1), **change)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_lists_are_read_as_spreadsheets_save_them(encoding: str, delimiter: str) -> None:
    head = delimiter.join(["通话编号", "开始时间", "是否接通", "通话秒数", "被叫号码"])
    line = delimiter.join(["C-1", "2026-06-03T10:12:00+08:00", "是", "60", ""])
    body = f"{head}\r\n{line}\r\n\r\n".encode(encoding)
    manifest = Manifest(DAY, 1, hashlib.sha256(body).hexdigest())

    [row] = read_call_list(body, manifest, as_csv=True)

    assert (row.call_id, row.answered, row.talk_seconds) == ("C-1", True, 60)
    assert row.party_number is None


def test_lists_may_be_json_lines(client: TestClient, agency: Sender) -> None:
    row = {
        "call_id": "C-1", "started_at": "2026-06-03T10:12:00+08:00", "answered": True,
        "talk_seconds": 60,
    }  # fmt: skip
    body = (json.dumps(row) + "\n").encode()

    assert put(client, agency, body, 1, kind="application/x-ndjson").status_code == 201


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_read_or_refused(body: bytes, as_csv_: bool) -> None:  # noqa: FBT001
    manifest = Manifest(DAY, 0, hashlib.sha256(body).hexdigest())
    try:
        read = read_call_list(body, manifest, as_csv=as_csv_)
    except InvalidInputError:
        return
    assert read == []


def test_what_is_missing_is_asked_for_once_and_told_to_the_lender(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    run_jobs: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    audio = b"late"
    call = make_call(
        interaction_id="C-LATE",
        recording=make_recording(audio, duration_seconds=60),
        transcript=[{"speaker": "collector", "start": 0, "end": 1, "text": "喂"}],
    )
    post_event(client, agency, call)
    late = Call("C-LATE", datetime(2026, 6, 3, 3, tzinfo=UTC), 60.0, "+8613800000001")
    gone = Call("C-GONE", datetime(2026, 6, 3, 4, tzinfo=UTC), 60.0, "")
    with Receiver() as asked, Receiver() as told:
        monkeypatch.setenv("HEGUI_EGRESS_ALLOW", f"{asked.address},{told.address}")
        settings.cache_clear()
        secret = client.put(
            f"/v1/agencies/{agency.id}/endpoint", json={"url": asked.url}, headers=agency.auth
        ).json()["secret"]
        endpoint = client.post("/v1/endpoints", json={"url": told.url}, headers=lender.auth).json()
        assert put(client, agency, as_csv([late, gone]), 2).status_code == 201
        assert asked.requests == []

        assert reconcile_lists(lender.id) == 1
        run_jobs()
        (request,) = asked.requests
        (message,) = (each for each in told.requests if b"completeness.found" in each.body)
        assert request.signed_with(secret)
        assert message.signed_with(endpoint["secret"])
        body = json.loads(request.body)
        assert body["type"] == "recording.requested"
        assert body["data"]["items"] == [
            {"interaction_id": "C-GONE", "fault": "absent"},
            {"interaction_id": "C-LATE", "fault": "absent"},
        ]
        figure = json.loads(message.body)
        assert figure["type"] == "completeness.found"
        assert figure["data"]["faults"] == {"absent": 2}
        assert "+86138" not in message.body.decode() + request.body.decode()

        keep_bytes(agency, audio)
        with tenant_session(lender.id) as session:
            assert due_days(session, now=datetime.now(UTC)) == []
        assert put(client, agency, as_csv([late, gone]) + b"\r\n", 2).status_code == 201
        reconcile_lists(lender.id)
        run_jobs()
    assert found(client, lender.auth) == {"C-GONE": "absent"}
    assert [json.loads(each.body)["data"]["count"] for each in asked.requests] == [2, 1]
    settings.cache_clear()


def test_numbers_of_lists_are_kept_as_digests(
    client: TestClient, agency: Sender, database: Database
) -> None:
    call = Call("C-1", datetime(2026, 6, 3, 3, tzinfo=UTC), 60.0, "+8613800000001")
    put(client, agency, as_csv([call]), 1)

    kept = rows(database.superuser_url, "select party_digest from call_list_row")
    assert kept == [(phone_digest(UUID(str(agency.tenant_id)), call.number),)]

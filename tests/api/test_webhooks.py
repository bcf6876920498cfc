"""The webhook's door: what is taken, what is refused, and that nothing is counted twice."""

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from starlette.testclient import TestClient

from service import signature
from service.access.tenants import rotate_secret
from service.db import tenant_session
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
    post_event,
    put_recording,
    sign,
)


@pytest.fixture
def agency(client: TestClient) -> Sender:
    return make_agency(make_tenant())


@pytest.fixture
def rows(database: Database) -> Any:
    """Ask the database what is stored, past every fence."""

    def ask(query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(database.superuser_url) as connection:
            return connection.execute(query.encode()).fetchall()

    return ask


def test_event_is_taken_once_and_a_repetition_gets_the_same_receipt(
    client: TestClient, agency: Sender
) -> None:
    event = make_sms()

    first = post_event(client, agency, event, message_id="msg_1")
    again = post_event(client, agency, event, message_id="msg_1")

    assert first.status_code == 202, first.text
    assert again.status_code == 200
    assert again.content == first.content
    assert first.json()["body_sha256"] == hashlib.sha256(encode(event)).hexdigest()


def test_row_case_interaction_and_job_are_there_when_the_answer_is(
    client: TestClient, agency: Sender, rows: Any
) -> None:
    answer = post_event(client, agency, make_sms(interaction_id="S-1"))

    receipt = answer.json()["receipt"]
    assert rows("select id::text, interaction_id from event") == [(receipt, "S-1")]
    [(case, wanted)] = rows("select id::text, wanted from collection_case")
    assert wanted == 1
    assert rows("select interaction_id, state from interaction") == [("S-1", "accepted")]
    [(task, queue, arguments)] = rows("select task_name, queue_name, args from procrastinate_jobs")
    assert (task, queue) == ("check", "rules")
    assert arguments == {"tenant_id": str(agency.tenant_id), "subject_id": case}


def test_repetitions_over_32_connections_are_one_event(
    client: TestClient, agency: Sender, rows: Any
) -> None:
    body = encode(make_sms())
    headers = sign(agency.secret, body, message_id="msg_storm")

    def post(_: int) -> tuple[int, bytes]:
        answer = client.post(f"/v1/webhooks/{agency.id}", content=body, headers=headers)
        return answer.status_code, answer.content

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(post, range(200)))

    assert Counter(status for status, _ in answers) == {202: 1, 200: 199}
    assert len({content for _, content in answers}) == 1
    assert rows("select count(*) from event") == [(1,)]
    assert rows("select wanted from collection_case") == [(1,)]


def test_many_events_of_one_case_in_parallel_all_count(
    client: TestClient, agency: Sender, rows: Any
) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda _: post_event(client, agency, make_sms()).status_code, range(100))
        )

    assert answers == [202] * 100
    assert rows("select wanted, checked from collection_case") == [(100, 0)]
    assert rows("select count(*) from interaction") == [(100,)]
    assert rows("select count(*) from procrastinate_jobs") == [(1,)]


def test_same_id_with_another_body_is_a_conflict_and_the_first_stands(
    client: TestClient, agency: Sender, rows: Any
) -> None:
    post_event(client, agency, make_sms(interaction_id="S-1"), message_id="msg_1")

    answer = post_event(client, agency, make_sms(interaction_id="S-2"), message_id="msg_1")

    assert answer.status_code == 409
    assert answer.json()["code"] == "idempotency_conflict"
    assert rows("select interaction_id from interaction") == [("S-1",)]


def test_same_id_from_two_agencies_is_two_events(client: TestClient, rows: Any) -> None:
    lender = make_tenant()
    senders = [make_agency(lender), make_agency(lender), make_agency(make_tenant())]
    event = make_sms()

    answers = [post_event(client, sender, event, message_id="msg_1") for sender in senders]

    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert rows("select count(distinct id) from event") == [(3,)]


def test_interaction_keeps_its_case(client: TestClient, agency: Sender) -> None:
    post_event(client, agency, make_sms(interaction_id="S-1", case_id="K-1"))

    answer = post_event(client, agency, make_sms(interaction_id="S-1", case_id="K-2"))

    assert answer.status_code == 409
    assert answer.json()["code"] == "interaction_of_other_case"
    assert answer.json()["errors"][0]["field"] == "data.case_id"


def test_bad_event_in_a_group_does_not_hold_up_the_others(
    client: TestClient, agency: Sender
) -> None:
    post_event(client, agency, make_sms(interaction_id="S-1", case_id="K-1"))
    events = [make_sms() for _ in range(30)] + [make_sms(interaction_id="S-1", case_id="K-2")]

    with ThreadPoolExecutor(31) as pool:
        answers = list(pool.map(lambda event: post_event(client, agency, event), events))

    assert [answer.status_code for answer in answers] == [202] * 30 + [409]


@pytest.mark.parametrize(
    ("recording", "state", "jobs"),
    [
        pytest.param({}, "waiting", ["check"], id="announced"),
        pytest.param({"url": "https://a.example/1.wav"}, "fetching", ["check", "fetch"], id="url"),
    ],
)
def test_recording_decides_the_first_state(
    client: TestClient,
    agency: Sender,
    rows: Any,
    recording: dict[str, Any],
    state: str,
    jobs: list[str],
) -> None:
    post_event(client, agency, make_call(recording=make_recording(b"x", **recording)))

    assert rows("select state from interaction") == [(state,)]
    assert rows("select task_name from procrastinate_jobs order by 1") == [(job,) for job in jobs]


def test_recording_that_came_first_is_transcribed_at_once(
    client: TestClient, agency: Sender, rows: Any
) -> None:
    put_recording(client, agency, b"RIFF")

    post_event(client, agency, make_call(recording=make_recording(b"RIFF")))

    assert rows("select state from interaction") == [("transcribing",)]
    assert ("transcribe",) in rows("select task_name from procrastinate_jobs")


def test_event_with_a_transcript_waits_for_nothing(
    client: TestClient, agency: Sender, rows: Any
) -> None:
    words = [{"speaker": "collector", "start": 0, "end": 2, "text": "您好"}]

    post_event(client, agency, make_call(recording=make_recording(b"x"), transcript=words))

    assert rows("select state, to_hear from interaction") == [("accepted", False)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "late"])
def test_latest_event_of_an_interaction_counts_in_any_order(
    client: TestClient, agency: Sender, rows: Any, order: tuple[int, int]
) -> None:
    events = [
        make_call(interaction_id="C-1", timestamp="2026-06-03T11:00:00+08:00"),
        make_call(
            interaction_id="C-1",
            timestamp="2026-06-03T12:00:00+08:00",
            recording=make_recording(b"x"),
            direction="inbound",
        ),
    ]

    for place in order:
        assert post_event(client, agency, events[place]).status_code == 202

    assert rows("select state, direction, to_hear from interaction") == [
        ("waiting", "inbound", True)
    ]


def test_case_and_stop_events_ask_for_a_check(
    client: TestClient, agency: Sender, rows: Any
) -> None:
    stop = {
        "type": "stop.requested",
        "timestamp": "2026-06-04T09:00:00+08:00",
        "data": {
            "case_id": "K-1",
            "phone": "+8613800000002",
            "at": "2026-06-04T08:59:00+08:00",
            "by": "third_party",
        },
    }

    assert post_event(client, agency, make_case()).status_code == 202
    assert post_event(client, agency, stop).status_code == 202

    assert rows("select wanted from collection_case") == [(2,)]
    assert rows("select count(*) from interaction") == [(0,)]


def _refused(client: TestClient, agency: Sender, body: bytes, **headers: Any) -> Any:
    signed = {**sign(agency.secret, body), **headers}
    return client.post(f"/v1/webhooks/{agency.id}", content=body, headers=signed)


def test_unknown_agency_gets_the_answer_of_a_wrong_signature(
    client: TestClient, agency: Sender, rows: Any
) -> None:
    body = encode(make_sms())
    foreign = sign("whsec_" + "B" * 43 + "=", body)

    answers = [
        client.post(f"/v1/webhooks/{name}", content=body, headers=foreign)
        for name in (agency.id, uuid4(), "nobody", "%00", "1" * 300)
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["code"] == "bad_signature"
    assert rows("select count(*) from event") == [(0,)]


def test_every_flipped_part_is_refused(client: TestClient, agency: Sender, rows: Any) -> None:
    body = encode(make_sms())
    good = sign(agency.secret, body, message_id="msg_flip")
    later = str(int(good["webhook-timestamp"]) + 1)
    flips = [
        ({**good, "webhook-id": "msg_flop"}, body),
        ({**good, "webhook-timestamp": later}, body),
        *(
            ({**good, "webhook-signature": good["webhook-signature"][:place] + letter}, body)
            for place, letter in ((-1, "A"), (-2, "=="))
        ),
        *((good, bytes([*body[:place], body[place] ^ 1, *body[place + 1 :]])) for place in (0, 9)),
        (good, body + b" "),
    ]

    answers = [
        client.post(f"/v1/webhooks/{agency.id}", content=content, headers=headers)
        for headers, content in flips
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert rows("select count(*) from event") == [(0,)]


@pytest.mark.parametrize(
    "missing", ["webhook-id", "webhook-timestamp", "webhook-signature"], ids=str
)
def test_missing_header_is_refused(client: TestClient, agency: Sender, missing: str) -> None:
    body = encode(make_sms())
    headers = sign(agency.secret, body)
    del headers[missing]

    answer = client.post(f"/v1/webhooks/{agency.id}", content=body, headers=headers)

    assert answer.status_code == 401


@pytest.mark.parametrize("seconds", [-310, 310], ids=["old", "new"])
def test_timestamp_out_of_tolerance_is_told_our_time(
    client: TestClient, agency: Sender, seconds: int
) -> None:
    body = encode(make_sms())
    headers = sign(agency.secret, body, at=datetime.now(UTC) + timedelta(seconds=seconds))

    answer = client.post(f"/v1/webhooks/{agency.id}", content=body, headers=headers)

    assert answer.status_code == 401
    assert answer.json()["code"] == "timestamp_out_of_tolerance"
    ours = datetime.fromisoformat(answer.json()["server_time"])
    assert abs((datetime.now(UTC) - ours).total_seconds()) < 60


def test_rotated_secret_overlaps_and_then_ends(client: TestClient, agency: Sender) -> None:
    with tenant_session(agency.tenant_id) as session:
        new = rotate_secret(session, tenant_id=agency.tenant_id, agency_id=agency.id, by="test")
    signature.forget_sources()
    renewed = Sender(agency.tenant_id, agency.id, new, agency.key)

    assert post_event(client, agency, make_sms()).status_code == 202
    assert post_event(client, renewed, make_sms()).status_code == 202

    with tenant_session(agency.tenant_id) as session:
        rotate_secret(session, tenant_id=agency.tenant_id, agency_id=agency.id, by="test")
    signature.forget_sources()
    assert post_event(client, agency, make_sms()).status_code == 401
    assert post_event(client, renewed, make_sms()).status_code == 202


def _nested(depth: int) -> bytes:
    return b'{"type":' + b"[" * depth + b"]" * depth + b"}"


def _with(field: str, value: str) -> bytes:
    return encode(make_sms()).replace(b'"case_id": "K-1"', f'"{field}": {value}'.encode())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(b"", "body", id="0 bytes"),
        pytest.param(b"  \n", "body", id="blank"),
        pytest.param(b"hello", "body", id="no JSON"),
        pytest.param(b"[]", "body", id="no object"),
        pytest.param(b"null", "body", id="null"),
        pytest.param(b"{}", "type", id="no type"),
        pytest.param(b'{"type": "call.ended"}', "type", id="unknown type"),
        pytest.param(b"\xef\xbb\xbf{}", "body", id="byte order mark"),
        pytest.param(_nested(100_000), "body", id="deep"),
        pytest.param(_nested(300), "body", id="rather deep"),
        pytest.param(b'{"type": NaN}', "body", id="NaN"),
        pytest.param(b'{"type": 1e999}', "body", id="endless number"),
        pytest.param(b'{"type": ' + b"9" * 5000 + b"}", "body", id="5000 digits"),
        pytest.param(b'{"x": 9223372036854775808}', "body", id="beyond 64 bits"),
        pytest.param(b'{"type": "a", "type": "b"}', "type", id="field twice"),
        pytest.param(_with("extra", '"\\u0000"'), "body", id="NUL in an unknown field"),
        pytest.param(_with("extra", '"\\ud800"'), "body", id="lone surrogate"),
        pytest.param(_with("case_id", '"a\\u0000b"'), "body", id="NUL in a field"),
        pytest.param(encode(make_sms(started_at="2026-06-03T11:00:00")), "data.started_at",
                     id="no offset"),
        pytest.param(encode(make_sms(started_at=1_780_000_000)), "data.started_at", id="number"),
        pytest.param(encode(make_sms(started_at="0001-01-01T00:00:00+14:00")), "data.started_at",
                     id="year 1"),
        pytest.param(encode(make_sms(timestamp="2026-06-03T11:00:00")), "timestamp",
                     id="envelope without offset"),
        pytest.param(encode(make_sms(text=None)), "data.text", id="SMS without text"),
        pytest.param(encode(make_sms(case_id="")), "data.case_id", id="empty id"),
        pytest.param(encode(make_sms(channel="fax")), "data.channel", id="unknown channel"),
        pytest.param(encode(make_sms(collector={})), "data.collector.id", id="nested field"),
        pytest.param(encode(make_sms(channel="visit")), "data.visit", id="visit without log"),
        pytest.param(
            encode(make_sms(ended_at="2026-06-03T10:59:59+08:00")), "data.ended_at", id="ends early"
        ),
        pytest.param(
            encode(make_call(recording={"sha256": "00", "speakers": ["collector"]})),
            "data.recording.sha256",
            id="no hash",
        ),
    ],
)  # fmt: skip
def test_malformed_body_is_refused_by_field(
    client: TestClient, agency: Sender, rows: Any, body: bytes, field: str
) -> None:
    answer = _refused(client, agency, body)

    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert field in [problem["field"] for problem in answer.json()["errors"]]
    assert rows("select count(*) from event") == [(0,)]


def test_every_wrong_field_is_named_at_once_and_no_value_is_repeated(
    client: TestClient, agency: Sender
) -> None:
    event = make_sms(direction="sideways", outcome="13800138000", party={"role": "张三"})

    answer = post_event(client, agency, event)

    fields = {problem["field"] for problem in answer.json()["errors"]}
    assert {"data.direction", "data.outcome", "data.party.role"} <= fields
    assert "13800138000" not in answer.text
    assert "张三" not in answer.text


def test_bad_message_id_is_named(client: TestClient, agency: Sender) -> None:
    body = encode(make_sms())

    answers = [
        _refused(client, agency, body, **{"webhook-id": name}) for name in ("a.b", "x" * 129)
    ]

    assert {answer.status_code for answer in answers} == {422}
    assert answers[0].json()["errors"][0]["field"] == "webhook-id"


def test_large_body_is_refused_before_it_is_read(client: TestClient, agency: Sender) -> None:
    assert _refused(client, agency, b" " * (256 * 1024 + 1)).status_code == 413


def test_compressed_body_is_refused(client: TestClient, agency: Sender) -> None:
    answer = _refused(client, agency, encode(make_sms()), **{"content-encoding": "gzip"})

    assert answer.status_code == 415


def test_text_is_kept_to_the_letter(client: TestClient, agency: Sender, rows: Any) -> None:
    text = "a\\u0000 𝕏 \u202e \u200b\ufeff 💰 \r\n\t\"'\\"

    post_event(client, agency, make_sms(text=text, mystery={"kept": [1.5, None, True]}))

    [(body,)] = rows("select body from event")
    assert body["data"]["text"] == text
    assert body["data"]["mystery"] == {"kept": [1.5, None, True]}


def test_receipt_tells_what_became_of_the_event(client: TestClient, agency: Sender) -> None:
    receipt = post_event(client, agency, make_sms(interaction_id="S-1")).json()["receipt"]
    neighbour = make_agency(make_tenant())

    mine = client.get(f"/v1/receipts/{receipt}", headers=agency.auth)
    theirs = client.get(f"/v1/receipts/{receipt}", headers=neighbour.auth)
    nobodys = client.get(f"/v1/receipts/{uuid4()}", headers=neighbour.auth)

    assert mine.json()["state"] == "accepted"
    assert mine.json()["interaction_id"] == "S-1"
    assert theirs.status_code == 404
    assert theirs.content == nobodys.content

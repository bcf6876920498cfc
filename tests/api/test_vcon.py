"""A dialler that speaks vCon needs no adapter, and what we hold leaves as a vCon."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from sqlmodel import select
from starlette.testclient import TestClient

from service.db import tenant_session
from service.keeping.storage import store
from service.models import EventRow
from service.privacy.sealing import open_event
from service.vcon import hash_of
from tests.factories import (
    Lender,
    Sender,
    encode,
    make_agency,
    make_call,
    make_case,
    make_recording,
    make_regulator,
    make_sms,
    make_tenant,
    post_event,
    put_recording,
    sign,
)

SOUND = b"RIFF not really a recording"
UUID = "0199e054-ed10-8035-b9a2-279e0d16bc46"
# What the draft asks of a vCon, its dialog and its analysis, in our own words.
INDEX = {"type": "integer", "minimum": 0}
PLACED = {
    "required": ["type"],
    "properties": {
        "encoding": {"enum": ["base64url", "json", "none"]},
        "url": {"type": "string", "pattern": "^https?://"},
        "content_hash": {
            "type": ["string", "array"],
            "items": {"type": "string", "pattern": "^sha(256|512)-[A-Za-z0-9_-]+$"},
        },
    },
    "dependentRequired": {"url": ["content_hash"], "body": ["encoding", "mediatype"]},
    "not": {"required": ["body", "url"]},
}
DIALOG = {
    "allOf": [
        PLACED,
        {
            "required": ["start"],
            "properties": {
                "type": {"enum": ["recording", "text", "transfer", "incomplete"]},
                "duration": {"type": "number", "minimum": 0},
                "parties": {"anyOf": [INDEX, {"type": "array"}]},
                "originator": INDEX,
            },
            "if": {"properties": {"type": {"const": "incomplete"}}},
            "then": {"required": ["disposition"], "not": {"required": ["body"]}},
        },
    ]
}
SHAPE = Draft202012Validator(
    {
        "type": "object",
        "required": ["uuid", "created_at", "parties"],
        "properties": {
            "vcon": {"const": "0.4.0"},
            "uuid": {"type": "string", "pattern": "^[0-9a-f-]{36}$"},
            "extensions": {"type": "array", "items": {"type": "string"}},
            "parties": {"type": "array", "items": {"type": "object"}},
            "dialog": {"type": "array", "items": DIALOG},
            "analysis": {
                "type": "array",
                "items": {"allOf": [PLACED, {"required": ["type", "vendor"]}]},
            },
        },
    }
)


def make_vcon(**fields: Any) -> dict[str, Any]:
    """A call as a dialler writes it down that knows nothing of us."""
    return {
        "vcon": "0.4.0",
        "uuid": UUID,
        "created_at": "2026-06-03T10:15:00+08:00",
        "subject": "K-1",
        "parties": [
            {"tel": "tel:+8613800000001", "name": "示例", "role": "customer"},
            {"uuid": "E-104", "name": "小王", "role": "agent", "org": "安正催收"},
        ],
        "dialog": [
            {
                "type": "recording",
                "start": "2026-06-03T10:12:00+08:00",
                "duration": 74.2,
                "parties": [1, 0],
                "mediatype": "audio/x-wav",
                "content_hash": [hash_of(hashlib.sha256(SOUND).hexdigest())],
            }
        ],
        **fields,
    }


def change(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The document with one field replaced, or taken out where the value is None."""
    made = deepcopy(document)
    place: Any = made
    *way, last = path.split(".")
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    if value is None:
        del place[last]
    else:
        place[int(last) if last.isdigit() else last] = value
    return made


def post_vcon(client: TestClient, agency: Sender, document: Any) -> Any:
    body = encode(document)
    headers = sign(agency.secret, body) | {"content-type": "application/vcon"}
    return client.post(f"/v1/webhooks/{agency.id}", content=body, headers=headers)


def stored(lender: Lender) -> dict[str, Any]:
    with tenant_session(lender.id) as session:
        row = session.exec(select(EventRow).where(EventRow.kind == "interaction.completed")).one()
    data: dict[str, Any] = open_event(row)["data"]
    return data


def exported(client: TestClient, lender: Lender, auth: dict[str, str] | None = None) -> Any:
    (item,) = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    answer = client.get(f"/v1/interactions/{item['id']}/vcon", headers=auth or lender.auth)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vcon"
    SHAPE.validate(answer.json())
    return answer.json()


def test_a_diallers_call_is_taken_as_it_is(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    put_recording(client, agency, SOUND)

    answer = post_vcon(client, agency, make_vcon())

    assert answer.status_code == 202, answer.text
    assert post_vcon(client, agency, make_vcon(uuid=UUID[::-1])).status_code == 202
    (first, second) = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    assert {first["interaction_id"], second["interaction_id"]} == {UUID, UUID[::-1]}
    assert first["state"] == second["state"] == "transcribing"
    assert (first["case_id"], first["channel"], first["direction"]) == ("K-1", "call", "outbound")


def test_the_parts_of_a_vcon_find_their_places(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    document = change(make_vcon(), "dialog.0.parties", [[0], [1]])
    document = change(document, "dialog.0.url", "https://recordings.example/1.wav")
    document["analysis"] = [
        {
            "type": "transcript",
            "dialog": 0,
            "vendor": "someone",
            "encoding": "json",
            "body": {"segments": [{"start": 0, "end": 2.5, "text": "您好", "speaker": 1, "id": 7}]},
        }
    ]

    assert post_vcon(client, agency, document).status_code == 202

    data = stored(lender)
    assert data["recording"]["speakers"] == ["party", "collector"]
    assert data["recording"]["url"] == "https://recordings.example/1.wav"
    assert data["party"] == {"role": "debtor", "phone": "+8613800000001", "name": "示例"}
    assert data["collector"] == {"id": "E-104", "name": "小王", "org": "安正催收"}
    assert data["transcript"] == [{"start": 0, "end": 2.5, "text": "您好", "speaker": "collector"}]
    assert data["vcon"]["uuid"] == UUID


@pytest.mark.parametrize(
    ("dialog", "expected"),
    [
        (
            {"type": "text", "parties": [1, 0], "application": "sms", "body": "请还款"},
            {"channel": "sms", "direction": "outbound", "outcome": "delivered", "text": "请还款"},
        ),
        (
            {"type": "text", "parties": [0, 1], "application": "im", "body": "请还款"},
            {"channel": "im", "direction": "inbound", "text": "请还款"},
        ),
        (
            {"type": "incomplete", "parties": [1, 0], "disposition": "no-answer"},
            {"channel": "call", "direction": "outbound", "outcome": "no_answer"},
        ),
    ],
)
def test_messages_and_calls_that_failed_are_dialog_too(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    dialog: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    document = make_vcon(dialog=[{"start": "2026-06-03T10:12:00+08:00", **dialog}])

    assert post_vcon(client, agency, document).status_code == 202

    assert stored(lender).items() >= expected.items()


def test_sound_that_comes_inside_is_kept_and_heard(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    body = urlsafe_b64encode(SOUND).decode().rstrip("=")
    dialog = change(make_vcon(), "dialog.0.content_hash", None)["dialog"][0]

    answer = post_vcon(
        client, agency, make_vcon(dialog=[{**dialog, "body": body, "encoding": "base64url"}])
    )

    assert answer.status_code == 202, answer.text
    (item,) = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    assert item["state"] == "transcribing"
    assert b"".join(store().read(lender.id, item["recording_sha256"])) == SOUND


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("uuid", None, "uuid"),
        ("created_at", "yesterday", "created_at"),
        ("vcon", "9.9.9", "vcon"),
        ("critical", ["lawful-basis"], "critical"),
        ("signatures", [], "signatures"),
        ("ciphertext", "x", "ciphertext"),
        ("subject", "two words", "subject"),
        ("parties.1.role", "supervisor", "parties"),
        ("parties.0.role", "neighbour", "parties.0.role"),
        ("parties.1.uuid", "", "parties.1.uuid"),
        ("parties.0.tel", "13800000001", "parties.0.tel"),
        ("dialog", [], "dialog"),
        ("dialog.0.type", "transfer", "dialog.0.type"),
        ("dialog.0.start", "2026-06-03T10:12:00", "dialog.0.start"),
        ("dialog.0.duration", -1, "dialog.0.duration"),
        ("dialog.0.content_hash", "sha512-abc", "dialog.0.content_hash"),
        ("dialog.0.body", "§", "dialog.0.body"),
        ("hegui", {"interaction": {"mode": "shouting"}}, "hegui.interaction.mode"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_its_name_in_the_vcon(
    client: TestClient, lender: Lender, agency: Sender, path: str, value: Any, field: str
) -> None:
    document = make_vcon()
    if path == "parties.1.uuid":
        document["parties"][1].pop("name")

    answer = post_vcon(client, agency, change(document, path, value))

    assert answer.status_code == 422, answer.text
    assert field in [problem["field"] for problem in answer.json()["errors"]]
    assert client.get("/v1/interactions", headers=lender.auth).json()["items"] == []


SEGMENTS = [
    {
        "speaker": "collector",
        "start": 0.5,
        "end": 3.0,
        "text": "您好，通话有录音",
        "trusted": False,
        "role_score": 0.7,
        "normalised": "您好,通话有录音",
        "biased": True,
        "words": [{"text": "您好", "start": 0.5, "end": 1.0, "probability": 0.9}],
    },
    {"speaker": "party", "start": 3.0, "end": 4.0, "text": "谁"},
]
VISIT = {
    "appointment": True, "place": "home", "collectors": 2, "id_shown": True, "av_recording": True,
    "entered": False, "entry_consent": False,
}  # fmt: skip


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(
            make_call(
                transcript=SEGMENTS,
                caller_number_type="official",
                novelty={"kept": [1, 2]},
                recording=make_recording(
                    SOUND, url="https://x.example/1.wav", duration_seconds=60.5, channel_names=2
                ),
            ),
            id="a call with everything",
        ),
        pytest.param(
            make_call(direction="inbound", recording=make_recording(SOUND, speakers=["unknown"])),
            id="a mono call to be heard",
        ),
        pytest.param(make_call(outcome="no_answer", talk_seconds=None), id="no answer"),
        pytest.param(make_sms(direction="inbound", channel="im"), id="a message"),
        pytest.param(
            make_sms(channel="visit", outcome="done", text=None, visit=VISIT), id="a visit"
        ),
    ],
)
def test_what_is_exported_and_taken_in_again_is_the_same(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    run_jobs: Callable[[], None],
    event: dict[str, Any],
) -> None:
    """Through the doors of two lenders: event, vCon, event, vCon."""
    second = make_tenant("乙银行")
    other = make_agency(second)
    for sender in (agency, other):
        post_event(client, sender, make_case())
    assert post_event(client, agency, event).status_code == 202

    first = exported(client, lender)
    answer = post_vcon(client, other, first)
    assert answer.status_code == 202, answer.text
    again = exported(client, second)

    kept = {key: value for key, value in event["data"].items() if value is not None}
    assert {key: value for key, value in stored(second).items() if key != "vcon"} == kept
    assert again == first


def test_a_checked_contact_carries_its_verdict(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> None:
    post_event(client, agency, make_case())
    post_event(client, agency, make_sms(started_at="2026-06-03T23:30:00+08:00"))
    run_jobs()

    (report,) = exported(client, lender)["analysis"]

    assert (report["type"], report["schema"]) == ("report", "hegui.verdict/1")
    assert report["body"]["outcome"] == "fail"
    assert "TIM-01" in {finding["rule"] for finding in report["body"]["findings"]}


def test_a_regulators_copy_hides_who_was_reached(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    key = make_regulator(lender)
    document = change(make_vcon(), "parties.1.uuid", "E-9")
    assert post_vcon(client, agency, document).status_code == 202

    whole = exported(client, lender)
    masked = exported(client, lender, {"authorization": f"Bearer {key.token}"})

    assert whole["parties"][1] == {"role": "debtor", "tel": "+8613800000001", "name": "示例"}
    assert masked["parties"][1] == {"role": "debtor"}
    assert "13800000001" not in str(masked)
    assert "示例" not in str(masked)
    assert masked["redacted"]["type"]
    assert "redacted" not in whole

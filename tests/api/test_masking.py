"""Whoever may not see names and numbers finds none in any answer, on any route."""

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pypdfium2
import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.models import Scope
from service.privacy.masking import mask_document
from tests.factories import (
    Lender,
    Sender,
    make_call,
    make_case,
    make_key,
    make_regulator,
    make_sms,
    post_event,
)

NAME, CONTACT, COLLECTOR = "欧阳金丝雀", "皇甫信鸽", "司徒信天翁"
PHONE, OTHER = "+8613900017654", "+8613700026543"
IDENTITY, CARD = "110101199003077715", "6222021234567890128"
ADDRESS = "朝阳区建国路88号3栋2单元501室"
SPOKEN = "幺三九零零零幺七六五四"
MARKS = (
    NAME, CONTACT, COLLECTOR, PHONE[3:], OTHER[3:], IDENTITY, CARD, ADDRESS, SPOKEN, "王翠花",
)  # fmt: skip
TALK = [
    (f"您好{NAME}，我是{COLLECTOR}，再不还钱我们就上门泼油漆", "collector"),
    (f"我的号码是{SPOKEN}，身份证{IDENTITY}，卡号{CARD}", "party"),
    (f"那我们去{ADDRESS}找你，还有你同事王翠花女士，让你坐牢", "collector"),
    ("一三九零零", "party"),
    ("零一七六五四", "party"),
]


@pytest.fixture
def told(client: TestClient, agency: Sender, run_jobs: Callable[[], None]) -> None:
    """A case whose events hold every mark, judged."""
    segments = [
        {"speaker": speaker, "start": 5.0 * n, "end": 5.0 * n + 4, "text": text}
        for n, (text, speaker) in enumerate(TALK)
    ]
    who = {
        "collector": {"id": "E-1", "name": COLLECTOR},
        "party": {"role": "debtor", "phone": PHONE},
    }
    events = [
        make_case(
            debtor={"name": NAME, "phones": [PHONE]},
            contacts=[{"phone": OTHER, "relation": "朋友", "name": CONTACT}],
        ),
        make_call(interaction_id="C-1", transcript=segments, **who),
        make_sms(interaction_id="S-1", text=f"{NAME}{PHONE}，我们上门泼油漆，{ADDRESS}", **who),
    ]
    for event in events:
        assert post_event(client, agency, event).status_code == 202
    run_jobs()


SPANS: tuple[dict[str, str], ...] = (
    {},
    {"from": "2026-06-01", "to": "2026-06-30"},
    {"from": "2026-06-01", "to": "2026-06-30", "format": "pdf"},
    {"from": "2026-06-01T00:00:00Z"},
)


def ask_all(client: TestClient, auth: dict[str, str], values: dict[str, str]) -> dict[str, Any]:
    """The answers of every route that reads, with the ids of what is there."""
    described = create_app().openapi()["paths"]
    answers = {}
    for route in (path for path, methods in described.items() if "get" in methods):
        path = re.sub(r"{(\w+)}", lambda name: values.get(name[1], str(uuid4())), route)
        for span in SPANS:
            answers[f"{route} {span}"] = client.get(path, params=span, headers=auth)
    return answers


def read(answer: Any) -> str:
    """The text of an answer; of a PDF the text of its pages and of what is attached."""
    if answer.headers.get("content-type") != "application/pdf":
        return str(answer.content, "utf-8", "replace")
    document = pypdfium2.PdfDocument(answer.content)
    texts = [page.get_textpage().get_text_range() for page in document]
    attached = [
        document.get_attachment(place).get_data() for place in range(document.count_attachments())
    ]
    return "".join(texts) + "".join(bytes(data).decode("utf-8", "replace") for data in attached)


@pytest.mark.parametrize("who", ["viewer", "regulator"])
@pytest.mark.asvs("8.2.3", "14.2.6")
def test_no_route_shows_a_person_to_who_may_not_see_it(
    client: TestClient, lender: Lender, agency: Sender, told: None, who: str
) -> None:
    viewer = make_key(lender, scope=Scope.READ)
    key = make_regulator(lender) if who == "regulator" else viewer
    auth = {"authorization": f"Bearer {key.token}"}
    items = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    call = next(item for item in items if item["interaction_id"] == "C-1")
    values = {"interaction": call["id"], "agency_id": str(agency.id), "agency": str(agency.id)}

    plain = ask_all(client, lender.auth, values)
    answers = ask_all(client, auth, values)

    shown = {mark for mark in MARKS for answer in plain.values() if mark in read(answer)}
    assert shown >= set(MARKS) - {CONTACT, OTHER[3:]}, "who may see them does"
    leaks = [
        (route, mark) for route, answer in answers.items() for mark in MARKS if mark in read(answer)
    ]
    assert leaks == []
    read_well = {
        name.split(" ")[0] for name, answer in answers.items() if answer.status_code == 200
    }
    assert read_well >= {
        "/v1/interactions", "/v1/interactions/{interaction}", "/v1/findings",
        "/v1/interactions/{interaction}/transcript", "/v1/interactions/{interaction}/vcon",
        "/v1/interactions/{interaction}/verdicts", "/v1/reports/agencies/{agency_id}",
    }  # fmt: skip


def test_masked_findings_keep_their_spans_and_the_words_that_broke_the_rule(
    client: TestClient, lender: Lender, told: None
) -> None:
    viewer = {"authorization": f"Bearer {make_key(lender, scope=Scope.READ).token}"}
    params = {"rule": "THR-02"}

    (masked, *_) = client.get("/v1/findings", params=params, headers=viewer).json()["items"]
    (plain, *_) = client.get("/v1/findings", params=params, headers=lender.auth).json()["items"]

    assert "上门泼油漆" in masked["evidence"]["quote"]
    assert len(masked["evidence"]["heard"]) == len(plain["evidence"]["heard"])
    kept = ("id", "interaction", "rule", "severity", "started_at")
    assert {key: masked[key] for key in kept} == {key: plain[key] for key in kept}


def test_ids_digests_and_times_are_no_texts() -> None:
    document = {
        "id": "13800000-0138-0000-0001-138000000012",
        "recording_sha256": "6222021234567890128" + "0" * 45,
        "interaction_id": "13800000001",
        "started_at": "2026-06-03T11:00:00+08:00",
        "next_cursor": "MTM4MDAwMDAwMDE13800000001",
        "uri": "/v1/interactions/13800000-0138-0000-0001-138000000012",
        "why": "打给 13800000001 的电话",
        "items": [{"text": "一三八零零"}, {"text": "零零零零零一"}],
    }

    masked = mask_document(document)

    changed = {key for key in document if masked[key] != document[key]}
    assert changed == {"why", "items"}
    assert masked["why"] == "打给 *********** 的电话"
    assert [item["text"] for item in masked["items"]] == ["*****", "******"]

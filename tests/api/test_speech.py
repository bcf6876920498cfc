"""A lender's own words for the speech engine: bounded, refused by name, never the agency's."""

from typing import Any

import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient

from service.db import tenant_session
from service.models import AuditEntry
from service.speech import MAX_HOTWORD, MAX_HOTWORDS, MAX_PROMPT
from tests.factories import Lender, Sender

PATH = "/v1/parameters/speech"


def put(client: TestClient, lender: Lender, **body: Any) -> Any:
    return client.put(PATH, json=body, headers=lender.auth)


def test_words_are_in_force_until_the_next_set(client: TestClient, lender: Lender) -> None:
    empty = client.get(PATH, headers=lender.auth).json()
    assert empty == {"revision": 0, "since": None, "prompt": "", "hotwords": []}

    made = put(
        client, lender, prompt=" 您好,汇民银行。", hotwords=["汇民银行", " 汇民银行 ", "安正"]
    )
    assert made.status_code == 200, made.text
    assert put(client, lender, hotwords=["安正催收"]).json()["revision"] == 2

    shown = client.get(PATH, headers=lender.auth).json()
    assert made.json()["prompt"] == "您好,汇民银行。"
    assert made.json()["hotwords"] == ["汇民银行", "安正"]
    assert (shown["revision"], shown["prompt"], shown["hotwords"]) == (2, "", ["安正催收"])


def test_the_audit_says_that_words_were_set_and_not_which(
    client: TestClient, lender: Lender
) -> None:
    put(client, lender, prompt="汇民银行", hotwords=["安正催收"])

    with tenant_session(lender.id) as session:
        entry = session.exec(select(AuditEntry).order_by(col(AuditEntry.seq))).all()[-1]
    assert (entry.action, entry.subject_id) == ("speech_set", "1")
    assert entry.details == {"prompt_characters": 4, "hotwords": 1}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"prompt": "长" * (MAX_PROMPT + 1)}, ["prompt"]),
        ({"prompt": "您好\n再见"}, ["prompt"]),
        ({"prompt": "<|startoftranscript|>"}, ["prompt"]),
        ({"hotwords": ["一"]}, ["hotwords.0"]),
        ({"hotwords": ["汇民", "长" * (MAX_HOTWORD + 1), "a\x00b"]}, ["hotwords.1", "hotwords.2"]),
        ({"hotwords": [f"词{n:02}" for n in range(MAX_HOTWORDS + 1)]}, ["hotwords"]),
        ({"hotwords": "汇民银行"}, ["hotwords"]),
        ({"words": []}, ["words"]),
    ],
)
def test_what_an_engine_cannot_be_told_is_refused_by_name(
    client: TestClient, lender: Lender, body: dict[str, Any], fields: list[str]
) -> None:
    answer = put(client, lender, **body)

    assert answer.status_code == 422
    assert [problem["field"] for problem in answer.json()["errors"]] == fields
    assert client.get(PATH, headers=lender.auth).json()["revision"] == 0


def test_it_is_between_the_lender_and_its_regulators(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    assert client.get(PATH, headers=agency.auth).status_code == 403
    assert client.put(PATH, json={}, headers=agency.auth).status_code == 403
    assert client.get(PATH).status_code == 401

"""`hegui check` reads vCons, and `hegui vcon export` writes what the service holds."""

import json
import os
from base64 import urlsafe_b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hegui.check import needs_hearing
from hegui.inputs import InputError, Inputs, read_inputs
from tests.conftest import Database
from tests.factories import (
    Lender,
    Sender,
    make_call,
    make_case,
    make_recording,
    post_event,
    put_recording,
)
from tests.hegui.tree import hegui

THREAT = "您拖欠的欠款至今未还，今晚不还清就上门泼油漆。"
SOUND = "UklGRiBub3QgcmVhbA"


def make_vcon(dialog: dict[str, Any]) -> dict[str, Any]:
    return {
        "uuid": "0199e054-ed10-8035-b9a2-279e0d16bc46",
        "created_at": "2026-05-12T12:20:00+08:00",
        "subject": "K-1",
        "parties": [
            {"uuid": "E-104", "role": "agent"},
            {"tel": "+8613800010045", "role": "customer"},
        ],
        "dialog": [{"start": "2026-05-12T12:20:00+08:00", "parties": [0, 1], **dialog}],
    }


def write(path: Path, dialog: dict[str, Any]) -> Path:
    path.write_text(json.dumps(make_vcon(dialog), ensure_ascii=False), "utf-8")
    return path


def read(path: Path) -> Inputs:
    return read_inputs([path], moment=datetime(2026, 5, 12, tzinfo=UTC), speakers=("collector",))


def test_a_threat_in_a_vcon_fails_the_check(tmp_path: Path) -> None:
    text = {"type": "text", "application": "sms", "body": THREAT, "encoding": "none"}

    done = hegui("check", str(write(tmp_path / "one.vcon.json", text)), "--format", "json")

    assert done.returncode == 1, done.stderr
    (found,) = json.loads(done.stdout)["interactions"]
    assert (found["channel"], found["outcome"], found["case_id"]) == ("sms", "fail", "K-1")


def test_a_vcon_that_cannot_be_taken_is_refused_by_its_fields(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(write(tmp_path / "one.vcon", {"type": "text", "body": 7}))

    fields = {problem.field for problem in caught.value.problems}
    assert fields == {"dialog.0.body", "dialog.0.application"}


def test_the_sound_of_a_vcon_is_heard_wherever_it_lies(tmp_path: Path) -> None:
    inside = {"type": "recording", "body": SOUND, "encoding": "base64url"}
    digest = "sha256-" + "A" * 43
    beside = {"type": "recording", "filename": "call.wav", "content_hash": digest}
    (tmp_path / "call.wav").write_bytes(b"RIFF")

    for name, dialog, content in (
        ("inside.vcon", inside, urlsafe_b64decode(SOUND + "==")),
        ("beside.vcon", beside, b"RIFF"),
    ):
        inputs = read(write(tmp_path / name, dialog))
        ((_, path),) = needs_hearing(inputs)
        assert path.read_bytes() == content
    folder = read(tmp_path)
    assert len(folder.events) == 2  # the sound beside a vCon is no call of its own


def test_an_interaction_is_exported_with_its_sound(
    client: TestClient, lender: Lender, agency: Sender, database: Database, tmp_path: Path
) -> None:
    sound = urlsafe_b64decode(SOUND + "==")
    post_event(client, agency, make_case())
    put_recording(client, agency, sound)
    post_event(client, agency, make_call(recording=make_recording(sound)))
    (item,) = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    settings = {
        "HEGUI_DATABASE_URL": database.app_url,
        "HEGUI_OBJECT_DIR": os.environ["HEGUI_OBJECT_DIR"],
    }
    target = tmp_path / "one.vcon"
    wish = ("vcon", "export", item["id"], "--tenant", str(lender.id), "--audio")

    done = hegui(*wish, "--output", str(target), **settings)

    assert done.returncode == 0, done.stderr
    (dialog,) = json.loads(target.read_text("utf-8"))["dialog"]
    assert (dialog["body"], dialog["mediatype"]) == (SOUND, "audio/x-wav")
    ((_, path),) = needs_hearing(inputs := read(target))
    assert path.read_bytes() == sound
    assert inputs.problems == []

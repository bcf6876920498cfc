"""A long call is killed in the middle: the next worker goes on where the last one was cut off."""

import io
import json
import wave
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from sqlmodel import col, select

from service.db import tenant_session
from service.models import InteractionRow, TranscriptRow
from service.privacy.sealed_words import segments_of, words_of
from tests.factories import (
    Lender,
    Sender,
    encode,
    make_agency,
    make_call,
    make_case,
    make_recording,
    make_tenant,
    sign,
)
from tests.workers.system import ROOT, System, running_system
from workers.speech.decode import RATE, decoded

CLIPS = ("prison_threat.ogg", "lawful_contact_opus.ogg", "claimed_lawsuit_mulaw.wav")
ROUNDS = 2
ENOUGH = 2  # pieces: where somebody speaks, and most of what is said
PATIENCE_S = 300.0
KEPT = ("flags", "parameters", "engine", "model_digest", "untrusted_share")


def long_call() -> bytes:
    """Two and a half minutes of both voices, as a WAV file, from the recordings of the tests."""
    parts = []
    for name in CLIPS:
        with decoded(ROOT / "tests" / "data" / name) as audio:
            parts.append(np.array(audio.samples))
    whole = np.concatenate(parts * ROUNDS)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(whole.shape[1])
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes(whole.tobytes())
    return file.getvalue()


@pytest.fixture
def system() -> Iterator[System]:
    with running_system("", HEGUI_ENGINE="faster-whisper", HEGUI_LOG_LEVEL="DEBUG") as made:
        yield made


def post(client: httpx.Client, agency: Sender, event: dict[str, Any]) -> None:
    body = encode(event)
    answer = client.post(
        f"/v1/webhooks/{agency.id}", content=body, headers=sign(agency.secret, body)
    )
    assert answer.status_code == 202, answer.text


def pieces_heard(system: System, attempt: int) -> list[int]:
    """The positions that an attempt has heard and stored, from the worker's own log."""
    lines = (system.folder / "worker.log").read_text().splitlines()
    entries = [json.loads(line) for line in lines if '"piece_stored"' in line]
    return [entry["position"] for entry in entries if entry["attempt"] == attempt]


def transcript(lender: Lender, interaction: str) -> tuple[Any, ...]:
    with tenant_session(lender.id) as session:
        row = session.exec(
            select(TranscriptRow)
            .join(InteractionRow, col(InteractionRow.id) == col(TranscriptRow.interaction_id))
            .where(InteractionRow.interaction_id == interaction)
        ).one()
        return (segments_of(row), words_of(row), *(getattr(row, name) for name in KEPT))


def shown(client: httpx.Client, lender: Lender) -> dict[str, Any]:
    (item,) = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    found: dict[str, Any] = item
    return found


def hear(system: System, client: httpx.Client, agency: Sender, call: dict[str, Any]) -> None:
    """Announce a call whose bytes are here, and wait until a worker has begun to hear it."""
    post(client, agency, call)
    name = call["data"]["interaction_id"]
    begun = f"select 1 from interaction where interaction_id = '{name}' and attempt > 0"
    assert system.wait_until(lambda: bool(system.query(begun)), PATIENCE_S)


def wait_for_transcript(system: System, name: str) -> None:
    there = (
        "select 1 from transcript as t join interaction as i on i.id = t.interaction_id"
        f" where i.interaction_id = '{name}'"
    )
    found = system.wait_until(lambda: bool(system.query(there)), PATIENCE_S)
    assert found, (system.folder / "worker.log").read_text()[-4000:]


def kill_in_the_midst(system: System) -> list[int]:
    """Kill the worker once it has stored enough; gives the positions that are safe."""
    enough = f"select count(*) >= {ENOUGH} from transcript_piece"
    found = system.wait_until(lambda: system.query(enough) == [(True,)], PATIENCE_S)
    assert found, (system.folder / "worker.log").read_text()[-4000:]
    moved = "select 1 from interaction where progress > 0.3"
    assert system.wait_until(lambda: bool(system.query(moved)), PATIENCE_S)
    system.worker.kill()
    return [n for (n,) in system.query("select position from transcript_piece order by position")]


@pytest.mark.slow
def test_a_killed_long_call_goes_on_and_ends_the_same(system: System) -> None:
    audio, lender = long_call(), make_tenant()
    agency, recording = make_agency(lender), make_recording(audio)
    with httpx.Client(
        base_url=system.url, timeout=20, transport=httpx.HTTPTransport(retries=20)
    ) as client:
        post(client, agency, make_case())
        address = f"/v1/recordings/{recording['sha256']}"
        assert client.put(address, content=audio, headers=agency.auth).status_code == 201
        hear(system, client, agency, make_call(interaction_id="killed", recording=recording))
        safe = kill_in_the_midst(system)
        during = shown(client, lender)
        # The dead worker's lease would end by itself in half a minute.
        system.query("update interaction set lease_until = now() returning 1")
        wait_for_transcript(system, "killed")
        after = shown(client, lender)
        hear(system, client, agency, make_call(interaction_id="whole", recording=recording))
        wait_for_transcript(system, "whole")

    # What was safe is not heard again: only the piece in hand was lost.
    again = pieces_heard(system, attempt=2)
    assert safe + again == list(range(len(safe) + len(again)))
    assert len(safe) >= ENOUGH
    assert len(again) >= 1
    assert during["state"] == "transcribing"
    assert 0.3 < during["progress"] < 1.0
    assert during["progress_at"] > during["received_at"]
    assert (after["progress"], after["progress_at"]) == (None, None)
    assert system.query("select position from transcript_piece") == []
    segments, words, *_ = transcript(lender, "killed")
    assert len(segments) == len(words)
    assert any(words)
    assert transcript(lender, "killed") == transcript(lender, "whole")

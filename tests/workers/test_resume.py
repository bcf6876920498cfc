"""A long call is killed in the middle: the next worker goes on where the last one was cut off."""

import io
import json
import wave
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

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
TRANSCRIPT = "segments, words, flags, parameters, engine, model_digest, untrusted_share"


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


def number(system: System, statement: str) -> float:
    ((found,),) = system.query(statement)
    return float(found or 0)


def pieces_heard(system: System) -> dict[int, list[int]]:
    """The positions that each attempt has stored, from the worker's own log."""
    found: dict[int, list[int]] = defaultdict(list)
    for line in (system.folder / "worker.log").read_text().splitlines():
        if '"piece_stored"' in line:
            entry = json.loads(line)
            found[entry["attempt"]].append(entry["position"])
    return found


def transcript(system: System, interaction: str) -> tuple[Any, ...]:
    (row,) = system.query(
        f"select {TRANSCRIPT} from transcript as t join interaction as i"
        f" on i.id = t.interaction_id where i.interaction_id = '{interaction}'"
    )
    return row


def shown(client: httpx.Client, lender: Lender) -> dict[str, Any]:
    (item,) = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    found: dict[str, Any] = item
    return found


def test_a_killed_long_call_goes_on_and_ends_the_same(system: System) -> None:
    audio = long_call()
    lender = make_tenant()
    agency = make_agency(lender)
    recording = make_recording(audio)
    heard = "select count(*) from transcript where interaction_id in (select id from interaction"
    with httpx.Client(
        base_url=system.url, timeout=20, transport=httpx.HTTPTransport(retries=20)
    ) as client:
        post(client, agency, make_case())
        address = f"/v1/recordings/{recording['sha256']}"
        assert client.put(address, content=audio, headers=agency.auth).status_code == 201
        post(client, agency, make_call(interaction_id="killed", recording=recording))
        is_deep = f"select count(*) >= {ENOUGH} from transcript_piece"
        found = system.wait_until(lambda: system.query(is_deep) == [(True,)], PATIENCE_S)
        assert found, (system.folder / "worker.log").read_text()[-4000:]
        during = shown(client, lender)
        system.worker.kill()

        assert during["state"] == "transcribing"
        assert 0.3 < during["progress"] < 1.0
        assert during["progress_at"] > during["received_at"]
        stored = number(system, "select count(*) from transcript_piece")
        assert stored >= ENOUGH

        # The dead worker's lease would end by itself in half a minute.
        system.query("update interaction set lease_until = now() returning 1")
        first = f"{heard} where interaction_id = 'killed')"
        assert system.wait_until(lambda: number(system, first) == 1, PATIENCE_S)
        after = shown(client, lender)

        # Nothing of what was stored is heard again; at most the one piece in hand was lost.
        attempts = pieces_heard(system)
        assert sorted(attempts) == [1, 2]
        assert set(attempts[1]).isdisjoint(attempts[2])
        assert sorted(attempts[1] + attempts[2]) == list(range(len(attempts[1]) + len(attempts[2])))
        assert len(attempts[1]) >= stored

        assert number(system, "select count(*) from transcript_piece") == 0
        assert (after["progress"], after["progress_at"]) == (None, None)

        post(client, agency, make_call(interaction_id="whole", recording=recording))
        second = f"{heard} where interaction_id = 'whole')"
        assert system.wait_until(lambda: number(system, second) == 1, PATIENCE_S)
    segments, words, *_ = transcript(system, "killed")
    assert len(segments) == len(words)
    assert any(words)
    assert transcript(system, "killed") == transcript(system, "whole")

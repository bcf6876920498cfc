"""Recordings that one worker hears side by side: each keeps its own claim, and its own end."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from service.clock import now
from service.config import settings
from service.db import tenant_session
from service.models import InteractionRow
from service.transcribe import Hearing, begin, load_recording
from service.work import LEASE, MAX_TRIES, LostLeaseError
from tests.factories import (
    Lender,
    make_agency,
    make_call,
    make_case,
    make_recording,
    make_tenant,
    post_event,
    put_recording,
)
from tests.workers.speech.sound import THREAT, make_wav, voice_of
from workers.company import Room
from workers.speech import transcribe_file
from workers.speech.engines import get_engine
from workers.speech.reading import WhisperReader
from workers.speech.sharing import Served
from workers.tasks import transcribe

LATER = LEASE + timedelta(seconds=1)


@pytest.fixture
def quick_engine() -> Iterator[WhisperReader]:
    os.environ["HEGUI_ENGINE"] = "faster-whisper"
    settings.cache_clear()
    found = get_engine("faster-whisper")
    assert isinstance(found, WhisperReader)
    yield found
    del os.environ["HEGUI_ENGINE"]
    settings.cache_clear()


def waiting_call(client: TestClient, audio: bytes) -> tuple[Lender, UUID]:
    """A lender whose only call waits to be heard."""
    lender = make_tenant()
    agency = make_agency(lender)
    post_event(client, agency, make_case())
    put_recording(client, agency, audio)
    assert post_event(client, agency, make_call(recording=make_recording(audio))).status_code == 202
    return lender, row_of(lender).id


def row_of(lender: Lender) -> InteractionRow:
    with tenant_session(lender.id) as session:
        return session.exec(select(InteractionRow)).one()


def claim(lender: Lender, *, deaths: int = 0) -> Hearing | None:
    """Claim the lender's call after so many workers have died with it."""
    with tenant_session(lender.id) as session:
        return load_recording(
            session,
            tenant_id=lender.id,
            interaction_id=row_of(lender).id,
            now=now() + LATER * deaths,
        )


def begun(work: Hearing | None) -> Hearing:
    assert work is not None
    with tenant_session(work.tenant_id) as session:
        begin(session, work)
    return work


def heard(client: TestClient, lender: Lender) -> list[str]:
    address = f"/v1/interactions/{row_of(lender).id}/transcript"
    said = client.get(address, headers=lender.auth).json()
    return [part["text"] for part in said["segments"]]


@pytest.mark.usefixtures("clean")
def test_calls_of_several_lenders_share_batches_and_a_bad_one_harms_nobody(
    client: TestClient, quick_engine: WhisperReader, tmp_path: Path
) -> None:
    parts = [np.hstack([voice_of(THREAT, n, at, at + 8) for n in (0, 1)]) for at in (0, 8, 16)]
    files = [make_wav(tmp_path / f"{n}.wav", part) for n, part in enumerate(parts)]
    calls = [waiting_call(client, path.read_bytes()) for path in files]
    bad, bad_id = waiting_call(client, b"RIFF of nothing")
    own = {"hotwords": ["法院"]}
    lender = calls[0][0]
    assert client.put("/v1/parameters/speech", json=own, headers=lender.auth).status_code == 200
    quick_engine.sharing.served = Served()

    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(transcribe, tenant_id=str(each.id), subject_id=str(subject))
            for each, subject in [*calls, (bad, bad_id)]
        ]
        for job in jobs:
            job.result()

    assert row_of(bad).state == "undecodable"
    assert (row_of(bad).reason or "").startswith("not_audio")
    for (lender, _), path in list(zip(calls, files, strict=True))[1:]:
        alone = transcribe_file(path, speakers=["collector", "party"], engine="faster-whisper")
        assert heard(client, lender) == [part.text for part in alone.segments]
    assert heard(client, calls[0][0])
    # All went through the one model; whether any two met in a batch is a matter of moments.
    assert quick_engine.sharing.served.wishes >= len(calls)


@pytest.mark.usefixtures("clean")
def test_only_what_was_heard_is_charged_with_a_death_and_is_then_heard_alone(
    client: TestClient,
) -> None:
    (one, _), (beside, _) = (waiting_call(client, audio) for audio in (b"a" * 99, b"b" * 99))
    first = [begun(claim(one)), begun(claim(beside))]
    assert [work.alone for work in first] == [False, False]

    # Their worker dies over one of them. Whoever waits for its turn is not charged again.
    for death in range(1, MAX_TRIES):
        waiting = claim(beside, deaths=death)
        assert waiting is not None
        assert waiting.alone
        assert begun(claim(one, deaths=death)).alone

    assert claim(one, deaths=MAX_TRIES) is None
    assert row_of(one).state == "undecodable"
    assert begun(claim(beside, deaths=MAX_TRIES)).alone
    assert row_of(beside).state == "transcribing"
    with pytest.raises(LostLeaseError):
        begun(first[1])


def test_who_must_be_alone_waits_for_the_others_and_they_for_it() -> None:
    room, inside, most = Room(), 0, {False: 0, True: 0}
    counting, together = threading.Lock(), threading.Barrier(3, timeout=10)

    def visit(*, alone: bool, meet: bool = False) -> None:
        nonlocal inside
        with room.entered(alone=alone):
            with counting:
                inside += 1
                most[alone] = max(most[alone], inside)
            if meet:
                together.wait()
            with counting:
                inside -= 1

    with ThreadPoolExecutor(12) as pool:
        jobs = [pool.submit(visit, alone=False, meet=True) for _ in range(3)]
        for _ in range(20):
            jobs.append(pool.submit(visit, alone=True))
            jobs.append(pool.submit(visit, alone=False))
        for job in jobs:
            job.result(20)

    assert most[True] == 1
    assert most[False] >= 3

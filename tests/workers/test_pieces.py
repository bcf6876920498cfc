"""What is heard of a recording is kept as it comes, by the one who holds it, until it is whole."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from rules.events import Segment, Speaker, Word
from service.clock import now
from service.db import tenant_session
from service.models import InteractionRow, TranscriptPiece
from service.speech import Bias
from service.transcribe import (
    Heard,
    Hearing,
    StoredPiece,
    begin,
    load_recording,
    store_piece,
    store_transcript,
    store_undecodable,
)
from service.work import LEASE, MAX_TRIES, LostLeaseError, release, renew
from tests.factories import (
    Lender,
    Sender,
    make_call,
    make_case,
    make_recording,
    make_sms,
    post_event,
    put_recording,
)
from workers.hearing import options_of
from workers.speech.engines import EngineOptions

AUDIO, OTHER = b"a long recording" * 20, b"another one" * 20
DOC = {"lines": [{"start": 1.0, "text": "您好", "avg_logprob": -0.0, "far": 1e-07}]}
LATER = LEASE + timedelta(seconds=1)


def claim(lender: Lender, *, later: timedelta = timedelta()) -> Hearing:
    with tenant_session(lender.id) as session:
        row = session.exec(select(InteractionRow)).one()
        found = load_recording(
            session, tenant_id=lender.id, interaction_id=row.id, now=now() + later
        )
    assert found is not None
    with tenant_session(lender.id) as session:
        begin(session, found)
    return found


def keep(work: Hearing, position: int, progress: float | None = None) -> None:
    piece = StoredPiece(position, "k" * 64, 10.0 * position, DOC)
    with tenant_session(work.tenant_id) as session:
        store_piece(session, work, piece, progress=progress, now=now())


def kept(lender: Lender) -> list[int]:
    with tenant_session(lender.id) as session:
        return sorted(row.position for row in session.exec(select(TranscriptPiece)))


def shown(client: TestClient, lender: Lender) -> dict[str, Any]:
    (item,) = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    answer = client.get(f"/v1/interactions/{item['id']}", headers=lender.auth)
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def call() -> dict[str, Any]:
    return make_call(recording=make_recording(AUDIO))


@pytest.fixture
def work(client: TestClient, lender: Lender, agency: Sender, call: dict[str, Any]) -> Hearing:
    """A recording that a worker has claimed."""
    post_event(client, agency, make_case())
    put_recording(client, agency, AUDIO)
    post_event(client, agency, call)
    return claim(lender)


def test_the_next_worker_gets_the_pieces_to_the_letter(lender: Lender, work: Hearing) -> None:
    assert work.pieces == ()
    keep(work, 0)
    keep(work, 1)
    keep(work, 1)  # a piece that is made again replaces itself

    successor = claim(lender, later=LATER)

    assert [piece.position for piece in successor.pieces] == [0, 1]
    assert {repr(piece.doc) for piece in successor.pieces} == {repr(DOC)}


def test_a_worker_that_was_taken_over_keeps_nothing(lender: Lender, work: Hearing) -> None:
    keep(work, 0)
    successor = claim(lender, later=LATER)
    keep(successor, 1)

    with pytest.raises(LostLeaseError):
        keep(work, 2)

    assert kept(lender) == [0, 1]


@pytest.mark.parametrize("end", ["stored", "undecodable", "set aside", "another recording"])
def test_pieces_and_progress_go_when_the_hearing_ends(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    work: Hearing,
    call: dict[str, Any],
    end: str,
) -> None:
    keep(work, 0, progress=0.25)
    assert (kept(lender), shown(client, lender)["progress"]) == ([0], 0.25)

    if end == "another recording":
        put_recording(client, agency, OTHER)
        data = {**call["data"], "recording": make_recording(OTHER)}
        later = {**call, "timestamp": "2026-06-04T11:00:00+08:00", "data": data}
        assert post_event(client, agency, later).status_code == 202
    else:
        with tenant_session(lender.id) as session:
            if end == "stored":
                store_transcript(session, work, heard(), now=now())
            elif end == "undecodable":
                store_undecodable(session, work, "too_long")
            else:
                session.exec(select(InteractionRow)).one().tries = MAX_TRIES
        if end == "set aside":
            with tenant_session(lender.id) as session:
                assert load_recording(
                    session,
                    tenant_id=lender.id,
                    interaction_id=work.interaction_id,
                    now=now() + LATER,
                ) is None  # fmt: skip

    assert kept(lender) == []
    found = shown(client, lender)
    assert (found["progress"], found["progress_at"]) == (None, None)


def test_an_event_that_changes_only_who_speaks_is_heard_anew(
    client: TestClient, lender: Lender, agency: Sender, work: Hearing, call: dict[str, Any]
) -> None:
    with tenant_session(lender.id) as session:
        store_transcript(session, work, heard(), now=now())
    turned = make_recording(AUDIO, speakers=["party", "collector"])
    again = {**call, "timestamp": "2026-06-04T11:00:00+08:00"}
    later = {
        **call,
        "timestamp": "2026-06-04T12:00:00+08:00",
        "data": {**call["data"], "recording": turned},
    }

    assert post_event(client, agency, again).status_code == 202
    assert shown(client, lender)["state"] == "transcribed"
    assert post_event(client, agency, later).status_code == 202

    assert shown(client, lender)["state"] == "transcribing"
    anew = claim(lender)
    assert anew.speakers == ("party", "collector")
    with pytest.raises(LostLeaseError), tenant_session(lender.id) as session:
        store_transcript(session, work, heard(), now=now())


def heard() -> Heard:
    word = Word(text="您好", start=0.5, end=1.0, probability=0.9)
    said = Segment(speaker=Speaker.COLLECTOR, start=0, end=2, text="您好", words=(word,))
    doubted = Segment.model_validate({**said.model_dump(), "trusted": False, "doubts": ["loop"]})
    segments = (said, doubted)
    return Heard(
        segments,
        "openai-whisper",
        "0" * 64,
        {"beam": 1, "hotwords": ["汇民银行"]},
        60.0,
        0.5,
        ("clipped",),
    )


def test_deaths_before_a_stored_piece_do_not_count(lender: Lender, work: Hearing) -> None:
    for death in range(1, 2 * MAX_TRIES):
        keep(work, death)
        work = claim(lender, later=LATER * death)
    with tenant_session(lender.id) as session:
        assert session.exec(select(InteractionRow)).one().tries == 2  # this claim and one death

    for death in range(2, MAX_TRIES):
        claim(lender, later=LATER * (2 * MAX_TRIES + death))
    with tenant_session(lender.id) as session:
        assert session.exec(select(InteractionRow)).one().tries == MAX_TRIES


def test_progress_moves_with_the_heartbeat_and_says_since_when(
    client: TestClient, lender: Lender, work: Hearing
) -> None:
    moments = [now() + timedelta(seconds=10 * beat) for beat in range(4)]
    seen = []
    for moment, share in zip(moments, (None, 0.02, 0.5, 0.5), strict=True):
        with tenant_session(lender.id) as session:
            assert renew(session, work.interaction_id, work.attempt, now=moment, progress=share)
        found = shown(client, lender)
        seen.append((found["progress"], found["progress_at"]))
    with tenant_session(lender.id) as session:
        release(session, work.interaction_id, work.attempt, now=now())

    assert [share for share, _ in seen] == [None, 0.02, 0.5, 0.5]
    assert seen[0][1] is None
    assert seen[1][1] < seen[2][1] == seen[3][1]
    assert shown(client, lender)["progress"] == 0.5  # what was heard is not lost by a failure


def test_a_lease_that_is_renewed_outlasts_any_call(lender: Lender, work: Hearing) -> None:
    start = now()
    for beat in range(1, 400):  # an hour and more of heartbeats
        moment = start + beat * LEASE / 3
        with tenant_session(lender.id) as session:
            assert renew(session, work.interaction_id, work.attempt, now=moment)
            row = session.exec(select(InteractionRow)).one()
            assert row.lease_until == moment + LEASE
    with tenant_session(lender.id) as session:
        taken = load_recording(
            session,
            tenant_id=lender.id,
            interaction_id=work.interaction_id,
            now=start + 399 * LEASE / 3,
        )

    assert taken is None


def test_an_agency_sees_no_pieces(lender: Lender, agency: Sender, work: Hearing) -> None:
    keep(work, 0)

    with tenant_session(lender.id, agency_id=agency.id) as session:
        assert session.exec(select(TranscriptPiece)).all() == []


def test_flags_words_and_parameters_are_shown_and_the_flaw_is_judged(
    client: TestClient, lender: Lender, agency: Sender, work: Hearing, run_jobs: Any
) -> None:
    with tenant_session(lender.id) as session:
        store_transcript(session, work, heard(), now=now())
    run_jobs()

    found = shown(client, lender)
    address = f"/v1/interactions/{found['id']}/transcript"
    said = client.get(address, headers=lender.auth).json()
    assert found["flags"] == said["flags"] == ["clipped"]
    assert found["outcome"] == "inconclusive"
    assert "recording_clipped" in found["verdict"]["reasons"]
    assert found["verdict"]["untrusted_share"] == said["untrusted_share"] == 0.5
    assert said["parameters"] == {"beam": 1, "hotwords": ["汇民银行"]}
    for way in ("transcript", "vcon"):
        told = client.get(f"/v1/interactions/{found['id']}/{way}", headers=agency.auth)
        assert (told.status_code, "汇民银行" in told.text) == (200, False)
    assert said["segments"][0]["words"] == [
        {"text": "您好", "start": 0.5, "end": 1.0, "probability": 0.9}
    ]
    assert said["segments"][1]["doubts"] == ["loop"]


def test_a_message_has_neither_progress_nor_flags(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    post_event(client, agency, make_sms())

    found = shown(client, lender)

    assert (found["progress"], found["flags"]) == (None, [])


def test_the_prompt_in_force_at_the_claim_is_the_one_that_is_heard_with(
    client: TestClient, lender: Lender, work: Hearing
) -> None:
    body = {"prompt": "汇民银行", "hotwords": ["安正催收"]}
    assert client.put("/v1/parameters/speech", json=body, headers=lender.auth).status_code == 200

    successor = claim(lender, later=LATER)

    assert (work.bias.revision, work.bias.hotwords) == (0, ())
    assert (successor.bias.prompt, successor.bias.hotwords) == ("汇民银行", ("安正催收",))
    assert replace(successor.bias, since=None).revision == 1


def test_the_engine_is_told_the_lenders_words_and_else_its_own() -> None:
    usual = EngineOptions()

    assert options_of(Bias()) is None
    assert options_of(Bias(hotwords=("安正",))) == replace(usual, hotwords=("安正",))
    assert options_of(Bias(prompt="汇民")) == replace(usual, prompt="汇民")

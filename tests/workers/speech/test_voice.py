"""Where somebody speaks is found, however long the silence or the noise around it."""

from pathlib import Path

import numpy as np
import pytest

from tests.workers.speech.sound import LAWFUL, make_wav, voice_of
from workers.speech.decode import RATE, decoded
from workers.speech.voice import VoiceOptions, find_speech

SECONDS = 6
NOISE = 30


def speech_in(path: Path) -> list[tuple[float, float]]:
    with decoded(path) as audio:
        found = find_speech(audio, 0, VoiceOptions())
    return [(part.start / RATE, part.end / RATE) for part in found]


@pytest.mark.parametrize("gap", [2, 40, 130])
@pytest.mark.parametrize("noise", [0, NOISE])
def test_words_are_found_after_any_silence(tmp_path: Path, gap: int, noise: int) -> None:
    """130 s is longer than the block that is looked at in one go."""
    words = voice_of(LAWFUL, 0, 0, SECONDS)
    spoken = sum(end - start for start, end in speech_in(make_wav(tmp_path / "one.wav", words)))
    pause = np.zeros((gap * RATE, 1), dtype=np.int16)
    sound = np.concatenate([pause, words, pause, words, pause]).astype(np.float64)
    sound += np.random.default_rng(4).normal(0, noise, sound.shape) if noise else 0.0

    found = speech_in(make_wav(tmp_path / "call.wav", np.rint(sound).astype(np.int16)))

    for start in (gap, 2 * gap + SECONDS):
        inside = [part for part in found if start - 1 <= part[0] < start + SECONDS]
        assert sum(end - begin for begin, end in inside) == pytest.approx(spoken, rel=0.15)
        found = [part for part in found if part not in inside]
    assert found == []

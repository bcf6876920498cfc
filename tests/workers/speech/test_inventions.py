"""What a speech model says about sounds that are no speech must never be believed."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.workers.speech.sound import voice_without_words
from workers.speech.clips import Clip
from workers.speech.decode import RATE
from workers.speech.engines import EngineOptions, get_engine
from workers.speech.lines import lines_of
from workers.speech.voice import Stretch

SECONDS = 8
TIME = np.arange(SECONDS * RATE) / RATE
Sound = NDArray[np.float64]


def noise() -> Sound:
    spectrum = np.fft.rfft(np.random.default_rng(3).normal(size=TIME.size))
    pink: Sound = np.fft.irfft(spectrum / np.sqrt(np.arange(1, spectrum.size + 1)), TIME.size)
    return np.asarray(0.3 * pink / np.abs(pink).max())


def tone(*hertz: float) -> Sound:
    return np.asarray(0.2 * np.sum([np.sin(2 * np.pi * each * TIME) for each in hertz], axis=0))


def melody() -> Sound:
    """Eight plucked notes a second pair, as music on hold."""
    notes = np.repeat([262, 330, 392, 523, 440, 349, 294, 392] * 2, RATE // 2)
    fading = np.exp(-4 * (TIME % 0.5))
    return np.asarray(
        0.2 * fading * np.sum([np.sin(2 * np.pi * notes * n * TIME) / n for n in (1, 2, 3)], 0)
    )


SOUNDS = {
    "silence": np.zeros_like(TIME),
    "ringing": tone(450) * ((TIME % 5) < 1),
    "keys": tone(697, 1209) * ((TIME % 0.5) < 0.2),
    "hum": tone(50, 150),
    "noise": noise(),
    "bursts of noise": noise() * (np.sin(7 * np.pi * TIME) > 0),
    "clicks": 0.8 * (np.random.default_rng(3).random(TIME.size) < 0.0004),
    "music": melody(),
    "a voice without words": voice_without_words(SECONDS),
}


@pytest.mark.parametrize("prompt", [EngineOptions().prompt, ""], ids=["prompted", "unprompted"])
@pytest.mark.parametrize("name", SOUNDS)
def test_nothing_heard_in_a_sound_without_words_is_trusted(name: str, prompt: str) -> None:
    """The voice model is passed by: the words themselves must show that they are invented."""
    engine = get_engine("faster-whisper", options=EngineOptions(prompt=prompt))
    clip = Clip((Stretch(0, 0, TIME.size, TIME.size),), 0)

    (heard,) = engine.hear([SOUNDS[name].astype(np.float32)])

    assert [line.text for line in lines_of(clip, heard, engine.told) if not line.doubts] == []

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.workers.speech.sound import THREAT, make_wav
from workers.speech.decode import RATE, decoded
from workers.speech.noise import clearness, frame_powers


@pytest.fixture(scope="module")
def voice() -> NDArray[np.int16]:
    """Twenty seconds of a telephone call, both voices."""
    with decoded(THREAT) as audio:
        return np.array(audio.samples)


def with_noise(voice: NDArray[np.int16], level: float) -> NDArray[np.int16]:
    noise = np.random.default_rng(4).normal(0, level, voice.shape)
    return np.clip(voice + noise, -32_768, 32_767).astype(np.int16)


def distance(first: NDArray[np.int16], second: NDArray[np.int16]) -> float:
    return float(np.sqrt(np.mean((first.astype(float) - second) ** 2)))


def test_noise_is_taken_out_of_the_channel_that_has_it_and_nowhere_else(
    voice: NDArray[np.int16], tmp_path: Path
) -> None:
    noisy = np.stack([voice[:, 0], with_noise(voice, 900)[:, 1]], axis=1)

    with decoded(make_wav(tmp_path / "call.wav", noisy)) as audio:
        heard = np.array(audio.samples)
        assert audio.flags == ("noisy",)

    assert np.array_equal(heard[:, 0], voice[:, 0])
    assert distance(heard[:, 1], voice[:, 1]) < 0.6 * distance(noisy[:, 1], voice[:, 1])
    before, after = (clearness(frame_powers(each[:, 1], RATE)) for each in (noisy, heard))
    assert before < 11 < after


def test_a_block_does_not_show_where_it_begins(voice: NDArray[np.int16], tmp_path: Path) -> None:
    long = with_noise(np.tile(voice[:, :1], (4, 1)), 1_500)

    with decoded(make_wav(tmp_path / "long.wav", long)) as audio:
        heard = np.array(audio.samples[:, 0]).astype(float)
        assert audio.samples.shape == long.shape

    steps = np.abs(np.diff(heard))
    for border in (30 * RATE, 60 * RATE):
        assert steps[border - 3 : border + 3].max() <= steps.max() / 2
    with decoded(make_wav(tmp_path / "long.wav", long)) as audio:
        assert np.array_equal(audio.samples[:, 0], heard)


def test_clear_speech_silence_and_one_sample_are_left_alone(
    voice: NDArray[np.int16], tmp_path: Path
) -> None:
    with decoded(make_wav(tmp_path / "clear.wav", voice)) as audio:
        assert audio.flags == ()
        assert np.array_equal(audio.samples, voice)
    with decoded(make_wav(tmp_path / "one.wav", np.full((1, 1), 900, np.int16))) as audio:
        assert "noisy" not in audio.flags

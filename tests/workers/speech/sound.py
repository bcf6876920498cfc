"""Makes sound files for the speech tests."""

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.speech.decode import RATE, decoded

DATA = Path(__file__).parents[2] / "data"
THREAT = DATA / "claimed_lawsuit_mulaw.wav"
LAWFUL = DATA / "lawful_contact_opus.ogg"


def make_wav(path: Path, samples: NDArray[np.int16], *, rate: int = 16_000) -> Path:
    """Write samples, one column a channel."""
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(samples.shape[1])
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(samples.astype("<i2").tobytes())
    return path


def make_silence(path: Path, *, seconds: float, channels: int = 1, rate: int = 8_000) -> Path:
    return make_wav(path, np.zeros((round(seconds * rate), channels), dtype=np.int16), rate=rate)


def voice_of(path: Path, channel: int, start: float, end: float) -> NDArray[np.int16]:
    """Return one voice out of a recording as a column at 16 kHz."""
    with decoded(path) as audio:
        piece = audio.samples[round(start * 16_000) : round(end * 16_000), channel]
        return np.array(piece).reshape(-1, 1)


def voice_without_words(seconds: int) -> NDArray[np.float64]:
    """Return what sounds like a voice (-1 to 1, 16 kHz) and says nothing."""
    time = np.arange(seconds * RATE) / RATE
    pitch = np.cumsum(140 + 20 * np.sin(2 * np.pi * 0.7 * time)) / RATE * 2 * np.pi
    parts = [np.sin(n * pitch) / (1 + ((n * 140 - 700) / 200) ** 2) for n in range(1, 25)]
    return np.asarray(0.15 * np.sum(parts, axis=0) * (np.sin(4 * np.pi * time) > -0.5))

"""Makes sound files for the speech tests."""

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.speech.decode import decoded

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

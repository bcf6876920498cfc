"""What telephones and recorders do to a call before it is heard."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from hegui.evaluation.encode import Sound, write_sound
from workers.speech.decode import RATE, decoded

PHONE_RATE = 8_000
SIGNAL_TO_NOISE_DB = 10.0
FRAME = PHONE_RATE // 50
BAND = (300.0, 3_400.0)
# Frames this far below the loudest one are pauses and do not count as speech.
PAUSE_DB = 30.0


@dataclass(frozen=True)
class Codec:
    """One way of passing a call on; `write` makes the file that the engine is given."""

    name: str
    about: str
    write: Callable[[Path, Path], Path]


def _encoded(container: str, encoder: str, bit_rate: int | None) -> Callable[[Path, Path], Path]:
    def write(source: Path, folder: Path) -> Path:
        return write_sound(
            folder / f"call.{container}",
            phone_sound(source),
            container=container,
            encoder=encoder,
            rate=PHONE_RATE,
            bit_rate=bit_rate,
        )

    return write


def _channel_by_channel(
    container: str, encoder: str, bit_rate: int
) -> Callable[[Path, Path], Path]:
    """Codecs that know one voice only: each channel goes through alone and they are rejoined."""

    def write(source: Path, folder: Path) -> Path:
        sound, voices = phone_sound(source), []
        for channel in range(sound.shape[1]):
            path = write_sound(
                folder / f"{channel}.{container}",
                np.ascontiguousarray(sound[:, channel : channel + 1]),
                container=container,
                encoder=encoder,
                rate=PHONE_RATE,
                bit_rate=bit_rate,
            )
            with decoded(path) as audio:
                voices.append(np.array(audio.samples[:, 0]))
        shortest = min(map(len, voices))
        joined = np.stack([voice[:shortest] for voice in voices], axis=1)
        return _wav(folder, joined, RATE)

    return write


def _noisy(source: Path, folder: Path) -> Path:
    sound = phone_sound(source).astype(np.float64)
    dice = np.random.default_rng(10)
    for channel in range(sound.shape[1]):
        voice = sound[:, channel]
        noise = line_noise(len(voice), dice)
        voice += noise * speech_level(voice) * 10 ** (-SIGNAL_TO_NOISE_DB / 20)
    return _wav(folder, np.clip(sound, -32_768, 32_767).astype(np.int16), PHONE_RATE)


def _wav(folder: Path, sound: Sound, rate: int) -> Path:
    return write_sound(folder / "call.wav", sound, container="wav", encoder="pcm_s16le", rate=rate)


def phone_sound(source: Path) -> Sound:
    """Return a recording at 8 kHz, one column a channel."""
    with decoded(source) as audio:
        sound, channels = np.array(audio.samples), audio.channels
    layout = "mono" if channels == 1 else "stereo" if channels == 2 else f"{channels} channels"  # noqa: PLR2004  two voices
    frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), "s16", layout)
    frame.sample_rate = RATE
    resampler = av.AudioResampler("s16", layout, PHONE_RATE)
    pieces = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([piece.to_ndarray().reshape(-1, channels) for piece in pieces])


def line_noise(length: int, dice: np.random.Generator) -> NDArray[np.float64]:
    """Return noise of level 1 in the band of a telephone that falls by 3 dB an octave."""
    spectrum = np.fft.rfft(dice.normal(size=length))
    hertz = np.fft.rfftfreq(length, 1 / PHONE_RATE)
    heard = (hertz >= BAND[0]) & (hertz <= BAND[1])
    spectrum[heard] /= np.sqrt(hertz[heard])
    spectrum[~heard] = 0.0
    noise = np.fft.irfft(spectrum, length)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))


def speech_level(voice: NDArray[np.float64]) -> float:
    """Return the level (root mean square) of a voice, its pauses left out."""
    frames = voice[: len(voice) // FRAME * FRAME].reshape(-1, FRAME)
    power = np.mean(frames**2, axis=1)
    spoken = power[power > power.max(initial=0.0) * 10 ** (-PAUSE_DB / 10)]
    return float(np.sqrt(np.mean(spoken))) if spoken.size else 0.0


CODECS = {
    codec.name: codec
    for codec in (
        Codec("clean", "the recording as it is", lambda source, _: source),
        Codec("g711a", "G.711 A-law, 8 kHz, in WAV", _encoded("wav", "pcm_alaw", None)),
        Codec("g711u", "G.711 µ-law, 8 kHz, in WAV", _encoded("wav", "pcm_mulaw", None)),
        Codec(
            "amr-nb",
            "AMR-NB, 12.2 kbit/s a voice",
            _channel_by_channel("amr", "libopencore_amrnb", 12_200),
        ),
        Codec(
            "amr-nb-low",
            "AMR-NB, 5.9 kbit/s a voice, as on a bad mobile line",
            _channel_by_channel("amr", "libopencore_amrnb", 5_900),
        ),
        Codec("mp3-16k", "MP3, 16 kbit/s for both voices", _encoded("mp3", "libmp3lame", 16_000)),
        Codec("noise-10db", "noise in the telephone band, 10 dB below the speech", _noisy),
    )
}

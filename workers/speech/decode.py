"""Turns any recording into 16 kHz samples, one column a channel, without trusting the file."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
SCALE = 32_768.0
BLOCK_SECONDS = 60
SILENCE_PEAK = 0.001
CLIPPED_LEVEL = 32_700
CLIPPED_SHARE = 0.001
TWIN_DIFFERENCE = 0.02
# Formats whose header says how long the recording is; elsewhere FFmpeg guesses from the bit rate.
DECLARING = ("wav", "w64", "flac", "mov", "mp3", "au", "aiff", "caf")
KNOWN_BEGINNINGS = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"#!AMR", b".snd", b"FORM", b"caff")

SENTENCES = {
    "empty_file": "the file holds no bytes",
    "not_audio": "the file is not audio in a format that is accepted",
    "truncated_header": "the file begins like audio but ends before any sound",
    "too_long": "the recording is longer than is accepted",
    "too_many_channels": "the recording has more channels than are accepted",
    "impossible_rate": "the recording names a sample rate that no telephone or recorder uses",
    "decoder_crashed": "the decoder died on this file",
    "timeout": "decoding took longer than is allowed",
}

Samples = NDArray[np.float32]


class UndecodableError(Exception):
    """A recording could not be turned into sound; `code` is stable, `sentence` is for people."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.sentence = SENTENCES[code]
        super().__init__(f"{code}: {self.sentence}")

    @property
    def reason(self) -> str:
        """Return the code and the sentence in one line."""
        return f"{self.code}: {self.sentence}"


@dataclass(frozen=True)
class Limits:
    """What decoding one recording may cost."""

    seconds: int = 4 * 3600
    channels: int = 8
    lowest_rate: int = 4_000
    highest_rate: int = 192_000
    output_bytes: int = 2 << 30
    memory_bytes: int = 1 << 30
    cpu_seconds: int = 300
    wall_seconds: float = 600.0

    def for_child(self) -> str:
        """Return the limits as the JSON text that the child reads."""
        return json.dumps({**self.__dict__, "rate": RATE})


@dataclass(frozen=True)
class Audio:
    """A decoded recording: samples on disk, and what is known of them."""

    samples: NDArray[np.int16]
    format: str
    codec: str
    source_rate: int
    declared_seconds: float | None
    flags: tuple[str, ...]
    silent_channels: tuple[int, ...]
    cut_off: bool
    peaks: tuple[float, ...] = field(default=())

    @property
    def channels(self) -> int:
        """Return the number of channels."""
        return int(self.samples.shape[1])

    @property
    def seconds(self) -> float:
        """Return the decoded length."""
        return float(self.samples.shape[0] / RATE)

    def piece(self, channel: int, start: int, end: int) -> Samples:
        """Return samples [start, end) of one channel as floats between -1 and 1."""
        return self.samples[start:end, channel].astype(np.float32) / SCALE


@contextmanager
def decoded(path: Path, *, limits: Limits | None = None) -> Iterator[Audio]:
    """Decode the recording at `path`; its samples lie in a temporary file while the block runs.

    Raises `UndecodableError`. Memory does not grow with the length of the recording.
    """
    if path.stat().st_size == 0:
        raise UndecodableError("empty_file")
    with tempfile.TemporaryFile(prefix="hegui-audio-") as sink:
        report = _run_child(path, sink.fileno(), limits or Limits())
        if "refused" in report:
            _refuse(path, str(report["refused"]))
        if not report["frames"]:
            raise UndecodableError("truncated_header")
        shape = (int(report["frames"]), int(report["channels"]))
        samples: NDArray[np.int16] = np.memmap(sink, dtype="<i2", mode="r", shape=shape)
        yield _audio(samples, report)


def _run_child(path: Path, sink: int, limits: Limits) -> dict[str, Any]:
    script = Path(__file__).with_name("decoder.py")
    # -I keeps the child from reading the working folder and PYTHON* variables.
    command = [sys.executable, "-I", str(script), str(sink), limits.for_child()]
    with path.open("rb") as source:
        try:
            done = subprocess.run(  # noqa: S603  our own interpreter and script
                command,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(sink,),
                env={"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"},
                cwd=os.sep,
                timeout=limits.wall_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UndecodableError("timeout") from error
    try:
        report = json.loads(done.stdout)
    except ValueError as error:
        raise UndecodableError("decoder_crashed") from error
    if done.returncode != 0 or not isinstance(report, dict):
        raise UndecodableError("decoder_crashed")
    return report


def _refuse(path: Path, code: str) -> NoReturn:
    with path.open("rb") as file:
        beginning = file.read(12)
    known = beginning.startswith(KNOWN_BEGINNINGS) or beginning[4:8] == b"ftyp"
    raise UndecodableError("truncated_header" if code == "not_audio" and known else code)


@dataclass
class _Levels:
    """What one pass over the samples measures."""

    peaks: NDArray[np.float64]
    clipped: NDArray[np.int64]
    energy: float = 0.0
    difference: float = 0.0


def _measure(samples: NDArray[np.int16]) -> _Levels:
    channels = samples.shape[1]
    levels = _Levels(np.zeros(channels), np.zeros(channels, dtype=np.int64))
    step = BLOCK_SECONDS * RATE
    for start in range(0, samples.shape[0], step):
        block = samples[start : start + step].astype(np.int32)
        size = np.abs(block)
        levels.peaks = np.maximum(levels.peaks, size.max(axis=0) / SCALE)
        levels.clipped += (size >= CLIPPED_LEVEL).sum(axis=0)
        if channels > 1:
            first, second = block[:, 0].astype(np.float64), block[:, 1].astype(np.float64)
            levels.energy += float(first @ first + second @ second)
            levels.difference += float((first - second) @ (first - second))
    return levels


def _audio(samples: NDArray[np.int16], report: dict[str, Any]) -> Audio:
    levels = _measure(samples)
    silent = tuple(int(n) for n in np.flatnonzero(levels.peaks < SILENCE_PEAK))
    declared = report["declared_seconds"]
    seconds = samples.shape[0] / RATE
    flags = []
    if _is_truncated(report["format"], declared, seconds):
        flags.append("truncated")
    if report["bad_packets"]:
        flags.append("damaged")
    if len(silent) == samples.shape[1]:
        flags.append("silent")
    elif silent:
        flags.append("silent_channel")
    if (levels.clipped > CLIPPED_SHARE * samples.shape[0]).any():
        flags.append("clipped")
    if levels.energy and levels.difference < TWIN_DIFFERENCE * levels.energy:
        flags.append("dual_mono")
    if report["streams"] > 1:
        flags.append("extra_streams")
    return Audio(
        samples=samples,
        format=str(report["format"]),
        codec=str(report["codec"]),
        source_rate=int(report["source_rate"]),
        declared_seconds=declared,
        flags=tuple(flags),
        silent_channels=silent,
        cut_off=bool(report["cut_off"]),
        peaks=tuple(float(peak) for peak in levels.peaks),
    )


def _is_truncated(name: str, declared: float | None, seconds: float) -> bool:
    """Compare what the header promises with what could be decoded."""
    if declared is None or not name.startswith(DECLARING):
        return False
    share = 0.1 if name == "mp3" else 0.02
    return declared - seconds > max(1.0, share * declared)

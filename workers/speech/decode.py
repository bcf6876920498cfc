"""Turns any recording into 16 kHz samples, one column a channel, without trusting the file."""

import errno
import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from workers.speech.levels import measure
from workers.speech.noise import quietened

RATE = 16_000
SCALE = 32_768.0
BLOCK_SECONDS = 60
# How far the lengths may lie apart: a second, or this share of what was declared.
TOLERANCE_SECONDS = 1.0
TOLERANCE_SHARE = 0.02
# A process decodes no more than so many files at once, for the memory; others wait.
_DECODERS = threading.BoundedSemaphore(4)
# How accepted formats begin: bytes, and where they stand.
BEGINNINGS = (
    *((b"WAVE", 8), (b"riff", 0), (b"fLaC", 0), (b"OggS", 0), (b"ID3", 0), (b"#!AMR", 0)),
    *((b".snd", 0), (b"AIF", 8), (b"caff", 0), (b"ftyp", 4)),
)

# Why a recording gives no sound. Codes are stable: they stand in events, tables and reports.
SENTENCES = {
    "empty_file": "the file holds no bytes",
    "not_audio": "the file is not audio in a format that is accepted",
    "no_audio_stream": "the file holds no sound, only other streams",
    "unknown_codec": "the sound is in a codec that is not accepted",
    "truncated_header": "the file begins like audio but no sound follows; it was cut or damaged",
    "too_long": "the recording is longer than is accepted",
    "too_many_channels": "the recording has more channels than are accepted",
    "impossible_rate": "the recording names a sample rate that no telephone or recorder uses",
    "out_of_memory": "decoding would take more memory than is allowed",
    "decoder_crashed": "the decoder died on this file",
    "decoder_forbidden": "the decoder was stopped because it asked for a socket or a programme",
    "timeout": "decoding took longer than is allowed",
}
# What is wrong, or only unusual, in a recording that does give sound.
FLAGS = {
    "truncated": "less sound than the header promises, or the last page of the file is missing",
    "wrong_length": "more sound than the header promises, sound hidden behind it, or two lengths",
    "damaged": "parts could not be decoded",
    "silent": "no channel holds any sound",
    "silent_channel": "one channel holds no sound",
    "clipped": "the level was too high, so that speech is distorted",
    "noisy": "steady noise was close to the speech, and was taken out before hearing",
    "dual_mono": "both channels hold the same sound",
    "extra_streams": "the file holds further audio streams, which are not heard",
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
    heap_bytes: int = 256 << 20
    cpu_seconds: int = 300
    wall_seconds: float = 600.0

    def for_child(self) -> str:
        """Return the limits as the JSON text that the child reads."""
        return json.dumps({**asdict(self), "rate": RATE})


@dataclass(frozen=True)
class Audio:
    """A decoded recording: samples on disk, and what is known of them.

    `flags` are keys of `FLAGS`; `cut_off` says that the decoder had no network.
    """

    samples: NDArray[np.int16]
    format: str
    codec: str
    source_rate: int
    declared_seconds: float | None
    flags: tuple[str, ...]
    silent_channels: tuple[int, ...]
    cut_off: bool
    peaks: tuple[float, ...] = field(default=())
    mapped: mmap.mmap | None = field(default=None, repr=False, compare=False)

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
        piece = self.samples[start:end, channel].astype(np.float32)
        piece /= SCALE
        self.forget()
        return piece

    def forget(self) -> None:
        """Give the pages of the file back: hours of samples must not add up in memory."""
        if self.mapped is not None:
            self.mapped.madvise(mmap.MADV_DONTNEED)


@contextmanager
def decoded(path: Path, *, limits: Limits | None = None) -> Iterator[Audio]:
    """Decode the recording at `path`; its samples lie in a temporary file while the block runs.

    Raises `UndecodableError`, and `OSError` where the disk is full, which is not the recording's
    fault. Memory does not grow with the length of the recording.
    """
    if path.stat().st_size == 0:
        raise UndecodableError("empty_file")
    with tempfile.TemporaryFile(prefix="hegui-audio-") as sink:
        report = _run_child(path, sink.fileno(), limits or Limits())
        if "failed" in report:
            raise OSError(errno.ENOSPC, "no space for decoded sound", tempfile.gettempdir())
        if "refused" in report:
            _refuse(path, str(report["refused"]))
        if not report["frames"]:
            raise UndecodableError("truncated_header")
        yield _audio(sink.fileno(), report)


def _run_child(path: Path, sink: int, limits: Limits) -> dict[str, Any]:
    script = Path(__file__).with_name("decoder.py")
    # -I keeps the child from reading the working folder and PYTHON* variables.
    command = [sys.executable, "-I", str(script), str(sink), limits.for_child()]
    with path.open("rb") as source, _DECODERS:
        try:
            done = subprocess.run(  # noqa: S603  our own interpreter and script
                command,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(sink,),
                env={"LC_ALL": "C.UTF-8", "HOME": os.sep},
                cwd=os.sep,
                timeout=limits.wall_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UndecodableError("timeout") from error
    if done.returncode in _DEATHS:
        raise UndecodableError(_DEATHS[done.returncode])
    try:
        report = json.loads(done.stdout)
    except ValueError as error:
        raise UndecodableError("decoder_crashed") from error
    if done.returncode != 0 or not isinstance(report, dict):
        raise UndecodableError("decoder_crashed")
    return report


_DEATHS = {-signal.SIGXCPU: "timeout", -signal.SIGSYS: "decoder_forbidden"}


def _refuse(path: Path, code: str) -> NoReturn:
    with path.open("rb") as file:
        beginning = file.read(12)
    known = any(beginning.startswith(mark, place) for mark, place in BEGINNINGS)
    raise UndecodableError("truncated_header" if code == "not_audio" and known else code)


def _audio(sink: int, report: dict[str, Any]) -> Audio:
    frames, channels = int(report["frames"]), int(report["channels"])
    if os.fstat(sink).st_size != frames * channels * 2:
        raise UndecodableError("decoder_crashed")
    mapped = mmap.mmap(sink, 0, prot=mmap.PROT_READ)
    samples = np.frombuffer(mapped, dtype="<i2").reshape(frames, channels)
    levels = measure(_blocks(samples, mapped), channels=channels, rate=RATE)
    if levels.noisy_channels:
        _quieten(sink, samples, levels.noisy_channels)
    return Audio(
        samples=samples,
        format=str(report["format"]),
        codec=str(report["codec"]),
        source_rate=int(report["source_rate"]),
        declared_seconds=report["declared_seconds"],
        flags=(*_flags_of_file(report, frames / RATE), *levels.flags),
        silent_channels=levels.silent_channels,
        cut_off=bool(report["cut_off"]),
        peaks=levels.peaks,
        mapped=mapped,
    )


def _blocks(samples: NDArray[np.int16], mapped: mmap.mmap) -> Iterator[NDArray[np.int16]]:
    for start in range(0, samples.shape[0], BLOCK_SECONDS * RATE):
        yield samples[start : start + BLOCK_SECONDS * RATE]
        mapped.madvise(mmap.MADV_DONTNEED)


def _quieten(sink: int, samples: NDArray[np.int16], channels: Sequence[int]) -> None:
    """Write over noisy channels what is left of them without the noise."""
    with mmap.mmap(sink, 0) as writable:
        for channel in channels:
            for start, clean in quietened(samples[:, channel], RATE):
                target = np.frombuffer(writable, dtype="<i2").reshape(samples.shape)
                target[start : start + len(clean), channel] = clean
                del target
                writable.madvise(mmap.MADV_DONTNEED)


def _flags_of_file(report: dict[str, Any], seconds: float) -> Iterator[str]:
    """Compare what the header promises, what the container says and what could be decoded."""
    declared, whole = report["declared_seconds"], report["container_seconds"]
    if not report["declares"] or declared is None:
        declared = whole = seconds
    allowed = max(TOLERANCE_SECONDS, TOLERANCE_SHARE * declared)
    if declared - seconds > allowed or report["unfinished"]:
        yield "truncated"
    apart = whole is not None and whole - max(declared, seconds) > allowed
    if seconds - declared > allowed or report["behind_seconds"] > TOLERANCE_SECONDS or apart:
        yield "wrong_length"
    if report["bad_packets"]:
        yield "damaged"
    if report["streams"] > 1:
        yield "extra_streams"

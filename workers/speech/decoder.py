"""Decodes one recording inside a confined process of its own; run as a script by `decode`.

Standard input is the recording (an open file, so that no path is needed), the descriptor named in
the first argument takes interleaved 16-bit samples, and one JSON object on standard output says
what was found. Only the standard library and PyAV are used here, so that the process starts fast
and stays small.
"""

import contextlib
import ctypes
import io
import json
import os
import resource
import sys
import wave
from collections.abc import Iterator
from typing import IO, Any

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PR_SET_NO_NEW_PRIVS = 38
# Demuxers that carry telephone audio. Playlists and descriptions that point elsewhere (sdp, hls,
# dash, concat, rtsp, image sequences) are not in it, so they are refused before anything is opened.
FORMATS = "wav,w64,flac,mp3,mov,mp4,m4a,3gp,3g2,mj2,mov,ogg,amr,amrnb,amrwb,gsm,aac,au,aiff,caf"
CODECS = (
    "pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,"
    "pcm_u8,pcm_s8,pcm_alaw,pcm_mulaw,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,adpcm_g722,adpcm_g726,"
    "adpcm_g726le,gsm,gsm_ms,libgsm,libgsm_ms,g723_1,g729,truespeech,flac,mp3,mp3float,mp2,"
    "mp2float,aac,aac_latm,alac,opus,libopus,vorbis,libvorbis,speex,libspeex,amrnb,amrwb,"
    "libopencore_amrnb,libopencore_amrwb,ilbc"
)
MAX_BAD_PACKETS = 200


class RefusedError(Exception):
    """The recording is refused; the argument is one of the codes that `decode` explains."""


def confine(limits: dict[str, int]) -> bool:
    """Give up privileges, network and excess memory; return whether the network is really gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    cut_off = libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 or libc.unshare(CLONE_NEWNET) == 0
    for name, key in (("AS", "memory_bytes"), ("CPU", "cpu_seconds"), ("FSIZE", "output_bytes")):
        kind = getattr(resource, f"RLIMIT_{name}")
        resource.setrlimit(kind, (limits[key], limits[key]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return bool(cut_off)


def warm_up(av: Any, limits: dict[str, int]) -> None:
    """Decode a moment of silence: PyAV loads parts of itself late, and later it could not."""
    with io.BytesIO() as silence, io.BytesIO() as sink:
        with wave.open(silence, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(8000)
            writer.writeframes(bytes(1600))
        decode(av, silence, sink, limits)


def close_the_doors() -> None:
    """From here on no file, socket or process can be opened; what is open stays usable."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def declared_wav_bytes(source: IO[bytes]) -> tuple[int, int] | None:
    """Return what a RIFF header promises and what follows it, in bytes of sample data.

    FFmpeg quietly shortens the duration of a PCM file that was cut, so the promise is read here.
    """
    source.seek(0)
    try:
        head = source.read(12)
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            return None
        size = source.seek(0, os.SEEK_END)
        at = 12
        for _ in range(64):
            source.seek(at)
            chunk = source.read(8)
            length = int.from_bytes(chunk[4:8], "little")
            if len(chunk) < 8:  # noqa: PLR2004  a chunk's head is eight bytes
                return None
            if chunk[:4] == b"data":
                return length, min(length, size - at - 8)
            at += 8 + length + length % 2
        return None
    finally:
        source.seek(0)


def decode(
    av: Any, source: IO[bytes], sink: IO[bytes], limits: dict[str, int]
) -> dict[str, object]:
    """Decode the first audio stream into the sink and return the facts about it."""
    wav = declared_wav_bytes(source)
    options = {"format_whitelist": FORMATS, "codec_whitelist": CODECS, "protocol_whitelist": "none"}
    with av.open(source, mode="r", container_options=options) as container:
        if not container.streams.audio:
            raise RefusedError("not_audio")
        stream = container.streams.audio[0]
        stream.thread_type = "NONE"
        _refuse_impossible(stream, limits)
        declared = _declared_seconds(container, stream)
        frames, damage = _write(av, container, stream, sink, limits)
        if wav is not None and wav[0] and wav[0] < 0xFFFFFF00:  # noqa: PLR2004  -1: a live stream
            declared = max(declared or 0.0, frames / limits["rate"] * wav[0] / max(1, wav[1]))
        return {
            "format": container.format.name,
            "codec": stream.codec_context.name,
            "source_rate": stream.codec_context.sample_rate,
            "channels": stream.codec_context.channels,
            "declared_seconds": declared,
            "frames": frames,
            "bad_packets": damage,
            "streams": len(container.streams.audio),
        }


def _refuse_impossible(stream: Any, limits: dict[str, int]) -> None:
    context = stream.codec_context
    if context is None:
        raise RefusedError("not_audio")
    if context.channels > limits["channels"]:
        raise RefusedError("too_many_channels")
    if not limits["lowest_rate"] <= context.sample_rate <= limits["highest_rate"]:
        raise RefusedError("impossible_rate")


def _declared_seconds(container: Any, stream: Any) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / 1_000_000 if container.duration is not None else None


class _Damage:
    """Counts packets that could not be decoded."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> bool:
        self.count += 1
        return self.count <= MAX_BAD_PACKETS


def _frames(av: Any, container: Any, stream: Any, damage: _Damage) -> Iterator[Any]:
    """Yield decoded frames, stepping over damaged packets up to a limit."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError:
            damage.add()
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            if not damage.add():
                return
            continue
        yield from frames


def _write(
    av: Any, container: Any, stream: Any, sink: IO[bytes], limits: dict[str, int]
) -> tuple[int, int]:
    """Resample and write frame by frame, so that memory does not grow with the length."""
    channels = stream.codec_context.channels
    step = 2 * channels
    most = min(limits["seconds"] * limits["rate"], limits["output_bytes"] // step)
    resampler = av.AudioResampler(
        format="s16", layout=stream.codec_context.layout.name, rate=limits["rate"]
    )
    damage = _Damage()
    written = 0

    def put(frame: Any) -> None:
        nonlocal written
        for ready in resampler.resample(frame):
            if written + ready.samples > most:
                raise RefusedError("too_long")
            sink.write(memoryview(ready.planes[0])[: ready.samples * step])
            written += ready.samples

    for frame in _frames(av, container, stream, damage):
        frame.pts = None
        try:
            put(frame)
        except (ValueError, av.error.FFmpegError):
            # The layout or rate changed in mid-stream: what follows cannot be put in line.
            damage.add()
            break
    with contextlib.suppress(ValueError, av.error.FFmpegError):
        put(None)
    sink.flush()
    return written, damage.count


def main() -> None:
    """Read the limits and the descriptor from the command line, decode, and report."""
    limits = json.loads(sys.argv[2])
    cut_off = confine(limits)
    import av  # noqa: PLC0415  the limits must be in force before the library is loaded

    av.logging.set_level(None)
    warm_up(av, limits)
    with os.fdopen(int(sys.argv[1]), "wb", buffering=1 << 20) as sink, os.fdopen(0, "rb") as source:
        close_the_doors()
        try:
            report = decode(av, source, sink, limits)
        except RefusedError as refusal:
            report = {"refused": refusal.args[0]}
        except (av.error.FFmpegError, ValueError, OverflowError, EOFError):
            report = {"refused": "not_audio"}
    sys.stdout.write(json.dumps({**report, "cut_off": cut_off}))


if __name__ == "__main__":
    main()

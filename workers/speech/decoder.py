"""Decodes one recording inside a confined process of its own; run as a script by `decode`.

Standard input is the recording (an open file, so that no path is needed), the descriptor named in
the first argument takes interleaved 16-bit samples, and one JSON object on standard output says
what was found. Only the standard library and PyAV are used here, so that the process starts fast
and stays small.
"""

import contextlib
import ctypes
import errno
import io
import json
import os
import platform
import resource
import signal
import sys
import wave
from collections.abc import Iterator
from fractions import Fraction
from typing import IO, Any, NamedTuple

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
KILL, REFUSE, ALLOW = 0x80000000, 0x00050001, 0x7FFF0000
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
# What decoding an open file takes, by the numbers of each processor: read and write what is open,
# memory, signals, clocks, locks, random bytes, and the end.
PLAIN_CALLS = {
    "x86_64": (
        0xC000003E,
        (
            *(0, 1, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 24, 25, 28, 35, 39),
            *(60, 63, 72, 96, 97, 98, 99, 100, 131, 186, 201, 202, 204, 219, 228, 229, 230),
            *(231, 262, 273, 318, 324, 334),
        ),
    ),
    "aarch64": (
        0xC00000B7,
        (
            *(25, 29, 57, 62, 63, 64, 65, 66, 67, 73, 79, 80, 93, 94, 98, 99, 101, 113, 114),
            *(115, 123, 124, 128, 132, 134, 135, 139, 153, 160, 163, 165, 169, 172, 178, 179),
            *(214, 215, 216, 222, 226, 233, 278, 283, 293),
        ),
    ),
}
# socket, connect, accept, socketpair, bind, listen, execve, execveat: nothing innocent asks.
DEADLY_CALLS = {
    "x86_64": (41, 42, 43, 49, 50, 53, 59, 288, 322),
    "aarch64": (198, 199, 200, 201, 202, 203, 221, 242, 281),
}

# Demuxers that carry telephone audio. Playlists and descriptions that point elsewhere (sdp, hls,
# dash, concat, rtsp, image sequences) are not in it, so they are refused before anything is opened.
FORMATS = (
    *("wav", "w64", "flac", "mp3", "mov", "mp4", "m4a", "3gp", "3g2", "ogg", "amr", "amrnb"),
    *("amrwb", "gsm", "aac", "au", "aiff", "caf"),
)
CODECS = (
    *("pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_u8"),
    *("pcm_s8", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_alaw", "pcm_mulaw"),
    *("adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt", "g722", "g726", "g726le", "g723_1", "g729"),
    *("gsm", "gsm_ms", "speex", "amrnb", "amrwb", "flac", "alac", "opus", "vorbis"),
    *("mp2", "mp2float", "mp3", "mp3float", "aac"),
)
OPENING = {
    "format_whitelist": ",".join(FORMATS),
    "codec_whitelist": ",".join((*CODECS, "adpcm_g722", "adpcm_g726", "adpcm_g726le")),
    "protocol_whitelist": "none",
    "max_streams": "64",
    # An edit list can leave sound out that is in the file.
    "ignore_editlist": "1",
}
# Formats whose header says how long the recording is; elsewhere FFmpeg guesses from the bit rate.
DECLARING = ("wav", "w64", "flac", "mov", "au", "aiff", "caf")
MAX_BAD_PACKETS = 200
MOST_CHUNKS = 256
ENDLESS = 0xFFFFFF00
LARGEST_OGG_PAGE = 65_307


class RefusedError(Exception):
    """The recording is refused; the argument is one of the codes that `decode` explains."""


def confine(limits: dict[str, int]) -> bool:
    """Give up privileges, network and excess memory; return whether the network is really gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    cut_off = libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 or libc.unshare(CLONE_NEWNET) == 0
    # Address space counts libraries as well; what the process itself asks for is held tighter.
    for name, key in (("AS", "memory_bytes"), ("DATA", "heap_bytes"), ("FSIZE", "output_bytes")):
        kind = getattr(resource, f"RLIMIT_{name}")
        resource.setrlimit(kind, (limits[key], limits[key]))
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_seconds"], limits["cpu_seconds"] + 1))
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


def close_the_doors() -> bool:
    """From here on no file, socket or process can be opened; what is open stays usable.

    The kernel kills the process at the first call for a socket or a programme, so that a quiet
    attempt cannot go unseen. Return whether it was told so (it knows how on two processors).
    """
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    machine = platform.machine()
    if machine not in PLAIN_CALLS:
        return False
    architecture, plain = PLAIN_CALLS[machine]
    steps = [(LOAD_WORD, 0, 0, 4), (JUMP_IF_EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL)]
    steps.append((LOAD_WORD, 0, 0, 0))
    for answer, calls in ((KILL, DEADLY_CALLS[machine]), (ALLOW, plain)):
        for call in calls:
            steps += [(JUMP_IF_EQUAL, 0, 1, call), (RETURN, 0, 0, answer)]
    steps.append((RETURN, 0, 0, REFUSE))
    return _install(steps)


class _Step(ctypes.Structure):
    """One instruction of the kernel's filter: `struct sock_filter`."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    """The whole filter: `struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_uint16), ("steps", ctypes.POINTER(_Step)))


def _install(steps: list[tuple[int, int, int, int]]) -> bool:
    table = (_Step * len(steps))(*(_Step(*step) for step in steps))
    program = _Program(len(steps), table)
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)
    return bool(done == 0)


class Promise(NamedTuple):
    """What a header promises in bytes of sound, what is there, and what lies unread behind it."""

    promised: int
    present: int
    behind: int = 0


class _Chunks(NamedTuple):
    """How a chunked format writes its chunks: sizes in bytes, `counts_head` as in Wave64."""

    first: int
    name: int
    length: int
    order: str
    align: int
    counts_head: bool = False


_LAYOUTS = {
    b"RIFF": _Chunks(first=12, name=4, length=4, order="little", align=2),
    b"RF64": _Chunks(first=12, name=4, length=4, order="little", align=2),
    b"riff": _Chunks(first=40, name=16, length=8, order="little", align=8, counts_head=True),
    b"caff": _Chunks(first=8, name=4, length=8, order="big", align=1),
    b"FORM": _Chunks(first=12, name=4, length=4, order="big", align=2),
}
_SOUND = (b"data", b"SSND")


def read_promise(source: IO[bytes]) -> Promise | None:
    """Return what a chunked header promises (RIFF, RF64, Wave64, CAF, AIFF); None: nothing.

    FFmpeg quietly shortens the duration of a file that was cut, and stops where the header says
    although the file goes on, so the promise is read here.
    """
    source.seek(0)
    layout = _LAYOUTS.get(source.read(4))
    if layout is None:
        return None
    size = source.seek(0, os.SEEK_END)
    long_length = 0
    data: Promise | None = None
    for name, at, length in _chunks(source, layout, size):
        if name == b"ds64":
            source.seek(at + 8)
            long_length = int.from_bytes(source.read(8), "little")
        elif name in _SOUND and data is None:
            is_short = layout.length == 4  # noqa: PLR2004  the width of a RIFF length
            promised = long_length if is_short and length >= ENDLESS else length
            if not 0 < promised < 1 << 62:
                return None
            behind = max(0, size - at - promised)
            data = Promise(promised, max(0, min(promised, size - at)), behind)
        elif data is not None and name in (*_SOUND, *_LAYOUTS):
            return data
        elif data is not None and name.isascii() and at + length <= size + layout.align:
            # A further chunk in good order explains what lies behind, unless it is sound again.
            data = Promise(data.promised, data.present, max(0, size - at - length))
    return data


def _chunks(source: IO[bytes], layout: _Chunks, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, place of the content and length of each chunk."""
    at, head = layout.first, layout.name + layout.length
    for _ in range(MOST_CHUNKS):
        source.seek(at)
        chunk = source.read(head)
        if len(chunk) < head:
            return
        length = int.from_bytes(chunk[layout.name :], layout.order)  # type: ignore[arg-type]
        length -= head if layout.counts_head else 0
        yield chunk[:4], at + head, length
        at += head + length + -length % layout.align
        if length < 0 or at > size:
            return


def is_unfinished_ogg(source: IO[bytes]) -> bool:
    """Tell whether an Ogg file ends inside a page, or before the page that is marked as last."""
    source.seek(0)
    if source.read(4) != b"OggS":
        return False
    size = source.seek(0, os.SEEK_END)
    source.seek(max(0, size - LARGEST_OGG_PAGE))
    tail = source.read(LARGEST_OGG_PAGE)
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < 27 or len(page) < 27 + page[26]:  # noqa: PLR2004  a page's head is 27 bytes
        return True
    whole = 27 + page[26] + sum(page[27 : 27 + page[26]])
    return len(page) < whole or not page[5] & 4


def counts_mp3_frames(source: IO[bytes]) -> bool:
    """Tell whether the first MP3 frame says how many frames follow."""
    source.seek(0)
    head = source.read(10)
    if head[:3] == b"ID3" and len(head) == 10:  # noqa: PLR2004  an ID3 head is ten bytes
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte & 0x7F
        source.seek(10 + size)
    else:
        source.seek(0)
    first = source.read(4096)
    return any(mark in first for mark in (b"Xing", b"Info", b"VBRI"))


def decode(
    av: Any, source: IO[bytes], sink: IO[bytes], limits: dict[str, int]
) -> dict[str, object]:
    """Decode the first audio stream into the sink and return the facts about it."""
    promise, unfinished = read_promise(source), is_unfinished_ogg(source)
    counted = counts_mp3_frames(source)
    source.seek(0)
    with av.open(source, mode="r", container_options=dict(OPENING)) as container:
        if not container.streams.audio:
            raise RefusedError("no_audio_stream")
        stream = container.streams.audio[0]
        context = stream.codec_context
        if context is None or context.name not in CODECS:
            raise RefusedError("unknown_codec")
        stream.thread_type = "NONE"
        _refuse_impossible(context.channels, context.sample_rate, limits)
        writer = _Writer(av, sink, limits)
        damage = _write(av, container, stream, writer)
        seconds = writer.written / limits["rate"]
        name = container.format.name
        declared = _seconds(stream.duration, stream.time_base)
        behind = 0.0
        if promise is not None:
            share = seconds / max(1, promise.present)
            declared = max(declared or 0.0, share * promise.promised)
            behind = share * promise.behind
        whole = container.duration / 1_000_000 if container.duration is not None else None
        return {
            "format": name,
            "codec": context.name,
            "source_rate": context.sample_rate,
            "channels": writer.channels,
            "declared_seconds": declared if declared is not None else whole,
            "container_seconds": whole if len(container.streams) == 1 else None,
            "behind_seconds": behind,
            "declares": name.startswith(DECLARING) or (name == "mp3" and counted),
            "unfinished": unfinished,
            "frames": writer.written,
            "bad_packets": damage,
            "streams": len(container.streams.audio),
        }


def _refuse_impossible(channels: int, rate: int, limits: dict[str, int]) -> None:
    if channels > limits["channels"]:
        raise RefusedError("too_many_channels")
    if not limits["lowest_rate"] <= rate <= limits["highest_rate"]:
        raise RefusedError("impossible_rate")


def _seconds(duration: int | None, time_base: Any) -> float | None:
    return None if duration is None or time_base is None else float(duration * time_base)


class _Writer:
    """Resamples frame by frame into the sink, so that memory does not grow with the length.

    The first frame decides how many channels there are. A rate or sample format that changes in
    mid-stream is followed; a number of channels that changes cannot be put in line.
    """

    def __init__(self, av: Any, sink: IO[bytes], limits: dict[str, int]) -> None:
        self.av, self.sink, self.limits = av, sink, limits
        self.channels = 0
        self.written = 0
        self._layout = ""
        self._kind: tuple[str, str, int] | None = None
        self._graph: Any = None

    def put(self, frame: Any) -> None:
        """Take one decoded frame; raises `ValueError` where its channels are not the first's."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            channels = frame.layout.nb_channels
            _refuse_impossible(channels, frame.sample_rate, self.limits)
            if self.channels not in {0, channels}:
                raise ValueError("the number of channels changed")
            self.finish()
            self.channels, self._kind = channels, kind
            self._layout = self._layout or frame.layout.name
            self._graph = self._path(*kind)
        frame.pts = None
        self._graph.push(frame)
        self._pull()

    def finish(self) -> None:
        """Write what the resampler still holds."""
        if self._graph is not None:
            self._graph.push(None)
            self._pull()
            self._graph = None

    def _path(self, form: str, layout: str, rate: int) -> Any:
        graph = self.av.filter.Graph()
        graph.threads = 1
        entrance = graph.add_abuffer(
            format=form, sample_rate=rate, layout=layout, time_base=Fraction(1, rate)
        )
        out = f"sample_fmts=s16:sample_rates={self.limits['rate']}:channel_layouts={self._layout}"
        change, exit_ = graph.add("aformat", out), graph.add("abuffersink")
        graph.link_nodes(entrance, change, exit_)
        graph.configure()
        return graph

    def _pull(self) -> None:
        step = 2 * self.channels
        limits = self.limits
        most = min(limits["seconds"] * limits["rate"], limits["output_bytes"] // step)
        while True:
            try:
                ready = self._graph.pull()
            except (BlockingIOError, EOFError):
                return
            if self.written + ready.samples > most:
                raise RefusedError("too_long")
            self.sink.write(memoryview(ready.planes[0])[: ready.samples * step])
            self.written += ready.samples


def _write(av: Any, container: Any, stream: Any, writer: _Writer) -> int:
    """Decode all packets into the writer; return how many were damaged (with a limit)."""
    damage = 0
    packets = container.demux(stream)
    while damage <= MAX_BAD_PACKETS:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except (av.error.FFmpegError, OSError):
            # A broken header can send FFmpeg to a place that no file has.
            damage += 1
            break
        try:
            for frame in packet.decode():
                writer.put(frame)
        except MemoryError:
            raise
        except av.error.FFmpegError:
            damage += 1
        except ValueError:
            damage += 1
            break
    with contextlib.suppress(ValueError, av.error.FFmpegError):
        writer.finish()
    writer.sink.flush()
    return damage


def main() -> None:
    """Read the limits and the descriptor from the command line, decode, and report."""
    limits = json.loads(sys.argv[2])
    cut_off = confine(limits)
    import av  # noqa: PLC0415  the limits must be in force before the library is loaded

    av.logging.set_level(None)
    warm_up(av, limits)
    with os.fdopen(int(sys.argv[1]), "wb", buffering=1 << 20) as sink, os.fdopen(0, "rb") as source:
        cut_off = close_the_doors() or cut_off
        report = _report(av, source, sink, limits)
        sys.stdout.write(json.dumps({**report, "cut_off": cut_off}))
        sys.stdout.flush()
        # Leave at once: nothing is left to tidy, and a full disk would speak up once more.
        os._exit(0)


def _report(av: Any, source: IO[bytes], sink: IO[bytes], limits: dict[str, int]) -> dict[str, Any]:
    try:
        return decode(av, source, sink, limits)
    except RefusedError as refusal:
        return {"refused": refusal.args[0]}
    except MemoryError:
        return {"refused": "out_of_memory"}
    except (av.error.FFmpegError, ValueError, OverflowError, EOFError):
        return {"refused": "not_audio"}
    except OSError as error:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        return {"failed": "no_space"} if is_full else {"refused": "not_audio"}


if __name__ == "__main__":
    main()

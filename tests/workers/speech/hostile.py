"""Makes files that mean harm: one of each kind, and mutations of valid recordings."""

import gzip
import io
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from hegui.evaluation.encode import add_track, fill_track
from tests.workers.speech.formats import BY_ID, SAMPLES, Sample, encode, tones

# What a decoded kind may end in, besides the codes of a refusal.
HEARD = "audio"


@dataclass(frozen=True)
class Kind:
    """One kind of hostile file: its bytes, and the outcomes that are right for it.

    An outcome is a code of `UndecodableError`, `audio`, or `audio+flag`. `{port}` in a text is
    the port of a server on this machine that nobody must call.
    """

    id: str
    make: Callable[[Path, int], bytes]
    outcomes: frozenset[str]


def _wav(seconds: float = 1.0, channels: int = 1) -> bytearray:
    sound = tones(8_000, channels, seconds).astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, channels, 8_000, 16_000 * channels, 2 * channels, 16)
    head = b"RIFF" + struct.pack("<I", 36 + len(sound)) + b"WAVEfmt " + struct.pack("<I", 16)
    return bytearray(head + form + b"data" + struct.pack("<I", len(sound)) + sound)


def _set(content: bytearray, at: int, form: str, value: float) -> bytes:
    struct.pack_into(form, content, at, value)
    return bytes(content)


def _file(name: str, folder: Path, seconds: float = 1.0) -> bytes:
    return BY_ID[name].write(folder / name, seconds).read_bytes()


def _nan_floats(folder: Path, _: int) -> bytes:
    content = _file("wav-float-32", folder)
    start = content.index(b"data") + 8
    wild = np.array([np.nan, np.inf, -np.inf, 1e38, -1e-42], dtype="<f4")
    return content[:start] + np.resize(wild, (len(content) - start) // 4).tobytes()


def _zip(folder: Path, _: int) -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("../../call.wav", bytes(_wav()))
            archive.writestr("bomb", bytes(30 << 20))
        return file.getvalue()


def _id3_bomb(folder: Path, _: int) -> bytes:
    frames = b""
    packed = zlib.compress(bytes(20 << 20))
    for _number in range(4):
        body = struct.pack(">I", 250 << 20) + packed
        frames += b"TXXX" + struct.pack(">I", len(body)) + b"\x00\x80" + body
    size = len(frames)
    parts = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + parts + frames + _file("mp3", folder)


def _atom(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + name + body


def _deep_atoms(folder: Path, _: int) -> bytes:
    nest = b""
    for _number in range(5_000):
        nest = _atom(b"moov", nest)
    return _atom(b"ftyp", b"isom\0\0\0\0isom") + nest


def _endless_table(folder: Path, _: int) -> bytes:
    content = bytearray(_file("m4a-aac", folder))
    at = content.index(b"stsz")
    return _set(content, at + 12, ">I", 0xFFFFFFF0)


def _reference(folder: Path, port: int) -> bytes:
    """Say that the samples lie at an address; every atom around grows by its length."""
    content = bytearray(_file("m4a-alac", folder))
    at = content.index(b"url ")
    where = f"http://127.0.0.1:{port}/call.wav\0".encode()
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref", b"url "):
        place = content.rindex(name, 0, at + 4) - 4
        (size,) = struct.unpack_from(">I", content, place)
        struct.pack_into(">I", content, place, size + len(where))
    return bytes(content[:at] + b"url \0\0\0\0" + where + content[at + 8 :])


def _hidden_by_edit_list(folder: Path, _: int) -> bytes:
    content = bytearray(_file("m4a-alac", folder, 6.0))
    at = content.index(b"elst")
    # Show only the last 100 of its ticks.
    return _set(content, at + 12, ">I", 100)


def _video(folder: Path, *, sound: bool) -> bytes:
    path = folder / "video"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=5)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        voice = add_track(container, encoder="aac", rate=44_100, channels=2) if sound else None
        for _number in range(5):
            picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), dtype=np.uint8), "rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if voice is not None:
            fill_track(container, voice, tones(44_100, 2, 1.0))
    return path.read_bytes()


def _two_tracks(folder: Path, _: int) -> bytes:
    path = folder / "tracks"
    with av.open(str(path), "w", format="mp4") as container:
        voices = [
            add_track(container, encoder="aac", rate=16_000, channels=1) for _number in range(2)
        ]
        for voice in voices:
            fill_track(container, voice, tones(16_000, 1, 1.0))
    return path.read_bytes()


def _avi(folder: Path, _: int) -> bytes:
    sample = Sample("", "avi", "pcm_s16le", "pcm_s16le")
    encode(folder / "avi", sample, tones(8_000, 1, 1.0))
    return (folder / "avi").read_bytes()


def _other_codec(folder: Path, _: int) -> bytes:
    sample = Sample("", "wav", "adpcm_yamaha", "")
    return sample.write(folder / "yamaha").read_bytes()


def _silence_bomb(folder: Path, _: int) -> bytes:
    """Repeat one frame of silence until a few hundred kilobytes last for two days."""
    path = folder / "bomb"
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=8_000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        context = stream.codec_context
        context.format, context.options = "s16", {"frame_size": "65535"}
        resampler = av.AudioResampler("s16", "mono", 8_000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8_000 * 60), dtype=np.int16), "s16", "mono")
        sound.sample_rate = 8_000
        for piece in resampler.resample(sound):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    head = content.rindex(b"\xff\xf8", 0, content.index(b"\xff\xf8") + 2)
    frame = content[head : content.index(b"\xff\xf8", head + 2)]
    # Frames carry numbers and checksums; the decoder takes them as they come.
    return content[:head] + frame * (2 * 86_400 * 8_000 // 4_608)


def _chained(first: str, second: str) -> Callable[[Path, int], bytes]:
    return lambda folder, _: _file(first, folder, 2.0) + _file(second, folder, 2.0)


def _changing_layout(folder: Path, _: int) -> bytes:
    parts = b""
    for channels in (1, 2):
        sample = Sample("", "adts", "aac", "aac", 16_000, channels)
        encode(folder / "part", sample, tones(16_000, channels, 1.0))
        parts += (folder / "part").read_bytes()
    return parts


def _many_chunks(folder: Path, _: int) -> bytes:
    content = bytes(_wav())
    return content[:36] + b"junk\0\0\0\0" * 100_000 + content[36:]


def _text(template: str) -> Callable[[Path, int], bytes]:
    return lambda _, port: template.replace("{port}", str(port)).encode()


def _kind(name: str, make: Callable[[Path, int], bytes], *outcomes: str) -> Kind:
    return Kind(name, make, frozenset(outcomes))


def _plain(content: bytes) -> Callable[[Path, int], bytes]:
    return lambda _folder, _port: content


PLAYLIST = (
    "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n"
    "#EXTINF:9,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n"
)
CONCAT = "ffconcat version 1.0\nfile 'file:///etc/hostname'\nfile 'http://127.0.0.1:{port}/a.wav'\n"
SDP = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=audio {port} RTP/AVP 0\na=rtpmap:0 PCMU/8000\n"
)
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
    '<Period><AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1">'
    "<BaseURL>http://127.0.0.1:{port}/a.mp4</BaseURL></Representation></AdaptationSet>"
    "</Period></MPD>"
)
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1:{port}/a.wav"/></svg>'
HTML = '<!doctype html><audio src="http://127.0.0.1:{port}/a.mp3" autoplay></audio>'

KINDS = (
    _kind("empty", _plain(b""), "empty_file"),
    _kind("header-only", _plain(bytes(_wav()[:44])), "truncated_header"),
    _kind("promises-4-gib", _plain(_set(_wav(), 40, "<I", 0xFFFFFE00)), "audio+truncated"),
    _kind("riff-size-lies", _plain(_set(_wav(), 4, "<I", 12)), HEARD),
    _kind("sound-behind-the-end", _plain(_set(_wav(9), 40, "<I", 16_000)), "audio+wrong_length"),
    _kind(
        "1000-channels",
        _plain(_set(_wav(), 22, "<H", 1_000)),
        "truncated_header",
        "too_many_channels",
    ),
    _kind("1-hertz", _plain(_set(_wav(), 24, "<I", 1)), "impossible_rate"),
    _kind("10-megahertz", _plain(_set(_wav(), 24, "<I", 10_000_000)), "impossible_rate"),
    _kind("no-block-size", _plain(_set(_wav(), 32, "<H", 0)), HEARD, "not_audio"),
    _kind("zero-bits", _plain(_set(_wav(), 34, "<H", 0)), HEARD, "not_audio", "unknown_codec"),
    _kind("wild-floats", _nan_floats, "audio+clipped", "audio+silent", HEARD),
    _kind("100000-chunks", _many_chunks, HEARD),
    _kind("zip", _zip, "not_audio"),
    _kind("gzip", lambda *_: gzip.compress(bytes(_wav())), "not_audio"),
    _kind("pdf", _plain(b"%PDF-1.7\n" + bytes(4_000) + b"%%EOF"), "not_audio"),
    _kind("png", _plain(b"\x89PNG\r\n\x1a\n" + bytes(4_000)), "not_audio"),
    _kind("programme", lambda *_: Path(sys.executable).read_bytes()[:65_536], "not_audio"),
    _kind("html", _text(HTML), "not_audio"),
    _kind("svg", _text(SVG), "not_audio"),
    _kind("playlist", _text(PLAYLIST), "not_audio"),
    _kind("concat", _text(CONCAT), "not_audio"),
    _kind("session-description", _text(SDP), "not_audio"),
    _kind("dash", _text(DASH), "not_audio"),
    _kind("random", _plain(np.random.default_rng(5).bytes(20_000)), "not_audio"),
    _kind("id3-bomb", _id3_bomb, HEARD, "not_audio", "out_of_memory"),
    _kind(
        "10000-id3-tags",
        lambda folder, _: b"ID3\x03\0\0\0\0\0\0" * 10_000 + _file("mp3", folder),
        *(HEARD, "not_audio", "truncated_header"),
    ),
    _kind("deep-atoms", _deep_atoms, "truncated_header", "no_audio_stream"),
    _kind("endless-sample-table", _endless_table, HEARD, "truncated_header", "audio+wrong_length"),
    _kind("sound-elsewhere", _reference, HEARD, "truncated_header", "not_audio"),
    _kind("hidden-by-edit-list", _hidden_by_edit_list, HEARD, "audio+wrong_length"),
    _kind("film-without-sound", lambda f, _: _video(f, sound=False), "no_audio_stream"),
    _kind("film-with-sound", lambda f, _: _video(f, sound=True), HEARD),
    _kind("several-streams", _two_tracks, "audio+extra_streams"),
    _kind("other-container", _avi, "not_audio"),
    _kind("other-codec", _other_codec, "unknown_codec"),
    _kind("no-duration", _plain(_set(_wav()[:44], 40, "<I", 0)), "truncated_header"),
    _kind("bomb-of-silence", _silence_bomb, "too_long"),
    _kind("chained", _chained("ogg-opus", "ogg-opus"), HEARD),
    _kind("two-files-in-one", _chained("wav-pcm-16", "wav-pcm-16"), "audio+wrong_length"),
    _kind("chained-rates", _chained("ogg-flac", "ogg-vorbis"), HEARD, "audio+damaged"),
    _kind("changing-channels", _changing_layout, "audio+damaged"),
)


CUT_AT = (1, 3, 4, 7, 8, 11, 12, 16, 20, 22, 24, 28, 32, 34, 36, 40, 43, 47, 60, 90)
CUT_FORMATS = ("wav-pcm-16", "flac", "mp3", "m4a-aac", "ogg-opus", "amr-nb")
CUTS = len(CUT_AT) * len(CUT_FORMATS)


def cuts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield valid recordings cut inside each field of their headers."""
    for name in CUT_FORMATS:
        content = _file(name, folder)
        yield from ((f"{name} cut at {end}", content[:end]) for end in CUT_AT)


def mutations(folder: Path, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield `count` changed recordings of all formats in turn; the same seed, the same files."""
    sources = [sample.write(folder / sample.id, 0.6).read_bytes() for sample in SAMPLES]
    dice = np.random.default_rng(seed)
    for number in range(count):
        at = number % len(sources)
        content = bytearray(sources[at])
        for _ in range(int(dice.integers(1, 4))):
            content = _CHANGES[int(dice.integers(len(_CHANGES)))](content, sources, dice)
        yield f"{SAMPLES[at].id} {number}", bytes(content)


def _place(content: bytes | bytearray, dice: np.random.Generator) -> int:
    """Return a place, half of the time in the first 200 bytes: headers break most things."""
    size = max(1, len(content))
    return int(dice.integers(0, min(200, size) if dice.random() < 0.5 else size))


def _flip(content: bytearray, _: list[bytes], dice: np.random.Generator) -> bytearray:
    for _number in range(int(dice.integers(1, 40))):
        if content:
            content[_place(content, dice)] ^= 1 << int(dice.integers(8))
    return content


def _extreme(content: bytearray, _: list[bytes], dice: np.random.Generator) -> bytearray:
    value = (b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0")
    at = _place(content, dice)
    content[at : at + 4] = value[int(dice.integers(len(value)))]
    return content


def _cut(content: bytearray, _: list[bytes], dice: np.random.Generator) -> bytearray:
    return content[: max(1, _place(content, dice))]


def _drop(content: bytearray, _: list[bytes], dice: np.random.Generator) -> bytearray:
    at = _place(content, dice)
    del content[at : at + int(dice.integers(1, 3_000))]
    return content


def _double(content: bytearray, _: list[bytes], dice: np.random.Generator) -> bytearray:
    at = _place(content, dice)
    piece = content[at : at + int(dice.integers(1, 3_000))]
    return content[:at] + piece * int(dice.integers(2, 6)) + content[at:]


def _splice(content: bytearray, sources: list[bytes], dice: np.random.Generator) -> bytearray:
    other = sources[int(dice.integers(len(sources)))]
    at = _place(other, dice)
    place = _place(content, dice)
    return content[:place] + other[at : at + int(dice.integers(1, 5_000))] + content[place:]


_CHANGES = (_flip, _flip, _extreme, _extreme, _cut, _drop, _double, _splice)

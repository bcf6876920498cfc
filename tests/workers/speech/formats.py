"""Makes a small recording in every format that is accepted: by an encoder where one exists."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hegui.evaluation.encode import Sound, write_sound

SECONDS = 2.4
FIRST_TONE, NEXT_TONE = 300, 170
LEVEL = 9_000


@dataclass(frozen=True)
class Sample:
    """One accepted format: how to make a file of it, and what the decoder calls it.

    `make` is set where no encoder exists and the frames are laid by hand, with random contents.
    """

    id: str
    container: str
    encoder: str
    codec: str
    rate: int = 8_000
    channels: int = 1
    bit_rate: int | None = None
    make: Callable[[Path], object] | None = None

    def write(self, path: Path, seconds: float = SECONDS) -> Path:
        if self.make is not None:
            self.make(path)
        else:
            encode(path, self, tones(self.rate, self.channels, seconds))
        return path


def tones(rate: int, channels: int, seconds: float = SECONDS) -> Sound:
    """Return a column a channel, each with a tone of its own, and pauses as between syllables."""
    at = np.arange(round(seconds * rate)) / rate
    spoken = at % 0.4 < 0.28
    waves = [np.sin(2 * np.pi * (FIRST_TONE + NEXT_TONE * n) * at) for n in range(channels)]
    return (np.stack(waves, axis=1) * spoken[:, None] * LEVEL).astype(np.int16)


def encode(path: Path, sample: Sample, sound: Sound) -> Path:
    return write_sound(
        path,
        sound,
        container=sample.container,
        encoder=sample.encoder,
        rate=sample.rate,
        bit_rate=sample.bit_rate,
    )


def riff(tag: int, rate: int, block: int, extra: bytes, data: bytes, *, per_second: int) -> bytes:
    """Return a mono WAV file of an exotic codec."""
    form = struct.pack("<HHIIHHH", tag, 1, rate, per_second, block, 0, len(extra)) + extra
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data"
    body += struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _random(size: int) -> bytes:
    return np.random.default_rng(size).bytes(size)


def _gsm_raw(path: Path) -> None:
    # 20 ms in 33 bytes, each frame marked by the upper half 0xD of its first byte.
    frames = [b"%c" % (0xD0 | byte & 15) + _random(32 + byte)[:32] for byte in _random(120)]
    path.write_bytes(b"".join(frames))


def _gsm_wav(path: Path) -> None:
    data = _random(65 * 60)
    path.write_bytes(riff(0x31, 8000, 65, struct.pack("<H", 320), data, per_second=1625))


def _g729_wav(path: Path) -> None:
    path.write_bytes(riff(0x83, 8000, 10, b"", _random(10 * 240), per_second=1000))


def _amr_wb(path: Path) -> None:
    # 20 ms in 12.65 kbit/s: a head that names mode 2 and says that it is good, and 253 bits.
    frames = [b"\x14" + _random(32 + byte)[:32] for byte in _random(120)]
    path.write_bytes(b"#!AMR-WB\n" + b"".join(frames))


def ogg_pages(packets: list[bytes], *, samples: int, serial: int = 7) -> bytes:
    """Return an Ogg stream with a page for each packet; the first two are headers."""
    pages = []
    for number, packet in enumerate(packets):
        kind = 2 * (number == 0) | 4 * (number == len(packets) - 1)
        place = max(0, number - 1) * samples
        sizes = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
        head = struct.pack("<4sBBQIII", b"OggS", 0, kind, place, serial, number, 0)
        page = head + bytes([len(sizes)]) + sizes + packet
        pages.append(page[:22] + struct.pack("<I", _ogg_crc(page)) + page[26:])
    return b"".join(pages)


def _ogg_crc(page: bytes) -> int:
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def _speex(path: Path) -> None:
    numbers = (1, 80, 8000, 0, 4, 1, -1, 160, 0, 1, 0, 0, 0)
    head = b"Speex   " + b"1.2".ljust(20, b"\0") + struct.pack("<13i", *numbers)
    notes = struct.pack("<I", 4) + b"test" + struct.pack("<I", 0)
    # Narrow band, 8 kbit/s: five bits that say so, and 155 of sound.
    frames = [b"%c" % (3 << 3 | byte & 7) + _random(19 + byte)[:19] for byte in _random(120)]
    path.write_bytes(ogg_pages([head, notes, *frames], samples=160))


SAMPLES = (
    Sample("wav-pcm-8", "wav", "pcm_u8", "pcm_u8"),
    Sample("wav-pcm-16", "wav", "pcm_s16le", "pcm_s16le", channels=2),
    Sample("wav-pcm-24", "wav", "pcm_s24le", "pcm_s24le", 16_000, 2),
    Sample("wav-pcm-32", "wav", "pcm_s32le", "pcm_s32le", 44_100, 2),
    Sample("wav-float-32", "wav", "pcm_f32le", "pcm_f32le", 48_000),
    Sample("wav-float-64", "wav", "pcm_f64le", "pcm_f64le", 11_025),
    *(
        Sample(f"wav-{count}-channels", "wav", "pcm_s16le", "pcm_s16le", 16_000, count)
        for count in range(3, 9)
    ),
    Sample("wav-a-law", "wav", "pcm_alaw", "pcm_alaw", channels=2),
    Sample("wav-mu-law", "wav", "pcm_mulaw", "pcm_mulaw", channels=2),
    Sample("wav-adpcm-ima", "wav", "adpcm_ima_wav", "adpcm_ima_wav", channels=2),
    Sample("wav-adpcm-ms", "wav", "adpcm_ms", "adpcm_ms", channels=2),
    Sample("wav-g722", "wav", "g722", "g722", 16_000),
    Sample("wav-g723", "wav", "g723_1", "g723_1", bit_rate=6_300),
    Sample("wav-g726", "wav", "g726", "g726"),
    Sample("wav-g729", "wav", "", "g729", make=_g729_wav),
    Sample("wav-gsm", "wav", "", "gsm_ms", make=_gsm_wav),
    Sample("wav-mp3", "wav", "libmp3lame", "mp3float"),
    Sample("wave64", "w64", "pcm_s16le", "pcm_s16le", channels=2),
    Sample("gsm", "gsm", "", "gsm", make=_gsm_raw),
    Sample("au-mu-law", "au", "pcm_mulaw", "pcm_mulaw"),
    Sample("au-pcm-8", "au", "pcm_s8", "pcm_s8"),
    Sample("au-g726", "au", "g726le", "g726le"),
    Sample("aiff-pcm-16", "aiff", "pcm_s16be", "pcm_s16be", 44_100, 2),
    Sample("aiff-pcm-24", "aiff", "pcm_s24be", "pcm_s24be", 22_050),
    Sample("aiff-pcm-32", "aiff", "pcm_s32be", "pcm_s32be", 32_000),
    Sample("aiff-float-32", "aiff", "pcm_f32be", "pcm_f32be"),
    Sample("aiff-float-64", "aiff", "pcm_f64be", "pcm_f64be"),
    Sample("aiff-adpcm-ima", "aiff", "adpcm_ima_qt", "adpcm_ima_qt"),
    Sample("caf-pcm", "caf", "pcm_s16le", "pcm_s16le", 22_050),
    Sample("flac", "flac", "flac", "flac", channels=2),
    Sample("mp3", "mp3", "libmp3lame", "mp3float", 16_000, 2),
    Sample("mp3-8khz", "mp3", "libmp3lame", "mp3float"),
    Sample("mp2", "mp2", "mp2", "mp2", 16_000),
    Sample("aac", "adts", "aac", "aac", 16_000),
    Sample("m4a-aac", "ipod", "aac", "aac", 44_100, 2),
    Sample("m4a-alac", "ipod", "alac", "alac", 16_000),
    Sample("3gp-amr-nb", "3gp", "libopencore_amrnb", "amrnb", bit_rate=12_200),
    Sample("amr-nb", "amr", "libopencore_amrnb", "amrnb", bit_rate=12_200),
    Sample("amr-wb", "amr", "", "amrwb", 16_000, make=_amr_wb),
    Sample("ogg-opus", "ogg", "libopus", "opus", 48_000, 2),
    Sample("ogg-opus-8khz", "ogg", "libopus", "opus"),
    Sample("ogg-vorbis", "ogg", "vorbis", "vorbis", 44_100, 2),
    Sample("ogg-flac", "ogg", "flac", "flac", 16_000, 2),
    Sample("ogg-speex", "ogg", "", "speex", make=_speex),
)
BY_ID = {sample.id: sample for sample in SAMPLES}

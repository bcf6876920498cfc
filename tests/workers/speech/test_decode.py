import contextlib
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.workers.speech.sound import LAWFUL, THREAT, make_silence, make_wav
from workers.speech.decode import RATE, Limits, UndecodableError, decoded


def reason_for(path: Path, **limits: int) -> str:
    with pytest.raises(UndecodableError) as refusal, decoded(path, limits=Limits(**limits)):
        pass
    assert refusal.value.reason.startswith(refusal.value.code + ": ")
    return refusal.value.code


def test_telephone_wav_becomes_two_channels_at_16_khz() -> None:
    with decoded(THREAT) as audio:
        assert (audio.format, audio.codec, audio.source_rate) == ("wav", "pcm_mulaw", 8_000)
        assert audio.channels == 2
        assert audio.seconds == pytest.approx(20.5, abs=0.1)
        assert audio.flags == ()
        assert 0.1 < np.abs(audio.piece(0, 0, 10 * RATE)).max() <= 1.0


def test_opus_is_decoded_without_a_network() -> None:
    with decoded(LAWFUL) as audio:
        assert (audio.codec, audio.channels, audio.flags) == ("opus", 2, ())
        assert audio.cut_off


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        pytest.param("empty.wav", b"", "empty_file", id="empty"),
        pytest.param("text.wav", b"not a sound at all\n" * 40, "not_audio", id="text"),
        pytest.param("page.mp3", b"%PDF-1.7\n" + bytes(2000), "not_audio", id="pdf"),
        pytest.param("noise.mp3", bytes(range(256)) * 40, "not_audio", id="bytes"),
        pytest.param("head.wav", THREAT.read_bytes()[:44], "truncated_header", id="wav-header"),
        pytest.param("head.ogg", LAWFUL.read_bytes()[:60], "truncated_header", id="ogg-header"),
    ],
)
def test_what_is_no_sound_is_refused_with_a_reason(
    tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    assert reason_for(path) == code


def test_wav_cut_in_half_is_decoded_and_flagged(tmp_path: Path) -> None:
    path = make_silence(tmp_path / "whole.wav", seconds=10)
    half = tmp_path / "half.wav"
    half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with decoded(half) as audio:
        assert audio.seconds == pytest.approx(5, abs=0.1)
        assert audio.declared_seconds == pytest.approx(10, abs=0.1)
        assert "truncated" in audio.flags


@contextlib.contextmanager
def canary() -> Iterator[tuple[socket.socket, int]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        yield server, server.getsockname()[1]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
            "m=audio {port} RTP/AVP 0\na=rtpmap:0 PCMU/8000\n",
            id="sdp",
        ),
        pytest.param(
            "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:{port}/a.ts\n"
            "#EXT-X-ENDLIST\n",
            id="hls",
        ),
        pytest.param("ffconcat version 1.0\nfile 'http://127.0.0.1:{port}/a.wav'\n", id="concat"),
    ],
)
@pytest.mark.parametrize("name", ["call.mp3", "call.m3u8", "call.sdp"])
def test_text_that_points_elsewhere_reaches_nobody(tmp_path: Path, name: str, text: str) -> None:
    with canary() as (server, port):
        path = tmp_path / name
        path.write_text(text.format(port=port))

        assert reason_for(path) == "not_audio"
        with pytest.raises(TimeoutError):
            server.accept()


def test_limits_stop_what_is_too_long_or_too_wide(tmp_path: Path) -> None:
    assert reason_for(make_silence(tmp_path / "long.wav", seconds=30), seconds=20) == "too_long"
    wide = make_silence(tmp_path / "wide.wav", seconds=1, channels=9)
    assert reason_for(wide) == "too_many_channels"
    assert reason_for(THREAT, output_bytes=100_000) == "too_long"


def test_forged_sample_rate_is_refused(tmp_path: Path) -> None:
    path = make_silence(tmp_path / "forged.wav", seconds=1, channels=8)
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", 655_350)
    path.write_bytes(content)

    assert reason_for(path) == "impossible_rate"


def test_decoder_that_dies_or_hangs_is_a_reason_and_not_a_crash() -> None:
    assert reason_for(THREAT, memory_bytes=30 << 20) == "decoder_crashed"
    with (
        pytest.raises(UndecodableError, match="timeout"),
        decoded(THREAT, limits=Limits(wall_seconds=0.01)),
    ):
        pass


def test_silent_clipped_and_twin_channels_are_flagged(tmp_path: Path) -> None:
    silence = make_silence(tmp_path / "silence.wav", seconds=1, channels=2)
    at = np.arange(16_000)
    tone = (np.sin(at / 5) * (at % 4_000 < 3_000))[:, None] * 90_000
    loud = make_wav(tmp_path / "loud.wav", np.clip(tone, -32_768, 32_767).astype(np.int16))
    quiet = (tone / 9).astype(np.int16)
    twins = make_wav(tmp_path / "twins.wav", np.hstack([quiet, quiet]))
    half = make_wav(tmp_path / "half.wav", np.hstack([quiet, np.zeros_like(quiet)]))

    flags = []
    for path in (silence, loud, twins, half):
        with decoded(path) as audio:
            flags.append(audio.flags)

    assert flags == [("silent",), ("clipped",), ("dual_mono",), ("silent_channel",)]


def test_mutated_recordings_end_in_sound_or_in_a_reason(tmp_path: Path) -> None:
    codes = []
    dice = np.random.default_rng(7)
    for number, source in enumerate([THREAT, LAWFUL] * 6):
        content = bytearray(source.read_bytes()[:60_000])
        for at in dice.integers(0, 400 if number % 3 else len(content), size=12):
            content[at] = dice.integers(0, 256)
        path = tmp_path / f"{number}.bin"
        path.write_bytes(content)
        try:
            with decoded(path) as audio:
                assert audio.seconds > 0
        except UndecodableError as refusal:
            codes.append(refusal.code)

    assert "decoder_crashed" not in codes

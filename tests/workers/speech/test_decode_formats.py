import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.workers.speech.formats import (
    BY_ID,
    FIRST_TONE,
    NEXT_TONE,
    SAMPLES,
    SECONDS,
    Sample,
    encode,
    tones,
)
from tests.workers.speech.sound import make_wav
from workers.speech import decoder
from workers.speech.decode import FLAGS, RATE, Audio, Limits, decoded

# One codec, two decoders: which one answers depends on how FFmpeg was built.
TWIN_DECODERS = {"mp3", "mp2float"}


def loudest_tone(audio: Audio, channel: int) -> float:
    sound = audio.samples[RATE // 4 : -RATE // 4, channel].astype(float)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(spectrum.argmax() * RATE / len(sound))


@pytest.mark.parametrize("sample", [pytest.param(each, id=each.id) for each in SAMPLES])
def test_every_accepted_format_is_heard_whole_and_in_order(sample: Sample, tmp_path: Path) -> None:
    with decoded(sample.write(tmp_path / "call.bin")) as audio:
        assert (audio.codec, audio.channels) == (sample.codec, sample.channels)
        assert audio.source_rate in {sample.rate, 48_000}
        # Block codecs fill their last block up.
        assert audio.seconds == pytest.approx(SECONDS, abs=0.2)
        assert audio.cut_off
        if sample.make is None:
            assert audio.flags == ()
            for channel in range(sample.channels):
                assert loudest_tone(audio, channel) == pytest.approx(
                    FIRST_TONE + NEXT_TONE * channel, abs=3
                )
        else:
            assert min(audio.peaks) > 0.1


def test_no_codec_is_accepted_without_a_file_of_it() -> None:
    assert {sample.codec for sample in SAMPLES} | TWIN_DECODERS == set(decoder.CODECS)


@pytest.mark.parametrize(
    "name",
    [
        *("wav-pcm-16", "wav-a-law", "wav-mp3", "wave64", "caf-pcm", "au-mu-law", "aiff-pcm-16"),
        *("flac", "mp3", "ogg-opus", "ogg-vorbis"),
    ],
)
def test_recording_cut_in_half_is_called_truncated(name: str, tmp_path: Path) -> None:
    whole = BY_ID[name].write(tmp_path / "whole.bin", seconds=6).read_bytes()
    path = tmp_path / "half.bin"
    path.write_bytes(whole[: len(whole) // 2])

    with decoded(path) as audio:
        assert 1.5 < audio.seconds < 4.5
        assert "truncated" in audio.flags


def test_sound_behind_what_the_header_promises_is_flagged(tmp_path: Path) -> None:
    content = make_wav(tmp_path / "whole.wav", tones(8_000, 1, 10), rate=8_000).read_bytes()
    short = content[:40] + (3 * 16_000).to_bytes(4, "little") + content[44:]
    marked = content + b"LIST" + (40_000).to_bytes(4, "little") + bytes(40_000)

    flags = []
    for name, each in (("short", short), ("marked", marked)):
        path = tmp_path / f"{name}.wav"
        path.write_bytes(each)
        with decoded(path) as audio:
            flags.append(audio.flags)

    assert flags == [("wrong_length",), ()]


def test_flac_that_promises_too_little_is_heard_whole_and_flagged(tmp_path: Path) -> None:
    path = BY_ID["flac"].write(tmp_path / "call.flac", seconds=6)
    content = bytearray(path.read_bytes())
    # The last 36 bits of these ten bytes are the number of samples.
    content[22:26] = (8_000).to_bytes(4, "big")
    path.write_bytes(content)

    with decoded(path) as audio:
        assert audio.seconds == pytest.approx(6, abs=0.1)
        assert audio.declared_seconds == pytest.approx(1, abs=0.1)
        assert audio.flags == ("wrong_length",)


def test_rate_that_changes_is_followed_and_channels_that_change_are_damage(tmp_path: Path) -> None:
    parts = []
    for rate, channels in ((16_000, 1), (32_000, 1), (16_000, 2)):
        path = tmp_path / "part.aac"
        encode(path, Sample("", "adts", "aac", "aac", rate, channels), tones(rate, channels, 3))
        parts.append(path.read_bytes())
    rates, layouts = tmp_path / "rates.aac", tmp_path / "layouts.aac"
    rates.write_bytes(parts[0] + parts[1])
    layouts.write_bytes(parts[0] + parts[2])

    with decoded(rates) as audio:
        assert audio.seconds == pytest.approx(6, abs=0.3)
        assert "damaged" not in audio.flags
    with decoded(layouts) as audio:
        assert audio.seconds == pytest.approx(3, abs=0.2)
        assert "damaged" in audio.flags


@pytest.mark.parametrize(
    ("gain", "delay", "twins"),
    [
        pytest.param(1.0, 0, True, id="the-same"),
        pytest.param(0.3, 0, True, id="weaker"),
        pytest.param(-0.8, 400, True, id="turned-and-late"),
        pytest.param(0.0, 0, False, id="another-voice"),
    ],
)
def test_one_voice_on_two_channels_is_dual_mono(
    gain: float, delay: int, *, twins: bool, tmp_path: Path
) -> None:
    dice = np.random.default_rng(3)
    swell = np.abs(np.sin(np.arange(16_000 * 4) / 3_000))
    # Voices lie low; noise without its upper half stands for them.
    voices = [np.convolve(dice.normal(0, 6_000, swell.size), np.ones(12) / 12, "same")] * 2
    voices = [voices[0] * swell, np.roll(voices[0] * swell, delay) * gain]
    if not gain:
        voices[1] = np.convolve(dice.normal(0, 6_000, swell.size), np.ones(12) / 12, "same")
    line = dice.normal(0, 60, (swell.size, 2))
    sound = (np.stack(voices, axis=1) + line).astype(np.int16)

    with decoded(make_wav(tmp_path / "call.wav", sound)) as audio:
        assert ("dual_mono" in audio.flags) is twins


def test_telephone_clipping_and_constant_levels_are_seen(tmp_path: Path) -> None:
    loud = np.clip(tones(8_000, 1).astype(float) * 9, -32_767, 32_767).astype(np.int16)
    clipped = tmp_path / "clipped.wav"
    encode(clipped, Sample("", "wav", "pcm_mulaw", "pcm_mulaw"), loud)
    flat = make_wav(tmp_path / "flat.wav", np.full((16_000, 1), 5_000, dtype=np.int16))

    with decoded(clipped) as audio:
        assert audio.flags == ("clipped",)
    with decoded(flat) as audio:
        assert audio.flags == ("silent",)


def test_a_long_call_does_not_stay_in_memory(tmp_path: Path) -> None:
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from workers.speech.decode import decoded\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "with decoded(Path(sys.argv[1])) as audio:\n"
        "    for start in range(0, audio.samples.shape[0], 960_000):\n"
        "        audio.piece(0, start, start + 960_000)\n"
        "    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
        "    print(round(audio.seconds), (after - before) // 1024, child // 1024)\n"
    )
    path = tmp_path / "long.flac"
    encode(path, BY_ID["flac"], np.zeros((1_200 * 8_000, 2), dtype=np.int16))
    command = [sys.executable, "-c", program, str(path)]

    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, grown, child = map(int, done.stdout.split())

    assert seconds == 1_200
    assert grown < 50
    assert child < 150


DOORS = """
import os, resource, socket, sys
sys.path.insert(0, sys.argv[1])
import decoder
decoder.confine({"memory_bytes": 1 << 30, "heap_bytes": 1 << 28, "output_bytes": 1 << 20,
    "cpu_seconds": 10})
assert decoder.close_the_doors()
for attempt in (lambda: open("/etc/hostname"), os.fork, lambda: os.kill(os.getppid(), 0),
                lambda: os.unlink(sys.argv[2])):
    try:
        attempt()
    except OSError:
        print("refused")
sys.stdout.flush()
{last}
"""


@pytest.mark.parametrize(
    "last",
    [
        pytest.param("socket.socket()", id="socket"),
        pytest.param("socket.socketpair()", id="socketpair"),
        pytest.param("os.execv('/bin/true', ['true'])", id="programme"),
    ],
)
def test_confined_process_dies_when_it_asks_for_a_way_out(last: str, tmp_path: Path) -> None:
    keep = tmp_path / "evidence"
    keep.touch()
    folder = Path(decoder.__file__).parent
    command = [sys.executable, "-c", DOORS.replace("{last}", last), str(folder), str(keep)]

    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert done.stdout.split() == ["refused"] * 4
    assert done.returncode == -31  # SIGSYS
    assert keep.exists()
    with socket.socket() as free:
        assert free.fileno() > 0


def test_full_disk_is_told_apart_from_a_bad_recording(tmp_path: Path) -> None:
    path = BY_ID["wav-pcm-16"].write(tmp_path / "call.wav", seconds=60)
    with path.open("rb") as source, Path("/dev/full").open("wb") as sink:
        command = [sys.executable, "-I", str(Path(decoder.__file__)), str(sink.fileno())]
        done = subprocess.run(
            [*command, Limits().for_child()],
            stdin=source,
            capture_output=True,
            pass_fds=(sink.fileno(),),
            check=True,
        )

    assert json.loads(done.stdout)["failed"] == "no_space"


def test_every_flag_that_decoding_gives_has_a_sentence() -> None:
    source = Path(decoder.__file__).with_name("decode.py").read_text("utf-8")
    levels = Path(decoder.__file__).with_name("levels.py").read_text("utf-8")

    for flag in FLAGS:
        assert f'"{flag}"' in source.split("}", 1)[1] + levels
    assert Limits().heap_bytes < 400 << 20

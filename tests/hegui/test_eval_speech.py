"""The evaluation of hearing: its arithmetic, its codecs, and one call all the way."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import hegui
from hegui.evaluation.cer import Errors, distance, interval, plain, rate
from hegui.evaluation.codecs import CODECS, PHONE_RATE, line_noise, phone_sound, speech_level
from hegui.evaluation.corpus import Expectation
from hegui.evaluation.encode import write_sound
from hegui.evaluation.scoring import score
from hegui.evaluation.speech import APP, Row, read_said
from workers.speech.decode import RATE, decoded

DEMO = Path(hegui.__file__).parent / "demo_data"
CALL = DEMO / "audio" / "D031-01.ogg"


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        pytest.param("您好，工号0231。", "你好 工号零二三一", id="figures-one-by-one"),
        pytest.param("一万两千八百六十块三毛五", "12860块3毛5", id="a-sum"),
        pytest.param("妳們說什麼？", "你们说什么", id="script"),
        pytest.param("汇民银行APP", "汇民银行app", id="case"),
    ],
)
def test_what_cannot_be_heard_is_no_error(said: str, heard: str) -> None:
    assert distance(plain(said).replace("您", "你").replace("妳", "你"), plain(heard)) == 0


def test_distance_counts_changed_added_and_dropped_characters() -> None:
    assert distance("上门泼油漆", "上门颇游戏") == 3
    assert distance("", "三个字") == 3
    assert distance("还钱", "你还钱吗") == 2
    assert distance("abc", "") == 3


def test_rate_weighs_calls_by_their_length_and_says_how_sure_it_is() -> None:
    errors = [Errors(0, 90), Errors(10, 10)] * 10
    worse = [Errors(each.edits + each.length // 10, each.length) for each in errors]

    assert rate(errors) == pytest.approx(0.1)
    low, high = interval(errors)
    assert 0.0 <= low < 0.1 < high < 0.5
    low, high = interval(worse, errors)
    # Each call is worse by a tenth, so nothing hangs on which calls are drawn.
    assert low == pytest.approx(0.1)
    assert high == pytest.approx(0.1)


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first turns of a recorded call, both voices."""
    sound = phone_sound(CALL)[: 15 * PHONE_RATE]
    path = tmp_path_factory.mktemp("call") / "call.wav"
    return write_sound(path, sound, container="wav", encoder="pcm_s16le", rate=PHONE_RATE)


@pytest.mark.parametrize("name", sorted(CODECS))
def test_every_codec_passes_the_call_on_whole_and_in_order(
    name: str, call: Path, tmp_path: Path
) -> None:
    with decoded(call) as audio:
        seconds, before = audio.seconds, loudness(np.array(audio.samples))

    with decoded(CODECS[name].write(call, tmp_path)) as audio:
        after = loudness(np.array(audio.samples))
        assert audio.channels == 2
        assert audio.seconds == pytest.approx(seconds, abs=0.3)

    shortest = min(len(before), len(after))
    for channel in (0, 1):
        own = np.corrcoef(before[:shortest, channel], after[:shortest, channel])[0, 1]
        other = np.corrcoef(before[:shortest, 1 - channel], after[:shortest, channel])[0, 1]
        assert own > 0.8 > other


def loudness(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the level of each tenth of a second, a column a channel."""
    step = RATE // 10
    frames = samples[: len(samples) // step * step].astype(float).reshape(-1, step, 2)
    return np.asarray(np.sqrt(np.mean(frames**2, axis=1)))


def as_written(path: Path) -> NDArray[np.int16]:
    """Read a WAV file as it lies, one column a channel: our own decoding takes noise away."""
    with wave.open(str(path)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        return sound.reshape(-1, file.getnchannels())


def test_noise_lies_ten_decibels_below_the_speech(call: Path, tmp_path: Path) -> None:
    clean, noisy = phone_sound(call), as_written(CODECS["noise-10db"].write(call, tmp_path))
    voice = clean[:, 0].astype(float)
    noise = noisy[: len(voice), 0] - voice[: len(noisy)]

    ratio = 20 * np.log10(speech_level(voice) / np.sqrt(np.mean(noise**2)))

    assert ratio == pytest.approx(10, abs=0.5)
    assert np.std(line_noise(PHONE_RATE, np.random.default_rng(1))) == pytest.approx(1, abs=0.01)


def test_a_call_is_heard_scored_and_not_heard_twice(tmp_path: Path) -> None:
    command = [str(DEMO), "--engine", "faster-whisper", "--codec", "clean"]
    command += ["--calls", "1", "--cache", str(tmp_path)]

    first = CliRunner().invoke(APP, command)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = CliRunner().invoke(APP, command)

    assert first.exit_code == 0, first.output
    row = json.loads(first.stdout)
    assert (row["engine"], row["codec"], row["calls"]) == ("faster-whisper", "clean", 1)
    assert 0 < row["cer"] < 0.4
    assert 0 < row["bare_cer"] < 1
    assert row["planted"] >= 1
    assert again.stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == kept
    assert len(kept) == 2  # what we heard, and what the bare engine read


def test_a_codec_is_told_by_how_much_worse_than_clean_it_is() -> None:
    wanted = {"a": Expectation(frozenset({"THR-01", "ABU-01"})), "b": Expectation()}
    clean = row_with(
        "clean", (Errors(10, 100), Errors(20, 100)), {"a": {"THR-01"}, "b": set()}, wanted
    )
    noisy = row_with(
        "noise", (Errors(14, 100), Errors(26, 100)), {"a": set(), "b": {"NEG-01"}}, wanted
    )

    told = noisy.as_dict(clean)

    assert (told["cer"], told["worse_than_clean"]) == (0.2, 0.05)
    assert told["worse_95"][0] <= 0.05 <= told["worse_95"][1]
    assert (told["bare_cer"], told["bare_worse_than_clean"]) == (0.4, 0.1)
    assert (told["planted"], told["family"]["tp"], told["family"]["fp"]) == (2, 0, 1)
    assert clean.as_dict(clean)["family"]["tp"] == 1
    assert "worse_than_clean" not in clean.as_dict(clean)


def row_with(
    codec: str,
    errors: tuple[Errors, ...],
    found: dict[str, set[str]],
    wanted: dict[str, Expectation],
) -> Row:
    silent = tuple(Errors(0, 0) for _ in errors)
    voices = {"collector": errors, "party": silent}
    bare = tuple(Errors(2 * each.edits, each.length) for each in errors)
    return Row("engine", codec, tuple(found), voices, bare, 0.0, score(found, wanted))


def test_unknown_codec_is_refused_with_the_known_ones() -> None:
    result = CliRunner().invoke(APP, [str(DEMO), "--codec", "smoke"])

    assert result.exit_code == 2
    assert "amr-nb" in result.stderr


def test_what_was_said_is_read_by_voice() -> None:
    said = read_said(DEMO / "audio" / "reference.jsonl")

    assert len(said) == 8
    assert all(voices["collector"] and voices["party"] for voices in said.values())

from difflib import SequenceMatcher
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from pypinyin import lazy_pinyin

from rules.events import Segment, Speaker
from tests.workers.speech.sound import LAWFUL, THREAT, make_silence, make_wav, voice_of
from workers.speech import UndecodableError, transcribe_file
from workers.speech.engines import EngineOptions
from workers.speech.text import letters_of, tidy, with_figures
from workers.speech.transcript import Transcription

BOTH = ("collector", "party")


def sound_of(segments: tuple[Segment, ...], speaker: Speaker) -> str:
    return " ".join(
        " ".join(lazy_pinyin(segment.text)) for segment in segments if segment.speaker is speaker
    )


@pytest.fixture(scope="module")
def threat() -> Transcription:
    return transcribe_file(THREAT, speakers=BOTH)


@pytest.fixture(scope="module")
def lawful() -> Transcription:
    return transcribe_file(LAWFUL, speakers=BOTH)


def test_claimed_lawsuit_is_heard_from_the_collector(threat: Transcription) -> None:
    assert "fa yuan yi jing li an" in sound_of(threat.segments, Speaker.COLLECTOR)
    assert "li an" not in sound_of(threat.segments, Speaker.PARTY)


def test_lawful_call_is_heard_in_order_on_both_channels(lawful: Transcription) -> None:
    assert "tong hua you lu yin" in sound_of(lawful.segments, Speaker.COLLECTOR)
    assert "zhang" in sound_of(lawful.segments, Speaker.PARTY)
    assert lawful.untrusted_share < 0.2
    starts = [segment.start for segment in lawful.segments]
    assert starts == sorted(starts)
    assert max(segment.end for segment in lawful.segments) <= lawful.decoded_seconds
    assert {segment.role_score for segment in lawful.segments} == {1.0}


def test_transcript_says_what_made_it(threat: Transcription) -> None:
    assert threat.engine == "openai-whisper"
    assert threat.model_digest.startswith("d01c3014881c9c6f")
    assert threat.parameters["language"] == "zh"
    assert threat.decoded_seconds == pytest.approx(20.5, abs=0.1)
    assert threat.flags == ()


def test_faster_engine_hears_the_same_violation() -> None:
    heard = transcribe_file(THREAT, speakers=BOTH, engine="faster-whisper")

    assert "fa yuan yi jing li an" in sound_of(heard.segments, Speaker.COLLECTOR)
    assert heard.model_digest.startswith("d01c3014881c9c6f")


def test_swapped_channels_are_put_right_and_flagged(lawful: Transcription) -> None:
    swapped = transcribe_file(LAWFUL, speakers=("party", "collector"), engine="faster-whisper")

    assert "swapped_channels" in swapped.flags
    assert "tong hua you lu yin" in sound_of(swapped.segments, Speaker.COLLECTOR)
    assert all(0 < segment.role_score < 1 for segment in swapped.segments)


def test_silence_and_noise_hold_no_words(tmp_path: Path) -> None:
    silence = make_silence(tmp_path / "silence.wav", seconds=20, channels=2)
    hiss = np.random.default_rng(1).normal(0, 60, (16_000 * 20, 2)).astype(np.int16)

    for path in (silence, make_wav(tmp_path / "hiss.wav", hiss)):
        heard = transcribe_file(path, speakers=BOTH)
        assert heard.segments == ()
        assert "no_speech" in heard.flags
        assert heard.untrusted_share == 0.0


def test_mono_belongs_to_the_only_speaker_named_and_else_to_nobody(tmp_path: Path) -> None:
    mono = make_wav(tmp_path / "mono.wav", voice_of(THREAT, 0, 9, 15))

    alone = transcribe_file(mono, speakers=("collector",))
    shared = transcribe_file(mono, speakers=BOTH)

    assert {(s.speaker, s.role_score) for s in alone.segments} == {(Speaker.COLLECTOR, 1.0)}
    assert {(s.speaker, s.role_score) for s in shared.segments} == {(Speaker.UNKNOWN, 0.0)}
    assert "uncertain_roles" in shared.flags


def test_more_channels_than_speakers_are_flagged_and_unsure(tmp_path: Path) -> None:
    voice = voice_of(THREAT, 0, 9, 15)
    path = make_wav(tmp_path / "three.wav", np.hstack([voice, voice * 0, voice * 0]))

    heard = transcribe_file(path, speakers=BOTH)

    assert "uncertain_roles" in heard.flags
    assert heard.segments
    assert all(segment.role_score <= 0.5 for segment in heard.segments)


def test_progress_rises_to_one(tmp_path: Path) -> None:
    shares: list[float] = []
    path = make_wav(tmp_path / "short.wav", voice_of(THREAT, 0, 0, 4))

    transcribe_file(path, speakers=("collector",), on_progress=shares.append)

    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize("channels", [1, 2])
def test_progress_moves_while_hours_are_searched_for_speech(tmp_path: Path, channels: int) -> None:
    shares: list[float] = []
    words = voice_of(THREAT, 0, 9, 11)
    long = np.concatenate([words, np.zeros((1_200 * 16_000, 1), dtype=np.int16), words])
    path = make_wav(tmp_path / "long.wav", np.hstack([long, long[::-1]][:channels]))

    transcribe_file(path, speakers=BOTH, engine="faster-whisper", on_progress=shares.append)

    assert shares == sorted(shares)
    assert len({share for share in shares if 0.02 < share < 0.1}) > 8


def test_same_file_gives_the_same_transcript(threat: Transcription) -> None:
    assert transcribe_file(THREAT, speakers=BOTH) == threat


def test_undecodable_file_raises_before_any_model_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    path.touch()

    with pytest.raises(UndecodableError, match="empty_file"):
        transcribe_file(path, speakers=BOTH)


def test_text_is_simplified_and_punctuated() -> None:
    assert tidy("你們說什麼, ,錄音 路印進行?") == "你们说什么，录音，路印进行？"


@pytest.mark.parametrize(
    ("spoken", "figures"),
    [
        ("欠款一共是两万三千五百元", "欠款一共是23500元"),
        ("还差一万二千八百六十三块", "还差12863块"),
        ("利率是百分之二十四", "利率是24%"),
        ("工号零二三一，三天之内处理", "工号0231，3天之内处理"),
        ("幺三八零零零幺二三四五", "13800012345"),
        ("您等一下，万一三天办不完呢", "您等一下，万一3天办不完呢"),
        ("十五六天或者三五天吧", None),
    ],
)
def test_spoken_numbers_have_a_twin_in_figures(spoken: str, figures: str | None) -> None:
    assert with_figures(spoken) == figures


@pytest.mark.parametrize("engine", ["openai-whisper", "faster-whisper"])
def test_every_trusted_word_has_its_time_and_probability(engine: str) -> None:
    heard = transcribe_file(THREAT, speakers=BOTH, engine=engine)

    trusted = [segment for segment in heard.segments if segment.trusted]
    assert trusted
    for segment in trusted:
        assert "".join(word.text for word in segment.words) == letters_of(segment.text)
        times = [time for word in segment.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert (segment.start, segment.end) == (times[0], times[-1])
        assert all(0 < word.probability <= 1 for word in segment.words)
        assert 0.1 < (times[-1] - times[0]) / len(segment.text) < 0.6


def test_both_engines_put_the_same_words_at_the_same_times(threat: Transcription) -> None:
    faster = transcribe_file(THREAT, speakers=BOTH, engine="faster-whisper")

    first, second = ([w for s in each.segments for w in s.words] for each in (threat, faster))
    texts = [[word.text for word in words] for words in (first, second)]
    same = SequenceMatcher(a=texts[0], b=texts[1], autojunk=False).get_matching_blocks()
    pairs = [(first[m.a + n], second[m.b + n]) for m in same for n in range(m.size)]
    apart = [abs(one.start - other.start) for one, other in pairs]

    assert len(pairs) > 0.6 * len(first)
    assert median(apart) < 0.1


def test_words_of_the_lender_heard_only_with_its_help_are_marked() -> None:
    name = "刘国宁"
    told = EngineOptions(hotwords=(name,))

    alone = transcribe_file(LAWFUL, speakers=BOTH, engine="faster-whisper")
    helped = transcribe_file(LAWFUL, speakers=BOTH, engine="faster-whisper", options=told)

    assert all(name not in s.text and not s.biased for s in alone.segments)
    assert [name in s.text for s in helped.segments].count(True) == 1
    assert all(segment.biased == (name in segment.text) for segment in helped.segments)
    assert helped.parameters["hotwords"] == (name,)

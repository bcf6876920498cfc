from pathlib import Path

import numpy as np
import pytest
from pypinyin import lazy_pinyin

from rules.events import Segment, Speaker
from tests.workers.speech.sound import LAWFUL, THREAT, make_silence, make_wav, voice_of
from workers.speech import UndecodableError, transcribe_file
from workers.speech.transcript import Transcription, tidy

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
    assert "qian" in sound_of(lawful.segments, Speaker.PARTY)
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

    assert "channels_swapped" in swapped.flags
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
    assert "both_voices_on_one_channel" in shared.flags


def test_more_channels_than_speakers_are_flagged_and_unsure(tmp_path: Path) -> None:
    voice = voice_of(THREAT, 0, 9, 15)
    path = make_wav(tmp_path / "three.wav", np.hstack([voice, voice * 0, voice * 0]))

    heard = transcribe_file(path, speakers=BOTH)

    assert "channels_do_not_match_speakers" in heard.flags
    assert heard.segments
    assert all(segment.role_score <= 0.5 for segment in heard.segments)


def test_progress_rises_to_one(tmp_path: Path) -> None:
    shares: list[float] = []
    path = make_wav(tmp_path / "short.wav", voice_of(THREAT, 0, 0, 4))

    transcribe_file(path, speakers=("collector",), on_progress=shares.append)

    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_same_file_gives_the_same_transcript(threat: Transcription) -> None:
    assert transcribe_file(THREAT, speakers=BOTH) == threat


def test_undecodable_file_raises_before_any_model_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    path.touch()

    with pytest.raises(UndecodableError, match="empty_file"):
        transcribe_file(path, speakers=BOTH)


def test_text_is_simplified_and_punctuated() -> None:
    assert tidy("你們說什麼,錄音 路印進行?") == "你们说什么，录音，路印进行？"

import numpy as np
import pytest
from whisper.timing import dtw_cpu

from workers.speech.clips import pack
from workers.speech.decode import RATE
from workers.speech.engines import Heard, Word
from workers.speech.lines import lines_of, unheard_seconds
from workers.speech.transcript import untrusted_share
from workers.speech.voice import Stretch, VoiceOptions
from workers.speech.wording import first_ticks


@pytest.mark.parametrize("seed", range(8))
def test_the_best_path_is_the_one_that_whisper_finds(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, columns = int(random.integers(1, 30)), int(random.integers(30, 200))
    along = np.linspace(0, 1, columns) - np.linspace(0, 1, rows).reshape(-1, 1)
    likeness = random.normal(size=(rows, columns)) + 4 * np.exp(-((along * 12) ** 2))

    steps, ticks = dtw_cpu.py_func(-likeness)

    assert first_ticks(likeness) == ticks[np.flatnonzero(np.diff(steps, prepend=-1))].tolist()


def heard(text: str, start: float, each: float) -> Heard:
    """Return a piece of evenly spoken characters, `each` seconds long."""
    words = tuple(
        Word(start + at * each, start + (at + 1) * each, letter, 0.9)
        for at, letter in enumerate(text)
    )
    return Heard(start, words[-1].end, text, -0.3, 0.1, 1.0, words)


def test_words_of_a_packed_clip_go_back_to_the_turns_they_were_said_in() -> None:
    """Two turns, at 10 and 30 seconds, heard in one clip with 0.3 s between them."""
    turns = [Stretch(1, at * RATE, (at + 2) * RATE, 2 * RATE) for at in (10, 30)]
    (clip,) = pack(turns, VoiceOptions())

    found = list(lines_of(clip, [heard("我今天晚上还我没有钱", 0.1, 0.4)], ""))

    assert [(line.text, line.start) for line in found] == [
        ("我今天晚上", 10.1),
        ("还我没有钱", 30.0),
    ]
    assert all(10 <= word.start <= word.end <= 12 for word in found[0].words)
    assert all(30 <= word.start <= word.end <= 32 for word in found[1].words)
    assert [word.text for word in found[0].words] == ["我", "今天", "晚上"]


def test_a_pause_without_a_mark_becomes_a_comma_and_holds_no_word() -> None:
    pause = (2 * RATE, 3 * RATE)
    (clip,) = pack([Stretch(0, RATE, 5 * RATE, 3 * RATE, (pause,))], VoiceOptions())
    before, after = heard("再不还钱", 0.0, 0.25), heard("我们上门", 2.0, 0.4)
    # The aligner lets the word before a pause last until the next one begins.
    late = Word(0.75, 2.0, "钱", 0.9)
    piece = Heard(
        0.0, 4.0, "再不还钱我们上门", -0.3, 0.1, 1.0, (*before.words[:3], late, *after.words)
    )

    (line,) = lines_of(clip, [piece], "")

    assert line.text == "再不还钱，我们上门"
    assert not [word for word in line.words if word.start < 3.0 < word.end]
    assert max(word.end for word in line.words if word.start < 2.0) <= 2.0


def punctuated(text: str, pause: tuple[float, float]) -> str:
    """Return what becomes of ten seconds of evenly spoken characters with one pause."""
    low, high = (round(edge * RATE) for edge in pause)
    turn = Stretch(0, 0, 10 * RATE, 10 * RATE - (high - low), ((low, high),))
    (clip,) = pack([turn], VoiceOptions())
    (line,) = lines_of(clip, [heard(text, 0.0, 0.5)], "")
    return line.text


def test_a_comma_of_ours_cuts_no_word_and_doubles_no_mark() -> None:
    """The model's times are a syllable off, so the pause seems to lie inside a word."""
    assert punctuated("诚讯商务的工号一三零七", (2.6, 3.0)) == "诚讯商务的，工号一三零七"
    assert punctuated("我没做手术我告诉你", (2.4, 2.5)) == "我没做手术，我告诉你"
    marked = heard("我没做手术我告诉你", 0.0, 0.5)
    words = tuple(
        Word(word.start, word.end, word.text + "，" * (at == 4), word.probability)
        for at, word in enumerate(marked.words)
    )
    turn = Stretch(0, 0, 10 * RATE, 9 * RATE, ((round(2.6 * RATE), 3 * RATE),))
    (clip,) = pack([turn], VoiceOptions())
    text = "我没做手术，我告诉你"
    (line,) = lines_of(clip, [Heard(0.0, 4.5, text, -0.3, 0.1, 1.0, words)], "")
    assert line.text == text


def test_clips_hold_one_voice_and_neither_too_much_sound_nor_too_much_time() -> None:
    turns = [Stretch(at % 2, at * 4 * RATE, (at * 4 + 3) * RATE, 3 * RATE) for at in range(60)]
    options = VoiceOptions()

    clips = pack(turns, options)

    assert sorted((t for c in clips for t in c.turns), key=lambda t: t.start) == turns
    assert all(len({turn.channel for turn in clip.turns}) == 1 for clip in clips)
    assert all(clip.length <= options.longest_clip * RATE for clip in clips)
    assert all(clip.span <= options.widest_clip * RATE for clip in clips)
    assert max(len(clip.turns) for clip in clips) == 4


def test_turns_of_which_nothing_was_heard_count_as_untrusted_speech() -> None:
    """The model stops after the first of three turns, as it sometimes does."""
    turns = [Stretch(0, at * RATE, (at + 3) * RATE, 3 * RATE) for at in (0, 5, 10)]
    (clip,) = pack(turns, VoiceOptions())

    lost = list(lines_of(clip, [heard("今天就能还上", 0.0, 0.5)], ""))
    looped = list(lines_of(clip, [Heard(0.0, 9.6, "诸位，" * 20, -0.3, 0.1, 9.0)], ""))

    assert unheard_seconds(clip, lost) == 6.0
    assert untrusted_share(lost, 6.0) == pytest.approx(6 / 9, abs=0.01)
    assert [(line.start, line.end, line.seconds) for line in looped] == [(0.0, 13.0, 9.6)]
    assert unheard_seconds(clip, looped) == 0.0
    assert untrusted_share(looped, 0.0) == 1.0

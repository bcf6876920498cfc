"""Judges whether a stretch of heard text may be believed, from the text and the engine's doubts."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from workers.speech.engines.protocol import Heard

# What Whisper learned from subtitles and says when nobody speaks. None of it belongs in a call.
INVENTIONS = re.compile(
    "字幕|点赞|點贊|订阅|訂閱|转发|打赏|明镜|明鏡|谢谢观看|感谢观看|谢谢收看|感谢收看|收看|"
    "请不吝|不吝|栏目|优优独播|独播剧场|中文配音|配音|作词|作曲|编曲|制作人|"
    "下期再见|下集再见|本期视频|视频就到这里|未经作者|版权所有|Amara|amara\\.org|"
    "普通话的句子"
)
LOOP = re.compile(r"(.{1,12}?)\1{3,}")
SHORT_LOOP = re.compile(r"(.{4,30}?)\1{2,}")
NOT_WORDS = re.compile(r"[\W_]+")
LOWEST_LOGPROB = -1.1
LOWEST_LOGPROB_NEAR_SILENCE = -0.7
SILENCE_LIKELY = 0.6
MOST_COMPRESSED = 2.4
FASTEST = 11.0
SLOWEST = 0.25
LONG_ENOUGH = 4.0
SPOKEN_AT_ONCE = 6
SHORTEST_CLAUSE = 4
# Lines that were really said lie above 0.4, even badly heard ones; a short 是我 may lie anywhere.
UNLIKELY_WORDS = 0.3
JUDGED_LETTERS = 4
ECHOED_SHARE = 0.8


@dataclass(frozen=True)
class Judgement:
    """Whether text may carry a finding, and the reasons when it may not."""

    trusted: bool
    doubts: tuple[str, ...]


def judge(heard: Heard, *, seconds: float, prompt: str = "") -> Judgement:
    """Judge text that was heard in `seconds` of speech by an engine that was given `prompt`."""
    words = NOT_WORDS.sub("", heard.text)
    doubts = []
    if not words:
        doubts.append("no_words")
    if INVENTIONS.search(heard.text):
        doubts.append("known_invention")
    if _is_echo(words, prompt):
        doubts.append("prompt_echo")
    doubts.extend(loops(words))
    if heard.avg_logprob < LOWEST_LOGPROB:
        doubts.append("improbable")
    elif heard.no_speech_prob > SILENCE_LIKELY and heard.avg_logprob < LOWEST_LOGPROB_NEAR_SILENCE:
        doubts.append("likely_silence")
    doubts.extend(_impossible_rate(len(words), seconds))
    return Judgement(not doubts, tuple(doubts))


def loops(text: str) -> list[str]:
    """Return the doubts that a machine's loop raises: the same words again and again."""
    words = NOT_WORDS.sub("", text)
    doubts = []
    if (LOOP.search(words) and not _is_emphasis(words)) or SHORT_LOOP.search(words):
        doubts.append("repetition")
    if compression(words) > MOST_COMPRESSED:
        doubts.append("compressible")
    return doubts


def unlikely(probabilities: Sequence[float]) -> list[str]:
    """Return the doubt that a line raises whose letters the sound hardly supports."""
    if len(probabilities) >= JUDGED_LETTERS and fmean(probabilities) < UNLIKELY_WORDS:
        return ["unlikely_words"]
    return []


def compression(text: str) -> float:
    """Return how many times smaller zlib makes the text; loops are far above ordinary speech."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


def without_loops(text: str) -> str:
    """Return the text with each machine loop cut to two rounds, so that people can read it."""
    return LOOP.sub(
        lambda loop: loop.group(0) if _is_emphasis(loop.group(0)) else loop[1] * 2, text
    )


def _is_echo(words: str, prompt: str) -> bool:
    """Tell whether the text is little more than two or more clauses of the prompt."""
    left, clauses = words, 0
    for clause in NOT_WORDS.split(prompt):
        if len(clause) >= SHORTEST_CLAUSE and clause in left:
            clauses += left.count(clause)
            left = left.replace(clause, "")
    return clauses > 1 and len(left) <= (1 - ECHOED_SHARE) * len(words)


def _is_emphasis(words: str) -> bool:
    """People do say 行行行行 or 对对对对; a machine's loop is longer."""
    loop = LOOP.search(words)
    return loop is not None and len(loop.group(1)) == 1 and len(loop.group(0)) <= SPOKEN_AT_ONCE


def _impossible_rate(characters: int, seconds: float) -> list[str]:
    if characters > SPOKEN_AT_ONCE and characters > FASTEST * max(seconds, 0.1):
        return ["too_fast"]
    if seconds > LONG_ENOUGH and characters < SLOWEST * seconds:
        return ["too_sparse"]
    return []

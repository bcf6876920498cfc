"""From what an engine heard in a clip to lines of one turn each: judged, timed, punctuated."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from typing import Any

import rjieba

from workers.speech.clips import Clip
from workers.speech.decode import RATE
from workers.speech.engines import Heard, Word
from workers.speech.text import CLOSING, letters_of, simplified, tidy
from workers.speech.trust import judge, loops, unlikely, without_loops
from workers.speech.voice import Stretch

# How far from a pause the model's time of a word may lie (seconds).
NEAR_PAUSE = 0.3
PAUSE_MARK = "，"
# A mark of the model's so many words from a pause is the mark of that pause.
BESIDE = 1
# A cough may take the voice model in; a second of it is speech. Word times are this exact.
SHORTEST_LOSS = 1.0
SLACK = 0.1


@dataclass(frozen=True, slots=True)
class Timed:
    """A word with its time in the recording (seconds) and its probability."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True)
class Line:
    """A stretch of text of one voice, before the speaker is named; times are of the recording.

    `voice_score` (0 to 1) says how sure it is that this voice speaks; `seconds` is how much sound
    the text stands for, which is less than `end - start` where other voices lie between.
    """

    channel: int
    voice: int
    voice_score: float
    start: float
    end: float
    seconds: float
    text: str
    avg_logprob: float
    doubts: tuple[str, ...]
    biased: bool
    words: tuple[Timed, ...]


def doc_of(line: Line) -> dict[str, object]:
    """Return the line as a JSON document, each word a short list."""
    words = [[word.text, word.start, word.end, word.probability] for word in line.words]
    return {**vars(line), "doubts": list(line.doubts), "words": words}


def line_of(doc: dict[str, Any]) -> Line:
    """Return the line that `doc_of` made the document from."""
    words = tuple(Timed(*word) for word in doc["words"])
    return Line(**{**doc, "doubts": tuple(doc["doubts"]), "words": words})


def lines_of(clip: Clip, heard: Sequence[Heard], told: str) -> Iterator[Line]:
    """Judge the pieces of a clip and cut them into turns; join neighbours that are believed alike.

    `told` is what the engine was told before the clip. Joined text lets a rule find words that the
    engine happened to cut in two.
    """
    found = [
        (turn, line)
        for piece in heard
        for turn, line in _cut(clip, piece, told, alone=len(heard) == 1)
    ]
    for _, lines in groupby(found, key=_joins):
        first, *others = (line for _, line in lines)
        for line in others:
            first = _joined(first, line)
        yield _without_loop(first)


def unheard_seconds(clip: Clip, lines: Sequence[Line]) -> float:
    """Return how much speech lies in turns of which nothing was heard: the model can stop early."""
    spoken = [(line.start - SLACK, line.end + SLACK) for line in lines]
    return sum(
        turn.speech_seconds
        for turn in clip.turns
        if turn.speech_seconds >= SHORTEST_LOSS
        and not any(low * RATE < turn.end and turn.start < high * RATE for low, high in spoken)
    )


def _without_loop(line: Line) -> Line:
    """Doubt a line whose pieces repeat each other, and cut the loop so that people can read it."""
    doubts = tuple(loops(line.text)) if not line.doubts else ()
    if not doubts:
        return line
    return replace(line, text=without_loops(line.text), doubts=doubts, words=())


def _joins(entry: tuple[Stretch, Line]) -> tuple[int, bool, bool]:
    turn, line = entry
    return turn.start, bool(line.doubts), line.biased


def _cut(clip: Clip, piece: Heard, told: str, *, alone: bool) -> Iterator[tuple[Stretch, Line]]:
    spoken = max(clip.speech_seconds, 0.1)
    seconds = spoken if alone else min(max(piece.end - piece.start, 0.1), spoken)
    doubts = judge(piece, seconds=seconds, prompt=told).doubts
    if doubts or not piece.words:
        turn, begins = clip.turn_at(piece.start)
        last, last_begins = clip.turn_at(piece.end)
        start = _moment(turn, piece.start - begins)
        end = max(start, _moment(last, piece.end - last_begins))
        text = tidy(without_loops(piece.text))
        heard = max(0.0, piece.end - piece.start)
        yield turn, _line(turn, piece, doubts, start=start, end=end, seconds=heard, text=text)
        return
    placed = [(clip.turn_at((word.start + word.end) / 2), word) for word in piece.words]
    for (turn, begins), group in groupby(placed, key=lambda each: each[0]):
        words = [_shifted(turn, begins, word) for _, word in group]
        doubts = tuple(unlikely([word.probability for word in words]))
        start, end = words[0].start, max(words[0].start, words[-1].end)
        line = _line(
            turn,
            piece,
            doubts,
            start=start,
            end=end,
            seconds=end - start,
            text=tidy("".join(_punctuated(words, turn))),
            words=() if doubts else tuple(_whole_words(words)),
        )
        yield turn, line


def _line(
    turn: Stretch,
    piece: Heard,
    doubts: tuple[str, ...],
    *,
    start: float,
    end: float,
    seconds: float,
    text: str,
    words: tuple[Timed, ...] = (),
) -> Line:
    return Line(
        channel=turn.channel,
        voice=turn.voice,
        voice_score=turn.score,
        start=start,
        end=end,
        seconds=round(seconds, 2),
        text=text,
        avg_logprob=round(piece.avg_logprob, 3),
        doubts=doubts,
        biased=piece.biased,
        words=words,
    )


def _moment(turn: Stretch, seconds: float) -> float:
    """Return the time in the recording of a time in the turn."""
    return round(min(max(turn.start / RATE, turn.start / RATE + seconds), turn.end / RATE), 2)


def _shifted(turn: Stretch, begins: float, word: Word) -> Timed:
    """Return the word at its time in the recording; no word lies in a pause."""
    start = _moment(turn, word.start - begins)
    end = max(start, _moment(turn, word.end - begins))
    for low, high in ((low / RATE, high / RATE) for low, high in turn.pauses):
        if low <= start < high < end:
            start = round(high, 2)
        elif start < low < end <= high:
            end = round(low, 2)
    return Timed(word.text, start, end, word.probability)


def _punctuated(words: Sequence[Timed], turn: Stretch) -> Iterator[str]:
    """Yield the words, with a comma where a pause follows and the model wrote no mark.

    The model's times are off by a syllable or two: a comma never cuts a word of the dictionary, and
    a pause beside a mark of the model's is that mark's.
    """
    marked = [letters_of(word.text[-1:]) == "" for word in words]
    places = _borders(words)
    breaks = set()
    for low, high in turn.pauses:
        after = min(places, key=lambda at: abs(words[at].start - high / RATE), default=0)
        near = any(marked[max(0, after - 1 - BESIDE) : after + BESIDE])
        if (
            after
            and not near
            and low / RATE - NEAR_PAUSE <= words[after].start <= high / RATE + NEAR_PAUSE
        ):
            breaks.add(after - 1)
    for at, word in enumerate(words):
        yield word.text + (PAUSE_MARK if at in breaks else "")


def _borders(units: Sequence[Timed]) -> list[int]:
    """Return the units, but for the first, with which a word of the dictionary begins."""
    texts = [letters_of(simplified(unit.text)) for unit in units]
    starts = set(accumulate(map(len, rjieba.cut("".join(texts)))))
    lengths = accumulate(map(len, texts))
    return [at for at, length in enumerate(lengths, 1) if length in starts and at < len(units)]


def _whole_words(units: Sequence[Timed]) -> Iterator[Timed]:
    """Join the engine's units, mostly single characters, into the words of a dictionary."""
    texts = [letters_of(simplified(unit.text)) for unit in units]
    borders = set(accumulate(map(len, rjieba.cut("".join(texts)))))
    at = 0
    held: list[tuple[Timed, str]] = []
    for unit, text in zip(units, texts, strict=True):
        if not text:
            continue
        at += len(text)
        held.append((unit, text))
        if at in borders:
            yield _word(held)
            held = []
    if held:
        yield _word(held)


def _word(parts: Sequence[tuple[Timed, str]]) -> Timed:
    return Timed(
        text="".join(text for _, text in parts),
        start=parts[0][0].start,
        end=max(parts[0][0].start, parts[-1][0].end),
        probability=round(sum(unit.probability for unit, _ in parts) / len(parts), 3),
    )


def _joined(first: Line, second: Line) -> Line:
    stop = "" if first.text.endswith(tuple(CLOSING)) else PAUSE_MARK
    return Line(
        channel=first.channel,
        voice=first.voice,
        voice_score=min(first.voice_score, second.voice_score),
        start=first.start,
        end=max(first.end, second.end),
        seconds=round(first.seconds + second.seconds, 2),
        text=f"{first.text}{stop}{second.text}",
        avg_logprob=min(first.avg_logprob, second.avg_logprob),
        doubts=tuple(dict.fromkeys(first.doubts + second.doubts)),
        biased=first.biased,
        words=first.words + second.words,
    )

"""Tells voices on one channel apart: cuts speech where the speaker changes and numbers the voices.

Speech is cut at short pauses into windows of a second or two, each window gets a voiceprint, and
the prints are divided in two (spherical 2-means from several starts, best sum kept). How far apart
the halves are says whether there are two voices at all; that, and how near a window lies to its
own half, is the score of a turn.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

from workers.speech.decode import RATE, Audio
from workers.speech.voice import FRAME, Stretch, VoiceOptions, find_speech, loudness
from workers.speech.voiceprint import CLIP_SECONDS, Prints, Voiceprints

# Speakers change at pauses that are too short to end a stretch of speech.
FINE = VoiceOptions(shortest_pause=0.15, shortest_silence=0.15, padding=0.05)
SHORTEST = 0.25
# Windows shorter than this are placed by the others, but do not help to find the voices.
TELLING = 0.7
STARTS = 3
ROUNDS = 20
# How much more alike two windows of one voice are than two of different voices (cosine): below the
# first there is one voice, around the second two are an even bet, and STEP is how fast that turns.
ONE_VOICE = 0.08
EVEN_BET = 0.12
STEP = 0.015
# A window this much nearer to its own voice is about three times as likely to belong to it.
MARGIN = 0.06
# A third voice is told by how different it is and by how long it speaks.
THIRD_VOICE = 0.22
THIRD_SECONDS = 4.0
TWO = 2
# Windows whose sound is held in memory together.
AT_ONCE = 64
# A cut without a pause is moved to the quietest moment this near.
CUT_SECONDS = 0.5

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Voices:
    """Speech with its voices: every turn has one (`Stretch.voice`) and a score.

    `count` is 1, 2, or 3 for more than two; then all are still put into two. `sure` (0 to 1) is
    how sure it is that there is more than one.
    """

    turns: tuple[Stretch, ...]
    count: int
    sure: float = 0.0


@dataclass(frozen=True)
class _Window:
    """Samples [start, end) that are taken to hold one voice."""

    start: int
    end: int

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / RATE


def tell_apart(
    audio: Audio,
    stretches: Sequence[Stretch],
    prints: Voiceprints,
    on_done: Callable[[float], None] | None = None,
) -> Voices:
    """Cut the stretches of one channel where the speaker changes; voice 0 is the first to speak.

    What is returned covers the same speech, in time order. Memory grows by some kilobytes a minute.
    `on_done` is told the share (0 to 1) of the voiceprints that are taken.
    """
    if not stretches:
        return Voices((), 1)
    windows = list(_windows(audio, stretches))
    channel = stretches[0].channel
    parts = []
    for low in range(0, len(windows), AT_ONCE):
        clips = [audio.piece(channel, w.start, w.end) for w in windows[low : low + AT_ONCE]]
        parts.append(prints.of(clips))
        if on_done is not None:
            on_done(min(1.0, (low + AT_ONCE) / len(windows)))
    found = np.concatenate(parts)
    seconds = np.array([window.seconds for window in windows])
    telling = seconds >= min(TELLING, float(seconds.max()))
    centres = _two_centres(found[telling], seconds[telling])
    nearness = found @ centres.T
    apart = _separation(found[telling], nearness[telling].argmax(1))
    if apart < ONE_VOICE:
        return Voices(tuple(stretches), 1)
    sure = 1 / (1 + np.exp(-(apart - EVEN_BET) / STEP))
    labels, scores = _placed(nearness, sure)
    if labels[0] == 1:
        labels = 1 - labels
    more = _has_third(found[telling], seconds[telling], labels[telling])
    turns = _turns(audio, stretches, windows, labels, scores)
    return Voices(tuple(turns), TWO + more, round(sure, 4))


def _windows(audio: Audio, stretches: Sequence[Stretch]) -> Iterator[_Window]:
    """Cut speech at short pauses, and what is long into equal parts."""
    channel = stretches[0].channel
    fine = [(part.start, part.end) for part in find_speech(audio, channel, FINE)]
    at = 0
    for stretch in stretches:
        while at < len(fine) and fine[at][1] <= stretch.start:
            at += 1
        inside, after = [], at
        while after < len(fine) and fine[after][0] < stretch.end:
            low, high = max(fine[after][0], stretch.start), min(fine[after][1], stretch.end)
            if high - low >= SHORTEST * RATE:
                inside.append((low, high))
            after += 1
        for low, high in inside or [(stretch.start, stretch.end)]:
            parts = max(1, round((high - low) / (CLIP_SECONDS * RATE)))
            edges = np.linspace(low, high, parts + 1).round().astype(int).tolist()
            for start, end in pairwise(edges):
                yield _Window(start, end)


def _unit(rows: Doubles | Prints) -> Prints:
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return cast("Prints", (rows / np.maximum(length, 1e-9)).astype(np.float32))


def _two_centres(prints: Prints, seconds: Doubles) -> Prints:
    """Return the centres of the division in two that has the nearest prints; weighed by time."""
    spread = prints - np.average(prints, axis=0, weights=seconds)
    axes = np.linalg.svd(spread * np.sqrt(seconds)[:, None], full_matrices=False)[2]
    best, centres = -1.0, _unit(np.stack([prints[0], prints[-1]]))
    for axis in axes[:STARTS]:
        labels = _cut_in_two(spread @ axis, seconds)
        tried = centres
        for _ in range(ROUNDS):
            sums = [(prints * (seconds * (labels == side))[:, None]).sum(0) for side in (0, 1)]
            tried = _unit(np.stack(sums))
            moved = (prints @ tried.T).argmax(1)
            if (moved == labels).all():
                break
            labels = moved
        near = float(np.average((prints @ tried.T).max(1), weights=seconds))
        if near > best:
            best, centres = near, tried
    return centres


def _cut_in_two(places: Doubles | Prints, weights: Doubles) -> NDArray[np.int64]:
    """Cut places on a line where the two sides lie farthest apart (Otsu's method)."""
    order = np.argsort(places, kind="stable")
    weight = np.cumsum(weights[order])[:-1]
    moment = np.cumsum((weights * places)[order])
    total, all_moment = float(weights.sum()), float(moment[-1])
    labels = np.zeros(len(places), dtype=np.int64)
    if len(weight):
        rest = total - weight
        between = (moment[:-1] / weight - (all_moment - moment[:-1]) / rest) ** 2 * weight * rest
        labels[order[int(between.argmax()) + 1 :]] = 1
    return labels


def _separation(prints: Prints, labels: NDArray[np.int64]) -> float:
    """Return how much more alike prints of one side are than prints of different sides (cosine)."""
    sums = [prints[labels == side].sum(0) for side in (0, 1)]
    counts = [int((labels == side).sum()) for side in (0, 1)]
    if min(counts) == 0:
        return 0.0
    pairs = sum(n * (n - 1) for n in counts)
    alike = sum(float(s @ s) - n for s, n in zip(sums, counts, strict=True)) / max(1, pairs)
    return alike - float(sums[0] @ sums[1]) / (counts[0] * counts[1])


def _placed(nearness: Prints, sure: float) -> tuple[NDArray[np.int64], Doubles]:
    """Return the side of each print and how sure that is."""
    margin = (nearness[:, 1] - nearness[:, 0]).astype(np.float64)
    return (margin > 0).astype(np.int64), sure / (1 + np.exp(-np.abs(margin) / MARGIN))


def _has_third(prints: Prints, seconds: Doubles, labels: NDArray[np.int64]) -> bool:
    """Tell whether one of the two sides falls apart into voices that differ as much again."""
    for side in (0, 1):
        own, time = prints[labels == side], seconds[labels == side]
        if time.sum() < 2 * THIRD_SECONDS:
            continue
        halves = (own @ _two_centres(own, time).T).argmax(1)
        if min(time[halves == half].sum() for half in (0, 1)) < THIRD_SECONDS:
            continue
        if _separation(own, halves) > THIRD_VOICE:
            return True
    return False


def _turns(
    audio: Audio,
    stretches: Sequence[Stretch],
    windows: Sequence[_Window],
    labels: NDArray[np.int64],
    scores: Doubles,
) -> Iterator[Stretch]:
    """Join windows of one voice, and share out the pauses between the turns of a stretch.

    A turn is as sure as its least sure window: two voices without a pause meet in such a window.
    """
    marked = list(zip(windows, labels.tolist(), scores.tolist(), strict=True))
    at = 0
    for stretch in stretches:
        until = at
        while until < len(marked) and marked[until][0].start < stretch.end:
            until += 1
        runs = [list(run) for _, run in groupby(marked[at:until], key=lambda item: item[1])]
        at = until
        cuts = [_cut(audio, stretch.channel, a[-1][0], b[0][0]) for a, b in pairwise(runs)]
        edges = [stretch.start, *cuts, stretch.end]
        for run, (start, end) in zip(runs, pairwise(edges), strict=True):
            spoken = min(end - start, sum(w.end - w.start for w, _, _ in run))
            yield replace(
                stretch,
                start=start,
                end=end,
                speech=spoken if len(runs) > 1 else stretch.speech,
                pauses=tuple(p for p in stretch.pauses if start <= p[0] and p[1] <= end),
                voice=run[0][1],
                score=round(min(score for _, _, score in run), 4),
            )


def _cut(audio: Audio, channel: int, last: _Window, coming: _Window) -> int:
    """Return where one voice ends and the next begins: in the pause, else where it is quietest."""
    if coming.start > last.end:
        return (last.end + coming.start) // 2
    reach = min(round(CUT_SECONDS * RATE), (last.end - last.start) // 2)
    low = coming.start - reach
    levels = loudness(audio.piece(channel, low, coming.start + reach))
    return low + int(levels.argmin()) * FRAME + FRAME // 2 if levels.size else coming.start

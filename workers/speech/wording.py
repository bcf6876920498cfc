"""From timed tokens to timed words."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray
from whisper.tokenizer import Tokenizer

from workers.speech.engines.protocol import Word

TICK = 0.02
# Between two words the aligner leaves no gap: a pause is counted into the word before it.
LONGEST_OF_MEDIAN = 2.0
SHORTEST_LIMIT = 0.3


@dataclass(frozen=True)
class Timing:
    """When each text token begins (seconds from the start of the clip), and how sure it is.

    `starts` has one entry more than `probabilities`: where the last token ends.
    """

    starts: Sequence[float]
    probabilities: Sequence[float]

    def part(self, low: int, high: int) -> "Timing":
        """Return the times of the tokens [low, high)."""
        return Timing(self.starts[low : high + 1], self.probabilities[low:high])


def first_ticks(likeness: NDArray[np.float64]) -> list[int]:
    """Return the column at which each row begins on the best monotonic path through a matrix.

    Dynamic time warping (Sakoe and Chiba 1978), a row at a time. openai-whisper's own is compiled
    by numba at run time, whose threads make torch several times slower afterwards.
    """
    rows, columns = likeness.shape
    costs = -likeness
    total = np.empty((rows, columns))
    total[0] = np.cumsum(costs[0])
    for row in range(1, rows):
        above = total[row - 1]
        entered = np.minimum(above, np.concatenate(([np.inf], above[:-1])))
        summed = np.cumsum(costs[row])
        total[row] = summed + np.minimum.accumulate(entered - summed + costs[row])
    firsts = [0] * rows
    row, column = rows - 1, columns - 1
    while row > 0:
        left = total[row, column - 1] if column else np.inf
        above = total[row - 1, column]
        corner = total[row - 1, column - 1] if column else np.inf
        if left <= min(above, corner):
            column -= 1
            continue
        firsts[row] = column
        row -= 1
        column -= corner <= above
    return firsts


def spell(tokenizer: Tokenizer, tokens: Sequence[int], timing: Timing) -> tuple[Word, ...]:
    """Return the words of the text tokens, each with the marks that follow it.

    A token that carries half a character is joined with the next. Nothing where tokens and times
    do not match.
    """
    if len(timing.starts) != len(tokens) + 1 or len(timing.probabilities) != len(tokens):
        return ()
    words: list[Word] = []
    at = 0
    for text, parts in zip(*tokenizer.split_to_word_tokens([*tokens, tokenizer.eot]), strict=True):
        if parts[0] >= tokenizer.eot:
            break
        end = at + len(parts)
        likely = sum(timing.probabilities[at:end]) / len(parts)
        word = Word(timing.starts[at], timing.starts[end], text, round(likely, 3))
        if words and not any(map(str.isalnum, text)):
            last = words[-1]
            words[-1] = Word(last.start, last.end, last.text + text, last.probability)
        else:
            words.append(word)
        at = end
    return _without_pauses(words)


def _without_pauses(words: Sequence[Word]) -> tuple[Word, ...]:
    """Shorten words that are far longer than the usual one: the first from its start."""
    if not words:
        return ()
    usual = median(word.end - word.start for word in words)
    most = max(SHORTEST_LIMIT, LONGEST_OF_MEDIAN * usual)
    first, *others = words
    return (
        Word(max(first.start, first.end - most), first.end, first.text, first.probability),
        *(
            Word(word.start, min(word.end, word.start + most), word.text, word.probability)
            for word in others
        ),
    )

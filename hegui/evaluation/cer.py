"""Character errors: what counts as the same text, how far two texts lie apart, how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.speech.text import letters_of, simplified, with_figures

RESAMPLES = 2_000
SPOKEN = {ord(char): str(n) for n, char in enumerate("零一二三四五六七八九")} | {
    ord("〇"): "0",
    ord("幺"): "1",
    ord("两"): "2",
}


def plain(text: str) -> str:
    """Drop what is not heard: marks, script, case, and whether numbers are figures or words."""
    plain_text = simplified(text).lower()
    figures = with_figures(plain_text) or plain_text
    return letters_of(figures.translate(SPOKEN))


def distance(first: str, second: str) -> int:
    """Return the least number of characters to change, add or drop (Levenshtein 1966)."""
    row = np.arange(len(second) + 1)
    letters = np.array([ord(letter) for letter in second])
    for number, letter in enumerate(first, 1):
        changed = row[:-1] + (letters != ord(letter))
        best = np.minimum(row[1:] + 1, changed)
        row = np.concatenate(([number], best))
        row = np.minimum.accumulate(row - np.arange(len(row))) + np.arange(len(row))
    return int(row[-1])


@dataclass(frozen=True)
class Errors:
    """The errors in one text, and how many characters were really said."""

    edits: int
    length: int

    @classmethod
    def between(cls, said: str, heard: str) -> "Errors":
        """Compare what was said with what was heard, both as they come."""
        true = plain(said)
        return cls(distance(true, plain(heard)), len(true))


def rate(errors: Sequence[Errors]) -> float:
    """Return all edits over all characters; 0.0 where nothing was said."""
    length = sum(each.length for each in errors)
    return sum(each.edits for each in errors) / length if length else 0.0


def interval(errors: Sequence[Errors], base: Sequence[Errors] = ()) -> tuple[float, float]:
    """Return the 95% bootstrap interval of the rate, calls drawn with replacement.

    With `base`, the same calls heard otherwise, it is the interval of the difference to it.
    """
    if not errors:
        return (0.0, 0.0)
    draws = np.random.default_rng(1).integers(0, len(errors), (RESAMPLES, len(errors)))

    def rates(sample: Sequence[Errors]) -> NDArray[np.float64]:
        edits = np.array([each.edits for each in sample])[draws].sum(axis=1)
        lengths = np.array([each.length for each in sample])[draws].sum(axis=1)
        return np.asarray(edits / np.maximum(1, lengths))

    drawn = rates(errors) - (rates(base) if base else 0.0)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return (float(low), float(high))

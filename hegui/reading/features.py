"""Examples as rows of numbers: how much each n-gram counts in each text."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rules.normalise import HARD, SOFT, TURN
from rules.reader import prepared
from rules.tally import LEAST, features

RARITY = 16
"""Rarities are told in such parts."""

SELDOM = 2
"""N-grams of fewer examples teach nothing."""

HIGHEST_BYTE = 255


def counts_of(text: str) -> Counter[int]:
    """How often each n-gram, by its key, is in a text."""
    normal, codes = prepared(text)
    return Counter(key for key, _, _ in features(normal, codes, 0, len(normal)))


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, in normal form; those that weigh nothing alone are left out."""
    parts = re.split(f"[{HARD}{TURN}]", prepared(text)[0])
    return [part for part in parts if len(part.replace(SOFT, "")) >= LEAST]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """N-grams by their keys, in order, and how rare each is, in 1/RARITY."""

    keys: NDArray[np.uint32]
    rarities: NDArray[np.uint8]

    @classmethod
    def of(cls, texts: Sequence[Counter[int]]) -> "Vocabulary":
        """The n-grams of at least `SELDOM` texts; the rarer one is, the more it tells.

        Rarity is the inverse document frequency (Spärck Jones 1972), smoothed by one.
        """
        seen: Counter[int] = Counter()
        for text in texts:
            seen.update(text.keys())
        keys = sorted(key for key, count in seen.items() if count >= SELDOM)
        rarities = [round(RARITY * (math.log(len(texts) / seen[key]) + 1)) for key in keys]
        return cls(
            np.array(keys, dtype=np.uint32),
            np.minimum(np.array(rarities), HIGHEST_BYTE).astype(np.uint8),
        )

    def only(self, kept: NDArray[np.intp]) -> "Vocabulary":
        """The vocabulary of these numbers, in order."""
        kept = np.sort(kept)
        return Vocabulary(self.keys[kept], self.rarities[kept])

    def commonest(self, count: int) -> "Vocabulary":
        """So many of the n-grams that are least rare."""
        return self.only(np.argsort(self.rarities, kind="stable")[:count])

    def matrix(self, texts: Iterable[Counter[int]]) -> sparse.csr_matrix:
        """A row for each text: what counts in it by rarity, all of it of length one.

        Each time that an n-gram is met adds to the length as if it were another one: so it is
        counted in one pass, see `rules.tally`.
        """
        number = {key: n for n, key in enumerate(self.keys.tolist())}
        rare = self.rarities.astype(np.float64)
        values: list[float] = []
        columns: list[int] = []
        ends = [0]
        for text in texts:
            known = [(number[key], times) for key, times in text.items() if key in number]
            length = math.sqrt(sum(times * rare[n] ** 2 for n, times in known)) or 1.0
            columns += [n for n, _ in known]
            values += [times * rare[n] / length for n, times in known]
            ends.append(len(columns))
        return sparse.csr_matrix((values, columns, ends), shape=(len(ends) - 1, len(self.keys)))

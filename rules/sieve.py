"""Leave out, before a pattern is read, the places where a word that it needs is nowhere near."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rules.needs import Needs, Places, hashed
from rules.normalise import HARD, SOFT, TURN
from rules.phonetic import units_of

BLOCK = 8192
"""Places that are asked about at once."""

_BITS = (1 << np.arange(8)).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Heard:
    """A text in which words of kins may begin."""

    bounds: "_Bounds"
    single: NDArray[np.uint8]
    pairs: NDArray[np.uint8]
    signs: NDArray[np.int32]
    slots: NDArray[np.int32]
    bits: NDArray[np.uint8]

    def begins(self, kins: Places, low: Places, high: Places) -> NDArray[np.bool_]:
        """Whether a word of these kins begins between these places, both included."""
        counts = np.maximum(high - low + 1, 0)
        at = spread_out(low, counts)
        of = kins.repeat(counts)
        found = self.pairs.ravel().take(of * self.pairs.shape[1] + self.slots.take(at))
        found &= self.bits.take(at)
        found |= self.single.ravel().take(of * self.single.shape[1] + self.signs.take(at))
        seen = np.zeros(len(at) + 1, dtype=np.int64)
        found.astype(bool).cumsum(out=seen[1:])
        ends = counts.cumsum()
        some: NDArray[np.bool_] = seen[ends] > seen[ends - counts]
        return some


def spread_out(first: Places, counts: Places) -> Places:
    """For each run of `counts` numbers from `first`: the numbers of all runs, one after another."""
    ends = counts.cumsum()
    total = int(ends[-1]) if len(ends) else 0
    spread: Places = np.arange(total) + (first - ends + counts).repeat(counts)
    return spread


class Sieve:
    """The needs of many cores, asked of a text for many places at once."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    def passing(
        self, heard: Heard, core: Places, start: Places, end: Places, slack: Places
    ) -> Places:
        """Which of these places of a text, each of a core, have round them what the core needs.

        `slack`: by how many characters the end is uncertain.
        """
        blocks = (slice(at, at + BLOCK) for at in range(0, len(core), BLOCK))
        return np.concatenate(
            [
                block.start
                + self._passing(heard, core[block], start[block], end[block], slack[block])
                for block in blocks
            ]
        )

    def heard(self, text: str, codes: str) -> Heard:
        """A text, ready to be asked."""
        characters, units = units_of(text), units_of(codes).astype(np.int32)
        needs = self._needs
        signs = needs.signs[np.where(needs.written[characters], characters, units)]
        hashes = np.zeros(len(units), dtype=np.int32)
        hashes[:-1] = hashed(units[:-1], units[1:])
        return Heard(
            _bounds(text), needs.single, needs.pairs, signs, hashes >> 3, _BITS[hashes & 7]
        )

    def _passing(
        self,
        heard: Heard,
        core: Places,
        start: Places,
        end: Places,
        slack: Places,
    ) -> Places:
        """The same for so many places that the work on them fits into little memory."""
        kept = np.arange(len(core))
        for column in self._needs.columns:
            asked = column.windows[0][core[kept]] >= 0
            if not asked.any():
                break
            at = kept[asked]
            of, before = core[at], column.before[core[at]]
            anchor = np.where(before, start[at], end[at])
            found = _met(heard, column.windows.take(of, axis=1), before, anchor, slack[at])
            asked[asked] = ~found
            kept = kept[~asked]
        return kept


_Bounds = tuple[Places, Places]


def _bounds(text: str) -> _Bounds:
    """For each place where its clause and its sentence begin, and where both end."""
    units = units_of(text)
    hard = (units == ord(HARD)) | (units == ord(TURN))
    marks = np.stack((hard | (units == ord(SOFT)), hard))
    places = np.arange(len(units))
    begin = np.maximum.accumulate(np.where(marks, places + 1, 0), axis=1)
    final = np.where(marks, places - 1, len(units))[:, ::-1]
    return begin, np.minimum.accumulate(final, axis=1)[:, ::-1]


def _met(
    heard: Heard,
    window: Places,
    before: NDArray[np.bool_],
    anchor: Places,
    slack: Places,
) -> NDArray[np.bool_]:
    """Whether a word stands in its window, in the clause or the sentence of the core."""
    kins, low, high, commas = window
    begin, final = heard.bounds
    low, high = anchor + low - slack, anchor + high + slack
    inside = np.minimum(anchor, begin.shape[1] - 1)
    low = np.where(before, np.maximum(low, begin[commas, inside]), low)
    high = np.where(before, high, np.minimum(high, final[commas, inside]))
    return heard.begins(kins, low, high)

"""Which announced triggers may have been meant at all, judged by their own syllables, many at once.

What is dropped here would be found implausible later, whatever stands round it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.needs import Places
from rules.normalise import BREAKS, TURN
from rules.phonetic import distances, units_of
from rules.plausible import NEAR, SHORT, STRETCHABLE, WRONG, allowed
from rules.sow import PART, SILENT, STRONG, Sown

LONGEST = 8
"""Syllables of a trigger that are looked at; longer ones are left to a closer look."""

LOOK = -1
"""Stands for an end that only a closer look can tell."""

CLOSE = 5
"""Patterns of so few syllables must have some of them as they are written."""

_MANY = 40
_SLIPS = 2
_NEAR, _WRONG = 1, 2
"""Costs in halves."""


class Announced(NamedTuple):
    """Triggers announced in a text, a column each.

    Their numbers, where they start, where they end, their cores, and their offsets: -1 where all
    of the trigger was found.
    """

    triggers: Places
    starts: Places
    ends: Places
    cores: Places
    offsets: Places

    def at(self, kept: NDArray[np.bool_] | Places) -> "Announced":
        """Those of them."""
        return Announced(*(column[kept] for column in self))


class Likely:
    """The triggers of a set of patterns, ready to be compared with what is heard."""

    def __init__(self, sown: Sown) -> None:
        self._sizes = np.diff(sown.places).astype(np.int64)
        self._codes = _rows(sown.codes, sown.places)
        words, places = _unparted(sown)
        self._characters = _rows(words, places)
        self._inside = np.arange(LONGEST) < self._sizes[:, None]
        self._others, self._sound = sown.others.astype(np.int64), sown.sound
        self._side = sown.side
        near, wrong = int(2 * NEAR), int(2 * WRONG)
        assert (near, wrong) == (_NEAR, _WRONG)
        slips = (allowed(n, off, strong=False) for off in (1, 2) for n in range(_MANY))
        self._allowed = np.array([2 * cost for cost in slips]).reshape(2, _MANY)

    def of(self, text: str, codes: str, found: Announced) -> Announced:
        """The announced triggers that may have been meant, with their ends."""
        sizes, whole = self._sizes[found.triggers], found.offsets < 0
        heard = self._sound[found.cores] != SILENT
        # Whole triggers of patterns too short to be matched by sound stay where they are written.
        lasting = (found.starts >= 0) & (whole | heard)
        small = (sizes <= LONGEST) & lasting
        asked = (small & (~whole | (self._others[found.cores] + sizes <= CLOSE))).nonzero()[0]
        found.ends[~whole & ~small] = LOOK
        lasting[asked] = self._meant(text, codes, found, asked)
        return found.at(lasting.nonzero()[0])

    def _meant(
        self, text: str, codes: str, everything: Announced, asked: Places
    ) -> NDArray[np.bool_]:
        """Which of these may have been meant; marks the ends that need a closer look."""
        found = everything.at(asked)
        inside = self._inside[found.triggers]
        at = found.starts[:, None] + np.arange(LONGEST)
        characters = units_of(text + TURN * LONGEST)[at]
        heard = units_of(codes + TURN * LONGEST)[at]
        meant = self._codes[found.triggers]
        wrong = (heard != meant) & inside
        slips = wrong.sum(axis=1)
        same = ((characters == self._characters[found.triggers]) & inside).sum(axis=1)
        rows, columns = wrong.nonzero()
        halves = distances(heard[rows, columns], meant[rows, columns])
        cost = np.bincount(rows, halves, minlength=len(slips)).astype(np.int64)
        whole = found.offsets < 0
        slight = (slips == 1) | ((slips == _SLIPS) & (cost <= _WRONG))
        sound = slight.copy()
        sound[rows[(heard[rows, columns, None] == _BREAKS).any(axis=1)]] = False
        stretched = ~whole & ~slight & (slips > 0) & (found.offsets == 0) & ~wrong[:, 0]
        stretched &= self._sizes[found.triggers] >= STRETCHABLE
        everything.ends[asked[stretched]] = LOOK
        cost[stretched], slips[stretched] = _WRONG, 1
        same[stretched] = self._sizes[found.triggers[stretched]]
        likely = self._bearable(found, cost, same, slips)
        meant_so: NDArray[np.bool_] = (whole | sound | stretched) & likely
        return meant_so

    def _bearable(
        self, found: Announced, cost: Places, same: Places, slips: Places
    ) -> NDArray[np.bool_]:
        """Whether what is heard is near enough to what is meant, the rest of the pattern at best.

        A trigger that is written as it was meant is borne in any case.
        """
        others, size = self._others[found.cores], self._sizes[found.triggers]
        sound = self._sound[found.cores]
        most = np.minimum(size + others, _MANY - 1)
        enough = (4 * same + 3 * others >= size) & ((cost == 0) | (3 * same + 2 * others >= size))
        enough &= (most > SHORT) | ((most == SHORT) & (same + others >= SHORT - 1))
        table = self._allowed[np.where(slips > 1, 1, 0), most]
        strong = sound == STRONG
        enough = np.where(strong, cost <= np.maximum(table, 0), enough & (cost <= table))
        written = (found.offsets < 0) & ~self._side[found.triggers] & (same == size)
        borne: NDArray[np.bool_] = written | ((sound != SILENT) & enough)
        return borne


_BREAKS = units_of(BREAKS)


def _unparted(sown: Sown) -> tuple[str, NDArray[np.int32]]:
    """The words of all triggers with nothing between them, and where each trigger begins."""
    parts = units_of(sown.words) == ord(PART)
    before = np.zeros(len(parts) + 1, dtype=np.int32)
    np.cumsum(parts, out=before[1:])
    return sown.words.replace(PART, ""), sown.word_places - before[sown.word_places]


def _rows(texts: str, places: NDArray[np.int32]) -> NDArray[np.uint16]:
    """The first units of each text, a row each, filled up with zeros."""
    units = np.append(units_of(texts), np.zeros(LONGEST, dtype=np.uint16))
    rows: NDArray[np.uint16] = units[places[:-1, None] + np.arange(LONGEST)]
    rows[np.arange(LONGEST) >= np.diff(places)[:, None]] = 0
    return rows

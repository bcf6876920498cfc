"""The second reader: weights of n-grams that were learned, and how a text is read by them.

All is counted in whole numbers, so that every machine reads the same. A margin is how far a text
lies beyond the border of a family, in parts of `rules.tally.ONE`.
"""

import base64
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from operator import itemgetter
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from rules.document import Side
from rules.events import Speaker
from rules.model import Disposition, Finding
from rules.normalise import BREAKS, TURN_JOINT, normalise
from rules.phonetic import encode
from rules.tally import FAMILIES, MOST, Tally, features

FILE = "reader.yaml"
VERSION = 1
THIRD_PARTIES = frozenset({"agreed_contact", "third_party"})
"""Roles of parties that owe nothing."""

ONLY_TO_THIRD = frozenset({"TPC"})
"""Families that nobody breaks by what he says to a debtor."""

CONFIDENCES = tuple(n / 20 for n in range(10, 20))
"""Of each family the margins are known from which on it is so sure."""

NEVER = 2**31 - 1
TOLD = 3
"""So many n-grams at most are told as a reason."""


class ReaderError(ValueError):
    """The text is no reader."""


@dataclass(frozen=True)
class Weights:
    """What n-grams weigh for each of some names."""

    names: tuple[str, ...]
    biases: tuple[int, ...]
    keys: NDArray[np.uint32] = field(compare=False)
    rarities: NDArray[np.uint8] = field(compare=False)
    rows: NDArray[np.int8] = field(compare=False)

    @cached_property
    def tallies(self) -> tuple[Tally, ...]:
        """The compiled tables, for so many names each as one may hold."""
        return tuple(
            Tally(self.keys, self.rarities, np.ascontiguousarray(self.rows[:, at : at + FAMILIES]))
            for at in range(0, len(self.names), FAMILIES)
        )

    @cached_property
    def _padded(self) -> tuple[NDArray[np.int32], ...]:
        parts = [self.biases[at : at + FAMILIES] for at in range(0, len(self.names), FAMILIES)]
        return tuple(np.array([*p, *[0] * (FAMILIES - len(p))], dtype=np.int32) for p in parts)

    @cached_property
    def _number(self) -> dict[int, int]:
        return {key: number for number, key in enumerate(self.keys.tolist())}

    def margins(self, text: str, codes: str, start: int, end: int) -> dict[str, int]:
        """The margin of each name; none where the stretch has no sentence."""
        found: list[int] = []
        for tally, biases in zip(self.tallies, self._padded, strict=True):
            found += tally.margins(text, codes, start, end, biases) or ()
        return dict(zip(self.names, found, strict=False))

    def beyond(
        self,
        text: str,
        codes: str,
        stretches: list[tuple[int, int]],
        floors: NDArray[np.int32],
    ) -> list[tuple[int, int, int]]:
        """Number of stretch, number of name and margin, wherever that reaches its floor."""
        return self.tallies[0].beyond(text, codes, stretches, self._padded[0], floors)

    def shares(
        self, text: str, codes: str, start: int, end: int, name: str
    ) -> list[tuple[int, int, int]]:
        """Start, end and weight of each n-gram that weighs for a name, in the order of the text."""
        column = self.names.index(name)
        numbers = [(self._number.get(k), a, b) for k, a, b in features(text, codes, start, end)]
        return [(a, b, int(self.rows[n, column])) for n, a, b in numbers if n is not None]


@dataclass(frozen=True)
class Reader:
    """What was learned of families, and within them of rules.

    `floors` are the margins from which on a family is suggested, `doubts` those below which a mere
    review by words is not believed, `softens` those below which a violation by words asks for a
    review, and `steps` those of each confidence.
    """

    families: Weights
    rules: Weights
    floors: tuple[int, ...]
    doubts: tuple[int, ...]
    softens: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]

    @cached_property
    def _floors(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The floors where the listener owes, and where he does not."""
        pairs = list(zip(self.families.names, self.floors, strict=True))
        owing = [NEVER if name in ONLY_TO_THIRD else floor for name, floor in pairs]
        return np.array(owing, dtype=np.int32), np.array(self.floors, dtype=np.int32)

    def read(self, side: Side, *, to_third: bool) -> list["Reading"]:
        """What is to be suggested of the segments of a side, in their order."""
        text, codes = levelled(side.text, side.codes)
        windows = list(_windows(side))
        stretches = [stretch for _, stretch in windows]
        floors = self._floors[to_third]
        return [
            Reading(
                self.families.names[family],
                windows[number][0],
                *stretches[number],
                self.confidence(family, margin),
            )
            for number, family, margin in self.families.beyond(text, codes, stretches, floors)
        ]

    def confidence(self, family: int, margin: int) -> float:
        """How often so great a margin is right, 0.5 and more; 0.0 where it is less."""
        reached = sum(margin >= step for step in self.steps[family])
        return CONFIDENCES[reached - 1] if reached else 0.0

    def doubts_all(
        self, side: Side, family: str, borders: Sequence[int], *, to_third: bool
    ) -> bool:
        """Whether the family lies below its border, `doubts` or `softens`, in all a side says."""
        if family not in self.families.names or (family in ONLY_TO_THIRD and not to_third):
            return False
        text, codes = levelled(side.text, side.codes)
        border = borders[self.families.names.index(family)]
        return all(
            self.families.margins(text, codes, *stretch).get(family, -NEVER) < border
            for _, stretch in _windows(side)
        )

    def likely(self, side: Side, reading: "Reading", names: Iterable[str]) -> str | None:
        """The most likely of these rules for a reading; None where none is known."""
        text, codes = levelled(side.text, side.codes)
        margins = self.rules.margins(text, codes, reading.start, reading.end)
        known = [name for name in names if name in margins]
        return max(known, key=lambda name: (margins[name], name), default=None)

    def place(self, side: Side, reading: "Reading") -> tuple[int, int, tuple[str, ...]]:
        """The clause that carries a reading, in the normal form, and what weighs most in it."""
        text, codes = levelled(side.text, side.codes)
        shares = self.families.shares(text, codes, reading.start, reading.end, reading.family)
        clauses = list(_clauses(text, reading.start, reading.end))
        starts = [first for first, _ in clauses]
        totals = [0] * len(clauses)
        for a, b, weight in shares:
            number = max(0, bisect_right(starts, a) - 1)
            totals[number] += weight if b <= clauses[number][1] else 0
        start, end = max(zip(totals, clauses, strict=True), key=itemgetter(0))[1]
        own = [(w, a, b) for a, b, w in shares if start <= a < b <= end and w > 0]
        return start, end, tuple(_heaviest(side.text, own))


@dataclass(frozen=True, slots=True)
class Reading:
    """A family that a segment seems to break; `start` and `end` are places of the normal form."""

    family: str
    segment: int
    start: int
    end: int
    confidence: float


def prepared(text: str) -> tuple[str, str]:
    """A text in normal form and its codes, as `Side` has those of a lone segment, levelled."""
    normal = normalise(f"{TURN_JOINT}{text}{TURN_JOINT}")[0]
    return levelled(normal, encode(normal))


def levelled(text: str, codes: str) -> tuple[str, str]:
    """The same without what tells nothing: the polite 您 is 你."""
    pair = encode("您你")
    return text.replace("您", "你"), codes.replace(pair[0], pair[1])


def _windows(side: Side) -> Iterable[tuple[int, tuple[int, int]]]:
    """The segments of a side, each with its start and end; a very long one part by part."""
    for (segment, _), (start, end) in zip(side.pieces, side.stretches(), strict=True):
        for first in range(start, end, MOST):
            yield segment, (first, min(end, first + MOST))


def _clauses(text: str, start: int, end: int) -> Iterable[tuple[int, int]]:
    """Start and end of what lies between the breaks of a stretch."""
    first = start
    for at in range(start, end + 1):
        if at == end or text[at] in BREAKS:
            if first < at:
                yield first, at
            first = at + 1


def _heaviest(text: str, shares: list[tuple[int, int, int]]) -> Iterable[str]:
    """The n-grams that weigh most, none twice and none within another."""
    kept: list[tuple[int, int]] = []
    for _, a, b in sorted(shares, key=lambda share: (-share[0] * (share[2] - share[1]), share[1])):
        if len(kept) < TOLD and not any(a < d and c < b for c, d in kept) and b - a > 1:
            kept.append((a, b))
    return dict.fromkeys(text[a:b] for a, b in sorted(kept))


def read_reader(text: str) -> Reader:
    """The reader of a file. Raises `ReaderError`."""
    try:
        data = yaml.load(text, yaml.CSafeLoader)
        if data["reader"] != VERSION:
            raise ReaderError(f"the reader must be of version {VERSION}")
        reader = Reader(
            families=_weights(data["families"]),
            rules=_weights(data["rules"]),
            floors=_whole(data["floors"]),
            doubts=_whole(data["doubts"]),
            softens=_whole(data["softens"]),
            steps=tuple(map(_whole, data["steps"])),
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError, zlib.error) as error:
        raise ReaderError(f"not a reader: {error}") from error
    count = len(reader.families.names)
    borders = reader.floors, reader.doubts, reader.softens, reader.steps
    if any(len(border) != count for border in borders) or count > FAMILIES:
        raise ReaderError(f"a reader is of {FAMILIES} families at most, each with its figures")
    return reader


def _whole(numbers: Sequence[Any]) -> tuple[int, ...]:
    return tuple(map(int, numbers))


def _weights(data: Mapping[str, Any]) -> Weights:
    names = tuple(map(str, data["names"]))
    biases = _whole(data["biases"])
    keys = np.cumsum(np.frombuffer(_unpacked(data["keys"]), dtype="<u4"), dtype=np.uint32)
    rarities = np.frombuffer(_unpacked(data["rarities"]), dtype=np.uint8)
    rows = np.frombuffer(_unpacked(data["rows"]), dtype=np.int8)
    if len(rarities) != len(keys) or len(biases) != len(names) or not names:
        raise ReaderError("as many biases as names, and as many rarities as keys")
    return Weights(names, biases, keys, rarities, rows.reshape(len(keys), len(names)))


def _unpacked(block: str) -> bytes:
    return zlib.decompress(base64.b64decode(block))


class Standing(IntEnum):
    """How a finding of words stands, the weakest first."""

    MERE = 0
    """It only asks for a look at words of the collector that a pattern found."""

    BLAMED = 1
    """The same, as a violation."""

    KNOWN = 2
    """It rests on more: on facts of the case, on another's words, on what was not said."""


def standing_of(finding: Finding) -> Standing:
    """How a finding stands."""
    if (
        finding.match not in {"exact", "phonetic"}
        or finding.speaker is not Speaker.COLLECTOR
        or finding.facts
    ):
        return Standing.KNOWN
    if finding.disposition is Disposition.VIOLATION:
        return Standing.BLAMED
    return Standing.MERE if finding.disposition is Disposition.REVIEW else Standing.KNOWN

"""Leave out, before a pattern is read, the places where a word that it needs is nowhere near."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.compile import WIDE, Compiled
from rules.grammar import Builtin, Gap, Item, Words
from rules.normalise import HARD, SOFT, TURN, plain
from rules.ordinary import TALK
from rules.phonetic import encode, neighbours, readings, units_of
from rules.plausible import LONG, NEAR, allowed, limit

NEEDS = 3
"""Words of a pattern that are looked for round a core, the rarest of them."""

COMMON = 2.0
"""A word expected more often than this where it is wanted is not looked for: it sorts nothing."""

BLOCK = 8192
"""Places that are asked about at once."""

HASHES = 4096
"""Numbers that stand for pairs of codes."""

Places = NDArray[np.int64]


class Kin(NamedTuple):
    """How words may begin: pairs of codes, or for words of one character codes or characters.

    `written` characters must stand in the text as they are.
    """

    pairs: frozenset[str]
    codes: frozenset[str]
    written: frozenset[str]


class Window(NamedTuple):
    """Where a word may begin, in characters from the core, both ends included.

    `commas`: whether commas may stand between.
    """

    kin: Kin
    low: int
    high: int
    commas: bool


class Need(NamedTuple):
    """A word that must stand in the one window or in the other; `before` the core or after it."""

    before: bool
    wide: Window
    tight: Window


@cache
def _beginnings(code: str, near: int) -> frozenset[str]:
    """The first two codes, or the only one, of what may be heard with so many near syllables."""
    others = neighbours()
    first = {code[0], *(others.get(code[0], "") if near else "")}
    if len(code) == 1:
        return frozenset(first)
    second = {code[1], *(others.get(code[1], "") if near else "")}
    return frozenset(
        a + b for a in first for b in second if (a != code[0]) + (b != code[1]) <= near
    )


class _Kinship:
    """Works out kins, each once."""

    def __init__(self) -> None:
        self._held: dict[tuple[object, ...], Kin] = {}

    def kin(self, pattern: Compiled, item: Words, syllables: int, together: int) -> Kin:
        """How the words of an item may begin in a match of so many syllables.

        `together` of them lie in one unbroken stretch with the word. Plausibility allows so much.
        """
        alone = not pattern.may_sound or (together == 1 and syllables < LONG)
        near = tuple(
            _near(pattern, item, length, syllables, together)
            for length in sorted({*map(len, item.words)})
        )
        key = item.words, alone, near, pattern.may_sound
        if key not in self._held:
            by_length = dict(zip(sorted({*map(len, item.words)}), near, strict=True))
            self._held[key] = _kin(item.words, by_length, alone=alone, sound=pattern.may_sound)
        return self._held[key]


def _near(pattern: Compiled, item: Words, length: int, syllables: int, together: int) -> int:
    """How many syllables of a word of that length may be near ones."""
    if not pattern.may_sound or len(item.words) > WIDE:
        return 0
    most = allowed(syllables, 1, strong=pattern.style.strong)
    return max(0, int(min(limit(length, together, syllables), most) / NEAR))


def _kin(words: Iterable[str], near: Mapping[int, int], *, alone: bool, sound: bool) -> Kin:
    pairs: set[str] = set()
    codes: set[str] = set()
    written: set[str] = set()
    for word in words:
        length = len(word)
        if length == 1 and alone:
            written.add(word)
            continue
        for code in readings(word) if sound else (encode(word),):
            (codes if length == 1 else pairs).update(_beginnings(code[:2], near[length]))
    return Kin(frozenset(pairs), frozenset(codes), frozenset(written))


def _longest(item: Item) -> int:
    return max(map(len, item.words)) if isinstance(item, Words) else 0


def _shortest(item: Words) -> int:
    return 0 if item.optional else min(map(len, item.words))


def _needs_of(kinship: _Kinship, pattern: Compiled, first: int, last: int) -> Iterator[Need]:
    """The words that must stand round the core [first, last), up to the next number."""
    for before in (False, True):
        items = pattern.items[:first][::-1] if before else pattern.items[last:]
        number = next((n for n, item in enumerate(items) if isinstance(item, Builtin)), None)
        yield from _needs(kinship, pattern, items[:number], before=before)


def _needs(
    kinship: _Kinship, pattern: Compiled, items: Sequence[Item], *, before: bool
) -> Iterator[Need]:
    """The needs of one side; a word that touches the core may be heard less well than others."""
    syllables, own = sum(map(_longest, pattern.items)), sum(map(_longest, items))
    low = high = touching = 0
    gapped = commas = False
    joint = True
    for item in items:
        if isinstance(item, Gap):
            high, gapped, joint, commas = high + item.most, True, False, commas or item.soft
        if not isinstance(item, Words):
            continue
        high, commas, joint = high + joint, commas or joint, True
        if not item.optional:
            loose = kinship.kin(pattern, item, syllables, syllables)
            strict = kinship.kin(pattern, item, syllables, own) if gapped else loose
            wide = _window(item, Window(strict, low, high, commas), before=before)
            tight = _window(item, Window(loose, low, touching, commas), before=before)
            yield Need(before, wide, wide if strict == loose else tight)
        low, high = low + _shortest(item), high + _longest(item)
        touching += _longest(item)


def _window(item: Words, window: Window, *, before: bool) -> Window:
    """The window of a word that stands so many characters from the core, on either side."""
    kin, low, high, commas = window
    if before:
        return Window(kin, -high - _longest(item), -low - _shortest(item), commas)
    return window


class _Sounds:
    """Says whether a word of a kin may begin somewhere in a text.

    Pairs of codes are looked up by a hash, so that now and then a word is said to begin where
    none does.
    """

    def __init__(self, kins: Sequence[Kin]) -> None:
        codes = "".join(sorted({code for kin in kins for code in kin.codes}))
        written = "".join(sorted({char for kin in kins for char in kin.written} - {*codes}))
        self._signs = np.zeros(0x10000, dtype=np.int32)
        self._signs[units_of(codes + written)] = np.arange(1, len(codes) + len(written) + 1)
        self._written = np.zeros(0x10000, dtype=bool)
        self._written[units_of(written)] = True
        self._single = np.zeros((len(kins), len(codes) + len(written) + 1), dtype=np.uint8)
        self._note([kin.codes for kin in kins])
        own, sound = self._signs[units_of(written)], self._signs[units_of(encode(written))]
        self._single[:, own] = self._single[:, sound]
        self._note([kin.written for kin in kins])
        self._pairs = np.zeros((len(kins), HASHES // 8), dtype=np.uint8)
        owners, units = _flat([kin.pairs for kin in kins])
        hashes = _hashes(units)[::2]
        np.bitwise_or.at(self._pairs, (owners[::2], hashes >> 3), _BITS[hashes & 7])

    def _note(self, members: Sequence[frozenset[str]]) -> None:
        owners, units = _flat(members)
        self._single[owners, self._signs[units]] = 1

    def of(self, text: str, codes: str) -> "_Text":
        """A text, ready to be asked."""
        characters, units = units_of(text), units_of(codes)
        signs = self._signs[np.where(self._written[characters], characters, units)]
        hashes = _hashes(units)
        return _Text(self._single, self._pairs, signs, hashes >> 3, _BITS[hashes & 7])


_BITS = (1 << np.arange(8)).astype(np.uint8)


def _hashes(units: NDArray[np.uint16]) -> NDArray[np.int32]:
    """A number for each unit with its follower."""
    wide = units.astype(np.int32)
    wide *= 283
    wide[:-1] += units[1:]
    wide &= HASHES - 1
    return wide


def _flat(members: Sequence[Iterable[str]]) -> tuple[Places, NDArray[np.uint16]]:
    """The units of all texts of all members, and the number of the member of each unit."""
    texts = ["".join(sorted(member)) for member in members]
    owners = np.arange(len(texts)).repeat([len(text) for text in texts])
    return owners, units_of("".join(texts))


@dataclass(frozen=True, slots=True)
class _Text:
    """A text in which words of kins may begin."""

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


class _Column(NamedTuple):
    """One need of each core (kin -1: none): its side, and each window as rows of numbers.

    The rows: kins, lows, highs, whether commas may stand between.
    """

    before: NDArray[np.bool_]
    wide: Places
    tight: Places
    same: NDArray[np.bool_]


class Sieve:
    """The needs of many cores, asked of a text for many places at once."""

    def __init__(self, cores: Sequence[tuple[Compiled, int, int]]) -> None:
        kinship = _Kinship()
        wanted = [list(_needs_of(kinship, *core)) for core in cores]
        rates = _rates([window.kin for needs in wanted for need in needs for window in need[1:]])
        chosen = [_rarest(needs, rates) for needs in wanted]
        used = [window.kin for needs in chosen for need in needs for window in need[1:]]
        numbers = {kin: n for n, kin in enumerate(dict.fromkeys(used))}
        self._sounds = _Sounds(list(numbers))
        self._columns = tuple(
            _column([needs[n : n + 1] for needs in chosen], numbers) for n in range(NEEDS)
        )

    def passing(
        self, text: str, codes: str, core: Places, start: Places, end: Places, slack: Places
    ) -> Places:
        """Which of these places of a text, each of a core, have round them what the core needs.

        `slack`: by how many characters the end is uncertain.
        """
        heard, bounds = self._sounds.of(text, codes), _bounds(text)
        blocks = (slice(at, at + BLOCK) for at in range(0, len(core), BLOCK))
        return np.concatenate(
            [
                block.start
                + self._passing(heard, bounds, core[block], start[block], end[block], slack[block])
                for block in blocks
            ]
        )

    def _passing(
        self,
        heard: _Text,
        bounds: "_Bounds",
        core: Places,
        start: Places,
        end: Places,
        slack: Places,
    ) -> Places:
        """The same for so many places that the work on them fits into little memory."""
        kept = np.arange(len(core))
        for column in self._columns:
            asked = column.wide[0][core[kept]] >= 0
            if not asked.any():
                break
            at = kept[asked]
            of, before = core[at], column.before[core[at]]
            anchor = np.where(before, start[at], end[at])
            found = _met(heard, bounds, column.wide.take(of, axis=1), before, anchor, slack[at])
            again = (~found & ~column.same[of]).nonzero()[0]
            found[again] = _met(
                heard,
                bounds,
                column.tight.take(of[again], axis=1),
                before[again],
                anchor[again],
                slack[at[again]],
            )
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
    heard: _Text,
    bounds: _Bounds,
    window: Places,
    before: NDArray[np.bool_],
    anchor: Places,
    slack: Places,
) -> NDArray[np.bool_]:
    """Whether a word stands in its window, in the clause or the sentence of the core."""
    kins, low, high, commas = window
    begin, final = bounds
    low, high = anchor + low - slack, anchor + high + slack
    inside = np.minimum(anchor, begin.shape[1] - 1)
    low = np.where(before, np.maximum(low, begin[commas, inside]), low)
    high = np.where(before, high, np.minimum(high, final[commas, inside]))
    return heard.begins(kins, low, high)


def _column(needs: Sequence[Sequence[Need]], numbers: Mapping[Kin, int]) -> _Column:
    rows = []
    for found in needs:
        if not found:
            rows.append((False, -1, 0, 0, 0, -1, 0, 0, 0))
            continue
        ((before, *windows),) = found
        one, other = ((numbers[w.kin], w.low, w.high, w.commas) for w in windows)
        rows.append((before, *one, *other))
    table = np.array(rows, dtype=np.int64).reshape(-1, 9)
    wide, tight = table[:, 1:5].T.copy(), table[:, 5:].T.copy()
    return _Column(table[:, 0] > 0, wide, tight, (wide == tight).all(axis=0))


def _rates(kins: Iterable[Kin]) -> dict[Kin, float]:
    """How often words of each kin begin at a place of ordinary talk, about."""
    talk = plain(TALK)
    codes = encode(talk)
    pairs = Counter(map("".join, pairwise(codes)))
    single, characters = Counter(codes), Counter(talk)
    found = {}
    for kin in dict.fromkeys(kins):
        seen = sum(pairs[pair] for pair in kin.pairs) + sum(single[code] for code in kin.codes)
        seen += sum(characters[char] for char in kin.written)
        by_chance = len(kin.pairs) / 4000 + len(kin.codes) / 30 + len(kin.written) / 100
        found[kin] = (seen + by_chance) / len(talk)
    return found


def _rarest(needs: Sequence[Need], rates: Mapping[Kin, float]) -> list[Need]:
    """The needs that are least expected to be met by chance."""

    def expected(need: Need) -> float:
        return (need.wide.high - need.wide.low + 1) * rates[need.wide.kin]

    return sorted((need for need in needs if expected(need) < COMMON), key=expected)[:NEEDS]

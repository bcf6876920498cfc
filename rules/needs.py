"""Work out, when a pack is compiled, which words must stand round the cores of its patterns."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rules.compile import WIDE, Compiled
from rules.grammar import Builtin, Gap, Item, Words
from rules.normalise import plain
from rules.ordinary import TALK
from rules.phonetic import encode, neighbours, readings, units_of
from rules.plausible import NEAR, allowed, limit
from rules.walk import GLANCE_BYTES, sign_of

NEEDS = 2
"""Words of a pattern that are looked for round a core, the rarest of them."""

COMMON = 2.0
"""A word expected more often than this where it is wanted is not looked for: it sorts nothing."""

HASHES, FACTOR = 4096, 283
"""Numbers that stand for pairs of codes."""

Places = NDArray[np.int64]
AnyInt = TypeVar("AnyInt", np.int32, np.int64)


class Column(NamedTuple):
    """One need of each core (kin -1: none): its side, and its window as rows of numbers.

    The rows: kins, lows, highs, whether commas may stand between.
    """

    before: NDArray[np.bool_]
    windows: Places


class Needs(NamedTuple):
    """What must stand round cores: `columns`, and how the words of each kin may begin.

    `glances` has a glance at each kin: the syllables that its words begin with. `pairs` has a row
    of bits for each kin, one for each hash of two codes, `single` a row of bytes, one for each
    sign. `signs` gives the sign of a code, or of one of the `written` characters.
    """

    columns: tuple[Column, ...]
    glances: NDArray[np.uint8]
    pairs: NDArray[np.uint8]
    single: NDArray[np.uint8]
    signs: NDArray[np.int32]
    written: NDArray[np.bool_]


class Window(NamedTuple):
    """Where a word may begin, in characters from the core, both ends included.

    `commas`: whether commas may stand between.
    """

    kin: int
    low: int
    high: int
    commas: bool


class Need(NamedTuple):
    """A word that must begin in a window, `before` the core or after it."""

    before: bool
    window: Window


def needs_of(cores: Sequence[tuple[Compiled, int, int]]) -> Needs:
    """What must stand round each of these cores, [first, last) items of a pattern."""
    kinship = _Kinship()
    wanted = [list(_needs_of(kinship, *core)) for core in cores]
    begins = _Begins(kinship)
    rates = begins.rates()
    chosen = [_rarest(needs, rates) for needs in wanted]
    used = [need.window.kin for needs in chosen for need in needs]
    numbers = {kin: n for n, kin in enumerate(dict.fromkeys(used))}
    kept = np.array(list(numbers), dtype=np.int64)
    return Needs(
        tuple(_column([needs[n : n + 1] for needs in chosen], numbers) for n in range(NEEDS)),
        np.packbits(begins.firsts[kept], axis=1, bitorder="little"),
        np.packbits(begins.pairs[kept], axis=1, bitorder="little"),
        begins.single[kept],
        begins.signs,
        begins.written,
    )


class _Kinship:
    """Numbers kins, each once: words with the same ways to be heard.

    `pairs` has (kin, first code, second code, how many of them may be near ones), `codes` the
    same for words of one character; `written` characters must stand in the text as they are.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[object, ...], int] = {}
        self.pairs: list[tuple[int, int, int, int]] = []
        self.codes: list[tuple[int, int, int]] = []
        self.written: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._held)

    def kin(self, pattern: Compiled, item: Words, syllables: int) -> int:
        """The kin of an item's words in a match of so many syllables.

        As many may be near ones as plausibility allows where all of them lie in one stretch.
        """
        alone = not pattern.may_sound or syllables == 1
        near = {
            length: _near(pattern, item, length, syllables)
            for length in sorted({*map(len, item.words)})
        }
        key = item.words, alone, *near.values(), pattern.may_sound
        kin = self._held.get(key)
        if kin is None:
            kin = self._held[key] = len(self._held)
            for word in item.words:
                self._note(kin, word, near[len(word)], alone=alone, sound=pattern.may_sound)
        return kin

    def _note(self, kin: int, word: str, near: int, *, alone: bool, sound: bool) -> None:
        if len(word) == 1 and alone:
            self.written.append((kin, ord(word)))
            return
        for code in readings(word) if sound else (encode(word),):
            if len(word) == 1:
                self.codes.append((kin, ord(code), near))
            else:
                self.pairs.append((kin, ord(code[0]), ord(code[1]), near))


def _near(pattern: Compiled, item: Words, length: int, syllables: int) -> int:
    """How many syllables of a word of that length may be near ones."""
    if not pattern.may_sound or len(item.words) > WIDE:
        return 0
    most = allowed(syllables, 1, strong=pattern.style.strong)
    return max(0, int(min(limit(length, syllables, syllables), most) / NEAR))


class _Begins:
    """How the words of each kin may begin, as tables.

    `firsts` says for each kin and bit of a glance whether a word may begin with such a syllable,
    `pairs` for each kin and hash whether two codes of that hash may begin a word. `single`
    says the same for each kin and sign, a sign being a number for a code or written character.
    """

    def __init__(self, kinship: _Kinship) -> None:
        near = _neighbours()
        self.firsts = np.zeros((len(kinship), 8 * GLANCE_BYTES), dtype=bool)
        self.pairs = np.zeros((len(kinship), HASHES), dtype=bool)
        kin, one, two, most = np.array(kinship.pairs, dtype=np.int32).reshape(-1, 4).T
        self._mark(kin, one, two)
        for few in (most == 1).nonzero()[0], (most > 1).nonzero()[0]:
            first, second = near[one[few]].T, near[two[few]].T
            for other in second:
                self._mark(kin[few], one[few], other)
            for other in first:
                self._mark(kin[few], other, two[few])
        for other in first:  # where two may be near ones
            for another in second:
                self._mark(kin[few], other, another)
        self._note_single(kinship, near)

    def _mark(self, kin: NDArray[np.int32], one: NDArray[Any], two: NDArray[Any]) -> None:
        """Note that words of these kins may begin with these codes; 0 stands for none."""
        some = ((one > 0) & (two > 0)).nonzero()[0]
        self.firsts[kin[some], signs_of(one[some])] = True
        self.pairs[kin[some], hashed(one[some].astype(np.int32), two[some].astype(np.int32))] = True

    def _note_single(self, kinship: _Kinship, near: NDArray[np.uint16]) -> None:
        kin, code, most = np.array(kinship.codes, dtype=np.int64).reshape(-1, 3).T
        owners, columns = ((near[code] > 0) & (most[:, None] > 0)).nonzero()
        kin = np.concatenate((kin, kin[owners]))
        code = np.concatenate((code, near[code[owners], columns]))
        writers, characters = np.array(kinship.written, dtype=np.int64).reshape(-1, 2).T
        codes = np.unique(code)
        self.written = np.zeros(0x10000, dtype=bool)
        self.written[np.setdiff1d(characters, codes)] = True
        alone = self.written.nonzero()[0]
        self.signs = np.zeros(0x10000, dtype=np.int32)
        self.signs[np.concatenate((codes, alone))] = np.arange(1, len(codes) + len(alone) + 1)
        self.single = np.zeros((len(kinship), len(codes) + len(alone) + 1), dtype=np.uint8)
        self.single[kin, self.signs[code]] = 1
        heard = units_of(encode("".join(map(chr, alone.tolist()))))
        self.single[:, self.signs[alone]] = self.single[:, self.signs[heard]]
        self.single[writers, self.signs[characters]] = 1
        syllables = np.concatenate((codes, heard))
        kins, columns = self.single[:, 1:].nonzero()
        self.firsts[kins, signs_of(syllables[columns])] = True

    def rates(self) -> list[float]:
        """How often words of each kin begin at a place of ordinary talk, about."""
        talk = plain(TALK)
        units = units_of(encode(talk)).astype(np.int64)
        pairs = self.pairs[:, hashed(units[:-1], units[1:])].sum(axis=1)
        characters = units_of(talk)
        single = self.single[:, self.signs[np.where(self.written[characters], characters, units)]]
        by_chance = self.pairs.sum(axis=1) / HASHES + self.single.sum(axis=1) / 50
        found: list[float] = ((pairs + single.sum(axis=1) + by_chance) / len(talk)).tolist()
        return found


def hashed(one: NDArray[AnyInt], two: NDArray[AnyInt]) -> NDArray[AnyInt]:
    """A number below `HASHES` for each pair of codes."""
    found: NDArray[AnyInt] = (one * FACTOR + two) & (HASHES - 1)
    return found


def signs_of(units: NDArray[Any]) -> NDArray[np.int64]:
    """The bits by which a glance knows these characters."""
    return np.fromiter(map(sign_of, units.tolist()), dtype=np.int64, count=len(units))


def _neighbours() -> NDArray[np.uint16]:
    """For each unit the codes easily taken for it, a row each, filled up with zeros."""
    near = neighbours()
    most = max(map(len, near.values()), default=1)
    table = np.zeros((0x10000, most), dtype=np.uint16)
    for code, others in near.items():
        table[ord(code), : len(others)] = units_of(others)
    return table


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
    """The needs of one side."""
    syllables = sum(map(_longest, pattern.items))
    low = high = 0
    commas = False
    joint = True
    for item in items:
        if isinstance(item, Gap):
            high, joint, commas = high + item.most, False, commas or item.soft
        if not isinstance(item, Words):
            continue
        high, commas, joint = high + joint, commas or joint, True
        if not item.optional:
            kin = kinship.kin(pattern, item, syllables)
            yield Need(before, _window(item, Window(kin, low, high, commas), before=before))
        low, high = low + _shortest(item), high + _longest(item)


def _window(item: Words, window: Window, *, before: bool) -> Window:
    """The window of a word that stands so many characters from the core, on either side."""
    kin, low, high, commas = window
    if before:
        return Window(kin, -high - _longest(item), -low - _shortest(item), commas)
    return window


def _column(needs: Sequence[Sequence[Need]], numbers: Mapping[int, int]) -> Column:
    rows = []
    for found in needs:
        if not found:
            rows.append((False, -1, 0, 0, 0))
            continue
        ((before, window),) = found
        rows.append((before, numbers[window.kin], window.low, window.high, window.commas))
    table = np.array(rows, dtype=np.int64).reshape(-1, 5)
    return Column(table[:, 0] > 0, table[:, 1:].T.copy())


def _rarest(needs: Sequence[Need], rates: Sequence[float]) -> list[Need]:
    """The needs that are least expected to be met by chance."""

    def expected(need: Need) -> float:
        window = need.window
        return (window.high - window.low + 1) * rates[window.kin]

    return sorted((need for need in needs if expected(need) < COMMON), key=expected)[:NEEDS]

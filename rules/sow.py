"""Work out, when a pack is compiled, which strings are looked for and what they announce.

A word of three syllables is still heard when one of them is a near one, a longer word when all of
its beginning or of its end is.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.compile import Compiled
from rules.grammar import Words
from rules.phonetic import CODE_BASE, neighbours, readings, units_of
from rules.plausible import REPAIRABLE, SHORT
from rules.triggers import Core, Cores

Numbers = NDArray[np.int32]


class Pass(NamedTuple):
    """The strings of one kind that are looked for, and for each of them what it announces.

    All strings are read backwards. One is known by its `KNOWN` last characters, or all of a shorter
    one: `heads` has these, 16 bits each, and above them how many. Strings lie in `buckets`, by the
    upper bits of their `scattered` heads, the longer first; a bit of `signs` tells that there may
    be one at all. String n goes on with `tails` from `rests[n]`, and announces the `entries` from
    `first[n]`: core, trigger, its length, and where in it the string stands that may have been
    meant; -1: it is all of it.
    """

    buckets: Numbers
    signs: NDArray[np.uint8]
    heads: NDArray[np.uint64]
    rests: Numbers
    tails: NDArray[np.uint16]
    first: Numbers
    entries: Numbers


class Sown(NamedTuple):
    """What two passes over a text look for: the `characters` and the `syllables`.

    `cores` has a row for each core: its pattern, its first item, the item after its last one.
    `others` are the syllables that the rest of its pattern may have at most, and `sound` is how
    the pattern may be heard.
    The triggers have their core, their `words`, parted by `PART` and closed by `END`, and their
    codes, of which trigger n has those from `places[n]` to `places[n + 1]`.
    """

    cores: Numbers
    others: Numbers
    sound: NDArray[np.int8]
    core_of: Numbers
    side: NDArray[np.bool_]
    words: str
    word_places: Numbers
    codes: str
    places: Numbers
    characters: Pass
    syllables: Pass


PART = "\x1f"

KNOWN = 3
"""Characters by which a string is looked up; more are compared one by one."""

SCATTER = 0x9E3779B97F4A7C15
"""The odd number nearest to 2**64 divided by the golden ratio: multiples of it lie far apart."""

MIN_BITS, SPARSE = 4, 4
"""Buckets are 2**4 at least, and there are 2**4 signs to each of them."""

SILENT, SOUNDING, STRONG = 0, 1, 2
"""How a pattern may be heard: as written only, by sound, and by sound though it be short."""


def sow(patterns: Sequence[Compiled]) -> Sown:
    """What the automata look for on behalf of these patterns."""
    finder, found = Cores(), _Found()
    for n, pattern in enumerate(patterns):
        cores = enumerate(finder.of(pattern))
        for place, core in sorted(cores, key=lambda pair: (pair[1].first, pair[1].last)):
            found.cores.append((n, core.first, core.last))
            found.weights.append((_syllables(pattern, core), _sound(pattern)))
            for words, text in sorted(core.spellings):
                silent = not pattern.style.phonetic or len(text) == 1
                if not (silent and place):
                    found.note(words, text, silent=silent, side=place > 0)
    return found.sown()


def _syllables(pattern: Compiled, core: Core) -> int:
    """Syllables that the words outside the core may have at most."""
    items = (*pattern.items[: core.first], *pattern.items[core.last :])
    return sum(max(map(len, item.words)) for item in items if isinstance(item, Words))


def _sound(pattern: Compiled) -> int:
    if not pattern.may_sound:
        return SILENT
    return STRONG if pattern.style.strong else SOUNDING


class _Found:
    """The triggers, as they are found."""

    def __init__(self) -> None:
        self.cores: list[tuple[int, int, int]] = []
        self.weights: list[tuple[int, int]] = []
        self._words: list[str] = []
        self._codes: list[str] = []
        self._core_of, self._silent, self._side = array("i"), array("b"), array("b")
        self._written: list[tuple[str, int]] = []

    def note(self, words: tuple[str, ...], text: str, *, silent: bool, side: bool) -> None:
        """Note a string of the last core, once for each way in which it may be heard."""
        codes = readings(text)
        for code in codes[:1] if silent else sorted(codes):
            if silent:
                self._written.append((text, len(self._codes)))
            self._words.append(PART.join(words))
            self._codes.append(code)
            self._core_of.append(len(self.cores) - 1)
            self._silent.append(silent)
            self._side.append(side)

    def sown(self) -> Sown:
        """All of them."""
        silent, side = np.array(self._silent, dtype=bool), np.array(self._side, dtype=bool)
        weights = np.array(self.weights, dtype=np.int32).reshape(-1, 2)
        texts, owners = zip(*self._written, strict=True) if self._written else ((), ())
        heard = list(_heard(self._codes, ~silent, ~silent & ~side))
        places, core_of = _places(self._codes), np.array(self._core_of, dtype=np.int32)
        triggers = np.stack((core_of, np.arange(len(core_of)), np.diff(places)), axis=1)
        return Sown(
            cores=np.array(self.cores, dtype=np.int32).reshape(-1, 3),
            others=weights[:, 0].copy(),
            sound=weights[:, 1].astype(np.int8),
            core_of=core_of,
            side=side,
            words="".join(self._words),
            word_places=_places(self._words),
            codes="".join(self._codes),
            places=places,
            characters=_passed([_Signs(texts, np.array(owners, dtype=np.int32), -1)], triggers),
            syllables=_passed(heard, triggers),
        )


def _places(texts: Sequence[str]) -> Numbers:
    places = np.zeros(len(texts) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(map(len, texts), dtype=np.int32, count=len(texts)), out=places[1:])
    return places


class _Signs(NamedTuple):
    """Strings of an automaton, the trigger of each, and where in it they all stand (-1: all)."""

    strings: Sequence[str]
    triggers: Numbers
    offset: int


def _heard(
    codes: Sequence[str], wanted: NDArray[np.bool_], repaired: NDArray[np.bool_]
) -> Iterator[_Signs]:
    """What the automaton of syllables looks for: whole triggers, and parts of the repaired ones."""
    numbers = wanted.nonzero()[0].astype(np.int32)
    yield _Signs([codes[n] for n in numbers.tolist()], numbers, -1)
    lengths = np.fromiter(map(len, codes), dtype=np.int32, count=len(codes))
    short = (repaired & (lengths == SHORT)).nonzero()[0].astype(np.int32)
    yield from _nearly([codes[n] for n in short.tolist()], short)
    for length in np.unique(lengths[repaired & (lengths >= REPAIRABLE)]).tolist():
        long = (repaired & (lengths == length)).nonzero()[0].astype(np.int32)
        part = max(SHORT, (length + 1) // 2)
        texts = [codes[n] for n in long.tolist()]
        yield _Signs([text[:part] for text in texts], long, 0)
        yield _Signs([text[-part:] for text in texts], long, length - part)


def _nearly(texts: Sequence[str], triggers: Numbers) -> Iterator[_Signs]:
    """Words of three syllables with one of them a near one."""
    near = neighbours()
    most = max(map(len, near.values()), default=0)
    table = units_of("".join(others.ljust(most, "\0") for others in near.values()))
    units = units_of("".join(texts)).reshape(-1, SHORT)
    for at in range(SHORT):
        places = units[:, at].astype(np.int32) - CODE_BASE
        known = (places >= 0) & (places < len(near))
        others = table.reshape(-1, most)[places[known]]
        owners, columns = others.nonzero()
        changed = units[known][owners]
        changed[:, at] = others[owners, columns]
        joined = changed.tobytes().decode("utf-16-le", "surrogatepass")
        strings = [joined[n : n + SHORT] for n in range(0, len(joined), SHORT)]
        yield _Signs(strings, triggers[known][owners], 0)


def _passed(found: Iterable[_Signs], triggers: NDArray[np.int64]) -> Pass:
    """These strings, ready to be found, and what they announce."""
    numbers: dict[str, int] = {}
    signs = list(found)
    owners = np.array(
        [numbers.setdefault(text[::-1], len(numbers)) for part in signs for text in part.strings],
        dtype=np.int32,
    )
    announced = np.concatenate([part.triggers for part in signs])
    offsets = np.repeat([part.offset for part in signs], [len(part.strings) for part in signs])
    texts = list(numbers)
    heads = _heads(texts)
    bits = max(MIN_BITS, len(texts).bit_length() - 1)
    places = scattered(heads)
    buckets = (places >> np.uint64(64 - bits)).astype(np.int64)
    order = np.lexsort((-np.fromiter(map(len, texts), np.int64, len(texts)), buckets))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    by_string = np.lexsort((offsets, announced, offsets >= 0, rank[owners]))
    marks = np.zeros(1 << (bits + SPARSE), dtype=bool)
    marks[places >> np.uint64(64 - bits - SPARSE)] = True
    tails = [texts[n][KNOWN:] for n in order.tolist()]
    entries = np.column_stack((triggers[announced], offsets))[by_string]
    return Pass(
        _ends(np.bincount(buckets, minlength=1 << bits)),
        np.packbits(marks, bitorder="little"),
        heads[order],
        _places(tails),
        units_of("".join(tails)).copy(),
        _ends(np.bincount(rank[owners], minlength=len(texts))),
        np.ascontiguousarray(entries, dtype=np.int32),
    )


def _heads(texts: Sequence[str]) -> NDArray[np.uint64]:
    """By what each string is known."""
    units = units_of("".join(text[:KNOWN].ljust(KNOWN, "\0") for text in texts))
    columns = units.reshape(-1, KNOWN).astype(np.uint64).T
    sizes = np.array([min(len(text), KNOWN) for text in texts], dtype=np.uint64)
    found: NDArray[np.uint64] = sizes << np.uint64(16 * KNOWN)
    for n, column in enumerate(columns):
        found |= column << np.uint64(16 * n)
    return found


def scattered(heads: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers spread evenly, the same for the same heads."""
    found: NDArray[np.uint64] = heads * np.uint64(SCATTER)
    return found


def _ends(counts: NDArray[np.int64]) -> Numbers:
    """Where each of so many things begins, one after the other, and the end of the last."""
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int32)

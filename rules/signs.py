"""What a regular expression needs: the characters without which it matches nowhere.

An expression becomes its ways: each is a set of sets of characters, and where it matches, the text
holds a character of each set of some way. What only narrows a match (order, gaps, looks round it)
is left out, so a text with all signs may still not match.
"""

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from rules.glance import Glance, Zone
from rules.ordinary import TALK
from rules.phonetic import encode

Way = frozenset[frozenset[str]]
_ANY: tuple[Way, ...] = (frozenset(),)
"""The ways of what needs nothing."""

MOST_WAYS = 64
"""Ways of a sequence above which only those of its richest part are told apart."""

_TIMES = re.compile(r"(?:\{(?P<least>[0-9]*)(?:,[0-9]*)?\}|(?P<sign>[?*+]))\??")
_LOOKS = ("?=", "?!", "?<=", "?<!")


def as_heard(pattern: str) -> str:
    """The same expression over syllable codes; Chinese characters alone are changed."""
    return re.sub("[\u3400-\u9fff]", lambda found: encode(found[0]), pattern)


@cache
def ways_of(pattern: str) -> tuple[Way, ...]:
    """The ways in which an expression may match; raises `ValueError` for what is not known here."""
    reader = _Reader(pattern)
    found = reader.alternatives()
    if reader.at < len(pattern):
        raise ValueError("a bracket that nobody opened")
    return found


@cache
def _counts() -> Counter[str]:
    return Counter(TALK) + Counter(encode(TALK))


def weight(chars: Iterable[str]) -> int:
    """How often ordinary talk holds some of these characters."""
    counts = _counts()
    return sum(counts[char] for char in chars)


def rarest(way: Way) -> frozenset[str]:
    """The set of a way that ordinary talk meets least."""
    return min(way, key=lambda chars: (weight(chars), len(chars), min(chars)))


class _Reader:
    """Reads an expression from left to right."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.at = pattern, 0

    def alternatives(self) -> tuple[Way, ...]:
        """The ways of branches up to the end of a group or of all."""
        found = list(self.sequence())
        while self.pattern.startswith("|", self.at):
            self.at += 1
            found += self.sequence()
        return _merged(found)

    def sequence(self) -> tuple[Way, ...]:
        """The ways of one branch."""
        members: list[tuple[Way, ...]] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            member = self.atom()
            times = _TIMES.match(self.pattern, self.at)
            if times is not None:
                self.at = times.end()
                least = times["sign"] == "+" or int(times["least"] or 0) > 0
                member = member if least else _ANY
            if member != _ANY:
                members.append(member)
        return _joined(members)

    def atom(self) -> tuple[Way, ...]:
        """The ways of a character, a class or a group."""
        char = self.pattern[self.at]
        if char == "(":
            return self.group()
        if char == "[":
            return self.kind()
        self.at += 1
        if char in ".^$":
            return _ANY
        if char in "\\*+?{":
            raise ValueError(f"{char} is not known")
        return (frozenset((frozenset(char),)),)

    def group(self) -> tuple[Way, ...]:
        """The ways of a group; what only looks round needs nothing."""
        self.at += 1
        look = next((one for one in _LOOKS if self.pattern.startswith(one, self.at)), None)
        if look is None and self.pattern.startswith("?:", self.at):
            self.at += 2
        elif look is None and self.pattern.startswith("?", self.at):
            raise ValueError("a group that is not known")
        self.at += len(look or "")
        found = self.alternatives()
        if not self.pattern.startswith(")", self.at):
            raise ValueError("a bracket that nobody closed")
        self.at += 1
        return _ANY if look else found

    def kind(self) -> tuple[Way, ...]:
        """The ways of a class of characters."""
        end = self.pattern.index("]", self.at + 2)
        inner, self.at = self.pattern[self.at + 1 : end], end + 1
        if inner[0] == "^":
            return _ANY
        return (frozenset((frozenset(_members(inner)),)),)


def _members(inner: str) -> Iterator[str]:
    if "\\" in inner:
        raise ValueError("\\ is not known")
    at = 0
    while at < len(inner):
        if inner[at + 1 : at + 2] == "-" and at + 2 < len(inner):
            yield from map(chr, range(ord(inner[at]), ord(inner[at + 2]) + 1))
            at += 3
        else:
            yield inner[at]
            at += 1


def _merged(ways: Sequence[Way]) -> tuple[Way, ...]:
    """The ways, each once; those that need one set alone become one."""
    if frozenset() in ways:
        return _ANY
    single = [chars for way in ways if len(way) == 1 for chars in way]
    found = dict.fromkeys(way for way in ways if len(way) > 1)
    if single:
        found[frozenset((frozenset().union(*single),))] = None
    return tuple(found)


def _joined(members: Sequence[tuple[Way, ...]]) -> tuple[Way, ...]:
    """The ways in which all members may match."""
    count = 1
    for member in members:
        count *= len(member)
    if count > MOST_WAYS:
        richest = max(range(len(members)), key=lambda n: len(members[n]))
        members = [member if n == richest else _weaker(member) for n, member in enumerate(members)]
    joined = [frozenset[frozenset[str]]().union(*way) for way in itertools.product(*members)]
    return _merged([_least(way) for way in joined])


def _weaker(ways: tuple[Way, ...]) -> tuple[Way, ...]:
    """One way that needs no more than each of these."""
    return (frozenset((frozenset[str]().union(*map(rarest, ways)),)),)


def _least(way: Way) -> Way:
    """The way without sets that another one of it holds."""
    return frozenset(chars for chars in way if not any(other < chars for other in way))


class Look(NamedTuple):
    """An expression that is searched for in a zone round a place, so many characters wide."""

    pattern: str
    zone: Zone
    width: int = 0
    by_sound: bool = False


def glance_at(looks: Sequence[Collection[Look]]) -> Glance:
    """Tells by bits which of these groups of looks may find something."""
    tables = _Tables()
    for n, group in enumerate(looks):
        for look in group:
            tables.add(look, 1 << n)
    return tables.glance()


class _Tables:
    """Signs and ways as they are numbered."""

    def __init__(self) -> None:
        self._zones: dict[tuple[Zone, int, bool], int] = {}
        self._signs: dict[tuple[int, frozenset[str]], int] = {}
        self._ways: dict[tuple[int, frozenset[int]], int] = {}

    def add(self, look: Look, bit: int) -> None:
        """Note what a look needs, and of which bit it tells."""
        zone = self._zones.setdefault(look[1:], len(self._zones))
        for way in ways_of(as_heard(look.pattern) if look.by_sound else look.pattern):
            if not way:
                raise ValueError(f"what needs no sign cannot be told: {look.pattern}")
            key = self._sign(zone, rarest(way))
            needs = frozenset(self._sign(zone, chars) for chars in way)
            self._ways[key, needs] = self._ways.get((key, needs), 0) | bit

    def _sign(self, zone: int, chars: frozenset[str]) -> int:
        return self._signs.setdefault((zone, chars), len(self._signs))

    def glance(self) -> Glance:
        """The tables packed."""
        chars = sorted(set().union(*(chars for _, chars in self._signs)))
        rows = np.zeros(0x10000, np.uint16)
        rows[[ord(char) for char in chars]] = np.arange(1, len(chars) + 1)
        standing: list[list[list[int]]] = [[[] for _ in range(len(chars) + 1)] for _ in self._zones]
        for (zone, members), sign in self._signs.items():
            for char in members:
                standing[zone][rows[ord(char)]].append(sign)
        ways = sorted(self._ways.items(), key=lambda item: (item[0][0], sorted(item[0][1])))
        told = [0] * len(self._zones)
        zone_of = {sign: zone for (zone, _), sign in self._signs.items()}
        for (key, _), bits in ways:
            told[zone_of[key]] |= bits
        first = _packed([signs for rows_of in standing for signs in rows_of])
        width = len(chars) + 1
        return Glance(
            np.array([[*zone, told[n]] for zone, n in self._zones.items()], np.int32),
            rows,
            np.array([first[z * width : (z + 1) * width + 1] for z in range(len(told))], np.int32),
            np.array(
                [sign for rows_of in standing for signs in rows_of for sign in signs], np.int32
            ),
            np.searchsorted([key for (key, _), _ in ways], range(len(self._signs) + 1)).astype(
                np.int32
            ),
            np.array([bits for _, bits in ways], np.uint32),
            np.array(_packed([needs for (_, needs), _ in ways]), np.int32),
            np.array([sign for (_, needs), _ in ways for sign in sorted(needs)], np.int32),
            np.zeros(len(self._signs), np.int64),
        )


def _packed(groups: Sequence[Collection[int]]) -> list[int]:
    """Where each group begins where they stand one after the other, and where the last one ends."""
    return [0, *itertools.accumulate(map(len, groups))]

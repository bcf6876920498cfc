"""Pack patterns, when a pack is compiled, into the tables that the compiled search reads."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.compile import WIDE, Compiled
from rules.grammar import Anchor, Builtin, Gap, Item, Look, Tree, Words
from rules.phonetic import CODE_BASE, neighbours, readings
from rules.trail import Trait
from rules.walk import GLANCE_BYTES, Expressions, Flag, Node, Step, glance_of

Numbers = NDArray[np.int32]
Bytes = NDArray[np.uint8]

_Steps = tuple[tuple[int, int, int, int, int], ...]
_STOP = (int(Step.STOP), 0, -1, 0, -1)


class Program(NamedTuple):
    """Patterns as tables.

    `halves` has for each core where the steps after it and before it begin, by sound and then as
    written (-1: nothing must stand there). `traits`, `conditions` and `first_item` go by pattern;
    from its first item on, `items` has for each where in `sounds` its words are (-1: it has none).
    There stand the number of their lengths and, for each length, that, their number and their
    codes. A row of `steps` is a step, its argument, its item, its flags and its glance; `nodes`
    are sets of words, `glances` the characters that they begin with.
    """

    halves: Numbers
    traits: Bytes
    conditions: Numbers
    first_item: Numbers
    items: Numbers
    sounds: Numbers
    steps: Numbers
    nodes: Numbers
    glances: Bytes

    def expressions(self) -> Expressions:
        """The steps and the sets of words, ready to be read."""
        return Expressions(self.steps, self.nodes, self.glances, near_ones())


class Wholes(NamedTuple):
    """Groups of patterns that are looked for as a whole.

    The patterns of a group are numbered from `first`; `starts` says where the steps of a pattern
    begin, by sound and as written.
    """

    first: Numbers
    starts: Numbers
    steps: Numbers
    nodes: Numbers
    glances: Bytes

    def expressions(self) -> Expressions:
        """The steps and the sets of words, ready to be read."""
        return Expressions(self.steps, self.nodes, self.glances, near_ones())


class Way(NamedTuple):
    """How a pattern is read: over syllable codes or characters, backwards or forwards."""

    by_sound: bool
    backward: bool = False

    def turned(self, word: str) -> str:
        """The word in the direction of reading."""
        return word[::-1] if self.backward else word


def program_of(patterns: Sequence[Compiled], cores: Iterable[Sequence[int]]) -> Program:
    """The tables of these patterns, read from these cores: pattern, first item, item after it."""
    writer = _Writer()
    halves = [_halves(writer, patterns[n], first, last) for n, first, last in cores]
    return Program(
        np.array(halves, dtype=np.int32).reshape(-1, 4),
        np.array([_traits(pattern) for pattern in patterns], dtype=np.uint8),
        np.array([pattern.condition for pattern in patterns], dtype=np.int32),
        *_sounds(patterns),
        *writer.tables(),
    )


def wholes_of(groups: Mapping[int, Sequence[Compiled]]) -> Wholes:
    """The tables of these groups of patterns, numbered in their order."""
    writer = _Writer()
    sizes = np.array([0, *map(len, groups.values())], dtype=np.int32)
    starts = [
        [writer.run(pattern.items, 0, Way(by_sound)) for by_sound in (True, False)]
        for group in groups.values()
        for pattern in group
    ]
    return Wholes(
        np.cumsum(sizes[:-1], dtype=np.int32),
        np.array(starts, dtype=np.int32).reshape(-1, 2),
        *writer.tables(),
    )


def _traits(pattern: Compiled) -> int:
    sounds = Trait.SOUNDS * pattern.may_sound + Trait.STRONG * pattern.style.strong
    return sounds + Trait.COUNTS * pattern.numeric


def _sounds(patterns: Sequence[Compiled]) -> tuple[Numbers, Numbers, Numbers]:
    """For each pattern its first item, for each item its words, and the codes of sets of words."""
    sounds, places = array("i"), dict[tuple[str, ...], int]()
    first, items = array("i"), array("i")
    for pattern in patterns:
        first.append(len(items))
        for item in pattern.items:
            words = item.words if isinstance(item, Words) and pattern.may_sound else ()
            if words and words not in places:
                places[words] = len(sounds)
                sounds.extend(_by_length({code for word in words for code in readings(word)}))
            items.append(places[words] if words else -1)
    found = [np.array(numbers, dtype=np.int32) for numbers in (first, items, sounds)]
    return found[0], found[1], found[2]


def _by_length(codes: Iterable[str]) -> Iterator[int]:
    """How many lengths they have; of each length that, how many there are, and their units."""
    groups: dict[int, list[str]] = {}
    for code in sorted(codes):
        groups.setdefault(len(code), []).append(code)
    yield len(groups)
    for length, members in groups.items():
        yield from (length, len(members))
        yield from map(ord, "".join(members))


def _halves(writer: "_Writer", pattern: Compiled, first: int, last: int) -> tuple[int, ...]:
    after, before = pattern.items[last:], pattern.items[:first][::-1]
    found = []
    for by_sound in (True, False):
        needed = pattern.may_sound or not by_sound
        found.append(writer.half(after, last, Way(by_sound)) if needed else -1)
        found.append(writer.half(before, first - 1, Way(by_sound, backward=True)) if needed else -1)
    return tuple(found)


class _Writer:
    """Writes steps, sets of words and glances, equal ones once."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, int, int, int, int]] = []
        self._runs: dict[_Steps, int] = {}
        self._nodes = array("i")
        self._places: dict[tuple[int, ...], int] = {}
        self._glances: dict[bytes, int] = {}
        self._sets: dict[tuple[frozenset[str], bool], int] = {}
        self._trees: dict[tuple[Tree | str, Way, bool], int] = {}
        self._bodies: dict[tuple[Tree | str, Way, bool], tuple[int, int]] = {}

    def tables(self) -> tuple[Numbers, Numbers, Bytes]:
        """All that was written: steps, nodes, glances."""
        glances = np.frombuffer(b"".join(self._glances), dtype=np.uint8)
        return (
            np.array(self._steps, dtype=np.int32).reshape(-1, 5),
            np.array(self._nodes, dtype=np.int32),
            glances.reshape(-1, GLANCE_BYTES).copy(),
        )

    def half(self, items: Sequence[Item], number: int, way: Way) -> int:
        """Where the steps begin that read these items in their order; -1: there are none.

        `number` is that of the first of them.
        """
        if not items:
            return -1
        loose = isinstance(items[0], Words | Builtin)  # a word of the core stands beside it
        return self.run(items, number, way, loose=loose)

    def run(self, items: Sequence[Item], number: int, way: Way, *, loose: bool = False) -> int:
        """The same; `loose`: a word stands right before, so that a comma may come between."""
        steps = []
        for item in items:
            steps.append(self._step(item, number, way, loose=loose))
            if not isinstance(item, Anchor | Look):
                loose = not isinstance(item, Gap)
            number += -1 if way.backward else 1
        run = (*steps, _STOP)
        if run not in self._runs:
            self._runs[run] = len(self._steps)
            self._steps += run
        return self._runs[run]

    def _step(
        self, item: Item, number: int, way: Way, *, loose: bool
    ) -> tuple[int, int, int, int, int]:
        match item:
            case Gap(most, soft):
                return Step.GAP, most, -1, Flag.SOFTLY * soft, -1
            case Anchor(kind):
                return (_BACKWARD if way.backward else _FORWARD)[kind], 0, -1, 0, -1
            case Look():
                return *self._look(item, way), -1, 0, -1
        flags = Flag.JOINED * loose + Flag.OPTIONAL * item.optional
        if isinstance(item, Builtin):
            number_step = Step.NUMBER_TURNED if way.backward else Step.NUMBER
            return number_step, 0, number, flags, -1
        # What may be left out is not guessed at: a near guess would shut out a better reading.
        near = way.by_sound and not item.optional and len(item.words) <= WIDE
        key = item.tree, way, near
        if key not in self._bodies:
            self._bodies[key] = self._tree(*key), self._glance(*key)
        node, glance = self._bodies[key]
        return Step.WORDS, node, number, flags, glance

    def _look(self, look: Look, way: Way) -> tuple[int, int]:
        behind = look.behind is not way.backward
        turned = way._replace(backward=way.backward is not behind)
        node = self._plain(_forms(look.words, turned))
        return (Step.NOT_BEHIND if behind else Step.NOT_AHEAD), node

    def _glance(self, tree: Tree | str, way: Way, near: bool) -> int:  # noqa: FBT001  part of a key
        """What the words of a tree begin with; -1 where a look at that spares nothing."""
        firsts, empty = _firsts(tree, way, near=near)
        if empty:
            return -1
        return self._glances.setdefault(glance_of("".join(firsts)), len(self._glances))

    def _tree(self, tree: Tree | str, way: Way, near: bool) -> int:  # noqa: FBT001  part of a key
        """The node of a tree of words."""
        key = tree, way, near
        if key not in self._trees:
            self._trees[key] = self._members(tree, way, near=near)
        return self._trees[key]

    def _members(self, tree: Tree | str, way: Way, *, near: bool) -> int:
        if isinstance(tree, str):
            if not tree:
                return self._node(Node.EITHER, 1, 0)
            return self._words(_forms((tree,), way), near=near)
        if tree.kind == "seq":
            parts = [self._tree(part, way, near) for part in tree.parts if part]
            return self._chain(parts[::-1] if way.backward else parts)
        leaves = [part for part in tree.parts if isinstance(part, str) and part]
        branches = [self._tree(part, way, near) for part in tree.parts if not isinstance(part, str)]
        if leaves:
            branches.append(self._words(_forms(leaves, way), near=near))
        empty = "" in tree.parts
        if len(branches) == 1 and not empty:
            return branches[0]
        return self._node(Node.EITHER, empty, len(branches), *branches)

    def _chain(self, parts: Sequence[int]) -> int:
        return parts[0] if len(parts) == 1 else self._node(Node.CHAIN, len(parts), *parts)

    def _words(self, words: frozenset[str], *, near: bool) -> int:
        """The node of a set of words: common beginnings once, longer words first."""
        key = words, near
        if key not in self._sets:
            latin = any(word[:1].isascii() or word[-1:].isascii() for word in words)
            self._sets[key] = self._latin(words) if latin else self._branches(words, near=near)
        return self._sets[key]

    def _branches(self, words: frozenset[str], *, near: bool) -> int:
        if len(words) == 1:
            (word,) = words
            if not any(map(str.isascii, word)):
                return self._node(Node.LITERAL, near, len(word), *map(ord, word))
        return self._branch(words, partial(self._words, near=near), near=near)

    def _plain(self, words: frozenset[str]) -> int:
        """The node of words that are looked for as they are, wherever they stand."""
        return self._branch(words, self._plain, near=False)

    def _branch(
        self, words: frozenset[str], follow: Callable[[frozenset[str]], int], *, near: bool
    ) -> int:
        """The node of words by their first characters; `follow` writes what comes after one."""
        members: list[int] = []
        children = _children(words)
        for first in sorted(children):
            rest = frozenset(children[first] - {""})
            members += (ord(first), "" in children[first], follow(rest) if rest else -1)
        return self._node(Node.BRANCH, near, len(children), *members)

    def _latin(self, words: Iterable[str]) -> int:
        """Words some of which begin or end in Latin letters: these need a border."""
        members: list[int] = []
        ordered = sorted(words, key=lambda word: (-len(word), word))
        for word in ordered:
            borders = _is_letter(word[:1]), _is_letter(word[-1:])
            members += (*borders, len(word), *map(ord, word))
        return self._node(Node.LATIN, len(ordered), *members)

    def _node(self, *numbers: int) -> int:
        key = tuple(map(int, numbers))
        if key not in self._places:
            self._places[key] = len(self._nodes)
            self._nodes.extend(key)
        return self._places[key]


_FORWARD: Mapping[str, Step] = {
    "^": Step.AFTER_BREAK,
    "$": Step.BEFORE_BREAK,
    "^^": Step.AFTER_TURN,
    "$$": Step.BEFORE_CLOSE,
}
_BACKWARD: Mapping[str, Step] = {
    "^": Step.BEFORE_BREAK,
    "$": Step.AFTER_BREAK,
    "^^": Step.BEFORE_TURN,
    "$$": Step.AFTER_TURN,
}


def _is_letter(char: str) -> bool:
    return "a" <= char <= "z"


def _children(words: Iterable[str]) -> dict[str, set[str]]:
    """The rests of words by their first characters."""
    children: dict[str, set[str]] = {}
    for word in words:
        children.setdefault(word[0], set()).add(word[1:])
    return children


def _forms(words: Iterable[str], way: Way) -> frozenset[str]:
    """The words as they stand in the text or the codes, in the direction of reading."""
    if way.by_sound:
        return frozenset(way.turned(code) for word in words for code in readings(word))
    return frozenset(map(way.turned, words))


def _firsts(tree: Tree | str, way: Way, *, near: bool) -> tuple[frozenset[str], bool]:
    """What the words of a tree begin with in the direction of reading, and if one may be empty."""
    if isinstance(tree, str):
        found = {form[0] for form in _forms((tree,), way) if form}
        if near:
            found.update(*[neighbours().get(first, "") for first in found])
        return frozenset(found), not tree
    found = set()
    if tree.kind == "seq":
        for part in reversed(tree.parts) if way.backward else tree.parts:
            firsts, empty = _firsts(part, way, near=near)
            found |= firsts
            if not empty:
                return frozenset(found), False
        return frozenset(found), True
    branches = [_firsts(part, way, near=near) for part in tree.parts]
    found.update(*(firsts for firsts, _ in branches))
    return frozenset(found), any(empty for _, empty in branches)


@cache
def near_ones() -> Bytes:
    """A bit for each syllable that is easily taken for another: rows meant, columns heard."""
    near = neighbours()
    table = np.zeros((len(near), len(near)), dtype=bool)
    for code, others in near.items():
        table[ord(code) - CODE_BASE, [ord(other) - CODE_BASE for other in others]] = True
    return np.packbits(table, axis=1, bitorder="little")

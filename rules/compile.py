"""Patterns as expressions over characters and syllables, read both ways from a trigger."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from rules.grammar import Anchor, Builtin, Gap, Item, Look, Tree, Words
from rules.normalise import BREAKS, HARD, SOFT, TURN
from rules.numbers import NUMBER_REST, NUMBER_START
from rules.phonetic import neighbours, readings
from rules.plausible import SHORT, Sounds, allowed

WIDE = 150
"""Classes with more words than this are matched by exact syllables, not by near ones."""

GLANCE = 3
"""Words with fewer first characters than this are tried at once."""

_JOINT = f"{SOFT}?"
_FORWARD = {
    "^": f"(?<=[{BREAKS}])",
    "$": f"(?=[{BREAKS}])",
    "^^": f"(?<={TURN})",
    "$$": f"(?={SOFT}?[{HARD}]*{TURN})",
}
_BACKWARD = {
    "^": f"(?=[{BREAKS}])",
    "$": f"(?<=[{BREAKS}])",
    "^^": f"(?={SOFT}?{TURN})",
    "$$": f"(?<={TURN})",
}
_LATIN_START, _LATIN_END = re.compile("^[a-z]"), re.compile("[a-z]$")


@dataclass(frozen=True, slots=True)
class Way:
    """How an expression is read: over syllable codes or characters, backwards or forwards."""

    by_sound: bool
    backward: bool = False

    def turned(self, word: str) -> str:
        """The word in the direction of reading."""
        return word[::-1] if self.backward else word


def _latin(words: Iterable[str]) -> str:
    """An expression for words some of which begin or end in Latin letters: these need a border."""
    parts = []
    for word in sorted(words, key=lambda word: (-len(word), word)):
        before = "(?<![a-z])" if _LATIN_START.search(word) else ""
        after = "(?![a-z])" if _LATIN_END.search(word) else ""
        parts.append(f"{before}{re.escape(word)}{after}")
    return "|".join(parts)


def _syllable(code: str, *, near: bool) -> str:
    """One syllable, or one that is easily taken for it."""
    others = neighbours().get(code, "") if near else ""
    return f"[{code}{others}]" if others else re.escape(code)


@lru_cache(maxsize=8192)
def _word_set(words: frozenset[str], *, near: bool) -> str:
    """One expression for many words: common beginnings written once, longer words first."""
    if any(word[:1].isascii() or word[-1:].isascii() for word in words):
        return _latin(words)
    children: dict[str, set[str]] = {}
    for word in words:
        children.setdefault(word[0], set()).add(word[1:])
    parts = []
    for first in sorted(children):
        head, rest = _syllable(first, near=near), frozenset(children[first] - {""})
        if rest:
            head += f"(?:{_word_set(rest, near=near)})" + ("?" if "" in children[first] else "")
        parts.append(head)
    return "|".join(parts)


def _forms(words: Iterable[str], way: Way) -> frozenset[str]:
    """The words as they stand in the text or the codes, in the direction of reading."""
    if way.by_sound:
        return frozenset(way.turned(code) for word in words for code in readings(word))
    return frozenset(map(way.turned, words))


sounds_of = lru_cache(maxsize=8192)(Sounds)
"""How a set of words sounds; patterns with the same words share it."""


@lru_cache(maxsize=8192)
def _tree(tree: Tree | str, way: Way, *, near: bool) -> str:
    """The expression of a tree of words."""
    if isinstance(tree, str):
        return _word_set(_forms((tree,), way), near=near)
    if tree.kind == "seq":
        parts = [f"(?:{_tree(part, way, near=near)})" for part in tree.parts if part]
        return "".join(reversed(parts) if way.backward else parts)
    leaves = [part for part in tree.parts if isinstance(part, str) and part]
    branches = [_tree(part, way, near=near) for part in tree.parts if not isinstance(part, str)]
    if leaves:
        branches.append(_word_set(_forms(leaves, way), near=near))
    body = "|".join(branches)
    return f"(?:{body})?" if "" in tree.parts else body


@lru_cache(maxsize=8192)
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


def _glance(item: Words, way: Way, *, near: bool) -> str:
    """A look at the next character, which spares trying many words one by one."""
    firsts, empty = _firsts(item.tree, way, near=near)
    if empty or len(firsts) < GLANCE:
        return ""
    return f"(?=[{''.join(map(re.escape, sorted(firsts)))}])"


def _look(look: Look, way: Way) -> str:
    words = sorted(_forms(look.words, way))
    if look.behind is not way.backward:
        return "".join(f"(?<!{re.escape(word)})" for word in words)
    return f"(?!{SOFT}?(?:{'|'.join(map(re.escape, words))}))"


def _expression(items: Sequence[Item], way: Way, *, loose: bool = False) -> str:
    """The regular expression; each `Words` and `Builtin` item is one capturing group.

    `loose`: a word stands right before it, so that a comma may come between.
    """
    parts: list[str] = []
    for item in reversed(items) if way.backward else items:
        if isinstance(item, Gap):
            breaks = HARD + TURN if item.soft else BREAKS
            parts.append(f"[^{breaks}]{{0,{item.most}}}?")
            loose = False
        elif isinstance(item, Anchor):
            parts.append((_BACKWARD if way.backward else _FORWARD)[item.kind])
        elif isinstance(item, Look):
            parts.append(_look(item, way))
        else:
            joint = _JOINT if loose else ""
            body = _body(item, way)
            parts.append(f"(?:{joint}({body}))?" if item.optional else f"{joint}({body})")
            loose = True
    return "".join(parts)


def _body(item: Words | Builtin, way: Way) -> str:
    if isinstance(item, Words):
        # What may be left out is not guessed at: a near guess would shut out a better reading.
        near = way.by_sound and not item.optional and len(item.words) <= WIDE
        return _glance(item, way, near=near) + f"(?:{_tree(item.tree, way, near=near)})"
    number = f"{NUMBER_START}{NUMBER_REST}*"
    return f"{NUMBER_REST}*{NUMBER_START}" if way.backward else number


@dataclass(frozen=True, slots=True)
class Style:
    """How a pattern may match: by sound or not, short words by sound or not."""

    phonetic: bool = True
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Half:
    """What stands on one side of a trigger: an expression, and the item behind each group."""

    match: Callable[[str, int], re.Match[str] | None]
    groups: tuple[int, ...]


@dataclass(frozen=True)
class Compiled:
    """One alternative of one pattern of one `words` condition."""

    condition: int
    entry: int
    items: tuple[Item, ...]
    style: Style = Style()
    _halves: dict[tuple[int, int, bool], tuple[Half | None, Half | None]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def halves(self, first: int, last: int, *, by_sound: bool) -> tuple[Half | None, Half | None]:
        """What must stand after the items [first, last) and before them; None: nothing must."""
        key = (first, last, by_sound)
        held = self._halves.get(key)
        if held is None:
            held = self._halves[key] = (
                self._half(self.items[last:], last, Way(by_sound)),
                self._half(self.items[:first], 0, Way(by_sound, backward=True)),
            )
        return held

    def _half(self, items: tuple[Item, ...], first: int, way: Way) -> Half | None:
        if not items:
            return None
        beside = items[-1] if way.backward else items[0]
        source = _expression(items, way, loose=isinstance(beside, Words | Builtin))
        groups = [first + n for n, item in enumerate(items) if isinstance(item, Words | Builtin)]
        return Half(re.compile(source).match, tuple(reversed(groups) if way.backward else groups))

    @cached_property
    def by_characters(self) -> re.Pattern[str]:
        """Finds the whole pattern in normal-form text."""
        return re.compile(_expression(self.items, Way(by_sound=False)))

    @cached_property
    def by_sound(self) -> re.Pattern[str]:
        """Finds the whole pattern, or what sounds much like it, in a code string."""
        return re.compile(_expression(self.items, Way(by_sound=True)))

    @cached_property
    def sounds(self) -> tuple[Sounds, ...]:
        """For each item how its words sound; items that are no words have none."""
        return tuple(
            sounds_of(item.words if isinstance(item, Words) else ()) for item in self.items
        )

    @cached_property
    def codes(self) -> frozenset[str]:
        """The codes of all words of the pattern."""
        return frozenset(code for sounds in self.sounds for code in sounds.codes)

    @cached_property
    def tolerance(self) -> float:
        """What a match by sound may cost at most."""
        return allowed(self.syllables, 1, strong=self.style.strong)

    @cached_property
    def syllables(self) -> int:
        """Syllables of the longest match, gaps and numbers left out."""
        return sum(max(map(len, item.words)) for item in self.items if isinstance(item, Words))

    @cached_property
    def numeric(self) -> bool:
        """Whether it names a builtin, and so is searched for where numbers are masked."""
        return any(isinstance(item, Builtin) for item in self.items)

    @cached_property
    def may_sound(self) -> bool:
        """Whether it can have syllables enough to be matched by sound at all."""
        return self.style.phonetic and (self.style.strong or self.syllables >= SHORT)

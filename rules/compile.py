"""Patterns made ready for search: regular expressions over characters and syllables, and what triggers them."""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from rules.grammar import Anchor, Builtin, Gap, Item, Look, Tree, Words
from rules.normalise import BREAKS, HARD, SOFT, TURN
from rules.numbers import NUMBER_REST, NUMBER_START
from rules.ordinary import commonness
from rules.phonetic import neighbours, readings

SHORT = 3
"""Syllables from which a pattern matches by sound."""

CORE_WORDS = 300
"""A trigger may stand for this many combinations of words at most."""

SIDE_WORDS = 80
SIDE_COST = 0.5
"""A second run of words triggers a search, too, if it is heard less often than this in 1,000 characters."""

_JOINT = f"{SOFT}?"
_ANCHORS = {
    "^": f"(?<=[{BREAKS}])",
    "$": f"(?=[{BREAKS}])",
    "^^": f"(?<={TURN})",
    "$$": f"(?={SOFT}?[{HARD}]*{TURN})",
}
_LATIN_START, _LATIN_END = re.compile("^[a-z]"), re.compile("[a-z]$")


WIDE = 150
"""Classes with more words than this are matched by exact syllables, not by near ones."""


def _plain_word(word: str) -> str:
    before = "(?<![a-z])" if _LATIN_START.search(word) else ""
    after = "(?![a-z])" if _LATIN_END.search(word) else ""
    return f"{before}{re.escape(word)}{after}"


def _sounds(words: Iterable[str]) -> list[str]:
    found = {code for word in words for code in readings(word)}
    return sorted(found, key=lambda code: (-len(code), code))


def _syllable(code: str, *, near: bool) -> str:
    """One syllable, or one that is easily taken for it."""
    others = neighbours().get(code, "") if near else ""
    return f"[{code}{others}]" if others else re.escape(code)


@lru_cache(maxsize=4096)
def _word_set(words: frozenset[str], *, by_sound: bool, near: bool) -> str:
    """One expression for many words: common beginnings are written once, longer words come first."""
    if not by_sound and any(word[:1].isascii() or word[-1:].isascii() for word in words):
        return "|".join(map(_plain_word, sorted(words, key=lambda word: (-len(word), word))))
    children: dict[str, set[str]] = {}
    for word in words:
        if word:
            children.setdefault(word[0], set()).add(word[1:])
    parts = []
    for first in sorted(children):
        head = _syllable(first, near=near) if by_sound else re.escape(first)
        rest = frozenset(children[first])
        if rest == {""}:
            parts.append(head)
            continue
        tail = _word_set(rest - {""}, by_sound=by_sound, near=near)
        parts.append(f"{head}(?:{tail})" + ("?" if "" in rest else ""))
    return "|".join(parts)


@lru_cache(maxsize=4096)
def _tree(tree: Tree | str, *, by_sound: bool, near: bool) -> str:
    """The expression of a tree of words."""
    if isinstance(tree, str):
        words = frozenset(readings(tree)) if by_sound else frozenset((tree,))
        return _word_set(words, by_sound=by_sound, near=near)
    if tree.kind == "seq":
        return "".join(f"(?:{_tree(part, by_sound=by_sound, near=near)})" for part in tree.parts if part)
    leaves = [part for part in tree.parts if isinstance(part, str) and part]
    branches = [
        _tree(part, by_sound=by_sound, near=near) for part in tree.parts if not isinstance(part, str)
    ]
    if leaves:
        words = frozenset(_sounds(leaves)) if by_sound else frozenset(leaves)
        branches.append(_word_set(words, by_sound=by_sound, near=near))
    body = "|".join(branches)
    return f"(?:{body})?" if "" in tree.parts else body


def _gap(gap: Gap) -> str:
    breaks = HARD + TURN if gap.soft else BREAKS
    return f"[^{breaks}]{{0,{gap.most}}}?"


def _look(look: Look, words: Iterable[str]) -> str:
    if look.behind:
        return "".join(f"(?<!{re.escape(word)})" for word in words)
    return f"(?!{SOFT}?(?:{'|'.join(map(re.escape, words))}))"


def _expression(items: Sequence[Item], *, by_sound: bool) -> str:
    """The regular expression; each `Words` and `Builtin` item is one capturing group."""
    parts: list[str] = []
    loose = False
    for item in items:
        if isinstance(item, Gap):
            parts.append(_gap(item))
            loose = False
            continue
        if isinstance(item, Anchor):
            parts.append(_ANCHORS[item.kind])
            continue
        if isinstance(item, Look):
            parts.append(_look(item, _sounds(item.words) if by_sound else item.words))
            continue
        if isinstance(item, Builtin):
            body = f"{NUMBER_START}{NUMBER_REST}*"
        else:
            body = _tree(item.tree, by_sound=by_sound, near=by_sound and len(item.words) <= WIDE)
        joint = _JOINT if loose else ""
        parts.append(f"(?:{joint}({body}))?" if item.optional else f"{joint}({body})")
        loose = True
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Style:
    """How a pattern may match: by sound or not, short words by sound or not, leniently or not."""

    phonetic: bool = True
    strong: bool = False


@dataclass(frozen=True)
class Compiled:
    """One alternative of one pattern of one `words` condition."""

    condition: int
    entry: int
    items: tuple[Item, ...]
    style: Style = Style()
    reach: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reach", sum(map(_most, self.items)) + 2)

    @cached_property
    def by_characters(self) -> re.Pattern[str]:
        """Finds the pattern in normal-form text."""
        return re.compile(_expression(self.items, by_sound=False))

    @cached_property
    def by_sound(self) -> re.Pattern[str]:
        """Finds the pattern, or what sounds much like it, in a code string."""
        return re.compile(_expression(self.items, by_sound=True))

    @cached_property
    def groups(self) -> tuple[Words | Builtin, ...]:
        """The items behind the capturing groups, in order."""
        return tuple(item for item in self.items if isinstance(item, Words | Builtin))

    @cached_property
    def sounds(self) -> tuple[dict[int, tuple[tuple[str, str], ...]], ...]:
        """For each group: by length, the codes of each word and the word."""
        found = []
        for item in self.groups:
            by_length: dict[int, list[tuple[str, str]]] = {}
            for word in item.words if isinstance(item, Words) else ():
                for code in readings(word):
                    by_length.setdefault(len(code), []).append((code, word))
            found.append({length: tuple(pairs) for length, pairs in by_length.items()})
        return tuple(found)

    @cached_property
    def numeric(self) -> bool:
        """Whether it names a builtin, and so is searched for where numbers are masked."""
        return any(isinstance(item, Builtin) for item in self.items)

    @cached_property
    def may_sound(self) -> bool:
        """Whether it can have syllables enough to be matched by sound at all."""
        most = sum(max(map(len, item.words)) for item in self.items if isinstance(item, Words))
        return self.style.phonetic and (self.style.strong or most >= SHORT)

    @cached_property
    def longest_word(self) -> int:
        """Characters of the longest word of the pattern."""
        return max(len(word) for item in self.groups if isinstance(item, Words) for word in item.words)


def _most(item: Item) -> int:
    if isinstance(item, Gap):
        return item.most
    if isinstance(item, Words):
        return max(map(len, item.words)) + 1
    return 20 if isinstance(item, Builtin) else 0


def _chunks(items: Sequence[Item]) -> Iterator[list[Words]]:
    """Runs of words with no gap between them."""
    run: list[Words] = []
    for item in items:
        if isinstance(item, Words):
            run.append(item)
        elif isinstance(item, Gap | Builtin) and run:
            yield run
            run = []
    if run:
        yield run


def _strings(run: Sequence[Words]) -> tuple[str, ...]:
    sets = [(*item.words, "") if item.optional else item.words for item in run]
    return tuple(dict.fromkeys("".join(pick) for pick in itertools.product(*sets)))


def _size(run: Sequence[Words]) -> int:
    size = 1
    for item in run:
        size *= len(item.words) + item.optional
    return size


def _shortest(run: Sequence[Words]) -> int:
    return sum(0 if item.optional else min(map(len, item.words)) for item in run)


@dataclass(frozen=True, slots=True)
class _Core:
    """Strings of which one must stand in every match, and what it costs to be triggered by them."""

    strings: tuple[str, ...]
    shortest: int
    cost: float


def _core(run: Sequence[Words]) -> _Core | None:
    """The part of a run whose strings are heard least often in ordinary talk."""
    found: list[_Core] = []
    for i in range(len(run)):
        for j in range(i + 1, len(run) + 1):
            part = run[i:j]
            if _size(part) <= CORE_WORDS and _shortest(part):
                strings = tuple(s for s in _strings(part) if s)
                found.append(_Core(strings, _shortest(part), sum(map(commonness, strings))))
    return min(found, key=_preference, default=None)


def _preference(core: _Core) -> tuple[bool, float, int]:
    return core.shortest < 2, core.cost, -core.shortest  # noqa: PLR2004  one syllable is too little to hear


def triggers(pattern: Compiled) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Strings of which one must be there: those of the best run, and those of the other rare runs."""
    cores = [core for run in _chunks(pattern.items) if (core := _core(run)) is not None]
    if not cores:
        wide = [item for item in pattern.items if isinstance(item, Words) and not item.optional]
        words = min(wide, key=lambda item: len(item.words)).words
        cores = [_Core(words, min(map(len, words)), 0.0)]
    cores.sort(key=_preference)
    first, *others = cores
    side = [
        string
        for core in others
        if core.shortest > 1 and len(core.strings) <= SIDE_WORDS and core.cost < SIDE_COST
        for string in core.strings
    ]
    return first.strings, tuple(side)


def near_variants(codes: str) -> Iterator[str]:
    """The code strings that differ from this one in one syllable which is easily taken for it."""
    near = neighbours()
    for at, code in enumerate(codes):
        for other in near.get(code, ""):
            yield codes[:at] + other + codes[at + 1 :]

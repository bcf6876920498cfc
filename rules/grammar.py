"""The pattern language: one line of text to sequences of words, gaps, anchors and looks."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rules.normalise import BREAKS, FILLERS, plain
from rules.numbers import BUILTINS

CLAUSE_GAP, SENTENCE_GAP, MAX_GAP = 6, 12, 60
MAX_WORDS = 20_000
MAX_ALTERNATIVES = 64
MAX_LITERAL = 64
SAME: Mapping[str, str] = {"你": "你您", "您": "你您"}
"""Characters of a pattern that stand for each other: politeness is no licence."""


class PatternError(ValueError):
    """A pattern that cannot be read: `column` counts from 0 inside the pattern."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.column = column


@dataclass(frozen=True, slots=True)
class Tree:
    """How a set of words is built: `kind` is `alt` or `seq`.

    Leaves are texts, "" stands for nothing.
    """

    kind: str
    parts: tuple["Tree | str", ...]


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """One of these words stands here (or nothing, where `optional`)."""

    words: tuple[str, ...]
    optional: bool = False
    tree: Tree | str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Up to `most` characters, crossing commas where `soft`."""

    most: int
    soft: bool


@dataclass(frozen=True, slots=True)
class Anchor:
    """`^`, `$` (clause) or `^^`, `$$` (turn)."""

    kind: str


@dataclass(frozen=True, slots=True)
class Look:
    """None of these words follows here, or stands before, where `behind`."""

    words: tuple[str, ...]
    behind: bool


@dataclass(frozen=True, slots=True)
class Builtin:
    """A number of some kind."""

    name: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class _Group:
    options: tuple[tuple["_Node", ...], ...]
    optional: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Literal(Words):
    """Characters that stand in the pattern itself: neighbours become one word."""


Item = Words | Gap | Anchor | Look | Builtin
_Node = Item | _Group
_BREAKS = frozenset(BREAKS)
_IS_DROPPED = "is dropped from every text before it is searched"
_TOKEN = re.compile(
    r"\s+|(?P<gap>\.{2,3}(?P<size>\d*))|(?P<anchor>\^\^|\$\$|\^|\$)|(?P<look>!<?\()"
    r"|(?P<open>\()|(?P<close>\))|(?P<bar>\|)|(?P<maybe>\?)|\{(?P<name>[^{}]*)\}|(?P<char>.)",
    re.DOTALL,
)


class _Reader:
    """Reads one pattern from left to right."""

    def __init__(self, text: str, lexicon: Mapping[str, Words]) -> None:
        self.tokens = [m for m in _TOKEN.finditer(text) if not m[0].isspace()]
        self.text = text
        self.lexicon = lexicon
        self.at = 0

    def fail(self, message: str) -> PatternError:
        here = self.tokens[self.at].start() if self.at < len(self.tokens) else len(self.text)
        return PatternError(message, here)

    def options(self, *, inside: bool) -> tuple[tuple[_Node, ...], ...]:
        found: list[tuple[_Node, ...]] = []
        branch: list[_Node] = []
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token["close"]:
                if not inside:
                    raise self.fail("')' without '('")
                break
            self.at += 1
            if token["bar"]:
                found.append(tuple(branch))
                branch = []
            else:
                self.node(token, branch)
        else:
            if inside:
                raise self.fail("'(' without ')'")
        found.append(tuple(branch))
        return tuple(found)

    def node(self, token: "re.Match[str]", branch: list[_Node]) -> None:
        if token["gap"]:
            branch.append(self.gap(token))
        elif token["anchor"]:
            branch.append(Anchor(token["anchor"]))
        elif token["look"] or token["open"]:
            branch.append(self.group(token["look"]))
        elif token["maybe"]:
            self.make_optional(branch)
        elif token["name"] is not None:
            branch.append(self.reference(token["name"].strip()))
        else:
            self.character(token["char"], branch)

    def gap(self, token: "re.Match[str]") -> Gap:
        soft = token["gap"].startswith("...")
        most = int(token["size"]) if token["size"] else (SENTENCE_GAP if soft else CLAUSE_GAP)
        if most > MAX_GAP:
            self.at -= 1
            raise self.fail(f"a gap may be {MAX_GAP} characters at most")
        return Gap(most, soft)

    def group(self, look: str | None) -> _Node:
        start = self.at
        options = self.options(inside=True)
        self.at += 1
        group = _Group(options, optional=False)
        if look is None:
            self.refuse_lost(options, start)
            return group
        words = _words_of(group)
        if words is None:
            self.at -= 1
            raise self.fail("!( ) may hold words only")
        return Look(words, behind=look == "!<(")

    def refuse_lost(self, options: tuple[tuple[_Node, ...], ...], start: int) -> None:
        """Refuse a choice that normalisation drops whole, unless the bracket may be left out."""
        if self.at < len(self.tokens) and self.tokens[self.at]["maybe"]:
            return
        for option in options:
            said = [node.words[0] for node in option if isinstance(node, _Literal)]
            if said and len(said) == len(option) and not plain("".join(said)):
                self.at = start
                raise self.fail(
                    f"{''.join(said)!r} {_IS_DROPPED}: leave it out, and let the bracket be "
                    "left out too, with ?"
                )

    def make_optional(self, branch: list[_Node]) -> None:
        last = branch.pop() if branch else None
        if isinstance(last, Words):
            branch.append(Words(last.words, optional=True, tree=last.tree))
        elif isinstance(last, _Group):
            branch.append(_Group(last.options, optional=True))
        elif isinstance(last, Builtin):
            branch.append(Builtin(last.name, optional=True))
        else:
            self.at -= 1
            raise self.fail("'?' must follow a character, a bracket or a class")

    def reference(self, name: str) -> _Node:
        if name.startswith("="):
            return self.exactly(name[1:].strip())
        if name in self.lexicon:
            return self.lexicon[name]
        if name in BUILTINS:
            return Builtin(name)
        self.at -= 1
        raise self.fail(f"no lexicon class is called {name!r}")

    def exactly(self, text: str) -> _Literal:
        """Characters of which none stands for another."""
        if not text or len(plain(text)) != len(text) or _BREAKS & set(plain(text)):
            self.at -= 1
            raise self.fail("{= } holds characters that every text keeps")
        return _Literal((text,), tree=text)

    def character(self, char: str, branch: list[_Node]) -> None:
        if plain(char) in _BREAKS:
            self.at -= 1
            raise self.fail(f"{char!r} cannot be matched; use ^, $ or a gap")
        if not plain(char):
            self.at -= 1
            raise self.fail(
                f"{char!r} {_IS_DROPPED}: leave it out, and where it was to end the words, write $"
            )
        alike = tuple(SAME.get(char, char))
        tree = char if len(alike) == 1 else Tree("alt", alike)
        branch.append(_Literal(alike, tree=tree))


def _words_of(node: _Node) -> tuple[str, ...] | None:
    """The words that a node stands for, or None where it holds more than words."""
    if isinstance(node, Words):
        return (*node.words, "") if node.optional else node.words
    if not isinstance(node, _Group):
        return None
    found: dict[str, None] = {}
    for option in node.options:
        parts = [_words_of(part) for part in option]
        sets = [part for part in parts if part is not None]
        if len(sets) != len(parts):
            return None
        size = 1
        for part in sets:
            size *= len(part)
        if size > MAX_WORDS:
            return None
        found |= dict.fromkeys("".join(pick) for pick in itertools.product(*sets))
    if node.optional:
        found[""] = None
    return tuple(found)


def _tree_of(node: _Node) -> Tree | str:
    """The tree of a node that holds words only."""
    if isinstance(node, Words):
        return Tree("alt", (node.tree, "")) if node.optional else node.tree
    assert isinstance(node, _Group)
    options: list[Tree | str] = []
    for option in node.options:
        parts: list[Tree | str] = []
        for part in map(_tree_of, option):
            if isinstance(part, str) and parts and isinstance(parts[-1], str):
                parts[-1] += part
            else:
                parts.append(part)
        trimmed = tuple(plain(part) if isinstance(part, str) else part for part in parts)
        options.append(trimmed[0] if len(trimmed) == 1 else Tree("seq", trimmed))
    if node.optional:
        options.append("")
    return options[0] if len(options) == 1 else Tree("alt", tuple(dict.fromkeys(options)))


def _sequences(options: Sequence[Sequence[_Node]]) -> list[list[Item]]:
    """Multiply out the groups that hold more than words."""
    found: list[list[Item]] = []
    for option in options:
        partial: list[list[Item]] = [[]]
        for node in option:
            words = _words_of(node)
            if words is not None:
                kept = tuple(word for word in words if word)
                single = isinstance(node, _Literal) or len(words) == 1
                kind = _Literal if single else Words
                item = kind(kept, optional="" in words, tree=_tree_of(node))
                partial = [[*head, item] for head in partial] if kept else partial
            elif isinstance(node, _Group):
                tails = _sequences(node.options) + ([[]] if node.optional else [])
                partial = [[*head, *tail] for head in partial for tail in tails]
            else:
                partial = [[*head, node] for head in partial]
            if len(partial) > MAX_ALTERNATIVES:
                raise PatternError("too many alternatives that hold gaps; split the pattern", 0)
        found += partial
    return found


def _join(items: list[Item]) -> tuple[Item, ...]:
    """Merge neighbouring literals into words, and bring all words into normal form."""
    found: list[Item] = []
    for item in items:
        last = found[-1] if found else None
        if isinstance(item, _Literal) and isinstance(last, _Literal):
            pairs = itertools.product(last.words, item.words)
            words = tuple("".join(pair) for pair in pairs)
            if len(words) <= MAX_LITERAL:
                found[-1] = _Literal(words, tree=_beside(last.tree, item.tree))
                continue
        found.append(item)
    return tuple(_normal(item) for item in found)


def _beside(before: Tree | str, after: Tree | str) -> Tree | str:
    """The tree of two texts that follow each other."""
    if isinstance(before, str) and isinstance(after, str):
        return before + after
    parts = before.parts if isinstance(before, Tree) and before.kind == "seq" else (before,)
    if isinstance(parts[-1], str) and isinstance(after, str):
        return Tree("seq", (*parts[:-1], parts[-1] + after))
    return Tree("seq", (*parts, after))


def _normal(item: Item) -> Item:
    if isinstance(item, Words):
        return Words(_forms(item.words), item.optional, _plain_tree(item.tree))
    if isinstance(item, Look):
        return Look(_forms(item.words), item.behind)
    return item


def _plain_tree(tree: Tree | str) -> Tree | str:
    if isinstance(tree, str):
        return plain(tree)
    return Tree(tree.kind, tuple(map(_plain_tree, tree.parts)))


def _forms(words: Sequence[str]) -> tuple[str, ...]:
    """The normal forms of words. Raises `PatternError` where one loses what made it that word."""
    forms = {word: plain(word) for word in words}
    whole = {form for word, form in forms.items() if len(form) == len(word)} | {""}
    for word, form in forms.items():
        if form not in whole and any(filler in word for filler in FILLERS):
            raise PatternError(f"{word!r} becomes {form!r}: a part of it {_IS_DROPPED}", 0)
    return tuple(dict.fromkeys(form for form in forms.values() if form))


def parse_pattern(text: str, lexicon: Mapping[str, Words]) -> tuple[tuple[Item, ...], ...]:
    """Read a pattern into its alternatives, each a sequence of items.

    Raises `PatternError` with the column of the fault.
    """
    reader = _Reader(text, lexicon)
    alternatives = [_join(items) for items in _sequences(reader.options(inside=False))]
    for items in alternatives:
        if not any(isinstance(item, Words) and item.words and not item.optional for item in items):
            raise PatternError("each alternative needs at least one word that is not optional", 0)
        for item in items:
            if isinstance(item, Words) and not item.words:
                raise PatternError("a word is empty after normalisation", 0)
    return tuple(alternatives)


def parse_class(texts: Sequence[str], lexicon: Mapping[str, Words]) -> Words:
    """Read the entries of a lexicon class into the words they stand for.

    Raises `PatternError`.
    """
    options: list[tuple[_Node, ...]] = []
    for text in texts:
        options += _Reader(text, lexicon).options(inside=False)
    group = _Group(tuple(options), optional=False)
    words = _words_of(group)
    if words is None:
        raise PatternError(f"a class may hold words only, and at most {MAX_WORDS} of them", 0)
    kept = _forms(words)
    if not kept:
        raise PatternError("the class is empty after normalisation", 0)
    return Words(kept, tree=_tree_of(group))

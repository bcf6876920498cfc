"""A compiled pack as bytes and back: plain JSON, arrays and automata, no code and no pickles.

The bytes begin with `MAGIC` and a SHA-256 of all that follows; then come the length of the JSON,
the JSON, and the blobs that it refers to.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from datetime import date
from enum import Enum
from typing import Any

import daachorse
import numpy as np
import orjson

from rules import compile as compiled
from rules import grammar, needs, program, reader, rule, sow
from rules.document import Voice
from rules.grammar import Words
from rules.match import Matcher
from rules.model import Disposition, Severity
from rules.phonetic import readings
from rules.rule import Pack
from rules.seeds import Sower
from rules.tables import TABLES
from rules.unless import Unless

MAGIC = b"hegui pack image 1\n"
_ALIGNED, _SUM, _LENGTH = 64, 32, 8
_PLAIN = frozenset({str, int, float, bool, type(None)})
_ENUMS = {kind.__name__: kind for kind in (Voice, Disposition, Severity)}
_KINDS = {
    kind.__name__: kind
    for kind in (
        *(grammar.Words, grammar.Gap, grammar.Anchor, grammar.Look, grammar.Builtin, grammar.Tree),
        *(compiled.Compiled, compiled.Style, sow.Sown, sow.Pass, needs.Needs, needs.Column),
        *(program.Program, program.Wholes),
        *(rule.Title, rule.Within, rule.Entry, rule.WordsCondition, rule.CueCondition),
        *(rule.AnyCondition, rule.AllCondition, rule.NotCondition, rule.Step, rule.Binding),
        *(rule.SequenceCondition, rule.RepeatedCondition, rule.AbsentCondition, rule.Article),
        *(rule.FactsCondition, rule.FindingsCondition, rule.Parameter, rule.Tests, rule.Rule),
        *(rule.NotChecked, rule.Pack, reader.Reader, reader.Weights),
    )
}


class ImageError(ValueError):
    """The bytes are not the image of a pack, or are damaged."""


def to_bytes(pack: Pack) -> bytes:
    """The image of a compiled pack: `from_bytes` makes an equal one of it in far less time."""
    writer = _Writer()
    tables = {name: table() for name, table in TABLES.items() if name != "phrase_readings"}
    tables["phrase_readings"] = _spoken(pack)
    document = {"tables": writer.value(tables), "pack": writer.value(pack)}
    head = orjson.dumps(document | {"objects": writer.objects, "blobs": writer.places})
    body = (len(head).to_bytes(_LENGTH), head, *writer.blobs)
    total = hashlib.sha256()
    for part in body:
        total.update(part)
    return b"".join((MAGIC, total.digest(), *body))


def from_bytes(image: bytes) -> Pack:
    """The pack of an image. Raises `ImageError`."""
    start = len(MAGIC) + _SUM
    body = memoryview(image)[start:]
    if not image.startswith(MAGIC) or hashlib.sha256(body).digest() != image[len(MAGIC) : start]:
        raise ImageError("not the image of a pack, or damaged")
    end = _LENGTH + int.from_bytes(body[:_LENGTH])
    try:
        document = orjson.loads(body[_LENGTH:end])
        reader = _Reader(document, body[end:])
        for name, table in reader.value(document["tables"]).items():
            TABLES[name].take(table)
        pack: Pack = reader.value(document["pack"])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ImageError("not the image of a pack of this version") from error
    return pack


def _spoken(pack: Pack) -> dict[str, str]:
    """How the words of all patterns are read as phrases, where that takes a dictionary."""
    patterns = [pattern for matcher in pack.matchers.values() for pattern in matcher.patterns]
    patterns += [pattern for group in pack.unless.groups.values() for pattern in group]
    items = [item for p in patterns for item in p.items if isinstance(item, Words | grammar.Look)]
    words = {word for item in items for word in item.words}
    words |= {leaf for p in patterns for leaf in _leaves(p.items)}
    for word in words:
        readings(word)
    known = TABLES["phrase_readings"]()
    return {word: known[word] for word in sorted(words) if word in known}


def _leaves(items: Iterable[Any]) -> Iterable[str]:
    """The texts in the trees of words."""
    for item in items:
        tree = item.tree if isinstance(item, Words) else item
        if isinstance(tree, str):
            yield tree
        elif isinstance(tree, grammar.Tree):
            yield from _leaves(tree.parts)


class _Writer:
    """Turns values into JSON; equal objects are written once, arrays and automata as blobs."""

    def __init__(self) -> None:
        self.objects: list[orjson.Fragment] = []
        self.blobs: list[bytes] = []
        self.places: list[Any] = []
        self._numbers: dict[bytes, int] = {}
        self._met: dict[int, tuple[Any, Any]] = {}
        self._at = 0
        self._shapes: dict[type[Any], Callable[[Any], Any]] = {
            tuple: self._tuple,
            dict: lambda v: ["m", self._all(v.keys()), self._all(v.values())],
            list: lambda v: ["l", *self._all(v)],
            frozenset: lambda v: ["f", *sorted(self._all(v), key=orjson.dumps)],
            date: lambda v: ["d", v.isoformat()],
            np.ndarray: lambda v: ["a", self._blob(v.tobytes(), v.dtype.str, v.shape)],
            daachorse.CharwiseDoubleArrayAhoCorasick: lambda v: [
                "p",
                self._blob(v.serialize(), "|u1", (-1,)),
            ],
            Matcher: lambda v: ["x", *self._all((v.patterns, *v.sower.tables))],
            Unless: lambda v: ["u", *self._all((v.groups, v.wholes))],
        }

    def value(self, value: Any) -> Any:
        """The value in JSON."""
        kind = type(value)
        if kind in _PLAIN:
            return value
        if isinstance(value, Enum):
            return ["e", kind.__name__, value.value]
        shape = self._shapes.get(kind, self._object)
        return shape(value)

    def _tuple(self, value: tuple[Any, ...]) -> Any:
        return ["w" if all(type(v) is str for v in value) else "t", *self._all(value)]

    def _all(self, values: Iterable[Any]) -> list[Any]:
        return [self.value(value) for value in values]

    def _object(self, value: Any) -> Any:
        held = self._met.get(id(value))
        if held is not None:
            return held[1]
        name = type(value).__name__
        if _KINDS.get(name) is not type(value):
            raise TypeError(f"a pack holds no {name}")
        written = [name, *self._all(getattr(value, field) for field in _fields(type(value)))]
        data = orjson.dumps(written)
        number = self._numbers.setdefault(data, len(self.objects))
        if number == len(self.objects):
            self.objects.append(orjson.Fragment(data))
        self._met[id(value)] = value, ["o", number]
        return ["o", number]

    def _blob(self, data: bytes, kind: str, shape: tuple[int, ...]) -> int:
        padded = data + bytes(-len(data) % _ALIGNED)
        self.places.append([self._at, len(data), kind, list(shape)])
        self.blobs.append(padded)
        self._at += len(padded)
        return len(self.places) - 1


def _fields(kind: type[Any]) -> tuple[str, ...]:
    """The names of what makes an object of this kind, in order."""
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind) if field.init)
    names: tuple[str, ...] = kind._fields
    return names


def _maker(kind: type[Any]) -> Callable[..., Any]:
    """Makes an object of this kind of its fields in order."""
    names = _fields(kind)
    if kind is rule.Rule:
        return lambda *values: kind(**dict(zip(names, values, strict=True)))
    return kind


_MAKERS = {name: _maker(kind) for name, kind in _KINDS.items()}


class _Reader:
    """Makes values of JSON and blobs."""

    def __init__(self, document: dict[str, Any], blobs: memoryview) -> None:
        self._blobs, self._places = blobs, document["blobs"]
        self._objects: list[Any] = []
        self._shapes: dict[str, Callable[[list[Any]], Any]] = {
            "o": lambda found: self._objects[found[1]],
            "w": lambda found: tuple(found[1:]),
            "t": lambda found: tuple(self._all(found)),
            "l": self._all,
            "m": lambda found: dict(zip(*map(self._members, found[1:]), strict=True)),
            "f": lambda found: frozenset(self._all(found)),
            "e": lambda found: _ENUMS[found[1]](found[2]),
            "d": lambda found: date.fromisoformat(found[1]),
            "a": lambda found: self._array(found[1]),
            "p": lambda found: _automaton(self._array(found[1]).tobytes()),
            "x": lambda found: _matcher(*self._all(found)),
            "u": lambda found: Unless(*self._all(found)),
        }
        for name, *fields in document["objects"]:
            self._objects.append(_MAKERS[name](*self._members(fields)))

    def value(self, found: Any) -> Any:
        """The value that is written so."""
        return self._shapes[found[0]](found) if type(found) is list else found

    def _members(self, found: list[Any]) -> list[Any]:
        shapes = self._shapes
        return [shapes[one[0]](one) if type(one) is list else one for one in found]

    def _all(self, found: list[Any]) -> list[Any]:
        return self._members(found[1:])

    def _array(self, number: int) -> Any:
        at, size, kind, shape = self._places[number]
        found = np.frombuffer(self._blobs[at : at + size], dtype=kind)
        return found.reshape(shape).copy()  # the image itself need not stay in memory


def _automaton(data: bytes) -> daachorse.CharwiseDoubleArrayAhoCorasick:
    return daachorse.CharwiseDoubleArrayAhoCorasick.deserialize(data)


def _matcher(patterns: tuple[compiled.Compiled, ...], *tables: Any) -> Matcher:
    return Matcher(patterns, Sower(patterns, *tables))

"""Train a reader: fit the weights, find where each family begins to be sure, and write it down."""

import base64
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from textwrap import wrap

import numpy as np

from hegui.evaluation.scoring import family_of
from hegui.reading.examples import Example
from hegui.reading.features import Vocabulary
from hegui.reading.learn import Borders, Labels, Sheet, Text
from hegui.reading.settle import Found, Settled, held_out_margins, settle
from rules import Pack
from rules.document import Voice
from rules.quota import is_about_words
from rules.reader import VERSION, Reader, Weights, read_reader
from rules.tally import ONE

KEPT, KEPT_FOR_RULES = 60_000, 8_000
"""N-grams that are written down: those of the most texts."""

STEP = 2.0
"""A weight of one in the file; all margins are told by it, so those of two readers compare."""

FEWEST = 20
"""A name with fewer examples is not learned."""

HEAVIEST = 127
LINE = 4096
"""Characters of a line; nobody reads them."""

NEVER_READ = frozenset({"CMP-02", "SIG-01", "IDN-02", "IDN-03", "FAL-02"})
"""Signals of the other side, what openings lack, sums: a collector's words alone do not tell."""

BY_WORDS = frozenset({"TPC-04", "TPC-06"})
"""Rules that ask about facts, too, and yet show in what is said to others."""

Tell = Callable[[str], None]


def readable(pack: Pack) -> frozenset[str]:
    """The rules whose breach shows in a single utterance of the collector."""
    return frozenset(
        rule.id
        for rule in pack.rules
        if (is_about_words(rule) or rule.id in BY_WORDS)
        and rule.voice is Voice.COLLECTOR
        and rule.id not in NEVER_READ
    )


@dataclass(frozen=True)
class Material:
    """What there is to learn from, counted once for all trainings."""

    examples: tuple[Example, ...]
    texts: tuple[Text, ...]
    read: frozenset[str]

    @classmethod
    def of(cls, examples: Sequence[Example], pack: Pack) -> "Material":
        """Count the n-grams of these examples."""
        texts = {text: Text.of(text) for text in dict.fromkeys(e.text for e in examples)}
        return cls(tuple(examples), tuple(texts[e.text] for e in examples), readable(pack))

    def without(self, contacts: frozenset[str]) -> "Material":
        """The material without the utterances of these contacts."""
        kept = [n for n, example in enumerate(self.examples) if example.contact not in contacts]
        return Material(
            tuple(self.examples[n] for n in kept), tuple(self.texts[n] for n in kept), self.read
        )

    @cached_property
    def families(self) -> tuple[str, ...]:
        """The families with enough examples."""
        names = sorted({family_of(rule) for rule in self.read})
        return tuple(name for name in names if self.labels(name).belongs.sum() >= FEWEST)

    @cached_property
    def rules(self) -> tuple[str, ...]:
        """The rules with enough examples, of themselves and of others of their family."""
        return tuple(name for name in sorted(self.read) if self._is_told_apart(name))

    def _is_told_apart(self, rule: str) -> bool:
        labels = Labels.of_rule(self.examples, rule)
        others = labels.tells & ~labels.belongs
        return bool(labels.belongs.sum() >= FEWEST and others.sum() >= FEWEST)

    def labels(self, family: str) -> Labels:
        """The labels of a family."""
        return Labels.of_family(self.examples, family, self.read)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """All n-grams that are met often enough."""
        return Vocabulary.of([text.whole for text in self.texts])


@dataclass(frozen=True)
class Learned:
    """Whole-number weights for families and, within them, rules."""

    families: Weights
    rules: Weights


def learn(material: Material, like: Reader | None = None, tell: Tell = lambda _: None) -> Learned:
    """Fit all borders in whole steps; of the names that another reader knows, if one is given."""
    tell("families")
    names = like.families.names if like else material.families
    families = [material.labels(name) for name in names]
    known = material.vocabulary.commonest(KEPT)
    by_family = _whole(names, known, Sheet.of(material.texts, known).fit(families))
    tell("rules")
    known = known.commonest(KEPT_FOR_RULES)
    names = like.rules.names if like else material.rules
    rules = [Labels.of_rule(material.examples, name) for name in names]
    borders = Sheet.of(material.texts, known).fit(rules)
    return Learned(by_family, _whole(names, known, borders))


def _whole(names: tuple[str, ...], known: Vocabulary, borders: Borders) -> Weights:
    """The weights in whole steps; what weighs more than a byte holds weighs as much as it holds."""
    weights = borders.weights * known.rarities[:, None] / STEP
    rows = np.clip(np.rint(weights), -HEAVIEST, HEAVIEST).astype(np.int8)
    biases = tuple(round(bias * ONE / STEP) for bias in borders.biases.tolist())
    used = np.flatnonzero(rows.any(axis=1))
    slim = known.only(used)
    return Weights(names, biases, slim.keys, slim.rarities, rows[used])


def trained(
    material: Material, found: Found, lines: str, tell: Tell = lambda _: None
) -> tuple[str, tuple[str, ...]]:
    """The text of `reader.yaml`, and what held-out examples say of it; `lines` is their digest."""
    learned = learn(material, tell=tell)
    labels = [material.labels(name) for name in material.families]
    sheet = Sheet.of(material.texts, material.vocabulary.commonest(KEPT))
    margins = held_out_margins(sheet, material.examples, labels, tell)
    settled = settle(material.families, material.examples, margins, labels, found, STEP)
    return written(learned, settled, lines, len(material.examples)), settled.report


def trained_like(text: str, material: Material, lines: str) -> str:
    """A reader with the names and borders of another one, and weights of its own."""
    like = read_reader(text)
    settled = Settled(like.floors, like.doubts, like.softens, like.steps)
    return written(learn(material, like), settled, lines, len(material.examples))


def written(learned: Learned, settled: Settled, lines: str, count: int) -> str:
    """The text of `reader.yaml`; the same for the same figures."""
    return "\n".join(_written(learned, settled, lines, count)) + "\n"


def _written(learned: Learned, settled: Settled, lines: str, count: int) -> Iterator[str]:
    yield f"# Made by `make reader` from {count} utterances; do not edit. See docs/reading.md."
    yield f"reader: {VERSION}"
    yield f'lines: "{lines}"'
    for key in ("floors", "doubts", "softens"):
        yield f"{key}: {_listed(getattr(settled, key))}"
    yield "steps:"
    yield from (f"  - {_listed(steps)}" for steps in settled.steps)
    for name, weights in (("families", learned.families), ("rules", learned.rules)):
        yield f"{name}:"
        yield f"  names: [{', '.join(weights.names)}]"
        yield f"  biases: {_listed(weights.biases)}"
        yield from _block(
            "keys", np.diff(weights.keys, prepend=np.uint32(0)).astype("<u4").tobytes()
        )
        yield from _block("rarities", weights.rarities.tobytes())
        yield from _block("rows", weights.rows.tobytes())


def _listed(numbers: Sequence[int]) -> str:
    return f"[{', '.join(map(str, numbers))}]"


def _block(key: str, data: bytes) -> Iterator[str]:
    packed = base64.b64encode(zlib.compress(data, level=9))
    yield f"  {key}: |"
    yield from (f"    {line}" for line in wrap(packed.decode("ascii"), LINE))

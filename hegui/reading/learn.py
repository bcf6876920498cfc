"""Fit a linear border for each name, by texts as they are and with syllables confused."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.svm import LinearSVC

from hegui.evaluation.noise import SyllableNoise
from hegui.evaluation.scoring import family_of
from hegui.reading.examples import Example
from hegui.reading.features import Vocabulary, counts_of, sentences_of
from rules.reader import ONLY_TO_THIRD

COST = 1.0
"""What a text on the wrong side of a border costs (C of the machine)."""

NOISE, NOISY_WEIGHT = 0.1, 0.5
"""Each text is read once more with so many syllables confused; that copy counts so much."""

SEED = 1
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Text:
    """The n-grams of one example: all of it, confused, and each of its sentences if several."""

    whole: Counter[int]
    noisy: Counter[int]
    sentences: tuple[Counter[int], ...]

    @classmethod
    def of(cls, text: str) -> "Text":
        """Count the n-grams of a text."""
        parts = sentences_of(text)
        return cls(
            counts_of(text),
            counts_of(SyllableNoise(NOISE, SEED)(text, text)),
            tuple(map(counts_of, parts)) if len(parts) > 1 else (),
        )


@dataclass(frozen=True)
class Labels:
    """For each example whether it belongs to a name, and whether it tells of it at all."""

    belongs: NDArray[np.bool_]
    tells: NDArray[np.bool_]

    @classmethod
    def of_family(cls, examples: Sequence[Example], family: str, read: frozenset[str]) -> "Labels":
        """Labels of a family; `read` are the rules that words alone can tell of."""
        wanted = [any(family_of(r) == family for r in e.wanted & read) for e in examples]
        maybe = [any(family_of(r) == family for r in e.wanted | e.tolerated) for e in examples]
        heard = np.array([family not in ONLY_TO_THIRD or e.to_third for e in examples])
        belongs = np.array(wanted) & heard
        return cls(belongs, (belongs | ~np.array(maybe)) & heard)

    @classmethod
    def of_rule(cls, examples: Sequence[Example], rule: str) -> "Labels":
        """Labels of a rule among the others of its family."""
        family = family_of(rule)
        belongs = np.array([rule in e.wanted for e in examples])
        others = [
            any(family_of(r) == family for r in e.wanted) and rule not in e.tolerated
            for e in examples
        ]
        return cls(belongs, belongs | np.array(others))

    def only(self, kept: NDArray[np.bool_]) -> "Labels":
        """The labels, with only these examples telling."""
        return replace(self, tells=self.tells & kept)


@dataclass(frozen=True)
class Borders:
    """A column of weights for each name, and where its border lies."""

    weights: NDArray[np.float64]
    biases: NDArray[np.float64]

    def margins(self, rows: sparse.csr_matrix) -> NDArray[np.float64]:
        """How far each row lies beyond the border of each name."""
        return np.asarray(rows @ self.weights + self.biases)


@dataclass(frozen=True)
class Sheet:
    """All texts as rows: the examples, their noisy copies, and single sentences by owner."""

    clean: sparse.csr_matrix
    noisy: sparse.csr_matrix
    parts: sparse.csr_matrix
    owners: NDArray[np.intp]

    @classmethod
    def of(cls, texts: Sequence[Text], vocabulary: Vocabulary) -> "Sheet":
        """The rows of these texts."""
        owners = [n for n, text in enumerate(texts) for _ in text.sentences]
        return cls(
            vocabulary.matrix([text.whole for text in texts]),
            vocabulary.matrix([text.noisy for text in texts]),
            vocabulary.matrix([part for text in texts for part in text.sentences]),
            np.array(owners, dtype=np.intp),
        )

    def fit(self, labels: Iterable[Labels]) -> Borders:
        """A border for each of these labels: a linear support vector machine (Fan et al. 2008).

        Of a text that belongs nobody knows which sentence does; no sentence of another one does.
        Where nothing tells both sides apart, nothing belongs.
        """
        every = sparse.vstack([self.clean, self.noisy, self.parts]).tocsr()
        size = self.clean.shape[0]
        weights = np.ones(every.shape[0])
        weights[size : 2 * size] = NOISY_WEIGHT
        columns, biases = [], []
        for label in labels:
            part = label.tells[self.owners] & ~label.belongs[self.owners]
            rows = np.flatnonzero(np.concatenate([label.tells, label.tells, part]))
            belongs = np.concatenate(
                [label.belongs, label.belongs, np.zeros(len(part), dtype=bool)]
            )
            if belongs[rows].all() or not belongs[rows].any():
                columns.append(np.zeros(every.shape[1]))
                biases.append(-1.0)
                continue
            machine = LinearSVC(C=COST, random_state=SEED, max_iter=2000)
            machine.fit(every[rows], belongs[rows], sample_weight=weights[rows])
            columns.append(machine.coef_[0])
            biases.append(machine.intercept_[0])
        return Borders(np.array(columns).T, np.array(biases))

    def greatest(self, borders: Borders, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The greatest margin of each chosen example, of all of it or of any sentence."""
        found = borders.margins(self.clean)
        np.maximum.at(found, self.owners, borders.margins(self.parts))
        return found[chosen]

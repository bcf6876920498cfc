"""Count hits, misses and false alarms at three levels, with 95% Wilson intervals."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

from hegui.evaluation.corpus import Expectation

Z95 = NormalDist().inv_cdf(0.975)


def wilson(hits: int, total: int) -> tuple[float, float]:
    """The 95% interval of a proportion (Wilson 1927); (0, 1) where nothing was counted."""
    if total == 0:
        return (0.0, 1.0)
    share, square = hits / total, Z95 * Z95
    centre = (share + square / (2 * total)) / (1 + square / total)
    half = Z95 * sqrt(share * (1 - share) / total + square / (4 * total * total))
    half /= 1 + square / total
    return (max(0.0, centre - half), min(1.0, centre + half))


@dataclass(slots=True)
class Tally:
    """True positives, false positives and false negatives."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    @property
    def precision(self) -> float:
        """Share of what was reported that was right; 1.0 where nothing was reported."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 1.0

    @property
    def recall(self) -> float:
        """Share of what was required that was reported; 1.0 where nothing was required."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else 1.0

    def as_dict(self) -> dict[str, Any]:
        """Counts, proportions and their intervals."""
        return {
            "tp": self.tp,
            "fp": self.fp,
            "fn": self.fn,
            "precision": round(self.precision, 4),
            "precision_95": [round(v, 4) for v in wilson(self.tp, self.tp + self.fp)],
            "recall": round(self.recall, 4),
            "recall_95": [round(v, 4) for v in wilson(self.tp, self.tp + self.fn)],
        }


@dataclass(frozen=True, slots=True)
class Mistake:
    """One miss or false alarm: which interaction, which rule or family."""

    interaction_id: str
    label: str
    kind: str


@dataclass(slots=True)
class Score:
    """The tallies of one run; `lawful` counts the interactions where nothing was required."""

    interaction: Tally
    family: Tally
    rule: Tally
    by_family: dict[str, Tally]
    by_rule: dict[str, Tally]
    mistakes: list[Mistake]
    lawful: int = 0

    def as_dict(self) -> dict[str, Any]:
        """All tallies as plain values."""
        return {
            "interaction": self.interaction.as_dict(),
            "lawful": self.lawful,
            "family": self.family.as_dict(),
            "rule": self.rule.as_dict(),
            "by_family": {name: t.as_dict() for name, t in sorted(self.by_family.items())},
            "by_rule": {name: t.as_dict() for name, t in sorted(self.by_rule.items())},
        }


def family_of(rule: str) -> str:
    """The family of a rule: the letters before the dash."""
    return rule.split("-", 1)[0]


def score(
    reported: Mapping[str, Iterable[str]],
    expected: Mapping[str, Expectation],
    counted: Callable[[str], bool] = bool,
) -> Score:
    """Compare reported rules with expectations, interaction by interaction.

    `reported` holds an entry for every interaction checked. A rule for which `counted` is false is
    left out on both sides. A reported rule that is only acceptable counts neither way; a family
    is a false alarm when none of its rules is required or acceptable there.
    """
    result = Score(Tally(), Tally(), Tally(), defaultdict(Tally), defaultdict(Tally), [])
    for interaction_id, rules in reported.items():
        found = {rule for rule in rules if counted(rule)}
        wanted = expected.get(interaction_id, Expectation())
        required = {rule for rule in wanted.required if counted(rule)}
        allowed = required | wanted.acceptable
        result.lawful += not required
        _count_interaction(result.interaction, found - wanted.acceptable, required)
        _count(result.rule, result.by_rule, found, required, allowed)
        mistakes = _count(
            result.family,
            result.by_family,
            {family_of(rule) for rule in found},
            {family_of(rule) for rule in required},
            {family_of(rule) for rule in allowed},
        )
        result.mistakes += [Mistake(interaction_id, label, kind) for label, kind in mistakes]
    return result


def _count_interaction(tally: Tally, found: set[str], required: set[str]) -> None:
    if required:
        tally.tp += bool(found & required)
        tally.fn += not found & required
    elif found:
        tally.fp += 1


def _count(
    whole: Tally, parts: dict[str, Tally], found: set[str], required: set[str], allowed: set[str]
) -> list[tuple[str, str]]:
    mistakes = []
    for label in sorted(found & required):
        whole.tp += 1
        parts[label].tp += 1
    for label in sorted(required - found):
        whole.fn += 1
        parts[label].fn += 1
        mistakes.append((label, "missed"))
    for label in sorted(found - allowed):
        whole.fp += 1
        parts[label].fp += 1
        mistakes.append((label, "false alarm"))
    return mistakes

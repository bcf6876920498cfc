"""Figures about people's judgements: agreement of readers, shares with intervals, bootstrap."""

import math
import random
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Z95 = 1.959963984540054
LEVEL = 0.95
ROUNDS = 1000
_HALVINGS = 60

Unit = Sequence[Hashable]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `total`, its share (None where there is nothing), and a 95 % interval."""

    count: int
    total: int
    share: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with a 95 % interval; None where it cannot be told."""

    value: float | None
    low: float | None
    high: float | None
    units: int


def wilson(count: float, total: float, *, z: float = Z95) -> tuple[float, float]:
    """The score interval of a share (E. B. Wilson, 1927); (0, 1) where there is nothing.

    `total` may be an effective number that is not whole.
    """
    if total <= 0:
        return 0.0, 1.0
    share = count / total
    middle = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    low = 0.0 if count <= 0 else max(0.0, (middle - spread) / scale)
    high = 1.0 if count >= total else min(1.0, (middle + spread) / scale)
    return low, high


def clopper_pearson(count: int, total: int, *, level: float = LEVEL) -> tuple[float, float]:
    """The exact interval of a share (Clopper and Pearson, 1934); (0, 1) where there is nothing."""
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else _solve(lambda p: 1 - _at_most(count - 1, total, p), tail)
    high = 1.0 if count == total else _solve(lambda p: 1 - _at_most(count, total, p), 1 - tail)
    return low, high


def share(count: int, total: int, *, exact: bool = False) -> Share:
    """A share with its interval: Wilson's, or the exact one."""
    low, high = clopper_pearson(count, total) if exact else wilson(count, total)
    return Share(count, total, count / total if total else None, low, high)


def cohen_kappa(pairs: Sequence[tuple[Hashable, Hashable]]) -> float | None:
    """Cohen's kappa of two readers (Cohen, 1960).

    None without pairs, and where chance alone agrees always: then nothing can be told.
    """
    total = len(pairs)
    if not total:
        return None
    agreed = sum(a == b for a, b in pairs) / total
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    chance = sum(first[value] * second[value] for value in first) / (total * total)
    return None if math.isclose(chance, 1.0) else (agreed - chance) / (1 - chance)


def krippendorff_alpha(units: Sequence[Unit]) -> float | None:
    """Krippendorff's alpha of nominal values; a unit holds what its readers said, one at least.

    By the coincidence matrix (Krippendorff, "Computing Krippendorff's alpha-reliability", 2011);
    units with a single value say nothing. None where all values are the same.
    """
    pairable = [unit for unit in units if len(unit) > 1]
    total = sum(len(unit) for unit in pairable)
    values = Counter(value for unit in pairable for value in unit)
    expected = total * total - sum(count * count for count in values.values())
    if not expected:
        return None
    observed = 0.0
    for unit in pairable:
        counts = Counter(unit).values()
        observed += (len(unit) ** 2 - sum(count * count for count in counts)) / (len(unit) - 1)
    return 1 - (total - 1) * observed / expected


def bootstrap(
    units: Sequence[T],
    statistic: Callable[[Sequence[T]], float | None],
    *,
    seed: str,
    rounds: int = ROUNDS,
) -> Estimate:
    """A statistic with its percentile interval over resampled units (Efron, 1979).

    The same seed gives the same interval. Resamples that tell nothing are left out; where half of
    them do, there is no interval.
    """
    value = statistic(units)
    if value is None:
        return Estimate(None, None, None, len(units))
    dice = random.Random(seed)  # noqa: S311  repeatable by intent, no secret
    found = sorted(
        each
        for _ in range(rounds)
        if (each := statistic(dice.choices(units, k=len(units)))) is not None
    )
    if len(found) * 2 < rounds:
        return Estimate(value, None, None, len(units))
    tail = (1 - LEVEL) / 2
    low = found[int(tail * (len(found) - 1))]
    high = found[math.ceil((1 - tail) * (len(found) - 1))]
    return Estimate(value, low, high, len(units))


def weighted_share(hits: Sequence[bool], chances: Sequence[float]) -> Share:
    """A share of the population, from units that were drawn with these chances (each over 0).

    Hájek's ratio of inverse chances; Wilson's interval with Kish's effective number of units.
    With equal chances it is the exact interval of the plain share.
    """
    count, total = sum(hits), len(hits)
    if not total or math.isclose(min(chances), max(chances)):
        return share(count, total, exact=True)
    weights = [1 / chance for chance in chances]
    whole = sum(weights)
    estimate = sum(w for w, hit in zip(weights, hits, strict=True) if hit) / whole
    effective = whole * whole / sum(w * w for w in weights)
    low, high = wilson(estimate * effective, effective)
    return Share(count, total, estimate, low, high)


def _at_most(count: int, total: int, p: float) -> float:
    """The chance of at most `count` successes in `total` trials."""
    if p <= 0:
        return 1.0
    if p >= 1:
        return 1.0 if count >= total else 0.0
    logs = (
        math.lgamma(total + 1)
        - math.lgamma(k + 1)
        - math.lgamma(total - k + 1)
        + k * math.log(p)
        + (total - k) * math.log1p(-p)
        for k in range(count + 1)
    )
    return min(1.0, math.fsum(math.exp(each) for each in logs))


def _solve(rising: Callable[[float], float], target: float) -> float:
    """Where a rising function of a probability reaches its target."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if rising(middle) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2

"""Exact chances: a test of random figures fails for about one seed in a thousand, not more."""

import math
from collections.abc import Iterable, Sequence

ONE_IN_A_THOUSAND = 0.001


def binomial(total: int, p: float) -> list[float]:
    """The chance of each number of successes, 0 to `total`."""
    return [math.comb(total, k) * p**k * (1 - p) ** (total - k) for k in range(total + 1)]


def sums(chances: Iterable[float]) -> list[float]:
    """The chance of each number of successes where each trial has a chance of its own."""
    found = [1.0]
    for p in chances:
        more = [0.0, *(p * each for each in found)]
        found = [(1 - p) * each + more[k] for k, each in enumerate([*found, 0.0])]
    return found


def lowest(distribution: Sequence[float], tail: float = ONE_IN_A_THOUSAND) -> int:
    """The smallest count that is not in the lower tail."""
    below = 0.0
    for count, chance in enumerate(distribution):
        below += chance
        if below > tail:
            return count
    raise AssertionError


def is_plausible(count: int, total: int, p: float, tail: float = ONE_IN_A_THOUSAND) -> bool:
    """Whether `count` of `total` lies outside both tails of half that chance."""
    distribution = binomial(total, p)
    at_most, at_least = math.fsum(distribution[: count + 1]), math.fsum(distribution[count:])
    return min(at_most, at_least) > tail / 2

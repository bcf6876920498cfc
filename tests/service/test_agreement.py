"""Figures about judgements are those of the papers and tables that they come from."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.people.agreement import (
    bootstrap,
    clopper_pearson,
    cohen_kappa,
    krippendorff_alpha,
    weighted_share,
    wilson,
)

# The reliability data of Krippendorff (2011): four observers, twelve units, gaps.
OBSERVERS = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
)


def test_alpha_is_that_of_the_published_example() -> None:
    units = [[value for value in unit if value] for unit in zip(*OBSERVERS, strict=True)]

    alpha = krippendorff_alpha(units)

    assert alpha is not None
    assert round(alpha, 3) == 0.743


def test_alpha_of_two_observers_is_that_of_the_published_example() -> None:
    units = list(zip("aabbdcccedda", "babbbccceddd", strict=True))

    alpha = krippendorff_alpha(units)

    assert alpha is not None
    assert round(alpha, 3) == 0.692


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (((20, 5), (10, 15)), 0.4),
        (((45, 15), (25, 15)), 0.1304),
        (((25, 35), (5, 35)), 0.2593),
        (((10, 0), (0, 10)), 1.0),
    ],
)
def test_kappa_is_that_of_the_known_tables(
    table: tuple[tuple[int, int], tuple[int, int]], expected: float
) -> None:
    pairs = [
        (row, column) for row in (0, 1) for column in (0, 1) for _ in range(table[row][column])
    ]

    assert cohen_kappa(pairs) == pytest.approx(expected, abs=5e-5)


def test_what_cannot_be_told_is_none() -> None:
    assert cohen_kappa([]) is None
    assert cohen_kappa([("confirm", "confirm")] * 9) is None
    assert krippendorff_alpha([["confirm", "confirm"]] * 9) is None
    assert krippendorff_alpha([["confirm"], ["dismiss"]]) is None
    assert bootstrap([], cohen_kappa, seed="1").value is None


# Newcombe (1998), table I, methods 3 (score) and 5 (exact).
@pytest.mark.parametrize(
    ("count", "total", "score", "exact"),
    [
        (81, 263, (0.2553, 0.3662), (0.2527, 0.3676)),
        (15, 148, (0.0624, 0.1605), (0.0578, 0.1617)),
        (0, 20, (0.0, 0.1611), (0.0, 0.1684)),
        (1, 29, (0.0061, 0.1718), (0.0009, 0.1776)),
        (29, 29, (0.8830, 1.0), (0.8806, 1.0)),
    ],
)
def test_intervals_are_those_of_the_published_table(
    count: int, total: int, score: tuple[float, float], exact: tuple[float, float]
) -> None:
    assert wilson(count, total) == pytest.approx(score, abs=6e-5)
    assert clopper_pearson(count, total) == pytest.approx(exact, abs=6e-5)


@given(total=st.integers(1, 400), part=st.floats(0, 1))
def test_an_interval_holds_its_share_and_the_exact_one_is_no_narrower(
    total: int, part: float
) -> None:
    count = round(part * total)

    for low, high in (wilson(count, total), clopper_pearson(count, total)):
        assert 0 <= low <= count / total + 1e-9
        assert count / total - 1e-9 <= high <= 1


def test_the_bootstrap_is_repeatable_and_covers_the_truth() -> None:
    dice = random.Random(7)  # noqa: S311  repeatable by intent
    pairs = [(a := dice.random() < 0.5, a if dice.random() < 0.8 else not a) for _ in range(300)]

    first = bootstrap(pairs, cohen_kappa, seed="quarter")

    assert first == bootstrap(pairs, cohen_kappa, seed="quarter")
    assert first.low is not None
    assert first.high is not None
    assert first.value is not None
    assert first.low < first.value < first.high
    assert first.low < 0.6 < first.high  # 80 % agreement of even halves is a kappa of 0.6


def test_unequal_chances_are_weighed_out() -> None:
    hits = [True] * 10 + [False] * 10
    chances = [0.5] * 10 + [0.05] * 10

    found = weighted_share(hits, chances)

    assert found.share == pytest.approx(20 / 220)
    assert found.low < 20 / 220 < found.high
    assert weighted_share(hits, [0.5] * 20).share == 0.5
    assert math.isclose(weighted_share([], []).high, 1.0)

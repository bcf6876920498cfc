"""What a set of patterns is looked for by: the tables of the search, and the triggers in words."""

from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rules.compile import Compiled
from rules.needs import Needs, needs_of
from rules.plausible import allowed
from rules.program import Program, program_of
from rules.sow import Sown, sow
from rules.trail import Machine

MANY = 32
"""Syllables from which on a match may cost the same, whatever their number."""


class Sower:
    """Both automata of a set of patterns, and how the search goes on from what they find."""

    def __init__(
        self, patterns: Sequence[Compiled], sown: Sown, needs: Needs, program: Program
    ) -> None:
        self.patterns, self.sown, self.tables = patterns, sown, (sown, needs, program)

    @cached_property
    def machine(self) -> Machine:
        """The tables, ready to be used."""
        sown, needs, program = self.tables
        triggers = np.stack((sown.core_of, np.diff(sown.places)), axis=1)
        return Machine(sown, needs, program, triggers, _leads(sown, needs, program), _limits())


def _leads(sown: Sown, needs: Needs, program: Program) -> NDArray[np.int32]:
    """For each core its pattern, the traits and the condition of that, and what it needs.

    Of each need its kin (-1: none), low, high, and whether it is before (1) and over commas (2).
    """
    pattern = sown.cores[:, 0]
    columns: list[NDArray[Any]] = [pattern, program.traits[pattern], program.conditions[pattern]]
    for before, (kins, lows, highs, commas) in needs.columns:
        columns += [kins, lows, highs, before + 2 * commas]
    return np.stack(columns, axis=1).astype(np.int32)


@cache
def _limits() -> NDArray[np.int8]:
    """What a match may cost, in halves: by strength, syllables, and how many of them are off."""
    table = np.zeros((2, MANY, MANY), dtype=np.int8)
    for strong, syllables, off in np.ndindex(table.shape):
        table[strong, syllables, off] = int(2 * allowed(syllables, off, strong=bool(strong)))
    return table


def sowed(patterns: Sequence[Compiled]) -> Sower:
    """The tables of these patterns, made anew."""
    sown = sow(patterns)
    cores = sown.cores.tolist()
    needs = needs_of([(patterns[n], *core) for n, *core in cores])
    return Sower(patterns, sown, needs, program_of(patterns, cores))

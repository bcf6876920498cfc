"""What a set of patterns is looked for by: the tables of the search, and the triggers in words."""

from collections.abc import Sequence
from functools import cached_property

from rules.compile import Compiled
from rules.machine import Machine
from rules.needs import Needs, needs_of
from rules.phonetic import units_of
from rules.program import Program, program_of
from rules.sow import PART, Sown, sow
from rules.triggers import Trigger


class Sower:
    """Both automata of a set of patterns, and how the search goes on from what they find."""

    def __init__(
        self, patterns: Sequence[Compiled], sown: Sown, needs: Needs, program: Program
    ) -> None:
        self.patterns, self.sown, self.tables = patterns, sown, (sown, needs, program)
        self._triggers: dict[int, Trigger] = {}

    @cached_property
    def machine(self) -> Machine:
        """The tables, ready to be used."""
        sown, needs, program = self.tables
        return Machine(sown, units_of(sown.codes), needs, program, program.expressions())

    def trigger(self, n: int) -> Trigger:
        """The trigger with this number, put together when it is first met."""
        held = self._triggers.get(n)
        if held is None:
            sown = self.sown
            words = sown.words[sown.word_places[n] : sown.word_places[n + 1]].split(PART)
            code = sown.codes[sown.places[n] : sown.places[n + 1]]
            text = "".join(words)
            latin = text[0].isascii() or text[-1].isascii()
            pattern, first, last = sown.cores[sown.core_of[n]].tolist()
            held = self._triggers[n] = Trigger(
                pattern, first, last, tuple(words), code, bool(sown.side[n]), text, latin
            )
        return held


def sowed(patterns: Sequence[Compiled]) -> Sower:
    """The tables of these patterns, made anew."""
    sown = sow(patterns)
    cores = sown.cores.tolist()
    needs = needs_of([(patterns[n], *core) for n, *core in cores])
    return Sower(patterns, sown, needs, program_of(patterns, cores))

"""Find patterns in a text: the patterns of one speaker, and how they are looked for."""

from collections.abc import Sequence

from rules.compile import Compiled
from rules.field import Field
from rules.seeds import Sower, sowed
from rules.weigh import MAX_HITS, Match, Scan

__all__ = ["MAX_HITS", "Match", "Matcher", "Scan"]


class Matcher:
    """All patterns of one speaker, ready to be found in texts."""

    def __init__(self, patterns: Sequence[Compiled], sower: Sower | None = None) -> None:
        self.patterns = tuple(patterns)
        self.sower = sower or sowed(self.patterns)

    def scan(self, field: Field) -> Scan:
        """Search a normal-form text and its code string for all patterns, once.

        Both start and end with a turn break, and turns are parted by them.
        """
        return Scan(self.sower.machine, self.patterns, field)

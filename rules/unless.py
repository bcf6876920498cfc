"""What cancels a match: patterns that overlap or touch it, found by the compiled search."""

from collections.abc import Mapping, Sequence
from functools import cached_property

from rules.compile import Compiled
from rules.field import Field
from rules.grammar import Words
from rules.program import Wholes, wholes_of
from rules.walk import Expressions, Walk

SHORT_WORD = 2


class Unless:
    """Groups of patterns by number, each of which cancels what it overlaps or touches."""

    def __init__(
        self, groups: Mapping[int, Sequence[Compiled]], wholes: Wholes | None = None
    ) -> None:
        self.groups = groups
        self.wholes = wholes_of(groups) if wholes is None else wholes
        self._starts = {
            key: self.wholes.starts[first : first + len(groups[key])].tolist()
            for key, first in zip(groups, self.wholes.first.tolist(), strict=True)
        }

    @cached_property
    def _table(self) -> Expressions:
        return self.wholes.expressions()

    def walk(self, field: Field) -> Walk:
        """Reads the patterns in one text."""
        return Walk(self._table, field)

    def cancelling(
        self, group: int, walk: Walk, within: tuple[int, int], match: tuple[int, int]
    ) -> str | None:
        """What a pattern of a group finds within a stretch that overlaps or touches the match."""
        field = walk.field
        low, high = within
        for pattern, (by_sound, written) in zip(
            self.groups[group], self._starts[group], strict=True
        ):
            for start, end, _ in walk.search(written, low, high, by_sound=False):
                if start <= match[1] and match[0] <= end:
                    return field.text[start:end]
            for start, end, groups in walk.search(by_sound, low, high, by_sound=True):
                if end - start <= SHORT_WORD or end < match[0] or match[1] < start:
                    continue
                if all(_is_said(pattern, field, group) for group in groups):
                    return field.text[start:end]
        return None


def _is_said(pattern: Compiled, field: Field, group: tuple[int, int, int]) -> bool:
    """Whether a word of a pattern was said; one syllable has too many homophones to tell."""
    item, start, end = group
    if end - start == 1:
        words = pattern.items[item]
        return isinstance(words, Words) and field.text[start] in words.words
    return field.codes[start:end] in pattern.codes

"""Patterns as they are read from a pack: their items, and how they may sound."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

from rules.grammar import Builtin, Item, Words
from rules.plausible import SHORT, Sounds

WIDE = 150
"""Classes with more words than this are matched by exact syllables, not by near ones."""

sounds_of = lru_cache(maxsize=8192)(Sounds)
"""How a set of words sounds; patterns with the same words share it."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a pattern may match: by sound or not, short words by sound or not."""

    phonetic: bool = True
    strong: bool = False


@dataclass(frozen=True)
class Compiled:
    """One alternative of one pattern of one `words` condition."""

    condition: int
    entry: int
    items: tuple[Item, ...]
    style: Style = Style()

    @cached_property
    def sounds(self) -> tuple[Sounds, ...]:
        """For each item how its words sound; items that are no words have none."""
        return tuple(
            sounds_of(item.words if isinstance(item, Words) else ()) for item in self.items
        )

    @cached_property
    def codes(self) -> frozenset[str]:
        """The codes of all words of the pattern."""
        return frozenset(code for sounds in self.sounds for code in sounds.codes)

    @cached_property
    def syllables(self) -> int:
        """Syllables of the longest match, gaps and numbers left out."""
        return sum(max(map(len, item.words)) for item in self.items if isinstance(item, Words))

    @cached_property
    def numeric(self) -> bool:
        """Whether it names a builtin, and so is searched for where numbers are masked."""
        return any(isinstance(item, Builtin) for item in self.items)

    @cached_property
    def may_sound(self) -> bool:
        """Whether it can have syllables enough to be matched by sound at all."""
        return self.style.phonetic and (self.style.strong or self.syllables >= SHORT)

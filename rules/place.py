"""A match and the words round it, as guards look at them."""

import re
from collections.abc import Callable, Sequence
from functools import cache

from rules.document import Side
from rules.glance import Glance
from rules.normalise import BREAKS, HARD, SOFT, TURN
from rules.signs import Look, as_heard, glance_at

NEAR, FAR, AFTER = 12, 28, 24
"""Characters before a match in which a negation still governs it, or may; and after it."""

TALK_BEFORE, TALK_AFTER = 40, 48
"""Characters before and after a match in which words are introduced or judged."""

_TURN_FAR = 120
"""Characters of the turn on both sides of a match that any guard looks at."""

_SENTENCE = re.compile("[^。！!？?；;\x1e\x1f\n]{0,39}.?", re.DOTALL)
"""Raw text up to and including the next mark that ends a sentence, 40 characters at most."""


class Place:
    """A match in the normal form of its side: `words` are the spans of the words that matched."""

    __slots__ = (
        *(
            "_sentence",
            "_side",
            "_turn",
            "end",
            "exact",
            "idioms",
            "start",
            "text",
            "told",
            "words",
        ),
    )

    def __init__(
        self,
        side: Side,
        start: int,
        end: int,
        words: Sequence[tuple[int, int]],
        idioms: Sequence[tuple[int, int]] = (),
        *,
        exact: bool = True,
    ) -> None:
        self.text, self._side = side.text, side
        self.start, self.end, self.words = start, end, words
        self.idioms, self.exact = idioms, exact
        self.told = EVERYTHING
        self._turn: tuple[int, int] | None = None
        self._sentence: tuple[int, int] | None = None

    def look(self, wanted: int) -> int:
        """Find out which of these expressions may stand round the match; no other one is told."""
        told = _glance().tells(self._side.field, self.start, self.end, wanted)
        self.told = told | EVERYTHING & ~wanted
        return told

    @property
    def codes(self) -> str:
        """The text by sound."""
        return self._side.codes

    @property
    def raw_after(self) -> str:
        """What was written after the match, up to the end of its sentence."""
        side, end = self._side, self.end
        found = _SENTENCE.match(
            side.raw, side.raw_at(end) if end < len(self.text) else len(side.raw)
        )
        return "" if found is None else found[0]

    @property
    def turn(self) -> tuple[int, int]:
        """Where the turn round it begins and ends, or where no guard looks any further."""
        if self._turn is None:
            text, end = self.text, self.end
            far = max(0, self.start - _TURN_FAR)
            high = text.find(TURN, end, end + _TURN_FAR)
            self._turn = (
                max(far, text.rfind(TURN, far, self.start) + 1),
                high if high >= 0 else min(len(text), end + _TURN_FAR),
            )
        return self._turn

    @property
    def sentence(self) -> tuple[int, int]:
        """The same of the sentence round it."""
        if self._sentence is None:
            low, high = self.turn
            stop = self.text.find(HARD, self.end, high)
            first = max(low, self.text.rfind(HARD, low, self.start) + 1)
            self._sentence = first, high if stop < 0 else stop
        return self._sentence

    def before(self, most: int) -> int:
        """Where the sentence begins, or so many characters before the match."""
        return max(self.sentence[0], self.start - most)

    def after(self, most: int) -> int:
        """Where the sentence ends, or so many characters after the match."""
        return min(self.sentence[1], self.end + most)

    def turn_after(self, most: int) -> int:
        """Where the turn ends, or so many characters after the match."""
        return min(self.turn[1], self.end + most)

    def clause(self, most: int) -> tuple[int, int]:
        """The clause round the match, so many characters on both sides at most."""
        low, high = self.before(most), self.after(most)
        comma = self.text.find(SOFT, self.end, high)
        return (max(low, self.text.rfind(SOFT, low, self.start) + 1), high if comma < 0 else comma)


Guard = Callable[[Place], str | None]
"""Says why a match does not count, or None where it lets it through."""


written = cache(re.compile)
"""An expression over characters, compiled once."""


@cache
def heard(pattern: str) -> re.Pattern[str]:
    """The same expression over syllable codes."""
    return re.compile(as_heard(pattern))


EVERYTHING = (1 << 32) - 1
_WATCHED: dict[tuple[str, bool], Look] = {}


def watch(*looks: Look) -> int:
    """Have these expressions told of before they are searched for; returns their bits."""
    bits = 0
    for look in looks:
        key = look.pattern, look.by_sound
        if _WATCHED.setdefault(key, look) != look:
            raise ValueError("an expression is looked for in one zone")
        bits |= 1 << list(_WATCHED).index(key)
    return bits


@cache
def _glance() -> Glance:
    return glance_at([[look] for look in _WATCHED.values()])


@cache
def _bit_of(pattern: str, *, by_sound: bool) -> int:
    """The bit of an expression; all bits where nobody watches for it."""
    if (pattern, by_sound) not in _WATCHED:
        return EVERYTHING
    return 1 << list(_WATCHED).index((pattern, by_sound))


def may_stand(pattern: str, place: Place, *, by_sound: bool = False) -> bool:
    """Whether an expression may stand in the zone in which it is looked for."""
    return place.told & _bit_of(pattern, by_sound=by_sound) != 0


def search(pattern: str, place: Place, low: int, high: int, *, sound: bool = True) -> str | None:
    """What the expression finds in a stretch of its zone, by characters or else by sound."""
    found = None
    if may_stand(pattern, place):
        found = written(pattern).search(place.text[low:high])
    if found is None and sound and may_stand(pattern, place, by_sound=True):
        found = heard(pattern).search(place.codes[low:high])
    return None if found is None else place.text[low + found.start() : low + found.end()]


def reason(kind: str, words: str, place: Place) -> str:
    """What a guard says: its word for it, the words that say so, and the match."""
    return f"{kind}: {words.strip(BREAKS)} … {place.text[place.start : place.end]}"

"""Confuse syllables as a speech engine does: homophones first, then near sounds, then any sound."""

import random
from collections import defaultdict
from functools import cache

from pypinyin import Style, lazy_pinyin

from hegui.evaluation.corpus import TextChange

# GB 2312 rows 16 to 55: the 3,755 characters in common use, so confusions look like real ones.
FIRST_ROW, LAST_ROW, CELLS = 0xB0, 0xD7, range(0xA1, 0xFF)
HOMOPHONE, NEAR = 0.7, 0.9
NEAR_INITIALS = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("n", "l"), ("h", "f"), ("r", "l"))
NEAR_FINALS = (("ang", "an"), ("eng", "en"), ("ing", "in"))


@cache
def _common() -> str:
    cells = (bytes((row, cell)) for row in range(FIRST_ROW, LAST_ROW + 1) for cell in CELLS)
    return "".join(cell.decode("gb2312", errors="ignore") for cell in cells)


@cache
def _by_sound() -> dict[str, str]:
    found: dict[str, list[str]] = defaultdict(list)
    for character in _common():
        found[_sound(character)].append(character)
    return {sound: "".join(characters) for sound, characters in found.items()}


@cache
def _sound(character: str) -> str:
    return str(lazy_pinyin(character, style=Style.NORMAL)[0])


@cache
def _near(sound: str) -> tuple[str, ...]:
    found = set()
    for one, other in (*NEAR_INITIALS, *((b, a) for a, b in NEAR_INITIALS)):
        if sound.startswith(one):
            found.add(other + sound[len(one) :])
    for one, other in (*NEAR_FINALS, *((b, a) for a, b in NEAR_FINALS)):
        if sound.endswith(one):
            found.add(sound[: -len(one)] + other)
    return tuple(sorted(s for s in found - {sound} if s in _by_sound()))


class SyllableNoise(TextChange):
    """Replace Chinese characters, each with probability `rate`, by others that sound alike."""

    def __init__(self, rate: float, seed: int = 1) -> None:
        """`rate` lies in 0..1; the same seed gives the same noise."""
        self.rate = rate
        self.seed = seed

    def __call__(self, key: str, text: str) -> str:
        """Return `text` with some syllables confused."""
        draw = random.Random(f"{self.seed}/{key}")  # noqa: S311  no secret hangs on it
        return "".join(
            self._other(character, draw)
            if "\u4e00" <= character <= "\u9fff" and draw.random() < self.rate
            else character
            for character in text
        )

    @staticmethod
    def _other(character: str, draw: random.Random) -> str:
        sound, kind = _sound(character), draw.random()
        if kind < HOMOPHONE:
            choices = _by_sound().get(sound, "")
        elif kind < NEAR and _near(sound):
            choices = _by_sound()[draw.choice(_near(sound))]
        else:
            choices = _common()
        others = choices.replace(character, "")
        return draw.choice(others) if others else character

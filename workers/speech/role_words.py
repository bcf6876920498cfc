"""Weighs words: are they what a collector says, or what the person who is called says?"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from rules.phonetic import encode, readings

WORDS = Path(__file__).with_name("role_words.yaml")
SIDES = {"collector": 1, "party": -1}
# One cue heard again and again proves little more than heard twice.
MOST_TIMES = 2


class _Cue(NamedTuple):
    """One phrase in the forms under which it may be heard; above 0 it speaks for the collector."""

    sounds: tuple[str, ...]
    weight: float


@cache
def _cues() -> tuple[_Cue, ...]:
    return tuple(_read(yaml.safe_load(WORDS.read_text(encoding="utf-8"))))


def _read(groups: dict[str, list[dict[str, object]]]) -> Iterator[_Cue]:
    for side, sign in SIDES.items():
        for group in groups[side]:
            for phrase in str(group["words"]).split():
                yield _Cue(readings(phrase), sign * float(str(group["weight"])))


def leaning(text: str) -> float:
    """Return the log odds that the words are the collector's (above 0) and not the party's."""
    sound = encode(text)
    return sum(
        cue.weight * min(MOST_TIMES, max(sound.count(form) for form in cue.sounds))
        for cue in _cues()
    )

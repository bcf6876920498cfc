"""How well speech was written down: what is misheard leaves odd characters that stand alone."""

import re
from collections.abc import Iterable
from functools import lru_cache

import rjieba

from rules.normalise import plain

SELDOM = 3000
"""Characters that the dictionary counts less often than this as words of their own are odd."""

RARE = 6000
"""The same for words before a match in a shaky transcript: a denial may have been misheard."""

USUAL = 0.02
"""Share of different odd characters in what was written down well: names, mostly."""

SHAKY, GARBLED = 1, 3
"""So many odd characters more: words found by sound are doubtful, or the whole text is.

At one wrong syllable in ten, two calls in three are garbled; of calls written down well, hardly
one in a hundred is.
"""


PLAIN = 6
"""So many characters in a row that are written as meant stand for themselves in garbled text too.

Dialect and names look garbled: of a threat written out in them nothing is doubtful. A misheard
denial before the match still is.
"""

LEAD = 8
"""Characters before a match in which a denial or another's name would have to be legible."""

_BREAK = re.compile(r"[，。,.！!？?；;：:、\s]")


def oddity(texts: Iterable[str]) -> float:
    """How many different odd characters these texts hold beyond what is usual.

    A syllable taken for another one mostly breaks up a word of the dictionary. A name counts once,
    however often it is said.
    """
    odd: set[str] = set()
    total = 0
    for text in texts:
        for token in rjieba.cut(plain(text), False):  # noqa: FBT003  no guessing of unknown words
            if "\u4e00" <= token[0] <= "\u9fff":
                total += len(token)
                if len(token) == 1 and _is_odd(token):
                    odd.add(token)
    return len(odd) - USUAL * total


def misheard_before(text: str, start: int) -> bool:
    """Whether an odd character stands in the clause before `start`, where a denial would stand."""
    before = text[max(0, start - LEAD) : start]
    return is_odd(_BREAK.split(before)[-1])


def is_odd(text: str, seldom: int = SELDOM) -> bool:
    """Whether a character stands alone in a text that is seldom a word of its own."""
    return any(
        len(token) == 1 and "\u4e00" <= token <= "\u9fff" and rjieba.suggest_freq(token) < seldom
        for token in rjieba.cut(plain(text), False)  # noqa: FBT003  no guessing of unknown words
    )


@lru_cache(maxsize=1 << 13)
def _is_odd(char: str) -> bool:
    return bool(rjieba.suggest_freq(char) < SELDOM)

"""Whether a match by sound may have been meant: its cost, and its sense as it was heard."""

from collections.abc import Iterable, Sequence
from operator import eq
from typing import NamedTuple

import rjieba

from rules.normalise import BREAKS
from rules.phonetic import neighbours, readings

SHORT = 3
"""Syllables from which a pattern matches by sound."""

NEAR, WRONG = 0.5, 1.0
REPAIRABLE, STRETCHABLE, LONG = 4, 5, 6
"""Syllables from which a word survives a wrong one, a missing one, and from which it is long."""

EVERYDAY = frozenset(
    "的得地了是在我你您他她它们这那有不就也都要会能可以和与跟对把被让给到去来上下里说想着过"
    "吧吗呢嘛很太再又还没别请好行先后多少大小"
    "一二三四五六七八九十两几个位天号月年点分块元万千百钱款人事家话问做帮用为从因所但如果只"
    "最更已将该或者谁哪怎么什名叫找打等"
)
"""Characters that stand alone so often that hearing one explains itself."""

ALONE = EVERYDAY | frozenset("看见听买卖拿送走回进出开收交坐吃笑真快慢早晚新老高长住接转发查办写算")
"""Characters that a word of one character is not heard as: 我看你态度还行 is no 砍."""

HELD = 1024
"""Answers that are kept for an item before they are worked out anew."""

AROUND = 8
"""Characters round a match that are cut into words with it."""


class Piece(NamedTuple):
    """A word that was meant, where it was heard, what that costs, how many syllables are off."""

    start: int
    end: int
    word: str
    cost: float = 0.0
    off: int = 0
    number: bool = False


def spread(heard: str, meant: str) -> tuple[float, int]:
    """Cost of hearing one code string for another of the same length, and the syllables off."""
    if heard == meant:
        return 0.0, 0
    near = neighbours()
    cost, off = 0.0, 0
    for one, other in zip(heard, meant, strict=True):
        if one != other:
            off += 1
            cost += NEAR if one in near.get(other, "") else WRONG
    return cost, off


class Sounds:
    """The words of an item by their codes: which of them was most likely meant by what is heard."""

    __slots__ = ("_by_code", "_by_length", "_held")

    def __init__(self, words: Iterable[str]) -> None:
        self._by_code: dict[str, str] = {}
        self._by_length: dict[int, list[tuple[str, str]]] = {}
        self._held: dict[str, tuple[float, int, str] | None] = {}
        for word in words:
            for code in readings(word):
                self._by_code.setdefault(code, word)
                self._by_length.setdefault(len(code), []).append((code, word))

    @property
    def codes(self) -> Iterable[str]:
        """The codes of all words."""
        return self._by_code.keys()

    def likeliest(self, heard: str) -> tuple[float, int, str] | None:
        """Cost, syllables that are off, and the word; None where no word is as long as this."""
        word = self._by_code.get(heard)
        if word is not None:
            return 0.0, 0, word
        if heard not in self._held:
            if len(self._held) >= HELD:
                self._held.clear()
            words = self._by_length.get(len(heard), ())
            self._held[heard] = min(
                ((*spread(heard, meant), word) for meant, word in words), default=None
            )
        return self._held[heard]


def plausible(pieces: Sequence[Piece], text: str, *, strong: bool) -> bool:
    """Whether all of these words may have been meant by what is written in the text."""
    words = [piece for piece in pieces if not piece.number]
    syllables, cost, off = 0, 0.0, 0
    for piece in words:
        syllables += len(piece.word)
        cost += piece.cost
        off += piece.off
    if cost > allowed(syllables, off, strong=strong):
        return False
    if not strong:
        same = sum([_same(piece, text) for piece in words])
        if (
            4 * same < syllables
            or (cost and 3 * same < syllables)
            or (syllables <= SHORT and same < SHORT - 1)
        ):
            return False
        if syllables <= STRETCHABLE and not _telling(words, text):
            return False
    together = _stretches(pieces)
    return _hold(together, syllables, cost, text) and not _is_ordinary(pieces, together, cost, text)


def _telling(pieces: Sequence[Piece], text: str) -> bool:
    """Whether some character that is not an everyday one stands as it was meant."""
    return any(
        text[place] == char and char not in EVERYDAY
        for piece in pieces
        for place, char in enumerate(piece.word, start=piece.start)
        if place < piece.end
    )


def _same(piece: Piece, text: str) -> int:
    """How many characters of the word stand where they were heard."""
    start, end, word = piece.start, piece.end, piece.word
    if end - start != len(word):
        return len(word) - 1
    heard = text[start:end]
    return len(word) if heard == word else sum(map(eq, heard, word))


def _stretches(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """The words, those without a gap between them together."""
    found: list[list[Piece]] = []
    for piece in pieces:
        if piece.number:
            found.append([])
        elif found and found[-1] and found[-1][-1].end == piece.start:
            found[-1].append(piece)
        else:
            found.append([piece])
    return [stretch for stretch in found if stretch]


def _hold(stretches: Sequence[Sequence[Piece]], syllables: int, cost: float, text: str) -> bool:
    """Whether each word is heard well enough; words with no gap between hold one another up."""
    for stretch in stretches:
        together = sum(len(piece.word) for piece in stretch)
        for piece in stretch:
            written = text[piece.start : piece.end] == piece.word
            if together == 1 and not written and (syllables < LONG or cost):
                return False
            if piece.cost > limit(len(piece.word), together, syllables):
                return False
    return True


def limit(length: int, together: int, syllables: int) -> float:
    """What one word may cost: a short word that is not there is no word at all."""
    if together <= 2:  # noqa: PLR2004
        return NEAR if syllables >= LONG and length == 2 else 0.0  # noqa: PLR2004
    if length == 1:
        return NEAR
    if length == 2:  # noqa: PLR2004
        return NEAR if together < STRETCHABLE else WRONG
    if length == SHORT:
        return NEAR if together < REPAIRABLE else WRONG
    return WRONG if length <= STRETCHABLE else WRONG + NEAR


def allowed(syllables: int, off: int, *, strong: bool) -> float:
    """What a match of so many syllables, so many of them off, may cost; -1: none at all."""
    if syllables < SHORT:
        return 0.0 if strong else -1.0
    if syllables == SHORT:
        return 0.0
    if syllables < STRETCHABLE:
        return WRONG if off == 1 else NEAR
    if syllables <= LONG:
        return WRONG
    return WRONG + NEAR if syllables < 10 else 2 * WRONG  # noqa: PLR2004


def _is_ordinary(
    pieces: Sequence[Piece], stretches: Sequence[Sequence[Piece]], cost: float, text: str
) -> bool:
    """Whether some stretch makes good sense as it was heard, so that nothing else was meant."""
    for piece in pieces:
        heard = text[piece.start : piece.end]
        if (
            len(piece.word) == 1
            and piece.word not in "的得地"
            and heard != piece.word
            and heard in ALONE
        ):
            return True
    explained: set[int] | None = None
    for stretch in stretches:
        wrong = [
            piece.start + i
            for piece in stretch
            if piece.end - piece.start == len(piece.word)
            for i in range(len(piece.word))
            if text[piece.start + i] != piece.word[i]
        ]
        if not wrong:
            continue
        if explained is None:
            explained = _explained(pieces, text)
        length = sum(piece.end - piece.start for piece in stretch)
        slip = length >= REPAIRABLE and 3 * len(wrong) <= length and not cost
        if not slip and explained.issuperset(wrong):
            return True
    return False


def _explained(pieces: Sequence[Piece], text: str) -> set[int]:
    """Places round a match that belong to a word of the dictionary or to an everyday word."""
    start, end = pieces[0].start, pieces[-1].end
    low = max(start - AROUND, *(text.rfind(mark, 0, start) + 1 for mark in BREAKS))
    ends = [at for mark in BREAKS if (at := text.find(mark, end, end + AROUND)) >= 0]
    found: set[int] = set()
    at = low
    for token in rjieba.cut(text[low : min([*ends, end + AROUND])], False):  # noqa: FBT003  no guesses
        if (len(token) > 1 and not _respelt(at, token, pieces)) or token in EVERYDAY:
            found.update(range(at, at + len(token)))
        at += len(token)
    return found


def _respelt(at: int, token: str, pieces: Sequence[Piece]) -> bool:
    """Whether a longer word is a word of the pattern with one character written otherwise."""
    for piece in pieces:
        inside = piece.start <= at and at + len(token) <= piece.end
        if len(token) >= SHORT and inside and piece.end - piece.start == len(piece.word):
            meant = piece.word[at - piece.start : at - piece.start + len(token)]
            return sum(a != b for a, b in zip(token, meant, strict=True)) == 1
    return False

# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, auto_pickle=False
"""Whether a match by sound may have been meant: its cost, and its sense as it was heard."""

from libc.stdint cimport int32_t, uint8_t

from rules.field cimport SOURCE_DIGEST, Field, is_break

import rjieba

from rules.phonetic import neighbours, readings

DIGEST = SOURCE_DIGEST.decode("ascii")
"""SHA-256 of all the sources that this module was built with."""

cdef enum:
    _SHORT = 3
    _REPAIRABLE = 4
    _STRETCHABLE = 5
    _LONG = 6
    _AROUND = 8
    _NEAR = 1  # in halves
    _WRONG = 2

SHORT = _SHORT
"""Syllables from which a pattern matches by sound."""

NEAR, WRONG = _NEAR / 2.0, _WRONG / 2.0
REPAIRABLE, STRETCHABLE, LONG = _REPAIRABLE, _STRETCHABLE, _LONG
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

AROUND = _AROUND
"""Characters round a match that are cut into words with it."""

cdef enum:
    _EVERYDAY = 1
    _ALONE = 2
    _PARTICLE = 4

cdef uint8_t _kinds[0x10000]  # what is known of a character; zeros at first
for _members, _kind in ((EVERYDAY, _EVERYDAY), (ALONE, _ALONE), ("的得地", _PARTICLE)):
    for _character in _members:
        _kinds[<Py_UCS4>_character] |= <int>_kind


cdef tuple _spread(str heard, str meant):
    """Cost of hearing one code string for another of the same length, and the syllables off."""
    cdef dict near = neighbours()
    cdef int cost = 0, off = 0, n
    for n in range(len(meant)):
        if heard[n] != meant[n]:
            off += 1
            cost += _NEAR if heard[n] in near.get(meant[n], "") else _WRONG
    return cost, off


cdef class Sounds:
    """The words of an item by their codes: which of them was most likely meant by what is heard."""

    cdef dict _by_code, _by_length, _held

    def __init__(self, words):
        self._by_code, self._by_length, self._held = {}, {}, {}
        for word in words:
            for code in readings(word):
                self._by_code.setdefault(code, word)
                self._by_length.setdefault(len(code), []).append((code, word))

    @property
    def codes(self):
        """The codes of all words."""
        return self._by_code.keys()

    def likeliest(self, str heard not None):
        """Cost in halves, syllables off, and the word; None where no word is as long as this."""
        word = self._by_code.get(heard)
        if word is not None:
            return 0, 0, word
        if heard not in self._held:
            if len(self._held) >= HELD:
                self._held.clear()
            words = self._by_length.get(len(heard), ())
            found = [(*_spread(heard, meant), word) for meant, word in words]
            self._held[heard] = min(found) if found else None
        return self._held[heard]


def limit(int length, int together, int syllables):
    """What one word may cost: a short word that is not there is no word at all."""
    return _limit(length, together, syllables) / 2.0


def allowed(int syllables, int off, *, bint strong):
    """What a match of so many syllables, so many of them off, may cost; -1: none at all."""
    return budget(syllables, off, strong) / 2.0


cdef int budget(int syllables, int off, bint strong) noexcept:
    """The same in halves."""
    if syllables < _SHORT:
        return 0 if strong else -2
    if syllables == _SHORT:
        return 0
    if syllables < _STRETCHABLE:
        return _WRONG if off == 1 else _NEAR
    if syllables <= _LONG:
        return _WRONG
    return _WRONG + _NEAR if syllables < 10 else 2 * _WRONG


cdef int _limit(int length, int together, int syllables) noexcept:
    """What one word may cost, in halves."""
    if together <= 2:
        return _NEAR if syllables >= _LONG and length == 2 else 0
    if length == 1:
        return _NEAR
    if length == 2:
        return _NEAR if together < _STRETCHABLE else _WRONG
    if length == _SHORT:
        return _NEAR if together < _REPAIRABLE else _WRONG
    return _WRONG if length <= _STRETCHABLE else _WRONG + _NEAR


cdef bint plausible(
    const Piece* pieces, int count, const int32_t* letters, Field field, int cost, bint strong
) except -1:
    """Whether all of these words, in order, may have been meant by what is written in the text.

    `letters` holds the characters of the words, `cost` is what all of them cost, in halves.
    """
    cdef int n, first, syllables = 0, same = 0
    for n in range(count):
        syllables += pieces[n].length
        same += _same(&pieces[n], letters, field)
    if not strong:
        if (
            4 * same < syllables
            or (cost and 3 * same < syllables)
            or (syllables <= _SHORT and same < _SHORT - 1)
        ):
            return False
        if syllables <= _STRETCHABLE and not _tell(pieces, count, letters, field):
            return False
    for n in range(count):
        if _is_other(&pieces[n], letters, field):
            return False
    n = 0
    while n < count:
        first = n
        n += 1
        if pieces[first].length:
            while n < count and pieces[n].length and pieces[n - 1].end == pieces[n].start:
                n += 1
            if not _hold(pieces + first, n - first, letters, field, syllables, cost):
                return False
    return not _is_ordinary(pieces, count, letters, field, cost)


cdef int _same(const Piece* piece, const int32_t* letters, Field field) noexcept:
    """How many characters of the word stand where they were heard."""
    cdef int n, found = 0
    if piece.end - piece.start != piece.length:
        return max(piece.length - 1, 0)
    for n in range(piece.length):
        found += field.views[0].units[piece.start + n] == letters[piece.word + n]
    return found


cdef bint _tell(
    const Piece* pieces, int count, const int32_t* letters, Field field
) noexcept:
    """Whether some character that is not an everyday one stands as it was meant."""
    cdef const Piece* piece
    cdef int n, m, unit
    for n in range(count):
        piece = &pieces[n]
        for m in range(min(piece.length, piece.end - piece.start)):
            unit = field.views[0].units[piece.start + m]
            if unit == letters[piece.word + m] and not _kinds[unit] & _EVERYDAY:
                return True
    return False


cdef bint _hold(
    const Piece* pieces, int count, const int32_t* letters, Field field, int syllables, int cost
) noexcept:
    """Whether each word is heard well enough; words with no gap between hold one another up."""
    cdef const Piece* piece
    cdef int n, together = 0
    for n in range(count):
        together += pieces[n].length
    for n in range(count):
        piece = &pieces[n]
        if together == 1 and (syllables < _LONG or cost) and not _is_written(piece, letters, field):
            return False
        if piece.cost > _limit(piece.length, together, syllables):
            return False
    return True


cdef bint _is_written(const Piece* piece, const int32_t* letters, Field field) noexcept:
    return (
        piece.end - piece.start == piece.length
        and _same(piece, letters, field) == piece.length
    )


cdef bint _is_other(const Piece* piece, const int32_t* letters, Field field) noexcept:
    """Whether a word of one character was heard as another one that often stands alone."""
    if piece.length != 1 or piece.end - piece.start != 1:
        return False
    cdef int heard = field.views[0].units[piece.start], meant = letters[piece.word]
    return heard != meant and _kinds[heard] & _ALONE and not _kinds[meant] & _PARTICLE


cdef bint _is_ordinary(
    const Piece* pieces, int count, const int32_t* letters, Field field, int cost
) except -1:
    """Whether some stretch makes good sense as it was heard, so that nothing else was meant."""
    cdef const uint8_t[::1] explained = None
    cdef const Piece* piece
    cdef int n = 0, m, first, length, wrong, low = _low(pieces[0].start, field)
    while n < count:
        first = n
        length = wrong = 0
        while n < count and (n == first or pieces[n - 1].end == pieces[n].start):
            piece = &pieces[n]
            n += 1
            if not piece.length:
                break
            length += piece.end - piece.start
            if piece.end - piece.start == piece.length:
                wrong += piece.length - _same(piece, letters, field)
        if not wrong or (length >= _REPAIRABLE and 3 * wrong <= length and not cost):
            continue
        if explained is None:
            explained = _explained(low, pieces, count, letters, field)
        for m in range(first, n):
            if not _is_explained(&pieces[m], letters, field, explained, low):
                break
        else:
            return True
    return False


cdef bint _is_explained(
    const Piece* piece, const int32_t* letters, Field field, const uint8_t[::1] explained, int low
) noexcept:
    """Whether each character of a word that is not written as meant belongs to another word."""
    cdef int n
    if piece.end - piece.start == piece.length:
        for n in range(piece.length):
            if (
                field.views[0].units[piece.start + n] != letters[piece.word + n]
                and not explained[piece.start + n - low]
            ):
                return False
    return True


cdef int _low(int start, Field field) noexcept:
    """From where on the characters before a match are cut into words with it."""
    cdef int low = start
    while 0 < low and start - _AROUND < low and not is_break(field.views[0].units[low - 1]):
        low -= 1
    return low


cdef bytearray _explained(
    int low, const Piece* pieces, int count, const int32_t* letters, Field field
):
    """Which characters from a place on belong to a word of the dictionary or an everyday word."""
    cdef int end = pieces[count - 1].end, high = end, at = low
    cdef bytearray found
    cdef str token
    while high < min(field.size, end + _AROUND) and not is_break(field.views[0].units[high]):
        high += 1
    found = bytearray(high - low)
    for token in rjieba.cut(field.text[low:high], False):  # no guesses at unknown words
        if token in EVERYDAY or (
            len(token) > 1 and not _respelt(at, token, pieces, count, letters)
        ):
            found[at - low : at - low + len(token)] = b"\1" * len(token)
        at += len(token)
    return found


cdef bint _respelt(
    int at, str token, const Piece* pieces, int count, const int32_t* letters
) except -1:
    """Whether a longer word is a word of the pattern with one character written otherwise."""
    cdef const Piece* piece
    cdef int n, m, others = 0, length = len(token)
    if length < _SHORT:
        return False
    for n in range(count):
        piece = &pieces[n]
        if (
            piece.start <= at
            and at + length <= piece.end
            and piece.end - piece.start == piece.length
        ):
            for m in range(length):
                others += <int>ord(token[m]) != letters[piece.word + at - piece.start + m]
            return others == 1
    return False

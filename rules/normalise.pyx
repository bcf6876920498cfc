# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, auto_pickle=False
"""Bring text into one form, one character for one character, and remember where each came from."""

cimport cython
from cpython cimport array
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.unicode cimport Py_UNICODE_ISDIGIT, PyUnicode_FromKindAndData
from libc.stdint cimport uint8_t, uint16_t

from rules.field cimport HARD as _HARD, SOFT as _SOFT, SOURCE_DIGEST, TURN as _TURN

import array

import numpy as np

from rules.phonetic import MAX_BMP, spell
from rules.tables import Table

DIGEST = SOURCE_DIGEST.decode("ascii")
"""SHA-256 of all the sources that this module was built with."""

SOFT, HARD, TURN = chr(_SOFT), chr(_HARD), chr(_TURN)
"""The breaks left after normalisation: inside a sentence, between sentences, between turns."""
BREAKS = SOFT + HARD + TURN
SEGMENT_JOINT, TURN_JOINT = "\x1e", "\x1f"

cdef enum:
    _DROP = 0
    _SYMBOL = 1
    _SPACE = 2
    _DOT = 3

_SOFT_MARKS = ",，、:：—…()（）[]【】《》<>〈〉｜「」『』〔〕" + SEGMENT_JOINT
_HARD_MARKS = "。.！!？?；;\n\r\v\f\u2028\u2029"
_DROPPED = "\"'“”‘’`´＂＇\u00ad\ufeff\u2060\u180e嗯呃喔哦噢诶欸哎唉啊呀"
_SYMBOLS = "-_*~/\\|+=^#@&·•・‧∙⋅－＿＊～／＼＋＝＾＃＠＆★☆●○◆◇■□▲△▼▽※→←↑↓§¤°√×÷\ufffd"
_SPACES = " \t\u00a0\u3000\u2002\u2003\u2009\u202f"
_ZERO_WIDTH = (
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2061, 0x2070),
    *range(0xFE00, 0xFE10),
)
_LOOKALIKES = {
    "妳": "你",
    "她": "他",
    "冇": "没",
    "巳": "已",
    "末": "未",
    "冋": "回",
    "淸": "清",
    "囬": "回",
    "氵": "",
    "卐": "",
}


@Table
def normal_forms():
    """Normal form of each BMP character; 0 to 3 stand for what its neighbours decide."""
    import opencc  # noqa: PLC0415  a compiled pack spares it

    table = np.arange(0x10000, dtype=np.uint16)
    for full in range(0xFF01, 0xFF5F):
        table[full] = full - 0xFEE0
    han = [chr(code) for code in (*range(0x3400, 0xA000), *range(0xF900, 0xFB00))]
    simple = opencc.OpenCC("t2s").convert("\n".join(han)).split("\n")
    for char, converted in zip(han, simple, strict=True):
        if len(converted) == 1 and ord(converted) <= MAX_BMP:
            table[ord(char)] = ord(converted)
    for upper in range(ord("A"), ord("Z") + 1):
        table[upper] = upper + 32
        table[upper + 0xFEE0] = upper + 32
    for chars, value in (
        (_SYMBOLS, _SYMBOL),
        (_SOFT_MARKS, ord(SOFT)),
        (_HARD_MARKS, ord(HARD)),
        (_SPACES, _SPACE),
        (_DROPPED, _DROP),
        (".．", _DOT),
        (TURN_JOINT, ord(TURN)),
    ):
        for char in chars:
            table[ord(char)] = value
    for odd, plain in _LOOKALIKES.items():
        table[ord(odd)] = ord(plain) if plain else _DROP
    table[list(_ZERO_WIDTH)] = _DROP
    table[0x2190:0x2C00] = _SYMBOL
    table[0xE000:0xF900] = _SYMBOL
    table[0xD800:0xE000] = _SYMBOL
    table[[c for c in range(0x20) if chr(c) not in "\t\n\r\v\f\x1e\x1f"]] = _DROP
    table[0x7F:0xA0] = _DROP
    return table


FILLERS = ("那个", "就是说")
"""Words that a speaker says while thinking; they are dropped."""

cdef enum:
    _DIGIT_WORD = 1
    _SCALE = 2  # makes a number of the figures before it
    _MEANS = 4  # after 那个: that one is meant
    _CARE = 8  # here neighbours may decide
    _FIGURES = 3  # so many in a row are read out one by one

cdef array.array _NUMBERS = array.array("i")
cdef int _POINT = ord("."), _NOT = ord("不")
cdef int _DENIAL = ord("唔")  # Cantonese for 不; alone it is a sound made while thinking
cdef uint8_t _kinds[0x10000]  # what is known of a character; zeros at first
cdef uint16_t _digits[0x10000]


cdef int _learn(str characters, int kind) except -1:
    cdef Py_UCS4 character
    for character in characters:
        _kinds[character] |= kind
    return 0


_learn("零〇一二三四五六七八九幺", _DIGIT_WORD | _CARE)
_learn("十百千万亿", _SCALE)
_learn("人种样时地名位同女男老小", _MEANS)
_learn(SOFT + "唔那就abcdefghijklmnopqrstuvwxyz\1\2\3", _CARE)
for _word, _digit in zip("零一二三四五六七八九〇幺", "012345678901"):
    _digits[<int>ord(_word)] = <int>ord(_digit)


@cython.final
cdef class _Draft:
    """A text by the normal forms of its characters: as it was, and as its neighbours make it."""

    cdef uint16_t* draft
    cdef uint16_t* forms
    cdef int[::1] ends
    cdef int size

    def __cinit__(self, str raw not None):
        cdef const uint16_t[::1] table = normal_forms()
        cdef Py_UCS4 character
        cdef Py_ssize_t size = len(raw)
        cdef int at = 0
        self.draft = <uint16_t*>PyMem_Malloc(2 * (size + 1) * sizeof(uint16_t))
        if self.draft == NULL or size > 0x7FFFFF0 or table.shape[0] <= MAX_BMP:
            raise MemoryError
        self.size, self.forms = size, self.draft + size
        self.ends = array.clone(_NUMBERS, size, False)
        for character in raw:
            self.draft[at] = table[character] if character <= 0xFFFF else _SYMBOL
            self.forms[at] = self.draft[at]
            at += 1
            self.ends[at - 1] = at

    def __dealloc__(self):
        PyMem_Free(self.draft)

    cdef int settle(self) except -1:
        """Settle what depends on neighbours: separators, dots, pinyin, digits, fillers."""
        cdef int unit, at = 0
        while at < self.size:
            unit = self.draft[at]
            if not _kinds[unit] & _CARE:
                at += 1
            elif unit == _SYMBOL:
                at = self.symbols(at)
            elif unit <= _DOT:
                at = self.spaces(at)
            elif unit < 0x80:
                at = self.latin(at)
            elif _kinds[unit] & _DIGIT_WORD:
                at = self.figures(at)
            elif unit == _SOFT:
                at = self.comma(at)
            elif unit == _DENIAL:
                at = self.denial(at)
            else:
                at = self.filler(at)
        return 0

    cdef int unit(self, int at) noexcept:
        """The character at a place; -1 where there is none."""
        return self.draft[at] if 0 <= at < self.size else -1

    cdef void become(self, int start, int end, int form) noexcept:
        cdef int at
        for at in range(start, end):
            self.forms[at] = form

    cdef bint bridged(self, int start, int end) noexcept:
        """Whether what lies between stands in the middle of a word."""
        return _bridges(self.unit(start - 1)) and _bridges(self.unit(end))

    cdef int symbols(self, int start) noexcept:
        """Drop what was put between the characters of a word; the rest are breaks."""
        cdef int end = start
        while self.unit(end) == _SYMBOL:
            end += 1
        self.become(start, end, _DROP if self.bridged(start, end) else _SOFT)
        return end

    cdef int spaces(self, int start) noexcept:
        """The same for spaces and dots; a dot between figures stays one."""
        cdef int at, end = start
        while self.unit(end) == _SPACE or self.unit(end) == _DOT:
            end += 1
        if _is_digit(self.unit(start - 1)) and _is_digit(self.unit(end)):
            for at in range(start, end):
                self.forms[at] = _POINT if self.draft[at] == _DOT else _DROP
        elif self.bridged(start, end) and self.single(start, end):
            self.become(start, end, _DROP)
        else:
            self.become(start, end, _SOFT)
        return end

    cdef bint single(self, int start, int end) noexcept:
        """Whether it stands by a lone character, or between Chinese and Latin or digits."""
        return (
            (self.draft[start - 1] < 0x80) != (self.draft[end] < 0x80)
            or not _bridges(self.unit(start - 2))
            or not _bridges(self.unit(end + 1))
        )

    cdef int latin(self, int start) except -1:
        """Latin syllables next to Chinese characters become one syllable code each."""
        cdef int first, last, at, end = start
        while 97 <= self.unit(end) <= 122:
            end += 1
        if end - start > 1 and (_parts(self.unit(start - 1)) or _parts(self.unit(end))):
            run = PyUnicode_FromKindAndData(2, self.draft + start, end - start)
            for first, last, code in spell(run) or ():
                self.become(start + first, start + last, _DROP)
                self.forms[start + first] = <Py_UCS4>ord(code)
                self.ends[start + first] = start + last
        return end

    cdef int figures(self, int start) noexcept:
        """Figures read out one by one become digits."""
        cdef int at, end = start, last
        while end < self.size and _kinds[self.draft[end]] & _DIGIT_WORD:
            end += 1
        last = end - (end < self.size and _kinds[self.draft[end]] & _SCALE != 0)
        if last - start >= _FIGURES:
            for at in range(start, last):
                self.forms[at] = _digits[self.draft[at]]
        return end

    cdef int comma(self, int at) noexcept:
        """A comma between thousands is dropped."""
        cdef int n = 1
        while 48 <= self.unit(at + n) <= 57:
            n += 1
        if n == 4 and 48 <= self.unit(at - 1) <= 57:
            self.forms[at] = _DROP
        return at + 1

    cdef int denial(self, int start) noexcept:
        """A single one before a Chinese character denies; else it is a sound made in thought."""
        cdef int end = start
        while self.unit(end) == _DENIAL:
            end += 1
        self.become(start, end, _NOT if end == start + 1 and _is_han(self.unit(end)) else _DROP)
        return end

    cdef int filler(self, int start) noexcept:
        """Words said while thinking are dropped."""
        cdef int n, after
        cdef str filler
        for filler in FILLERS:
            for n in range(len(filler)):
                if self.unit(start + n) != <int>filler[n]:
                    break
            else:
                after = self.unit(start + len(filler))
                if filler is FILLERS[0] and after >= 0 and _kinds[after] & _MEANS:
                    break
                self.become(start, start + len(filler), _DROP)
                return start + len(filler)
        return start + 1

    cdef tuple kept(self):
        """The text, and where each of its characters starts and ends in the raw one."""
        cdef int at, size = 0
        cdef int[::1] starts, ends
        for at in range(self.size):
            size += self.forms[at] != _DROP
        begun, ended = array.clone(_NUMBERS, size, False), array.clone(_NUMBERS, size, False)
        starts, ends = begun, ended
        size = 0
        for at in range(self.size):
            if self.forms[at] != _DROP:
                self.draft[size] = self.forms[at]
                starts[size], ends[size] = at, self.ends[at]
                size += 1
        return PyUnicode_FromKindAndData(2, self.draft, size), begun, ended


cdef inline bint _is_han(int unit) noexcept:
    return 0x3400 <= unit <= 0x9FFF or 0xF900 <= unit <= 0xFAFF


cdef inline bint _bridges(int unit) noexcept:
    """Whether a character may be part of a word."""
    return _is_han(unit) or 97 <= unit <= 122 or 48 <= unit <= 57


cdef inline bint _parts(int unit) noexcept:
    """Whether letters beside it may be a syllable."""
    return _is_han(unit) or _SYMBOL <= unit <= _DOT


cdef inline bint _is_digit(int unit) noexcept:
    return unit >= 0 and Py_UNICODE_ISDIGIT(unit)


def normalise(str raw not None):
    """The normal form of a text, and for each of its characters where it starts and ends in `raw`.

    Latin syllables next to Chinese characters become one syllable code each.
    """
    cdef _Draft draft = _Draft(raw)
    draft.settle()
    return draft.kept()


def plain(str text not None):
    """The normal form alone; for the literals of patterns."""
    return normalise(text)[0]

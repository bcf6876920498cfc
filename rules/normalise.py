"""Bring text into one form, one character for one character, and remember where each came from."""

import re
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from rules.phonetic import MAX_BMP, spell
from rules.tables import Table

SOFT, HARD, TURN = "，", "。", "\n"
"""The breaks left after normalisation: inside a sentence, between sentences, between turns."""
BREAKS = SOFT + HARD + TURN
SEGMENT_JOINT, TURN_JOINT = "\x1e", "\x1f"

_DROP, _SYMBOL, _SPACE, _DOT = 0, 1, 2, 3
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

_HAN = "\u3400-\u9fff\uf900-\ufaff"
_LONG_DIGITS = re.compile("[零〇一二三四五六七八九幺]{3,}(?![十百千万亿])")
_DIGIT_WORDS = {word: str(n) for n, word in enumerate("零一二三四五六七八九")} | {
    "幺": "1",
    "〇": "0",
}
FILLERS = ("那个", "就是说")
"""Words that a speaker says while thinking; they are dropped."""
_DENIAL = "唔"  # Cantonese for 不; alone it is a sound made while thinking
_DENIED = re.compile(f"({_DENIAL}+)([{_HAN}])?")
_FILLER = re.compile("那个(?![人种样时地名位同女男老小])|就是说")
_SEPARATOR = re.compile("[\x01-\x03]")
_SYMBOL_RUN = re.compile("[\x01]+")
_SPACE_RUN = re.compile("[\x02\x03]+")
_LATIN = re.compile("[a-z]+")
_THOUSANDS = re.compile("，(?<=[0-9]，)(?=[0-9]{3}(?![0-9]))")
_BRIDGE = re.compile(f"[{_HAN}a-z0-9]")


@Table
def normal_forms() -> NDArray[np.uint16]:
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


def normalise(raw: str) -> tuple[str, NDArray[np.int32], NDArray[np.int32]]:
    """The normal form of a text, and for each of its characters where it starts and ends in `raw`.

    Latin syllables next to Chinese characters become one syllable code each.
    """
    points = np.frombuffer(raw.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    forms = normal_forms()[np.minimum(points, MAX_BMP)]
    forms[points > MAX_BMP] = _SYMBOL
    ends = np.arange(1, len(forms) + 1, dtype=np.int32)
    draft = forms.tobytes().decode("utf-16-le", "surrogatepass")
    _mend(draft, forms, ends)
    kept = np.flatnonzero(forms).astype(np.int32)
    text = forms[kept].tobytes().decode("utf-16-le", "surrogatepass")
    return text, kept, ends[kept]


def _mend(draft: str, forms: NDArray[np.uint16], ends: NDArray[np.int32]) -> None:
    """Settle in place what depends on neighbours: separators, dots, pinyin, digits, fillers."""
    if _SEPARATOR.search(draft):
        _settle_separators(draft, forms)
    if _LATIN.search(draft):
        _settle_latin(draft, forms, ends)
    for run in _LONG_DIGITS.finditer(draft):
        for at in range(*run.span()):
            forms[at] = ord(_DIGIT_WORDS[draft[at]])
    for comma in _THOUSANDS.finditer(draft):
        forms[comma.start()] = _DROP
    if _DENIAL in draft:
        for run in _DENIED.finditer(draft):
            start, end = run.span(1)
            forms[start:end] = ord("不") if end - start == 1 and run[2] else _DROP
    if "那个" in draft or "就是说" in draft:
        for run in _FILLER.finditer(draft):
            forms[run.start() : run.end()] = _DROP


def _settle_separators(draft: str, forms: NDArray[np.uint16]) -> None:
    """Drop what was put between the characters of a word; turn the rest into breaks."""
    for run in _SYMBOL_RUN.finditer(draft):
        inside = _bridges(draft, run.start(), run.end())
        forms[run.start() : run.end()] = _DROP if inside else ord(SOFT)
    for run in _SPACE_RUN.finditer(draft):
        start, end = run.span()
        if _between_digits(draft, start, end):
            forms[start:end] = np.where(forms[start:end] == _DOT, ord("."), _DROP)
        else:
            joined = _bridges(draft, start, end) and _splits_single(draft, start, end)
            forms[start:end] = _DROP if joined else ord(SOFT)


def _bridges(draft: str, start: int, end: int) -> bool:
    return (
        start > 0
        and end < len(draft)
        and _BRIDGE.match(draft[start - 1]) is not None
        and _BRIDGE.match(draft[end]) is not None
    )


def _between_digits(draft: str, start: int, end: int) -> bool:
    return start > 0 and end < len(draft) and draft[start - 1].isdigit() and draft[end].isdigit()


def _splits_single(draft: str, start: int, end: int) -> bool:
    """Whether the separator stands by a lone character, or between Chinese and Latin or digits."""
    before, after = draft[start - 1], draft[end]
    if before.isascii() != after.isascii():
        return True
    alone_before = start <= 1 or not _BRIDGE.match(draft[start - 2])
    alone_after = end + 1 >= len(draft) or not _BRIDGE.match(draft[end + 1])
    return alone_before or alone_after


def _settle_latin(draft: str, forms: NDArray[np.uint16], ends: NDArray[np.int32]) -> None:
    for run in _LATIN.finditer(draft):
        start, end = run.span()
        beside = draft[max(0, start - 1) : start] + draft[end : end + 1]
        if end - start > 1 and re.search(f"[{_HAN}\x01\x02\x03]", beside):
            syllables = spell(run[0])
            for first, last, code in syllables or ():
                forms[start + first] = ord(code)
                forms[start + first + 1 : start + last] = _DROP
                ends[start + first] = start + last


@cache
def _clean() -> re.Pattern[str]:
    """Texts that surely are their own normal form: Chinese, with no filler and no digit word."""
    table = normal_forms()
    care = set(_DIGIT_WORDS) | set("那就")
    kept = [chr(c) for c in range(0x3400, 0xA000) if table[c] == c and chr(c) not in care]
    return re.compile(f"[{''.join(kept)}]+")


@lru_cache(maxsize=1 << 16)
def plain(text: str) -> str:
    """The normal form alone; for the literals of patterns."""
    return text if _clean().fullmatch(text) else normalise(text)[0]

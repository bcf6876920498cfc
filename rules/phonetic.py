"""Syllables: every character becomes one code for its toneless, accent-folded syllable."""

import re
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rules.tables import Table

MAX_BMP = 0xFFFF
CODE_BASE = 0xE000
"""Codes lie in the private use area, so that a code string never looks like text."""

_TONES = str.maketrans("āáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜüńňǹḿê", "aaaaeeeeiiiioooouuuuvvvvvnnnme")
_SYLLABLE = re.compile(r"^(b|p|m|f|d|t|n|l|g|k|h|j|q|x|zh|ch|sh|r|z|c|s|y|w)?([aeiouvngr]+)$")
_INITIAL_FOLDS = {"zh": "z", "ch": "c", "sh": "s", "n": "l", "f": "h"}
_GLIDES = {
    "yi": "i",
    "yin": "in",
    "ying": "in",
    "you": "iu",
    "yong": "iong",
    "yu": "v",
    "yue": "ve",
}
_GLIDES |= {"yuan": "van", "yun": "vn", "wu": "u", "wei": "ui", "wen": "un", "weng": "un"}
_NEAR_INITIALS = (
    "bp",
    "dt",
    "gk",
    "kh",
    "gh",
    "jq",
    "qx",
    "jx",
    "zc",
    "cs",
    "zs",
    "rl",
    "ml",
    "zj",
    "cq",
    "sx",
    "l",
    "qt",
    "dz",
    "ct",
    "kt",
    "pt",
)
_NEAR_FINALS = (
    ("o", "uo"),
    ("o", "u"),
    ("u", "ou"),
    ("ao", "ou"),
    ("uo", "ou"),
    ("e", "uo"),
    ("e", "ie"),
    ("ai", "ei"),
    ("ei", "ui"),
    ("ei", "i"),
    ("ie", "ei"),
    ("i", "v"),
    ("i", "ie"),
    ("i", "e"),
    ("i", "in"),
    ("in", "en"),
    ("in", "un"),
    ("in", "ian"),
    ("en", "un"),
    ("en", "an"),
    ("an", "uan"),
    ("an", "ian"),
    ("ian", "van"),
    ("ian", "in"),
    ("uan", "van"),
    ("un", "vn"),
    ("in", "vn"),
    ("ong", "en"),
    ("ong", "un"),
    ("iong", "ong"),
    ("u", "v"),
    ("u", "iu"),
    ("ou", "iu"),
    ("a", "ia"),
    ("a", "ua"),
    ("a", "e"),
    ("ie", "ve"),
    ("e", "en"),
    ("ian", "ie"),
    ("a", "ao"),
    ("ai", "an"),
    ("ong", "uan"),
    ("en", "o"),
    ("ia", "ian"),
    ("van", "vn"),
    ("uo", "u"),
    ("ai", "uai"),
    ("an", "a"),
    ("iao", "ao"),
    ("a", "ai"),
    ("uei", "ui"),
    ("iu", "v"),
    ("o", "e"),
)
_PALATALS = (("z", "j"), ("c", "q"), ("s", "x"))
_MEDIALS = (("an", "ian"), ("ao", "iao"), ("ou", "iu"), ("a", "ia"), ("en", "in"))
"""Together: 山 and 先, 找 and 脚, which an accent or a bad line brings close."""

_HETERONYMS = frozenset(
    "还行长重乐得了地着都大差调弹藏传朝参觉角教量率没难宁强曲数说提吓血载扎折转钻处担当倒分"
    "供号喝和会假降结禁卷卡空缝模磨干给更好几见奇切塞散色省盛似"
    "挑通为相兴要应与只种落露绿陆脉埋蔓秘泥呢区任撒恶便薄背奔别伯泊叉单的丁发佛否父盖骨冠观"
    "贯核哄华划晃混济系夹监将劲据圈"
)
"""Characters with more than one common reading: words that hold them are read as phrases, too."""


def _fold(syllable: str) -> tuple[str, str] | None:
    """Initial and final of a toneless syllable after folding what accents and ASR confuse."""
    if syllable in _GLIDES:
        return "", _GLIDES[syllable]
    found = _SYLLABLE.match(syllable)
    if found is None:
        return None
    initial, final = found[1] or "", found[2]
    if initial == "y":
        initial, final = "", "i" + final.lstrip("i")
    elif initial == "w":
        initial, final = "", "u" + final.lstrip("u")
    elif initial in {"j", "q", "x"} and final.startswith("u"):
        final = "v" + final[1:]
    initial = _INITIAL_FOLDS.get(initial, initial)
    if final.endswith("ng") and final not in {"ong", "iong"}:
        final = final[:-1]
    return initial, final


def _toneless(reading: str) -> str:
    return reading.translate(_TONES)


@cache
def _inventory() -> tuple[dict[tuple[str, str], str], dict[int, str]]:
    """Code of each folded syllable, and code of each character by its first reading."""
    from pypinyin.constants import PINYIN_DICT  # noqa: PLC0415  80 MB that a compiled pack spares

    first: dict[int, tuple[str, str]] = {}
    for codepoint, readings in PINYIN_DICT.items():
        if codepoint > MAX_BMP:
            continue
        folded = _fold(_toneless(readings.split(",")[0]))
        if folded is not None:
            first[codepoint] = folded
    for digit, word in enumerate("零一二三四五六七八九"):
        first[ord("0") + digit] = first[ord(word)]
    syllables = {pair: chr(CODE_BASE + n) for n, pair in enumerate(sorted(set(first.values())))}
    return syllables, {codepoint: syllables[pair] for codepoint, pair in first.items()}


@Table
def code_table() -> NDArray[np.uint16]:
    """Code of each BMP character; characters without a syllable stand for themselves."""
    table = np.arange(0x10000, dtype=np.uint16)
    for codepoint, code in _inventory()[1].items():
        table[codepoint] = ord(code)
    return table


def units_of(text: str) -> NDArray[np.uint16]:
    """The numbers of the characters of a text, none of them beyond the BMP."""
    return np.frombuffer(text.encode("utf-16-le", "surrogatepass"), dtype=np.uint16)


FEW = 24
"""Texts of fewer characters are encoded one by one."""


class _Codes(dict[int, int]):
    """Code of each character, looked up when it is first seen."""

    def __missing__(self, character: int) -> int:
        known = character <= MAX_BMP
        code = self[character] = int(code_table()[character]) if known else character
        return code


_codes = _Codes()


def encode(text: str) -> str:
    """The text with each character replaced by its syllable code (same length)."""
    if len(text) < FEW:
        return text.translate(_codes)
    return code_table()[units_of(text)].tobytes().decode("utf-16-le", "surrogatepass")


def is_code(char: str) -> bool:
    """Whether the character is a syllable code."""
    return CODE_BASE <= ord(char) < CODE_BASE + len(neighbours())


def readings(text: str) -> tuple[str, ...]:
    """Code strings under which the text may be heard: by table, and as words of the phrase read."""
    by_table = encode(text)
    if _HETERONYMS.isdisjoint(text):
        return (by_table,)
    known = phrase_readings()
    by_phrase = known.get(text)
    if by_phrase is None:
        by_phrase = known[text] = _by_phrase(text, by_table)
    return (by_table,) if by_phrase == by_table else (by_table, by_phrase)


@Table
def phrase_readings() -> dict[str, str]:
    """Code strings of texts with heteronyms as phrases, each noted when it is first asked for."""
    return {}


def _by_phrase(text: str, by_table: str) -> str:
    """The code string of the text with the phrases that pypinyin knows read as it reads them."""
    from pypinyin.constants import PHRASES_DICT  # noqa: PLC0415  80 MB that a compiled pack spares
    from pypinyin.seg.mmseg import seg  # noqa: PLC0415

    places = range(len(text))
    if not any(text[a : b + 1] in PHRASES_DICT for a in places for b in places[a + 1 :]):
        return by_table
    codes = list(by_table)
    at = 0
    for phrase in seg.cut(text):
        spoken = PHRASES_DICT.get(phrase, ())
        for n, readings_ in enumerate(spoken if len(spoken) == len(phrase) else ()):
            codes[at + n] = _syllable_code(_toneless(readings_[0])) or codes[at + n]
        at += len(phrase)
    return "".join(codes)


def _syllable_code(syllable: str) -> str | None:
    folded = _fold(syllable.replace("ü", "v"))
    return None if folded is None else _inventory()[0].get(folded)


def _alike(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two syllables are easily taken for one another."""
    initials, finals = frozenset((one[0], other[0])), frozenset((one[1], other[1]))
    if one[1] == other[1]:
        return "".join(sorted(initials)) in _INITIAL_PAIRS
    if one[0] == other[0]:
        return finals in _FINAL_PAIRS
    flat, sharp = (one, other) if one[0] in "zcs" else (other, one)
    return (flat[0], sharp[0]) in _PALATALS and (flat[1], sharp[1]) in _MEDIALS


_INITIAL_PAIRS = frozenset("".join(sorted(pair)) for pair in _NEAR_INITIALS)
_FINAL_PAIRS = frozenset(frozenset(pair) for pair in _NEAR_FINALS)


@Table
def neighbours() -> dict[str, str]:
    """For each code the codes that are easily taken for it, itself not among them."""
    syllables = _inventory()[0]
    return {
        code: "".join(
            other for twin, other in syllables.items() if twin != pair and _alike(pair, twin)
        )
        for pair, code in syllables.items()
    }


def distance(heard: str, meant: str) -> float:
    """Cost of taking one code for another: 0 equal, 0.5 easily confused, 1 anything else."""
    if heard == meant:
        return 0.0
    return 0.5 if heard in neighbours().get(meant, "") else 1.0


@cache
def _distances() -> NDArray[np.uint8]:
    """Distances of all syllables, in halves: a row for each code meant, a column for each heard.

    The last column stands for whatever is no syllable.
    """
    size = len(neighbours())
    table = np.full((size, size + 1), 2, dtype=np.uint8)
    np.fill_diagonal(table, 0)
    for code, others in neighbours().items():
        table[ord(code) - CODE_BASE, [ord(other) - CODE_BASE for other in others]] = 1
    return table


def distances(heard: NDArray[np.uint16], meant: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Twice the distance of each code that is heard from the one that was meant."""
    size = len(neighbours())
    columns = heard.astype(np.uint32) - CODE_BASE  # what lies below wraps round to far above
    rows = meant.astype(np.uint32) - CODE_BASE
    found = _distances()[np.minimum(rows, size - 1), np.minimum(columns, size)].astype(np.int64)
    found[rows >= size] = 2
    found[heard == meant] = 0
    return found


class Echo:
    """A code string in which many needles are looked for."""

    def __init__(self, codes: str) -> None:
        self._units = units_of(codes).astype(np.uint32)
        size = len(neighbours())
        places = self._units - CODE_BASE  # what lies below the codes wraps round to far above them
        self._columns = np.where(places < size, places, size)

    def places(self, needle: str, most: float) -> list[tuple[int, float]]:
        """Where the codes of the needle are heard at a distance of at most `most`, and at which."""
        length, size = len(needle), len(neighbours())
        count = len(self._units) - length + 1
        if count <= 0:
            return []
        total = np.zeros(count, dtype=np.int64)
        for n, code in enumerate(map(ord, needle)):
            if 0 <= code - CODE_BASE < size:
                total += _distances()[code - CODE_BASE].take(self._columns[n : n + count])
            else:
                total += 2 * (self._units[n : n + count] != code)
        return [(at, total[at].item() / 2) for at in np.flatnonzero(total <= 2 * most).tolist()]


@Table
def spellings() -> dict[str, str]:
    """Code of each Latin spelling of a syllable, for words half written in pinyin."""
    from pypinyin.constants import PINYIN_DICT  # noqa: PLC0415  80 MB that a compiled pack spares

    spelled: dict[str, str] = {}
    for readings_ in PINYIN_DICT.values():
        for reading in readings_.split(","):
            plain = _toneless(reading)
            code = _syllable_code(plain)
            if (
                code is not None
                and len(plain) > 1
                and plain.isascii()
                and re.search("[aeiouv]", plain)
            ):
                spelled[plain] = code
    return spelled


@cache
def _spelled() -> re.Pattern[str]:
    """Finds a spelling, the longest first."""
    longest_first = sorted(spellings(), key=lambda item: (-len(item), item))
    return re.compile("|".join(longest_first))


def spell(latin: str) -> list[tuple[int, int, str]] | None:
    """Cut Latin letters into pinyin syllables (start, end, code); None where they are none."""
    spelled, pattern = spellings(), _spelled()
    found: list[tuple[int, int, str]] = []
    at = 0
    while at < len(latin):
        part = pattern.match(latin, at)
        if part is None:
            return None
        found.append((part.start(), part.end(), spelled[part[0]]))
        at = part.end()
    return found

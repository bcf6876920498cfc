"""Which characters of a transcript were probably misheard: others of their sound make a word there.

Each lone character is weighed against those that sound like it, by the chance of the mishearing and
by how often the dictionary counts the words on either reading (Shannon's noisy channel, with words
taken one by one).
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache, lru_cache
from math import log

import rjieba

from rules.legible import SELDOM
from rules.ordinary import TALK
from rules.phonetic import encode, neighbours
from rules.plausible import EVERYDAY

SAME, NEAR = log(0.1 * 0.7 / 15), log(0.1 * 0.2 / 40)
"""Chances that a syllable was heard as a certain other character of the same or of a near sound.

One in ten is misheard; of these seven in ten keep their sound, and two get a near one.
"""

DOUBT = 4.0
"""By how much more a character that is often a word of its own must be explained away."""

_COUNTED = log(60_000_000)
"""Words that the dictionary was counted on."""

_IN_USE = 50
"""Characters counted less often are not taken for what was meant."""

_LONGEST = 4
"""Characters of the longest word that is looked up round a place."""

_TALKED = frozenset(
    "零〇幺呗嗦啵嘛咧哎喂嗯嘞噻咯债账姨舅搁填删漆抹催喺哋揾佢咗啲嘅嘢冇唔嚟咁侬厢恁俺"
)
"""Characters that stand alone in talk about debts and in dialect, which papers hold seldom."""

_YOUNG = frozenset(("花呗", "借呗", "微博", "抖音", "艾特", "失信榜", "拒执罪"))
"""Words that the dictionary does not know."""
_IN_YOUNG = frozenset("".join(_YOUNG))

_SURNAMES = frozenset(
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘"
    "杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文庞樊兰殷施"
    "陶洪翟安颜倪严牛温芦季俞章鲁葛伍韦申尤毕聂焦向柳邢骆岳齐梅庄辛管祝左涂祁耿牟卜詹关苗凌费纪靳盛童欧甄项裴席"
    "屈鲍覃霍翁隋甘景单包宁柯阮桂闵柴华车冉房边吉饶刁瞿戚丘古米池滕晋阚奚"
)

_CLAUSE = re.compile(r"[，。,.！!？?；;：:、\s]")
_HOUSE = re.compile("银行|信用|消费|消金|金融|金服|小贷|小额|平台|借|贷|科技|商务|信息|资产|企")
_HEAD, _NAME = 2, 3
"""Characters at the start of a clause, and before a word for a house, that may be a name's."""

_KNOWN = EVERYDAY | _TALKED
_Company = tuple[str, str, float]
"""Whole words before and after a place, and what they count where they stand alone."""


def misheard(text: str) -> tuple[tuple[int, bool], ...]:
    """Places of a text where a character was probably misheard, and whether it may be a name's."""
    tokens = rjieba.cut(text, False)  # noqa: FBT003  no guessing of unknown words
    found: list[tuple[int, bool]] = []
    at = 0
    for n, token in enumerate(tokens):
        if len(token) == 1 and token not in _KNOWN and _is_han(token) and not _is_said(text, at):
            meant, word = _likeliest(token, tuple(_around(tokens, n)))
            if meant != token:
                usual = word in _words() or _is_usual(
                    text[at - 1 : at], meant, text[at + 1 : at + 2]
                )
                found.append((at, not usual and _may_be_name(text, at)))
        at += len(token)
    return tuple(found)


def _is_usual(before: str, meant: str, after: str) -> bool:
    """Whether ordinary talk has a character between, or beside, its neighbours."""
    return any(
        _is_han(pair[0]) and pair in TALK for pair in (before + meant, meant + after) if pair[1:]
    )


def _is_said(text: str, at: int) -> bool:
    """Whether the character belongs to a word of today, or is said twice in a row."""
    char = text[at]
    if char in (text[at - 1 : at], text[at + 1 : at + 2]):
        return True
    return char in _IN_YOUNG and any(
        text.startswith(word, start)
        for word in _YOUNG
        for start in range(max(0, at - len(word) + 1), at + 1)
    )


def _may_be_name(text: str, at: int) -> bool:
    """Whether names that nobody knows stand at such a place: at the head of a clause, mostly."""
    before = _CLAUSE.split(text[max(0, at - _HEAD) : at])[-1]
    first = len(before) < _HEAD and EVERYDAY.isdisjoint(before)
    return first or text[at] in _SURNAMES or _HOUSE.search(text, at + 1, at + 1 + _NAME) is not None


@cache
def _words() -> frozenset[str]:
    """The words of ordinary talk."""
    words = (word for line in TALK.splitlines() for word in rjieba.cut(line, False))  # noqa: FBT003
    return frozenset(word for word in words if len(word) > 1)


@lru_cache(maxsize=1 << 13)
def _likeliest(heard: str, around: Sequence[_Company]) -> tuple[str, str]:
    """What a lone character most likely was between these words, and the word that this makes."""
    odd = rjieba.suggest_freq(heard) < SELDOM
    least = _worth(heard, around)[0] + (0.0 if odd else DOUBT)
    found = [(*_worth(char, around, SAME), char) for char in _same(heard)]
    if odd:
        found += [(*_worth(char, around, NEAR), char) for char in _near(heard)]
    worth, word, best = max(found, default=(least, "", heard))
    return (best, word) if worth > least else (heard, "")


def _worth(char: str, around: Sequence[_Company], chance: float = 0.0) -> tuple[float, str]:
    """Logarithm of the count of the best word with this character, its company made good."""
    best = _count(char), ""
    for before, after, apart in around:
        word = before + char + after
        if rjieba.has_word(word):
            best = max(best, (_count(word) - apart, word))
    return best[0] + chance, best[1]


def _is_han(token: str) -> bool:
    return "\u4e00" <= token[0] <= "\u9fff"


def _around(tokens: Sequence[str], n: int) -> list[_Company]:
    """Whole words before and after a token with which it may make one word."""
    befores, afters = _beside(tokens[:n][: -_LONGEST - 1 : -1], -1), _beside(tokens[n + 1 :], 1)
    return [
        (before, after, one + other)
        for before, one in befores
        for after, other in afters
        if 0 < len(before) + len(after) < _LONGEST
    ]


def _beside(tokens: Sequence[str], step: int) -> list[tuple[str, float]]:
    """Words next to a place joined, none first and then ever more, and their counts alone."""
    found = [("", 0.0)]
    for token in tokens:
        text, apart = found[-1]
        if not _is_han(token) or len(text) + len(token) >= _LONGEST:
            break
        joined = token + text if step < 0 else text + token
        found.append((joined, apart + _count(token) - _COUNTED))
    return found


@lru_cache(maxsize=1 << 15)
def _count(word: str) -> float:
    return log(max(1, rjieba.suggest_freq(word)))


@cache
def _by_sound() -> dict[str, str]:
    """The characters in use, by their codes."""
    found: dict[str, list[str]] = defaultdict(list)
    for char in map(chr, range(0x4E00, 0xA000)):
        if rjieba.suggest_freq(char) >= _IN_USE:
            found[encode(char)].append(char)
    return {code: "".join(chars) for code, chars in found.items()}


def _same(heard: str) -> str:
    """Characters of the same sound, itself among them."""
    return _by_sound().get(encode(heard), "")


@cache
def _near(heard: str) -> str:
    """Characters of near sounds."""
    known = _by_sound()
    return "".join(known.get(code, "") for code in neighbours().get(encode(heard), ""))

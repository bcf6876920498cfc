"""Heard text in the form that people read and rules take: simplified script, marks, figures."""

import re
from functools import lru_cache

import opencc

from rules.claims import chinese_number
from rules.numbers import BUILTINS

WIDE = str.maketrans({",": "，", "?": "？", "!": "！", ";": "；"})
SENTENCE_STOP = re.compile(r"(?<=[\u4e00-\u9fff])\.(?=\s|$)")
SPACE_BETWEEN_CHARACTERS = re.compile(r"(?<=[\u4e00-\u9fff，。？！、])\s+(?=[\u4e00-\u9fff])")
NOT_LETTERS = re.compile(r"[\W_]+")
CLOSING = "，。？！；、"
REPEATED_MARKS = re.compile(f"([{CLOSING}])(?:\\s*[，、])+")


@lru_cache(maxsize=1)
def _to_simplified() -> opencc.OpenCC:
    return opencc.OpenCC("t2s")


def simplified(text: str) -> str:
    """Return the text in simplified script."""
    return str(_to_simplified().convert(text))


def tidy(text: str) -> str:
    """Return the text in simplified script, with Chinese punctuation and no stray spaces."""
    wide = simplified(text).translate(WIDE)
    spaced = SPACE_BETWEEN_CHARACTERS.sub("，", SENTENCE_STOP.sub("。", wide)).strip()
    return REPEATED_MARKS.sub(r"\1", spaced)


def letters_of(text: str) -> str:
    """Return the letters and figures of a text, without marks and spaces."""
    return NOT_LETTERS.sub("", text)


_ONE = "零〇一二两三四五六七八九幺"
# A number with a scale, or three figures and more one after another.
_LONG = re.compile(
    f"百分之(?P<share>[{_ONE}十百点]+)|(?P<long>(?<!万)[0-9{_ONE}十][0-9{_ONE}十百千万亿点.]+)"
    f"|(?P<short>[{_ONE}十])(?=元|块|毛|角|天|个月|月|号|日|期|年|周|星期|小时|分钟|点(?!点|儿|都|也))"
)
_RUN = re.compile(f"[{_ONE}]{{3,}}")
_FIGURES = str.maketrans({char: str(n) for n, char in enumerate("零一二三四五六七八九")}) | {
    ord("〇"): "0",
    ord("幺"): "1",
    ord("两"): "2",
}
# 十五六 and 三五 are guesses, 一点 is a little, 十分 is very.
_VAGUE = re.compile(
    f"[十百千万亿][{_ONE}][{_ONE}]|^[{_ONE}]{{2}}$|^一点$|^十分$|[点.]$|[点.].*[点.]"
)
_NUMBER = re.compile(BUILTINS["number"])


def with_figures(text: str) -> str | None:
    """Return the text with its spoken numbers in figures, or None where there is none.

    两万三千五 becomes 23500, 百分之二十 20%, 工号零二三一 工号0231; guesses stay words.
    """
    changed = _LONG.sub(_in_figures, text)
    return None if changed == text else changed


def _in_figures(found: re.Match[str]) -> str:
    share = found["share"]
    body = share or found["long"] or found["short"]
    if _RUN.fullmatch(body):
        return body.translate(_FIGURES)
    vague = _VAGUE.search(body.replace("零", "")) and not _RUN.fullmatch(body)
    value = None if vague or not _NUMBER.fullmatch(body) else chinese_number(body)
    if value is None or body.isascii():
        return found[0]
    return f"{value.normalize():f}%" if share else f"{value.normalize():f}"

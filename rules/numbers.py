"""Numbers in normal-form text: what the builtins of patterns match."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_DIGIT = "0-9零〇一二两三四五六七八九俩仨幺"

_NUMBER = (
    f"[{_DIGIT}]+(?:[.点][{_DIGIT}]+)?(?:[十百千万亿kw][{_DIGIT}]*(?:[.点][{_DIGIT}]"
    f"+)?)*|十[{_DIGIT}]?[{_DIGIT}十百千万亿]*"
)
_UNIT = "(?:[元块]钱?|圆|人民币|rmb)"
_SMALL = f"(?:[{_DIGIT}]+[毛角](?:[{_DIGIT}]+分?)?|[{_DIGIT}])"
BUILTINS: dict[str, str] = {
    "number": f"(?:{_NUMBER})",
    "amount": (
        f"(?:(?:{_NUMBER})[多来几余]?(?:{_UNIT}{_SMALL}?整?|[多来几余]{_UNIT}?)"
        f"|[{_DIGIT}十几]+(?:[.点][{_DIGIT}]+)?[百千万kw](?:[{_DIGIT}十百千多来几余]*)"
        f"|[0-9]{{3,}}(?:[.][0-9]{{1,2}})?)"
    ),
    "duration": (
        f"(?:(?:{_NUMBER}|半|几)个?(?:多)?(?:小时|钟头|分钟|天|日内|周|星期|礼拜|月|年)("
        f"?:之?内|以内)?)"
    ),
    "date": (
        "(?:今天|今日|今晚|明天|明日|明早|后天|下周[一二三四五六日天]?|下礼拜[一二三四五六天]?|"
        "本周[一二三四五六日]?"
        f"|这周[一二三四五六日]?|周[一二三四五六日]|礼拜[一二三四五六天]|月底|(?:"
        f"[0-9一二三四五六七八九十]+月)?(?:{_NUMBER})[号日])"
    ),
    "clock": (
        f"(?:(?:上午|下午|中午|晚上|早上|凌晨)?(?:{_NUMBER})(?:点半?|时)(?:{_NUMBER}分?)"
        f"?(?:之?前|以前|整)?|[0-9]{{1,2}}，[0-9]{{2}})"
    ),
}
"""Expressions over normal-form text for the classes that patterns may name without defining."""

NUMBER_START, NUMBER_REST = "\uf8ff", "\uf8fe"
# The look ahead passes over most characters at once: nothing else begins a number.
_ANY = re.compile(
    f"(?=[{_DIGIT}十几半上下中晚早凌今明后本这周礼月])(?:"
    + "|".join(BUILTINS[name] for name in ("amount", "clock", "duration", "date"))
    + f"|(?:{_NUMBER}){{2,}})"
)


def number_spans(text: str, low: int, high: int) -> list[tuple[int, int]]:
    """Stretches of part of a normal-form text that any builtin may match, in order."""
    return [found.span() for found in _ANY.finditer(text, low, high)]


@lru_cache(maxsize=4096)
def is_builtin(name: str, text: str) -> bool:
    """Whether the whole text is a number of this kind."""
    return re.fullmatch(BUILTINS[name], text) is not None


_FIGURE = "0-9０-９零〇一幺二两三四五六七八九"
_FIGURE_VALUES = str.maketrans(
    "０１２３４５６７８９零〇一幺二两三四五六七八九", "01234567890011223456789"
)
# A counter or unit behind figures makes them a quantity.
_COUNTED = "元块万千百十年月天期点个号多"
_FIGURES = re.compile(f"[{_FIGURE}]+")
_RUN = re.compile(f"(?<![{_FIGURE}])[A-Za-z]{{0,3}}(?P<figures>[{_FIGURE}]{{2,}})")


class Run(NamedTuple):
    """Figures said or written one after the other, at `start`..`end` of a text.

    `before` and `after` are the characters next to it ("" at the ends of the text).
    """

    digits: str
    start: int
    end: int
    before: str
    after: str

    @property
    def counts_something(self) -> bool:
        """Whether a unit or a counter follows: a sum, a date or a number of things."""
        return self.after in _COUNTED and self.after != ""


def figure_runs(text: str) -> Iterator[Run]:
    """Runs of two and more figures, Arabic or read out one by one, with the letters before them."""
    for found in _RUN.finditer(text):
        start, end = found.span()
        yield Run(
            found["figures"].translate(_FIGURE_VALUES),
            start,
            end,
            text[start - 1 : start],
            text[end : end + 1],
        )


def tells_figures(text: str, digits: str) -> bool:
    """Whether these Arabic digits stand in the text one after the other, spelled out or not."""
    return any(digits in run.translate(_FIGURE_VALUES) for run in _FIGURES.findall(text))

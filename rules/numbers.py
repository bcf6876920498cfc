"""Numbers in normal-form text: sums of money, and what pattern builtins match."""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache

_DIGIT = "0-9零〇一二两三四五六七八九俩仨幺"
_SCALE = {"十": 10, "百": 100, "千": 1000, "k": 1000, "万": 10_000, "w": 10_000, "亿": 100_000_000}
_VALUES = {c: n for n, c in enumerate("零一二三四五六七八九")} | {
    "〇": 0,
    "两": 2,
    "俩": 2,
    "仨": 3,
    "幺": 1,
}

_NUMBER = (
    f"[{_DIGIT}]+(?:[.点][{_DIGIT}]+)?(?:[十百千万亿kw][{_DIGIT}]*(?:[.点][{_DIGIT}]"
    f"+)?)*|十[{_DIGIT}]?[{_DIGIT}十百千万亿]*"
)
_UNIT = "(?:[元块]钱?|圆|人民币|rmb)"
_SMALL = f"(?:[{_DIGIT}]+[毛角](?:[{_DIGIT}]+分?)?|[{_DIGIT}])"
_ROUGH_BEFORE = "约|大概|差不多|将近|近|快"
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


def number_spans(text: str) -> list[tuple[int, int]]:
    """Stretches of normal-form text that any builtin may match, in order."""
    return [found.span() for found in _ANY.finditer(text)]


def masked(text: str, spans: list[tuple[int, int]]) -> str:
    """The text (or its codes) with each number replaced by marks, which a search finds at once."""
    parts: list[str] = []
    at = 0
    for start, end in spans:
        parts += [text[at:start], NUMBER_START, NUMBER_REST * (end - start - 1)]
        at = end
    return "".join(parts) + text[at:]


@lru_cache(maxsize=4096)
def is_builtin(name: str, text: str) -> bool:
    """Whether the whole text is a number of this kind."""
    return re.fullmatch(BUILTINS[name], text) is not None


_AMOUNT = re.compile(BUILTINS["amount"])
_NOT_MONEY = re.compile("[年月日号天点个分期次位岁楼栋室度%％秒人名页遍通]")
_ROUGH = re.compile("[多来几余]|左右|上下")


def value_of(text: str) -> Decimal | None:
    """The value of a number in Arabic or Chinese figures (两万三 is 23000); None if it is none."""
    body = text.replace("点", ".").replace("，", "")
    try:
        if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", body):
            return Decimal(body)
        return _spoken_value(body)
    except (ArithmeticError, ValueError):
        return None


def _spoken_value(body: str) -> Decimal | None:
    total, section, digits = Decimal(0), Decimal(0), ""
    last_scale = 1
    for char in body:
        if char in _SCALE:
            scale = _SCALE[char]
            figure = _figure(digits) if digits else Decimal(1 if scale == 10 and not section else 0)  # noqa: PLR2004
            digits = ""
            if scale >= 10_000:  # noqa: PLR2004  万 and 亿 close a section
                total = (
                    (total + section + figure) * scale
                    if total == 0
                    else total + (section + figure) * scale
                )
                section = Decimal(0)
            else:
                section += figure * scale
            last_scale = scale
        elif char in _VALUES or char.isdigit() or char == ".":
            digits += char
        else:
            return None
    return total + section + _tail(digits, last_scale)


def _tail(digits: str, last_scale: int) -> Decimal:
    """The figures after the last scale: 两万三 means 23000, 两万零三 means 20003."""
    if not digits:
        return Decimal(0)
    lone = len(digits) == 1 and digits not in "零〇" and last_scale >= 100  # noqa: PLR2004
    return _figure(digits) * (last_scale // 10 if lone else 1)


def _figure(digits: str) -> Decimal:
    return Decimal("".join(str(_VALUES.get(char, char)) for char in digits))


def sums(text: str) -> Iterator[tuple[int, int, Decimal, bool]]:
    """Sums of money in normal-form text: start, end, value in CNY, and whether it is only rough."""
    for found in _AMOUNT.finditer(text):
        start, end = found.span()
        after = text[end : end + 2]
        if _NOT_MONEY.match(after) and not after.startswith(("分期", "个月")):
            continue
        if re.search("[0-9尾号]$", text[max(0, start - 1) : start]):
            continue
        value = _sum_value(found[0])
        if value is None or (found[0].isdigit() and len(found[0]) > 9):  # noqa: PLR2004  a phone number
            continue
        rough = bool(_ROUGH.search(found[0] + after)) or bool(
            re.search(f"(?:{_ROUGH_BEFORE})$", text[max(0, start - 3) : start])
        )
        yield start, end, value, rough


def _sum_value(text: str) -> Decimal | None:
    body = re.sub("[多来几余整钱圆]|人民币|rmb|左右", "", text)
    whole, unit, rest = (
        re.split("([元块])", body, maxsplit=1) if re.search("[元块]", body) else (body, "", "")
    )
    value = value_of(whole)
    if value is None or not unit or not rest:
        return value
    small = re.fullmatch(f"(?:([{_DIGIT}])[毛角])?(?:([{_DIGIT}])分?)?", rest)
    if small is None:
        return value
    tenths, hundredths = small[1], small[2]
    if tenths is None:
        tenths, hundredths = hundredths, None
    for digit, part in ((tenths, Decimal("0.1")), (hundredths, Decimal("0.01"))):
        if digit is not None:
            value += _figure(digit) * part
    return value

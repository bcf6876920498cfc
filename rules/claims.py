"""Sums of money that a text claims, read from spoken or written Chinese."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

_DIGITS = {
    char: value
    for value, chars in enumerate(
        ("零〇", "一壹幺", "二贰两俩", "三叁仨", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖")
    )
    for char in chars
}
_UNITS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_BIG = {"万": 10_000, "萬": 10_000, "亿": 100_000_000}
_WIDE = str.maketrans("０１２３４５６７８９．，", "0123456789.,")

_HAN = "".join(_DIGITS) + "".join(_UNITS)
_ANY_FIGURE = re.compile(f"[0-9０-９{_HAN}几半]")
_FIGURES = rf"[0-9０-９{_HAN}几](?:[0-9０-９{_HAN}万萬亿点多几]|[.．,，](?=[0-9０-９]))*"
_MONEY = re.compile(
    rf"(?P<sign>[￥¥]\s*)?(?P<run>{_FIGURES})(?P<more>[多来余几]?万?[多来余]?)"
    rf"(?P<unit>\s*(?:元|块钱|块|圆|塊)(?!整整))?"
    rf"(?P<cents>[{_HAN}0-9]{{1,2}}[毛角](?:[{_HAN}0-9]分?)?|[{_HAN}](?![{_HAN}万个]))?"
)
# What stands before or after a figure and makes it something other than money.
_NOT_BEFORE = re.compile(
    r"(?:尾号|工号|编号|号码|电话|热线|客服|拨打|四位|卡号|账号|案号|第|身份证|按|转|拨|周|星期|礼拜|[A-Za-z\-－—〔（(])"
    r"[为是：:\s]*$"
)
_NOT_AFTER = re.compile(
    r"\s*(?:[年月日号点时分秒天周岁期次个位名人套楼层栋室条份家项遍趟通封页倍折集级班路环方步开]|小时|"
    r"星期|礼拜|工作日|开头|公里|多(?:[年月天次个]|遍)|[%％‰°]|[-－—‐][0-9])"
)
_MONEY_BEFORE = re.compile(
    r"(?:应还款?|欠款?|欠了?|还款?|还了?|余额|金额|[总一]共|合计|共计|本金|利息|罚息|费用?|款|付|交|收|转|打|缴|给|借|[为是：:])"
    r"[是为了约：:，,\s]*$"
)
_ABOUT_BEFORE = re.compile(r"(?:大概|大约|差不多|将近|接近|约|近|小)\s*$")
_ABOUT_AFTER = re.compile(r"\s*(?:左右|上下|出头)")
_LEAST_BARE = 100
_VAGUE_SHARE = Decimal("0.05")
_LOOK_BACK = 12


@dataclass(frozen=True, slots=True)
class Amount:
    """A sum of money at `start`..`end` of the text, in yuan; vague words (八千多) give a range."""

    start: int
    end: int
    low: Decimal
    high: Decimal


def chinese_number(text: str) -> Decimal | None:
    """The value of a number in Chinese or Arabic figures, 三千五 included; else None."""
    plain = text.translate(_WIDE).replace(",", "").replace("萬", "万")
    for sign in ("亿", "万"):
        if sign in plain:
            head, _, tail = plain.partition(sign)
            return _joined(head, tail, _BIG[sign])
    return _small(plain)


def _joined(head: str, tail: str, factor: int) -> Decimal | None:
    """`head` times `factor` plus `tail`; a lone digit in the tail fills the next place (一万二)."""
    first = _small(head)
    if first is None or not tail:
        return None if first is None else first * factor
    if len(tail) == 1 and (_DIGITS.get(tail) or tail.isdecimal()):
        digit = _DIGITS[tail] if tail in _DIGITS else int(tail)
        return first * factor + Decimal(digit * factor // 10)
    rest = chinese_number(tail)
    return None if rest is None or rest >= factor else first * factor + rest


def _small(text: str) -> Decimal | None:
    """A number below ten thousand in Chinese figures, or Arabic digits of any size."""
    if not text:
        return None
    if text[0].isascii():
        return _arabic(text)
    if "点" in text:
        whole, _, part = text.partition("点")
        left, right = _small(whole), _spelled(part)
        return None if left is None or right is None else Decimal(f"{left}.{right}")
    if not any(char in _UNITS for char in text):
        spelled = _spelled(text)
        return None if spelled is None else Decimal(spelled)
    return _with_units(text)


def _arabic(text: str) -> Decimal | None:
    """Plain digits, or digits mixed with units (3千5)."""
    if re.fullmatch(r"[0-9]{1,15}(?:\.[0-9]{1,6})?", text):
        return Decimal(text)
    mixed = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,4})?)([十百千])(.{0,8})", text)
    return _joined(mixed[1], mixed[3], _UNITS[mixed[2]]) if mixed else None


def _spelled(text: str) -> str | None:
    """Digits read out one by one (四零零)."""
    found = [str(_DIGITS[char]) for char in text if char in _DIGITS]
    return "".join(found) if found and len(found) == len(text) else None


def _with_units(text: str) -> Decimal | None:
    """三千五百二十一 and its shorter forms; None where places do not fall."""
    total, last, zero = 0, 0, False
    digit: int | None = None
    for char in text:
        unit = _UNITS.get(char)
        value = _DIGITS.get(char)
        if unit is not None:
            if last and unit >= last:
                return None
            total, digit, last, zero = (
                total + (1 if digit is None else digit) * unit,
                None,
                unit,
                False,
            )
        elif value == 0:
            zero = True
        elif value is not None and digit is None:
            digit = value
        else:
            return None
    if digit is not None:  # 三千五 is 3500, 三千零五 is 3005
        total += digit * (last // 10 if last > 10 and not zero else 1)  # noqa: PLR2004
    return Decimal(total)


_PAIR = re.compile(
    rf"(?P<head>.*?)(?P<a>[一二两三四五六七八])(?P<b>[二三四五六七八九])(?P<rest>[{''.join(_UNITS)}万萬].*)"
)


def _range_of(run: str, more: str) -> tuple[Decimal, Decimal] | None:
    """The lowest and highest value that the words allow; equal where they are exact."""
    if run[0] == "几":
        unit = run[1:]
        low, high = (
            chinese_number("二" + unit) if unit else None,
            chinese_number("九" + unit) if unit else None,
        )
        return (low, high) if low is not None and high is not None else None
    pair = _PAIR.fullmatch(run)
    if pair and _DIGITS[pair["b"]] == _DIGITS[pair["a"]] + 1:
        low = chinese_number(pair["head"] + pair["a"] + pair["rest"])
        high = chinese_number(pair["head"] + pair["b"] + pair["rest"])
        return (low, high) if low is not None and high is not None else None
    vague = re.fullmatch(r"(?P<core>[^多几]+)[多几](?P<unit>[万萬]?)", run)
    core = vague["core"] + vague["unit"] if vague else run
    if more.endswith("万") or (len(more) > 1 and "万" in more):
        core += "万"
    value = chinese_number(core)
    if value is None:
        return None
    if vague or more.strip("万"):
        return value, value + _place(core)
    return value, value


def _place(core: str) -> Decimal:
    """How much 多 may add: one of the last place named (三万多 is below 40,000)."""
    for sign, factor in (
        ("千", 1000),
        ("仟", 1000),
        ("百", 100),
        ("佰", 100),
        ("十", 10),
        ("拾", 10),
    ):
        if core.endswith(sign):
            return Decimal(factor)
    for sign, factor in (("十万", 100_000), ("百万", 1_000_000), ("万", 10_000), ("萬", 10_000)):
        if core.endswith(sign):
            return Decimal(factor)
    return Decimal(10) ** max(len(core) - 1, 0) if core.isdecimal() else Decimal(0)


def _cents(text: str) -> Decimal:
    """三毛五 is 0.35; a lone figure after 块 is tenths."""
    figures = [
        _DIGITS[char] if char in _DIGITS else int(char)
        for char in text
        if char in _DIGITS or char.isdecimal()
    ]
    tenths = Decimal(figures[0]) / 10 if figures else Decimal(0)
    return tenths + (Decimal(figures[1]) / 100 if len(figures) > 1 else 0)


_ROUND, _SOME = "百佰千仟万萬亿", ("上", "近", "过")


def _is_money(match: re.Match[str], text: str, value: Decimal) -> bool:
    """Whether the figure is a sum: it has a unit, or its form and its neighbours say so."""
    before = text[max(0, match.start() - _LOOK_BACK) : match.start()]
    if match["sign"] or match["unit"]:
        return True
    if _NOT_BEFORE.search(before) or _NOT_AFTER.match(text, match.end("more")):
        return False
    run = match["run"]
    if run[0] in _ROUND and not before.endswith(_SOME):  # 千万别 is no sum, 上千万 is
        return False
    if any(char in _BIG or char in "百佰千仟" for char in run + match["more"]):
        return value >= _LEAST_BARE
    if "." in run or "," in run:
        return True
    return run[0].isdecimal() and value >= _LEAST_BARE and bool(_MONEY_BEFORE.search(before))


def holds_figure(text: str) -> bool:
    """Whether there is any figure in the text, Arabic or Chinese."""
    return _ANY_FIGURE.search(text) is not None


def amounts(text: str) -> tuple[Amount, ...]:
    """Every sum of money in the text, in order; linear in its length."""
    found: list[Amount] = []
    if not holds_figure(text):
        return ()
    for match in _MONEY.finditer(text):
        bounds = _range_of(match["run"].translate(_WIDE), match["more"])
        if bounds is None or not _is_money(match, text, bounds[1]):
            continue
        end, extra = match.end("more"), Decimal(0)
        if match["unit"]:
            end = match.end("unit")
            if match["cents"] and "块" in match["unit"]:
                extra, end = _cents(match["cents"]), match.end("cents")
        low, high = bounds[0] + extra, bounds[1] + extra
        before = text[max(0, match.start() - 4) : match.start()]
        if _ABOUT_BEFORE.search(before) or _ABOUT_AFTER.match(text, end):
            low, high = low * (1 - _VAGUE_SHARE), high * (1 + _VAGUE_SHARE)
        found.append(Amount(match.start(), end, low, high))
    return tuple(found)


_CLAUSE_END = "，,。.！!？?；;\n"
_WHOLE = re.compile(
    r"连本带利|本息|总共|一共|合计|总计|共计|加起来|总额|应还|应付|现在[是要]|目前[是要]|要还|得还|该还|需还|须还|需要还|欠款|欠了?|余额|还清|结清|还差|全额|全款|本息合计"
)
_WHOLE_AFTER = re.compile(
    r"^[^，。；]{0,4}(?:还清|结清|全额|全款|一次性|才(?:能|算)?(?:销|结|清)|少一|差一)|^[，,][^，。；]{0,4}少一"
)
_PART = re.compile(
    r"(?:最低|每期|每月|每个月|首期|首付|先[还转打付交]?|部分|已经?还[了过]?|还了|还过|入账|到账|减免|免[了掉去]?|"
    r"利息|罚息|本金|违约金|滞纳金|手续费|服务费|管理费|费用?|其中|额度|限额|超过|满|工资|收入|月薪|当初|当时|原来|借(?!款)了?)"
    r"[^，。；]{0,3}$"
)
_DENIED = re.compile(r"(?:不是|并非|没有|不会|不到|不足|以为)[^，。；]{0,2}$")
_PART_AFTER = re.compile(r"^[^，。；]{0,2}(?:一个月|每月|一期|以上|以内|以下|额度)")
_SUM_UP = re.compile(r"连本带利|本息|总共|一共|合计|总计|共计|加起来")


def claimed_totals(text: str, sums: Iterable[Amount] | None = None) -> tuple[Amount, ...]:
    """The sums stated as the whole debt: not instalments, fees, payments or limits.

    `sums`: the amounts of the text, where they are known already.
    """
    known = amounts(text) if sums is None else sums
    return tuple([amount for amount in known if _states_whole(text, amount)])


def _states_whole(text: str, amount: Amount) -> bool:
    start = max((text.rfind(sign, 0, amount.start) for sign in _CLAUSE_END), default=-1) + 1
    before = text[max(start, amount.start - 24) : amount.start]
    after = text[amount.end : amount.end + 12]
    if _DENIED.search(before) or _PART_AFTER.match(after):
        return False
    if _PART.search(before) and not _SUM_UP.search(before):
        return False
    return bool(_WHOLE.search(before) or _WHOLE_AFTER.match(after))

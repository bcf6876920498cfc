"""Finds telephone, identity and card numbers in a text, written in any way or read out."""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import phonenumbers
from stdnum import luhn
from stdnum.cn import ric

from service.privacy.personal_model import Kind, Personal

# How a figure is written or read out: 幺, 洞, 拐 and 勾 are the words of telephone operators.
_VALUES = {
    **{str(n): str(n) for n in range(10)},
    "〇": "0", "零": "0", "○": "0", "洞": "0", "一": "1", "壹": "1", "幺": "1", "二": "2",
    "贰": "2", "貳": "2", "两": "2", "三": "3", "叁": "3", "參": "3", "四": "4", "肆": "4",
    "五": "5", "伍": "5", "六": "6", "陆": "6", "陸": "6", "七": "7", "柒": "7", "拐": "7",
    "八": "8", "捌": "8", "九": "9", "玖": "9", "勾": "9",
}  # fmt: skip
_TIMES = {"两": 2, "二": 2, "2": 2, "俩": 2, "三": 3, "3": 3, "仨": 3, "四": 4, "4": 4}
_FIGURE = f"[{''.join(_VALUES)}]"
_REPEATED = f"[{''.join(_TIMES)}]个"
_TOKEN = rf"(?:{_REPEATED}(?={_FIGURE}))?{_FIGURE}|[xX叉]|[埃艾爱]克斯"
# What may stand between the figures of one number: marks, spaces, and what one says in between.
_MARK = r"[\s\u200b\x1f()\[\]{}<>\-‐-―−_~·•.,，、。;；/／|…?？!！'\"“”]"
_SAID = (
    "嗯|啊|呃|额|哦|噢|唉|哎|诶|那个|这个|然后|接着|后面|后边|后头|最后|再|就是|对|好|行|是|的|呢|嘛|吧|"
    "记下|听好|继续|完了|杠|横杠|空格"
)
_RUN = re.compile(rf"(?:{_TOKEN})(?:(?:{_MARK}|{_SAID}){{0,8}}(?:{_TOKEN}))*")
_TOKENS = re.compile(_TOKEN)
_LEAST, _LEAST_KNOWN = 5, 7

_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_MOBILE = re.compile(r"(?:(?:00|0)?86|0|17951|12593)?1[3-9]\d{9}")
_LANDLINE = re.compile(r"0(?:10|2\d|[3-9]\d{2})[2-9]\d{6,7}")
_FOREIGN = re.compile(
    r"(?:\+|(?<!\d)00)[ \u200b-]{0,2}(?=[1-9])(?:[()\s.\u200b-]{0,2}\d){7,15}(?!\d)"
)
_CARD_STARTS = re.compile(r"[3-9]|2[2-7]")
_OLD_CENTURY = "19"

# A number of such a length is personal by the word before it, whatever its check digits say.
_TOLD_CHARS = 14
_TOLD: tuple[tuple[re.Pattern[str], range, Kind], ...] = (
    (re.compile("身份证|证件号"), range(15, 19), Kind.IDENTITY_NUMBER),
    (re.compile("卡号|银行卡|储蓄卡|借记卡|信用卡|[账帐][号户]"), range(12, 20), Kind.BANK_CARD),
    (re.compile("电话|手机|座机|固话|号码是|打到"), range(7, 13), Kind.PHONE),
    (re.compile("(?i:qq|扣扣|企鹅号?|微信|威信|薇信|v信|[vw]x)"), range(5, 13), Kind.ACCOUNT),
)
# Numbers that firms and authorities publish.
_PUBLISHED = re.compile(r"[48]00\d{7}$|9[56]\d{3,6}$|1(?:00|23)\d{2,3}$")
_AMOUNT = re.compile(r"[\s\u200b]*(?:[元块圆年月日号点时分%％十百千万亿]|期)")


@dataclass(frozen=True, slots=True)
class _Run:
    """Figures that follow one another: `digits[i]` stands at `spans[i]` of the text.

    `joined[i]` says that it stands right after another Arabic figure and is one itself: a number
    in Arabic figures is taken whole or not at all.
    """

    digits: str
    spans: list[tuple[int, int]]
    joined: list[bool]

    def ends(self, at: int) -> bool:
        return at == len(self.digits) or (at < len(self.digits) and not self.joined[at])

    def personal(self, at: int, end: int, kind: Kind) -> Personal:
        return Personal(self.spans[at][0], self.spans[end - 1][1], kind)


def find_numbers(text: str, known: Collection[str] = ()) -> Iterator[Personal]:
    """Telephone numbers, identity numbers (check digit), bank cards (Luhn) and told accounts.

    `text` has its figures in ASCII or Chinese; `known` numbers are found whatever their form.
    """
    for found in _FOREIGN.finditer(text):
        if _is_foreign(found[0]):
            yield Personal(found.start(), found.end(), Kind.PHONE)
    wanted = [digits for each in known if len(digits := _national(each)) >= _LEAST_KNOWN]
    for found in _RUN.finditer(text):
        if found.end() - found.start() < _LEAST:
            continue
        run = _read(text, *found.span())
        yield from _shaped(text, run)
        yield from _told(text, run)
        for digits in wanted:
            at = run.digits.find(digits)
            if at >= 0:
                yield run.personal(at, at + len(digits), Kind.PHONE)


def _national(known: str) -> str:
    digits = "".join(char for char in known if char.isascii() and char.isdigit())
    return digits.removeprefix("86") if known.startswith("+86") else digits


def _is_foreign(text: str) -> bool:
    digits = "".join(char for char in text if char.isdigit()).removeprefix("00")
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse("+" + digits))
    except phonenumbers.NumberParseException:
        return False


def _read(text: str, start: int, end: int) -> _Run:
    digits: list[str] = []
    spans: list[tuple[int, int]] = []
    joined: list[bool] = []
    last = -1
    for figure in _TOKENS.finditer(text, start, end):
        word = figure[0]
        times = _TIMES[word[0]] if "个" in word else 1
        arabic = word.isdecimal() and word.isascii()
        digits += [_VALUES.get(word[-1], "X")] * times
        spans += [figure.span()] * times
        joined += [arabic and figure.start() == last] * times
        last = figure.end() if arabic else -1
    return _Run("".join(digits), spans, joined)


def _shaped(text: str, run: _Run) -> Iterator[Personal]:
    """Numbers that show by their form what they are, from the start of the run on."""
    at = 0
    while at < len(run.digits):
        found = None if run.joined[at] else _number_at(run, at)
        if found is None or _GROUPED.fullmatch(text, found.start, found.end):
            at += 1
            continue
        yield found
        while at < len(run.digits) and run.spans[at][0] < found.end:
            at += 1


def _number_at(run: _Run, at: int) -> Personal | None:
    """The first shape that fits; an old identity number, without a check, gives way to a card."""
    fitting = [
        (kind, end) for kind, ends in _SHAPES for end in ends(run.digits, at) if run.ends(end)
    ]
    if not fitting:
        return None
    kind, end = fitting[0]
    if kind is Kind.IDENTITY_NUMBER and end - at == _OLD_LENGTH:
        kind, end = next((one for one in fitting if one[0] is Kind.BANK_CARD), (kind, end))
    return run.personal(at, end, kind)


def _identities(digits: str, at: int) -> Iterator[int]:
    """Ends of an identity number that begins here: 18 figures with their check, or the old 15."""
    for length in (len(_NEW_FORM), _OLD_LENGTH):
        if digits[at : at + 1] in "12345678" and _is_identity(digits[at : at + length], length):
            yield at + length


@lru_cache(maxsize=1024)
def _is_identity(number: str, length: int) -> bool:
    old = length != len(_NEW_FORM)
    if len(number) != length or "X" in number[: length if old else -1]:
        return False
    whole = number[:6] + _OLD_CENTURY + number[6:] + "0" if old else number
    with suppress(ValueError):
        born = date(int(whole[6:10]), int(whole[10:12]), int(whole[12:14]))
        is_lived = _FIRST_YEAR <= born.year <= _LAST_YEAR
        return is_lived and (old or ric.calc_check_digit(whole) == whole[-1])
    return False


_NEW_FORM = "RRRRRRYYYYMMDDNNNC"
_OLD_LENGTH = 15
_FIRST_YEAR, _LAST_YEAR = 1900, 2099


def _mobiles(digits: str, at: int) -> Iterator[int]:
    found = _MOBILE.match(digits, at)
    if found is not None:
        yield found.end()


def _landlines(digits: str, at: int) -> Iterator[int]:
    found = _LANDLINE.match(digits, at)
    if found is not None:
        for end in (found.end(), found.end() - 1):
            if _is_landline(digits[at:end]):
                yield end


@lru_cache(maxsize=1024)
def _is_landline(digits: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(digits, "CN"))
    except phonenumbers.NumberParseException:
        return False


def _cards(digits: str, at: int) -> Iterator[int]:
    if _CARD_STARTS.match(digits, at):
        for length in range(19, 11, -1):
            number = digits[at : at + length]
            if len(number) == length and "X" not in number and luhn.is_valid(number):
                yield at + length


_SHAPES: tuple[tuple[Kind, Callable[[str, int], Iterator[int]]], ...] = (
    (Kind.IDENTITY_NUMBER, _identities),
    (Kind.PHONE, _mobiles),
    (Kind.PHONE, _landlines),
    (Kind.BANK_CARD, _cards),
)


def _told(text: str, run: _Run) -> Iterator[Personal]:
    """A number that the words before it call a card, a telephone or an account."""
    start, end = run.spans[0][0], run.spans[-1][1]
    before = text[max(0, start - _TOLD_CHARS) : start]
    if len(run.digits) < _LEAST or _AMOUNT.match(text, end) or _GROUPED.fullmatch(text, start, end):
        return
    if _PUBLISHED.match(run.digits):
        return
    for words, lengths, kind in _TOLD:
        if len(run.digits) in lengths and words.search(before):
            yield Personal(start, end, kind)
            return

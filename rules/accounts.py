"""Accounts that money is to be sent to, as they are read out or written, whole or in pieces."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import NamedTuple

_FIGURES = "0-9０-９零〇一二三四五六七八九幺"
_PLAIN = str.maketrans("０１２３４５６７８９零〇一二三四五六七八九幺", "0123456789001234567891")
# What is said between the pieces of a number, or in answer to one.
_PAUSE = (
    r"(?:[\s,，.。、…·:：;；!！?？~～*\-－—]|一下|一遍|嗯|啊|呃|额|哦|噢|哎|喂|然后|接着|继续|后面|后边|后头|再|"
    r"最后|完了|就|是|对|好|行|的|呢|嘛|记|下来?|着|了|吗|吧|没|你|您|我|说|念|慢点?|听|写|拿笔|稍等|等等)"
)
_PIECE = re.compile(
    rf"[{_FIGURES}](?<![{_FIGURES}.．].)(?:[\s*,，、\-－—·]{{0,2}}[{_FIGURES}]){{1,}}"
    r"(?![十百千万亿元块毛角年月日号点时分%％期个天])"
)
_ONLY_PAUSE = re.compile(rf"{_PAUSE}*")
_ANSWER = re.compile(rf"(?:{_PAUSE}|[{_FIGURES}])*")
_LEAST, _MOST = 11, 24
_MOBILE = re.compile(r"(?:86)?1[3-9][0-9]{9}")
_HANDLE = re.compile(
    r"(?:微信|威信|薇信|v信|V信|wx|WX|vx|VX|支付宝)(?:账号|帐号|账户|号码|号|ID|id)?[^A-Za-z0-9，。]{0,4}"
    r"(?P<name>[A-Za-z0-9_.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z][A-Za-z0-9_-]{5,19})"
)
_NEAR = 0.85
_SHORTEST_TAIL, _LONGEST_TAIL = 4, 6


class Said(NamedTuple):
    """A stretch of words: `own` where the collector says it."""

    segment: int
    text: str
    own: bool


@dataclass(frozen=True, slots=True)
class Account:
    """An account in the collector's words: digits, or the name of a chat or payment account.

    It stands at `start`..`end` of the segment where it begins; `until` is where it ends.
    """

    value: str
    segment: int
    start: int
    end: int
    until: int

    @property
    def is_mobile(self) -> bool:
        """Whether it has the form of a mobile number, under which chat and payment accounts run."""
        return _MOBILE.fullmatch(self.value) is not None


_CHAT_START, _CHAT = re.compile("[微威薇支vVwW]"), re.compile("(?i:[微威薇v]信|支付宝|vx信|[wv]x)")
_ONES = re.compile(f"[{_FIGURES}]+")


def may_hold_account(text: str) -> bool:
    """Whether the words of one side, clause by clause, may hold an account; most do not."""
    if _CHAT_START.search(text) and _CHAT.search(text):
        return True
    told = at = 0
    for piece in _PIECE.finditer(text):
        start, end = piece.span()
        if told and _ONLY_PAUSE.fullmatch(text, at, start) is None:
            told = 0
        told, at = told + end - start, end  # at most so many figures
        if told >= _LEAST:
            return any(len(digits) >= _LEAST for digits in _figures_in_a_row(text))
    return False


def _figures_in_a_row(text: str) -> Iterator[str]:
    """The figures of a text, those together with nothing but a pause between."""
    told, at = "", 0
    for piece in _PIECE.finditer(text):
        if _ONLY_PAUSE.fullmatch(text, at, piece.start()) is None:
            yield told
            told = ""
        told, at = told + digits_of(piece[0]), piece.end()
    yield told


def digits_of(text: str) -> str:
    """The figures of a text, Arabic and spelled out, one after the other."""
    return "".join(_ONES.findall(text)).translate(_PLAIN)


def accounts(said: Sequence[Said]) -> tuple[Account, ...]:
    """Numbers of 11 to 24 digits and account names, in order.

    A number may be read out in pieces, over several stretches, while the listener says no more
    than that they follow, or repeats the figures. Linear in the length of what was said.
    """
    found = [*_numbers(said), *_handles(said)]
    return tuple(sorted(found, key=lambda account: (account.segment, account.start)))


def _handles(said: Sequence[Said]) -> list[Account]:
    return [
        Account(match["name"].lower(), one.segment, match.start("name"), match.end(), one.segment)
        for one in said
        if one.own
        for match in _HANDLE.finditer(one.text)
    ]


@dataclass(slots=True)
class _Run:
    """A number that may go on."""

    digits: str
    segment: int
    start: int
    end: int
    until: int
    open: bool = True

    def account(self) -> Account | None:
        """The account that the figures make up; a number read out twice is one."""
        half = self.digits[: len(self.digits) // 2]
        told = half if half * 2 == self.digits and len(half) >= _LEAST else self.digits
        if not _LEAST <= len(told) <= _MOST:
            return None
        return Account(told, self.segment, self.start, self.end, self.until)


def _numbers(said: Sequence[Said]) -> list[Account]:
    runs: list[_Run] = []
    run: _Run | None = None
    for one in said:
        if not one.own:
            if run is not None and _ANSWER.fullmatch(one.text) is None:
                run = None
            continue
        at = 0
        for piece in _PIECE.finditer(one.text):
            goes_on = run is not None and _ONLY_PAUSE.fullmatch(one.text, at, piece.start())
            if run is not None and goes_on:
                run.digits += digits_of(piece[0])
                run.until = one.segment
                if run.segment == one.segment:
                    run.end = piece.end()
            else:
                run = _Run(
                    digits_of(piece[0]), one.segment, piece.start(), piece.end(), one.segment
                )
                runs.append(run)
            at = piece.end()
        if run is not None and _ONLY_PAUSE.fullmatch(one.text, at) is None:
            run = None
    return [account for run in runs if (account := run.account()) is not None]


def names_account(channel: str, account: Account, *, heard: bool) -> bool:
    """Whether a payment channel of the case (a name or an account) is this account.

    A channel may hold the whole number or its last four to six figures (尾号). `heard` allows for
    the few figures that a speech engine gets wrong.
    """
    if not account.value.isdigit():
        return account.value in channel.lower()
    return any(
        _same(digits_of(piece[0]), account.value, heard=heard) for piece in _PIECE.finditer(channel)
    )


def _same(known: str, told: str, *, heard: bool) -> bool:
    if len(known) <= _LONGEST_TAIL:
        return len(known) >= _SHORTEST_TAIL and told.endswith(known)
    if known in told or told in known:
        return True
    return heard and SequenceMatcher(None, known, told, autojunk=False).ratio() >= _NEAR


def holds_number(channel: str) -> bool:
    """Whether a payment channel is given with a number of its own, and not by name alone."""
    return any(len(digits_of(piece[0])) >= _SHORTEST_TAIL for piece in _PIECE.finditer(channel))

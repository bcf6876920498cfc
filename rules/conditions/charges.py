"""How the collector answers questions about the debt: sums, days and rates against the case."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from rules.claims import Amount, amounts, chinese_number, claimed_totals, holds_figure
from rules.conditions.entry import entry_of
from rules.conditions.words import part_of, parts_of, span_of
from rules.context import ContactContext, FactHit, Span
from rules.model import Disposition

_PARTS = re.compile(
    r"(?P<what>本金|利息|罚息|复利|违约金|滞纳金|手续费|服务费|担保费|管理费|保险费|咨询费|其他费用|费用)"
    r"[^，。；、0-9零一二两三四五六七八九十百千万]{0,5}$"
)
_ALL = re.compile(r"[总一共]共|合计|总计|共计|加起来|加一块|总额|全部|连本带利|本息|结清|还清")
_ONE_PERIOD = re.compile(
    r"本期|这期|当期|每期|每月|每个月|这个月|本月|最低|首期|剩下|还剩|减免|优惠|方案|先还"
)
_OPEN_LIST = re.compile(r"等等|其他|另外|还有别|之类|左右|大概|大约|差不多")
_FIGURE = "[0-9零一二两三四五六七八九十百半俩]"
_OVERDUE = re.compile(
    rf"(?:逾期|拖欠?|欠)(?:时间|天数)?(?:了|已经?|都|是|有|快|将近|差不多|大概|：|:)*"
    rf"(?P<figure>{_FIGURE}{{1,5}})(?P<rest>多?个半?|多)?(?P<unit>天|日|周|星期|礼拜|月|年)(?!\d|[一二三四五六七八九十])"
)
_DAYS = {"天": 1, "日": 1, "周": 7, "星期": 7, "礼拜": 7, "月": 30, "年": 365}
_RATE = re.compile(
    r"(?P<span>年化|年利率|年息|年|月利率|月息|每月|月|日利率|日息|每天|每日|一天|日)(?:综合|费率|利率|资金成本|的|是|按|收|算|约|大概|：|:){0,4}"
    rf"(?P<base>百分之|千分之|万分之)?(?P<figure>{_FIGURE}+?(?=一[天年日月个])|{_FIGURE}+(?:[.点]{_FIGURE}+)?|[0-9]+(?:\.[0-9]+)?)(?P<sign>[%％‰])?"
)
_PERIODS = {"年": 1, "月": 12, "每": 365, "日": 365, "一": 365}
_FAR = 30
_BASES = {"百分之": 100, "%": 100, "％": 100, "千分之": 1000, "‰": 1000, "万分之": 10_000}


@dataclass(frozen=True, slots=True)
class _Wrong:
    """A figure of an answer that does not agree with the case, or cannot be held against it."""

    start: int
    end: int
    told: str
    known: str
    sure: bool


def charges_answered_wrongly(context: ContactContext) -> Iterator[FactHit]:
    """Asked about the debt (cues `charges` and `sum` of `with`), the collector names wrong figures.

    Totals and parts are held against the balance, days overdue against `overdue_since`, and parts
    against the total that they are said to make. What the case does not say, what only the answer
    itself contradicts, and a yearly rate above `yearly_rate` percent are for review.
    """
    charges = context.said(str(context.arguments["charges"]))
    asked = sorted(
        [*charges, *context.said(str(context.arguments["sum"]))], key=lambda span: span.turn
    )
    if not asked:
        return
    heard = context.contact.audio.state == "transcribed"
    for span in _answers(context, asked):
        about_charges = any(ask.turn < span.turn <= ask.turn + _SOON for ask in charges)
        for wrong in _wrong_figures(context, span.heard, about_charges=about_charges):
            yield FactHit(
                facts={"told": wrong.told, "known": wrong.known},
                disposition=None if wrong.sure and not heard else Disposition.REVIEW,
                at=part_of(span, wrong.start, wrong.end),
            )
            return


_SOON = 3
"""Turns of either side within which words count as the answer to a question."""


def _answers(context: ContactContext, asked: list[Span]) -> Iterator[Span]:
    soon = {ask.turn + n for ask in asked for n in range(1, _SOON + 1)}
    return (
        span_of(part) for part in parts_of(context) if part[1] in soon and holds_figure(part[2])
    )


def _wrong_figures(context: ContactContext, text: str, *, about_charges: bool) -> Iterator[_Wrong]:
    balance = context.case.balance if context.case else None
    excess = Decimal(str(context.parameters["excess"]))
    sums = amounts(text)
    parts = [a for a in sums if _PARTS.search(text[max(0, a.start - 14) : a.start])]
    highest = max([amount.high for amount in sums], default=Decimal(0))
    # A smaller total beside a greater sum is the total of a part (罚息合计九百).
    totals = [
        total
        for total in claimed_totals(text, sums)
        if _is_whole(text, total) and total.high == highest and not _is_of_a_part(text, total)
    ]
    if balance is None:
        if totals and about_charges:
            yield _of(text, totals[0], known="unknown", sure=False)
    else:
        yield from _off_balance(text, totals, balance, excess, about_charges=about_charges)
        yield from (
            _of(text, part, known=_plain(balance), sure=True)
            for part in parts
            if part.low > balance * (1 + excess) and not _is_original(text, part)
        )
    yield from _off_sum(text, parts, totals, excess)
    yield from _off_days(context, text)
    if about_charges:
        yield from _high_rates(text, Decimal(str(context.parameters["yearly_rate"])))


_OF_A_PART = re.compile(
    r"(?:利息|罚息|复利|违约金|滞纳金|手续费|服务费|担保费|管理费|保险费|咨询费)[^。；！？\n]{0,10}$"
)
_OF_ALL = re.compile(r"本金|本息|欠款|连本|账单|加上|加起来|结清|还清")


def _is_of_a_part(text: str, total: Amount) -> bool:
    """Whether the total is that of one kind of charge (违约金一共两百元), not of the debt."""
    start = max((text.rfind(mark, 0, total.start) + 1 for mark in "。；！？\n"), default=0)
    before = text[start : total.start]
    return bool(_OF_A_PART.search(before)) and not _OF_ALL.search(before)


def _off_balance(
    text: str, totals: list[Amount], balance: Decimal, excess: Decimal, *, about_charges: bool
) -> Iterator[_Wrong]:
    """Totals that are not the balance; exaggeration that nobody asked about is FAL-02's."""
    for total in totals:
        if total.high < balance * (1 - excess) or (
            about_charges and total.low > balance * (1 + excess)
        ):
            yield _of(text, total, known=_plain(balance), sure=True)


def _off_sum(
    text: str, parts: list[Amount], totals: list[Amount], excess: Decimal
) -> Iterator[_Wrong]:
    """A total that its own parts do not make."""
    if len(parts) < 2 or not totals or _OPEN_LIST.search(text):  # noqa: PLR2004
        return
    low = sum((part.low for part in parts), Decimal(0))
    high = sum((part.high for part in parts), Decimal(0))
    for total in totals:
        apart = total not in parts and not (
            low * (1 - excess) <= total.high and total.low <= high * (1 + excess)
        )
        if apart:
            yield _of(text, total, known=_plain(low), sure=False)


def _off_days(context: ContactContext, text: str) -> Iterator[_Wrong]:
    since = context.case.overdue_since if context.case else None
    if since is None:
        return
    overdue = (entry_of(context).day - since).days
    for match in _OVERDUE.finditer(text):
        figure = _figure(match["figure"])
        unit = _DAYS[match["unit"]]
        if figure is None or (unit == 30 and "个" not in (match["rest"] or "") and figure > 3):  # noqa: PLR2004
            continue  # 逾期六月: a month of the calendar
        half = Decimal("0.5") if match["rest"] and "半" in match["rest"] else Decimal(0)
        days = (figure + half) * unit
        most = days + (unit if match["rest"] and "多" in match["rest"] else 0)
        # Grace days and due dates are not in the case: only what is off by half counts as wrong.
        off = overdue > most * 2 or overdue < days / 2
        if off and min(abs(overdue - days), abs(overdue - most)) >= _FAR:
            yield _Wrong(match.start(), match.end(), match[0], f"{overdue} days", sure=False)


def _high_rates(text: str, most: Decimal) -> Iterator[_Wrong]:
    for match in _RATE.finditer(text):
        base = _BASES.get(match["base"] or match["sign"] or "")
        figure = _figure(match["figure"])
        if base is None or figure is None:
            continue
        yearly = figure * 100 / base * _PERIODS[match["span"][0]]
        if yearly > most:
            yield _Wrong(match.start(), match.end(), f"{yearly:.1f}%", "unknown", sure=False)


def _figure(text: str) -> Decimal | None:
    if text == "半":
        return Decimal("0.5")
    return chinese_number(text)


def _is_original(text: str, part: Amount) -> bool:
    """Whether it is what was lent at first, which may be more than what is owed now."""
    return bool(
        re.search(
            r"当[初时]|原来|最[初开]|借款?本金|贷款本金|放款|合同",
            text[max(0, part.start - 14) : part.start],
        )
    )


def _is_whole(text: str, amount: Amount) -> bool:
    clause = re.split(r"[，,。；;！!？?\n]", text[: amount.start])[-1]
    around = clause + text[amount.end : amount.end + 8]
    return bool(_ALL.search(around)) and not _ONE_PERIOD.search(around)


def _of(text: str, amount: Amount, *, known: str, sure: bool) -> _Wrong:
    return _Wrong(amount.start, amount.end, text[amount.start : amount.end], known, sure)


def _plain(value: Decimal) -> str:
    return f"{value:.2f}"

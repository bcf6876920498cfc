"""Sums of money as people say and write them, and which of them state the whole debt."""

import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.claims import amounts, chinese_number, claimed_totals

FIGURES = "零一二三四五六七八九"


def spoken(value: int) -> str:
    """A whole number below one hundred million, as it is read out."""
    if value >= 10_000:
        head, rest = divmod(value, 10_000)
        gap = "零" if rest and rest < 1000 else ""
        return spoken(head) + "万" + (gap + spoken(rest) if rest else "")
    found, zero = "", False
    for unit, sign in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        figure, value = divmod(value, unit)
        if figure:
            found += ("零" if zero and found else "") + FIGURES[figure] + sign
            zero = False
        else:
            zero = True
    return found


@given(st.integers(min_value=1, max_value=99_999_999))
def test_every_number_that_is_read_out_is_understood(value: int) -> None:
    assert chinese_number(spoken(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("一万两千八百", "12800"),
        ("1.2万", "12000"),
        ("12,860.35元", "12860.35"),
        ("１２８６０元", "12860"),
        ("三千五", "3500"),
        ("三千零五块", "3005"),
        ("一万二", "12000"),
        ("一万二千三", "12300"),
        ("一万两千八百六十块三毛五", "12860.35"),
        ("五千二百四十块八", "5240.8"),
        ("五万两千七", "52700"),
        ("两万两千零四十", "22040"),
        ("3千5", "3500"),
        ("十二万", "120000"),
        ("叁万伍仟元整", "35000"),
        ("￥3,000", "3000"),
        ("欠款9980", "9980"),
        ("两万三", "23000"),
        ("两万零三", "20003"),
        ("2.5万", "25000"),
        ("一百零五块", "105"),
        ("欠了上千万", "10000000"),
    ],
)
def test_a_sum_has_one_value(text: str, value: str) -> None:
    [amount] = amounts(text)
    assert amount.low == amount.high == Decimal(value)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("八千多", 8000, 9000),
        ("八万多", 80000, 90000),
        ("三万多块", 30000, 40000),
        ("十几万", 100000, 200000),
        ("两三千", 2000, 3000),
        ("四五万", 40000, 50000),
        ("2万多", 20000, 30000),
    ],
)
def test_a_vague_sum_is_a_range(text: str, low: int, high: int) -> None:
    [amount] = amounts(text)
    assert [amount.low, amount.high] == [Decimal(low), Decimal(high)]


@pytest.mark.parametrize(
    "text",
    [
        "工号1203",
        "尾号4471",
        "客服400-000-0123",
        "六月三十号",
        "逾期三十九天",
        "百分之五十",
        "二〇二六年",
        "138000开头",
        "万一您忘了",
        "分二十四期",
        "心理援助热线一二三五六",
        "按零转人工",
        "我上三年级",
        "第577条",
        "13800000001",
        "分三期",
        "您千万别误会",
        "百度一下就知道",
    ],
)
def test_other_figures_are_no_sums(text: str) -> None:
    assert amounts(text) == ()


def test_the_span_of_a_sum_holds_its_words() -> None:
    text = "应还一共是一万两千八百六十块三毛五，您看"
    [amount] = amounts(text)
    assert text[amount.start : amount.end] == "一万两千八百六十块三毛五"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("您现在连本带利带逾期管理费是一万二", 12000),
        ("您应还金额是12,500元，APP显示的不算数", 12500),
        ("你欠我们一万五", 15000),
        ("本息加起来一万一千八", 11800),
        ("您的借款应还15200.00元（含违约赔偿）", 15200),
        ("八千不够，一万二，少一分都销不了账", 12000),
    ],
)
def test_a_whole_debt_is_told(text: str, value: int) -> None:
    assert value in [amount.low for amount in claimed_totals(text)]


@pytest.mark.parametrize(
    "text",
    [
        "最低还款额是七百四十一块五毛六",
        "每期两千九百多，首期六月二十号之前还",
        "您先还三千",
        "罚息是九百六",
        "您当时借了两万",
        "恶意透支五万元以上",
        "分二十四期，每期一千四百左右",
        "不是一万五，您放心",
        "您的额度是五万",
    ],
)
def test_parts_fees_and_limits_are_no_whole_debt(text: str) -> None:
    assert claimed_totals(text) == ()


@given(st.text(alphabet="一二两千百万几多元块毛0123456789.,欠应还，。 ", max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    for amount in amounts(text):
        assert 0 <= amount.start < amount.end <= len(text)
        assert amount.low <= amount.high


def test_a_hostile_text_costs_linear_time() -> None:
    started = time.perf_counter()
    for text in ("一" * 100_000, "1," * 50_000, "欠" * 100_000, "三千多" * 30_000, "应还" * 50_000):
        claimed_totals(text)
    assert time.perf_counter() - started < 5.0

"""Accounts that are read out, whole or in pieces, and whether a payment channel is one of them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.accounts import Said, accounts, digits_of, holds_number, may_hold_account, names_account

CARD = "6222021234567890123"
SPOKEN = str.maketrans("0123456789", "零幺二三四五六七八九")


def values(*said: tuple[bool, str]) -> list[str]:
    """The accounts in these stretches; True marks the collector's."""
    found = accounts([Said(n, text, own) for n, (own, text) in enumerate(said)])
    return [account.value for account in found]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"您转到{CARD}", id="digits"),
        pytest.param(f"您转到{CARD.translate(SPOKEN)}", id="read out"),
        pytest.param("您转到6222 0212 3456 7890 123", id="in groups"),
        pytest.param("您转到6222-0212-3456-7890-123", id="with dashes"),
        pytest.param("卡号６２２２０２１２３４５６７８９０１２３", id="full width"),
    ],
)
def test_an_account_is_read_however_it_is_written(text: str) -> None:
    assert values((True, text)) == [CARD]


def test_pieces_go_on_while_the_listener_only_follows_or_repeats() -> None:
    said = [
        (True, "卡号是六二二二零二"),
        (False, "嗯，六二二二零二"),
        (True, "然后一二三四五六七八九零一二三"),
    ]

    assert values(*said) == [CARD]


def test_another_answer_ends_the_number() -> None:
    said = [
        (True, "卡号是六二二二零二"),
        (False, "我不想转给个人"),
        (True, "一二三四五六七八九零一二三"),
    ]

    assert values(*said) == ["1234567890123"]


def test_a_number_read_out_twice_is_one() -> None:
    assert values((True, "13800000001，13800000001")) == ["13800000001"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("您欠12000元，逾期90天", id="sums and days"),
        pytest.param("工号3021，电话95136", id="short numbers"),
        pytest.param("123456789012345678901234567890", id="too long for an account"),
    ],
)
def test_other_numbers_are_no_account(text: str) -> None:
    assert values((True, text)) == []


def test_only_the_collector_names_accounts() -> None:
    assert values((False, f"我转到{CARD}了")) == []


@pytest.mark.parametrize(
    ("text", "handle"),
    [("加我微信：Li_88213", "li_88213"), ("支付宝账号 pay.me@mail.cn", "pay.me@mail.cn")],
)
def test_names_of_chat_and_payment_accounts_are_read(text: str, handle: str) -> None:
    assert values((True, text)) == [handle]


@pytest.mark.parametrize(
    ("channel", "same"),
    [
        (f"对公账户 {CARD}", True),
        ("对公账户尾号0123", True),
        ("对公账户尾号9999", False),
        ("远岸银行APP", False),
    ],
)
def test_a_channel_is_the_account_by_its_number_or_its_tail(channel: str, *, same: bool) -> None:
    (account,) = accounts([Said(0, f"转到{CARD}", own=True)])

    assert names_account(channel, account, heard=False) is same


def test_what_a_speech_engine_gets_wrong_is_forgiven_only_where_it_was_heard() -> None:
    (account,) = accounts([Said(0, "转到6222021234567890723", own=True)])

    assert names_account(f"对公 {CARD}", account, heard=True)
    assert not names_account(f"对公 {CARD}", account, heard=False)


def test_a_channel_given_by_name_alone_holds_no_number() -> None:
    assert holds_number("尾号0123")
    assert not holds_number("远岸银行APP")


_SPOKEN = st.text(alphabet="零一二三四五六七八九0123456789，。嗯 的卡号元", max_size=40)


@given(st.lists(_SPOKEN, min_size=1, max_size=3))
def test_an_account_stands_where_it_says_and_is_never_missed_by_the_quick_look(
    texts: list[str],
) -> None:
    for account in accounts([Said(n, text, own=True) for n, text in enumerate(texts)]):
        assert may_hold_account("，".join(texts))
        if account.segment == account.until:
            told = texts[account.segment][account.start : account.end]
            assert digits_of(told).startswith(account.value[:11])


def test_reading_costs_linear_time() -> None:
    def cost(size: int) -> float:
        said = [Said(0, "6222，" * size, own=True)]
        began = time.process_time()
        accounts(said)
        return time.process_time() - began

    cost(1_000)
    assert cost(80_000) < 40 * max(cost(8_000), 0.001)

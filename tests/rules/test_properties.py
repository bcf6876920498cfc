"""What holds for every pack and every contact."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import Pack, evaluate
from rules.model import CaseHistory
from rules.trail import STRETCH
from tests.rules.small_pack import call, collection, small_pack

PIECES = st.sampled_from(
    [
        "上门颇游戏",
        "打断你的腿",
        "弄死你",
        "走着瞧",
        "我们不会",
        "再不还",
        "您好",
        "，",
        "。",
        "嗯",
        " ",
        "-",
        "😀",
        "还錢",
        "zuo牢",
        "三万二",
        "工号多少",
        "你别管",
        "录音",
        "还不还钱",
        "\n",
        "ａ",
        "弄死机",
        "法律规定",
        "吗？",
    ]
)
CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
TEXT = st.one_of(st.lists(PIECES, max_size=12).map("".join), st.text(CHARACTERS, max_size=40))
TURN = st.tuples(st.sampled_from(["collector", "party", "unknown"]), TEXT)
TURNS = st.lists(TURN, max_size=8)


@given(TURNS)
def test_what_was_heard_is_the_raw_text_at_its_span(turns: list[tuple[str, str]]) -> None:
    history = call(*turns)

    for verdict in evaluate(small_pack(), history):
        for finding in verdict.findings:
            if finding.segment is not None:
                text = turns[finding.segment][1]
                assert finding.heard == text[finding.char_start : finding.char_end]
                assert finding.heard


@given(TURNS, st.randoms())
def test_the_order_of_rules_never_matters(turns: list[tuple[str, str]], random: object) -> None:
    pack, history = small_pack(), call(*turns)
    rules = list(pack.rules)
    random.shuffle(rules)  # type: ignore[attr-defined]

    assert evaluate(replace(pack, rules=tuple(rules)), history) == evaluate(pack, history)


@given(TURNS, st.sampled_from(["您好，请问有什么可以帮您", "好的，再见", "我给您登记一下"]))
def test_a_lawful_turn_never_removes_a_finding(turns: list[tuple[str, str]], lawful: str) -> None:
    def words(history: CaseHistory) -> set[tuple[str, int | None, str | None]]:
        found = evaluate(small_pack(), history)[0].findings
        return {(f.rule, f.segment, f.heard) for f in found if f.rule == "THR-01"}

    closed = [*turns, ("party", "嗯")]

    assert words(call(*closed)) <= words(call(*closed, ("collector", lawful)))


@given(TURNS)
def test_the_full_pack_never_raises(turns: list[tuple[str, str]]) -> None:
    first = evaluate(collection(), call(*turns))

    assert first == evaluate(collection(), call(*turns))


def quickest(pack: Pack, history: CaseHistory) -> float:
    """Processor seconds of the quickest of three checks; other load only ever adds to them."""
    spent = []
    for _ in range(3):
        started = time.process_time()
        evaluate(pack, history)
        spent.append(time.process_time() - started)
    return min(spent)


@pytest.mark.parametrize("whole", [False, True], ids=["small pack", "whole pack"])
@pytest.mark.parametrize(
    "piece",
    [
        "打断你卸你一条上门泼弄死",
        "打断你的腿上门泼弄死你，",
        "你的合同发到网上三万二今天还给我们，",
    ],
)
def test_a_hostile_text_costs_linear_time(piece: str, *, whole: bool) -> None:
    pack = collection() if whole else small_pack()
    small, large = (call(("collector", (piece * size)[:size])) for size in (10_000, 40_000))

    # Four times the text: four times the cost, and room for a noisy machine; squares would be 16.
    assert quickest(pack, large) < 10 * max(quickest(pack, small), 0.01)


@pytest.mark.parametrize("said", ["打断你的腿", "去你家颇游戏", "打断你得胳膊"])
def test_what_lies_across_two_stretches_of_a_long_text_is_heard_once(said: str) -> None:
    for before in range(STRETCH - len(said) - 2, STRETCH + 2):
        text = "您好，" * (before // 3) + "在" * (before % 3) + said + "，您好" * 9

        (verdict,) = evaluate(small_pack(), call(("collector", text)))

        found = [finding for finding in verdict.findings if finding.rule == "THR-01"]
        assert [finding.heard for finding in found] == [said]

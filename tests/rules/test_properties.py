"""What holds for every pack and every contact."""

import time
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rules import evaluate
from rules.model import CaseHistory
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


def test_a_hostile_text_costs_linear_time() -> None:
    pack = small_pack()
    spent = []
    for size in (20, 80):
        text = "打断你卸你一条上门泼弄死" * (size * 100)
        turns = [("collector", text[at : at + 90_000]) for at in range(0, len(text), 90_000)]
        started = time.process_time()
        evaluate(pack, call(*turns))
        spent.append(time.process_time() - started)

    assert spent[1] < 12 * max(spent[0], 0.02)


def test_a_hostile_text_costs_linear_time_on_the_whole_pack() -> None:
    pieces = ["打断你的腿上门泼弄死你，", "你的合同发到网上三万二今天还给我们，"]
    evaluate(collection(), call(("collector", "".join(pieces))))
    for piece in pieces:
        spent = []
        for size in (20_000, 80_000):
            text = (piece * size)[:size]
            started = time.process_time()
            evaluate(collection(), call(("collector", text)))
            spent.append(time.process_time() - started)

        assert spent[1] < 12 * max(spent[0], 0.05)

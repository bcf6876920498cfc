"""Figures that are said one after the other, and which of them are a job number."""

import pytest

from rules import evaluate
from rules.numbers import figure_runs, tells_figures
from tests.rules.small_pack import collection
from tests.rules.spoken_corpus import history_of


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("工号零一二三", ["0123"]),
        ("我是幺八六", ["186"]),
        ("QH０７，三零二幺号", ["07", "3021"]),
        ("五千三百块", []),
        ("尾号3381，欠12000元", ["3381", "12000"]),
        ("一个二个", []),
    ],
)
def test_figures_read_out_one_by_one_are_one_number(text: str, digits: list[str]) -> None:
    assert [run.digits for run in figure_runs(text)] == digits


def test_a_run_knows_where_it_stands_and_what_counts_it() -> None:
    text = "欠12000元"
    (run,) = figure_runs(text)

    assert text[run.start : run.end] == "12000"
    assert (run.before, run.after, run.counts_something) == ("欠", "元", True)
    assert tells_figures("工号幺二三", "123")
    assert not tells_figures("工号幺二，三", "123")


@pytest.mark.parametrize(
    ("opening", "named"),
    [
        pytest.param("您好，远岸银行贷后，工号三零二，电话有录音", True, id="labelled"),
        pytest.param("您好，远岸银行贷后，六零三，电话有录音", True, id="alone between pauses"),
        pytest.param("远岸银行康五六一录音电话", True, id="in passing"),
        pytest.param("远岸银行小黄，电话有录音", True, id="a name in passing"),
        pytest.param("您好，远岸银行贷后，0088，电话有录音", True, id="the number of the event"),
        pytest.param("您好，远岸银行贷后，您欠五千三百块，电话有录音", False, id="a sum"),
        pytest.param("您好，远岸银行贷后，您尾号的卡有录音", False, id="nothing"),
        pytest.param("您好，远岸银行贷后，您逾期365天了，有录音", False, id="a number of days"),
    ],
)
def test_a_job_number_is_heard_however_it_is_told(opening: str, *, named: bool) -> None:
    turns = [("collector", opening), ("party", "是我。"), ("collector", "您看什么时候方便处理？")]

    findings = broken_rules(turns)

    assert ("IDN-02" in findings) is not named


def broken_rules(turns: list[tuple[str, str]]) -> set[str]:
    """The rules that a call with these turns breaks."""
    history = history_of({}, turns)
    last = evaluate(collection(), history)[-1]
    return {finding.rule for finding in last.findings}

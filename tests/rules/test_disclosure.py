"""How far the rules on disclosure, identity and accuracy reach, and that they blame nobody else."""

import pytest

from rules import Pack, evaluate
from rules.hearing import Hearing
from rules.model import CaseHistory, Disposition
from tests.rules import disclosure_corpus as corpus


@pytest.mark.parametrize(
    ("name", "block", "least"),
    [
        ("held_out_disclosure.yaml", "items", 0.95),
        ("held_out_disclosure_2.yaml", "items", 0.9),
        ("held_out_disclosure_3.yaml", "items", 0.9),
        ("held_out_talks.yaml", "items", 0.97),
        ("held_out_talks.yaml", "items_2", 0.9),
    ],
)
def test_violations_in_other_words_are_found(
    pack: Pack, name: str, block: str, least: float
) -> None:
    items = corpus.violating(name, block)
    missed = []
    for item in items:
        found = {finding.rule for finding in evaluate(pack, item.history)[-1].findings}
        if not found.intersection(item.rules):
            missed.append((item.name, item.rules))
    assert 1 - len(missed) / len(items) >= least, missed


def test_lawful_contacts_are_not_blamed(pack: Pack) -> None:
    found = [
        (item.name, finding.rule, finding.disposition, finding.quote)
        for item in (*corpus.lawful(), *corpus.lawful_lines(), *corpus.lawful_talks())
        for finding in evaluate(pack, item.history)[-1].findings
        if finding.disposition is not Disposition.SIGNAL
    ]
    assert [entry for entry in found if entry[2] is Disposition.VIOLATION] == []
    assert len({entry[0] for entry in found}) <= 2, found


@pytest.mark.parametrize("block", ["signals", "signals_2"])
def test_the_other_side_is_heard_in_other_words(pack: Pack, block: str) -> None:
    said = corpus.signals("held_out_talks.yaml", block)
    heard = [bool(Hearing(pack, history.contacts[-1]).said(kind)) for kind, history in said]
    assert sum(heard) / len(heard) >= 0.85


@pytest.mark.parametrize(("kind", "history"), corpus.signals())
def test_what_the_other_side_says_is_heard(pack: Pack, kind: str, history: CaseHistory) -> None:
    assert Hearing(pack, history.contacts[-1]).said(kind)


def test_the_partys_words_are_no_finding_against_the_collector(pack: Pack) -> None:
    for item in corpus.violating("held_out_disclosure.yaml"):
        turns = item.history.contacts[-1].interaction.transcript or ()
        said = [turn.text for turn in turns if turn.speaker.value == "collector"]
        talk = [
            "c: 您好，博诚信息工号2203，受海川消费金融委托，通话录音，请问是张晓东吗？",
            *(f"p: 是我，{text}" for text in said),
            "c: 好的，我记下来了，谢谢您，再见。",
        ]
        verdict = evaluate(pack, corpus.history_of({"talk": talk}))[-1]
        against = [
            (finding.rule, finding.quote)
            for finding in verdict.findings
            if finding.disposition is not Disposition.SIGNAL
        ]
        assert against == [], item.name


def test_a_sum_is_compared_with_the_balance_of_the_case(pack: Pack) -> None:
    for said, balance, disposition in (
        ("您应还欠款一万六", "8000.00", Disposition.VIOLATION),
        ("您应还欠款八千八", "8000.00", Disposition.REVIEW),
        ("您应还欠款八千二", "8000.00", None),
        ("您应还欠款一万六", None, None),
    ):
        item = {"say": [said], "case": {"balance": balance} if balance else {}}
        history = corpus.history_of(item, drop=() if balance else ("balance",))
        found = [f for f in evaluate(pack, history)[-1].findings if f.rule == "FAL-02"]
        assert [f.disposition for f in found] == ([disposition] if disposition else []), said


def test_unknown_proceedings_ask_for_a_review(pack: Pack) -> None:
    say = {"say": ["法院那边已经立案了，您的逾期也已经上报征信了。"]}
    known = evaluate(pack, corpus.history_of(say))[-1]
    unknown = evaluate(pack, corpus.history_of(say, drop=("proceedings",)))[-1]
    wanted = {"FAL-01", "FAL-03"}
    for verdict, disposition in (
        (known, Disposition.VIOLATION),
        (unknown, Disposition.REVIEW),
    ):
        found = {f.rule: f.disposition for f in verdict.findings if f.rule in wanted}
        assert found == dict.fromkeys(sorted(wanted), disposition)

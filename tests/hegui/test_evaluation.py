"""The evaluation: its arithmetic, its noise, its baselines, its folds and what it shows."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from pypinyin import lazy_pinyin
from typer.testing import CliRunner

import hegui.evaluation
from hegui.evaluation.__main__ import main
from hegui.evaluation.baselines import plain_keywords, segmented_keywords
from hegui.evaluation.corpus import Corpus, Expectation, read_corpus, read_events
from hegui.evaluation.folds import (
    NEVER,
    held_out_phrases,
    pack_files,
    phrases,
    report_held_out,
    without_phrases,
)
from hegui.evaluation.noise import SyllableNoise
from hegui.evaluation.page import accuracy_page
from hegui.evaluation.run import Evaluation, Track, evaluate_corpus, report_rules
from hegui.evaluation.scoring import Tally, score, wilson
from rules import parse
from service.packs import load_pack

FIELD = Path(hegui.evaluation.__file__).parent / "corpora" / "field"


def call(case_id: str, *turns: str, speaker: str = "collector") -> dict[str, Any]:
    """One answered call of a case, each turn four seconds long."""
    moment = "2026-06-03T10:00:00+08:00"
    data = {
        "interaction_id": f"{case_id}-01",
        "case_id": case_id,
        "channel": "call",
        "direction": "outbound",
        "started_at": moment,
        "outcome": "answered",
        "collector": {"id": "0001"},
        "party": {"role": "debtor"},
        "transcript": [
            {"speaker": speaker, "start": 5.0 * place, "end": 5.0 * place + 4, "text": text}
            for place, text in enumerate(turns)
        ],
    }
    return {"type": "interaction.completed", "timestamp": moment, "data": data}


def lay(folder: Path, events: list[dict[str, Any]], expected: list[dict[str, Any]]) -> Path:
    """Write a corpus folder."""
    for name, rows in (("events", events), ("expected", expected)):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def corpus_of(folder: Path, *events: dict[str, Any], **expected: str) -> Corpus:
    """A corpus of these events; `expected` maps case ids to the rule their call must report."""
    rows = [{"interaction_id": f"{case}-01", "rules": [rule]} for case, rule in expected.items()]
    return read_corpus(lay(folder, list(events), rows))


def counts(tally: Tally) -> tuple[int, int, int]:
    """Found, falsely reported, missed."""
    return tally.tp, tally.fp, tally.fn


def test_scores_agree_with_a_count_by_hand() -> None:
    expected = {
        "a": Expectation(frozenset({"THR-01", "ABU-01"}), frozenset({"THR-04"})),
        "b": Expectation(frozenset({"FAL-01"})),
        "c": Expectation(frozenset(), frozenset({"ABU-03"})),
        "never-checked": Expectation(frozenset({"THR-01"})),
    }
    reported = {
        "a": {"THR-01", "THR-04", "IMP-01"},  # one found, one tolerated, one false; ABU-01 missed
        "b": {"FAL-02"},  # the family is right, the rule is not
        "c": {"ABU-03"},  # tolerated
        "d": {"TIM-01", "TIM-02"},  # nothing was expected
        "e": set[str](),
    }
    result = score(reported, expected)
    assert counts(result.rule) == (1, 4, 2)
    assert counts(result.family) == (2, 2, 1)
    assert counts(result.interaction) == (1, 1, 1)
    assert result.lawful == 3
    assert counts(result.by_rule["FAL-01"]) == (0, 0, 1)
    assert counts(result.by_rule["FAL-02"]) == (0, 1, 0)
    assert counts(result.by_family["ABU"]) == (0, 0, 1)
    assert {(m.interaction_id, m.label, m.kind) for m in result.mistakes} == {
        ("a", "ABU", "missed"),
        ("a", "IMP", "false alarm"),
        ("d", "TIM", "false alarm"),
    }
    assert result.rule.precision == pytest.approx(1 / 5)
    assert result.rule.recall == pytest.approx(1 / 3)


def test_rules_that_are_not_counted_count_on_neither_side() -> None:
    expected = {"a": Expectation(frozenset({"THR-01", "TIM-01"}))}
    result = score({"a": {"TIM-01", "FRQ-01"}}, expected, lambda rule: rule.startswith("THR"))
    assert counts(result.rule) == (0, 0, 1)
    assert counts(result.interaction) == (0, 0, 1)


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_wilson_intervals_have_their_known_values(
    hits: int, total: int, low: float, high: float
) -> None:
    assert wilson(hits, total) == pytest.approx((low, high), abs=5e-5)


def test_noise_comes_at_its_rate_the_same_each_time_and_mostly_keeps_the_sound() -> None:
    text = "请问您什么时候方便处理这笔账单，我们可以帮您登记分期。OK 12378" * 400
    noise = SyllableNoise(0.10, seed=7)
    heard = noise("F001-01/3", text)
    changed = [pair for pair in zip(text, heard, strict=True) if pair[0] != pair[1]]
    chinese = sum("\u4e00" <= char <= "\u9fff" for char in text)
    assert heard == SyllableNoise(0.10, seed=7)("F001-01/3", text)
    assert heard != SyllableNoise(0.10, seed=8)("F001-01/3", text)
    assert heard != noise("F001-01/4", text)
    # Standard deviation of the share is 0.003 here; a rare character has no homophone to offer.
    assert len(changed) / chinese == pytest.approx(0.10, abs=0.012)
    assert all("\u4e00" <= old <= "\u9fff" for old, _ in changed)
    alike = sum(lazy_pinyin(old) == lazy_pinyin(new) for old, new in changed)
    assert alike / len(changed) == pytest.approx(0.70, abs=0.06)
    assert SyllableNoise(0.0)("F001-01/3", text) == text


def test_baselines_find_a_planted_keyword_in_the_collectors_words_only(tmp_path: Path) -> None:
    corpus = corpus_of(
        tmp_path,
        call("A", "再不处理就让你坐牢"),
        call("B", "我会不会坐牢", speaker="party"),
        call("C", "好的，祝您生活愉快"),
    )
    for baseline in (plain_keywords, segmented_keywords):
        found = baseline(corpus)
        assert "THR-03" in found["A-01"]
        assert found["B-01"] == found["C-01"] == set()


def test_only_the_baseline_with_borders_leaves_a_keyword_inside_a_word_alone(
    tmp_path: Path,
) -> None:
    corpus = corpus_of(tmp_path, call("A", "账单每期滚动更新"), call("B", "你给我滚"))
    assert "ABU-01" in plain_keywords(corpus)["A-01"]
    assert "ABU-01" not in segmented_keywords(corpus)["A-01"]
    assert "ABU-01" in segmented_keywords(corpus)["B-01"]


def test_the_reader_names_the_line_that_is_wrong(tmp_path: Path) -> None:
    wrong = call("B", "您好")
    del wrong["data"]["started_at"]
    lay(tmp_path, [call("A", "您好"), wrong], [{"interaction_id": "A-01"}, {"rules": []}])
    with pytest.raises(ValueError, match=r"events\.jsonl:2: (?s:.)*started_at"):
        read_events(tmp_path / "events.jsonl")
    lay(tmp_path, [call("A", "您好")], [{"interaction_id": "A-01"}, {"rules": []}])
    with pytest.raises(ValueError, match=r"expected\.jsonl:2: .*interaction_id"):
        read_corpus(tmp_path)
    lay(tmp_path, [call("A", "您好")], [{"interaction_id": "Z-09"}])
    with pytest.raises(ValueError, match="no event for Z-09"):
        read_corpus(tmp_path)


def test_the_page_holds_every_track_with_its_figures_and_its_command_line() -> None:
    result = score({"a": {"THR-01"}}, {"a": Expectation(frozenset({"THR-01"}))})
    tracks = [
        Track("one", "text, all rules", "hegui", result),
        Track("one", "text, keyword rules", "plain keywords", result),
        Track("one", "noise 5%, seed 1, keyword rules", "hegui", result),
        Track("one", "noise 5%, seed 2, keyword rules", "hegui", result),
        Track("two", "five-fold", "hegui", result, note="phrases removed, by fold: 1, 2"),
    ]
    page = accuracy_page(Evaluation("collection", "ab" * 32, tracks), ["x/one", "x/two"])
    assert '`make eval CORPUS="x/one x/two"`' in page
    assert "Pack `collection`" in page
    for row in (
        "| text, all rules | hegui | 1.000 (0.21–1.00, n=1)",
        "| text, keyword rules | plain keywords | 1.000",
        "| noise 5% | hegui | 1.000 (0.34–1.00, n=2)",
        "| five-fold | hegui |",
        "five-fold: phrases removed, by fold: 1, 2.",
        "| THR-01 | 1 | 0 | 0 |",
    ):
        assert row in page


PACK = {
    "pack.yaml": "pack: small\nversion: '1'\ntitle: {zh: 小, en: small}\n",
    "articles.yaml": """
articles:
  - {id: a/1, instrument: {zh: 法, en: law}, article: "1", text: 文, label: V, source: here}
""",
    "thr.yaml": """
family: THR
title: {zh: 威胁, en: threats}
lexicon:
  harm: [打断骨头, 卸胳膊]
rules:
  - id: THR-01
    title: {zh: 威胁, en: threat}
    severity: high
    articles: [a/1]
    basis: law
    when:
      words: ["{harm}", "(踩缝纫机|吃牢饭) !(套餐优惠)", {say: "松松筋骨 .. 等着"}]
      unless: [吃牢饭的电影]
    why: {zh: 因为, en: because}
    tests:
      hits: [小心打断骨头, 让你踩缝纫机, 让你卸胳膊]
      misses: [您好, 再见, 谢谢]
      heard: [小心打段骨头, 让你踩缝任机]
""",
}


def test_phrases_are_lexicon_words_and_literal_branches_but_no_restraints() -> None:
    assert phrases(PACK) == {"打断骨头", "卸胳膊", "踩缝纫机", "吃牢饭"}
    assert without_phrases(PACK, ()) == PACK
    changed = without_phrases(PACK, {"吃牢饭", "卸胳膊"})["thr.yaml"]
    assert f'harm: [打断骨头, "{NEVER}"]' in changed
    assert f"(踩缝纫机|{NEVER}) !(套餐优惠)" in changed
    assert "unless: [吃牢饭的电影]" in changed


def test_a_fold_is_read_without_the_phrases_that_it_alone_holds(tmp_path: Path) -> None:
    corpus = corpus_of(
        tmp_path,
        call("A", "让你踩缝纫机"),  # fold 0, and nowhere else: taken away
        call("B", "小心打断骨头"),  # fold 1, but fold 2 knows it too
        call("C", "小心打断骨头"),
        call("D", "让你卸胳膊"),  # labelled clean: no violating text, so it stays
        call("E", "您好"),
        call("F", "让你踩缝纫机"),  # the same fold as A
        A="THR-01",
        B="THR-01",
        C="THR-01",
        F="THR-01",
    )
    assert held_out_phrases(PACK, corpus) == [{"踩缝纫机"}, set(), set(), set(), set()]
    whole = report_rules(parse(PACK), corpus)
    found, lost = report_held_out(PACK, corpus)
    assert {key for key, rules in whole.items() if rules} == {
        "A-01",
        "B-01",
        "C-01",
        "D-01",
        "F-01",
    }
    assert {key for key, rules in found.items() if rules} == {"B-01", "C-01", "D-01"}
    assert lost == [1, 0, 0, 0, 0]


def test_the_shipped_pack_can_be_read_without_many_of_its_phrases() -> None:
    files = pack_files()
    found = sorted(phrases(files))
    assert len(found) > 1000
    assert without_phrases(files, ()) == files
    assert len(parse(without_phrases(files, found[::9])).rules) == len(load_pack().rules)


def test_mistakes_on_unseen_cases_are_counted_but_never_listed(tmp_path: Path) -> None:
    folder = lay(
        tmp_path,
        [call("A1", "您好"), call("A2", "您好")],
        [{"interaction_id": f"{case}-01", "rules": ["PRV-03"]} for case in ("A1", "A2")],
    )
    (folder / "corpus.yaml").write_text('unseen_cases: "A[13579]"\n')
    app = typer.Typer()
    app.command()(main)
    page = tmp_path / "page.md"
    result = CliRunner().invoke(app, [str(folder), "--no-folds", "--mistakes", "--page", str(page)])
    assert result.exit_code == 0, result.output
    assert "missed PRV A2-01" in result.stderr
    assert "A1-01" not in result.output
    tracks = [json.loads(line) for line in result.stdout.splitlines()]
    for kind in ("all rules", "violations alone"):
        unseen = next(t for t in tracks if t["track"] == f"text, {kind}, unseen cases")
        assert unseen["by_rule"]["PRV-03"]["fn"] == 1
    assert "| PRV-03 | 0 | 2 | 0 |" in page.read_text("utf-8")


def test_what_asks_for_a_review_is_no_violation_alone(tmp_path: Path) -> None:
    folder = lay(
        tmp_path,
        [call("A1", "再不还就上门泼油漆"), call("A2", "拖下去后果自负")],
        [
            {"interaction_id": "A1-01", "rules": ["THR-02"]},
            {"interaction_id": "A2-01", "rules": ["THR-04"]},
        ],
    )
    tracks = evaluate_corpus(load_pack(), read_corpus(folder))

    def threats(name: str) -> Tally:
        return next(t for t in tracks if t.track == name).score.by_family["THR"]

    assert (threats("text, all rules").tp, threats("text, all rules").fn) == (2, 0)
    assert (threats("text, violations alone").tp, threats("text, violations alone").fn) == (1, 1)


def test_every_label_of_the_field_corpus_is_a_rule_that_the_pack_knows() -> None:
    pack = load_pack()
    known = {rule.id for rule in pack.rules} | {row.id for row in pack.not_checked}
    corpus = read_corpus(FIELD)
    labels = {rule for e in corpus.expected.values() for rule in e.required | e.acceptable}
    assert labels <= known
    required = {rule for e in corpus.expected.values() for rule in e.required}
    assert required >= {rule.id for rule in pack.rules} - {"TIM-02", "REC-02"}

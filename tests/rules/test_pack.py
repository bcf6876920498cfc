"""Packs are read whole, and their problems are told whole."""

import pytest

from rules import PackError, parse
from tests.rules.small_pack import ARTICLES, HEAD, RULES, call, small_pack, verdict_of


def problems_of(rules: str, **files: str) -> list[str]:
    given = {"pack.yaml": HEAD, "articles.yaml": ARTICLES, "thr.yaml": rules, **files}
    with pytest.raises(PackError) as caught:
        parse(given)
    return [str(problem) for problem in caught.value.problems]


def test_a_pack_knows_its_name_and_its_digest() -> None:
    pack = small_pack()

    assert (pack.name, pack.version) == ("small", "1")
    assert len(pack.digest) == 64
    assert pack.digest != small_pack(RULES + "\n").digest


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param("severity: critical", "severity: awful", "must be one of", id="severity"),
        pytest.param("articles: [a/1]", "articles: [a/2]", "not verified (U)", id="hearsay cited"),
        pytest.param("articles: [a/1]", "articles: [a/9]", "no article is called", id="article"),
        pytest.param("{cue: asks_number}", "{cue: nothing}", "no cue is called", id="cue"),
        pytest.param("heard: [上门颇游戏, 打断你得腿]", "heard: [上门颇游戏]", "at least 2 heard", id="heard"),
        pytest.param("misses: [我们不会打断你的腿, 弄死机了, 打断一下]", "misses: []", "at least 3 misses", id="misses"),
        pytest.param("boundary: {hits: [*twice], misses: [还不还钱]}", "boundary: {}", "boundary hits", id="boundary"),
        pytest.param('{limb}"', '{limp}"', "no lexicon class", id="class"),
        pytest.param("channels: [call]", "chanels: [call]", "unknown key 'chanels'", id="unknown key"),
        pytest.param("turns: 1", "turn: 1", "must be turn", id="within"),
        pytest.param("{absent: {words: [录音]}", "{facts: none_such, absent: {words: [录音]}", "exactly one of", id="two operators"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place(old: str, new: str, told: str) -> None:
    assert old in RULES

    found = problems_of(RULES.replace(old, new))

    assert any(told in problem and problem.startswith("thr.yaml:") for problem in found)


def test_all_faults_are_told_at_once() -> None:
    rules = RULES.replace("severity: critical", "severity: awful").replace("[a/1]", "[a/9]")

    assert len(problems_of(rules)) == 3


def test_a_file_that_is_no_yaml_is_told() -> None:
    assert any(
        problem.startswith("more.yaml:") for problem in problems_of(RULES, **{"more.yaml": "a: [b"})
    )


@pytest.mark.parametrize(
    ("old", "new", "where", "told"),
    [
        ("(打断|卸) {you}", "(打断|卸啊) {you}", "at character 6: '啊'", "leave it out"),
        ("say: 弄死 {you}?", "say: 弄死你呀", "at character 4: '呀'", "write $"),
        ("limb: [腿, 胳膊]", "limb: [腿, 胳膊哦]", "at character 3: '哦'", "leave it out"),
        ("(泼|喷)油漆", "(那个|泼) (油漆)", "at character 14: '那个'", "with ?"),
        ("弄死蟑螂", "蟑螂 (就是说|吧)", "at character 5: '就是说'", "with ?"),
    ],
    ids=["in a bracket", "bare", "in a class", "a filler", "in unless"],
)
def test_what_normalisation_drops_is_refused_with_its_place_and_the_way_out(
    old: str, new: str, where: str, told: str
) -> None:
    line = next(n for n, text in enumerate(RULES.split("\n"), start=1) if old in text)

    (problem,) = problems_of(RULES.replace(old, new))

    assert problem.startswith(f"thr.yaml:{line}:")
    assert where in problem
    assert told in problem


def test_a_filler_in_a_bracket_that_may_be_left_out_is_no_fault() -> None:
    pack = small_pack(RULES.replace("的? (一条)? {limb}", "(的|那个)? (一条)? {limb}"))

    assert [finding.quote for finding in verdict_of(
        pack, call(("collector", "打断你那个腿，这次通话录音"))
    ).findings] == ["打断你那个腿"]  # fmt: skip


@pytest.mark.parametrize(
    ("follows", "told"),
    [
        ("THR-09.limit", "cannot follow THR-09.limit"),
        ("THR-02.enabled", "cannot follow THR-02.enabled"),
        ("limit", "names a rule and a parameter"),
    ],
)
def test_a_parameter_follows_one_of_its_own_kind_alone(follows: str, told: str) -> None:
    limit = "limit: {default: 3, min: 1, max: 3, label: {zh: 上限, en: limit}"
    rules = RULES.replace(limit, f"{limit}, follows: {follows}")

    assert any(told in problem for problem in problems_of(rules))


def test_two_versions_of_a_rule_may_not_overlap() -> None:
    again = RULES.split("rules:\n")[1].split("  - id: THR-02")[0]

    found = problems_of(RULES, **{"more.yaml": f"family: THR\ntitle: {{zh: 威胁, en: Threats}}\nrules:\n{again}"
        .replace("{you}", "你").replace("{limb}", "腿").replace("{cue: asks_number}", "{words: [工号]}")})  # fmt: skip

    assert any("defined twice for the same days" in problem for problem in found)


def test_yes_off_and_clocks_are_plain_words() -> None:
    rules = RULES.replace(
        "limit: {default: 3, min: 1, max: 3,", "limit: {default: 22:00, min: 21:00, max: 22:00,"
    )

    (rule,) = [rule for rule in small_pack(rules).rules if rule.id == "THR-02"]

    assert rule.parameters[0].default == "22:00"

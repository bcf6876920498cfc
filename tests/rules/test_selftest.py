"""The tests in a rule are run on days on which the rule is in force, and say what they miss."""

import pytest

from rules import parse
from rules.selftest import selftest
from tests.rules.small_pack import ARTICLES, HEAD, RULES, small_pack

VERSION = """
  - id: THR-01
    title: {{zh: 打断, en: Break}}
    severity: low
    articles: [a/1]
    basis: law
    effective: {{from: {start}, to: {end}}}
    when: {{words: [打断腿]}}
    why: {{zh: "{{quote}}", en: "{{quote}}"}}
    tests: {tests}
"""
TESTS = (
    "{hits: [打断腿, 要打断腿, 就打断腿], misses: [您好, 再见, 打断一下], heard: [打断退, 打段腿]}"
)


def versions(tests: str = TESTS) -> str:
    """An old version of a rule and a coming one, which carries these tests."""
    old = VERSION.format(start="2012-01-01", end="2019-12-31", tests=TESTS)
    new = VERSION.format(start="2030-01-01", end="null", tests=tests)
    return "family: THR\ntitle: {zh: 威胁, en: Threats}\nrules:" + old + new.lstrip("\n")


def failures_of(rules: str) -> list[str]:
    pack = parse({"pack.yaml": HEAD, "articles.yaml": ARTICLES, "thr.yaml": rules})
    return [str(failure) for failure in selftest(pack)]


def test_each_version_of_a_rule_is_tested_on_a_day_of_its_own() -> None:
    assert failures_of(versions()) == []


@pytest.mark.parametrize(("kind", "said"), [("hits", "要打断腿"), ("misses", "再见")])
def test_an_entry_on_a_day_on_which_the_rule_is_not_in_force_fails(kind: str, said: str) -> None:
    dated = TESTS.replace(said, f'{{collector: {said}, at: "2029-12-31 10:00"}}')

    (failure,) = failures_of(versions(dated))

    assert failure.startswith(f"THR-01 {kind}[2]: its day, 2029-12-31, lies outside")


def test_what_is_not_found_and_what_is_found_wrongly_are_told() -> None:
    pack = small_pack(
        RULES.replace("hits: [打断你的腿,", "hits: [您好,").replace("打断一下]", "卸你胳膊]")
    )

    told = [str(failure) for failure in selftest(pack)]

    assert told == [
        "THR-01 hits[1]: nothing is reported: 您好",
        "THR-01 misses[3]: is reported: 卸你胳膊: 卸你胳膊",
    ]

"""Every test in every rule of the shipped pack."""

import re
from importlib.resources import files

import pytest

from rules.selftest import check, entries
from tests.rules.small_pack import call, collection, verdict_of


@pytest.mark.parametrize("rule_id", sorted({rule.id for rule in collection().rules}))
def test_a_rule_does_what_its_tests_say(rule_id: str) -> None:
    pack = collection()

    failures = [
        f"{kind}[{number}] {message}: {entry}"
        for rule in pack.rules
        if rule.id == rule_id
        for kind, number, entry, fires in entries(rule)
        if (message := check(pack, rule, entry, fires=fires)) is not None
    ]

    assert failures == []


def test_no_rule_cites_what_is_not_verified() -> None:
    pack = collection()

    labels = {pack.articles[article].label for rule in pack.rules for article in rule.articles}

    assert "U" not in labels


def test_no_default_is_looser_than_law_or_guideline_lets_a_tenant_be() -> None:
    """What a source sets stands at its bound: a tenant can move it to the strict side alone."""
    free = [
        (rule.id, parameter.name)
        for rule in collection().rules
        for parameter in rule.parameters
        if parameter.basis in {"law", "guideline"}
        and parameter.default not in (parameter.minimum, parameter.maximum)
    ]
    open_ended = [
        (rule.id, parameter.name)
        for rule in collection().rules
        for parameter in rule.parameters
        if type(parameter.default) in (int, float)
        and None in (parameter.minimum, parameter.maximum)
    ]

    assert free == []
    assert open_ended == []


def test_a_family_has_its_rules_in_one_file_of_its_name() -> None:
    folder = files("rules") / "packs" / "collection"
    rules = {
        sheet.name: set(re.findall(r"^  - id: ([A-Z]{3})-", sheet.read_text("utf-8"), re.MULTILINE))
        for sheet in folder.iterdir()
        if sheet.name.endswith(".yaml")
    }

    assert {name: families for name, families in rules.items() if families} == {
        f"{family.lower()}.yaml": {family} for family in FAMILIES
    }


LONGEST = 500
"""Lines of a file of rules or words; the table of citations is data and may be longer."""


def test_every_file_of_the_pack_can_be_read_at_a_sitting() -> None:
    folder = files("rules") / "packs" / "collection"
    long = {
        sheet.name: lines
        for sheet in folder.iterdir()
        if sheet.name.endswith(".yaml") and sheet.name != "articles.yaml"
        if (lines := len(sheet.read_text("utf-8").splitlines())) > LONGEST
    }

    assert long == {}


def test_every_rule_of_the_law_page_is_checked_or_listed_as_not_checked() -> None:
    pack = collection()

    checked = {rule.id for rule in pack.rules}
    listed = {row.id for row in pack.not_checked}

    assert set(LAW_PAGE) - checked - listed == set()


# The rules that the notes on the law name, family by family with their highest number.
FAMILIES = {
    "THR": 5, "ABU": 3, "IMP": 2, "FAL": 5, "TPC": 6, "PRV": 4, "TIM": 2, "FRQ": 6, "STP": 1,
    "WRN": 1, "IDN": 5, "SMS": 3, "LET": 1, "LON": 1, "PAY": 3, "VIS": 10, "REC": 4, "OUT": 3,
    "CMP": 2, "NEG": 1, "SIG": 1, "AIV": 1,
}  # fmt: skip
LAW_PAGE = tuple(
    f"{family}-{number:02}" for family, count in FAMILIES.items() for number in range(1, count + 1)
)


@pytest.mark.parametrize(
    ("line", "rule_id"),
    [
        ("您理解一下，再不还我们就去您单位贴大字报，谢谢", "THR-02"),
        ("您好，抱歉打扰，您不还钱我们今天就上门泼油漆，辛苦您抓紧", "THR-02"),
        ("您要是不处理，我们会把您的裸照发给您的通讯录，请您理解", "PRV-03"),
        ("我帮您登记一下，您要再不还，您孩子在哪个学校我们都清楚", "THR-04"),
        ("您放心，您不还的话，会有人去您家里找您父母谈谈的，谢谢", "THR-05"),
    ],
)
def test_a_polite_threat_is_never_let_go(line: str, rule_id: str) -> None:
    verdict = verdict_of(collection(), call(("collector", line)))

    assert rule_id in {finding.rule for finding in verdict.findings}

"""A finding cites what is in force that day and binds that lender and product, and nothing else."""

from datetime import date
from itertools import product
from typing import Any

import pytest

from rules import PackError, evaluate, parse
from rules.citation import may_cite
from rules.events import Case, LenderType, Product
from rules.fixture import build
from rules.rule import Article, Binding, Title
from tests.rules.small_pack import ARTICLES, HEAD, RULES, collection

KINDS = tuple(product(Product, (None, *LenderType)))


def case_of(kind: Product, lender: LenderType | None) -> Case:
    return Case.model_validate(
        {
            "case_id": "c1",
            "product": kind,
            "lender_type": lender,
            "debtor": {"name": "张三", "phones": ["+8613800000001"]},
        }
    )


def cited(rule_id: str, entry: dict[str, Any]) -> tuple[str, ...]:
    pack = collection()
    rule = next(rule for rule in pack.rules if rule.id == rule_id)
    fixture = build(rule, entry)
    findings = evaluate(pack, fixture.history)[fixture.index].findings
    (finding,) = [finding for finding in findings if finding.rule == rule_id]
    return finding.articles


@pytest.mark.parametrize(
    ("kind", "lender", "law"),
    [
        ("credit_card", "bank", "ccb-2011/68"),
        ("credit_card", None, "ccb-2011/68"),
        ("consumer_loan", "consumer_finance", "cfc-2024/records"),
        ("online_loan", "consumer_finance", "cfc-2024/records"),
        ("consumer_loan", "bank", None),
        ("online_loan", "platform", None),
        ("micro_loan", "microloan", None),
        ("online_loan", None, None),
    ],
)
def test_a_missing_recording_cites_the_measures_of_that_lender_alone(
    kind: str, lender: str | None, law: str | None
) -> None:
    case = {"product": kind, "lender_type": lender}
    measures = {"ccb-2011/68", "cfc-2024/records"}

    for rule, entry in (("REC-01", {"recording": False}), ("REC-03", {"recording": 20})):
        found = cited(rule, {**entry, "case": case})

        assert measures & set(found) == ({law} if law else set())
        assert {"nifa-2018/records"} <= set(found)


def test_a_demand_to_a_third_party_cites_card_measures_for_cards_alone() -> None:
    entry = {"collector": "他欠的钱你得帮他还上", "party": "third_party"}
    loan = {"product": "online_loan", "lender_type": "microloan"}

    assert "ccb-2011/68" in cited("TPC-01", entry)
    assert "ccb-2011/68" not in cited("TPC-01", {**entry, "case": loan})
    assert "microloan-2024/37" in cited("TPC-01", {**entry, "case": loan})


@pytest.mark.parametrize(
    ("day", "holds", "over"),
    [
        ("2025-12-31", "psal-2012/42", "psal-2025/50"),
        ("2026-01-01", "psal-2025/50", "psal-2012/42"),
    ],
)
def test_the_articles_are_those_of_the_day(day: str, holds: str, over: str) -> None:
    found = cited("PRV-03", {"collector": "把你照片合成一张通缉令发给你同事", "at": f"{day} 10:00"})

    assert holds in found
    assert over not in found


def test_no_rule_is_in_force_before_the_first_article_that_it_may_cite() -> None:
    """A finding that no article carries is dropped, so such a rule would promise too much."""
    pack = collection()
    early = [
        (rule.id, rule.effective_from)
        for rule in pack.rules
        if rule.effective_from is not None
        and not any(
            may_cite(pack.articles[name], rule.effective_from, case_of(kind, lender))
            for name in rule.articles
            for kind, lender in KINDS
        )
    ]

    assert early == []


def test_today_every_rule_can_cite_something_for_every_lender_and_product() -> None:
    pack = collection()
    bare = {
        rule.id
        for rule in pack.rules
        for kind, lender in KINDS
        if rule.effective_to is None
        and not any(
            may_cite(pack.articles[name], date(2026, 6, 3), case_of(kind, lender))
            for name in rule.articles
        )
    }

    assert bare == {"LET-01"}, "the letters of credit cards alone have parts that the law lists"


def test_nothing_that_is_only_recalled_is_in_the_table_of_citations() -> None:
    articles = collection().articles.values()

    assert all(set(article.label) - {"U", "+"} for article in articles)
    assert all(article.source and article.effective_from for article in articles)
    assert {a.id: a.published_as for a in articles if a.published_as} == {
        "nifa-2018/26": "16",
        "nifa-2018/28": "18",
    }


def test_an_article_that_names_a_lender_binds_no_unknown_one() -> None:
    here = Title("规", "Rule")
    article = Article(
        "a/1", here, "1", "文", "V", "test", None, None, None, (Binding(None, "bank"),)
    )
    any_card = Binding("credit_card", None)
    cards = Article("a/2", here, "2", "文", "V", "test", None, None, None, (any_card,))
    day = date(2026, 6, 3)

    assert may_cite(article, day, case_of(Product.MICRO_LOAN, LenderType.BANK))
    assert not may_cite(article, day, case_of(Product.MICRO_LOAN, None))
    assert not may_cite(article, day, None)
    assert may_cite(cards, day, case_of(Product.CREDIT_CARD, None))
    assert not may_cite(cards, day, None)


@pytest.mark.parametrize("wrong", ["{product: car}", "{lender: bank}", "{}", "bank"])
def test_a_binding_that_names_nothing_known_is_refused(wrong: str) -> None:
    table = ARTICLES.replace("source: test}", f"source: test, binds: [{wrong}]}}")

    with pytest.raises(PackError) as caught:
        parse({"pack.yaml": HEAD, "articles.yaml": table, "thr.yaml": RULES})

    assert any(problem.file == "articles.yaml" for problem in caught.value.problems)

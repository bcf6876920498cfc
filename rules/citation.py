"""Which articles a finding may cite: in force on the day, and binding this lender and product."""

from datetime import date

from rules.events import Case
from rules.rule import Article, Binding

UNKNOWN = "unknown"


def may_cite(article: Article, day: date, case: Case | None) -> bool:
    """Whether the article is in force on that day and binds the lender and product of the case.

    An article without `binds` binds everybody. One that names products or kinds of lenders binds
    no case that says nothing of them, unless it names `unknown` too.
    """
    if not (article.effective_from or date.min) <= day <= (article.effective_to or date.max):
        return False
    if not article.binds:
        return True
    product = case.product.value if case else UNKNOWN
    lender = case.lender_type.value if case and case.lender_type else UNKNOWN
    return any(_fits(binding, product, lender) for binding in article.binds)


def _fits(binding: Binding, product: str, lender: str) -> bool:
    return (binding.product is None or binding.product == product) and (
        binding.lender_type is None or binding.lender_type == lender
    )

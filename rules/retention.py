"""How long a contact's recording must be kept: the longest floor that applies to it."""

import calendar
from datetime import MAXYEAR, datetime

from rules.events import LenderType, Product

CARD_YEARS = 2
CONSUMER_FINANCE_YEARS = 5
CONVENTION_YEARS = 5


def floor_years(
    product: Product | None,
    lender_type: LenderType | None,
    *,
    card: int = CARD_YEARS,
    consumer_finance: int = CONSUMER_FINANCE_YEARS,
    other: int = CONVENTION_YEARS,
) -> int:
    """Years that a recording must be kept at least.

    A bank's credit card has the two years of the credit card measures; a consumer finance company
    and the convention's members have five, and so has whatever is not known.
    """
    if lender_type is LenderType.CONSUMER_FINANCE:
        return consumer_finance
    if product is Product.CREDIT_CARD and lender_type in {None, LenderType.BANK}:
        return card
    return other


def add_years(moment: datetime, years: int) -> datetime:
    """The same time some years later; a missing 29 February becomes 1 March, never earlier."""
    year = min(moment.year + years, MAXYEAR)
    if moment.day > calendar.monthrange(year, moment.month)[1]:
        return moment.replace(year=year, month=moment.month + 1, day=1)
    return moment.replace(year=year)

"""What the collector says of courts, credit files and sums, held against what the case knows."""

from collections.abc import Iterator
from decimal import Decimal

from rules.claims import amounts, claimed_totals
from rules.conditions.words import collector_spans, part_of
from rules.context import ContactContext, FactHit
from rules.events import Case, PartyRole
from rules.model import Disposition

_STAGES = {"none": 0, "filed": 1, "judgment": 2}
_CLAIMS = {"filed": 1, "seizure": 2, "judgment": 2, "criminal": 3}


def proceedings_denied(context: ContactContext) -> Iterator[FactHit]:
    """The case knows of no such court step: `with: {claim: filed | seizure | judgment | criminal}`.

    A case that says nothing of courts gives a hit for review only.
    """
    claim = str(context.arguments.get("claim", "filed"))
    known = _lawsuit(context.case)
    if known is None:
        yield FactHit(facts={"lawsuit": "unknown"}, disposition=Disposition.REVIEW)
    elif _STAGES[known] < _CLAIMS[claim]:
        doubtful = claim in {"seizure", "criminal"} and known != "none"
        yield FactHit(
            facts={"lawsuit": known}, disposition=Disposition.REVIEW if doubtful else None
        )


def _lawsuit(case: Case | None) -> str | None:
    if case is None or case.proceedings is None:
        return None
    return case.proceedings.lawsuit


def credit_report_denied(context: ContactContext) -> Iterator[FactHit]:
    """Nothing was reported to credit files; where the case says nothing of it, for review."""
    case = context.case
    reported = case.proceedings.credit_reported if case and case.proceedings else None
    if reported is None:
        yield FactHit(facts={"credit_reported": "unknown"}, disposition=Disposition.REVIEW)
    elif not reported:
        yield FactHit(facts={"credit_reported": False})


def claimed_sum_over_balance(context: ContactContext) -> Iterator[FactHit]:
    """The collector states a whole debt above the balance of the case.

    Parameters (shares of the balance): above `tolerance` a person looks, above `excess` it stands.
    """
    balance = context.case.balance if context.case else None
    if balance is None or balance == 0:
        return
    tolerance = Decimal(str(context.parameters["tolerance"]))
    excess = Decimal(str(context.parameters["excess"]))
    heard = context.contact.audio.state == "transcribed"
    if heard and _says(context, balance):
        return  # a speech engine garbles sums; the right one was said
    for span in collector_spans(context.contact):
        for amount in claimed_totals(span.heard):
            over = amount.low / balance - 1
            if over <= tolerance:
                continue
            yield FactHit(
                facts={"claimed": _plain(amount.low), "balance": _plain(balance)},
                disposition=Disposition.REVIEW if heard or over <= excess else None,
                at=part_of(span, amount.start, amount.end),
            )
            return


_SAME = Decimal("0.01")


def _says(context: ContactContext, sum_owed: Decimal) -> bool:
    """Whether the collector names this sum, give or take one in a hundred."""
    return any(
        abs(amount.low / sum_owed - 1) <= _SAME
        for span in collector_spans(context.contact)
        for amount in amounts(span.heard)
    )


def debt_sum_told(context: ContactContext) -> Iterator[FactHit]:
    """A sum of money is named to somebody who is not the debtor and has not offered to pay."""
    if not any(reached_somebody_else(context)):
        return
    offers = context.said("spoken.offers_to_pay")
    for span in collector_spans(context.contact):
        if any(offer.segment < span.segment for offer in offers):
            return
        for amount in amounts(span.heard):
            yield FactHit(
                facts={},
                disposition=Disposition.REVIEW,
                at=part_of(span, amount.start, amount.end),
            )
            return


def reached_somebody_else(context: ContactContext) -> Iterator[FactHit]:
    """The contact reached a contact person or a third party."""
    role = context.contact.interaction.party.role
    if role in {PartyRole.AGREED_CONTACT, PartyRole.THIRD_PARTY}:
        yield FactHit(facts={"reached": role.value})


def _plain(value: Decimal) -> str:
    return f"{value:.2f}"

"""Conditions on who collects: private lines, employers, agencies the debtor was not told of."""

from collections.abc import Iterator

from rules.conditions.entry import entry_of
from rules.context import ContactContext, FactHit
from rules.events import ContactOutcome
from rules.model import Disposition
from rules.timeline import masked

_ARRIVED = frozenset({ContactOutcome.ANSWERED, ContactOutcome.DELIVERED})


def private_line(context: ContactContext) -> Iterator[FactHit]:
    """The contact was made from a private number or account."""
    interaction = context.contact.interaction
    if interaction.direction == "outbound" and interaction.caller_number_type == "private":
        yield FactHit(facts={"caller": masked(interaction.caller_number)})


def collector_is_none_of(context: ContactContext) -> Iterator[FactHit]:
    """The collector's employer, as reported, has none of the `words` in its name."""
    org = context.contact.interaction.collector.org
    if org is None or not any(word in org for word in context.arguments["words"]):
        # An employer that is not named contradicts nothing: a person must look.
        yield FactHit(facts={"org": org or "–"}, disposition=None if org else Disposition.REVIEW)


def agency_not_disclosed(context: ContactContext) -> Iterator[FactHit]:
    """The case says that the debtor was not told which agency collects."""
    entry = entry_of(context)
    if not entry.outbound or entry.interaction.outcome not in _ARRIVED:
        return
    if entry.case is not None and entry.case.agency_disclosed is False:
        yield FactHit(facts={"agency_disclosed": False})

"""Conditions on who collects: private lines, and agencies the debtor was not told of."""

from collections.abc import Iterator

from rules.conditions.entry import entry_of
from rules.context import ContactContext, FactHit
from rules.events import ContactOutcome
from rules.timeline import masked

_ARRIVED = frozenset({ContactOutcome.ANSWERED, ContactOutcome.DELIVERED})


def private_line(context: ContactContext) -> Iterator[FactHit]:
    """The contact was made from a private number or account."""
    interaction = context.contact.interaction
    if interaction.direction == "outbound" and interaction.caller_number_type == "private":
        yield FactHit(facts={"caller": masked(interaction.caller_number)})


def agency_not_disclosed(context: ContactContext) -> Iterator[FactHit]:
    """The case says that the debtor was not told which agency collects."""
    entry = entry_of(context)
    if not entry.outbound or entry.interaction.outcome not in _ARRIVED:
        return
    if entry.case is not None and entry.case.agency_disclosed is False:
        yield FactHit(facts={"agency_disclosed": False})

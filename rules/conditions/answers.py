"""How the collector answers what the other side asks for: a complaint, terms, a person."""

from collections.abc import Iterator

from rules.conditions.words import doubt, heard_well
from rules.context import ContactContext, FactHit, Span


def _after(spans: tuple[Span, ...], first: Span) -> bool:
    return any(span.segment > first.segment for span in spans)


def complaint_not_taken_up(context: ContactContext) -> Iterator[FactHit]:
    """A complaint on conduct (cue `conduct_complaint`) is followed by no word that takes it up.

    A complaint on the price of the product is none on conduct.
    """
    complaints = context.said("conduct_complaint")
    if not complaints or not _speaks_of_conduct(context):
        return
    first = complaints[0]
    if context.goes_on(first.segment) and not _after(context.said("complaint_taken_up"), first):
        yield FactHit(facts={"at_segment": first.segment})


def _speaks_of_conduct(context: ContactContext) -> bool:
    return bool(context.said("misconduct_told"))


def refused_repeatedly(context: ContactContext) -> Iterator[FactHit]:
    """Asked for terms, the collector refuses at least `times` times."""
    asked = context.said("asks_for_terms")
    if not asked:
        return
    refusals = [span for span in context.said("refuses_terms") if span.segment > asked[0].segment]
    times = int(context.parameters["times"])
    if len(refusals) >= times:
        yield FactHit(facts={"refusals": len(refusals)}, at=refusals[times - 1])


def robot_not_named(context: ContactContext) -> Iterator[FactHit]:
    """A robot nowhere says that it is one."""
    if heard_well(context, None) and not context.said("robot_says_so"):
        yield FactHit(disposition=doubt(context))

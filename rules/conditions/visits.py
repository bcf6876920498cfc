"""Conditions on visits, as the visit log states them."""

from collections.abc import Iterator

from rules.conditions.entry import clock, entry_of
from rules.conditions.hours import consented, exposed, local_facts, stay_of
from rules.context import ContactContext, FactHit
from rules.events import Visit
from rules.model import Disposition


def _visit(context: ContactContext) -> Visit | None:
    interaction = context.contact.interaction
    return interaction.visit if interaction.direction == "outbound" else None


def too_few_collectors(context: ContactContext) -> Iterator[FactHit]:
    """Fewer collectors came than `collectors`."""
    visit = _visit(context)
    if visit is not None and visit.collectors < context.parameters["collectors"]:
        yield FactHit(facts={"came": visit.collectors})


def without_appointment(context: ContactContext) -> Iterator[FactHit]:
    """The visit was not agreed before."""
    visit = _visit(context)
    if visit is not None and not visit.appointment:
        yield FactHit(facts={"place": visit.place})


def id_not_shown(context: ContactContext) -> Iterator[FactHit]:
    """The collectors did not show who they are."""
    visit = _visit(context)
    if visit is not None and not visit.id_shown:
        yield FactHit(facts={"place": visit.place})


def stay_not_recorded(context: ContactContext) -> Iterator[FactHit]:
    """The stay was not recorded, or not the whole of it."""
    visit = _visit(context)
    if visit is None:
        return
    interaction, audio = context.contact.interaction, context.contact.audio
    end = visit.left_at or interaction.ended_at
    stay = max(0.0, (end - interaction.started_at).total_seconds()) if end else None
    recorded = audio.decoded_seconds
    if recorded is None and interaction.recording is not None:
        recorded = interaction.recording.duration_seconds
    if not visit.av_recording:
        recorded = 0.0
    elif recorded is None or stay is None or recorded >= stay - context.parameters["seconds"]:
        return
    facts = {"recorded_seconds": round(recorded), "stay_seconds": round(stay or 0)}
    yield FactHit(facts=facts)


def entered_without_consent(context: ContactContext) -> Iterator[FactHit]:
    """Entered one of `with: {places: […]}` without consent; an `other` place is to be confirmed."""
    visit = _visit(context)
    if visit is None or not visit.entered or visit.entry_consent:
        return
    if visit.place in context.arguments.get("places", ()):
        sure = visit.place != "other"
        yield FactHit(
            facts={"place": visit.place, "stayed_minutes": 0},
            disposition=None if sure else Disposition.REVIEW,
        )


def stayed_after_being_asked_to_leave(context: ContactContext) -> Iterator[FactHit]:
    """Stayed more than `minutes` after being asked to leave."""
    visit = _visit(context)
    if visit is None or visit.asked_to_leave_at is None:
        return
    left = visit.left_at or context.contact.interaction.ended_at
    if left is None:
        return
    seconds = (left - visit.asked_to_leave_at).total_seconds()
    if seconds > context.parameters["minutes"] * 60:
        yield FactHit(facts={"place": visit.place, "stayed_minutes": round(seconds / 60, 1)})


def visit_in_forbidden_hours(context: ContactContext) -> Iterator[FactHit]:
    """Some part of the visit lay in the forbidden hours."""
    if _visit(context) is None:
        return
    entry = entry_of(context)
    window = (clock(context.parameters["quiet_from"]), clock(context.parameters["quiet_to"]))
    start, end = stay_of(entry)
    if exposed(start, end, window, consented(entry)):
        yield FactHit(facts=local_facts(entry, start, end))

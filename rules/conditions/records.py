"""Conditions on recordings: present, whole, and kept long enough."""

from collections.abc import Iterator

from rules.conditions.entry import entry_of
from rules.context import ContactContext, FactHit
from rules.events import Channel, ContactOutcome
from rules.retention import add_years, floor_years
from rules.timeline import talk_seconds


def recording_missing(context: ContactContext) -> Iterator[FactHit]:
    """An answered call has no recording."""
    interaction = context.contact.interaction
    if interaction.channel is not Channel.CALL or interaction.recording is not None:
        return
    if interaction.outcome is ContactOutcome.ANSWERED and interaction.talk_seconds != 0:
        seconds = talk_seconds(context.contact)
        yield FactHit(facts={"talk_seconds": seconds if seconds is not None else "unknown"})


def recording_length_differs(context: ContactContext) -> Iterator[FactHit]:
    """The recording of an answered call is shorter or longer than the talk."""
    interaction = context.contact.interaction
    recording, talk = interaction.recording, interaction.talk_seconds
    if interaction.channel is not Channel.CALL or recording is None or talk is None:
        return
    if interaction.outcome is not ContactOutcome.ANSWERED:
        return
    lengths = (recording.duration_seconds, context.contact.audio.decoded_seconds)
    for length in lengths:
        if length is not None and abs(length - talk) > context.parameters["seconds"]:
            yield FactHit(
                facts={
                    "talk_seconds": talk,
                    "recorded_seconds": round(length, 1),
                    "difference": round(abs(length - talk), 1),
                }
            )
            return


def kept_too_short(context: ContactContext) -> Iterator[FactHit]:
    """The recording may be deleted before the floor of its product and lender has passed."""
    until = context.contact.audio.retain_until
    if until is None or context.contact.interaction.recording is None:
        return
    case = entry_of(context).case
    years = floor_years(
        case.product if case else None,
        case.lender_type if case else None,
        card=context.parameters["card_years"],
        consumer_finance=context.parameters["consumer_finance_years"],
        other=context.parameters["other_years"],
    )
    needed = add_years(context.contact.interaction.started_at, years)
    if until < needed:
        yield FactHit(
            facts={
                "retain_until": until.date().isoformat(),
                "needed_until": needed.date().isoformat(),
                "years": years,
            }
        )

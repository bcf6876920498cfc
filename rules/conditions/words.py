"""What the collector said or wrote in a contact, stretch by stretch."""

from collections.abc import Iterator
from dataclasses import replace

from rules.context import ContactContext, Span
from rules.events import Speaker
from rules.model import Contact, Disposition


def spans_of(context: ContactContext) -> tuple[Span, ...]:
    """The collector's words in the contact under check, worked out once."""
    key = f"spans:{context.index}"
    if key not in context.memory:
        context.memory[key] = tuple(collector_spans(context.contact))
    found: tuple[Span, ...] = context.memory[key]
    return found


def collector_spans(contact: Contact) -> Iterator[Span]:
    """Each stretch of the collector's words: segments of speech, or the body of a message."""
    interaction = contact.interaction
    if interaction.transcript is None:
        if interaction.text is not None and interaction.direction == "outbound":
            yield _whole(0, interaction.text)
        return
    turn, last = -1, None
    for index, segment in enumerate(interaction.transcript):
        if segment.speaker is not last:
            turn, last = turn + 1, segment.speaker
        if segment.speaker is Speaker.COLLECTOR:
            yield Span(
                segment=index,
                char_start=0,
                char_end=len(segment.text),
                heard=segment.text,
                quote=segment.text,
                speaker=Speaker.COLLECTOR,
                turn=turn,
                start=segment.start,
                end=segment.end,
                trusted=segment.trusted,
                biased=segment.biased,
            )


def _whole(segment: int, text: str) -> Span:
    return Span(
        segment=segment,
        char_start=0,
        char_end=len(text),
        heard=text,
        quote=text,
        speaker=Speaker.COLLECTOR,
        turn=0,
    )


def part_of(span: Span, start: int, end: int) -> Span:
    """The stretch of characters `start`..`end` of a whole span."""
    text = span.heard[start:end]
    return replace(span, char_start=start, char_end=end, heard=text, quote=text)


def opening(context: ContactContext, turns: int | None) -> str:
    """The collector's words of the first turns (all where None), one clause after the other."""
    return "，".join(span.heard for span in _first(context, turns))


def heard_well(context: ContactContext, turns: int | None) -> bool:
    """Whether there are words in these turns, and all of them are to be relied on."""
    spans = list(_first(context, turns))
    return bool(spans) and all(span.trusted for span in spans)


def doubt(context: ContactContext) -> Disposition | None:
    """For what was not heard: words lost by a speech engine may have been said, a person looks."""
    lost = context.contact.audio.state == "transcribed" or context.garbled()
    return Disposition.REVIEW if lost else None


def _first(context: ContactContext, turns: int | None) -> Iterator[Span]:
    seen: set[int] = set()
    for span in spans_of(context):
        seen.add(span.turn)
        if turns is not None and len(seen) > turns:
            return
        yield span

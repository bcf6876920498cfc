"""What the collector said or wrote in a contact, stretch by stretch."""

from collections.abc import Iterator
from dataclasses import replace

from rules.context import ContactContext, Span
from rules.events import Speaker
from rules.model import Contact, Disposition


def spans_of(context: ContactContext, turns: int | None = None) -> tuple[Span, ...]:
    """The collector's words in the contact under check, or in its first turns; worked out once.

    Each span is a segment of speech, or the body of a message.
    """
    key = f"spans:{context.index}:{turns}"
    if key not in context.memory:
        if turns is None:
            context.memory[key] = tuple(_spans(context.contact))
        else:
            context.memory[key] = _first(spans_of(context), turns)
    found: tuple[Span, ...] = context.memory[key]
    return found


def _spans(contact: Contact) -> Iterator[Span]:
    interaction = contact.interaction
    if interaction.transcript is None:
        if interaction.text is not None and interaction.direction == "outbound":
            yield _whole(0, interaction.text)
        return
    turn, last = -1, None
    for index, segment in enumerate(interaction.transcript):
        if segment.speaker is not last:
            turn, last = turn + 1, segment.speaker
        if last is Speaker.COLLECTOR:
            text = segment.text
            yield Span(
                index,
                0,
                len(text),
                text,
                text,
                Speaker.COLLECTOR,
                turn,
                segment.start,
                segment.end,
                trusted=segment.trusted,
                biased=segment.biased,
            )


def _first(spans: tuple[Span, ...], turns: int) -> tuple[Span, ...]:
    """The spans of the first turns."""
    seen: set[int] = set()
    for n, span in enumerate(spans):
        seen.add(span.turn)
        if len(seen) > turns:
            return spans[:n]
    return spans


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
    key = f"opening:{context.index}:{turns}"
    if key not in context.memory:
        context.memory[key] = "，".join([span.heard for span in spans_of(context, turns)])
    found: str = context.memory[key]
    return found


def heard_well(context: ContactContext, turns: int | None) -> bool:
    """Whether there are words in these turns, and all of them are to be relied on."""
    spans = spans_of(context, turns)
    return bool(spans) and all(span.trusted for span in spans)


def doubt(context: ContactContext) -> Disposition | None:
    """For what was not heard: words lost by a speech engine may have been said, a person looks."""
    lost = context.contact.audio.state == "transcribed" or context.garbled()
    return Disposition.REVIEW if lost else None

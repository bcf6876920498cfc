"""What the collector said or wrote in a contact, stretch by stretch."""

from collections.abc import Iterator
from dataclasses import replace

from rules.context import ContactContext, Span
from rules.events import Segment, Speaker
from rules.model import Contact, Disposition

Part = tuple[int, int, str, Segment | None]
"""A stretch of the collector's words: segment, turn, text; None for the body of a message."""


def span_of(part: Part) -> Span:
    """All of a stretch."""
    index, turn, text, spoken = part
    found = Span(index, 0, len(text), text, text, Speaker.COLLECTOR, turn)
    if spoken is not None:
        found.start, found.end = spoken.start, spoken.end
        found.trusted, found.biased = spoken.trusted, spoken.biased
    return found


def parts_of(context: ContactContext) -> list[Part]:
    """The collector's words in the contact under check, in order; worked out once."""
    key = f"parts:{context.index}"
    if key not in context.memory:
        context.memory[key] = _parts(context.contact)
    found: list[Part] = context.memory[key]
    return found


def spans_of(context: ContactContext) -> Iterator[Span]:
    """The same as spans."""
    return map(span_of, parts_of(context))


def _parts(contact: Contact) -> list[Part]:
    interaction = contact.interaction
    if interaction.transcript is None:
        written = interaction.text is not None and interaction.direction == "outbound"
        return [(0, 0, interaction.text or "", None)] if written else []
    found: list[Part] = []
    turn, last = -1, None
    for index, segment in enumerate(interaction.transcript):
        speaker = segment.speaker
        if speaker is not last:
            turn, last = turn + 1, speaker
        if speaker is Speaker.COLLECTOR:
            found.append((index, turn, segment.text, segment))
    return found


def _first(parts: list[Part], turns: int | None) -> list[Part]:
    """The words of the first turns, or all of them."""
    seen: set[int] = set()
    for n, part in enumerate(parts if turns is not None else ()):
        seen.add(part[1])
        if len(seen) > (turns or 0):
            return parts[:n]
    return parts


def part_of(span: Span, start: int, end: int) -> Span:
    """The stretch of characters `start`..`end` of a whole span."""
    text = span.heard[start:end]
    return replace(span, char_start=start, char_end=end, heard=text, quote=text)


def opening(context: ContactContext, turns: int | None) -> str:
    """The collector's words of the first turns (all where None), one clause after the other."""
    key = f"opening:{context.index}:{turns}"
    if key not in context.memory:
        context.memory[key] = "，".join([part[2] for part in _first(parts_of(context), turns)])
    found: str = context.memory[key]
    return found


def heard_well(context: ContactContext, turns: int | None) -> bool:
    """Whether there are words in these turns, and all of them are to be relied on."""
    parts = _first(parts_of(context), turns)
    for _, _, _, spoken in parts:
        if spoken is not None and not spoken.trusted:
            return False
    return bool(parts)


def doubt(context: ContactContext) -> Disposition | None:
    """For what was not heard: words lost by a speech engine may have been said, a person looks."""
    lost = context.contact.audio.state == "transcribed" or context.garbled()
    return Disposition.REVIEW if lost else None

"""Conditions on who may be contacted: contact persons, strangers, people who asked for an end."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from rules.conditions.entry import cue_named, entry_of, timeline_of
from rules.context import ContactContext, FactHit
from rules.events import Channel, ContactOutcome
from rules.model import Disposition
from rules.timeline import Entry, Reach, masked

_WRITTEN = frozenset({Channel.SMS, Channel.IM, Channel.EMAIL})
_THIRD = frozenset({Reach.AGREED_CONTACT, Reach.STRANGER, Reach.UNLISTED})

Asker = Literal["debtor", "other"]


def contact_not_lost(context: ContactContext) -> Iterator[FactHit]:
    """A contact person or stranger was contacted though contact with the debtor was not lost."""
    entry = entry_of(context)
    if not entry.outbound or entry.reach not in _THIRD:
        return
    needed = context.parameters
    loss = timeline_of(context).loss(context.index, needed["failures"], needed["days"])
    if loss.reason is None:
        yield FactHit(
            facts={
                "failed_calls": loss.failures,
                "failed_before_today": loss.failures_before_today,
                "failed_days": loss.days,
                "called": masked(entry.phone),
            },
            disposition=Disposition.REVIEW if entry.reach is Reach.UNLISTED else None,
        )


def number_not_listed(context: ContactContext) -> Iterator[FactHit]:
    """The number is neither the debtor's, nor a guarantor's, nor an agreed contact's."""
    entry = entry_of(context)
    if not entry.outbound or entry.phone is None:
        return
    if entry.case is None:
        if entry.reach is not Reach.DEBTOR:
            yield FactHit(unknown="case_unknown")
    elif entry.reach is Reach.STRANGER:
        yield FactHit(facts={"called": masked(entry.phone)})
    elif entry.reach is Reach.UNLISTED:
        # Nobody knows who holds it: it may be a new number of the debtor's.
        yield FactHit(facts={"called": masked(entry.phone)}, disposition=Disposition.REVIEW)


def many_strangers(context: ContactContext) -> Iterator[FactHit]:
    """Many numbers of people who owe nothing were contacted within hours."""
    given = context.parameters
    if context.index + 1 < given["numbers"]:
        return
    count = timeline_of(context).strangers(context.index, given["hours"])
    if count >= given["numbers"]:
        yield FactHit(facts={"count": count, "called": masked(entry_of(context).phone)})


@dataclass(slots=True)
class _Bound:
    """Since when a number is bound, by an event, or by words heard in a contact."""

    at: datetime | None = None
    heard: int | None = None
    trusted: bool = True
    own_line: bool = False


@dataclass(slots=True)
class _Bounds:
    """All numbers that are bound, and the confirmations that are free."""

    numbers: dict[tuple[str, Asker], _Bound] = field(default_factory=dict)
    free: set[int] = field(default_factory=set)


def contacted_after_stop(context: ContactContext) -> Iterator[FactHit]:
    """Contacted a number after its holder asked for an end; `with: {by: debtor | other}`."""
    entry = entry_of(context)
    if not entry.outbound or entry.phone is None or not _may_be_bound(context):
        return
    bounds = _stops(context)
    asker: Asker = "debtor" if context.arguments.get("by") == "debtor" else "other"
    bound = bounds.numbers.get((entry.phone, asker))
    if bound is None or entry.index in bounds.free:
        return
    if bound.at is not None and entry.interaction.started_at > bound.at:
        facts = {"asked_at": bound.at.isoformat(), "called": masked(entry.phone), "heard": False}
        yield FactHit(facts=facts)
    elif _binds_by_words(bound, entry):
        yield _heard_hit(context, entry, bound, sure=bound.trusted and asker == "other")


def contacted_after_wrong_number(context: ContactContext) -> Iterator[FactHit]:
    """Contacted a number again after its holder had said that it is the wrong one."""
    entry = entry_of(context)
    if not entry.outbound or entry.phone is None or not context.index:
        return
    bounds = _wrong_numbers(context)
    bound = bounds.numbers.get((entry.phone, "other"))
    if bound is None or entry.index in bounds.free or not _binds_by_words(bound, entry):
        return
    yield _heard_hit(context, entry, bound, sure=bound.trusted)


def _may_be_bound(context: ContactContext) -> bool:
    """Whether anybody can have asked for an end before this contact."""
    return context.index > 0 or bool(context.history.stops)


def _binds_by_words(bound: _Bound, entry: Entry) -> bool:
    if bound.heard is None or bound.heard >= entry.index:
        return False
    # Words of somebody else on the debtor's line do not bind a call that reached the debtor.
    reached = entry.interaction.outcome is ContactOutcome.ANSWERED or entry.interaction.text
    return not (bound.own_line and entry.reach is Reach.DEBTOR and reached)


def _heard_hit(context: ContactContext, entry: Entry, bound: _Bound, *, sure: bool) -> FactHit:
    earlier = timeline_of(context).entries[bound.heard or 0].interaction
    facts = {
        "asked_at": earlier.started_at.isoformat(),
        "asked_in": earlier.interaction_id,
        "called": masked(entry.phone),
        "heard": True,
    }
    return FactHit(facts=facts, disposition=None if sure else Disposition.REVIEW)


def _stops(context: ContactContext) -> _Bounds:
    key = f"stops:{context.arguments.get('cue')}:{context.arguments.get('confirmation')}"
    if key not in context.memory:
        bounds = _Bounds()
        for stop in context.history.stops:
            asker: Asker = "debtor" if stop.by == "debtor" else "other"
            bound = bounds.numbers.setdefault((stop.phone, asker), _Bound())
            bound.at = stop.at if bound.at is None else min(bound.at, stop.at)
        _listen(context, bounds, debtor=True)
        _confirmations(context, bounds)
        context.memory[key] = bounds
    found: _Bounds = context.memory[key]
    return found


def _wrong_numbers(context: ContactContext) -> _Bounds:
    key = f"wrong:{context.arguments.get('cue')}:{context.arguments.get('confirmation')}"
    if key not in context.memory:
        bounds = _Bounds()
        _listen(context, bounds, debtor=False)
        _confirmations(context, bounds)
        context.memory[key] = bounds
    found: _Bounds = context.memory[key]
    return found


def _listen(context: ContactContext, bounds: _Bounds, *, debtor: bool) -> None:
    """Note the first contact with each number in which the cue is heard from the party."""
    cue = context.arguments.get("cue")
    entries = timeline_of(context).entries
    # What is heard in the last contact with a number binds nobody yet.
    last = {entry.phone: entry.index for entry in entries}
    for entry in entries if cue else ():
        if (
            entry.phone is None
            or entry.reach is Reach.GUARANTOR
            or last[entry.phone] == entry.index
        ):
            continue
        spans = context.said(str(cue), entry.contact)
        if not spans:
            continue
        by_debtor = debtor and entry.reach is Reach.DEBTOR
        if by_debtor and not _has_another_number(entry):
            continue
        bound = bounds.numbers.setdefault(
            (entry.phone, "debtor" if by_debtor else "other"), _Bound()
        )
        if bound.heard is None:
            bound.heard = entry.index
            bound.trusted = any(span.trusted for span in spans) and (
                by_debtor or entry.reach is not Reach.DEBTOR
            )
            bound.own_line = not by_debtor and entry.reach in {Reach.OWN_NUMBER, Reach.DEBTOR}


def _has_another_number(entry: Entry) -> bool:
    """A debtor may choose among numbers; a wish to be left alone on the only one binds nobody."""
    return entry.case is not None and any(
        phone != entry.phone for phone in entry.case.debtor.phones
    )


def _confirmations(context: ContactContext, bounds: _Bounds) -> None:
    """One written confirmation to each bound number is free."""
    confirmed: set[str] = set()
    bound_numbers = {phone for phone, _ in bounds.numbers}
    for entry in timeline_of(context).entries:
        if entry.phone not in bound_numbers or entry.phone in confirmed or not entry.outbound:
            continue
        if entry.interaction.channel not in _WRITTEN or not _is_bound(bounds, entry):
            continue
        confirms = cue_named(context, "confirmation", entry.contact)
        if confirms and not cue_named(context, "demand", entry.contact):
            confirmed.add(entry.phone or "")
            bounds.free.add(entry.index)


def _is_bound(bounds: _Bounds, entry: Entry) -> bool:
    askers: tuple[Asker, Asker] = ("debtor", "other")
    for asker in askers:
        bound = bounds.numbers.get((entry.phone or "", asker))
        if bound is None:
            continue
        if bound.at is not None and entry.interaction.started_at > bound.at:
            return True
        if bound.heard is not None and bound.heard < entry.index:
            return True
    return False

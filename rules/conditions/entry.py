"""What all fact conditions share: the timeline of the history, kept for one evaluation."""

from datetime import time
from functools import lru_cache
from zoneinfo import ZoneInfo

from rules.context import ContactContext
from rules.events import Channel
from rules.model import Contact
from rules.timeline import SHANGHAI, Entry, Timeline

_WRITTEN = frozenset({Channel.SMS, Channel.IM, Channel.EMAIL})


def timeline_of(context: ContactContext) -> Timeline:
    """The timeline of the context's history, worked out once."""
    found = context.memory.get("timeline")
    if not isinstance(found, Timeline):
        found = context.memory["timeline"] = Timeline(context.history)
    return found


def entry_of(context: ContactContext) -> Entry:
    """The contact under check, as the timeline sees it."""
    return timeline_of(context).entries[context.index]


def zone_of(entry: Entry) -> ZoneInfo:
    """The debtor's time zone; Asia/Shanghai where no case is known."""
    return ZoneInfo(entry.case.debtor.timezone) if entry.case else SHANGHAI


@lru_cache(maxsize=256)
def clock(value: str | time) -> time:
    """A parameter such as 22:00 as a time of day."""
    return value if isinstance(value, time) else time.fromisoformat(value)


def cue_named(context: ContactContext, key: str, contact: Contact | None = None) -> bool:
    """Whether the cue that the rule's `with` names under `key` is heard in the contact."""
    cue = context.arguments.get(key)
    return cue is not None and bool(context.said(str(cue), contact))


def free_messages(context: ContactContext) -> frozenset[int]:
    """Messages that do not collect (one-time codes, receipts).

    The rule's `with` names the cue of such messages (`exempt`) and the cue of what makes a message
    collect all the same (`demand`).
    """
    cue = context.arguments.get("exempt")
    if cue is None:
        return frozenset()
    key = f"exempt:{cue}:{context.arguments.get('demand')}"
    if key not in context.memory:
        context.memory[key] = frozenset(
            entry.index
            for entry in timeline_of(context).entries
            if entry.interaction.channel in _WRITTEN
            and context.said(str(cue), entry.contact)
            and not cue_named(context, "demand", entry.contact)
        )
    found: frozenset[int] = context.memory[key]
    return found

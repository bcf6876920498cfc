"""Conditions on the hour and the day of a contact, on the debtor's own clock."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any

from holidays.countries.china import China

from rules.conditions.entry import clock, entry_of, free_messages, zone_of
from rules.context import ContactContext, FactHit
from rules.events import Channel, Consent, ContactOutcome
from rules.model import Disposition, Severity
from rules.timeline import Entry, Reach, in_zone

Window = tuple[time, time]

# A slot that the debtor agreed to is the debtor's alone; it opens nobody else's evening.
_MAY_CONSENT = frozenset({Reach.DEBTOR, Reach.OWN_NUMBER, Reach.UNKNOWN})
_SATURDAY = 5
# The hours that the law itself closes: there TIM-01 speaks, not the lender's own rule.
_NIGHT: Window = (time(22), time(8))

# The library does not type its calendars.
_CHINA: Any = China
# By year, what the State Council's yearly notice changed; without a notice a year is an estimate.
_NOTICES: dict[int, object] = _CHINA().special_public_holidays


def inside(moment: time, window: Window) -> bool:
    """Whether a time of day lies in a window: start inclusive, end exclusive, may wrap midnight."""
    start, end = window
    return start <= moment < end if start <= end else moment >= start or moment < end


def stay_of(entry: Entry) -> tuple[datetime, datetime]:
    """When a contact began and ended on the debtor's clock, as wall times without a zone."""
    interaction = entry.interaction
    visit = interaction.visit
    ends = [interaction.started_at]
    if interaction.ended_at is not None:
        ends.append(interaction.ended_at)
    if visit is not None and visit.left_at is not None:
        ends.append(visit.left_at)
    zone = zone_of(entry)
    start = in_zone(interaction.started_at, zone).replace(tzinfo=None)
    return start, start if len(ends) == 1 else in_zone(max(ends), zone).replace(tzinfo=None)


def exposed(start: datetime, end: datetime, window: Window, allowed: tuple[Window, ...]) -> bool:
    """Whether any instant of the stay lies in the window and in no allowed slot.

    Such stretches can only begin with the stay, with the window, or where a slot ends.
    """
    if start == end:
        now = start.time()
        return inside(now, window) and not any(inside(now, slot) for slot in allowed)
    edges = {window[0], *(slot[1] for slot in allowed)}
    first = start.toordinal()
    days = range(first, min(end.toordinal(), first + 2) + 1)
    points = [start]
    points += [datetime.combine(date.fromordinal(day), edge) for day in days for edge in edges]
    return any(
        (point == start or start < point < end)
        and inside(point.time(), window)
        and not any(inside(point.time(), slot) for slot in allowed)
        for point in points
    )


def consented(entry: Entry) -> tuple[Window, ...]:
    """The slots that the debtor agreed to, as far as they cover whom this contact is for."""
    if entry.case is None or entry.reach not in _MAY_CONSENT:
        return ()
    consents: tuple[Consent, ...] = entry.case.consents
    return tuple(
        (slot.start.replace(tzinfo=None), slot.end.replace(tzinfo=None)) for slot in consents
    )


def local_facts(entry: Entry, start: datetime, end: datetime) -> dict[str, str]:
    """When the contact was, on the debtor's clock, for people to read."""
    return {
        "started": f"{start:%H:%M:%S}",
        "ended": f"{end:%H:%M:%S}",
        "local_date": f"{start:%m-%d}",
        "timezone": zone_of(entry).key,
    }


def _is_judged(context: ContactContext, entry: Entry) -> bool:
    return (
        entry.outbound
        and entry.interaction.channel is not Channel.LETTER
        and entry.index not in free_messages(context)
    )


def _was_talk(entry: Entry) -> bool:
    interaction = entry.interaction
    answered = interaction.outcome is ContactOutcome.ANSWERED
    return interaction.channel is Channel.CALL and answered


def forbidden_hours(context: ContactContext) -> Iterator[FactHit]:
    """Contacted in the forbidden hours; a call that only runs into them is a low note."""
    entry = entry_of(context)
    if not _is_judged(context, entry):
        return
    window = (clock(context.parameters["quiet_from"]), clock(context.parameters["quiet_to"]))
    start, end = stay_of(entry)
    allowed = consented(entry)
    channel = entry.interaction.channel
    if exposed(start, end if channel is Channel.VISIT else start, window, allowed):
        yield FactHit(facts=local_facts(entry, start, end))
    elif end != start and _was_talk(entry) and exposed(start, end, window, allowed):
        yield FactHit(
            facts=local_facts(entry, start, end),
            disposition=Disposition.SIGNAL,
            severity=Severity.LOW,
        )


def stricter_hours(context: ContactContext) -> Iterator[FactHit]:
    """Contacted at a time that the law leaves free and the lender does not."""
    entry = entry_of(context)
    if not _is_judged(context, entry):
        return
    start, end = stay_of(entry)
    if inside(start.time(), _NIGHT) or any(inside(start.time(), s) for s in consented(entry)):
        return
    given = context.parameters
    if not inside(start.time(), (clock(given["open"]), clock(given["close"]))):
        yield FactHit(
            facts={**local_facts(entry, start, end), "reason": "hours", "reason_zh": "时段"}
        )
    elif given["weekends"] and start.weekday() >= _SATURDAY and not is_make_up_day(start.date()):
        yield FactHit(
            facts={**local_facts(entry, start, end), "reason": "weekend", "reason_zh": "周末"}
        )
    elif given["holidays"]:
        yield from _holiday(entry, start, end)


def _holiday(entry: Entry, start: datetime, end: datetime) -> Iterable[FactHit]:
    days_off = holiday_breaks(start.year)
    if days_off is None:
        return (FactHit(unknown="calendar_year_unknown"),)
    if start.date() not in days_off:
        return ()
    facts = {
        **local_facts(entry, start, end),
        "reason": "public holiday",
        "reason_zh": "法定节假日",
    }
    return (FactHit(facts=facts),)


def is_make_up_day(day: date) -> bool:
    """Whether a Saturday or Sunday is a working day by the yearly notice; False where unknown."""
    if day.year not in _NOTICES:
        return False
    return bool(_calendar(day.year).is_working_day(day))


@lru_cache(maxsize=64)
def holiday_breaks(year: int) -> frozenset[date] | None:
    """Days off around China's public holidays, bordering weekends included.

    None where the State Council's notice for the year is not in the calendar library: what the
    library computes without it is an estimate, and nothing is guessed.
    """
    known = _NOTICES
    if year not in known:
        return None
    calendar = _calendar(year)
    named = [day for day in calendar if day.year == year]
    if year + 1 in known:
        named.append(date(year + 1, 1, 1))
    found = set(named)
    for day in named:
        for step in (timedelta(days=-1), timedelta(days=1)):
            near = day + step
            while near.year in known and not _calendar(near.year).is_working_day(near):
                found.add(near)
                near += step
    return frozenset(day for day in found if day.year == year)


@lru_cache(maxsize=64)
def _calendar(year: int) -> Any:
    return _CHINA(years=year, expand=False)

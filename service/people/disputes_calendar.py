"""Working days in China: until when an agency may dispute, and until when a judgement is due."""

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from holidays.countries.china import China

ZONE = ZoneInfo("Asia/Shanghai")
# The library does not type its calendars.
_CHINA: Any = China


def end_of_working_days(moment: datetime, days: int) -> datetime:
    """The instant that ends the `days`-th working day after the natural day of `moment`.

    Days are those of Asia/Shanghai; the end is exclusive, 00:00:00 of the day after. Weekends that
    the State Council's notice makes working days count; for a year without a notice yet, the
    calendar library's estimate does.
    """
    day = moment.astimezone(ZONE).date()
    left = days
    while left:
        day += timedelta(days=1)
        left -= is_working_day(day)
    return datetime.combine(day + timedelta(days=1), time(), ZONE)


def is_working_day(day: date) -> bool:
    """Whether it is a working day in mainland China."""
    return bool(_calendar(day.year).is_working_day(day))


@lru_cache(maxsize=16)
def _calendar(year: int) -> Any:
    return _CHINA(years=year, expand=False)

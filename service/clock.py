"""The one place that reads the clock; inner functions are handed the moment as a value."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)

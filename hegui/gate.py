"""Decides whether contacts stay within limits: what `hegui gate` stands on."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hegui.errors import RefusedError
from rules.model import Outcome, Severity

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SPAN = re.compile(r"([0-9]{1,5})([mhdw])")
SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%")
UNPROVEN = (Outcome.INCONCLUSIVE, Outcome.ERROR)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that may be: violations by severity, and shares of contacts from 0 to 1.

    `rate` is failed contacts of those checked; `unproven` those without proof either way
    (inconclusive, error, still pending, listed and never come) of all: what is missing must not
    open the gate.
    """

    violations: Mapping[Severity, int] = field(default_factory=dict)
    rate: float | None = None
    unproven: float | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """One limit beside what was found; both as people read them."""

    name: str
    limit: str
    found: str
    is_kept: bool


@dataclass(frozen=True, slots=True)
class Gate:
    """A check of contacts, each limit with what was found, and the findings that count."""

    batch: Mapping[str, Any]
    measures: tuple[Measure, ...]
    findings: tuple[Mapping[str, Any], ...]

    @property
    def is_open(self) -> bool:
        """Whether every limit is kept."""
        return all(measure.is_kept for measure in self.measures)


def judge(
    batch: Mapping[str, Any], limits: Limits, findings: tuple[Mapping[str, Any], ...]
) -> Gate:
    """Hold a check of a batch, as the API gives it, against the limits."""
    return Gate(batch, tuple(_measures(batch, limits)), findings)


def expected(batch: Mapping[str, Any]) -> int:
    """Contacts that there should be: those that came, and those that were listed and did not."""
    return int(batch["interactions"] + batch.get("missing", 0))


def _measures(batch: Mapping[str, Any], limits: Limits) -> Iterator[Measure]:
    for severity in reversed(Severity):
        most = limits.violations.get(severity)
        if most is not None:
            found = batch["violations"][severity.value]
            yield Measure(f"{severity.value} violations", str(most), str(found), found <= most)
    outcomes, pending = batch["outcomes"], batch["pending"]
    if limits.rate is not None:
        checked = batch["interactions"] - pending
        yield _share("failed contacts", outcomes["fail"], checked, limits.rate)
    if limits.unproven is not None:
        unproven = pending + batch.get("missing", 0)
        unproven += sum(outcomes[outcome.value] for outcome in UNPROVEN)
        yield _share("contacts without proof", unproven, expected(batch), limits.unproven)


def _share(name: str, part: int, whole: int, limit: float) -> Measure:
    share = part / whole if whole else 0.0
    return Measure(name, _percent(limit), f"{_percent(share)} ({part} of {whole})", share <= limit)


def _percent(share: float) -> str:
    return f"{share * 100:.4f}".rstrip("0").rstrip(".") + "%"


def parse_share(text: str, option: str) -> float:
    """Read `0.5%` as 0.005; raises `RefusedError` naming the option."""
    found = SHARE.fullmatch(text.strip())
    share = float(found[1]) / 100 if found else None
    if share is None or share > 1:
        raise RefusedError(f"{option}: {text} is not a share; write it as 0.5%")
    return share


def parse_span(text: str, option: str) -> timedelta:
    """Read `24h`, `30m`, `7d` or `2w`; raises `RefusedError` naming the option."""
    found = SPAN.fullmatch(text.strip())
    if found is None:
        raise RefusedError(f"{option}: {text} is not a span of time; write it as 30m, 24h or 7d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def parse_since(text: str, option: str, *, now: datetime) -> datetime:
    """Read a span back from `now`, or a time with an offset; raises `RefusedError`."""
    if SPAN.fullmatch(text.strip()):
        return now - parse_span(text, option)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise RefusedError(
            f"{option}: {text} is neither a span (24h, 7d) nor a time with an offset, "
            "as 2026-06-03T00:00:00+08:00"
        )
    return moment

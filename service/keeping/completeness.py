"""Compares an agency's list of calls with what arrived: values in, faults out, nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from service.keeping.completeness_models import Fault

# Seconds by which recording and talk may differ: CONTRACT's choice, and REC-03's parameter.
TOLERANCE_S = 5.0
_SILENT = frozenset({"silent", "no_speech"})
RULES = {
    Fault.ABSENT: ("REC-01", "high"),
    Fault.UNLISTED: ("REC-01", "medium"),
    Fault.SILENT: ("REC-03", "high"),
    Fault.TRUNCATED: ("REC-03", "high"),
    Fault.WRONG_LENGTH: ("REC-03", "medium"),
    Fault.REUSED_AUDIO: ("REC-03", "high"),
    Fault.WRONG_PARTY: ("REC-03", "high"),
}
# What another sending can mend.
ASKED_FOR = frozenset(
    {Fault.ABSENT, Fault.SILENT, Fault.TRUNCATED, Fault.WRONG_LENGTH, Fault.REUSED_AUDIO}
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A call as the agency lists it."""

    call_id: str
    started_at: datetime
    answered: bool
    talk_seconds: float
    party: str | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """A call as we have it; `seconds` is how long its recording is, None while nobody knows."""

    call_id: str
    interaction_id: UUID
    started_at: datetime
    sha256: str | None = None
    is_here: bool = False
    is_notice: bool = False
    seconds: float | None = None
    flags: frozenset[str] = frozenset()
    party: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One fault of one call; `facts` hold numbers and ids, nothing that was said."""

    call_id: str
    kind: Fault
    interaction_id: UUID | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """The faults of a day, and the figure: `complete` of `expected` recordings are whole."""

    found: tuple[Found, ...]
    listed: int
    expected: int
    complete: int

    @property
    def share(self) -> float:
        """The figure, 0 to 1; a day without an answered call is complete."""
        return self.complete / self.expected if self.expected else 1.0


def reconcile(
    listed: Sequence[Listed],
    arrived: Iterable[Arrived],
    *,
    first_uses: Mapping[str, tuple[UUID, str | None]],
    tolerance_s: float = TOLERANCE_S,
) -> Result:
    """Compare; the same values give the same faults, in the order of the list, then of arrival.

    `first_uses` names, by hash, the interaction that used a recording first, on whatever day, and
    the agency's name for it where it is its own; a robot's one-way notices may share theirs.
    """
    by_id = {call.call_id: call for call in arrived}
    found: list[Found] = []
    bad: set[str] = set()
    expected = [row for row in listed if row.answered and row.talk_seconds > 0]
    wanted = {row.call_id for row in expected}
    for row in listed:
        call = by_id.get(row.call_id)
        own = _faults(row, call, row.call_id in wanted, first_uses, tolerance_s)
        found += own
        if own:
            bad.add(row.call_id)
    names = {row.call_id for row in listed}
    found += [
        Found(call.call_id, Fault.UNLISTED, call.interaction_id)
        for call in sorted(by_id.values(), key=lambda each: (each.started_at, each.call_id))
        if call.call_id not in names
    ]
    return Result(tuple(found), len(listed), len(expected), len(wanted - bad))


def _faults(
    row: Listed,
    call: Arrived | None,
    is_wanted: bool,  # noqa: FBT001  private
    first_uses: Mapping[str, tuple[UUID, str | None]],
    tolerance_s: float,
) -> list[Found]:
    if call is None or (is_wanted and (call.sha256 is None or not call.is_here)):
        if call is None:
            reason = "never_reported"
        else:
            reason = "no_recording" if call.sha256 is None else "never_received"
        is_fault = is_wanted or call is None
        where = call.interaction_id if call else None
        return [Found(row.call_id, Fault.ABSENT, where, {"reason": reason})] if is_fault else []
    found = []
    if None not in {row.party, call.party} and row.party != call.party:
        found.append(Found(row.call_id, Fault.WRONG_PARTY, call.interaction_id))
    if call.sha256 is None or not is_wanted:
        return found
    first, name = first_uses.get(call.sha256, (call.interaction_id, row.call_id))
    if first != call.interaction_id and not call.is_notice:
        facts = {"first_call_id": name or "another agency's", "sha256": call.sha256}
        found.append(Found(row.call_id, Fault.REUSED_AUDIO, call.interaction_id, facts))
    length = _length_fault(row, call, tolerance_s)
    return [*found, length] if length else found


def _length_fault(row: Listed, call: Arrived, tolerance_s: float) -> Found | None:
    facts: dict[str, Any] = {"talk_seconds": round(row.talk_seconds, 1)}
    if call.seconds is not None:
        facts["recorded_seconds"] = round(call.seconds, 1)
    if "undecodable" in call.flags:
        facts["reason"] = "undecodable"
        return Found(row.call_id, Fault.TRUNCATED, call.interaction_id, facts)
    if call.flags & _SILENT:
        return Found(row.call_id, Fault.SILENT, call.interaction_id, facts)
    if call.seconds is None:
        return None
    if call.seconds < row.talk_seconds - tolerance_s:
        return Found(row.call_id, Fault.TRUNCATED, call.interaction_id, facts)
    if call.seconds > row.talk_seconds + tolerance_s:
        return Found(row.call_id, Fault.WRONG_LENGTH, call.interaction_id, facts)
    return None

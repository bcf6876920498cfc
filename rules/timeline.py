"""The timeline of one case: who was reached, what counts on which day, when contact was lost."""

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo

from rules.events import Case, Channel, ContactOutcome, Interaction, Mode, PartyRole
from rules.model import CaseHistory, Contact

SHANGHAI = ZoneInfo("Asia/Shanghai")
UNANSWERED = frozenset(
    {
        ContactOutcome.NO_ANSWER,
        ContactOutcome.BUSY,
        ContactOutcome.REJECTED,
        ContactOutcome.UNREACHABLE,
    }
)
MESSAGES = frozenset({Channel.SMS, Channel.IM})
# A one-way notice is reported as answered by most diallers and as delivered by some.
CONNECTED = frozenset({ContactOutcome.ANSWERED, ContactOutcome.DELIVERED})

T = TypeVar("T")


class Reach(StrEnum):
    """Whom a contact was meant for, judged by the role it was given and the number it used."""

    DEBTOR = "debtor"
    OWN_NUMBER = "own_number"  # somebody else, or nobody known, on the debtor's own number
    GUARANTOR = "guarantor"
    AGREED_CONTACT = "agreed_contact"
    STRANGER = "stranger"  # a third person, not among contacts and guarantors
    UNLISTED = "unlisted"  # a number nobody named, and nobody knows who holds it
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Entry:
    """One contact with what the case says of it; `day` is the natural day of Asia/Shanghai."""

    index: int
    contact: Contact
    case: Case | None
    reach: Reach
    phone: str | None
    day: date

    @property
    def interaction(self) -> Interaction:
        """The event behind the entry."""
        return self.contact.interaction

    @property
    def outbound(self) -> bool:
        """Whether the agency began it."""
        return self.interaction.direction == "outbound"

    @property
    def person(self) -> str:
        """Who is bothered: the debtor on all numbers together, anybody else by number."""
        if self.reach in {Reach.DEBTOR, Reach.OWN_NUMBER} or self.phone is None:
            return "debtor" if self.reach in {Reach.DEBTOR, Reach.OWN_NUMBER} else self.reach.value
        return self.phone


@dataclass(frozen=True, slots=True)
class Tally:
    """How many contacts of a kind one day has seen up to and with this one.

    `busiest` is the share of the busiest caller number, or None where a caller number is unknown.
    """

    count: int
    callers: int
    agencies: int
    busiest: int | None


@dataclass(frozen=True, slots=True)
class Loss:
    """What was known of reaching the debtor before a contact; `reason` is None while not lost."""

    reason: str | None
    failures: int
    failures_before_today: int
    days: int


def in_zone(moment: datetime, zone: ZoneInfo) -> datetime:
    """The moment on the clocks of a zone; at the edges of the calendar, on its own clock."""
    try:
        return moment.astimezone(zone)
    except (OverflowError, ValueError):
        return moment


def talk_seconds(contact: Contact) -> float | None:
    """Connected seconds of a call, from the best source there is; None where nothing says."""
    interaction = contact.interaction
    if interaction.talk_seconds is not None:
        return interaction.talk_seconds
    if interaction.transcript:
        return max(segment.end for segment in interaction.transcript)
    if contact.audio.decoded_seconds is not None:
        return contact.audio.decoded_seconds
    return interaction.recording.duration_seconds if interaction.recording else None


def reach_of(case: Case | None, interaction: Interaction) -> tuple[Reach, str | None]:
    """Whom a contact was meant for and the number it used, as the case version describes them."""
    role, phone = interaction.party.role, interaction.party.phone
    if case is None:
        return _REACH_BY_ROLE[role], phone
    if role is PartyRole.DEBTOR:
        sole = case.debtor.phones[0] if len(case.debtor.phones) == 1 else None
        return Reach.DEBTOR, phone or sole
    if phone is None or role is PartyRole.GUARANTOR:
        reach = _REACH_BY_ROLE[role]
    elif phone in case.debtor.phones:
        reach = Reach.OWN_NUMBER
    elif any(person.phone == phone for person in case.guarantors):
        reach = Reach.GUARANTOR
    elif any(person.phone == phone for person in case.contacts):
        reach = Reach.AGREED_CONTACT
    else:
        reach = Reach.UNLISTED if role is PartyRole.UNKNOWN else Reach.STRANGER
    return reach, phone


_REACH_BY_ROLE = {
    PartyRole.DEBTOR: Reach.DEBTOR,
    PartyRole.AGREED_CONTACT: Reach.AGREED_CONTACT,
    PartyRole.GUARANTOR: Reach.GUARANTOR,
    PartyRole.THIRD_PARTY: Reach.STRANGER,
    PartyRole.UNKNOWN: Reach.UNKNOWN,
}


def is_effective(entry: Entry, seconds: float) -> bool:
    """Whether the debtor was spoken to for at least `seconds` in a call that the agency began."""
    interaction = entry.interaction
    return (
        entry.outbound
        and interaction.channel is Channel.CALL
        and interaction.outcome is ContactOutcome.ANSWERED
        and interaction.mode is not Mode.NOTICE
        and entry.reach is Reach.DEBTOR
        and (talk_seconds(entry.contact) or 0) >= seconds
    )


def is_unanswered(entry: Entry) -> bool:
    """Whether this was a dial that nobody took."""
    return (
        entry.outbound
        and entry.interaction.channel is Channel.CALL
        and entry.interaction.outcome in UNANSWERED
    )


def is_notice(entry: Entry) -> bool:
    """Whether a one-way voice notice got through to the debtor's line."""
    interaction = entry.interaction
    return (
        entry.outbound
        and interaction.channel is Channel.CALL
        and interaction.mode is Mode.NOTICE
        and interaction.outcome in CONNECTED
        and entry.reach in {Reach.DEBTOR, Reach.OWN_NUMBER, Reach.UNKNOWN}
    )


def is_dial(entry: Entry) -> bool:
    """Whether this counts as a dial: an outbound call; notices that got through count elsewhere."""
    interaction = entry.interaction
    through = interaction.mode is Mode.NOTICE and interaction.outcome in CONNECTED
    return entry.outbound and interaction.channel is Channel.CALL and not through


def is_message(entry: Entry) -> bool:
    """Whether this is an SMS or chat message that went out."""
    return (
        entry.outbound
        and entry.interaction.channel in MESSAGES
        and entry.interaction.outcome is not ContactOutcome.FAILED
    )


class _Count:
    """A running count of one group of contacts."""

    def __init__(self) -> None:
        self._callers: Counter[str | None] = Counter()
        self._agencies: set[str | None] = set()
        self._count = self._busiest = 0

    def add(self, interaction: Interaction) -> Tally:
        """Count one more contact; returns the state with it."""
        self._count += 1
        self._callers[interaction.caller_number] += 1
        self._busiest = max(self._busiest, self._callers[interaction.caller_number])
        self._agencies.add(interaction.agency_id or interaction.collector.org)
        return Tally(
            self._count,
            len(self._callers),
            len(self._agencies),
            None if None in self._callers else self._busiest,
        )


class Timeline:
    """One case's contacts in order of time, with running counts that are worked out once each."""

    def __init__(self, history: CaseHistory) -> None:
        self._versions = history.versions
        self._starts = [version.as_of for version in history.versions]
        self.entries = tuple(
            self._entry(index, contact) for index, contact in enumerate(history.contacts)
        )
        self._kept: dict[Hashable, object] = {}

    def case_at(self, moment: datetime) -> Case | None:
        """The case as known at a moment; before the first version, as first described."""
        if not self._versions:
            return None
        return self._versions[max(0, bisect_right(self._starts, moment) - 1)].case

    def effective(self, index: int, seconds: float) -> Tally | None:
        """Effective calls to the debtor on that day, over all numbers and agencies."""
        counts = self._keep(
            ("effective", seconds),
            lambda: self._tallies(lambda e: e.day if is_effective(e, seconds) else None),
        )
        return counts.get(index)

    def unanswered(self, index: int) -> Tally | None:
        """Dials that nobody took, to the same number on that day."""
        counts = self._keep(
            "unanswered",
            lambda: self._tallies(
                lambda e: (e.day, e.phone) if e.phone and is_unanswered(e) else None
            ),
        )
        return counts.get(index)

    def notices(self, index: int) -> Tally | None:
        """One-way notices that got through to the debtor on that day, over all agencies."""
        counts = self._keep(
            "notices", lambda: self._tallies(lambda e: e.day if is_notice(e) else None)
        )
        return counts.get(index)

    def dials(self, index: int) -> Tally | None:
        """Dials to the same person on that day."""
        counts = self._keep(
            "dials", lambda: self._tallies(lambda e: (e.day, e.person) if is_dial(e) else None)
        )
        return counts.get(index)

    def messages(self, index: int, exempt: frozenset[int]) -> Tally | None:
        """Messages to the same person on that day; `exempt` holds those that do not collect."""
        counts = self._keep(
            ("messages", exempt),
            lambda: self._tallies(
                lambda e: (e.day, e.person) if is_message(e) and e.index not in exempt else None
            ),
        )
        return counts.get(index)

    def burst(self, index: int, minutes: float) -> int:
        """Dials to the same number in the `minutes` that end with this dial; 0 if it is none."""
        counts = self._keep(("burst", minutes), lambda: self._bursts(minutes))
        return counts.get(index, 0)

    def strangers(self, index: int, hours: float) -> int:
        """Distinct numbers of people who owe nothing, in the `hours` that end with this contact."""
        counts = self._keep(("strangers", hours), lambda: self._spreads(hours))
        return counts.get(index, 0)

    def loss(self, index: int, failures: int, days: int) -> Loss:
        """Whether contact with the debtor was lost before this contact."""
        states = self._keep(("loss", failures, days), lambda: self._losses(failures, days))
        return states[index]

    def _keep(self, key: Hashable, work: Callable[[], T]) -> T:
        if key not in self._kept:
            self._kept[key] = work()
        return self._kept[key]  # type: ignore[return-value]  # each key has one kind of value

    def _entry(self, index: int, contact: Contact) -> Entry:
        interaction = contact.interaction
        case = self.case_at(interaction.started_at)
        reach, phone = reach_of(case, interaction)
        day = in_zone(interaction.started_at, SHANGHAI).date()
        return Entry(index, contact, case, reach, phone, day)

    def _tallies(self, group_of: Callable[[Entry], Hashable]) -> dict[int, Tally]:
        counts: dict[Hashable, _Count] = {}
        found = {}
        for entry in self.entries:
            group = group_of(entry)
            if group is not None:
                found[entry.index] = counts.setdefault(group, _Count()).add(entry.interaction)
        return found

    def _bursts(self, minutes: float) -> dict[int, int]:
        window = timedelta(minutes=minutes)
        recent: dict[str, deque[datetime]] = {}
        found = {}
        for entry in self.entries:
            if entry.phone is None or not is_dial(entry):
                continue
            starts = recent.setdefault(entry.phone, deque())
            starts.append(entry.interaction.started_at)
            while starts[-1] - starts[0] > window:
                starts.popleft()
            found[entry.index] = len(starts)
        return found

    def _spreads(self, hours: float) -> dict[int, int]:
        window = timedelta(hours=hours)
        recent: deque[tuple[datetime, str]] = deque()
        numbers: Counter[str] = Counter()
        found = {}
        for entry in self.entries:
            if entry.phone is None or not entry.outbound or entry.reach not in _UNRELATED:
                continue
            recent.append((entry.interaction.started_at, entry.phone))
            numbers[entry.phone] += 1
            while recent[-1][0] - recent[0][0] > window:
                _, gone = recent.popleft()
                numbers[gone] -= 1
                if not numbers[gone]:
                    del numbers[gone]
            found[entry.index] = len(numbers)
        return found

    def _losses(self, failures: int, days: int) -> tuple[Loss, ...]:
        ladder = _Ladder(failures, days)
        return tuple(ladder.step(entry) for entry in self.entries)


_UNRELATED = frozenset({Reach.AGREED_CONTACT, Reach.STRANGER, Reach.UNLISTED})


class _Ladder:
    """Walks the contacts and counts failed calls to the debtor since the line was last answered."""

    def __init__(self, failures: int, days: int) -> None:
        self._need_failures = failures
        self._need_days = days
        self._reset()

    def _reset(self) -> None:
        self._invalid = False
        self._total = self._on_last_day = self._run = self._best_run = 0
        self._last_day: date | None = None

    def step(self, entry: Entry) -> Loss:
        """The state before this contact; the contact itself then moves the count."""
        before = self._total - (self._on_last_day if entry.day == self._last_day else 0)
        state = Loss(self._reason(before), self._total, before, self._best_run)
        self._count(entry)
        return state

    def _reason(self, before: int) -> str | None:
        if self._invalid:
            return "number_invalid"
        if before >= self._need_failures:
            return "consecutive_failures"
        return "consecutive_days" if self._best_run >= self._need_days else None

    def _count(self, entry: Entry) -> None:
        interaction = entry.interaction
        if interaction.channel is not Channel.CALL or entry.reach not in _DEBTOR_LINE:
            return
        if not entry.outbound:
            # Somebody else who calls from the debtor's phone is not the debtor.
            if interaction.party.role in {PartyRole.DEBTOR, PartyRole.UNKNOWN}:
                self._reset()
        elif interaction.outcome is ContactOutcome.ANSWERED:
            self._reset()
        elif interaction.outcome is ContactOutcome.INVALID_NUMBER:
            self._invalid = True
        elif interaction.outcome in UNANSWERED:
            self._fail(entry.day)

    def _fail(self, day: date) -> None:
        self._total += 1
        if day == self._last_day:
            self._on_last_day += 1
            return
        straight = self._last_day is not None and day - self._last_day == timedelta(days=1)
        self._run = self._run + 1 if straight else 1
        self._best_run = max(self._best_run, self._run)
        self._on_last_day, self._last_day = 1, day


_DEBTOR_LINE = frozenset({Reach.DEBTOR, Reach.OWN_NUMBER})


def masked(phone: str | None) -> str:
    """The last four digits of a number, as facts show them; `unknown` where there is none."""
    return "unknown" if not phone else f"****{phone[-4:]}"

"""The events an agency posts, as frozen values: what CONTRACT calls §1, checked field by field."""

import json
from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    model_validator,
)

MAX_TEXT = 100_000
MAX_TURNS = 20_000
MAX_SECONDS = 86_400.0


def _refuse_control(value: str) -> str:
    if "\x00" in value:
        message = "must not contain a NUL character"
        raise ValueError(message)
    return value


def _refuse_number(value: object) -> object:
    """A time is a text with an offset; a bare number would be read as seconds since 1970."""
    if isinstance(value, int | float):
        message = "must be RFC 3339 text with an offset, for example 2026-06-03T10:12:00+08:00"
        raise ValueError(message)  # noqa: TRY004  pydantic turns only ValueError into a field error
    return value


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = "is not an IANA time zone name, for example Asia/Shanghai"
        raise ValueError(message) from error
    return value


SafeStr = Annotated[str, AfterValidator(_refuse_control)]
Identifier = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, pattern=r"^[^\s\x00-\x1f\x7f]+$"),
]
# It stands in addresses: no slash, and no dot in front.
Campaign = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, pattern=r"^\w[^\s/\x00-\x1f\x7f-\x9f]*$"),
]
ShortText = Annotated[SafeStr, StringConstraints(max_length=512)]
LongText = Annotated[SafeStr, StringConstraints(max_length=MAX_TEXT)]
Phone = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{4,14}$")]
Moment = Annotated[AwareDatetime, BeforeValidator(_refuse_number)]
Zone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_zone)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]


class Event(BaseModel):
    """A part of an event: frozen; fields we do not know are kept and ignored."""

    model_config = ConfigDict(frozen=True, extra="allow", str_strip_whitespace=False)


class Product(StrEnum):
    """What was borrowed."""

    CREDIT_CARD = "credit_card"
    CONSUMER_LOAN = "consumer_loan"
    ONLINE_LOAN = "online_loan"
    MICRO_LOAN = "micro_loan"


class LenderType(StrEnum):
    """Who lent; it drives the retention clock."""

    BANK = "bank"
    CONSUMER_FINANCE = "consumer_finance"
    MICROLOAN = "microloan"
    PLATFORM = "platform"


class Channel(StrEnum):
    """How a contact was made."""

    CALL = "call"
    SMS = "sms"
    IM = "im"
    EMAIL = "email"
    LETTER = "letter"
    VISIT = "visit"


class Mode(StrEnum):
    """Who speaks for the agency."""

    HUMAN = "human"
    AI_VOICE = "ai_voice"
    NOTICE = "notice"


class ContactOutcome(StrEnum):
    """What became of the attempt."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    INVALID_NUMBER = "invalid_number"
    VOICEMAIL = "voicemail"
    DELIVERED = "delivered"
    FAILED = "failed"
    DONE = "done"


class PartyRole(StrEnum):
    """Whom the contact reached."""

    DEBTOR = "debtor"
    AGREED_CONTACT = "agreed_contact"
    GUARANTOR = "guarantor"
    THIRD_PARTY = "third_party"
    UNKNOWN = "unknown"


class Speaker(StrEnum):
    """Who says a segment."""

    COLLECTOR = "collector"
    PARTY = "party"
    UNKNOWN = "unknown"


class Debtor(Event):
    """The person who owes."""

    name: ShortText
    phones: Annotated[tuple[Phone, ...], Field(max_length=64)]
    timezone: Zone = "Asia/Shanghai"


class AgreedContact(Event):
    """A person whom the debtor named as a contact."""

    phone: Phone
    relation: ShortText
    name: ShortText | None = None


class Guarantor(Event):
    """A person who is liable too."""

    phone: Phone
    name: ShortText | None = None


class Proceedings(Event):
    """What is known of courts and credit reports; an absent field is unknown."""

    lawsuit: Literal["none", "filed", "judgment"] | None = None
    credit_reported: bool | None = None


class Consent(Event):
    """A slot of hours the debtor agreed to: start inclusive, end exclusive, may wrap midnight."""

    kind: Literal["contact_hours"]
    start: Annotated[time, Field(alias="from")]
    end: Annotated[time, Field(alias="to")]
    evidence: LongText


class Case(Event):
    """`case.upserted`: the overdue case as known from `as_of` on."""

    case_id: Identifier
    product: Product
    lender_type: LenderType | None = None
    overdue_since: date | None = None
    balance: Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=2)] | None = None
    debtor: Debtor
    contacts: Annotated[tuple[AgreedContact, ...], Field(max_length=256)] = ()
    guarantors: Annotated[tuple[Guarantor, ...], Field(max_length=64)] = ()
    proceedings: Proceedings | None = None
    consents: Annotated[tuple[Consent, ...], Field(max_length=64)] = ()
    payment_channels: Annotated[tuple[ShortText, ...], Field(max_length=64)] = ()
    agency_disclosed: bool | None = None


class Collector(Event):
    """Who collects: the employee, and the firm where it is named."""

    id: ShortText
    name: ShortText | None = None
    org: ShortText | None = None


class Party(Event):
    """Whom the contact reached."""

    role: PartyRole
    phone: Phone | None = None
    relation: ShortText | None = None


class Recording(Event):
    """Where the audio is and what it should be; `speakers` holds one entry a channel."""

    url: Annotated[SafeStr, StringConstraints(max_length=2048)] | None = None
    path: Annotated[SafeStr, StringConstraints(max_length=1024)] | None = None
    sha256: Sha256
    duration_seconds: Seconds | None = None
    speakers: Annotated[tuple[Speaker, ...], Field(min_length=1, max_length=16)]


class Word(Event):
    """One word with its time; seconds from the start of the recording, probability 0 to 1."""

    text: ShortText
    start: Seconds
    end: Seconds
    probability: Annotated[float, Field(ge=0, le=1)]


class Segment(Event):
    """A stretch of one speaker's words; times are seconds from the start of the recording.

    `trusted` is False where the speech engine may have invented or misheard the text; `role_score`
    says how sure the speaker label is (1.0: a channel of its own, or labelled by the sender).
    `normalised` is the text with its numbers in digits. `biased` is True where the text was heard
    only with the lender's own words put into the engine's ear; a person must confirm it.
    """

    speaker: Speaker
    start: Seconds
    end: Seconds
    text: LongText
    trusted: bool = True
    role_score: Annotated[float, Field(ge=0, le=1)] = 1.0
    words: Annotated[tuple[Word, ...], Field(max_length=MAX_TURNS)] = ()
    normalised: LongText | None = None
    biased: bool = False

    @model_validator(mode="after")
    def _ends_after_start(self) -> "Segment":
        if self.end < self.start:
            message = "end must not lie before start"
            raise ValueError(message)
        return self


class Visit(Event):
    """What the visit log says."""

    appointment: bool
    place: Literal["home", "workplace", "public", "other"]
    collectors: Annotated[int, Field(ge=0, le=100)]
    id_shown: bool
    av_recording: bool
    entered: bool
    entry_consent: bool
    asked_to_leave_at: Moment | None = None
    left_at: Moment | None = None
    notes: LongText | None = None


TEXT_CHANNELS = frozenset({Channel.SMS, Channel.IM, Channel.EMAIL})


class Interaction(Event):
    """`interaction.completed`: one contact."""

    interaction_id: Identifier
    case_id: Identifier
    agency_id: Identifier | None = None
    campaign: Campaign | None = None
    channel: Channel
    direction: Literal["outbound", "inbound"]
    mode: Mode = Mode.HUMAN
    started_at: Moment
    ended_at: Moment | None = None
    outcome: ContactOutcome
    talk_seconds: Seconds | None = None
    collector: Collector
    caller_number: ShortText | None = None
    caller_number_type: Literal["official", "private"] | None = None
    party: Party
    recording: Recording | None = None
    transcript: Annotated[tuple[Segment, ...], Field(max_length=MAX_TURNS)] | None = None
    text: LongText | None = None
    visit: Visit | None = None

    @model_validator(mode="after")
    def _is_possible(self) -> "Interaction":
        if self.ended_at is not None and self.ended_at < self.started_at:
            message = "ended_at must not lie before started_at"
            raise ValueError(message)
        if self.channel in TEXT_CHANNELS and self.text is None:
            message = f"text is required when channel is {self.channel.value}"
            raise ValueError(message)
        if self.channel is Channel.VISIT and self.visit is None:
            message = "visit is required when channel is visit"
            raise ValueError(message)
        return self


class Stop(Event):
    """`stop.requested`: this person asked not to be contacted again."""

    case_id: Identifier
    phone: Phone
    at: Moment
    by: Literal["debtor", "agreed_contact", "third_party"]


class CaseUpserted(Event):
    """The envelope of a case."""

    type: Literal["case.upserted"]
    timestamp: Moment
    data: Case


class InteractionCompleted(Event):
    """The envelope of an interaction."""

    type: Literal["interaction.completed"]
    timestamp: Moment
    data: Interaction


class StopRequested(Event):
    """The envelope of a stop request."""

    type: Literal["stop.requested"]
    timestamp: Moment
    data: Stop


AnyEvent = Annotated[
    CaseUpserted | InteractionCompleted | StopRequested, Field(discriminator="type")
]
EVENT: TypeAdapter[CaseUpserted | InteractionCompleted | StopRequested] = TypeAdapter(AnyEvent)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a field appears twice in one object"
        raise ValueError(message)
    return found


def _refuse_constant(name: str) -> float:
    message = f"{name} is not a JSON number"
    raise ValueError(message)


def parse_event(raw: str | bytes) -> CaseUpserted | InteractionCompleted | StopRequested:
    """Read one event from its JSON text.

    Raises `pydantic.ValidationError` where a field is wrong (its `loc` names the field) and
    `ValueError` where the text is no JSON object, holds a field twice, or is nested too deep.
    """
    try:
        document = json.loads(
            raw, object_pairs_hook=_no_duplicates, parse_constant=_refuse_constant
        )
    except RecursionError as error:
        message = "is nested too deep"
        raise ValueError(message) from error
    return EVENT.validate_python(document)


_Parsed = TypeVar("_Parsed", CaseUpserted, InteractionCompleted, StopRequested)


def parse_value(document: object, kind: type[_Parsed]) -> _Parsed:
    """Read one event of a known kind from plain values; raises `pydantic.ValidationError`."""
    return kind.model_validate(document)

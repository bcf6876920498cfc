"""The tables of people's work: reviews, readings, samples, disputes, rules under watch."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from service.clock import now
from service.columns import JSON, MOMENT, NULLABLE_JSON, TEXT, among, to_fenced


class Decision(StrEnum):
    """What a reviewer says of a finding."""

    CONFIRM = "confirm"
    DISMISS = "dismiss"
    CHANGE = "change"


class Reading(StrEnum):
    """Whether a reviewer reads first, again and blindly, or judges what an agency disputes."""

    FIRST = "first"
    SECOND = "second"
    JUDGEMENT = "judgement"


# How often a contact or a finding is read where nobody disputes it.
READINGS = (Reading.FIRST, Reading.SECOND)


class DrawMethod(StrEnum):
    """How contacts are drawn."""

    RANDOM = "random"
    STRATIFIED = "stratified"
    RISK = "risk"


class DisputeState(StrEnum):
    """How far a dispute has come; all but `open` are final."""

    OPEN = "open"
    UPHELD = "upheld"
    REJECTED = "rejected"
    LAPSED = "lapsed"
    WITHDRAWN = "withdrawn"


class ReviewPolicy(SQLModel, table=True):
    """A lender's own values for review, dispute and watch; the newest revision counts."""

    __tablename__ = "review_policy"

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    revision: int = Field(primary_key=True)
    values: dict[str, Any] = Field(sa_type=JSON)
    set_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    set_by: str = Field(sa_type=TEXT)


class ReviewItem(SQLModel, table=True):
    """Who works on one finding now; its row is the lock that puts decisions in order.

    `mark` names the finding over all revisions of its verdict; it is empty for a contact that is
    read as a whole.
    """

    __tablename__ = "review_item"
    __table_args__ = (to_fenced("interaction", "interaction_id"),)

    tenant_id: UUID = Field(primary_key=True)
    interaction_id: UUID = Field(primary_key=True)
    mark: str = Field(primary_key=True, sa_type=TEXT)
    assigned_to: str | None = Field(default=None, sa_type=TEXT)
    held_by: str | None = Field(default=None, sa_type=TEXT)
    attempt: int = 0
    lease_until: datetime | None = Field(default=None, sa_type=MOMENT)


class ReviewRow(SQLModel, table=True):
    """One decision on one finding; `number` counts those of a reading, the highest stands.

    `rule`, `severity` and `disposition` are the system's; `was_violation` says that the rule by
    itself spoke of a violation, also where the watch made a question of it.
    """

    __tablename__ = "review"
    __table_args__ = (
        UniqueConstraint("tenant_id", "interaction_id", "mark", "reading", "number"),
        to_fenced("interaction", "interaction_id"),
        to_fenced("finding", "finding_id"),
        to_fenced("agency", "agency_id"),
        among("reading", Reading),
        among("decision", Decision),
        Index(None, "tenant_id", "rule", "decided_at"),
        Index(None, "tenant_id", "decided_at", "id"),
    )

    tenant_id: UUID = Field(primary_key=True)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    interaction_id: UUID
    mark: str = Field(sa_type=TEXT)
    reading: str = Field(sa_type=TEXT)
    number: int
    finding_id: UUID
    agency_id: UUID
    rule: str = Field(sa_type=TEXT)
    severity: str = Field(sa_type=TEXT)
    disposition: str = Field(sa_type=TEXT)
    was_violation: bool
    decision: str = Field(sa_type=TEXT)
    to_rule: str | None = Field(default=None, sa_type=TEXT)
    to_severity: str | None = Field(default=None, sa_type=TEXT)
    reason: str = Field(sa_type=TEXT)
    decided_by: str = Field(sa_type=TEXT)
    decided_at: datetime = Field(default_factory=now, sa_type=MOMENT)


class SampleRow(SQLModel, table=True):
    """A drawn sample: how, from what, with which seed; enough to draw it again."""

    __tablename__ = "review_sample"
    __table_args__ = (
        to_fenced("agency", "agency_id"),
        among("method", DrawMethod),
        Index(None, "tenant_id", "drawn_at", "id"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    method: str = Field(sa_type=TEXT)
    seed: str = Field(sa_type=TEXT)
    since: datetime = Field(sa_type=MOMENT)
    to: datetime = Field(sa_type=MOMENT)
    agency_id: UUID | None = None
    size: int
    second_share: float
    frame: int
    strata: list[dict[str, Any]] | None = Field(default=None, sa_type=NULLABLE_JSON)
    frame_sha256: str = Field(sa_type=TEXT)
    drawn_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    drawn_by: str = Field(sa_type=TEXT)


class SampleItem(SQLModel, table=True):
    """One drawn contact, its chance of being drawn, and whether it is read twice."""

    __tablename__ = "review_sample_item"
    __table_args__ = (
        UniqueConstraint("tenant_id", "sample_id", "interaction_id"),
        to_fenced("review_sample", "sample_id"),
        to_fenced("interaction", "interaction_id"),
        Index(None, "tenant_id", "interaction_id"),
    )

    tenant_id: UUID = Field(primary_key=True)
    sample_id: UUID = Field(primary_key=True)
    position: int = Field(primary_key=True)
    interaction_id: UUID
    outcome: str = Field(sa_type=TEXT)
    stratum: str = Field(sa_type=TEXT)
    chance: float
    second: bool


class ReadingRow(SQLModel, table=True):
    """What one reader says of a whole contact: the rules that it broke and nobody reported."""

    __tablename__ = "review_reading"
    __table_args__ = (
        UniqueConstraint("tenant_id", "sample_id", "interaction_id", "reading"),
        to_fenced("review_sample", "sample_id"),
        to_fenced("interaction", "interaction_id"),
        CheckConstraint("reading in ('first', 'second')", name="reading"),
    )

    tenant_id: UUID = Field(primary_key=True)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    sample_id: UUID
    interaction_id: UUID
    verdict_id: UUID
    reading: str = Field(sa_type=TEXT)
    missed: list[str] = Field(sa_type=JSON)
    reason: str = Field(sa_type=TEXT)
    read_by: str = Field(sa_type=TEXT)
    read_at: datetime = Field(default_factory=now, sa_type=MOMENT)


class DisputeRow(SQLModel, table=True):
    """An agency's objection to one finding, and its judgement; one a finding, once."""

    __tablename__ = "dispute"
    __table_args__ = (
        UniqueConstraint("tenant_id", "interaction_id", "mark"),
        to_fenced("interaction", "interaction_id"),
        to_fenced("finding", "finding_id"),
        to_fenced("agency", "agency_id"),
        among("state", DisputeState),
        Index(None, "tenant_id", "opened_at", "id"),
        Index(
            "dispute_open_idx", "tenant_id", "decide_by", postgresql_where=text("state = 'open'")
        ),
    )

    tenant_id: UUID = Field(primary_key=True)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    interaction_id: UUID
    mark: str = Field(sa_type=TEXT)
    finding_id: UUID
    agency_id: UUID
    rule: str = Field(sa_type=TEXT)
    severity: str = Field(sa_type=TEXT)
    state: str = Field(default=DisputeState.OPEN.value, sa_type=TEXT)
    text: str = Field(sa_type=TEXT)
    opened_by: str = Field(sa_type=TEXT)
    opened_at: datetime = Field(sa_type=MOMENT)
    window_until: datetime = Field(sa_type=MOMENT)
    decide_by: datetime = Field(sa_type=MOMENT)
    reason: str | None = Field(default=None, sa_type=TEXT)
    decided_by: str | None = Field(default=None, sa_type=TEXT)
    decided_at: datetime | None = Field(default=None, sa_type=MOMENT)


class DisputeFile(SQLModel, table=True):
    """A file that supports a dispute; its bytes lie in the store under their hash."""

    __tablename__ = "dispute_file"
    __table_args__ = (to_fenced("dispute", "dispute_id"), to_fenced("agency", "agency_id"))

    tenant_id: UUID = Field(primary_key=True)
    dispute_id: UUID = Field(primary_key=True)
    sha256: str = Field(primary_key=True, sa_type=TEXT)
    agency_id: UUID
    size_bytes: int = Field(sa_type=BigInteger)
    media_type: str = Field(sa_type=TEXT)
    added_by: str = Field(sa_type=TEXT)
    added_at: datetime = Field(default_factory=now, sa_type=MOMENT)


class WatchPeriod(SQLModel, table=True):
    """A time in which a rule only asked for review, and the figures at both of its ends."""

    __tablename__ = "watch_period"
    __table_args__ = (
        Index(
            "watch_period_open_idx",
            "tenant_id",
            "rule",
            unique=True,
            postgresql_where=text("until_at is null"),
        ),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    rule: str = Field(primary_key=True, sa_type=TEXT)
    since_at: datetime = Field(primary_key=True, sa_type=MOMENT)
    until_at: datetime | None = Field(default=None, sa_type=MOMENT)
    at_start: dict[str, Any] = Field(sa_type=JSON)
    at_end: dict[str, Any] | None = Field(default=None, sa_type=NULLABLE_JSON)


class Badge(SQLModel, table=True):
    """The digest of the token that shows an agency's badge to whoever holds its address."""

    __tablename__ = "badge"
    __table_args__ = (to_fenced("agency", "agency_id"),)

    tenant_id: UUID = Field(primary_key=True)
    agency_id: UUID = Field(primary_key=True)
    digest: bytes = Field(sa_type=LargeBinary)
    made_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    made_by: str = Field(sa_type=TEXT)

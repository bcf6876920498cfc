"""The tables of access: regulators, their grants and reads, samples, what the operator did."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index
from sqlmodel import Field, SQLModel

from service.clock import now
from service.columns import JSON, MOMENT, NULLABLE_JSON, TEXT, among, to_fenced


class GrantField(StrEnum):
    """What a grant opens beside verdicts and their evidence.

    `personal` allows to unmask contacts, one by one and each with a reason.
    """

    TRANSCRIPTS = "transcripts"
    RECORDINGS = "recordings"
    PERSONAL = "personal"


class AccessKind(StrEnum):
    """What a regulator did under a grant."""

    READ = "read"
    UNMASK = "unmask"
    SAMPLE = "sample"


class SampleMethod(StrEnum):
    """How contacts are drawn from a population."""

    SIMPLE = "simple"
    STRATIFIED = "stratified"
    RISK_WEIGHTED = "risk_weighted"


class Regulator(SQLModel, table=True):
    """An authority that reads under grants. Not fenced: it belongs to no lender."""

    __tablename__ = "regulator"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    name: str = Field(sa_type=TEXT)
    created_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    suspended_at: datetime | None = Field(default=None, sa_type=MOMENT)
    removed_at: datetime | None = Field(default=None, sa_type=MOMENT)


class AccessToken(SQLModel, table=True):
    """A short-lived token that stands for an API key. Not fenced: it says only which key."""

    __tablename__ = "access_token"
    __table_args__ = (
        CheckConstraint("expires_at <= created_at + interval '1 hour'", name="life"),
        Index(None, "api_key_id", "expires_at"),
    )

    digest: str = Field(primary_key=True, sa_type=TEXT)
    api_key_id: UUID = Field(foreign_key="api_key.id")
    created_at: datetime = Field(sa_type=MOMENT)
    expires_at: datetime = Field(sa_type=MOMENT)


class OperatorEntry(SQLModel, table=True):
    """What was done that concerns no single lender; entries are added, never changed."""

    __tablename__ = "operator_entry"

    seq: int | None = Field(
        default=None,
        primary_key=True,
        sa_type=BigInteger,
        sa_column_args=(Identity(always=True),),
    )
    at: datetime = Field(default_factory=now, sa_type=MOMENT)
    actor: str = Field(
        default="operator", sa_type=TEXT, sa_column_kwargs={"server_default": "operator"}
    )
    action: str = Field(sa_type=TEXT)
    subject_id: str | None = Field(default=None, sa_type=TEXT)
    details: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)


class AccessGrant(SQLModel, table=True):
    """What one lender lets one regulator read, what for and how long.

    Triggers and checks keep its terms, both approvals and its end as they were first written. An
    approver is the first key of a chain of rotations, or the operator.
    """

    __tablename__ = "access_grant"
    __table_args__ = (
        CheckConstraint("period_from < period_to", name="period"),
        CheckConstraint(
            "starts_at < ends_at and ends_at <= starts_at + interval '366 days'", name="life"
        ),
        CheckConstraint(
            "second_approver is null or first_approver <> second_approver", name="two_approvers"
        ),
        CheckConstraint(
            "second_approver is null or first_approver is not null",
            name="first_approver_comes_first",
        ),
        CheckConstraint(
            "(first_approver is null) = (first_approved_at is null)"
            " and (second_approver is null) = (second_approved_at is null)",
            name="approvals_are_dated",
        ),
        CheckConstraint("(ended_by is null) = (ended_at is null)", name="end_is_signed"),
        Index(None, "regulator_id"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    regulator_id: UUID = Field(foreign_key="regulator.id")
    case_number: str = Field(sa_type=TEXT)
    purpose: str = Field(sa_type=TEXT)
    agencies: list[str] | None = Field(default=None, sa_type=NULLABLE_JSON)
    fields: list[str] = Field(sa_type=JSON)
    period_from: datetime = Field(sa_type=MOMENT)
    period_to: datetime = Field(sa_type=MOMENT)
    starts_at: datetime = Field(sa_type=MOMENT)
    ends_at: datetime = Field(sa_type=MOMENT)
    requested_by: str = Field(sa_type=TEXT)
    requested_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    first_approver: str | None = Field(default=None, sa_type=TEXT)
    first_approved_at: datetime | None = Field(default=None, sa_type=MOMENT)
    second_approver: str | None = Field(default=None, sa_type=TEXT)
    second_approved_at: datetime | None = Field(default=None, sa_type=MOMENT)
    ended_by: str | None = Field(default=None, sa_type=TEXT)
    ended_at: datetime | None = Field(default=None, sa_type=MOMENT)


class GrantAccess(SQLModel, table=True):
    """One act under a grant: written and committed before anything is read."""

    __tablename__ = "grant_access"
    __table_args__ = (
        to_fenced("access_grant", "grant_id"),
        among("kind", AccessKind),
        CheckConstraint("(kind = 'unmask') = (reason is not null)", name="reason"),
        Index(None, "tenant_id", "grant_id", "at", "id"),
    )

    tenant_id: UUID = Field(primary_key=True)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    grant_id: UUID
    key_id: str = Field(sa_type=TEXT)
    kind: str = Field(sa_type=TEXT)
    route: str = Field(sa_type=TEXT)
    subject_id: str | None = Field(default=None, sa_type=TEXT)
    reason: str | None = Field(default=None, sa_type=TEXT)
    at: datetime = Field(default_factory=now, sa_type=MOMENT)


class Sample(SQLModel, table=True):
    """A draw by commit and reveal: the seed's hash, then the population, then the seed.

    `population` holds one line a contact (service.access.sampling_draw); a trigger keeps each
    part as it was first written.
    """

    __tablename__ = "sample"
    __table_args__ = (
        to_fenced("access_grant", "grant_id"),
        among("method", SampleMethod),
        CheckConstraint("size between 1 and 10000", name="size"),
        CheckConstraint(
            "(root is null) = (population is null) and (root is null) = (committed_at is null)"
            " and (root is null) = (population_size is null)"
            " and (root is null) = (committed_by is null)",
            name="commitment_is_whole",
        ),
        CheckConstraint(
            "(seed is null) = (revealed_at is null) and (seed is null) = (drawn is null)"
            " and (seed is null or root is not null)",
            name="seed_comes_after_the_population",
        ),
        CheckConstraint(
            "seed is null or encode(sha256(decode(seed, 'hex')), 'hex') = seed_sha256",
            name="seed_is_the_promised_one",
        ),
        Index(None, "tenant_id", "grant_id"),
    )

    tenant_id: UUID = Field(primary_key=True)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    grant_id: UUID
    method: str = Field(sa_type=TEXT)
    size: int
    seed_sha256: str = Field(sa_type=TEXT)
    opened_by: str = Field(sa_type=TEXT)
    opened_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    population: str | None = Field(default=None, sa_type=TEXT)
    population_size: int | None = None
    root: str | None = Field(default=None, sa_type=TEXT)
    committed_by: str | None = Field(default=None, sa_type=TEXT)
    committed_at: datetime | None = Field(default=None, sa_type=MOMENT)
    seed: str | None = Field(default=None, sa_type=TEXT)
    drawn: list[str] | None = Field(default=None, sa_type=NULLABLE_JSON)
    revealed_at: datetime | None = Field(default=None, sa_type=MOMENT)

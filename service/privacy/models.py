"""The tables of privacy: keys of tenants, look-ups of numbers, erasures; and of limits."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from service.clock import now
from service.columns import JSON, MOMENT, TEXT, among, to_fenced

BYTES: Any = LargeBinary


class KeyPurpose(StrEnum):
    """What a tenant's data key is for."""

    SEAL = "seal"
    LOOKUP = "lookup"


class LimitKind(StrEnum):
    """What is limited: API requests, webhooks' events, megabytes of recordings."""

    REQUESTS = "requests"
    EVENTS = "events"
    UPLOAD_MB = "upload_mb"


class DataKey(SQLModel, table=True):
    """A tenant's key, wrapped by the master key whose fingerprint is `master`."""

    __tablename__ = "data_key"
    __table_args__ = (
        among("purpose", KeyPurpose),
        Index(
            "data_key_current_idx",
            "tenant_id",
            "purpose",
            unique=True,
            postgresql_where=text("retired_at is null"),
        ),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    purpose: str = Field(sa_type=TEXT)
    wrapped: bytes = Field(sa_type=BYTES)
    master: str = Field(sa_type=TEXT)
    created_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    retired_at: datetime | None = Field(default=None, sa_type=MOMENT)


class RecordingKey(SQLModel, table=True):
    """The key of one object of the store, sealed; it goes with the recording, never before."""

    __tablename__ = "recording_key"

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    sha256: str = Field(primary_key=True, sa_type=TEXT)
    id: UUID = Field(primary_key=True)
    sealed: bytes = Field(sa_type=BYTES)


class PersonPhone(SQLModel, table=True):
    """That a number, known by its keyed digest, stands in a case in a role."""

    __tablename__ = "person_phone"

    tenant_id: UUID = Field(primary_key=True)
    digest: str = Field(primary_key=True, sa_type=TEXT)
    role: str = Field(primary_key=True, sa_type=TEXT)
    case_id: str = Field(primary_key=True, sa_type=TEXT)


class Erasure(SQLModel, table=True):
    """That a case's personal data was erased: when, by whom, what; `digest` is the receipt's."""

    __tablename__ = "erasure"
    __table_args__ = (Index(None, "tenant_id", "case_id"),)

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    case_id: str = Field(sa_type=TEXT)
    at: datetime = Field(default_factory=now, sa_type=MOMENT)
    by: str = Field(sa_type=TEXT)
    counts: dict[str, Any] = Field(sa_type=JSON)
    digest: str = Field(sa_type=TEXT)


class RateLimit(SQLModel, table=True):
    """A limit that the operator set for a lender, or for one of its agencies."""

    __tablename__ = "rate_limit"
    __table_args__ = (
        UniqueConstraint("tenant_id", "agency_id", "kind", postgresql_nulls_not_distinct=True),
        to_fenced("agency", "agency_id"),
        among("kind", LimitKind),
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("period_s > 0", name="period"),
        CheckConstraint("burst > 0", name="burst"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    agency_id: UUID | None = None
    kind: str = Field(sa_type=TEXT)
    amount: int
    period_s: int
    burst: int
    set_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    set_by: str = Field(sa_type=TEXT)


class RateState(SQLModel, table=True):
    """How much of a limit is used: see `hegui_take`. The agency is all zeros for the lender."""

    __tablename__ = "rate_state"

    tenant_id: UUID = Field(primary_key=True)
    agency_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True, sa_type=TEXT)
    arrives_at: datetime = Field(sa_type=MOMENT)

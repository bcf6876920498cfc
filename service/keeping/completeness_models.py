"""The tables of completeness: agencies' lists of calls, what is missing, and who was told."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from service.alerts.models import AlertState
from service.clock import now
from service.columns import JSON, MOMENT, TEXT, among, to_fenced


class Fault(StrEnum):
    """How a call differs between an agency's list and what arrived."""

    ABSENT = "absent"
    SILENT = "silent"
    TRUNCATED = "truncated"
    WRONG_LENGTH = "wrong_length"
    REUSED_AUDIO = "reused_audio"
    WRONG_PARTY = "wrong_party"
    UNLISTED = "unlisted"


class CallList(SQLModel, table=True):
    """An agency's list of one day's calls, as it came last; a new one replaces it whole."""

    __tablename__ = "call_list"
    __table_args__ = (to_fenced("agency", "agency_id"),)

    tenant_id: UUID = Field(primary_key=True)
    agency_id: UUID = Field(primary_key=True)
    day: date = Field(primary_key=True)
    revision: int
    sha256: str = Field(sa_type=TEXT)
    rows: int
    received_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    received_by: str = Field(sa_type=TEXT)


class CallListRow(SQLModel, table=True):
    """One listed call. The number is kept as a digest: it is only ever compared."""

    __tablename__ = "call_list_row"
    __table_args__ = (
        to_fenced("agency", "agency_id"),
        Index(None, "tenant_id", "agency_id", "call_id"),
    )

    tenant_id: UUID = Field(primary_key=True)
    agency_id: UUID = Field(primary_key=True)
    day: date = Field(primary_key=True)
    call_id: str = Field(primary_key=True, sa_type=TEXT)
    started_at: datetime = Field(sa_type=MOMENT)
    answered: bool
    talk_seconds: float
    party_digest: str | None = Field(default=None, sa_type=TEXT)


class CompletenessDay(SQLModel, table=True):
    """How complete an agency's day was when it was last reconciled; `share` is 0..1."""

    __tablename__ = "completeness_day"
    __table_args__ = (
        to_fenced("agency", "agency_id"),
        Index(None, "tenant_id", "day", "agency_id"),
    )

    tenant_id: UUID = Field(primary_key=True)
    agency_id: UUID = Field(primary_key=True)
    day: date = Field(primary_key=True)
    listed: int
    expected: int
    complete: int
    share: float
    faults: dict[str, int] = Field(sa_type=JSON)
    reconciled_at: datetime = Field(sa_type=MOMENT)
    told_sha256: str | None = Field(default=None, sa_type=TEXT)


class CompletenessFinding(SQLModel, table=True):
    """One fault of one call; `resolved_at` is set when a later reconciliation misses it."""

    __tablename__ = "completeness_finding"
    __table_args__ = (
        to_fenced("agency", "agency_id"),
        among("kind", Fault),
        UniqueConstraint("tenant_id", "agency_id", "day", "call_id", "kind"),
        Index(None, "tenant_id", "found_at", "id"),
    )

    tenant_id: UUID = Field(primary_key=True)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    agency_id: UUID
    day: date
    call_id: str = Field(sa_type=TEXT)
    kind: str = Field(sa_type=TEXT)
    rule: str = Field(sa_type=TEXT)
    severity: str = Field(sa_type=TEXT)
    facts: dict[str, Any] = Field(sa_type=JSON)
    interaction_id: UUID | None = None
    found_at: datetime = Field(sa_type=MOMENT)
    resolved_at: datetime | None = Field(default=None, sa_type=MOMENT)
    requested_at: datetime | None = Field(default=None, sa_type=MOMENT)


class AgencyEndpoint(SQLModel, table=True):
    """Where an agency wants to be asked for what is missing, and the secret we sign with."""

    __tablename__ = "agency_endpoint"
    __table_args__ = (to_fenced("agency", "agency_id"),)

    tenant_id: UUID = Field(primary_key=True)
    agency_id: UUID = Field(primary_key=True)
    url: str = Field(sa_type=TEXT)
    secret: str = Field(sa_type=TEXT)
    set_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    set_by: str = Field(sa_type=TEXT)


class Notice(SQLModel, table=True):
    """A signed message that is about no single contact, to a lender's or an agency's endpoint."""

    __tablename__ = "notice"
    __table_args__ = (
        to_fenced("endpoint", "endpoint_id"),
        to_fenced("agency", "agency_id"),
        among("state", AlertState),
        CheckConstraint("(endpoint_id is null) <> (agency_id is null)", name="goes_to_one"),
        Index(
            "notice_pending_idx",
            "tenant_id",
            "next_at",
            postgresql_where=text("state = 'pending'"),
        ),
        Index(None, "tenant_id", "created_at", "id"),
    )

    tenant_id: UUID = Field(primary_key=True)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    endpoint_id: UUID | None = None
    agency_id: UUID | None = None
    message_id: str = Field(sa_type=TEXT)
    payload: dict[str, Any] = Field(sa_type=JSON)
    state: str = Field(default=AlertState.PENDING.value, sa_type=TEXT)
    attempts: int = 0
    next_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    lease_until: datetime | None = Field(default=None, sa_type=MOMENT)
    last_status: int | None = None
    last_reason: str | None = Field(default=None, sa_type=TEXT)
    created_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    delivered_at: datetime | None = Field(default=None, sa_type=MOMENT)

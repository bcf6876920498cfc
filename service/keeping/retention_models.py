"""The tables of retention: what uses a recording, legal holds, purge runs, the clock's witness."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlmodel import Field, SQLModel

from service.clock import now
from service.columns import MOMENT, NULLABLE_JSON, TEXT, among, to_fenced


class HoldKind(StrEnum):
    """What a legal hold names."""

    INTERACTION = "interaction"
    CASE = "case"
    RECORDING = "recording"
    AGENCY = "agency"


class PurgeState(StrEnum):
    """How far a purge run has come."""

    PLANNED = "planned"
    REMOVING = "removing"
    DONE = "done"
    CANCELLED = "cancelled"


class ItemState(StrEnum):
    """What became of one recording of a purge run."""

    LISTED = "listed"
    KEPT = "kept"
    REMOVING = "removing"
    REMOVED = "removed"


class RecordingUse(SQLModel, table=True):
    """That a contact stands on a recording, also where a later event names another one.

    A trigger writes it with the interaction; `started_at` is the latest the contact ever had.
    """

    __tablename__ = "recording_use"
    __table_args__ = (
        to_fenced("interaction", "interaction_id"),
        to_fenced("agency", "agency_id"),
        Index(None, "tenant_id", "case_id"),
        Index(None, "tenant_id", "interaction_id"),
    )

    tenant_id: UUID = Field(primary_key=True)
    sha256: str = Field(primary_key=True, sa_type=TEXT)
    interaction_id: UUID = Field(primary_key=True)
    agency_id: UUID
    case_id: str = Field(sa_type=TEXT)
    started_at: datetime = Field(sa_type=MOMENT)


class HoldRow(SQLModel, table=True):
    """A legal hold; it is never edited, only released, once. `period_to` is exclusive."""

    __tablename__ = "hold"
    __table_args__ = (
        among("kind", HoldKind),
        to_fenced("interaction", "interaction_id"),
        to_fenced("agency", "agency_id"),
        CheckConstraint(
            "(kind = 'interaction') = (interaction_id is not null)"
            " and (kind = 'case') = (case_id is not null)"
            " and (kind = 'recording') = (sha256 is not null)"
            " and (kind = 'agency') = (agency_id is not null)"
            " and (kind = 'agency') = (period_from is not null)"
            " and (kind = 'agency') = (period_to is not null)"
            " and coalesce(period_from < period_to, true)",
            name="names_one_subject",
        ),
        CheckConstraint(
            "(released_at is null) = (released_by is null)"
            " and (released_at is null) = (release_reason is null)",
            name="release_is_whole",
        ),
        Index(None, "tenant_id", "placed_at", "id"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    kind: str = Field(sa_type=TEXT)
    interaction_id: UUID | None = None
    case_id: str | None = Field(default=None, sa_type=TEXT)
    sha256: str | None = Field(default=None, sa_type=TEXT)
    agency_id: UUID | None = None
    period_from: datetime | None = Field(default=None, sa_type=MOMENT)
    period_to: datetime | None = Field(default=None, sa_type=MOMENT)
    reason: str = Field(sa_type=TEXT)
    placed_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    placed_by: str = Field(sa_type=TEXT)
    released_at: datetime | None = Field(default=None, sa_type=MOMENT)
    released_by: str | None = Field(default=None, sa_type=TEXT)
    release_reason: str | None = Field(default=None, sa_type=TEXT)


class PurgeRun(SQLModel, table=True):
    """A list of recordings past their date, who proposed it, who approved it, what came of it."""

    __tablename__ = "purge_run"
    __table_args__ = (
        among("state", PurgeState),
        CheckConstraint("approved_by <> planned_by", name="two_persons"),
        CheckConstraint("ready_at >= planned_at + interval '1 day'", name="cools_a_day"),
        CheckConstraint(
            "(state in ('removing', 'done')) = (approved_at is not null)"
            " and (approved_at is null) = (approved_by is null)",
            name="removes_when_approved",
        ),
        Index(None, "tenant_id", "planned_at", "id"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    state: str = Field(default=PurgeState.PLANNED.value, sa_type=TEXT)
    planned_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    planned_by: str = Field(sa_type=TEXT)
    ready_at: datetime = Field(sa_type=MOMENT)
    listed: int
    list_sha256: str = Field(sa_type=TEXT)
    approved_at: datetime | None = Field(default=None, sa_type=MOMENT)
    approved_by: str | None = Field(default=None, sa_type=TEXT)
    ended_at: datetime | None = Field(default=None, sa_type=MOMENT)
    ended_by: str | None = Field(default=None, sa_type=TEXT)
    certificate: dict[str, Any] | None = Field(default=None, sa_type=NULLABLE_JSON)
    certificate_sha256: str | None = Field(default=None, sa_type=TEXT)
    lease_until: datetime | None = Field(default=None, sa_type=MOMENT)


class PurgeItem(SQLModel, table=True):
    """One recording of a run; once removed, it is the tombstone: what it was, and when it went."""

    __tablename__ = "purge_item"
    __table_args__ = (
        to_fenced("purge_run", "run_id"),
        among("state", ItemState),
        Index(None, "tenant_id", "sha256"),
    )

    tenant_id: UUID = Field(primary_key=True)
    run_id: UUID = Field(primary_key=True)
    sha256: str = Field(primary_key=True, sa_type=TEXT)
    size_bytes: int = Field(sa_type=BigInteger)
    received_at: datetime = Field(sa_type=MOMENT)
    retain_until: datetime = Field(sa_type=MOMENT)
    contacts: int
    state: str = Field(default=ItemState.LISTED.value, sa_type=TEXT)
    reason: str | None = Field(default=None, sa_type=TEXT)
    removed_at: datetime | None = Field(default=None, sa_type=MOMENT)


class ClockTick(SQLModel, table=True):
    """That the database's clock passed this moment while we ran; no purge without a whole row.

    Not fenced: it holds nothing of a tenant. `accepted_by` names who vouched for the clock after
    a gap.
    """

    __tablename__ = "clock_tick"

    at: datetime = Field(primary_key=True, sa_type=MOMENT)
    accepted_by: str | None = Field(default=None, sa_type=TEXT)

"""The tables of what a lender sets: parameters of rules, and words for the speech engine."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from service.clock import now
from service.columns import JSON, MOMENT, TEXT, WRITER


class ParameterSet(SQLModel, table=True):
    """A lender's values for the parameters of rules, in force from `set_at` to the next set."""

    __tablename__ = "parameter_set"
    __table_args__ = (Index(None, "tenant_id", "written_xid"),)

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    revision: int = Field(primary_key=True)
    values: dict[str, dict[str, Any]] = Field(sa_type=JSON)
    set_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    set_by: str = Field(sa_type=TEXT)
    written_xid: int | None = Field(
        default=None, nullable=False, sa_type=BigInteger, sa_column_kwargs=WRITER
    )


class SpeechSet(SQLModel, table=True):
    """A lender's own words for the speech engine, in force from `set_at` to the next set."""

    __tablename__ = "speech_set"
    __table_args__ = (Index(None, "tenant_id", "written_xid"),)

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    revision: int = Field(primary_key=True)
    prompt: str = Field(sa_type=TEXT)
    hotwords: list[str] = Field(sa_type=JSON)
    set_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    set_by: str = Field(sa_type=TEXT)
    written_xid: int | None = Field(
        default=None, nullable=False, sa_type=BigInteger, sa_column_kwargs=WRITER
    )

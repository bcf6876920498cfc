"""The tables of alerts: endpoints, what each is told, and every attempt at telling it."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from rules.model import Severity
from service.clock import now
from service.columns import JSON, MOMENT, NULLABLE_JSON, TEXT, among, to_fenced


class EndpointKind(StrEnum):
    """How an endpoint is spoken to."""

    WEBHOOK = "webhook"
    DINGTALK = "dingtalk"
    WECOM = "wecom"
    FEISHU = "feishu"
    SLACK = "slack"
    EMAIL = "email"


class AlertState(StrEnum):
    """What became of an alert."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class Endpoint(SQLModel, table=True):
    """Where the lender wants its alerts, which of them, and the secret they are signed with.

    `agencies` and `families` are None for all. `next_post_at`, `lease_until` and `delivery_id`
    pace and fence the posts of a kind that takes digests.
    """

    __tablename__ = "endpoint"
    __table_args__ = (
        among("kind", EndpointKind),
        among("lowest_severity", Severity),
        CheckConstraint(
            "(escalate_to is null) = (escalate_after_s is null)", name="escalation_is_whole"
        ),
        to_fenced("endpoint", "escalate_to"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    url: str = Field(sa_type=TEXT)
    secret: str = Field(sa_type=TEXT)
    active: bool = True
    disabled_reason: str | None = Field(default=None, sa_type=TEXT)
    failing_since: datetime | None = Field(default=None, sa_type=MOMENT)
    paused_until: datetime | None = Field(default=None, sa_type=MOMENT)
    created_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    kind: str = Field(
        default=EndpointKind.WEBHOOK.value,
        sa_type=TEXT,
        sa_column_kwargs={"server_default": "webhook"},
    )
    agencies: list[str] | None = Field(default=None, sa_type=NULLABLE_JSON)
    families: list[str] | None = Field(default=None, sa_type=NULLABLE_JSON)
    lowest_severity: str = Field(
        default="low", sa_type=TEXT, sa_column_kwargs={"server_default": "low"}
    )
    dispositions: list[str] = Field(
        default_factory=lambda: ["violation"],
        sa_type=JSON,
        sa_column_kwargs={"server_default": text("""'["violation"]'""")},
    )
    window_s: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    escalate_to: UUID | None = None
    escalate_after_s: int | None = None
    secret_previous: str | None = Field(default=None, sa_type=TEXT)
    previous_until: datetime | None = Field(default=None, sa_type=MOMENT)
    next_post_at: datetime | None = Field(default=None, sa_type=MOMENT)
    delivery_id: UUID | None = None
    lease_until: datetime | None = Field(default=None, sa_type=MOMENT)
    removed_at: datetime | None = Field(default=None, sa_type=MOMENT)
    checkpoints: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})


class AlertRow(SQLModel, table=True):
    """What one endpoint is told about one contact; `message_id` stays over all attempts.

    A webhook has one for a verdict (`rule` is empty); a kind that takes digests has one for each
    rule, and `delivery_id` names the post that carried it. With a `notice` (`rule_demoted:THR-02`)
    it tells of the rule itself and not of the contact.
    """

    __tablename__ = "alert"
    __table_args__ = (
        UniqueConstraint(
            "tenant_id",
            "verdict_id",
            "endpoint_id",
            "rule",
            "escalated",
            "notice",
            name="alert_once_key",
        ),
        to_fenced("endpoint", "endpoint_id"),
        to_fenced("interaction", "interaction_id"),
        to_fenced("verdict", "verdict_id"),
        to_fenced("agency", "agency_id"),
        among("state", AlertState),
        Index(
            "alert_pending_idx",
            "tenant_id",
            "next_at",
            postgresql_where=text("state = 'pending'"),
        ),
        Index(
            "alert_waiting_idx",
            "tenant_id",
            "endpoint_id",
            "next_at",
            postgresql_where=text("state = 'pending'"),
        ),
        Index(
            "alert_escalate_idx",
            "tenant_id",
            "escalate_at",
            postgresql_where=text("escalate_at is not null"),
        ),
        Index(None, "tenant_id", "created_at", "id"),
    )

    tenant_id: UUID = Field(primary_key=True)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    endpoint_id: UUID
    interaction_id: UUID
    verdict_id: UUID
    message_id: str = Field(sa_type=TEXT)
    payload: dict[str, Any] = Field(sa_type=JSON)
    state: str = Field(default=AlertState.PENDING.value, sa_type=TEXT)
    attempts: int = 0
    next_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    lease_until: datetime | None = Field(default=None, sa_type=MOMENT)
    last_status: int | None = None
    last_reason: str | None = Field(default=None, sa_type=TEXT)
    created_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    agency_id: UUID | None = None
    rule: str = Field(default="", sa_type=TEXT, sa_column_kwargs={"server_default": ""})
    severity: str = Field(default="high", sa_type=TEXT, sa_column_kwargs={"server_default": "high"})
    findings: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    escalated: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    window_until: datetime | None = Field(default=None, sa_type=MOMENT)
    delivery_id: UUID | None = None
    delivered_at: datetime | None = Field(default=None, sa_type=MOMENT)
    escalate_at: datetime | None = Field(default=None, sa_type=MOMENT)
    acknowledged_at: datetime | None = Field(default=None, sa_type=MOMENT)
    acknowledged_by: str | None = Field(default=None, sa_type=TEXT)
    notice: str = Field(default="", sa_type=TEXT, sa_column_kwargs={"server_default": ""})


class DeliveryRow(SQLModel, table=True):
    """One attempt at one endpoint: what it carried and how it ended."""

    __tablename__ = "delivery"
    __table_args__ = (
        to_fenced("endpoint", "endpoint_id"),
        Index(None, "tenant_id", "started_at", "id"),
    )

    tenant_id: UUID = Field(primary_key=True)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    endpoint_id: UUID
    message_id: str = Field(sa_type=TEXT)
    alerts: int
    attempt: int
    started_at: datetime = Field(sa_type=MOMENT)
    ended_at: datetime | None = Field(default=None, sa_type=MOMENT)
    result: str | None = Field(default=None, sa_type=TEXT)
    status: int | None = None
    reason: str | None = Field(default=None, sa_type=TEXT)

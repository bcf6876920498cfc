"""What became of alerts: read, acknowledged, sent again; and the log of every attempt."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from rules.model import Severity
from service.alerts import alert_log
from service.alerts.alert import Result
from service.alerts.alert_log import AlertFilters
from service.api.deps import Administrator, LenderReader, TenantSession
from service.api.reading import Cursor, Limit
from service.models import AlertRow, AlertState, DeliveryRow

router = APIRouter(tags=["alerts"])

AlertKey = Annotated[UUID, Path(description="The alert's id.")]
EndpointIs = Annotated[UUID | None, Query(description="Only this endpoint.")]


class AlertOut(BaseModel):
    """What one endpoint is told of one contact; `rule` is empty where one alert tells them all."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    endpoint_id: UUID
    interaction: UUID = Field(description="The interaction's id within this service.")
    verdict_id: UUID
    agency_id: UUID | None
    rule: str
    severity: Severity
    findings: int
    escalated: bool
    notice: str = Field(
        description="Where it tells of a rule itself: rule_demoted or rule_recovered, and the rule."
    )
    state: AlertState
    attempts: int
    last_status: int | None
    last_reason: str | None
    created_at: datetime
    next_at: datetime | None = Field(description="When it goes next, while it is pending.")
    delivered_at: datetime | None
    escalate_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None = Field(description="The id of the key that acknowledged it.")

    @classmethod
    def of(cls, row: AlertRow) -> "AlertOut":
        """Show one row."""
        names = set(cls.model_fields) - {"interaction", "next_at"}
        is_pending = row.state == AlertState.PENDING.value
        return cls(
            interaction=row.interaction_id,
            next_at=row.next_at if is_pending else None,
            **{name: getattr(row, name) for name in names},
        )


class AlertPage(BaseModel):
    """One page of alerts, newest first."""

    model_config = ConfigDict(frozen=True)

    items: list[AlertOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


class DeliveryOut(BaseModel):
    """One attempt; `result` is None while it is under way, or where its worker died."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    endpoint_id: UUID
    message_id: str
    alerts: int = Field(description="How many alerts it carried.")
    attempt: int
    started_at: datetime
    ended_at: datetime | None
    result: Result | None
    status: int | None
    reason: str | None

    @classmethod
    def of(cls, row: DeliveryRow) -> "DeliveryOut":
        """Show one row."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class DeliveryPage(BaseModel):
    """One page of attempts, newest first."""

    model_config = ConfigDict(frozen=True)

    items: list[DeliveryOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


def alert_filters(
    endpoint_id: EndpointIs = None,
    agency_id: Annotated[UUID | None, Query(description="Only this agency.")] = None,
    state: Annotated[AlertState | None, Query(description="Only this state.")] = None,
    severity: Annotated[Severity | None, Query(description="Only this severity.")] = None,
    acknowledged: Annotated[
        bool | None, Query(description="Only acknowledged ones, or only the others.")
    ] = None,
) -> AlertFilters:
    """Gather the parameters that narrow a list of alerts."""
    return AlertFilters(endpoint_id, agency_id, state, severity, acknowledged)


@router.get("/v1/alerts", summary="List alerts")
def list_alerts(
    caller: LenderReader,
    session: TenantSession,
    filters: Annotated[AlertFilters, Depends(alert_filters)],
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AlertPage:
    """List what the endpoints are told, newest first."""
    del caller
    page = alert_log.list_alerts(session, filters, cursor=cursor, limit=limit)
    return AlertPage(items=[AlertOut.of(row) for row in page.rows], next_cursor=page.next_cursor)


@router.post("/v1/alerts/{alert}/acknowledge", summary="Acknowledge an alert")
def post_acknowledge(caller: Administrator, session: TenantSession, alert: AlertKey) -> AlertOut:
    """Note who has seen to it and when; all alerts of that verdict stop escalating."""
    return AlertOut.of(alert_log.acknowledge(session, alert, by=caller.key_id))


@router.post("/v1/alerts/{alert}/resend", status_code=202, summary="Send an alert again")
def post_resend(caller: Administrator, session: TenantSession, alert: AlertKey) -> AlertOut:
    """Send one alert again under its id, whatever became of it."""
    return AlertOut.of(alert_log.resend(session, alert, by=caller.key_id))


@router.get("/v1/deliveries", summary="List attempts")
def list_deliveries(
    caller: LenderReader,
    session: TenantSession,
    endpoint_id: EndpointIs = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> DeliveryPage:
    """List every attempt at delivering alerts, newest first."""
    del caller
    page = alert_log.list_deliveries(session, endpoint_id, cursor=cursor, limit=limit)
    items = [DeliveryOut.of(row) for row in page.rows]
    return DeliveryPage(items=items, next_cursor=page.next_cursor)

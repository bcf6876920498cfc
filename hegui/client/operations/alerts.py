"""Operations of `alerts`; written by hegui.client_generator, do not edit."""

from uuid import UUID

from hegui.client.group import Group
from service.api.alerts import AlertOut, AlertPage, DeliveryPage


class AlertsGroup(Group):
    """Operations of `alerts`."""

    def list_alerts(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        endpoint_id: UUID | None = None,
        agency_id: UUID | None = None,
        state: str | None = None,
        severity: str | None = None,
        acknowledged: bool | None = None,
    ) -> AlertPage:
        """List what the endpoints are told, newest first."""
        return self._typed(
            AlertPage,
            "GET",
            "/v1/alerts",
            query={
                "cursor": cursor,
                "limit": limit,
                "endpoint_id": endpoint_id,
                "agency_id": agency_id,
                "state": state,
                "severity": severity,
                "acknowledged": acknowledged,
            },
        )

    def post_acknowledge(self, alert: UUID) -> AlertOut:
        """Note who has seen to it and when; all alerts of that verdict stop escalating."""
        return self._typed(AlertOut, "POST", f"/v1/alerts/{alert}/acknowledge")

    def post_resend(self, alert: UUID) -> AlertOut:
        """Send one alert again under its id, whatever became of it."""
        return self._typed(AlertOut, "POST", f"/v1/alerts/{alert}/resend")

    def list_deliveries(
        self,
        *,
        endpoint_id: UUID | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> DeliveryPage:
        """List every attempt at delivering alerts, newest first."""
        return self._typed(
            DeliveryPage,
            "GET",
            "/v1/deliveries",
            query={"endpoint_id": endpoint_id, "cursor": cursor, "limit": limit},
        )

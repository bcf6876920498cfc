"""Operations of `completeness`; written by hegui.client_generator, do not edit."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from hegui.client.group import Group
from service.api.completeness import (
    AgencyEndpointIn,
    AgencyEndpointOut,
    DayPage,
    FaultPage,
    ListOut,
)


class CompletenessGroup(Group):
    """Operations of `completeness`."""

    def put_call_list(
        self,
        agency_id: UUID,
        day: date,
        content: bytes,
        content_type: str = "text/csv",
        *,
        rows: int,
        sha256: str,
    ) -> ListOut:
        """Send a day's list of calls."""
        return self._typed(
            ListOut,
            "PUT",
            f"/v1/call-lists/{agency_id}/{day}",
            query={"rows": rows, "sha256": sha256},
            content=content,
            content_type=content_type,
        )

    def list_days(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        agency_id: UUID | None = None,
        since: date | None = None,
        to: date | None = None,
    ) -> DayPage:
        """List the figure of each agency and day, the newest first."""
        return self._typed(
            DayPage,
            "GET",
            "/v1/completeness",
            query={
                "cursor": cursor,
                "limit": limit,
                "agency_id": agency_id,
                "from": since,
                "to": to,
            },
        )

    def list_faults(
        self,
        *,
        kind: str | None = None,
        is_open: bool | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        agency_id: UUID | None = None,
        since: date | None = None,
        to: date | None = None,
    ) -> FaultPage:
        """List faults; an agency sees its own, and sends again what is asked for."""
        return self._typed(
            FaultPage,
            "GET",
            "/v1/completeness/findings",
            query={
                "kind": kind,
                "open": is_open,
                "cursor": cursor,
                "limit": limit,
                "agency_id": agency_id,
                "from": since,
                "to": to,
            },
        )

    def put_endpoint(
        self, agency_id: UUID, body: AgencyEndpointIn | Mapping[str, Any]
    ) -> AgencyEndpointOut:
        """Set where `recording.requested` goes, signed with a new secret."""
        return self._typed(
            AgencyEndpointOut, "PUT", f"/v1/agencies/{agency_id}/endpoint", body=body
        )

    def delete_endpoint(self, agency_id: UUID) -> bytes:
        """Send no more `recording.requested`; the list of what is missing stays."""
        return self._bytes("DELETE", f"/v1/agencies/{agency_id}/endpoint")

"""Operations of `checks`; written by hegui.client_generator, do not edit."""

from datetime import datetime
from uuid import UUID

from hegui.client.group import Group
from service.api.checks import BatchCheckOut


class ChecksGroup(Group):
    """Operations of `checks`."""

    def get_agency_check(
        self, agency_id: UUID, *, since: datetime, to: datetime | None = None
    ) -> BatchCheckOut:
        """Sum up the contacts of one agency and time: status, conclusion, counts by rule."""
        return self._typed(
            BatchCheckOut,
            "GET",
            f"/v1/checks/agencies/{agency_id}",
            query={"from": since, "to": to},
        )

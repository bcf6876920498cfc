"""Operations of `reports`; written by hegui.client_generator, do not edit."""

from datetime import date
from uuid import UUID

from hegui.client.group import Group


class ReportsGroup(Group):
    """Operations of `reports`."""

    def get_agency_report(
        self, agency_id: UUID, *, form: str | None = None, since: date, to: date
    ) -> bytes:
        """Make the audit report of one agency for whole days in Asia/Shanghai."""
        return self._bytes(
            "GET",
            f"/v1/reports/agencies/{agency_id}",
            query={"format": form, "from": since, "to": to},
        )

    def get_lender_report(self, *, form: str | None = None, since: date, to: date) -> bytes:
        """Make one audit report of all the lender's agencies; an agency's shows its own alone."""
        return self._bytes(
            "GET", "/v1/reports/lender", query={"format": form, "from": since, "to": to}
        )

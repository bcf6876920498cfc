"""Operations of `checks`; written by hegui.client_generator, do not edit."""

from datetime import datetime
from uuid import UUID

from hegui.client.group import Group
from service.api.checks import BatchCheckOut, CampaignCheckOut, ManifestCheckOut


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

    def get_manifest_check(self, manifest: UUID) -> ManifestCheckOut:
        """Get Manifest Check."""
        return self._typed(ManifestCheckOut, "GET", f"/v1/checks/manifests/{manifest}")

    def get_campaign_check(
        self, campaign: str, *, agency_id: UUID | None = None
    ) -> CampaignCheckOut:
        """Get Campaign Check."""
        return self._typed(
            CampaignCheckOut,
            "GET",
            f"/v1/checks/campaigns/{campaign}",
            query={"agency_id": agency_id},
        )

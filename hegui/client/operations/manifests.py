"""Operations of `manifests`; written by hegui.client_generator, do not edit."""

from datetime import datetime
from uuid import UUID

from hegui.client.group import Group
from service.api.manifests import ListedPage, ManifestOut, ManifestPage


class ManifestsGroup(Group):
    """Operations of `manifests`."""

    def post_manifest(
        self,
        content: bytes,
        content_type: str = "text/csv",
        *,
        name: str,
        sha256: str,
        rows: int | None = None,
        campaign: str | None = None,
        due_at: datetime | None = None,
    ) -> ManifestOut:
        """Take a list as CSV or JSON lines, whole or not at all; the same again changes nothing."""
        return self._typed(
            ManifestOut,
            "POST",
            "/v1/manifests",
            query={
                "name": name,
                "sha256": sha256,
                "rows": rows,
                "campaign": campaign,
                "due_at": due_at,
            },
            content=content,
            content_type=content_type,
        )

    def list_manifests(
        self,
        *,
        agency_id: UUID | None = None,
        name: str | None = None,
        campaign: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> ManifestPage:
        """List manifests, those received last first; an agency sees its own."""
        return self._typed(
            ManifestPage,
            "GET",
            "/v1/manifests",
            query={
                "agency_id": agency_id,
                "name": name,
                "campaign": campaign,
                "cursor": cursor,
                "limit": limit,
            },
        )

    def list_contacts(
        self,
        manifest: UUID,
        *,
        stage: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> ListedPage:
        """List the contacts by the agency's ids; send what is missing again."""
        return self._typed(
            ListedPage,
            "GET",
            f"/v1/manifests/{manifest}/interactions",
            query={"stage": stage, "after": after, "limit": limit},
        )

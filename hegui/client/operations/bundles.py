"""Operations of `bundles`; written by hegui.client_generator, do not edit."""

from uuid import UUID

from hegui.client.group import Group


class BundlesGroup(Group):
    """Operations of `bundles`."""

    def get_bundle(self, interaction: UUID) -> bytes:
        """Export a contact's evidence."""
        return self._bytes("GET", f"/v1/interactions/{interaction}/bundle")

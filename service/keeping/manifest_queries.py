"""Which contacts belong to a manifest or a campaign, as parts of queries."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, literal_column
from sqlmodel import col, select

from service.keeping.manifest_models import UploadManifest, UploadManifestRow
from service.models import EventRow, InteractionRow


def campaign_of_event() -> ColumnElement[str]:
    """The campaign that an event names, in the words of the index on it."""
    return literal_column("event.body #>> '{data,campaign}'", Text())


def is_listed_as() -> ColumnElement[bool]:
    """The condition that a contact is the one that a manifest's row names."""
    return and_(
        col(InteractionRow.tenant_id) == col(UploadManifestRow.tenant_id),
        col(InteractionRow.agency_id) == col(UploadManifestRow.agency_id),
        col(InteractionRow.interaction_id) == col(UploadManifestRow.interaction_id),
    )


def is_row_of_manifest() -> ColumnElement[bool]:
    """The condition that a row is the manifest's own."""
    return and_(
        col(UploadManifest.tenant_id) == col(UploadManifestRow.tenant_id),
        col(UploadManifest.id) == col(UploadManifestRow.manifest_id),
    )


def ids_in_manifest(manifest_id: UUID) -> Any:
    """Our ids of the contacts of a manifest that came, as a query."""
    return (
        select(InteractionRow.id)
        .join(UploadManifestRow, is_listed_as())
        .where(col(UploadManifestRow.manifest_id) == manifest_id)
    )


def ids_in_campaign(campaign: str) -> Any:
    """Our ids of the contacts of a campaign, as a query.

    Its contacts are those whose latest event names it, and those that a manifest of it lists.
    """
    described = and_(
        col(EventRow.tenant_id) == col(InteractionRow.tenant_id),
        col(EventRow.id) == col(InteractionRow.event_id),
    )
    named = (
        select(InteractionRow.id).join(EventRow, described).where(campaign_of_event() == campaign)
    )
    listed = (
        select(InteractionRow.id)
        .join(UploadManifestRow, is_listed_as())
        .join(UploadManifest, is_row_of_manifest())
        .where(col(UploadManifest.campaign) == campaign)
    )
    return named.union(listed)

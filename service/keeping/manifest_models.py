"""The tables of upload manifests: which contacts an agency says it sends, by its own ids."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from service.clock import now
from service.columns import MOMENT, TEXT, to_fenced

# Of events, by the campaign that they name; few name one.
CAMPAIGN_INDEX = Index(
    "event_campaign_idx",
    "tenant_id",
    text("(body #>> '{data,campaign}')"),
    postgresql_where=text("body #>> '{data,campaign}' is not null"),
)


class UploadManifest(SQLModel, table=True):
    """A list of contacts that an agency sends; it never changes, another list is another one.

    What has not come by `due_at` is missing.
    """

    __tablename__ = "upload_manifest"
    __table_args__ = (
        to_fenced("agency", "agency_id"),
        UniqueConstraint("tenant_id", "agency_id", "name", "sha256"),
        Index(None, "tenant_id", "received_at", "id"),
        Index(None, "tenant_id", "campaign"),
    )

    tenant_id: UUID = Field(primary_key=True)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    agency_id: UUID
    name: str = Field(sa_type=TEXT)
    campaign: str | None = Field(default=None, sa_type=TEXT)
    sha256: str = Field(sa_type=TEXT)
    rows: int
    due_at: datetime = Field(sa_type=MOMENT)
    received_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    received_by: str = Field(sa_type=TEXT)


class UploadManifestRow(SQLModel, table=True):
    """One contact of a manifest, by the agency's own id; it may never have come."""

    __tablename__ = "upload_manifest_row"
    __table_args__ = (
        to_fenced("upload_manifest", "manifest_id"),
        to_fenced("agency", "agency_id"),
    )

    tenant_id: UUID = Field(primary_key=True)
    manifest_id: UUID = Field(primary_key=True)
    interaction_id: str = Field(primary_key=True, sa_type=TEXT)
    agency_id: UUID

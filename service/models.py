"""The tables; every one with `tenant_id` first in its keys is fenced by row-level security."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON as EXACT_JSON
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Identity,
    Index,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from service.access.models import AccessGrant  # with it all tables of its module are known
from service.access.person_models import Person  # with it all tables of its module are known
from service.alerts.models import AlertRow, AlertState, DeliveryRow, Endpoint, EndpointKind
from service.clock import now
from service.columns import JSON, MOMENT, NONE_YET, TEXT, WRITER, among, metadata, to_fenced
from service.evidence.ledger_models import (
    LedgerCheckpoint,
    LedgerEntry,
    LedgerHead,
    LedgerKey,
    LedgerNode,
    LedgerPost,
    LedgerSalt,
)
from service.keeping.completeness_models import CallList  # and all tables of its module
from service.keeping.manifest_models import CAMPAIGN_INDEX, UploadManifest  # and its rows
from service.keeping.retention_models import HoldRow  # with it all tables of its module are known
from service.parameter_models import ParameterSet, SpeechSet
from service.people.models import ReviewRow  # with it all tables of its module are known
from service.privacy.models import DataKey  # with it all tables of its module are known

__all__ = [
    "AccessGrant", "Actor", "Agency", "AlertRow", "AlertState", "ApiKey", "AuditEntry", "CallList",
    "CollectionCase", "DataKey", "DeliveryRow", "Endpoint", "EndpointKind", "EventRow",
    "FindingRow", "Heartbeat", "HoldRow", "InteractionRow", "InteractionState", "LedgerCheckpoint",
    "LedgerEntry", "LedgerHead", "LedgerKey", "LedgerNode", "LedgerPost", "LedgerSalt",
    "ParameterSet", "Person", "RecordingRow", "ReviewRow", "Scope", "SpeechSet", "Tenant",
    "TranscriptPiece", "TranscriptRow", "UploadManifest", "VerdictRow", "WebhookSource", "metadata",
]  # fmt: skip


class Actor(StrEnum):
    """On whose side a caller stands. Operators sign in as people; no key is an operator's."""

    LENDER = "lender"
    AGENCY = "agency"
    REGULATOR = "regulator"
    OPERATOR = "operator"


class Scope(StrEnum):
    """What a key or a person may do.

    A lender's administers, reviews or reads; an agency's sends or answers for the quality of its
    calls; a regulator's reads; an operator's operates. Each but the last may read too.
    """

    ADMIN = "admin"
    REVIEW = "review"
    SEND = "send"
    QUALITY = "quality"
    READ = "read"
    OPERATE = "operate"


class InteractionState(StrEnum):
    """How far an interaction has come on the road."""

    ACCEPTED = "accepted"
    WAITING = "waiting"
    FETCHING = "fetching"
    TRANSCRIBING = "transcribing"
    TRANSCRIBED = "transcribed"
    UNDECODABLE = "undecodable"
    MISSING = "missing"
    CHECKED = "checked"


class Tenant(SQLModel, table=True):
    """A lender. Not fenced: it is read before a tenant is known."""

    __tablename__ = "tenant"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    name: str = Field(sa_type=TEXT)
    created_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    suspended_at: datetime | None = Field(default=None, sa_type=MOMENT)
    removed_at: datetime | None = Field(default=None, sa_type=MOMENT)


class ApiKey(SQLModel, table=True):
    """The digest of a credential and whom it speaks for. Not fenced: it names the tenant.

    A regulator's key names the regulator and no tenant. `replaces` is the key that this one came
    from by rotation, `root_id` the first of that chain, `person_id` the person whose it is, where
    it is somebody's. A trigger keeps a key's end from moving
    away, and all but its label and its end as they are.
    """

    __tablename__ = "api_key"
    __table_args__ = (
        UniqueConstraint("key_id"),
        to_fenced("agency", "agency_id"),
        CheckConstraint("actor in ('lender', 'agency', 'regulator')", name="actor"),
        CheckConstraint("scope in ('admin', 'review', 'send', 'quality', 'read')", name="scope"),
        CheckConstraint("(actor = 'agency') = (agency_id is not null)", name="agency_has_id"),
        CheckConstraint(
            "(actor = 'regulator') = (regulator_id is not null)"
            " and (actor = 'regulator') = (tenant_id is null)",
            name="speaks_for_one",
        ),
        UniqueConstraint("replaces"),
        Index(None, "tenant_id"),
        Index(None, "regulator_id"),
        Index(None, "root_id"),
        Index(None, "person_id"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    key_id: str = Field(sa_type=TEXT)
    digest: str = Field(sa_type=TEXT)
    tenant_id: UUID | None = Field(default=None, foreign_key="tenant.id")
    actor: str = Field(sa_type=TEXT)
    scope: str = Field(sa_type=TEXT)
    agency_id: UUID | None = None
    regulator_id: UUID | None = Field(default=None, foreign_key="regulator.id")
    label: str = Field(sa_type=TEXT)
    created_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    expires_at: datetime | None = Field(default=None, sa_type=MOMENT)
    revoked_at: datetime | None = Field(default=None, sa_type=MOMENT)
    suspended_at: datetime | None = Field(default=None, sa_type=MOMENT)
    replaces: UUID | None = Field(default=None, foreign_key="api_key.id")
    root_id: UUID | None = None
    person_id: UUID | None = Field(default=None, foreign_key="person.id")


class WebhookSource(SQLModel, table=True):
    """The signing secrets of an agency's webhooks. Not fenced: the URL names only the agency."""

    __tablename__ = "webhook_source"
    __table_args__ = (to_fenced("agency", "agency_id"),)

    agency_id: UUID = Field(primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    secret_current: str = Field(sa_type=TEXT)
    secret_previous: str | None = Field(default=None, sa_type=TEXT)
    previous_until: datetime | None = Field(default=None, sa_type=MOMENT)


class Agency(SQLModel, table=True):
    """A collection firm as one lender knows it."""

    __tablename__ = "agency"

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    name: str = Field(sa_type=TEXT)
    created_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    suspended_at: datetime | None = Field(default=None, sa_type=MOMENT)
    removed_at: datetime | None = Field(default=None, sa_type=MOMENT)


class EventRow(SQLModel, table=True):
    """One accepted event as it came; its id is the receipt. `occurred_at` is its `timestamp`.

    Who it is about (names, numbers) is not in `body` but in `sealed` (`service.privacy.sealing`).
    """

    __tablename__ = "event"
    __table_args__ = (
        UniqueConstraint("tenant_id", "agency_id", "message_id"),
        to_fenced("agency", "agency_id"),
        Index(None, "tenant_id", "case_id"),
        Index(None, "tenant_id", "written_xid"),
        CAMPAIGN_INDEX,
    )

    tenant_id: UUID = Field(primary_key=True)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    agency_id: UUID
    message_id: str = Field(sa_type=TEXT)
    body_sha256: str = Field(sa_type=TEXT)
    body: dict[str, Any] = Field(sa_type=JSON)
    kind: str = Field(sa_type=TEXT)
    case_id: str = Field(sa_type=TEXT)
    interaction_id: str | None = Field(default=None, sa_type=TEXT)
    occurred_at: datetime = Field(sa_type=MOMENT)
    received_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    sealed: bytes | None = Field(default=None, sa_type=LargeBinary)
    erased_at: datetime | None = Field(default=None, sa_type=MOMENT)
    written_xid: int | None = Field(
        default=None, nullable=False, sa_type=BigInteger, sa_column_kwargs=WRITER
    )


class CollectionCase(SQLModel, table=True):
    """A case's bookkeeping: it needs a check while `checked` is behind `wanted`.

    Whoever adds something to a case raises `wanted` first, and a check claims this row before it
    reads events; so the row's lock puts them in order and no event is overlooked.
    """

    __tablename__ = "collection_case"
    __table_args__ = (
        UniqueConstraint("tenant_id", "case_id"),
        Index(
            "collection_case_unchecked_idx",
            "tenant_id",
            "lease_until",
            postgresql_where=text("checked < wanted"),
        ),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    case_id: str = Field(sa_type=TEXT)
    wanted: int = 0
    checked: int = 0
    attempt: int = 0
    tries: int = 0  # claims since a check was last stored; work that keeps dying is set aside
    lease_until: datetime | None = Field(default=None, sa_type=MOMENT)


class InteractionRow(SQLModel, table=True):
    """One contact, as its latest event describes it (`event_id`, `as_of`).

    `to_hear` says that its words have to come from the recording: no transcript came with it.
    `progress` is the share of the recording that is heard (0..1), while it is being heard.
    """

    __tablename__ = "interaction"
    __table_args__ = (
        UniqueConstraint("tenant_id", "agency_id", "interaction_id"),
        to_fenced("agency", "agency_id"),
        to_fenced("event", "event_id"),
        among("state", InteractionState),
        Index(None, "tenant_id", "case_id"),
        Index(None, "tenant_id", "started_at", "id"),
        Index(None, "tenant_id", "recording_sha256"),
        Index(
            "interaction_unheard_idx",
            "tenant_id",
            "state",
            "received_at",
            postgresql_where=text("state in ('waiting', 'fetching', 'transcribing')"),
        ),
    )

    tenant_id: UUID = Field(primary_key=True)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    agency_id: UUID
    interaction_id: str = Field(sa_type=TEXT)
    case_id: str = Field(sa_type=TEXT)
    event_id: UUID
    as_of: datetime = Field(sa_type=MOMENT)
    channel: str = Field(sa_type=TEXT)
    direction: str = Field(sa_type=TEXT)
    started_at: datetime = Field(sa_type=MOMENT)
    recording_sha256: str | None = Field(default=None, sa_type=TEXT)
    to_hear: bool = False
    state: str = Field(sa_type=TEXT)
    reason: str | None = Field(default=None, sa_type=TEXT)
    outcome: str | None = Field(default=None, sa_type=TEXT)
    verdict_id: UUID | None = None
    attempt: int = 0
    tries: int = 0  # claims since a step was last stored
    lease_until: datetime | None = Field(default=None, sa_type=MOMENT)
    received_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    progress: float | None = None
    progress_at: datetime | None = Field(default=None, sa_type=MOMENT)


class RecordingRow(SQLModel, table=True):
    """The bytes we hold under a hash; a trigger keeps `retain_until` from ever going down.

    `purged_at` makes the row a tombstone. `store_until` and `store_held` are what the store itself
    was last told.
    """

    __tablename__ = "recording"
    __table_args__ = (
        Index(None, "tenant_id", "written_xid"),
        Index(
            "recording_past_idx",
            "tenant_id",
            "retain_until",
            postgresql_where=text("purged_at is null"),
        ),
        Index(
            "recording_unlocked_idx",
            "tenant_id",
            "sha256",
            postgresql_where=text(
                "purged_at is null and store_until is distinct from retain_until"
            ),
        ),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    sha256: str = Field(primary_key=True, sa_type=TEXT)
    size_bytes: int = Field(sa_type=BigInteger)
    received_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    retain_until: datetime = Field(sa_type=MOMENT)
    purged_at: datetime | None = Field(default=None, sa_type=MOMENT)
    purge_run_id: UUID | None = None
    store_until: datetime | None = Field(default=None, sa_type=MOMENT)
    store_held: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    written_xid: int | None = Field(
        default=None, nullable=False, sa_type=BigInteger, sa_column_kwargs=WRITER
    )


class TranscriptRow(SQLModel, table=True):
    """What the speech engine heard in an interaction's recording; its segments as one document.

    `words` holds the words of each segment apart: they are many, and a check needs none of them.
    Both are sealed (`service.privacy.sealed_words`) and empty in the clear.
    """

    __tablename__ = "transcript"
    __table_args__ = (
        to_fenced("interaction", "interaction_id"),
        Index(None, "tenant_id", "written_xid"),
    )

    tenant_id: UUID = Field(primary_key=True)
    interaction_id: UUID = Field(primary_key=True)
    recording_sha256: str | None = Field(default=None, sa_type=TEXT)
    segments: list[dict[str, Any]] = Field(sa_type=JSON)
    engine: str = Field(sa_type=TEXT)
    model_digest: str = Field(sa_type=TEXT)
    parameters: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    decoded_seconds: float | None = None
    untrusted_share: float = 0.0
    created_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    flags: list[str] = Field(default_factory=list, sa_type=JSON, sa_column_kwargs=NONE_YET)
    words: list[list[dict[str, Any]]] = Field(
        default_factory=list, sa_type=JSON, sa_column_kwargs=NONE_YET
    )
    sealed_segments: bytes | None = Field(default=None, sa_type=LargeBinary)
    sealed_words: bytes | None = Field(default=None, sa_type=LargeBinary)
    written_xid: int | None = Field(
        default=None, nullable=False, sa_type=BigInteger, sa_column_kwargs=WRITER
    )


class TranscriptPiece(SQLModel, table=True):
    """A finished part of a transcript in the making, for the worker that goes on after a death.

    It lives until the hearing ends: a trigger takes the pieces away then, whatever ended it.
    """

    __tablename__ = "transcript_piece"
    __table_args__ = (to_fenced("interaction", "interaction_id"),)

    tenant_id: UUID = Field(primary_key=True)
    interaction_id: UUID = Field(primary_key=True)
    position: int = Field(primary_key=True)
    key: str = Field(sa_type=TEXT)
    until_seconds: float
    doc: dict[str, Any] = Field(sa_type=EXACT_JSON)  # to the letter, unlike the binary form
    sealed: bytes | None = Field(default=None, sa_type=LargeBinary)  # then `doc` is empty
    created_at: datetime = Field(default_factory=now, sa_type=MOMENT)


class VerdictRow(SQLModel, table=True):
    """One check's outcome; a later check that differs adds a revision and takes `is_current`."""

    __tablename__ = "verdict"
    __table_args__ = (
        UniqueConstraint("tenant_id", "interaction_id", "revision"),
        to_fenced("interaction", "interaction_id"),
        Index(
            "verdict_current_idx",
            "tenant_id",
            "interaction_id",
            unique=True,
            postgresql_where=text("is_current"),
        ),
        Index(None, "tenant_id", "written_xid"),
    )

    tenant_id: UUID = Field(primary_key=True)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    interaction_id: UUID
    revision: int
    outcome: str = Field(sa_type=TEXT)
    reasons: list[str] = Field(default_factory=list, sa_type=JSON)
    pack: str = Field(sa_type=TEXT)
    pack_digest: str = Field(sa_type=TEXT)
    findings_digest: str = Field(sa_type=TEXT)
    parameters_revision: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    untrusted_share: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    evaluated_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    is_current: bool = True
    written_xid: int | None = Field(
        default=None, nullable=False, sa_type=BigInteger, sa_column_kwargs=WRITER
    )


class FindingRow(SQLModel, table=True):
    """One finding of a verdict; `doc` is its whole public document."""

    __tablename__ = "finding"
    __table_args__ = (
        UniqueConstraint("tenant_id", "verdict_id", "position"),
        to_fenced("verdict", "verdict_id"),
        to_fenced("interaction", "interaction_id"),
        to_fenced("agency", "agency_id"),
        Index(None, "tenant_id", "started_at", "id"),
        Index(None, "tenant_id", "rule"),
        Index(None, "tenant_id", "interaction_id"),
    )

    tenant_id: UUID = Field(primary_key=True)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    verdict_id: UUID
    interaction_id: UUID
    agency_id: UUID
    position: int
    rule: str = Field(sa_type=TEXT)
    severity: str = Field(sa_type=TEXT)
    disposition: str = Field(sa_type=TEXT)
    doc: dict[str, Any] = Field(sa_type=JSON)
    started_at: datetime = Field(sa_type=MOMENT)


class Heartbeat(SQLModel, table=True):
    """When a periodic job last ran to its end. Not fenced: it holds nothing of a tenant."""

    __tablename__ = "heartbeat"

    name: str = Field(primary_key=True, sa_type=TEXT)
    at: datetime = Field(default_factory=now, sa_type=MOMENT)


class AuditEntry(SQLModel, table=True):
    """Something that was done, by whom; the application may add entries and read them, no more."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index(None, "tenant_id", "at"),
        Index(None, "tenant_id", "written_xid"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    seq: int | None = Field(
        default=None,
        primary_key=True,
        sa_type=BigInteger,
        sa_column_args=(Identity(always=True),),
    )
    at: datetime = Field(default_factory=now, sa_type=MOMENT)
    actor: str = Field(sa_type=TEXT)
    action: str = Field(sa_type=TEXT)
    subject_id: str | None = Field(default=None, sa_type=TEXT)
    details: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    written_xid: int | None = Field(
        default=None, nullable=False, sa_type=BigInteger, sa_column_kwargs=WRITER
    )

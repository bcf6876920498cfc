"""Upload manifests: an agency says which contacts it sends, so that what never came is seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from rules.model import Outcome
from service.audit import add_entry
from service.errors import FieldProblem, InvalidInputError, NotFoundError
from service.keeping.manifest_models import UploadManifest, UploadManifestRow
from service.keeping.manifest_queries import is_listed_as
from service.models import InteractionRow
from service.read import Page, make_cursor, read_cursor


class Stage(StrEnum):
    """How far a listed contact has come."""

    MISSING = "missing"
    PENDING = "pending"
    CHECKED = "checked"


@dataclass(frozen=True, slots=True)
class ManifestWish:
    """What the agency says of its upload; `campaign` is that of all its contacts."""

    name: str
    sha256: str
    due_at: datetime
    campaign: str | None = None


@dataclass(frozen=True, slots=True)
class ListedContact:
    """One contact of a manifest; `id` is ours, None where it never came."""

    interaction_id: str
    id: UUID | None
    outcome: Outcome | None

    @property
    def stage(self) -> Stage:
        """How far it has come."""
        if self.id is None:
            return Stage.MISSING
        return Stage.PENDING if self.outcome is None else Stage.CHECKED


def add_manifest(
    session: Session,
    *,
    tenant_id: UUID,
    agency_id: UUID,
    wish: ManifestWish,
    names: Sequence[str],
    by: str,
    now: datetime,
) -> tuple[UploadManifest, bool]:
    """Keep a manifest; the same name and list again give the one that is here, and False.

    Raises `InvalidInputError` where it is due before now.
    """
    made = UploadManifest(
        tenant_id=tenant_id, agency_id=agency_id, name=wish.name, campaign=wish.campaign,
        sha256=wish.sha256, rows=len(names), due_at=wish.due_at, received_at=now, received_by=by,
    )  # fmt: skip
    key = ("tenant_id", "agency_id", "name", "sha256")
    fresh = session.execute(
        insert(UploadManifest)
        .values(**made.model_dump())
        .on_conflict_do_nothing(index_elements=key)
        .returning(col(UploadManifest.id))
    ).first()
    if fresh is None:
        return session.exec(
            select(UploadManifest)
            .where(col(UploadManifest.agency_id) == agency_id)
            .where(col(UploadManifest.name) == wish.name)
            .where(col(UploadManifest.sha256) == wish.sha256)
        ).one(), False
    if wish.due_at <= now:
        problem = FieldProblem("due_at", "lies in the past")
        raise InvalidInputError("Nothing was stored.", errors=(problem,))
    rows = [
        {
            "tenant_id": tenant_id,
            "manifest_id": made.id,
            "interaction_id": name,
            "agency_id": agency_id,
        }
        for name in names
    ]
    if rows:
        session.connection().execute(insert(UploadManifestRow), rows)
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=by,
        action="manifest_received",
        subject_id=str(made.id),
        details={"agency_id": str(agency_id), "rows": len(names), "sha256": wish.sha256},
    )
    return made, True


def get_manifest(session: Session, manifest_id: UUID) -> UploadManifest:
    """One manifest; raises `NotFoundError` where it is not there for this caller."""
    found = session.exec(select(UploadManifest).where(UploadManifest.id == manifest_id)).first()
    if found is None:
        raise NotFoundError("There is no such manifest.")
    return found


def list_manifests(
    session: Session,
    *,
    agency_id: UUID | None = None,
    name: str | None = None,
    campaign: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page:
    """Manifests that the caller may see, those received last first."""
    table = UploadManifest
    query = select(table)
    for column, value in (("agency_id", agency_id), ("name", name), ("campaign", campaign)):
        if value is not None:
            query = query.where(getattr(table, column) == value)
    if cursor is not None:
        place = tuple_(*read_cursor(cursor))
        query = query.where(tuple_(col(table.received_at), col(table.id)) < place)
    rows = session.exec(
        query.order_by(col(table.received_at).desc(), col(table.id).desc()).limit(limit + 1)
    ).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(rows[:limit], make_cursor(last.received_at, last.id) if last else None)


def list_contacts(
    session: Session,
    manifest: UploadManifest,
    *,
    stage: Stage | None = None,
    after: str = "",
    limit: int = 50,
) -> list[ListedContact]:
    """The contacts of a manifest by their ids, those past `after`; one more than `limit` is read.

    The caller cuts the last one off: it says that there is a further page.
    """
    query = (
        select(UploadManifestRow.interaction_id, InteractionRow.id, InteractionRow.outcome)
        .join(InteractionRow, is_listed_as(), isouter=True)
        .where(col(UploadManifestRow.manifest_id) == manifest.id)
        .where(col(UploadManifestRow.interaction_id) > after)
        .order_by(col(UploadManifestRow.interaction_id))
        .limit(limit + 1)
    )
    arrived, checked = col(InteractionRow.id).is_not(None), col(InteractionRow.outcome).is_not(None)
    match stage:
        case Stage.MISSING:
            query = query.where(~arrived)
        case Stage.PENDING:
            query = query.where(arrived, ~checked)
        case Stage.CHECKED:
            query = query.where(checked)
    return [
        ListedContact(name, found, Outcome(outcome) if outcome else None)
        for name, found, outcome in session.exec(query).all()
    ]

"""What is kept and until when: dates, legal holds, purge runs. A lender's own affair."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from rules.events import Identifier, SafeStr, Sha256
from service.api.deps import Administrator, LenderReader, TenantSession
from service.api.reading import Cursor, Limit
from service.clock import now
from service.config import settings
from service.keeping import holds, purge, retention
from service.keeping.holds import HoldWish, Placed
from service.keeping.retention_models import (
    HoldKind,
    HoldRow,
    ItemState,
    PurgeItem,
    PurgeRun,
    PurgeState,
)
from service.keeping.storage import retention_proof

router = APIRouter(tags=["retention"])

HoldKey = Annotated[UUID, Path(description="The hold's id.")]
PurgeKey = Annotated[UUID, Path(description="The purge run's id.")]
Reason = Annotated[SafeStr, StringConstraints(min_length=1, max_length=500)]
After = Annotated[
    str | None, Query(pattern=r"^[0-9a-f]{64}$", description="`sha256` of the last row before.")
]


class Shape(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class ProofOut(Shape):
    """Whether the store was seen to refuse early removal."""

    state: Literal["proven", "unproven"]
    store: str
    detail: str
    checked_at: datetime


class RetentionOut(Shape):
    """How many recordings are kept, and how well."""

    kept: int
    held: int = Field(description="Of the kept: under a legal hold.")
    past: int = Field(description="Of the kept: past their date and not held; they should go.")
    purged: int
    size_bytes: int
    earliest_until: datetime | None
    clock: str | None = Field(
        description="Why the clock is not trusted for a purge: no_tick, jumped, went_back; or null."
    )
    store: ProofOut


class PastOut(Shape):
    """A recording past its date, and what keeps it."""

    sha256: str
    size_bytes: int
    received_at: datetime
    retain_until: datetime
    held: bool
    run_id: UUID | None = Field(description="The open purge run that lists it.")


class PastPage(Shape):
    """Recordings past their date, the longest overdue first."""

    items: list[PastOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


class HoldIn(BaseModel):
    """What to hold: exactly one of interaction, case, recording, or an agency with a period."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason = Field(examples=["12378 complaint, file 2026-118"])
    interaction_id: UUID | None = Field(default=None, description="Its id within this service.")
    case_id: Identifier | None = None
    sha256: Sha256 | None = None
    agency_id: UUID | None = None
    period_from: AwareDatetime | None = None
    period_to: AwareDatetime | None = Field(default=None, description="Exclusive.")


class ReleaseIn(BaseModel):
    """Why a hold ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason


class HoldOut(Shape):
    """A hold with its history."""

    id: UUID
    kind: HoldKind
    interaction_id: UUID | None
    case_id: str | None
    sha256: str | None
    agency_id: UUID | None
    period_from: datetime | None
    period_to: datetime | None
    reason: str
    placed_at: datetime
    placed_by: str
    released_at: datetime | None
    released_by: str | None
    release_reason: str | None


class PlacedOut(HoldOut):
    """A hold and what lies under it now."""

    recordings_held: int
    recordings_purged: int = Field(description="Purged before the hold came.")

    @classmethod
    def of(cls, placed: Placed) -> "PlacedOut":
        """Show one hold."""
        names = {name: getattr(placed.row, name) for name in HoldOut.model_fields}
        return cls(**names, recordings_held=placed.held, recordings_purged=placed.purged)


class HoldPage(Shape):
    """Holds, the newest first."""

    items: list[HoldOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


class ApprovalIn(BaseModel):
    """The digest of the list that was looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    list_sha256: Sha256


class PurgeOut(Shape):
    """A purge run and how far it is."""

    id: UUID
    state: PurgeState
    listed: int
    list_sha256: str = Field(description="SHA-256 of the listed hashes, in order, one a line.")
    planned_at: datetime
    planned_by: str
    ready_at: datetime = Field(description="When it may be approved.")
    approved_at: datetime | None
    approved_by: str | None
    ended_at: datetime | None
    certificate_sha256: str | None


class PurgeDetailOut(PurgeOut):
    """A run with its counts."""

    counts: dict[ItemState, int]

    @classmethod
    def of(cls, run: PurgeRun, counts: dict[str, int]) -> "PurgeDetailOut":
        """Show one run."""
        names = {name: getattr(run, name) for name in PurgeOut.model_fields}
        return cls(**names, counts={ItemState(state): count for state, count in counts.items()})


class PurgePage(Shape):
    """Runs, the newest first."""

    items: list[PurgeOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


class PurgeItemOut(Shape):
    """A recording of a run; once removed this is its tombstone."""

    sha256: str
    size_bytes: int
    received_at: datetime
    retain_until: datetime
    contacts: int
    state: ItemState
    reason: str | None = Field(description="Why it is kept after all.")
    removed_at: datetime | None


class PurgeItemList(Shape):
    """Recordings of a run, by hash; pass the last one's as `after` for the next page."""

    items: list[PurgeItemOut]


class CertificateOut(Shape):
    """What a run removed; `sha256` is over the certificate with sorted keys and no spaces."""

    certificate: dict[str, Any]
    sha256: str


@router.get("/v1/retention", summary="How well recordings are kept")
def get_retention(caller: LenderReader, session: TenantSession) -> RetentionOut:
    """Count what is kept, held, overdue and purged, and say whether the store proves it."""
    del caller
    return RetentionOut(
        **retention.summarise(session, now=now()),
        clock=retention.clock_flaw(session),
        store=ProofOut.model_validate(retention_proof()),
    )


@router.get("/v1/retention/past", summary="List recordings past their date")
def list_past(
    caller: LenderReader, session: TenantSession, cursor: Cursor = None, limit: Limit = 50
) -> PastPage:
    """List what is kept longer than it has to be, and what keeps it."""
    del caller
    rows, following = retention.page_past(session, now=now(), cursor=cursor, limit=limit)
    return PastPage(items=[PastOut.model_validate(row) for row in rows], next_cursor=following)


@router.post("/v1/holds", status_code=201, summary="Place a legal hold")
def post_hold(caller: Administrator, session: TenantSession, hold: HoldIn) -> PlacedOut:
    """Hold recordings whatever their date, until the hold is released; later ones too."""
    placed = holds.place_hold(
        session,
        tenant_id=caller.tenant_id,
        wish=HoldWish(**dict(hold)),
        by=caller.key_id,
        now=now(),
    )
    return PlacedOut.of(placed)


@router.get("/v1/holds", summary="List legal holds")
def list_holds(
    caller: LenderReader,
    session: TenantSession,
    standing: Annotated[
        bool | None, Query(description="Only those that hold, or only the released ones.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> HoldPage:
    """List holds with who placed and released them, the newest first."""
    del caller
    page = holds.list_holds(session, standing=standing, cursor=cursor, limit=limit)
    items: list[HoldRow] = list(page.rows)
    return HoldPage(
        items=[HoldOut.model_validate(row) for row in items], next_cursor=page.next_cursor
    )


@router.get("/v1/holds/{hold}", summary="Show a legal hold")
def get_hold(caller: LenderReader, session: TenantSession, hold: HoldKey) -> PlacedOut:
    """Show one hold and how many recordings lie under it."""
    del caller
    return PlacedOut.of(holds.get_hold(session, hold))


@router.post("/v1/holds/{hold}/release", summary="Release a legal hold")
def post_release(
    caller: Administrator, session: TenantSession, hold: HoldKey, release: ReleaseIn
) -> PlacedOut:
    """End a hold. Nothing goes with it: removal takes a purge run, its wait and two persons."""
    released = holds.release_hold(session, hold, reason=release.reason, by=caller.key_id, now=now())
    return PlacedOut.of(released)


@router.post("/v1/purges", status_code=201, summary="Plan a purge run")
def post_purge(caller: Administrator, session: TenantSession) -> PurgeDetailOut:
    """List everything past its date and under no hold, and begin the wait; nothing is removed."""
    config = settings()
    run = purge.plan_purge(
        session,
        tenant_id=caller.tenant_id,
        by=caller.key_id,
        cooling=timedelta(days=config.purge_wait_days),
        limit=config.purge_max_items,
        now=now(),
    )
    return PurgeDetailOut.of(run, purge.count_items(session, run.id))


@router.get("/v1/purges", summary="List purge runs")
def list_purges(
    caller: LenderReader, session: TenantSession, cursor: Cursor = None, limit: Limit = 50
) -> PurgePage:
    """List runs, the newest first."""
    del caller
    page = purge.list_purges(session, cursor=cursor, limit=limit)
    return PurgePage(
        items=[PurgeOut.model_validate(row) for row in page.rows], next_cursor=page.next_cursor
    )


@router.get("/v1/purges/{purge_run}", summary="Show a purge run")
def get_purge(caller: LenderReader, session: TenantSession, purge_run: PurgeKey) -> PurgeDetailOut:
    """Show one run and what became of its recordings."""
    del caller
    run = purge.get_purge(session, purge_run)
    return PurgeDetailOut.of(run, purge.count_items(session, run.id))


@router.get("/v1/purges/{purge_run}/items", summary="List a purge run's recordings")
def list_purge_items(
    caller: LenderReader,
    session: TenantSession,
    purge_run: PurgeKey,
    after: After = None,
    limit: Limit = 50,
) -> PurgeItemList:
    """List the recordings of a run by hash, tombstones included."""
    del caller
    run = purge.get_purge(session, purge_run)
    items: list[PurgeItem] = list(purge.list_items(session, run.id, after=after, limit=limit))
    return PurgeItemList(items=[PurgeItemOut.model_validate(row) for row in items])


@router.post("/v1/purges/{purge_run}/approve", status_code=202, summary="Approve a purge run")
def post_approval(
    caller: Administrator, session: TenantSession, purge_run: PurgeKey, approval: ApprovalIn
) -> PurgeDetailOut:
    """Approve a run after its wait, as another person than its planner; the removal begins."""
    run = purge.approve_purge(
        session, purge_run, list_sha256=approval.list_sha256, by=caller.key_id, now=now()
    )
    return PurgeDetailOut.of(run, purge.count_items(session, run.id))


@router.post("/v1/purges/{purge_run}/cancel", summary="Cancel a purge run")
def post_cancel(
    caller: Administrator, session: TenantSession, purge_run: PurgeKey
) -> PurgeDetailOut:
    """Give a planned run up; its recordings may be listed anew."""
    run = purge.cancel_purge(session, purge_run, by=caller.key_id, now=now())
    return PurgeDetailOut.of(run, purge.count_items(session, run.id))


@router.get("/v1/purges/{purge_run}/certificate", summary="Get a purge run's certificate")
def get_certificate(
    caller: LenderReader, session: TenantSession, purge_run: PurgeKey
) -> CertificateOut:
    """Give the certificate of a run that has ended."""
    del caller
    certificate, digest = purge.certificate_of(session, purge_run)
    return CertificateOut(certificate=certificate, sha256=digest)

"""Upload manifests: an agency says which contacts it sends, and anybody sees what never came."""

from datetime import datetime, timedelta
from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime, Field, StringConstraints
from starlette.concurrency import run_in_threadpool

from rules.events import Campaign, Sha256
from rules.model import Outcome
from service.access.tenants import Principal
from service.api.completeness import CSV, JSON_LINES, LINES
from service.api.deps import Participant, Sender, TenantSession, read_limited
from service.api.reading import AgencyId, CampaignIs, Cursor, Limit
from service.api.shapes import Out
from service.clock import now
from service.config import settings
from service.db import tenant_session
from service.keeping import manifests
from service.keeping.call_lists import read_names
from service.keeping.manifest_models import UploadManifest
from service.keeping.manifests import ListedContact, ManifestWish, Stage

router = APIRouter(prefix="/v1/manifests", tags=["checks"])

DUE = timedelta(hours=24)
Name = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")
]
ManifestKey = Annotated[UUID, Path(description="The manifest's id.")]
_BODY = {
    "required": True,
    "content": {
        CSV: {
            "schema": {"type": "string", "format": "binary"},
            "example": "interaction_id\nC-2026-000123\nS-2026-000124\n",
        },
        JSON_LINES: {"schema": {"type": "string", "format": "binary"}},
    },
}


class ManifestOut(Out):
    """One manifest; `GET /v1/checks/manifests/{manifest}` says how its contacts stand."""

    id: UUID
    agency_id: UUID
    name: str
    campaign: str | None
    sha256: str
    rows: int
    received_at: datetime
    due_at: datetime = Field(description="What has not come by then is missing for good.")

    @classmethod
    def of(cls, row: UploadManifest) -> "ManifestOut":
        """Show one row."""
        return cls.model_validate(row, from_attributes=True)


class ManifestPage(Out):
    """Manifests, those received last first."""

    items: list[ManifestOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


class ListedOut(Out):
    """One contact of a manifest."""

    interaction_id: str = Field(description="The agency's own id.")
    interaction: UUID | None = Field(description="The id within this service, once it came.")
    stage: Stage
    outcome: Outcome | None

    @classmethod
    def of(cls, row: ListedContact) -> "ListedOut":
        """Show one row."""
        return cls(
            interaction_id=row.interaction_id,
            interaction=row.id,
            stage=row.stage,
            outcome=row.outcome,
        )


class ListedPage(Out):
    """Contacts of a manifest, by the agency's ids."""

    items: list[ListedOut]
    next_after: str | None = Field(description="Pass it as `after` for the next page.")


def _take(
    caller: Principal, wish: ManifestWish, body: bytes, rows: int | None, *, as_csv: bool
) -> tuple[ManifestOut, bool]:
    names = read_names(body, rows=rows, sha256=wish.sha256, as_csv=as_csv)
    agency_id = cast("UUID", caller.agency_id)  # a sender speaks for an agency
    with tenant_session(caller.tenant_id, agency_id=agency_id, key_id=caller.key_id) as session:
        made, fresh = manifests.add_manifest(
            session,
            tenant_id=caller.tenant_id,
            agency_id=agency_id,
            wish=wish,
            names=names,
            by=caller.key_id,
            now=now(),
        )
        return ManifestOut.of(made), fresh


@router.post(
    "",
    status_code=201,
    summary="Say which contacts are sent",
    responses={200: {"model": ManifestOut, "description": "This very manifest was here before."}},
    openapi_extra={"requestBody": _BODY},
)
async def post_manifest(
    request: Request,
    response: Response,
    caller: Sender,
    name: Annotated[Name, Query(description="What the agency calls it.")],
    sha256: Annotated[Sha256, Query(description="SHA-256 of the list's bytes, hex.")],
    rows: Annotated[int | None, Query(ge=0, description="How many contacts it lists.")] = None,
    campaign: Annotated[
        Campaign | None, Query(description="The campaign that all of them belong to.")
    ] = None,
    due_at: Annotated[
        AwareDatetime | None,
        Query(description="When all must have come; in 24 hours, where it is left out."),
    ] = None,
) -> ManifestOut:
    """Take a list as CSV or JSON lines, whole or not at all; the same again changes nothing.

    It needs one column: `interaction_id` or `call_id`. A day's list of calls can be sent as it is.
    """
    body = await read_limited(request, settings().call_list_max_mb * 1024 * 1024)
    as_csv = not request.headers.get("content-type", CSV).startswith(LINES)
    wish = ManifestWish(name, sha256, due_at or now() + DUE, campaign)
    taken, fresh = await run_in_threadpool(_take, caller, wish, body, rows, as_csv=as_csv)
    response.status_code = 201 if fresh else 200
    return taken


@router.get("", summary="Which manifests there are")
def list_manifests(
    _caller: Participant,
    session: TenantSession,
    agency_id: AgencyId = None,
    name: Annotated[Name | None, Query(description="Only those of this name.")] = None,
    campaign: CampaignIs = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ManifestPage:
    """List manifests, those received last first; an agency sees its own."""
    page = manifests.list_manifests(
        session, agency_id=agency_id, name=name, campaign=campaign, cursor=cursor, limit=limit
    )
    items = [ManifestOut.of(row) for row in page.rows]
    return ManifestPage(items=items, next_cursor=page.next_cursor)


@router.get("/{manifest}/interactions", summary="How each contact of a manifest stands")
def list_contacts(
    _caller: Participant,
    session: TenantSession,
    manifest: ManifestKey,
    stage: Annotated[Stage | None, Query(description="Only `missing` ones, and so on.")] = None,
    after: Annotated[
        str, Query(max_length=128, description="`next_after` of the page before.")
    ] = "",
    limit: Limit = 50,
) -> ListedPage:
    """List the contacts by the agency's ids; send what is missing again."""
    row = manifests.get_manifest(session, manifest)
    found = manifests.list_contacts(session, row, stage=stage, after=after, limit=limit)
    items = [ListedOut.of(one) for one in found[:limit]]
    return ListedPage(items=items, next_after=items[-1].interaction_id if found[limit:] else None)

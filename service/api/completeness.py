"""Whether everything that was recorded arrived: lists of calls, figures, what is missing."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from rules.events import Sha256
from service.access.tenants import Principal
from service.alerts import agency_endpoint
from service.api.deps import Participant, Sender, TenantSession, read_limited
from service.api.endpoints import Url
from service.api.reading import CurrentView, Cursor, Limit, View
from service.clock import now
from service.config import settings
from service.db import tenant_session
from service.errors import ForbiddenError, NotFoundError
from service.keeping import completeness_store
from service.keeping.call_lists import ZONE, Manifest, read_call_list
from service.keeping.completeness_models import CompletenessDay, CompletenessFinding, Fault
from service.keeping.completeness_store import Filters
from service.models import Actor, Scope
from service.privacy.sealed_fields import opened

router = APIRouter(tags=["completeness"])

AgencyKey = Annotated[UUID, Path(description="The agency's id.")]
Day = Annotated[date, Path(description="The natural day of the calls, Asia/Shanghai.")]
CSV = "text/csv"
JSON_LINES = "application/x-ndjson"
LINES = (JSON_LINES, "application/jsonl", "application/json")
_BODY = {
    "required": True,
    "content": {
        CSV: {
            "schema": {"type": "string", "format": "binary"},
            "example": "call_id,started_at,answered,talk_seconds,party_number\n"
            "C-2026-000123,2026-06-03T10:12:00+08:00,1,74,+8613800000001\n",
        },
        JSON_LINES: {"schema": {"type": "string", "format": "binary"}},
    },
}


class Shape(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class DayOut(Shape):
    """How complete an agency's day is."""

    agency_id: UUID
    day: date
    listed: int = Field(description="Calls of the agency's list.")
    expected: int = Field(description="Of these: answered, so there is a recording.")
    complete: int = Field(description="Of these: the recording is here, whole and its own.")
    share: float = Field(description="complete / expected, 0..1; 1 where none is expected.")
    faults: dict[Fault, int]
    reconciled_at: datetime


class DayPage(Shape):
    """Figures, the newest day first."""

    items: list[DayOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


class ListOut(Shape):
    """That a list is ours now, and what it came to."""

    agency_id: UUID
    day: date
    revision: int = Field(description="1 for the first list of the day, then counting up.")
    rows: int
    sha256: str
    completeness: DayOut


class FaultOut(Shape):
    """One fault of one call."""

    id: UUID
    agency_id: UUID
    day: date
    call_id: str = Field(description="The agency's own id of the call.")
    interaction: UUID | None = Field(
        validation_alias="interaction_id", description="Its id within this service."
    )
    kind: Fault
    rule: str = Field(examples=["REC-01"])
    severity: str
    facts: dict[str, Any]
    found_at: datetime
    resolved_at: datetime | None
    requested_at: datetime | None = Field(description="When the agency was asked for it last.")


class FaultPage(Shape):
    """Faults, those found last first."""

    items: list[FaultOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


class AgencyEndpointIn(BaseModel):
    """Where to ask for what is missing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Url


class AgencyEndpointOut(Shape):
    """The endpoint with the secret that signs what is sent there, shown this once."""

    agency_id: UUID
    url: str
    secret: str


def filters(
    view: CurrentView,
    agency_id: Annotated[UUID | None, Query(description="Only this agency.")] = None,
    first: Annotated[date | None, Query(alias="from", description="First day.")] = None,
    last: Annotated[date | None, Query(alias="to", description="Last day, included.")] = None,
) -> Filters:
    """Gather the parameters that narrow days; a regulator's days lie within its grant."""
    since, until = _days(view)
    return Filters(
        agency_id=agency_id,
        first=max((day for day in (first, since) if day), default=None),
        last=min((day for day in (last, until) if day), default=None),
    )


def _days(view: View) -> tuple[date | None, date | None]:
    """The whole days of the caller's period; those cut by its ends are left out."""
    if view.period is None:
        return None, None
    since, to = (moment.astimezone(ZONE) for moment in view.period)
    first = since.date() if since.timetz().replace(tzinfo=None) == datetime.min.time() else None
    return first or date.fromordinal(since.toordinal() + 1), date.fromordinal(to.toordinal() - 1)


CurrentFilters = Annotated[Filters, Depends(filters)]


def _own(caller: Principal, agency_id: UUID) -> None:
    if caller.actor is Actor.AGENCY and caller.agency_id != agency_id:
        raise NotFoundError("There is no such agency.")


def _take(
    caller: Principal, agency_id: UUID, manifest: Manifest, body: bytes, *, as_csv: bool
) -> tuple[ListOut, bool]:
    rows = read_call_list(body, manifest, as_csv=as_csv)
    moment = now()
    with tenant_session(caller.tenant_id, agency_id=None, key_id=caller.key_id) as session:
        head, fresh = completeness_store.put_call_list(
            session,
            tenant_id=caller.tenant_id,
            agency_id=agency_id,
            manifest=manifest,
            rows=rows,
            by=caller.key_id,
            now=moment,
        )
        figure = completeness_store.reconcile_day(
            session, tenant_id=caller.tenant_id, agency_id=agency_id, day=manifest.day, now=moment
        )
        return ListOut(
            agency_id=agency_id,
            day=manifest.day,
            revision=head.revision,
            rows=head.rows,
            sha256=head.sha256,
            completeness=DayOut.model_validate(figure),
        ), fresh


@router.put(
    "/v1/call-lists/{agency_id}/{day}",
    status_code=201,
    summary="Send a day's list of calls",
    responses={200: {"model": ListOut, "description": "This very list was here before."}},
    openapi_extra={"requestBody": _BODY},
)
async def put_call_list(
    request: Request,
    response: Response,
    caller: Sender,
    agency_id: AgencyKey,
    day: Day,
    rows: Annotated[int, Query(ge=0, description="How many calls the list holds.")],
    sha256: Annotated[Sha256, Query(description="SHA-256 of the list's bytes, hex.")],
) -> ListOut:
    """Take a list as CSV or JSON lines, whole or not at all, and reconcile it with what arrived.

    Columns: `call_id` (the interaction's id), `started_at` (RFC 3339 with an offset), `answered`,
    `talk_seconds`, and `party_number` where it is known. A later list of the day replaces it.
    """
    _own(caller, agency_id)
    body = await read_limited(request, settings().call_list_max_mb * 1024 * 1024)
    as_csv = not request.headers.get("content-type", CSV).startswith(LINES)
    manifest = Manifest(day=day, rows=rows, sha256=sha256)
    taken, fresh = await run_in_threadpool(_take, caller, agency_id, manifest, body, as_csv=as_csv)
    response.status_code = 201 if fresh else 200
    return taken


@router.get("/v1/completeness", summary="How complete each agency's days are")
def list_days(
    session: TenantSession, narrowed: CurrentFilters, cursor: Cursor = None, limit: Limit = 50
) -> DayPage:
    """List the figure of each agency and day, the newest first."""
    page = completeness_store.list_days(session, narrowed, cursor=cursor, limit=limit)
    rows: list[CompletenessDay] = list(page.rows)
    return DayPage(items=[DayOut.model_validate(row) for row in rows], next_cursor=page.next_cursor)


@router.get("/v1/completeness/findings", summary="What is missing or not whole")
def list_faults(
    session: TenantSession,
    narrowed: CurrentFilters,
    kind: Annotated[Fault | None, Query(description="Only this kind.")] = None,
    is_open: Annotated[
        bool | None, Query(alias="open", description="Only unresolved ones, or only the others.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> FaultPage:
    """List faults; an agency sees its own, and sends again what is asked for."""
    narrowed = completeness_store.narrow(narrowed, kind=kind, is_open=is_open)
    page = completeness_store.list_faults(session, narrowed, cursor=cursor, limit=limit)
    rows: list[CompletenessFinding] = list(page.rows)
    return FaultPage(
        items=[FaultOut.model_validate(row) for row in rows], next_cursor=page.next_cursor
    )


def _may_set(caller: Principal, agency_id: UUID) -> None:
    if caller.scope not in {Scope.ADMIN, Scope.SEND}:
        raise ForbiddenError("This needs the lender's scope admin, or the agency's scope send.")
    _own(caller, agency_id)


@router.put("/v1/agencies/{agency_id}/endpoint", summary="Say where to ask for what is missing")
def put_endpoint(
    caller: Participant, session: TenantSession, agency_id: AgencyKey, wish: AgencyEndpointIn
) -> AgencyEndpointOut:
    """Set where `recording.requested` goes, signed with a new secret."""
    _may_set(caller, agency_id)
    made = agency_endpoint.set_agency_endpoint(
        session,
        tenant_id=caller.tenant_id,
        agency_id=agency_id,
        url=wish.url,
        by=caller.key_id,
        now=now(),
    )
    return AgencyEndpointOut(agency_id=agency_id, url=wish.url, secret=opened(made, "secret"))


@router.delete("/v1/agencies/{agency_id}/endpoint", status_code=204, summary="Ask by the API alone")
def delete_endpoint(caller: Participant, session: TenantSession, agency_id: AgencyKey) -> None:
    """Send no more `recording.requested`; the list of what is missing stays."""
    _may_set(caller, agency_id)
    agency_endpoint.remove_agency_endpoint(
        session, tenant_id=caller.tenant_id, agency_id=agency_id, by=caller.key_id
    )

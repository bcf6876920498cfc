"""Read interactions: lists, one with its verdict, every revision, what was said."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from service import read, vcon
from service.access.grants import require_field
from service.access.models import GrantField
from service.api.deps import TenantSession
from service.api.reading import (
    CurrentView,
    Cursor,
    InteractionFilters,
    InteractionKey,
    Limit,
)
from service.api.review_shapes import Standings
from service.api.shapes import (
    InteractionDetailOut,
    InteractionOut,
    InteractionPage,
    TranscriptOut,
    VerdictList,
    VerdictOut,
)
from service.models import Actor
from service.vcon_export import export_vcon

router = APIRouter(prefix="/v1/interactions", tags=["interactions"])


@router.get("")
def list_interactions(
    session: TenantSession,
    filters: InteractionFilters,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> InteractionPage:
    """List interactions, newest first."""
    page = read.list_interactions(session, filters, cursor=cursor, limit=limit)
    items = [InteractionOut.of(row) for row in page.rows]
    return InteractionPage(items=items, next_cursor=page.next_cursor)


@router.get("/{interaction}")
def get_interaction(
    session: TenantSession, view: CurrentView, interaction: InteractionKey, ask: Standings
) -> InteractionDetailOut:
    """Show one interaction with its current verdict, findings and recording."""
    found = read.get_interaction(session, interaction, period=view.period)
    return InteractionDetailOut.of_detail(found, ask)


@router.get("/{interaction}/verdicts")
def list_verdicts(
    session: TenantSession, view: CurrentView, interaction: InteractionKey, ask: Standings
) -> VerdictList:
    """Show every revision of an interaction's verdict, newest first."""
    found = read.list_verdicts(session, interaction, period=view.period)
    items = [VerdictOut.of(verdict, findings, ask) for verdict, findings in found]
    return VerdictList(items=items)


@router.get("/{interaction}/transcript")
def get_transcript(
    session: TenantSession, view: CurrentView, interaction: InteractionKey
) -> TranscriptOut:
    """Show what was said: the sender's transcript, or what the speech engine heard."""
    require_field(view.principal, GrantField.TRANSCRIPTS)
    row, segments = read.get_transcript(session, interaction, period=view.period)
    to_agency = view.principal.actor is Actor.AGENCY
    return TranscriptOut.of(interaction, row, segments, to_agency=to_agency)


class VconResponse(JSONResponse):
    """A vCon as JSON, under its own media type."""

    media_type = vcon.MEDIA_TYPE


@router.get("/{interaction}/vcon", response_class=VconResponse)
def get_vcon(session: TenantSession, view: CurrentView, interaction: InteractionKey) -> Response:
    """Give one interaction as a vCon; to whom may not see them without numbers and names."""
    require_field(view.principal, GrantField.TRANSCRIPTS)
    caller = view.principal
    found = export_vcon(
        session,
        interaction,
        period=view.period,
        to=caller.actor,
        is_masked=not caller.sees_personal,
    )
    return VconResponse(found)

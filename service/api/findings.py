"""Read findings of current verdicts."""

from fastapi import APIRouter

from service import read
from service.api.deps import TenantSession
from service.api.reading import Cursor, FindingFilters, Limit
from service.api.shapes import FindingOut, FindingPage

router = APIRouter(prefix="/v1/findings", tags=["findings"])


@router.get("")
def list_findings(
    session: TenantSession, filters: FindingFilters, cursor: Cursor = None, limit: Limit = 50
) -> FindingPage:
    """List findings, newest contact first."""
    page = read.list_findings(session, filters, cursor=cursor, limit=limit)
    return FindingPage(
        items=[FindingOut.of(row) for row in page.rows], next_cursor=page.next_cursor
    )

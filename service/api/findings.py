"""Read findings of current verdicts."""

from fastapi import APIRouter

from service import read
from service.api.deps import TenantSession
from service.api.reading import Cursor, FindingFilters, Limit
from service.api.review_shapes import Standings
from service.api.shapes import FindingOut, FindingPage

router = APIRouter(prefix="/v1/findings", tags=["findings"])


@router.get("")
def list_findings(
    session: TenantSession,
    filters: FindingFilters,
    ask: Standings,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> FindingPage:
    """List findings with what people made of them, newest contact first."""
    page = read.list_findings(session, filters, cursor=cursor, limit=limit)
    reviews = ask([row.id for row in page.rows])
    items = [FindingOut.of(row, reviews.get(row.id)) for row in page.rows]
    return FindingPage(items=items, next_cursor=page.next_cursor)

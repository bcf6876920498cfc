"""Read agencies."""

from fastapi import APIRouter

from service import read
from service.api.deps import TenantSession
from service.api.reading import CurrentView
from service.api.shapes import AgencyList, AgencyOut

router = APIRouter(prefix="/v1/agencies", tags=["agencies"])


@router.get("")
def list_agencies(session: TenantSession, view: CurrentView) -> AgencyList:
    """List the agencies that the caller can see: a lender all of its own, an agency itself."""
    del view  # a regulator's read leaves its trace; the list itself holds no case data
    return AgencyList(items=[AgencyOut.of(row) for row in read.list_agencies(session)])

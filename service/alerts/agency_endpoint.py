"""Where an agency wants to be asked for recordings that are missing."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Session

from service.access.tenants import make_webhook_secret
from service.alerts.destination import RefusedDestinationError, parse_destination
from service.audit import add_entry
from service.config import settings
from service.errors import FieldProblem, InvalidInputError, NotFoundError
from service.keeping.completeness_models import AgencyEndpoint
from service.privacy.sealed_fields import put_sealed
from service.read import get_agency


def set_agency_endpoint(
    session: Session, *, tenant_id: UUID, agency_id: UUID, url: str, by: str, now: datetime
) -> AgencyEndpoint:
    """Set or replace it, with a new secret; raises `NotFoundError` or `InvalidInputError`."""
    get_agency(session, agency_id)
    try:
        parse_destination(url, allow=settings().egress_hosts)
    except RefusedDestinationError as error:
        problem = FieldProblem("url", f"is not an address that we connect to ({error.code})")
        raise InvalidInputError("The endpoint cannot be set.", errors=(problem,)) from error
    row = session.get(AgencyEndpoint, (tenant_id, agency_id)) or AgencyEndpoint(
        tenant_id=tenant_id, agency_id=agency_id, url="", secret="", set_by=by
    )
    put_sealed(row, url=url, secret=make_webhook_secret())
    row.set_at, row.set_by = now, by
    session.add(row)
    _note(session, row, by, "agency_endpoint_set")
    return row


def remove_agency_endpoint(session: Session, *, tenant_id: UUID, agency_id: UUID, by: str) -> None:
    """Take it away: the agency finds what is missing by the API. Raises `NotFoundError`."""
    row = session.get(AgencyEndpoint, (tenant_id, agency_id))
    if row is None:
        raise NotFoundError("There is no such agency.")
    session.delete(row)
    _note(session, row, by, "agency_endpoint_removed")


def _note(session: Session, row: AgencyEndpoint, by: str, action: str) -> None:
    add_entry(
        session,
        tenant_id=row.tenant_id,
        actor=by,
        action=action,
        subject_id=str(row.agency_id),
    )

"""Audit reports of one agency or of all, for a period: JSON, signed PDF/A-3, XLSX, a package."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session

from service.api.deps import TenantSession
from service.api.reading import CurrentView, View, within
from service.clock import now
from service.errors import ForbiddenError
from service.evidence.checkpoint import signer
from service.evidence.report import ReportPeriod, build_report
from service.evidence.report_file import MEDIA, ReportFormat, make_file, note_report
from service.packs import load_pack
from service.privacy.masking import shown_to

router = APIRouter(prefix="/v1/reports", tags=["reports"])

FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The report: `hegui.report/1` JSON; signed PDF/A-3 with that JSON attached; "
        "XLSX; or a signed package of the three. `hegui verify` checks PDF and package",
        "content": {
            MEDIA[ReportFormat.JSON]: {"schema": {"type": "object"}},
            **{
                MEDIA[form]: {"schema": {"type": "string", "format": "binary"}}
                for form in (ReportFormat.PDF, ReportFormat.XLSX, ReportFormat.ZIP)
            },
        },
    }
}
Form = Annotated[ReportFormat, Query(alias="format", description="Which file to make.")]


def read_period(
    view: CurrentView,
    first: Annotated[date, Query(alias="from", description="First day, Asia/Shanghai.")],
    last: Annotated[date, Query(alias="to", description="Last day, included.")],
) -> ReportPeriod:
    """Read the period; raises `ForbiddenError` where it reaches beyond what the caller may see."""
    period = ReportPeriod(first, last)
    if not within(view, *period.bounds):
        raise ForbiddenError("The period reaches beyond what this key may see.")
    return period


Days = Annotated[ReportPeriod, Depends(read_period)]


@router.get("/agencies/{agency_id}", responses=FILES, response_class=Response)
def get_agency_report(
    session: TenantSession,
    view: CurrentView,
    agency_id: Annotated[UUID, Path(description="The agency's id.")],
    period: Days,
    form: Form = ReportFormat.JSON,
) -> Response:
    """Make the audit report of one agency for whole days in Asia/Shanghai."""
    return _report(session, view, agency_id, period, form)


@router.get("/lender", responses=FILES, response_class=Response)
def get_lender_report(
    session: TenantSession, view: CurrentView, period: Days, form: Form = ReportFormat.JSON
) -> Response:
    """Make one audit report of all the lender's agencies; an agency's shows its own alone."""
    return _report(session, view, view.principal.agency_id, period, form)


def _report(
    session: Session, view: View, agency_id: UUID | None, period: ReportPeriod, form: ReportFormat
) -> Response:
    tenant_id, moment = view.principal.tenant_id, now()
    document = build_report(
        session,
        load_pack(),
        tenant_id=tenant_id,
        agency_id=agency_id,
        period=period,
        now=moment,
    )
    document = shown_to(view.principal, document)
    file = make_file(document, form, signer=signer(), now=moment)
    note_report(
        session,
        tenant_id=tenant_id,
        by=view.principal.key_id,
        document=document,
        file=file,
        form=form,
    )
    headers = {"Content-Disposition": f'attachment; filename="{file.name}"'}
    return Response(file.content, media_type=file.media_type, headers=headers)

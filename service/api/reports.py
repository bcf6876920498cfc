"""Audit reports of an agency and period, as JSON or PDF/A-3."""

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from service import report
from service.api.deps import TenantSession
from service.api.reading import CurrentView, within
from service.audit import add_entry
from service.clock import now
from service.errors import ForbiddenError
from service.masking import shown_to
from service.packs import load_pack

router = APIRouter(prefix="/v1/reports", tags=["reports"])


class ReportFormat(StrEnum):
    """How a report is given."""

    JSON = "json"
    PDF = "pdf"


MEDIA = {ReportFormat.JSON: "application/json", ReportFormat.PDF: "application/pdf"}
FILES: dict[int | str, dict[str, object]] = {
    200: {
        "description": "The report: `hegui.report/1` JSON, or PDF/A-3 with that JSON attached",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/pdf": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.get("/agencies/{agency_id}", responses=FILES, response_class=Response)
def get_agency_report(
    session: TenantSession,
    view: CurrentView,
    agency_id: Annotated[UUID, Path(description="The agency's id.")],
    first: Annotated[date, Query(alias="from", description="First day, Asia/Shanghai.")],
    last: Annotated[date, Query(alias="to", description="Last day, included.")],
    form: Annotated[ReportFormat, Query(alias="format")] = ReportFormat.JSON,
) -> Response:
    """Make the audit report of one agency for whole days in Asia/Shanghai."""
    period = report.ReportPeriod(first, last)
    if not within(view, *period.bounds):
        raise ForbiddenError("The period reaches beyond what this key may see.")
    document = report.build_report(
        session,
        load_pack(),
        tenant_id=view.principal.tenant_id,
        agency_id=agency_id,
        period=period,
        now=now(),
    )
    document = shown_to(session, view.principal, document)
    add_entry(
        session,
        tenant_id=view.principal.tenant_id,
        actor=view.principal.key_id,
        action="report_made",
        subject_id=str(agency_id),
        details={"from": first.isoformat(), "to": last.isoformat(), "format": form.value},
    )
    body = report.to_json(document) if form is ReportFormat.JSON else report.render_pdf(document)
    name = f"hegui-report-{agency_id}-{first}-{last}.{form.value}"
    return Response(
        body,
        media_type=MEDIA[form],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )

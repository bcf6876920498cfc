"""A report as a file: JSON, signed PDF/A-3, XLSX, or all three in one signed package."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlmodel import Session

from rules.model import Severity
from service.audit import add_entry
from service.evidence.checkpoint import Signer, origin_of
from service.evidence.manifest import make_package
from service.evidence.pdf_seal import seal_pdf
from service.evidence.report import SCHEMA, to_json
from service.evidence.report_pdf import render
from service.evidence.report_xlsx import to_xlsx
from service.evidence.sealed_zip import Part


class ReportFormat(StrEnum):
    """How a report is given."""

    JSON = "json"
    PDF = "pdf"
    XLSX = "xlsx"
    ZIP = "zip"


MEDIA: Mapping[ReportFormat, str] = {
    ReportFormat.JSON: "application/json",
    ReportFormat.PDF: "application/pdf",
    ReportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ReportFormat.ZIP: "application/zip",
}
# What the PDF lists one by one; the attached JSON and the XLSX hold everything.
MAX_LISTED = {"findings": 300, "retention": 200}
GRAVEST = 6
_SEVERITIES = [severity.value for severity in reversed(Severity)]


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A finished file."""

    name: str
    media_type: str
    content: bytes

    @property
    def sha256(self) -> str:
        """The digest that the ledger keeps of it."""
        return hashlib.sha256(self.content).hexdigest()


def make_file(
    document: dict[str, Any], form: ReportFormat, *, signer: Signer, now: datetime
) -> ReportFile:
    """Write a report's document in one form."""
    period, agency = document["period"], document["agency"]
    subject = agency["id"] if agency else "all"
    name = f"hegui-report-{subject}-{period['from']}-{period['to']}.{form.value}"
    return ReportFile(name, MEDIA[form], _content(document, form, signer, now))


def note_report(
    session: Session,
    *,
    tenant_id: UUID,
    by: str,
    document: dict[str, Any],
    file: ReportFile,
    form: ReportFormat,
) -> None:
    """Write into the ledger that this very file was made, and for whom."""
    agency = document["agency"]
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=by,
        action="report_made",
        subject_id=agency["id"] if agency else None,
        details={
            "from": document["period"]["from"],
            "to": document["period"]["to"],
            "format": form.value,
            "sha256": file.sha256,
            "findings": document["totals"]["findings"],
        },
    )


def render_pdf(document: dict[str, Any], *, now: datetime | None = None) -> bytes:
    """Set the document as PDF/A-3b with the JSON attached, unsigned; same document, same bytes."""
    made_at = now or datetime.fromisoformat(document["generated_at"])
    return render("report", _shortened(document), now=made_at, attached=to_json(document))


def _content(document: dict[str, Any], form: ReportFormat, signer: Signer, now: datetime) -> bytes:
    origin = origin_of(UUID(document["tenant"]["id"]))
    if form is ReportFormat.JSON:
        return to_json(document)
    if form is ReportFormat.XLSX:
        return to_xlsx(document)
    pdf = seal_pdf(render_pdf(document), signer, origin)
    if form is ReportFormat.PDF:
        return pdf
    parts = {"report.json": to_json(document), "report.pdf": pdf, "report.xlsx": to_xlsx(document)}
    facts = {
        "tenant": document["tenant"]["id"],
        "agency": (document["agency"] or {}).get("id", "all"),
        "from": document["period"]["from"],
        "to": document["period"]["to"],
    }
    held = [Part.of(name, content) for name, content in parts.items()]
    return b"".join(make_package(SCHEMA, facts, held, signer=signer, origin=origin, now=now))


def _gravest(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The worst finding of each of the worst rules, for the page that is read first."""
    first: dict[str, dict[str, Any]] = {}
    for finding in findings:
        first.setdefault(finding["rule"], finding)
    return list(first.values())[:GRAVEST]


def _shortened(document: dict[str, Any]) -> dict[str, Any]:
    """What the PDF prints: the worst findings first, long lists cut and their length told."""
    findings = sorted(
        document["findings"],
        key=lambda one: (
            one["disposition"] != "violation",
            _SEVERITIES.index(one["severity"]),
            one["started_at"],
        ),
    )
    cut = {"findings": findings, "retention": document["retention"]}
    return {
        **document,
        **{name: rows[: MAX_LISTED[name]] for name, rows in cut.items()},
        "lengths": {name: len(rows) for name, rows in cut.items()},
        "gravest": _gravest(findings),
    }

"""The audit report of one agency and period: one document, as JSON and as PDF/A-3."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from importlib import metadata, resources
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
import pylopdf_fonts_zh_cn
import typst
from sqlmodel import Session, col, select

from rules import Pack
from rules.model import Severity
from rules.rule import Rule, Title
from service.errors import FieldProblem, InvalidInputError
from service.models import (
    Agency,
    EventRow,
    FindingRow,
    InteractionRow,
    RecordingRow,
    Tenant,
    VerdictRow,
)
from service.read import get_agency
from service.report_hearing import hearing_of

SCHEMA = "hegui.report/1"
ZONE = ZoneInfo("Asia/Shanghai")
MAX_DAYS = 366
STATUS_ZH = {
    "kept": "已保存",
    "not_received": "未收到",
    "absent": "无录音",
    "undecodable": "已保存，无法解码",
}
COVERAGE_ZH = {
    "checked": "已检查",
    "needs_data": "所收数据不足以检查",
    "out_of_scope": "不在范围内",
}
METHOD = (
    {
        "zh": "只有催收员的话可以构成违规；债务人的话、引述、否认和普法不构成。",
        "en": "Only the collector's words can break a rule, never the debtor's, quotes or denials.",
    },
    {
        "zh": "通话由语音识别转写，会有错字：“识别原文”是转写原样，引文是规则按读音匹配到的内容。",
        "en": "Calls are transcribed by a speech engine that errs: “heard” is its raw text, the "
        "quote is what the rule matched by sound.",
    },
    {
        "zh": "没有发现只说明所收数据中没有匹配到规则，不证明没有违规；"
        "未收到、无法解码的录音另列。",
        "en": "No finding means that no rule matched the data received. Recordings that were not "
        "received or could not be decoded are listed apart.",
    },
    {"zh": "本报告不是法律意见。", "en": "This report is not a legal opinion."},
)


@dataclass(frozen=True, slots=True)
class ReportPeriod:
    """Whole days in Asia/Shanghai, both ends included."""

    first: date
    last: date

    def __post_init__(self) -> None:
        """Refuse a period that ends before it starts or is longer than a year."""
        if self.last < self.first:
            raise InvalidInputError(
                "The period ends before it starts.",
                errors=(FieldProblem("to", "must not lie before from"),),
            )
        if (self.last - self.first).days >= MAX_DAYS:
            raise InvalidInputError(
                f"A report covers at most {MAX_DAYS} days.",
                errors=(FieldProblem("to", f"must lie within {MAX_DAYS} days of from"),),
            )

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """First moment of the period and the first moment after it."""
        after = self.last + timedelta(days=1)
        return (
            datetime.combine(self.first, time(), ZONE),
            datetime.combine(after, time(), ZONE),
        )


@dataclass(frozen=True, slots=True)
class _Contact:
    row: InteractionRow
    collector: str
    recorded: bool
    talked: bool


def build_report(
    session: Session,
    pack: Pack,
    *,
    tenant_id: UUID,
    agency_id: UUID,
    period: ReportPeriod,
    now: datetime,
) -> dict[str, Any]:
    """Gather the report's document; every total in it can be counted again from its lists.

    Raises `NotFoundError` where the caller cannot see the agency.
    """
    agency = get_agency(session, agency_id)
    tenant = session.exec(select(Tenant).where(Tenant.id == tenant_id)).one()
    contacts = _contacts(session, agency_id, period)
    findings = _findings(session, agency_id, period)
    digests = _pack_digests(session, agency_id, period)
    titles = {rule.id: rule for rule in pack.rules}
    listed = [_finding(row, contacts[row.interaction_id], titles) for row in findings]
    return {
        "schema": SCHEMA,
        "generated_at": now.astimezone(UTC).isoformat(timespec="seconds"),
        "tenant": {"id": str(tenant.id), "name": tenant.name},
        "agency": _agency(agency),
        "period": {
            "from": period.first.isoformat(),
            "to": period.last.isoformat(),
            "timezone": ZONE.key,
        },
        "pack": {"name": pack.name, "digest": pack.digest, "used": digests},
        "versions": {"hegui": metadata.version("hegui")},
        "totals": _totals(contacts.values(), listed),
        "findings": listed,
        "articles": _articles(pack, listed),
        "retention": _retention(session, contacts.values()),
        "coverage": _coverage(pack),
        "hearing": hearing_of(
            session, {id_: contact.row.interaction_id for id_, contact in contacts.items()}
        ),
        "method": list(METHOD),
    }


def render_pdf(document: dict[str, Any]) -> bytes:
    """Set the document as PDF/A-3b with the JSON attached; same document, same bytes."""
    template = resources.files("service").joinpath("report_template", "report.typ").read_bytes()
    with tempfile.TemporaryDirectory(prefix="hegui-report-") as folder:
        root = Path(folder)
        (root / "report.typ").write_bytes(template)
        (root / "report.json").write_bytes(to_json(document))
        made_at = datetime.fromisoformat(document["generated_at"])
        pdf: bytes = typst.compile(
            str(root / "report.typ"),
            root=folder,
            format="pdf",
            font_paths=[str(Path(pylopdf_fonts_zh_cn.__file__).parent)],
            ignore_system_fonts=True,
            pdf_standards=["a-3b"],
            timestamp=int(made_at.timestamp()),
        )
    return pdf


def to_json(document: dict[str, Any]) -> bytes:
    """The document as indented UTF-8 JSON."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _contacts(session: Session, agency_id: UUID, period: ReportPeriod) -> dict[UUID, _Contact]:
    since, to = period.bounds
    data = col(EventRow.body)["data"]
    rows = session.exec(
        select(
            InteractionRow,
            data["collector"]["id"].astext,
            data["recording"].astext,
            data["outcome"].astext,
        )
        .join(EventRow, col(EventRow.id) == col(InteractionRow.event_id))
        .where(InteractionRow.agency_id == agency_id)
        .where(InteractionRow.started_at >= since, InteractionRow.started_at < to)
        .order_by(col(InteractionRow.started_at), col(InteractionRow.id))
    ).all()
    return {
        row.id: _Contact(row, collector or "", recording is not None, outcome == "answered")
        for row, collector, recording, outcome in rows
    }


def _findings(session: Session, agency_id: UUID, period: ReportPeriod) -> Sequence[FindingRow]:
    since, to = period.bounds
    return session.exec(
        select(FindingRow)
        .join(InteractionRow, col(InteractionRow.verdict_id) == col(FindingRow.verdict_id))
        .where(InteractionRow.agency_id == agency_id)
        .where(InteractionRow.started_at >= since, InteractionRow.started_at < to)
        .order_by(col(InteractionRow.started_at), col(InteractionRow.id), col(FindingRow.position))
    ).all()


def _pack_digests(session: Session, agency_id: UUID, period: ReportPeriod) -> list[str]:
    since, to = period.bounds
    return sorted(
        session.exec(
            select(VerdictRow.pack_digest)
            .join(InteractionRow, col(InteractionRow.verdict_id) == col(VerdictRow.id))
            .where(InteractionRow.agency_id == agency_id)
            .where(InteractionRow.started_at >= since, InteractionRow.started_at < to)
            .distinct()
        ).all()
    )


def _agency(agency: Agency) -> dict[str, Any]:
    return {"id": str(agency.id), "name": agency.name}


def _local(moment: datetime) -> str:
    return moment.astimezone(ZONE).isoformat(timespec="seconds")


def _finding(row: FindingRow, contact: _Contact, titles: dict[str, Rule]) -> dict[str, Any]:
    rule = titles.get(row.rule)
    doc = row.doc
    return {
        "interaction_id": contact.row.interaction_id,
        "id": str(contact.row.id),
        "case_id": contact.row.case_id,
        "channel": contact.row.channel,
        "started_at": _local(contact.row.started_at),
        "collector_id": contact.collector,
        "rule": row.rule,
        "title_zh": rule.title.zh if rule else row.rule,
        "title_en": rule.title.en if rule else row.rule,
        "severity": row.severity,
        "disposition": row.disposition,
        **{
            key: doc.get(key)
            for key in ("articles", "quote", "heard", "start", "end", "facts", "why", "why_zh")
        },
    }


def _totals(contacts: Iterable[_Contact], findings: list[dict[str, Any]]) -> dict[str, Any]:
    rows = [contact.row for contact in contacts]
    outcomes = Counter(row.outcome or "pending" for row in rows)
    order = ("fail", "review", "inconclusive", "error", "pass", "pending")
    by_rule: dict[str, dict[str, Any]] = {}
    for finding in findings:
        held = by_rule.setdefault(
            finding["rule"],
            {key: finding[key] for key in ("rule", "title_zh", "title_en", "articles")}
            | {"count": 0},
        )
        held["count"] += 1
    severities = Counter(finding["severity"] for finding in findings)
    return {
        "interactions": len(rows),
        "by_outcome": {name: outcomes[name] for name in order if outcomes[name]},
        "by_channel": dict(sorted(Counter(row.channel for row in rows).items())),
        "findings": len(findings),
        "by_severity": {s.value: severities[s.value] for s in reversed(Severity)},
        "by_disposition": dict(sorted(Counter(f["disposition"] for f in findings).items())),
        "by_rule": sorted(by_rule.values(), key=lambda row: (-row["count"], row["rule"])),
    }


def _articles(pack: Pack, findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    cited = sorted({article for finding in findings for article in finding["articles"] or ()})
    return [
        {
            "id": article.id,
            "instrument_zh": article.instrument.zh,
            "instrument_en": article.instrument.en,
            "article": article.article,
            "published_as": article.published_as,
            "text": article.text,
            "label": article.label,
            "source": article.source,
        }
        for article in (pack.articles[name] for name in cited if name in pack.articles)
    ]


def _retention(session: Session, contacts: Iterable[_Contact]) -> list[dict[str, Any]]:
    relevant = [c for c in contacts if c.recorded or (c.row.channel == "call" and c.talked)]
    wanted = {c.row.recording_sha256 for c in relevant if c.row.recording_sha256}
    held = {
        row.sha256: row
        for row in session.exec(
            select(RecordingRow).where(col(RecordingRow.sha256).in_(wanted))
        ).all()
    }
    return [_kept(contact, held.get(contact.row.recording_sha256 or "")) for contact in relevant]


def _kept(contact: _Contact, recording: RecordingRow | None) -> dict[str, Any]:
    if not contact.recorded:
        status = "absent"
    elif recording is None:
        status = "not_received"
    else:
        status = "undecodable" if contact.row.state == "undecodable" else "kept"
    return {
        "interaction_id": contact.row.interaction_id,
        "started_at": _local(contact.row.started_at),
        "sha256": contact.row.recording_sha256,
        "size_bytes": recording.size_bytes if recording else None,
        "received_at": recording.received_at.astimezone(UTC).isoformat(timespec="seconds")
        if recording
        else None,
        "retain_until": recording.retain_until.astimezone(UTC).isoformat(timespec="seconds")
        if recording
        else None,
        "status": status,
        "status_zh": STATUS_ZH[status],
    }


def _coverage(pack: Pack) -> list[dict[str, Any]]:
    rules = {rule.id: rule for rule in pack.rules}
    rows = [_covered(rule.id, rule.title, "checked", rule.coverage) for rule in rules.values()]
    rows += [_covered(row.id, row.title, row.status, row.data.zh) for row in pack.not_checked]
    return sorted(rows, key=lambda row: str(row["rule"]))


def _covered(rule: str, title: Title, status: str, detail: str) -> dict[str, Any]:
    return {
        "rule": rule,
        "title_zh": title.zh,
        "title_en": title.en,
        "status": status,
        "status_zh": COVERAGE_ZH[status],
        "detail": detail or None,
    }

"""The audit report of an agency, or of all of a lender's, for a period: one document."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from importlib import metadata
from typing import Any
from uuid import UUID

import orjson
from sqlmodel import Session, select

from rules import Pack
from rules.model import Severity
from service.errors import FieldProblem, InvalidInputError
from service.evidence import report_data
from service.evidence.ledger_models import LedgerCheckpoint
from service.evidence.report_hearing import hearing_of
from service.evidence.report_rules import ZONE, articles_of, coverage_of
from service.keeping.storage import retention_proof
from service.models import Tenant
from service.people.reviews_standing import standing
from service.read import get_agency

SCHEMA = "hegui.report/1"
MAX_DAYS = 366
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
    {
        "zh": "机器的结论与人工复核、申诉的结果并列，互不覆盖。",
        "en": "What people decided in review and dispute stands beside the system's own word; "
        "neither replaces the other.",
    },
    {"zh": "本报告不是法律意见。", "en": "This report is not a legal opinion."},
)
_TOP_COLLECTORS = 15


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


def build_report(
    session: Session,
    pack: Pack,
    *,
    tenant_id: UUID,
    agency_id: UUID | None,
    period: ReportPeriod,
    now: datetime,
) -> dict[str, Any]:
    """Gather the report's document, of one agency or with None of all that the session sees.

    Every total of findings can be counted again from its list. Raises `NotFoundError` where the
    caller cannot see the agency.
    """
    agency = get_agency(session, agency_id) if agency_id is not None else None
    tenant = session.exec(select(Tenant).where(Tenant.id == tenant_id)).one()
    scope = report_data.scope_of(*period.bounds, period.first, period.last, agency_id)
    findings = _findings(session, pack, scope)
    return {
        "schema": SCHEMA,
        "generated_at": now.astimezone(UTC).isoformat(timespec="seconds"),
        "tenant": {"id": str(tenant.id), "name": tenant.name},
        "agency": {"id": str(agency.id), "name": agency.name} if agency else None,
        "period": {
            "from": period.first.isoformat(),
            "to": period.last.isoformat(),
            "timezone": ZONE.key,
        },
        "pack": {
            "name": pack.name,
            "digest": pack.digest,
            "used": report_data.list_packs(session, scope),
        },
        "versions": {"hegui": metadata.version("hegui")},
        "totals": report_data.count_interactions(session, scope) | _totals(findings),
        "days": report_data.list_days(session, scope),
        "agencies": report_data.list_agencies(session, scope),
        "collectors": _collectors(findings),
        "findings": findings,
        "disputes": report_data.count_disputes(session, scope),
        "articles": articles_of(
            pack, {article for finding in findings for article in finding["articles"] or ()}
        ),
        "recordings": report_data.count_recordings(session, scope),
        "retention": report_data.list_not_kept(session, scope),
        "retention_proof": _proof(),
        "completeness": report_data.completeness_of(session, scope),
        "coverage": coverage_of(pack),
        "hearing": hearing_of(session, scope),
        "ledger": _ledger(session),
        "method": list(METHOD),
    }


def to_json(document: dict[str, Any]) -> bytes:
    """The document as indented UTF-8 JSON."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _findings(session: Session, pack: Pack, scope: report_data.Scope) -> list[dict[str, Any]]:
    titles = {rule.id: rule.title for rule in pack.rules}
    found = list(report_data.list_findings(session, scope))
    stands = standing(session, [UUID(one["finding"]) for one in found])
    for one in found:
        title = titles.get(one["rule"])
        one["title_zh"] = title.zh if title else one["rule"]
        one["title_en"] = title.en if title else one["rule"]
        stand = stands.get(UUID(one["finding"]))
        one["review"] = stand.state if stand else None
        one["dispute"] = stand.dispute_state if stand else None
    return found


def _totals(findings: list[dict[str, Any]]) -> dict[str, Any]:
    by_rule: dict[str, dict[str, Any]] = {}
    for finding in findings:
        held = by_rule.setdefault(
            finding["rule"],
            {key: finding[key] for key in ("rule", "title_zh", "title_en", "articles", "severity")}
            | {"count": 0, "dismissed": 0},
        )
        held["count"] += 1
        held["dismissed"] += finding["review"] == "dismiss"
    severities = Counter(finding["severity"] for finding in findings)
    return {
        "findings": len(findings),
        "by_severity": {s.value: severities[s.value] for s in reversed(Severity)},
        "by_disposition": dict(sorted(Counter(f["disposition"] for f in findings).items())),
        "by_review": dict(sorted(Counter(f["review"] for f in findings if f["review"]).items())),
        "by_rule": sorted(by_rule.values(), key=lambda row: (-row["count"], row["rule"])),
    }


def _collectors(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The collectors with most violations, by their employee numbers."""
    counted = Counter(
        (finding["agency"], finding["collector_id"])
        for finding in findings
        if finding["disposition"] == "violation"
    )
    return [
        {"agency": agency, "collector_id": collector, "violations": count}
        for (agency, collector), count in counted.most_common(_TOP_COLLECTORS)
    ]


def _proof() -> dict[str, str]:
    proof = retention_proof()
    return {"state": proof.state, "store": proof.store, "detail": proof.detail}


def _ledger(session: Session) -> dict[str, Any] | None:
    """The newest signed head of the ledger; None before the first, and for an agency."""
    head = session.exec(
        select(LedgerCheckpoint).order_by(LedgerCheckpoint.size.desc()).limit(1)  # type: ignore[attr-defined]
    ).one_or_none()
    if head is None:
        return None
    return {"size": head.size, "root": head.root.hex(), "note": head.note}

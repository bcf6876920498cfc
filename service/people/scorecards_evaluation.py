"""The yearly evaluation of an agency that GB/T 45251 asks for: a document, as JSON and XLSX."""

import io
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from typing import Any
from uuid import UUID

import orjson
import xlsxwriter  # type: ignore[import-untyped]
from sqlmodel import Session

from rules import Pack
from service.errors import FieldProblem, InvalidInputError
from service.models import Tenant
from service.people.disputes_calendar import ZONE
from service.people.scorecards import SMALL, Counts, agency_card, count, league
from service.read import get_agency

SCHEMA = "hegui.evaluation/1"
YEARS = range(2000, 2100)
BASIS = {
    "zh": "GB/T 45251-2025：对第三方催收机构每年至少评价一次，协议到期前再评价一次"
    "（标准全文未取得，条款内容据公开转述）。",
    "en": "GB/T 45251-2025: third-party agencies are evaluated at least once a year, and again "
    "before their contract ends (the full text was not at hand; told by public sources).",
}
METHOD = (
    {
        "zh": "违规率 = 复核与争议后仍成立违规的联系次数 ÷ 有证据的联系次数，附 95% Wilson 区间。",
        "en": "Rate: contacts with a violation that stands after reviews and disputes, of those "
        "with proof; 95 % Wilson interval.",
    },
    {
        "zh": "不利率把无证据的联系（录音缺失、无法识别、证据不足）一并计入，排名以此为准。",
        "en": "Adverse: broken contacts and those without proof, of all; the league is ranked by "
        "it, so missing recordings never help.",
    },
    {
        "zh": f"联系次数少于 {SMALL} 的不排名，其比率仅供参考。",
        "en": f"Below {SMALL} contacts there is no rank, and a rate says little.",
    },
    {"zh": "本文件不是法律意见。", "en": "This file is not a legal opinion."},
)
_NAMES = {
    "contacts": "联系次数 contacts",
    "unproven": "无证据 without proof",
    "failed_by_system": "系统判定违规 failed by system",
    "failed": "复核后违规 failed after review",
    "without_recording": "录音缺失或不可用 without recording",
    "rate": "违规率 rate",
    "adverse": "不利率 adverse",
}


def build_evaluation(
    session: Session, pack: Pack, *, agency_id: UUID, year: int, now: datetime
) -> dict[str, Any]:
    """Gather the document of a calendar year in Asia/Shanghai, up to now.

    Raises `NotFoundError`, and `InvalidInputError` for a year that has not begun.
    """
    since = datetime(year, 1, 1, tzinfo=ZONE) if year in YEARS else now
    if since >= now:
        problem = FieldProblem("year", "must have begun")
        raise InvalidInputError("There is nothing to evaluate yet.", errors=(problem,))
    to = min(datetime(year + 1, 1, 1, tzinfo=ZONE), now)
    card = agency_card(session, agency_id, since=since, to=to)
    places = league(session, since=since, to=to)
    titles = pack.families
    place = next((each for each in places if each.agency_id == agency_id), None)
    return {
        "schema": SCHEMA,
        "generated_at": now.astimezone(UTC).isoformat(timespec="seconds"),
        "basis": BASIS,
        "tenant": _lender(session, agency_id),
        "agency": {"id": str(agency_id), "name": card.agency_name},
        "year": year,
        "period": {"from": since.isoformat(), "to": to.astimezone(ZONE).isoformat()},
        "versions": {"hegui": metadata.version("hegui"), "pack": pack.digest},
        "totals": shown_counts(card.counts),
        "change": asdict(card.change),
        "league": {
            "rank": place.rank if place else None,
            "ranked": sum(each.rank is not None for each in places),
        },
        "months": list(_months(session, agency_id, year, now)),
        "families": [
            {
                "family": name,
                "title_zh": titles[name].zh if name in titles else name,
                "title_en": titles[name].en if name in titles else name,
                **asdict(found),
            }
            for name, found in card.families
        ],
        "collectors": [
            {"collector_id": name, **shown_counts(found)} for name, found in card.collectors
        ],
        "disputes": dict(card.disputes),
        "method": list(METHOD),
    }


def _lender(session: Session, agency_id: UUID) -> dict[str, str]:
    found = session.get_one(Tenant, get_agency(session, agency_id).tenant_id)
    return {"id": str(found.id), "name": found.name}


def shown_counts(counts: Counts) -> dict[str, Any]:
    """Counts with their rates, as documents hold them."""
    return {
        **asdict(counts),
        "rate": asdict(counts.rate),
        "adverse": asdict(counts.adverse),
        "is_small": counts.is_small,
    }


def to_json(document: dict[str, Any]) -> bytes:
    """The document as indented UTF-8 JSON."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def to_xlsx(document: dict[str, Any]) -> bytes:
    """The document as a workbook: summary, months, families, collectors, method."""
    buffer = io.BytesIO()
    # Texts stay texts: a collector's id must not become a formula or a link.
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(buffer, options) as book:
        book.set_properties({"title": f"{document['agency']['name']} {document['year']}"})
        head = book.add_format({"bold": True, "bottom": 1})
        sheets: dict[str, list[list[Any]]] = {
            "概况 summary": _summary(document),
            "月度 months": _table("月份 month", "month", document["months"]),
            "类别 families": [
                ["类别 family", "名称", "title", "违规 broken", "有证据 proven", "率", "低", "高"],
                *(
                    [row[key] for key in ("family", "title_zh", "title_en", "count", "total",
                                          "share", "low", "high")]
                    for row in document["families"]
                ),
            ],
            "催收员 collectors": _table("工号 id", "collector_id", document["collectors"]),
            "方法 method": [["中文", "English"], *([m["zh"], m["en"]] for m in document["method"])],
        }  # fmt: skip
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            sheet.set_column(0, 9, 22)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row, head if number == 0 else None)
    return buffer.getvalue()


def _months(
    session: Session, agency_id: UUID, year: int, now: datetime
) -> Iterable[dict[str, Any]]:
    for month in range(1, 13):
        first = datetime(year, month, 1, tzinfo=ZONE)
        after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=ZONE)
        if first >= now:
            return
        found = count(session, since=first, to=after, agency_id=agency_id)
        counts = found.get((agency_id, ""), Counts())
        yield {"month": f"{year}-{month:02}", **shown_counts(counts)}


def _summary(document: dict[str, Any]) -> list[list[Any]]:
    totals, change = document["totals"], document["change"]
    rows: list[list[Any]] = [
        ["项目 item", "值 value", "low", "high"],
        ["机构 agency", document["agency"]["name"]],
        ["年度 year", document["year"]],
        ["依据 basis", document["basis"]["zh"]],
        *([_NAMES[key], totals[key]] for key in _NAMES if not isinstance(totals[key], dict)),
        *(
            [_NAMES[key], _figure(totals[key]["share"]), totals[key]["low"], totals[key]["high"]]
            for key in ("rate", "adverse")
        ),
        ["较上年 change", _figure(change["difference"]), change["low"], change["high"]],
        ["趋势 trend", change["word"]],
        ["排名 rank", document["league"]["rank"] or "样本过少 too few contacts"],
        *([f"争议 disputes {state}", n] for state, n in sorted(document["disputes"].items())),
    ]
    return [["" if cell is None else cell for cell in row] for row in rows]


def _table(label: str, key: str, rows: Iterable[dict[str, Any]]) -> list[list[Any]]:
    plain = [name for name in _NAMES if name not in {"rate", "adverse"}]
    head = [label, *(_NAMES[name] for name in plain), _NAMES["rate"], "low", "high"]
    head += [_NAMES["adverse"], "样本过少 too few"]
    return [
        head,
        *(
            [
                row[key],
                *(row[name] for name in plain),
                _figure(row["rate"]["share"]),
                row["rate"]["low"],
                row["rate"]["high"],
                _figure(row["adverse"]["share"]),
                "是 yes" if row["is_small"] else "",
            ]
            for row in rows
        ),
    ]


def _figure(value: float | None) -> Any:
    return "–" if value is None else value

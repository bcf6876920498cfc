"""A report as a workbook: every list in full, texts as texts whatever they begin with."""

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]
from xlsxwriter.worksheet import Worksheet  # type: ignore[import-untyped]

_OPTIONS = {
    # Row by row, and nothing that a collector typed may become a formula or a link.
    "constant_memory": True,
    "in_memory": False,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "default_date_format": "yyyy-mm-dd",
}
_WIDTH = 18
_LONGEST = 32_000  # a cell holds 32,767 characters
_FINDING = (
    "interaction_id", "agency", "case_id", "channel", "started_at", "collector_id", "rule",
    "title_zh", "title_en", "severity", "disposition", "review", "dispute", "articles", "quote",
    "heard", "start", "end", "facts", "why_zh", "why",
)  # fmt: skip
_RETENTION = (
    "interaction_id", "started_at", "status", "status_zh", "sha256", "size_bytes", "received_at",
    "retain_until",
)  # fmt: skip


def to_xlsx(document: dict[str, Any]) -> bytes:
    """Write the document's lists as sheets."""
    target = BytesIO()
    with xlsxwriter.Workbook(target, _OPTIONS) as book:
        made = document["generated_at"]
        book.set_properties({"title": "催收合规审计报告", "comments": f"hegui {made}"})
        bold = book.add_format({"bold": True, "bottom": 1})
        for name, rows in _sheets(document).items():
            _write(book.add_worksheet(name), rows, bold)
    return target.getvalue()


def _sheets(document: dict[str, Any]) -> dict[str, Iterable[Sequence[Any]]]:
    totals = document["totals"]
    return {
        "摘要 Summary": _summary(document),
        "发现 Findings": _listed(_FINDING, document["findings"]),
        "规则 Rules": _listed(
            ("rule", "title_zh", "title_en", "severity", "articles", "count", "dismissed"),
            totals["by_rule"],
        ),
        "每日 Days": _listed(("day", "interactions", "fail", "review"), document["days"]),
        "机构 Agencies": _listed(
            ("id", "name", "interactions", "fail", "review", "not_verified"), document["agencies"]
        ),
        "催收员 Collectors": _listed(
            ("agency", "collector_id", "violations"), document["collectors"]
        ),
        "条文 Articles": _listed(
            ("id", "instrument_zh", "instrument_en", "article", "text", "label", "source"),
            document["articles"],
        ),
        "录音 Recordings": _listed(_RETENTION, document["retention"]),
        "完整性 Completeness": _listed(
            ("agency", "days", "listed", "expected", "complete"),
            document["completeness"]["agencies"],
        ),
        "覆盖 Coverage": _listed(
            ("rule", "title_zh", "title_en", "status", "status_zh", "detail"),
            document["coverage"],
        ),
        "方法 Method": _listed(("zh", "en"), document["method"]),
    }


def _summary(document: dict[str, Any]) -> Iterable[Sequence[Any]]:
    totals, agency = document["totals"], document["agency"]
    yield ("项目 item", "值 value")
    yield ("委托机构 lender", document["tenant"]["name"])
    yield ("催收机构 agency", agency["name"] if agency else "全部 all")
    yield ("起 from", document["period"]["from"])
    yield ("止 to", document["period"]["to"])
    yield ("生成 made at", document["generated_at"])
    yield ("规则包 pack", document["pack"]["digest"])
    yield ("接触 interactions", totals["interactions"])
    yield ("发现 findings", totals["findings"])
    for group in ("by_outcome", "by_severity", "by_disposition", "by_review"):
        for name, count in totals[group].items():
            yield (f"{group}: {name}", count)
    for state, count in document["disputes"].items():
        yield (f"申诉 disputes: {state}", count)
    for status, row in document["recordings"].items():
        yield (f"录音 recordings: {row['status_zh']} {status}", row["count"])


def _listed(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterable[Sequence[Any]]:
    yield names
    for row in rows:
        yield [row.get(name) for name in names]


def _write(sheet: Worksheet, rows: Iterable[Sequence[Any]], bold: Any) -> None:
    sheet.freeze_panes(1, 0)
    for number, row in enumerate(rows):
        if number == 0:
            sheet.set_column(0, len(row) - 1, _WIDTH)
        for column, value in enumerate(row):
            match value:
                case None:
                    continue
                case bool() | int() | float():
                    sheet.write(number, column, value, bold if number == 0 else None)
                case _:
                    shown = _text(value)[:_LONGEST]
                    sheet.write_string(number, column, shown, bold if number == 0 else None)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "; ".join(f"{key} = {_text(each)}" for key, each in value.items())
    if isinstance(value, Iterable):
        return ", ".join(_text(each) for each in value)
    return str(value)

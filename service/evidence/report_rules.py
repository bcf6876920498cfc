"""What reports and bundles say of rules and articles, and how they write times."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rules import Pack
from rules.rule import Title

ZONE = ZoneInfo("Asia/Shanghai")
COVERAGE_ZH = {
    "checked": "已检查",
    "needs_data": "所收数据不足以检查",
    "out_of_scope": "不在范围内",
}


def local(moment: datetime) -> str:
    """Write a moment in the time of Shanghai."""
    return moment.astimezone(ZONE).isoformat(timespec="seconds")


def articles_of(pack: Pack, cited: Iterable[str]) -> list[dict[str, Any]]:
    """The texts of the articles that are cited, by id."""
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
        for article in (pack.articles[name] for name in sorted(set(cited)) if name in pack.articles)
    ]


def coverage_of(pack: Pack) -> list[dict[str, Any]]:
    """Every clause that the pack knows of: checked, not checkable from the data, out of scope."""
    # Rules that share an id are one clause, checked in several ways.
    checked = {rule.id: rule for rule in pack.rules}
    rows = [
        _covered(rule.id, rule.title, "checked", rule.coverage, rule.articles)
        for rule in checked.values()
    ]
    rows += [
        _covered(row.id, row.title, row.status, row.data.zh, row.articles)
        for row in pack.not_checked
    ]
    return sorted(rows, key=lambda row: str(row["rule"]))


def _covered(
    rule: str, title: Title, status: str, detail: str, articles: Iterable[str]
) -> dict[str, Any]:
    return {
        "rule": rule,
        "title_zh": title.zh,
        "title_en": title.en,
        "articles": list(articles),
        "status": status,
        "status_zh": COVERAGE_ZH[status],
        "detail": detail or None,
    }

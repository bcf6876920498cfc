"""The coverage page: every rule with its authority, and what the data received cannot show."""

from collections.abc import Iterable

from rules import Pack
from rules.rule import NotChecked, Rule

HEAD = """# Rules of the pack `{name}` {version}

Made by `hegui rules coverage`; do not edit. Each clause is *checked*, *needs data* that the events do not carry, or is
*out of scope*. Labels of articles: V read in the official text, T back-translated, S reported by a secondary source, Q quoted by
an article only. Policy is a choice of this product where the law is silent, and never shown as law.

## Checked

| rule | title | severity | basis | articles (label) | parameters: default (bounds) | what is checked |
|---|---|---|---|---|---|---|
"""
NEEDS = """
## Not checked

| rule | title | articles | why | data that it would need |
|---|---|---|---|---|
"""
ARTICLES = """
## Articles cited

| id | instrument | article | also published as | label | in force | text |
|---|---|---|---|---|---|---|
"""
WHY = {"needs_data": "needs data", "out_of_scope": "out of scope"}


def coverage_page(pack: Pack) -> str:
    """The page as Markdown, made from the pack alone."""
    checked = "".join(_checked(rule, pack) for rule in pack.rules)
    missing = "".join(_missing(row) for row in pack.not_checked)
    cited = sorted({name for rule in pack.rules for name in rule.articles})
    articles = "".join(_article(name, pack) for name in cited)
    head = HEAD.format(name=pack.name, version=pack.version)
    return head + checked + NEEDS + missing + ARTICLES + articles


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |\n"


def _checked(rule: Rule, pack: Pack) -> str:
    articles = ", ".join(f"{name} ({pack.articles[name].label})" for name in rule.articles)
    parameters = "; ".join(
        f"{p.name}: {p.default} ({p.minimum}–{p.maximum}, {p.basis})" for p in rule.parameters
    )
    return _row(
        (
            rule.id,
            f"{rule.title.zh} · {rule.title.en}",
            rule.severity.value,
            rule.basis,
            articles,
            parameters,
            rule.coverage,
        )
    )


def _missing(row: NotChecked) -> str:
    return _row(
        (
            row.id,
            f"{row.title.zh} · {row.title.en}",
            ", ".join(row.articles),
            WHY[row.status],
            f"{row.data.zh} · {row.data.en}",
        )
    )


def _article(name: str, pack: Pack) -> str:
    found = pack.articles[name]
    since = found.effective_from.isoformat() if found.effective_from else ""
    until = found.effective_to.isoformat() if found.effective_to else ""
    return _row(
        (
            found.id,
            found.instrument.zh,
            found.article,
            found.published_as or "",
            found.label,
            f"{since} – {until}",
            found.text,
        )
    )

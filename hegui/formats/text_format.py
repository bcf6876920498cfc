"""A result for people: a table by interaction, then what it comes to."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hegui.check import Checked, Result
from hegui.formats.words import place, quoted
from rules.model import Disposition, Finding, Outcome, Severity

COLOURS = {
    Outcome.PASS: "green",
    Outcome.FAIL: "bold red",
    Outcome.REVIEW: "yellow",
    Outcome.INCONCLUSIVE: "magenta",
    Outcome.ERROR: "bold magenta",
}
SEVERITIES = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
}
FEW = 20  # so many interactions or fewer: those without findings are listed too


def render(result: Result, console: Console) -> None:
    """Write the result to the console; widths follow what characters really take."""
    for one in result.checked:
        if one.findings or one.reasons or len(result.checked) <= FEW:
            _write_one(one, result, console)
    _write_summary(result, console)


def _write_one(one: Checked, result: Result, console: Console) -> None:
    about = one.interaction
    head = Text()
    head.append(f"{one.outcome.value:<12}", COLOURS[one.outcome])
    head.append(f" {about.interaction_id}", "bold")
    about_it = [about.channel.value, "" if one.words_only else f"{about.started_at:%Y-%m-%d %H:%M}"]
    about_it += [
        about.agency_id or "",
        about.case_id if about.case_id != about.interaction_id else "",
    ]
    head.append("  " + "  ".join(part for part in about_it if part), "dim")
    if one.reasons:
        head.append(f"  ({', '.join(one.reasons)})", "magenta")
    console.print(head)
    if one.findings:
        console.print(_table(one.findings, result))


def _table(findings: tuple[Finding, ...], result: Result) -> Table:
    titles = {rule.id: rule.title for pack in result.packs for rule in pack.rules}
    table = Table(box=None, padding=(0, 1), show_header=False, pad_edge=False)
    table.add_column(width=3)
    table.add_column(no_wrap=True)  # severity
    table.add_column(no_wrap=True)  # rule
    table.add_column(no_wrap=True, justify="right")  # second
    table.add_column(overflow="fold", ratio=1)
    for finding in findings:
        severity = Text(finding.severity.value, SEVERITIES[finding.severity])
        if finding.disposition is not Disposition.VIOLATION:
            severity.append(f" {finding.disposition.value}", "dim")
        words = Text()
        words.append(titles[finding.rule].zh, "bold")
        words.append(f"  {' '.join(finding.articles)}\n", "dim")
        words.append(quoted(finding))
        words.append(f"\n{finding.why_zh}", "dim")
        words.append(f"\n{finding.why}", "dim")
        table.add_row("", severity, finding.rule, place(finding), words)
    return table


def _write_summary(result: Result, console: Console) -> None:
    line = Text(f"{len(result.checked)} checked: ")
    parts = [(name, count) for name, count in result.outcomes().items() if count]
    for number, (name, count) in enumerate(parts):
        line.append(", " if number else "")
        line.append(f"{count} {name}", COLOURS[Outcome(name)])
    found = [f"{count} {name}" for name, count in result.severities().items() if count]
    line.append(f" · findings: {', '.join(found) or 'none'}")
    limit = result.fail_on.value if result.fail_on else "never"
    failing = sum(result.reaches(one) for one in result.checked)
    line.append(f" · {failing} at or above --fail-on {limit}")
    console.print(line)
    for pack in result.packs:
        console.print(
            Text(
                f"pack {pack.name} {pack.version}, {len(pack.rules)} rules, {pack.digest[:12]}",
                "dim",
            )
        )

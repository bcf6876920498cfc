"""The commands about rule packs: what is in them, whether they hold, why a sentence is flagged."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hegui.errors import RefusedError

if TYPE_CHECKING:
    from rules import Pack

rules = typer.Typer(name="rules", rich_markup_mode=None)
PackName = Annotated[
    str, typer.Option("--pack", help="A pack that comes with hegui, or a folder of YAML files.")
]
SECONDS_A_TURN = 4.0


def load(name: str) -> "Pack":
    """Load a pack by name, or from a folder; raises `RefusedError` or `PackError`."""
    from rules import parse
    from service.packs import load_pack

    folder = Path(name)
    if folder.is_dir():
        files = {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.yaml"))}
        return parse(files)
    try:
        return load_pack(name)
    except FileNotFoundError as error:
        raise RefusedError(f"--pack: {error}") from error


@rules.command("list")
def rules_list(pack: PackName = "collection") -> None:
    """Print every rule: id, severity, title, articles."""
    from rich.console import Console
    from rich.table import Table

    found = load(pack)
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for column in ("rule", "severity", "title", "", "articles"):
        table.add_column(column, overflow="fold")
    for rule in found.rules:
        table.add_row(
            rule.id, rule.severity.value, rule.title.zh, rule.title.en, " ".join(rule.articles)
        )
    console = Console()
    if not console.is_terminal:
        console.width = 160
    console.print(table)
    console.print(f"{found.name} {found.version}: {len(found.rules)} rules, digest {found.digest}")


@rules.command("test")
def rules_test(pack: PackName = "collection") -> None:
    """Run the tests that the rules carry; status 1 if one does not hold."""
    from rules import selftest
    from rules.selftest import entries

    found = load(pack)
    failures = selftest(found)
    for failure in failures:
        sys.stdout.write(f"{failure}\n")
    count = sum(1 for rule in found.rules for _ in entries(rule))
    sys.stdout.write(f"{len(found.rules)} rules, {count} tests, {len(failures)} failed\n")
    raise typer.Exit(1 if failures else 0)


@rules.command("explain")
def rules_explain(
    lines: Annotated[
        list[str],
        typer.Argument(
            help="What the collector says, a turn each; begin a turn with 'party:' for the other.",
            show_default=False,
        ),
    ],
    pack: PackName = "collection",
) -> None:
    """Show every match in these words, which guard cleared it, and what the second reader adds."""
    from rules import evaluate, explain
    from rules.events import EVENT, InteractionCompleted
    from rules.history import build_histories
    from rules.model import Audio, Contact
    from rules.second import DOUBTED

    segments = [
        {
            "speaker": "party" if line.startswith("party:") else "collector",
            "start": number * SECONDS_A_TURN,
            "end": (number + 1) * SECONDS_A_TURN,
            "text": line.removeprefix("party:"),
        }
        for number, line in enumerate(lines)
    ]
    moment = "2026-06-03T12:00:00+08:00"
    data = {
        "interaction_id": "words", "case_id": "words", "channel": "call", "direction": "outbound",
        "started_at": moment, "outcome": "answered", "collector": {"id": "unknown"},
        "party": {"role": "debtor"}, "transcript": segments,
    }  # fmt: skip
    event = EVENT.validate_python(
        {"type": "interaction.completed", "timestamp": moment, "data": data}
    )
    assert isinstance(event, InteractionCompleted)
    found = load(pack)
    candidates = explain(found, Contact(event.data, Audio(state="given")))
    for candidate in candidates:
        state = f"cleared by {candidate.cleared_by}" if candidate.cleared_by else "counts"
        span = candidate.span
        sys.stdout.write(
            f"turn {span.segment} “{span.heard}” ~ {candidate.entry.say}: {span.match}, {state}."
            f" {candidate.why}\n"
        )
    sys.stdout.write(f"{len(candidates)} matches\n")
    for history in build_histories([event]).values():
        for finding in evaluate(found, history)[-1].findings:
            if finding.match == "suggested" or finding.why.endswith(DOUBTED):
                place = f"turn {finding.segment} “{finding.heard}”"
                sys.stdout.write(f"{place}: {finding.rule}, review. {finding.why}\n")


@rules.command("coverage")
def rules_coverage(pack: PackName = "collection") -> None:
    """Print, as Markdown, each rule with its articles and what the data received cannot show."""
    from hegui.coverage import coverage_page

    sys.stdout.write(coverage_page(load(pack)))

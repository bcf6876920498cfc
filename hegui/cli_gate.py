"""The command `hegui gate`: its options. What it does loads when it is used."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hegui.errors import RefusedError


class GateFormat(StrEnum):
    """How the result is written."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    SARIF = "sarif"
    MARKDOWN = "markdown"


def gate(
    agency: Annotated[str, typer.Option("--agency", help="The agency's id or its exact name.")],
    since: Annotated[
        str, typer.Option("--since", help="How far back: 30m, 24h, 7d, or a time with an offset.")
    ] = "24h",
    until: Annotated[
        str, typer.Option("--until", help="The end: a span back or a time; 0m is now.")
    ] = "0m",
    max_critical: Annotated[
        int, typer.Option("--max-critical", min=0, help="Most critical violations.")
    ] = 0,
    max_high: Annotated[
        int | None, typer.Option("--max-high", min=0, help="Most high violations.")
    ] = None,
    max_medium: Annotated[
        int | None, typer.Option("--max-medium", min=0, help="Most medium violations.")
    ] = None,
    max_low: Annotated[
        int | None, typer.Option("--max-low", min=0, help="Most low violations.")
    ] = None,
    max_rate: Annotated[
        str | None,
        typer.Option("--max-rate", help="Largest share of checked contacts that fail, as 0.5%."),
    ] = None,
    max_unproven: Annotated[
        str,
        typer.Option(
            "--max-unproven",
            help="Largest share of contacts without proof: inconclusive, error or pending.",
        ),
    ] = "5%",
    wait: Annotated[
        str, typer.Option("--wait", help="Wait so long for contacts that are still pending.")
    ] = "0m",
    form: Annotated[GateFormat, typer.Option("--format")] = GateFormat.TEXT,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the result to this file.")
    ] = None,
    url: Annotated[
        str, typer.Option("--url", envvar="HEGUI_URL", help="Where hegui runs.")
    ] = "http://127.0.0.1:8080",
    key: Annotated[
        str,
        typer.Option(
            envvar="HEGUI_API_KEY",
            hidden=True,
            help="From the environment: never in a process list.",
        ),
    ] = "",
) -> None:
    """Hold an agency's contacts against limits: the gate of a pipeline or a scheduler.

    Reads a running hegui with the API key of HEGUI_API_KEY; a key with the scope read is enough.
    The result names rules and ids, never what was said.

    Status: 0 every limit is kept; 1 one is broken; 2 refused; 3 the service could not be reached.
    """
    from hegui.gate import Limits, parse_share, parse_since, parse_span
    from hegui.gate_run import Wish, run_gate
    from rules.model import Severity
    from service.clock import now

    if not key:
        raise RefusedError("HEGUI_API_KEY: set it to an API key; hegui key add makes one")
    moment = now()
    most = {
        Severity.CRITICAL: max_critical,
        Severity.HIGH: max_high,
        Severity.MEDIUM: max_medium,
        Severity.LOW: max_low,
    }
    wish = Wish(
        agency=agency,
        since=parse_since(since, "--since", now=moment),
        until=parse_since(until, "--until", now=moment),
        limits=Limits(
            {severity: count for severity, count in most.items() if count is not None},
            None if max_rate is None else parse_share(max_rate, "--max-rate"),
            parse_share(max_unproven, "--max-unproven"),
        ),
        wait=parse_span(wait, "--wait"),
    )
    if wish.until <= wish.since:
        raise RefusedError("--until: must lie after --since")
    raise typer.Exit(run_gate(wish, url, key, form.value, output))

"""The command `hegui gate`: its options. What it does loads when it is used."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hegui.errors import RefusedError

if TYPE_CHECKING:
    from hegui.gate_run import Batch


class GateFormat(StrEnum):
    """How the result is written."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    SARIF = "sarif"
    MARKDOWN = "markdown"


def gate(
    agency: Annotated[
        str | None, typer.Option("--agency", help="The agency's id or its exact name.")
    ] = None,
    campaign: Annotated[
        str | None,
        typer.Option("--campaign", help="A campaign, of all agencies or with --agency of one."),
    ] = None,
    manifest: Annotated[
        str | None, typer.Option("--manifest", help="An upload manifest's id or its exact name.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            help="How far back: 30m, 24h, 7d, or a time with an offset. For an agency: 24h.",
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="The end: a span back or a time; now.")
    ] = None,
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
            help="Largest share of contacts without proof: inconclusive, error, pending, missing.",
        ),
    ] = "5%",
    wait: Annotated[
        str, typer.Option("--wait", help="Wait so long for contacts that are pending or missing.")
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
    """Hold contacts against limits: the gate of a pipeline or a scheduler.

    Those of an agency and time (--agency, --since, --until), of a campaign (--campaign), or of an
    upload (--manifest).
    Reads a running hegui with the API key of HEGUI_API_KEY; a key with the scope read is enough.
    The result names rules and ids, never what was said.

    Status: 0 every limit is kept; 1 one is broken; 2 refused; 3 the service could not be reached.
    """
    from hegui.gate import Limits, parse_share, parse_span
    from hegui.gate_run import Wish, run_gate
    from rules.model import Severity

    if not key:
        raise RefusedError("HEGUI_API_KEY: set it to an API key; hegui key add makes one")
    most = {
        Severity.CRITICAL: max_critical,
        Severity.HIGH: max_high,
        Severity.MEDIUM: max_medium,
        Severity.LOW: max_low,
    }
    wish = Wish(
        batch=_batch(agency, campaign, manifest, since, until),
        limits=Limits(
            {severity: count for severity, count in most.items() if count is not None},
            None if max_rate is None else parse_share(max_rate, "--max-rate"),
            parse_share(max_unproven, "--max-unproven"),
        ),
        wait=parse_span(wait, "--wait"),
    )
    raise typer.Exit(run_gate(wish, url, key, form.value, output))


def _batch(
    agency: str | None,
    campaign: str | None,
    manifest: str | None,
    since: str | None,
    until: str | None,
) -> "Batch":
    """What is held against the limits; raises `RefusedError` where the options name no batch."""
    from hegui.gate import parse_since
    from hegui.gate_run import OfAgency, OfCampaign, OfManifest
    from service.clock import now

    if campaign is not None and manifest is not None:
        raise RefusedError("--manifest: goes without --campaign; it lists its contacts itself")
    if campaign is None and manifest is None and agency is None:
        raise RefusedError("--agency, --campaign or --manifest: name what to hold against limits")
    if campaign is not None or manifest is not None:
        for option, value in (("--since", since), ("--until", until)):
            if value is not None:
                raise RefusedError(f"{option}: goes with --agency alone")
    if manifest is not None:
        return OfManifest(manifest, agency)
    if campaign is not None:
        return OfCampaign(campaign, agency)
    moment = now()
    first = parse_since(since or "24h", "--since", now=moment)
    last = parse_since(until or "0m", "--until", now=moment)
    if last <= first:
        raise RefusedError("--until: must lie after --since")
    return OfAgency(agency or "", first, last)

"""The command `hegui gate`: from its options to its exit status."""

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from hegui.errors import RefusedError
from hegui.formats import gate_formats
from hegui.gate import Gate, Limits, judge, parse_share, parse_since, parse_span
from hegui.service_client import ServiceClient, UnreachableError
from rules.model import Severity
from service.clock import now

CLOSED = 1
UNDECIDED = 3
POLL_S = 2.0


class GateFormat(StrEnum):
    """How the result is written."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    SARIF = "sarif"
    MARKDOWN = "markdown"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be held against which limits."""

    agency: str
    since: datetime
    until: datetime
    limits: Limits
    wait: timedelta


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
    raise typer.Exit(_run(wish, url, key, form.value, output))


def _run(wish: Wish, url: str, key: str, form: str, output: Path | None) -> int:
    errors = Console(stderr=True)
    try:
        with ServiceClient(url, key) as client:
            found = _measured(client, wish, errors)
    except UnreachableError as error:
        errors.print(str(error), soft_wrap=True)
        return UNDECIDED
    page = gate_formats.render(found, form)
    if output is None:
        sys.stdout.write(page)
    else:
        try:
            output.write_text(page, encoding="utf-8")
        except OSError as error:
            raise RefusedError(f"--output: {output}: {error.strerror}") from error
        errors.print(f"gate {'open' if found.is_open else 'closed'}; written to {output}")
    return 0 if found.is_open else CLOSED


def _measured(client: ServiceClient, wish: Wish, errors: Console) -> Gate:
    agency_id = _agency_id(client, wish.agency)
    batch = _batch(client, agency_id, wish, errors)
    findings: tuple[dict[str, Any], ...] = ()
    if any(batch["violations"].values()):
        found = client.pages(
            "/v1/findings",
            agency_id=agency_id,
            disposition="violation",
            **{"from": _text(wish.since), "to": _text(wish.until)},
        )
        findings = tuple(found)
    return judge(batch, wish.limits, findings)


def _agency_id(client: ServiceClient, text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        pass
    found = [row["id"] for row in client.get("/v1/agencies")["items"] if row["name"] == text]
    if len(found) != 1:
        many = "several agencies have" if found else "no agency has"
        raise RefusedError(f"--agency: {many} this name; give its id")
    return str(found[0])


def _batch(client: ServiceClient, agency_id: str, wish: Wish, errors: Console) -> dict[str, Any]:
    """Read the batch, again and again while contacts are pending and there is time to wait."""
    path = f"/v1/checks/agencies/{agency_id}"
    query = {"from": _text(wish.since), "to": _text(wish.until)}
    batch = client.get(path, **query)
    deadline = time.monotonic() + wish.wait.total_seconds()
    if not batch["pending"] or time.monotonic() >= deadline:
        return batch
    columns = (TextColumn("contacts checked"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=errors) as bars:
        task = bars.add_task("", total=batch["interactions"])
        while batch["pending"] and time.monotonic() < deadline:
            done = batch["interactions"] - batch["pending"]
            bars.update(task, completed=done, total=batch["interactions"])
            time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))
            batch = client.get(path, **query)
    return batch


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()

"""Holds an agency's contacts, as a running service has them, against limits."""

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from hegui.errors import RefusedError
from hegui.formats import gate_formats
from hegui.gate import Gate, Limits, judge
from hegui.transport import ApiError, BadAddressError, Transport, UnreachableError

CLOSED = 1
UNDECIDED = 3
POLL_S = 2.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be held against which limits."""

    agency: str
    since: datetime
    until: datetime
    limits: Limits
    wait: timedelta


def run_gate(wish: Wish, url: str, key: str, form: str, output: Path | None) -> int:
    """Read, wait, judge and write the result; gives the exit status."""
    errors = Console(stderr=True)
    try:
        with Transport(url, key) as client:
            found = _measured(client, wish, errors)
    except BadAddressError as error:
        raise RefusedError(f"--url or HEGUI_API_KEY: {error}") from error
    except ApiError as error:
        raise RefusedError(f"the service refused: {error}") from error
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


def _measured(client: Transport, wish: Wish, errors: Console) -> Gate:
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


def _agency_id(client: Transport, text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        pass
    found = [row["id"] for row in client.get("/v1/agencies")["items"] if row["name"] == text]
    if len(found) != 1:
        many = "several agencies have" if found else "no agency has"
        raise RefusedError(f"--agency: {many} this name; give its id")
    return str(found[0])


def _batch(client: Transport, agency_id: str, wish: Wish, errors: Console) -> dict[str, Any]:
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

"""Holds contacts, as a running service has them, against limits."""

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from hegui.errors import RefusedError
from hegui.formats import gate_formats
from hegui.gate import Gate, Limits, expected, judge
from hegui.transport import ApiError, BadAddressError, Transport, UnreachableError

CLOSED = 1
UNDECIDED = 3
POLL_S = 2.0


Check = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OfAgency:
    """The contacts of one agency (its id or name) that started in [since, until)."""

    agency: str
    since: datetime
    until: datetime

    def address(self, client: Transport) -> tuple[str, dict[str, str]]:
        """Path and query of its check."""
        query = {"from": _text(self.since), "to": _text(self.until)}
        return f"/v1/checks/agencies/{_agency_id(client, self.agency)}", query

    def findings(self, check: Check) -> dict[str, str]:
        """The query for its findings."""
        period = {"from": _text(self.since), "to": _text(self.until)}
        return {"agency_id": check["agency_id"], **period}


@dataclass(frozen=True, slots=True)
class OfCampaign:
    """The contacts of one campaign, of all agencies or one (its id or name)."""

    campaign: str
    agency: str | None = None

    def address(self, client: Transport) -> tuple[str, dict[str, str]]:
        """Path and query of its check."""
        query = {} if self.agency is None else {"agency_id": _agency_id(client, self.agency)}
        return f"/v1/checks/campaigns/{quote(self.campaign, safe='')}", query

    def findings(self, check: Check) -> dict[str, str]:
        """The query for its findings."""
        own = {} if check["agency_id"] is None else {"agency_id": check["agency_id"]}
        return {"campaign": self.campaign, **own}


@dataclass(frozen=True, slots=True)
class OfManifest:
    """The contacts that one manifest (its id or name) lists."""

    manifest: str
    agency: str | None = None

    def address(self, client: Transport) -> tuple[str, dict[str, str]]:
        """Path and query of its check."""
        return f"/v1/checks/manifests/{self._id(client)}", {}

    def findings(self, check: Check) -> dict[str, str]:
        """The query for its findings."""
        return {"manifest": check["manifest"]}

    def _id(self, client: Transport) -> str:
        with suppress(ValueError):
            return str(UUID(self.manifest))
        query = {} if self.agency is None else {"agency_id": _agency_id(client, self.agency)}
        found = client.get("/v1/manifests", name=self.manifest, limit=2, **query)["items"]
        if len(found) != 1:
            many = "several manifests have" if found else "no manifest has"
            raise RefusedError(f"--manifest: {many} this name; give its id")
        return str(found[0]["id"])


Batch = OfAgency | OfCampaign | OfManifest


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be held against which limits."""

    batch: Batch
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
    check = _check(client, wish, errors)
    findings: tuple[dict[str, Any], ...] = ()
    if any(check["violations"].values()):
        query = wish.batch.findings(check)
        findings = tuple(client.pages("/v1/findings", disposition="violation", **query))
    return judge(check, wish.limits, findings)


def _agency_id(client: Transport, text: str) -> str:
    with suppress(ValueError):
        return str(UUID(text))
    found = [row["id"] for row in client.get("/v1/agencies")["items"] if row["name"] == text]
    if len(found) != 1:
        many = "several agencies have" if found else "no agency has"
        raise RefusedError(f"--agency: {many} this name; give its id")
    return str(found[0])


def _check(client: Transport, wish: Wish, errors: Console) -> dict[str, Any]:
    """Read the check, again and again while it is in progress and there is time to wait."""
    path, query = wish.batch.address(client)
    check = client.get(path, **query)
    deadline = time.monotonic() + wish.wait.total_seconds()
    if not _unfinished(check) or time.monotonic() >= deadline:
        return check
    columns = (TextColumn("contacts checked"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=errors) as bars:
        task = bars.add_task("", total=None)
        while (left := _unfinished(check)) and time.monotonic() < deadline:
            total = expected(check)
            bars.update(task, completed=total - left, total=total)
            time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))
            check = client.get(path, **query)
    return check


def _unfinished(check: Check) -> int:
    """Contacts that may still get their verdict: pending, or missing and not yet due."""
    in_progress = check["status"] == "in_progress"
    return int(check["pending"] + check.get("missing", 0)) if in_progress else 0


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()

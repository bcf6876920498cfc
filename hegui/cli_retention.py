"""The commands of keeping: legal holds, purge runs, agencies' lists of calls."""

import hashlib
import json
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from hegui.cli_admin import (
    OPERATOR,
    DataDir,
    TenantId,
    lender_database,
    read_id,
    read_moment,
)
from hegui.errors import RefusedError

hold = typer.Typer(name="hold", rich_markup_mode=None)
purge = typer.Typer(name="purge", rich_markup_mode=None)
calls = typer.Typer(name="calls", rich_markup_mode=None)

VAR = Path("var")
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.", show_default=False)]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the hold.")]
_MOST = 200


def _print(*rows: dict[str, Any]) -> None:
    """Print one JSON object a line."""
    for row in rows:
        sys.stdout.write(json.dumps(row, ensure_ascii=False, default=_plain) + "\n")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


@hold.command("place")
def hold_place(
    tenant_id: TenantId,
    reason: Reason,
    interaction: Annotated[
        str | None, typer.Option("--interaction", help="One contact, by its id here.")
    ] = None,
    case_id: Annotated[str | None, typer.Option("--case", help="All contacts of a case.")] = None,
    sha256: Annotated[str | None, typer.Option("--recording", help="One recording.")] = None,
    agency_id: Annotated[
        str | None, typer.Option("--agency", help="An agency's contacts of a period.")
    ] = None,
    first: Annotated[str | None, typer.Option("--from", help="The period's start.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="The period's end, exclusive.")] = None,
    data_dir: DataDir = VAR,
) -> None:
    """Hold recordings whatever their date, until the hold is released."""
    from service.clock import now
    from service.db import tenant_session
    from service.keeping import holds

    wish = holds.HoldWish(
        reason=reason,
        interaction_id=read_id(interaction, "--interaction") if interaction else None,
        case_id=case_id,
        sha256=sha256,
        agency_id=read_id(agency_id, "--agency") if agency_id else None,
        period_from=read_moment(first, "--from"),
        period_to=read_moment(last, "--to"),
    )
    with lender_database(data_dir, tenant_id) as lender, tenant_session(lender) as session:
        placed = holds.place_hold(session, tenant_id=lender, wish=wish, by=OPERATOR, now=now())
    _print({"hold_id": placed.row.id, "held": placed.held, "purged_before": placed.purged})


@hold.command("release")
def hold_release(
    hold_id: Annotated[
        str, typer.Argument(metavar="HOLD", help="The hold's id.", show_default=False)
    ],
    tenant_id: TenantId,
    reason: Reason,
    data_dir: DataDir = VAR,
) -> None:
    """End a hold; nothing is removed by it."""
    from service.clock import now
    from service.db import tenant_session
    from service.keeping import holds

    with lender_database(data_dir, tenant_id) as lender, tenant_session(lender) as session:
        released = holds.release_hold(
            session, read_id(hold_id, "HOLD"), reason=reason, by=OPERATOR, now=now()
        )
    _print({"hold_id": released.row.id, "released_at": released.row.released_at})


@hold.command("list")
def hold_list(
    tenant_id: TenantId,
    standing: Annotated[bool, typer.Option("--standing", help="Only those that hold now.")] = False,
    data_dir: DataDir = VAR,
) -> None:
    """Print the holds, one JSON object a line, the newest first."""
    from service.db import tenant_session
    from service.keeping import holds

    with lender_database(data_dir, tenant_id) as lender:
        cursor = None
        while True:
            with tenant_session(lender) as session:
                page = holds.list_holds(
                    session, standing=True if standing else None, cursor=cursor, limit=_MOST
                )
                _print(*(row.model_dump(exclude={"tenant_id"}) for row in page.rows))
            cursor = page.next_cursor
            if cursor is None:
                return


@purge.command("plan")
def purge_plan(tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """List what is past its date and under no hold, and begin the wait; nothing is removed."""
    from service.clock import now
    from service.config import settings
    from service.db import tenant_session
    from service.keeping import purge as steps

    with lender_database(data_dir, tenant_id) as lender:
        config = settings()
        with tenant_session(lender) as session:
            run = steps.plan_purge(
                session,
                tenant_id=lender,
                by=OPERATOR,
                cooling=timedelta(days=config.purge_wait_days),
                limit=config.purge_max_items,
                now=now(),
            )
            _print(_run(run))


@purge.command("approve")
def purge_approve(
    run_id: RunId,
    tenant_id: TenantId,
    list_sha256: Annotated[
        str, typer.Option("--list-sha256", help="The digest of the list you looked at.")
    ],
    data_dir: DataDir = VAR,
) -> None:
    """Approve a run that an administrator planned, after its wait; workers then remove.

    The operator counts as one person: a run planned here is approved by a lender's administrator.
    """
    from service.clock import now
    from service.db import tenant_session
    from service.keeping import purge as steps

    with lender_database(data_dir, tenant_id) as lender, tenant_session(lender) as session:
        run = steps.approve_purge(
            session, read_id(run_id, "RUN"), list_sha256=list_sha256, by=OPERATOR, now=now()
        )
        _print(_run(run))


@purge.command("run")
def purge_run(run_id: RunId, tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Carry out an approved run here and now, or go on with one that was cut short."""
    from service.db import tenant_session
    from service.keeping import purge as steps
    from workers.keeping import run_purge

    with lender_database(data_dir, tenant_id) as lender:
        found = read_id(run_id, "RUN")
        with tenant_session(lender) as session:
            steps.get_purge(session, found)
        if run_purge(lender, found) is None:
            raise RefusedError("RUN: it is not approved, it has ended, or a worker is at it")
        with tenant_session(lender) as session:
            run = steps.get_purge(session, found)
            _print(_run(run) | steps.count_items(session, found))


@purge.command("cancel")
def purge_cancel(run_id: RunId, tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Give a planned run up; its recordings may be listed anew."""
    from service.clock import now
    from service.db import tenant_session
    from service.keeping import purge as steps

    with lender_database(data_dir, tenant_id) as lender, tenant_session(lender) as session:
        run = steps.cancel_purge(session, read_id(run_id, "RUN"), by=OPERATOR, now=now())
        _print(_run(run))


@purge.command("list")
def purge_list(
    tenant_id: TenantId,
    run_id: Annotated[
        str | None, typer.Option("--run", help="The recordings of this run instead.")
    ] = None,
    data_dir: DataDir = VAR,
) -> None:
    """Print the runs, or the recordings of one, one JSON object a line."""
    from service.db import tenant_session
    from service.keeping import purge as steps

    with lender_database(data_dir, tenant_id) as lender, tenant_session(lender) as session:
        if run_id is None:
            _print(*(_run(run) for run in steps.list_purges(session, limit=_MOST).rows))
            return
        run = steps.get_purge(session, read_id(run_id, "RUN"))
        after = None
        while items := steps.list_items(session, run.id, after=after, limit=_MOST):
            _print(*(row.model_dump(exclude={"tenant_id", "run_id"}) for row in items))
            after = items[-1].sha256


@purge.command("clock")
def purge_clock(
    accept: Annotated[
        bool, typer.Option("--accept", help="Vouch for the clock: you have looked at it.")
    ] = False,
    data_dir: DataDir = VAR,
) -> None:
    """Say whether the clock is trusted for a purge; status 2 where it is not.

    A gap of more than three days between its ticks stops every purge: the machine was off, or
    its clock has jumped. Look, and then accept it.
    """
    from hegui.environment import database
    from service.db import front_door_session
    from service.keeping.retention import clock_flaw, vouch_for_clock

    with database(data_dir):
        if accept:
            with front_door_session() as session:
                vouch_for_clock(session, by=OPERATOR)
        with front_door_session() as session:
            flaw = clock_flaw(session)
    if flaw is not None:
        raise RefusedError(f"the clock is not trusted: {flaw}; look at it, then --accept")
    _print({"clock": "trusted"})


@calls.command("reconcile")
def calls_reconcile(
    path: Annotated[
        Path, typer.Argument(help="The list: *.csv or *.jsonl.", exists=True, show_default=False)
    ],
    agency_text: Annotated[
        str | None, typer.Option("--agency", help="The agency's id.  [default: the manifest's]")
    ] = None,
    day_text: Annotated[
        str | None, typer.Option("--day", help="YYYY-MM-DD.  [default: the manifest's]")
    ] = None,
    data_dir: DataDir = VAR,
) -> None:
    """Reconcile a day's list with what arrived; print the figure, then the faults, as JSON lines.

    FILE.manifest.json beside the list says agency, day, rows and sha256. Without it --agency and
    --day are needed, and the list is taken as it is. Status 1 where something is missing.
    """
    from hegui.environment import database
    from service.clock import now
    from service.db import front_door_session, tenant_session
    from service.keeping.call_lists import Manifest, read_call_list
    from service.keeping.completeness_store import open_faults, put_call_list, reconcile_day
    from service.models import WebhookSource

    body = path.read_bytes()
    said = _read_manifest(path)
    agency_id = read_id(agency_text or said.get("agency", ""), "--agency")
    day = _read_day(day_text or said.get("day", ""))
    as_csv = path.suffix.lower() not in {".jsonl", ".ndjson", ".json"}
    digest = said.get("sha256") or hashlib.sha256(body).hexdigest()
    manifest = Manifest(day=day, rows=said.get("rows"), sha256=digest)
    rows = read_call_list(body, manifest, as_csv=as_csv)
    with database(data_dir):
        with front_door_session() as door:
            source = door.get(WebhookSource, agency_id)
        if source is None:
            raise RefusedError(f"--agency: there is no agency {agency_id}")
        lender: UUID = source.tenant_id
        moment = now()
        with tenant_session(lender) as session:
            put_call_list(
                session, tenant_id=lender, agency_id=agency_id, manifest=manifest, rows=rows,
                by=OPERATOR, now=moment,
            )  # fmt: skip
            figure = reconcile_day(
                session, tenant_id=lender, agency_id=agency_id, day=day, now=moment
            )
            _print(figure.model_dump(exclude={"tenant_id", "told_sha256"}))
            faults = open_faults(session, agency_id, day)
            _print(
                *(row.model_dump(include={"call_id", "kind", "rule", "facts"}) for row in faults)
            )
    if faults:
        raise typer.Exit(1)


def _run(run: Any) -> dict[str, Any]:
    names = ("id", "state", "listed", "list_sha256", "planned_at", "planned_by", "ready_at",
             "approved_by", "ended_at", "certificate_sha256")  # fmt: skip
    return {name: getattr(run, name) for name in names}


def _read_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise RefusedError(f"--day: {text} is not a day; write it as 2026-06-03") from error


def _read_manifest(path: Path) -> dict[str, Any]:
    place = path.with_name(path.name + ".manifest.json")
    if not place.exists():
        return {}
    try:
        found = json.loads(place.read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict) or not {"agency", "day", "rows", "sha256"} <= set(found):
        raise RefusedError(f"{place}: must be a JSON object with agency, day, rows and sha256")
    return found

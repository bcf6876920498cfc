"""The commands that list, change and remove addresses for alerts."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hegui.cli_admin import (
    OPERATOR,
    VAR,
    DataDir,
    TenantId,
    choose,
    endpoint,
    lender_database,
    read_id,
)
from hegui.errors import RefusedError

__all__ = ["endpoint"]

EndpointKey = Annotated[str, typer.Argument(metavar="ID", help="The endpoint's id.")]
ALL = "all"


@endpoint.command("list")
def endpoint_list(tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Print each endpoint: id, kind, address without its secrets, what it wants, how it stands."""
    from service.alerts.endpoints import list_endpoints
    from service.api.endpoints import EndpointOut
    from service.db import tenant_session

    with lender_database(data_dir, tenant_id) as lender, tenant_session(lender) as session:
        rows = [EndpointOut.of(row) for row in list_endpoints(session)]
    for row in rows:
        wants = [row.lowest_severity, *row.dispositions, *(row.families or [])]
        wants += [str(agency) for agency in row.agencies or []]
        state = "on" if row.active else f"off: {row.disabled_reason}"
        sys.stdout.write(f"{row.id}  {row.kind}  {row.url}  {','.join(wants)}  {state}\n")


@endpoint.command("change")
def endpoint_change(
    key: EndpointKey,
    tenant_id: TenantId,
    active: Annotated[bool | None, typer.Option("--on/--off", help="Switch it on or off.")] = None,
    agencies: Annotated[
        list[str] | None,
        typer.Option("--agency", help="Only this agency; repeatable; 'all' for every agency."),
    ] = None,
    families: Annotated[
        list[str] | None,
        typer.Option("--family", help="Only this family (THR); repeatable; 'all' for every one."),
    ] = None,
    lowest: Annotated[
        str | None, typer.Option("--lowest-severity", help="low, medium, high or critical.")
    ] = None,
    dispositions: Annotated[
        list[str] | None,
        typer.Option("--disposition", help="violation, review, signal; repeatable."),
    ] = None,
    window_s: Annotated[
        int | None, typer.Option("--window-s", help="Seconds that a group is gathered.")
    ] = None,
    escalate_to: Annotated[
        str | None,
        typer.Option("--escalate-to", help="Endpoint for what nobody acknowledges; 'nobody'."),
    ] = None,
    escalate_after_s: Annotated[
        int | None, typer.Option("--escalate-after-s", help="Seconds until then.")
    ] = None,
    data_dir: DataDir = VAR,
) -> None:
    """Change what an endpoint wants; what is not named stays as it is."""
    from rules.model import Disposition, Severity
    from service.alerts.endpoints import change_endpoint

    changes: dict[str, Any] = {}
    if active is not None:
        changes["active"] = active
    if agencies:
        own = [read_id(text, "--agency") for text in agencies if text != ALL]
        changes["agencies"] = own or None
    if families:
        changes["families"] = [text for text in families if text != ALL] or None
    if lowest is not None:
        changes["lowest_severity"] = choose(lowest, "--lowest-severity", list(Severity))
    if dispositions:
        known = list(Disposition)
        changes["dispositions"] = [choose(text, "--disposition", known) for text in dispositions]
    if window_s is not None:
        changes["window_s"] = window_s
    changes |= _escalation(escalate_to, escalate_after_s)
    if not changes:
        raise RefusedError("nothing to change; hegui endpoint change --help lists the options")
    _do(
        tenant_id,
        data_dir,
        lambda session: change_endpoint(session, read_id(key, "ID"), changes, by=OPERATOR),
    )
    sys.stdout.write(f"{read_id(key, 'ID')} changed: {', '.join(sorted(changes))}\n")


@endpoint.command("remove")
def endpoint_remove(key: EndpointKey, tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Send it nothing more; critical alerts that it still had go to the other endpoints."""
    from service.alerts.endpoints import remove_endpoint

    _do(
        tenant_id,
        data_dir,
        lambda session: remove_endpoint(session, read_id(key, "ID"), by=OPERATOR),
    )
    sys.stdout.write(f"{read_id(key, 'ID')} removed\n")


def _escalation(to: str | None, after_s: int | None) -> dict[str, Any]:
    if to == "nobody":
        return {"escalate_to": None, "escalate_after_s": None}
    named = {} if to is None else {"escalate_to": read_id(to, "--escalate-to")}
    return named if after_s is None else {**named, "escalate_after_s": after_s}


def _do(tenant_id: str, data_dir: Path, work: Any) -> None:
    """Do it for one lender; what the service refuses is told by the field's name."""
    from service.db import tenant_session
    from service.errors import ServiceError

    with lender_database(data_dir, tenant_id) as lender:
        try:
            with tenant_session(lender) as session:
                work(session)
        except ServiceError as error:
            fields = "; ".join(f"{each.field} {each.message}" for each in error.errors)
            raise RefusedError(f"{error.detail} {fields}".strip()) from error

"""The commands of an operator for keys that seal personal data, and for limits."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from hegui.cli_admin import (
    OPERATOR,
    VAR,
    DataDir,
    TenantId,
    lender_database,
    read_id,
    show,
)
from hegui.errors import RefusedError

if TYPE_CHECKING:
    from sqlmodel import Session

    from service.privacy.models import LimitKind

keys = typer.Typer(name="keys", rich_markup_mode=None)
limits = typer.Typer(name="limits", rich_markup_mode=None)

Kind = Annotated[
    str, typer.Argument(help="requests, events or upload_mb.", metavar="KIND", show_default=False)
]
AgencyOption = Annotated[
    str | None, typer.Option("--agency", help="Only this agency; else the whole lender.")
]
# Another process seals with the key before for up to a minute after it is retired.
SETTLED = timedelta(minutes=5)
_FAULTS = frozenset({"missing", "damaged"})


@contextmanager
def in_lender(tenant_id: str, data_dir: "DataDir") -> Iterator[tuple[UUID, "Session"]]:
    """A session of the lender that `--tenant` names."""
    from service.db import tenant_session

    with lender_database(data_dir, tenant_id) as found, tenant_session(found) as session:
        yield found, session


def _tenants() -> list[UUID]:
    from service.access.tenants import list_tenants
    from service.db import front_door_session

    with front_door_session() as door:
        return [row.id for row in list_tenants(door)]


@keys.command("master")
def keys_master() -> None:
    """Print a new master key for HEGUI_MASTER_KEY or a key file. Keep a copy apart from backups."""
    from service.privacy.master_key import make_master_key

    sys.stdout.write(make_master_key() + "\n")


@keys.command("list")
def keys_list(tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Print a lender's data keys: id, purpose, master key, made, retired."""
    from service.privacy.data_keys import list_keys

    with in_lender(tenant_id, data_dir) as (_, session):
        for row in list_keys(session):
            retired = row.retired_at.isoformat(timespec="seconds") if row.retired_at else "in use"
            made = row.created_at.isoformat(timespec="seconds")
            sys.stdout.write(f"{row.id}  {row.purpose}  {row.master}  {made}  {retired}\n")


@keys.command("rotate")
def keys_rotate(tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Make a lender's new data key; `hegui keys reseal` then seals the old events with it."""
    from service.privacy.data_keys import rotate_key

    with in_lender(tenant_id, data_dir) as (tenant, session):
        made = rotate_key(session, tenant_id=tenant, by=OPERATOR)
    show(data_key=made)


@keys.command("reseal")
def keys_reseal(tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Seal all that is sealed for a lender under its newest data key, and delete the old keys.

    Recordings stay as they are: what is sealed anew is the key of each. A key that was retired in
    the last five minutes stays: run it once more after that.
    """
    from service.clock import now
    from service.db import tenant_session
    from service.privacy import sealing
    from service.privacy.data_keys import drop_unused, reseal
    from service.privacy.resealing import reseal_fields

    with lender_database(data_dir, tenant_id) as tenant:
        sealing.load_keys(tenant, anew=True)
        count, after, more = 0, None, True
        while more:
            with tenant_session(tenant) as session:
                batch = reseal(session, tenant_id=tenant, after=after)
            count, after, more = count + batch.count, batch.after, batch.after is not None
        done = 1
        while done:
            with tenant_session(tenant) as session:
                done = reseal_fields(session, tenant_id=tenant)
            count += done
        with tenant_session(tenant) as session:
            dropped = drop_unused(session, tenant_id=tenant, before=now() - SETTLED, by=OPERATOR)
    show(resealed=count, keys_dropped=dropped)


@keys.command("seal-recordings")
def keys_seal_recordings(tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Seal a lender's recordings and dispute files that earlier releases stored in the clear.

    It may be stopped and begun again. Status 1 where one is missing or is not what its name says:
    these are named. A bucket keeps a locked plain version beside the sealed one; run it again once
    the lock has ended.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    from service.keeping.sealing_run import Found, count_objects, seal_objects

    counts: Counter[Found] = Counter()
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        lender_database(data_dir, tenant_id) as tenant,
        Progress(*columns, console=Console(stderr=True), transient=True) as bar,
    ):
        steps = bar.track(seal_objects(tenant, counts), total=count_objects(tenant))
        faults = [(name, what) for name, what in steps if what in _FAULTS]
    for name, what in faults:
        sys.stdout.write(f"{name}  {what}\n")
    show(**{what.value: counts[what] for what in Found})
    if faults:
        raise typer.Exit(1)


@keys.command("rewrap")
def keys_rewrap(data_dir: DataDir = VAR) -> None:
    """Wrap all data keys under the master key in use; HEGUI_MASTER_KEY_PREVIOUS opens them."""
    from hegui.environment import database
    from service.db import tenant_session
    from service.privacy.data_keys import rewrap

    with database(data_dir):
        count = 0
        for tenant in _tenants():
            with tenant_session(tenant) as session:
                count += rewrap(session, tenant_id=tenant)
    show(rewrapped=count)


@limits.command("list")
def limits_list(tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Print the limits of a lender and its agencies; `default` where none is set."""
    from service.limits import default_limit, list_limits
    from service.privacy.models import LimitKind

    with in_lender(tenant_id, data_dir) as (_, session):
        rows = list_limits(session)
        for kind in LimitKind:
            own = [row for row in rows if row.kind == kind]
            if all(row.agency_id is not None for row in own):
                limit = default_limit(kind)
                told = f"{limit.amount} in {limit.period_s} s, burst {limit.burst}"
                sys.stdout.write(
                    f"{kind.value}  lender  {told if limit.amount else 'none'}  default\n"
                )
            for row in own:
                sys.stdout.write(
                    f"{kind.value}  {row.agency_id or 'lender'}"
                    f"  {row.amount} in {row.period_s} s, burst {row.burst}\n"
                )


@limits.command("set")
def limits_set(
    kind: Kind,
    amount: Annotated[int, typer.Argument(help="How many.", show_default=False)],
    tenant_id: TenantId,
    period_s: Annotated[int, typer.Option("--period", help="In so many seconds.")] = 60,
    burst: Annotated[
        int | None, typer.Option("--burst", help="So many at once.  [default: a sixth]")
    ] = None,
    agency: AgencyOption = None,
    data_dir: DataDir = VAR,
) -> None:
    """Limit a lender, or one of its agencies; a quota is a limit with a long period (86400)."""
    from service.limits import Limit, set_limit

    wish = Limit(amount, period_s, burst if burst is not None else max(1, amount // 6))
    with in_lender(tenant_id, data_dir) as (tenant, session):
        set_limit(
            session,
            tenant_id=tenant,
            agency_id=read_id(agency, "--agency") if agency else None,
            kind=_kind(kind),
            limit=wish,
            by=OPERATOR,
        )
    show(kind=kind, amount=wish.amount, period_s=wish.period_s, burst=wish.burst)


@limits.command("clear")
def limits_clear(
    kind: Kind, tenant_id: TenantId, agency: AgencyOption = None, data_dir: DataDir = VAR
) -> None:
    """Take a limit away, so that the default counts again."""
    from service.limits import clear_limit

    with in_lender(tenant_id, data_dir) as (tenant, session):
        clear_limit(
            session,
            tenant_id=tenant,
            agency_id=read_id(agency, "--agency") if agency else None,
            kind=_kind(kind),
            by=OPERATOR,
        )
    show(kind=kind, cleared="yes")


def _kind(text: str) -> "LimitKind":
    from service.privacy.models import LimitKind

    try:
        return LimitKind(text)
    except ValueError:
        raise RefusedError(f"KIND: {text} is none of {', '.join(LimitKind)}") from None

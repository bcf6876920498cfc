"""The commands of who may come in: lives of lenders and agencies, keys, regulators, grants."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from hegui.cli_admin import (
    OPERATOR,
    VAR,
    DataDir,
    TenantId,
    agency,
    lender_database,
    read_id,
    read_moment,
    show,
    tenant,
)
from hegui.errors import RefusedError

if TYPE_CHECKING:
    from sqlmodel import Session

    from service.access.keys import Owner

key = typer.Typer(name="key", rich_markup_mode=None)
regulator = typer.Typer(name="regulator", rich_markup_mode=None)
grant = typer.Typer(name="grant", rich_markup_mode=None)

LenderArgument = Annotated[
    str, typer.Argument(metavar="TENANT_ID", help="The lender's id.", show_default=False)
]
AgencyArgument = Annotated[
    str, typer.Argument(metavar="AGENCY_ID", help="The agency's id.", show_default=False)
]
KeyArgument = Annotated[str, typer.Argument(metavar="ID", help="The key's id.", show_default=False)]
RegulatorArgument = Annotated[
    str, typer.Argument(metavar="REGULATOR_ID", help="The regulator's id.", show_default=False)
]
GrantArgument = Annotated[
    str, typer.Argument(metavar="GRANT_ID", help="The grant's id.", show_default=False)
]
OfTenant = Annotated[str | None, typer.Option("--tenant", help="The lender whose key it is.")]
OfRegulator = Annotated[
    str | None, typer.Option("--regulator", help="The regulator whose key it is.")
]


@contextmanager
def refusing() -> Iterator[None]:
    """Say what the service refuses in one line, each wrong field by name."""
    from service.errors import ServiceError

    try:
        yield
    except ServiceError as error:
        fields = "; ".join(f"{each.field} {each.message}" for each in error.errors)
        raise RefusedError(f"{error.detail} {fields}".strip()) from error


@contextmanager
def _lender(data_dir: Path, text: str) -> "Iterator[tuple[UUID, Session]]":
    """Open a session of one lender; refusals are said in one line."""
    from service.db import tenant_session

    with (
        lender_database(data_dir, text) as lender,
        refusing(),
        tenant_session(lender) as session,
    ):
        yield lender, session


@contextmanager
def _owner(
    data_dir: Path, tenant_id: str | None, regulator_id: str | None
) -> "Iterator[tuple[Owner, Session]]":
    """Open the session in which an owner's keys are changed."""
    from hegui.environment import database
    from service.access.keys import Owner, get_regulator
    from service.db import front_door_session

    if (tenant_id is None) == (regulator_id is None):
        raise RefusedError("give one of --tenant and --regulator")
    if tenant_id is not None:
        with _lender(data_dir, tenant_id) as (lender, session):
            yield Owner(tenant_id=lender), session
        return
    found = read_id(regulator_id or "", "--regulator")
    with database(data_dir), refusing(), front_door_session() as session:
        get_regulator(session, found)
        yield Owner(regulator_id=found), session


def _state(row: Any) -> str:
    if row.removed_at is not None:
        return "removed"
    return "suspended" if row.suspended_at is not None else "active"


def _change_tenant(data_dir: Path, text: str, change: str) -> None:
    from hegui.environment import database
    from service.access import tenants

    with database(data_dir), refusing():
        getattr(tenants, f"{change}_tenant")(read_id(text, "TENANT_ID"))


@tenant.command("suspend")
def tenant_suspend(tenant_id: LenderArgument, data_dir: DataDir = VAR) -> None:
    """Refuse all keys and webhooks of a lender until it is resumed; its data stays."""
    _change_tenant(data_dir, tenant_id, "suspend")


@tenant.command("resume")
def tenant_resume(tenant_id: LenderArgument, data_dir: DataDir = VAR) -> None:
    """Take a suspended lender's keys and webhooks again."""
    _change_tenant(data_dir, tenant_id, "resume")


@tenant.command("remove")
def tenant_remove(tenant_id: LenderArgument, data_dir: DataDir = VAR) -> None:
    """End a lender's access for good; what retention holds stays as long as it must."""
    _change_tenant(data_dir, tenant_id, "remove")


@agency.command("list")
def agency_list(tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Print every agency's id, state and name."""
    from service.read import list_agencies

    with _lender(data_dir, tenant_id) as (_, session):
        for row in list_agencies(session):
            sys.stdout.write(f"{row.id}  {_state(row)}  {row.name}\n")


def _change_agency(data_dir: Path, tenant_id: str, text: str, change: str) -> None:
    from service.access import tenants

    with _lender(data_dir, tenant_id) as (_, session):
        getattr(tenants, f"{change}_agency")(session, read_id(text, "AGENCY_ID"), by=OPERATOR)


@agency.command("suspend")
def agency_suspend(agency_id: AgencyArgument, tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Refuse an agency's keys and webhooks until it is resumed; its contacts stay."""
    _change_agency(data_dir, tenant_id, agency_id, "suspend")


@agency.command("resume")
def agency_resume(agency_id: AgencyArgument, tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Take a suspended agency's keys and webhooks again."""
    _change_agency(data_dir, tenant_id, agency_id, "resume")


@agency.command("remove")
def agency_remove(agency_id: AgencyArgument, tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """End an agency's keys and webhooks for good; its contacts stay with the lender."""
    _change_agency(data_dir, tenant_id, agency_id, "remove")


@agency.command("rotate")
def agency_rotate(agency_id: AgencyArgument, tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Print a new secret that signs an agency's webhooks; the one before stays good for a while."""
    from service.access.tenants import rotate_secret

    with _lender(data_dir, tenant_id) as (lender, session):
        found = read_id(agency_id, "AGENCY_ID")
        secret = rotate_secret(session, tenant_id=lender, agency_id=found, by=OPERATOR)
    show(webhook_secret=secret)


@key.command("add")
def key_add(
    actor: Annotated[str, typer.Option("--actor", help="lender, agency or regulator.")],
    tenant_id: OfTenant = None,
    regulator_id: OfRegulator = None,
    scope: Annotated[
        str, typer.Option("--scope", help="admin, review, send, quality or read.")
    ] = "read",
    label: Annotated[str, typer.Option("--label", help="What it is for.")] = "made by the operator",
    agency_id: Annotated[str | None, typer.Option("--agency", help="For an agency's key.")] = None,
    expires: Annotated[str | None, typer.Option("--expires", help="When the key ends.")] = None,
    data_dir: DataDir = VAR,
) -> None:
    """Add an API key and print it, this once."""
    from service.access.keys import KeyWish, add_key
    from service.models import Actor, Scope

    if actor not in list(Actor):
        raise RefusedError(f"--actor: {actor}: use {', '.join(Actor)}")
    if scope not in list(Scope):
        raise RefusedError(f"--scope: {scope}: use {', '.join(Scope)}")
    with _owner(data_dir, tenant_id, regulator_id) as (owner, session):
        wish = KeyWish(
            actor=Actor(actor),
            scope=Scope(scope),
            label=label,
            agency_id=read_id(agency_id, "--agency") if agency_id else None,
            regulator_id=owner.regulator_id,
            expires_at=read_moment(expires, "--expires"),
        )
        issued = add_key(session, tenant_id=owner.tenant_id, wish=wish, by=OPERATOR)
    show(id=issued.id, key_id=issued.key_id, key=issued.token)


@key.command("list")
def key_list(
    tenant_id: OfTenant = None,
    regulator_id: OfRegulator = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, newest first.")] = 100,
    data_dir: DataDir = VAR,
) -> None:
    """Print keys: id, key id, actor, scope, state, end and label; never a secret."""
    from service.access.keys import list_keys

    with _owner(data_dir, tenant_id, regulator_id) as (owner, session):
        for row in list_keys(session, owner, limit=limit):
            state = "revoked" if row.revoked_at else "suspended" if row.suspended_at else "active"
            end = row.expires_at.isoformat() if row.expires_at else "-"
            words = (str(row.id), row.key_id, row.actor, row.scope, state, end, row.label)
            sys.stdout.write("  ".join(words) + "\n")


@key.command("rotate")
def key_rotate(
    key_uuid: KeyArgument,
    tenant_id: OfTenant = None,
    regulator_id: OfRegulator = None,
    overlap_hours: Annotated[
        int | None, typer.Option("--overlap-hours", min=0, max=720, help="Both are good so long.")
    ] = None,
    data_dir: DataDir = VAR,
) -> None:
    """Print a key's successor, this once; the key itself stays good for the overlap."""
    from service.access.keys import rotate_key

    with _owner(data_dir, tenant_id, regulator_id) as (owner, session):
        issued = rotate_key(
            session, owner, read_id(key_uuid, "ID"), overlap_hours=overlap_hours, by=OPERATOR
        )
    show(id=issued.id, key_id=issued.key_id, key=issued.token)


def _change_key(
    change: str, key_uuid: str, tenant_id: str | None, regulator_id: str | None, data_dir: Path
) -> None:
    from service.access import keys as access_keys

    act: Callable[..., object] = getattr(access_keys, f"{change}_key")
    with _owner(data_dir, tenant_id, regulator_id) as (owner, session):
        act(session, owner, read_id(key_uuid, "ID"), by=OPERATOR)


@key.command("suspend")
def key_suspend(
    key_uuid: KeyArgument,
    tenant_id: OfTenant = None,
    regulator_id: OfRegulator = None,
    data_dir: DataDir = VAR,
) -> None:
    """Refuse a key from its next request on, until it is resumed."""
    _change_key("suspend", key_uuid, tenant_id, regulator_id, data_dir)


@key.command("resume")
def key_resume(
    key_uuid: KeyArgument,
    tenant_id: OfTenant = None,
    regulator_id: OfRegulator = None,
    data_dir: DataDir = VAR,
) -> None:
    """Take a suspended key again."""
    _change_key("resume", key_uuid, tenant_id, regulator_id, data_dir)


@key.command("revoke")
def key_revoke(
    key_uuid: KeyArgument,
    tenant_id: OfTenant = None,
    regulator_id: OfRegulator = None,
    data_dir: DataDir = VAR,
) -> None:
    """End an API key for good: the next request with it is refused."""
    _change_key("revoke", key_uuid, tenant_id, regulator_id, data_dir)


@regulator.command("add")
def regulator_add(
    name: Annotated[str, typer.Argument(help="The authority's name.", show_default=False)],
    data_dir: DataDir = VAR,
) -> None:
    """Add a regulator and print its id; give it a key with `hegui key add --regulator ID`."""
    from hegui.environment import database
    from service.access.tenants import add_regulator

    with database(data_dir):
        show(regulator_id=add_regulator(name).id)


@regulator.command("list")
def regulator_list(data_dir: DataDir = VAR) -> None:
    """Print every regulator's id, state and name."""
    from hegui.environment import database
    from service.access.tenants import list_regulators
    from service.db import front_door_session

    with database(data_dir), front_door_session() as session:
        for row in list_regulators(session):
            sys.stdout.write(f"{row.id}  {_state(row)}  {row.name}\n")


def _change_regulator(data_dir: Path, text: str, what: str) -> None:
    from hegui.environment import database
    from service.access.tenants import change_regulator

    with database(data_dir), refusing():
        change_regulator(read_id(text, "REGULATOR_ID"), what)


@regulator.command("suspend")
def regulator_suspend(regulator_id: RegulatorArgument, data_dir: DataDir = VAR) -> None:
    """Refuse all keys of a regulator until it is resumed."""
    _change_regulator(data_dir, regulator_id, "suspended")


@regulator.command("resume")
def regulator_resume(regulator_id: RegulatorArgument, data_dir: DataDir = VAR) -> None:
    """Take a suspended regulator's keys again."""
    _change_regulator(data_dir, regulator_id, "resumed")


@regulator.command("remove")
def regulator_remove(regulator_id: RegulatorArgument, data_dir: DataDir = VAR) -> None:
    """End a regulator's access for good; what it read stays written down."""
    _change_regulator(data_dir, regulator_id, "removed")


@grant.command("request")
def grant_request(
    tenant_ids: Annotated[
        list[str],
        typer.Option("--tenant", help="The lender; repeatable: one grant each, alike."),
    ],
    regulator_id: Annotated[str, typer.Option("--regulator", help="Who is to read.")],
    case_number: Annotated[str, typer.Option("--case-number", help="Its own, of its proceeding.")],
    purpose: Annotated[str, typer.Option("--purpose", help="What for.")],
    first: Annotated[str, typer.Option("--from", help="Contacts that started at or after.")],
    last: Annotated[str, typer.Option("--to", help="Contacts that started before.")],
    ends: Annotated[str, typer.Option("--ends", help="When the grant is over.")],
    starts: Annotated[str | None, typer.Option("--starts", help="When it begins; now.")] = None,
    agencies: Annotated[
        list[str] | None, typer.Option("--agency", help="Only this agency; repeatable.")
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", help="transcripts, recordings, personal; repeatable."),
    ] = None,
    data_dir: DataDir = VAR,
) -> None:
    """Write down what a regulator should read, at each lender; two have to approve each grant."""
    from service.access.grants import GrantWish, request_grant
    from service.access.models import GrantField

    unknown = set(fields or []) - set(GrantField)
    if unknown:
        raise RefusedError(f"--field: {', '.join(sorted(unknown))}: use {', '.join(GrantField)}")
    wish = GrantWish(
        regulator_id=read_id(regulator_id, "--regulator"),
        case_number=case_number,
        purpose=purpose,
        period_from=_time(first, "--from"),
        period_to=_time(last, "--to"),
        starts_at=read_moment(starts, "--starts"),
        ends_at=_time(ends, "--ends"),
        agencies=[read_id(text, "--agency") for text in agencies] if agencies else None,
        fields=frozenset(GrantField(field) for field in fields or []),
    )
    for text in tenant_ids:
        with _lender(data_dir, text) as (lender, session):
            row = request_grant(session, tenant_id=lender, wish=wish, by=OPERATOR)
            show(grant_id=row.id, tenant_id=lender)


def _time(text: str, name: str) -> Any:
    found = read_moment(text, name)
    assert found is not None
    return found


@grant.command("list")
def grant_list(tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Print a lender's grants: id, state, end, case number and purpose; the newest 200."""
    from service.access.grants import database_now, list_grants, state_of

    with _lender(data_dir, tenant_id) as (_, session):
        at = database_now(session)
        for row in list_grants(session, limit=200).rows:
            words = (state_of(row, at), row.ends_at.isoformat(), row.case_number, row.purpose)
            sys.stdout.write("  ".join((str(row.id), *words)) + "\n")


@grant.command("approve")
def grant_approve(grant_id: GrantArgument, tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Give the operator's approval; the other one is an administrator's of the lender."""
    from service.access.grants import approve_grant, database_now, state_of

    with _lender(data_dir, tenant_id) as (_, session):
        row = approve_grant(session, read_id(grant_id, "GRANT_ID"), by=OPERATOR)
        show(state=state_of(row, database_now(session)))


@grant.command("end")
def grant_end(grant_id: GrantArgument, tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Refuse a request or end a grant: at once, and for good."""
    from service.access.grants import end_grant

    with _lender(data_dir, tenant_id) as (_, session):
        end_grant(session, read_id(grant_id, "GRANT_ID"), by=OPERATOR)

"""The commands of who may sign in: people, and the provider that a lender's people sign in at."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hegui.cli_access import refusing
from hegui.cli_admin import OPERATOR, VAR, DataDir, TenantId, lender_database, read_id, show
from hegui.errors import RefusedError

if TYPE_CHECKING:
    from sqlmodel import Session

    from service.access.person_models import Person
    from service.access.persons import Circle

person = typer.Typer(name="person", rich_markup_mode=None)
provider = typer.Typer(name="provider", rich_markup_mode=None)

PersonArgument = Annotated[
    str, typer.Argument(metavar="PERSON", help="The person's id or handle.", show_default=False)
]
OfTenant = Annotated[
    str | None,
    typer.Option("--tenant", help="The lender; without it: people of regulators and operators."),
]
MOST = 1000


@contextmanager
def _circle(data_dir: Path, tenant_id: str | None) -> "Iterator[tuple[Circle, Session]]":
    """Open the session in which a circle's people are changed; refusals are one line."""
    from hegui.environment import database
    from service.access.console import circle_session
    from service.access.persons import Circle

    if tenant_id is not None:
        with (
            lender_database(data_dir, tenant_id) as lender,
            refusing(),
            circle_session(lender) as session,
        ):
            yield Circle(lender), session
        return
    with database(data_dir), refusing(), circle_session(None) as session:
        yield Circle(None), session


def _find(session: "Session", circle: "Circle", text: str) -> "Person":
    """Read PERSON, an id or a handle; raises `RefusedError`."""
    from sqlmodel import col, select

    from service.access.person_models import Person

    condition = (
        col(Person.handle) == text
        if text.startswith("usr_")
        else col(Person.id) == read_id(text, "PERSON")
    )
    found = session.exec(select(Person).where(circle.holds(), condition)).one_or_none()
    if found is None:
        raise RefusedError(f"PERSON: there is no {text} here; hegui person list shows them")
    return found


@person.command("add")
def person_add(
    email: Annotated[str, typer.Argument(help="The e-mail address.", show_default=False)],
    name: Annotated[str, typer.Option("--name", help="The person's name.", show_default=False)],
    scope: Annotated[
        str,
        typer.Option(
            "--scope",
            help="lender: admin, review, read; agency: send, quality, read; regulator: read.",
        ),
    ] = "",
    tenant_id: OfTenant = None,
    agency_id: Annotated[
        str | None, typer.Option("--agency", help="The agency that the person stands for.")
    ] = None,
    regulator_id: Annotated[
        str | None, typer.Option("--regulator", help="The regulator that the person stands for.")
    ] = None,
    data_dir: DataDir = VAR,
) -> None:
    """Add somebody and print a token, this once, that sets the first password."""
    from service.access import persons
    from service.models import Actor, Scope

    if tenant_id is not None:
        actor = Actor.AGENCY if agency_id else Actor.LENDER
    else:
        actor = Actor.REGULATOR if regulator_id else Actor.OPERATOR
    usual = {Actor.OPERATOR: Scope.OPERATE}.get(actor, Scope.READ)
    if scope and scope not in list(Scope):
        raise RefusedError(f"--scope: {scope}: use {', '.join(Scope)}")
    if email.count("@") != 1 or email.startswith("@") or email.endswith("@"):
        raise RefusedError(f"EMAIL: {email} is no e-mail address")
    wish = persons.PersonWish(
        actor=actor,
        scope=Scope(scope) if scope else usual,
        email=email,
        name=name,
        agency_id=read_id(agency_id, "--agency") if agency_id else None,
        regulator_id=read_id(regulator_id, "--regulator") if regulator_id else None,
    )
    with _circle(data_dir, tenant_id) as (circle, session):
        row = persons.add_person(session, circle, wish, by=OPERATOR)
        token = persons.issue_password_token(session, row, by=OPERATOR)
    show(id=row.id, handle=row.handle, token=token)


@person.command("list")
def person_list(tenant_id: OfTenant = None, data_dir: DataDir = VAR) -> None:
    """Print people, newest first: id, handle, actor, scope, state, address and name."""
    from service.access.persons import list_people

    with _circle(data_dir, tenant_id) as (circle, session):
        for row in list_people(session, circle, limit=MOST):
            state = "suspended" if row.suspended_at else "active"
            words = (
                str(row.id), row.handle, row.actor, row.scope,
                "removed" if row.removed_at else state, row.email, row.name,
            )  # fmt: skip
            sys.stdout.write("  ".join(words) + "\n")


@person.command("role")
def person_role(
    who: PersonArgument,
    scope: Annotated[str, typer.Argument(help="The new scope.", show_default=False)],
    tenant_id: OfTenant = None,
    data_dir: DataDir = VAR,
) -> None:
    """Give somebody another role; sessions end, and own keys that may more than it."""
    from service.access import persons
    from service.models import Scope

    if scope not in list(Scope):
        raise RefusedError(f"SCOPE: {scope}: use {', '.join(Scope)}")
    with _circle(data_dir, tenant_id) as (circle, session):
        found = _find(session, circle, who)
        persons.change_scope(session, circle, found.id, Scope(scope), by=OPERATOR)


def _change(change: Callable[..., object], who: str, tenant_id: str | None, data_dir: Path) -> None:
    with _circle(data_dir, tenant_id) as (circle, session):
        change(session, circle, _find(session, circle, who).id, by=OPERATOR)


@person.command("suspend")
def person_suspend(
    who: PersonArgument, tenant_id: OfTenant = None, data_dir: DataDir = VAR
) -> None:
    """Refuse somebody's sessions and own keys from the next request on, until resumed."""
    from service.access.persons import suspend_person

    _change(suspend_person, who, tenant_id, data_dir)


@person.command("resume")
def person_resume(who: PersonArgument, tenant_id: OfTenant = None, data_dir: DataDir = VAR) -> None:
    """Let somebody sign in again; sessions from before stay ended."""
    from service.access.persons import resume_person

    _change(resume_person, who, tenant_id, data_dir)


@person.command("remove")
def person_remove(who: PersonArgument, tenant_id: OfTenant = None, data_dir: DataDir = VAR) -> None:
    """End somebody's sessions and own keys for good; the address is free again."""
    from service.access.persons import remove_person

    _change(remove_person, who, tenant_id, data_dir)


@person.command("sign-out")
def person_sign_out(
    who: PersonArgument, tenant_id: OfTenant = None, data_dir: DataDir = VAR
) -> None:
    """End all of somebody's sessions at once."""
    from service.access.persons import sign_out_person

    _change(sign_out_person, who, tenant_id, data_dir)


@person.command("token")
def person_token(who: PersonArgument, tenant_id: OfTenant = None, data_dir: DataDir = VAR) -> None:
    """Print a token, this once, that sets somebody's password; the tokens before are void."""
    from service.access.persons import issue_password_token

    with _circle(data_dir, tenant_id) as (circle, session):
        token = issue_password_token(session, _find(session, circle, who), by=OPERATOR)
    show(token=token)


@provider.command("set")
def provider_set(
    issuer: Annotated[str, typer.Argument(help="The provider's issuer.", show_default=False)],
    tenant_id: TenantId,
    client_id: Annotated[str, typer.Option("--client-id", show_default=False)],
    secret_file: Annotated[
        Path, typer.Option("--secret-file", help="File with the client's secret.", exists=True)
    ],
    domain: Annotated[
        list[str] | None, typer.Option("--domain", help="End of addresses; may be repeated.")
    ] = None,
    role_claim: Annotated[str, typer.Option("--role-claim", help="Claim that gives roles.")] = "",
    role: Annotated[
        list[str] | None, typer.Option("--role", help="VALUE=SCOPE of that claim; repeated.")
    ] = None,
    data_dir: DataDir = VAR,
) -> None:
    """Set where a lender's people sign in; the client's secret is sealed."""
    from service.access.oidc import ProviderWish, set_provider

    roles = dict(_role(each) for each in role or ())
    with _circle(data_dir, tenant_id) as (circle, session):
        assert circle.tenant_id is not None
        wish = ProviderWish(
            issuer=issuer,
            client_id=client_id,
            client_secret=secret_file.read_text("utf-8").strip(),
            domains=tuple(domain or ()),
            role_claim=role_claim,
            roles=roles,
        )
        set_provider(session, circle.tenant_id, wish, by=OPERATOR)


def _role(text: str) -> tuple[str, Any]:
    from service.models import Scope

    value, _, scope = text.rpartition("=")
    if not value or scope not in list(Scope):
        raise RefusedError(f"--role: {text}: give VALUE=SCOPE, as compliance=review")
    return value, Scope(scope)


@provider.command("show")
def provider_show(tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Print a lender's provider; the secret is printed by nobody."""
    from service.access.oidc import get_provider

    with _circle(data_dir, tenant_id) as (_, session):
        row = get_provider(session)
        show(
            issuer=row.issuer,
            client_id=row.client_id,
            domains=",".join(row.domains),
            role_claim=row.role_claim,
            roles=",".join(f"{value}={scope}" for value, scope in sorted(row.roles.items())),
        )


@provider.command("clear")
def provider_clear(tenant_id: TenantId, data_dir: DataDir = VAR) -> None:
    """Take a lender's provider away; open sessions stay until they end."""
    from service.access.oidc import clear_provider

    with _circle(data_dir, tenant_id) as (circle, session):
        assert circle.tenant_id is not None
        clear_provider(session, circle.tenant_id, by=OPERATOR)

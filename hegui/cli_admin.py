"""The commands of an operator: lenders, agencies, endpoints, schema, reports."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from hegui.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from enum import StrEnum

    from sqlmodel import Session

tenant = typer.Typer(name="tenant", rich_markup_mode=None)
agency = typer.Typer(name="agency", rich_markup_mode=None)
endpoint = typer.Typer(name="endpoint", rich_markup_mode=None)

OPERATOR = "operator"
DataDir = Annotated[
    Path, typer.Option("--data-dir", help="Folder of the embedded database, where none is set.")
]
TenantId = Annotated[str, typer.Option("--tenant", help="The lender's id.", show_default=False)]
VAR = Path("var")


def show(**values: object) -> None:
    """Print one `name=value` a line: easy to read, and for a shell to take up."""
    for name, value in values.items():
        sys.stdout.write(f"{name}={value}\n")


def read_id(text: str, name: str) -> UUID:
    """Read the id given as `name`; raises `RefusedError`."""
    try:
        return UUID(text)
    except ValueError as error:
        raise RefusedError(f"{name}: {text} is not an id; it looks like {UUID(int=0)}") from error


def read_moment(text: str | None, name: str) -> datetime | None:
    """Read the time given as `name`; raises `RefusedError` for one without an offset."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise RefusedError(
            f"{name}: {text} is no time with an offset, as 2026-06-03T00:00:00+08:00"
        )
    return found


def find_tenant(session: "Session", text: str) -> UUID:
    """Read `--tenant` and see that there is such a lender; raises `RefusedError`."""
    from service.access.tenants import list_tenants

    found = read_id(text, "--tenant")
    if found not in {row.id for row in list_tenants(session)}:
        raise RefusedError(f"--tenant: there is no lender {found}; hegui tenant list shows them")
    return found


@contextmanager
def lender_database(data_dir: Path, text: str) -> Iterator[UUID]:
    """Work on the database, for the lender that `--tenant` names; raises `RefusedError`."""
    from hegui.environment import database
    from service.db import front_door_session

    with database(data_dir):
        with front_door_session() as door:
            lender = find_tenant(door, text)
        yield lender


@tenant.command("add")
def tenant_add(
    name: Annotated[str, typer.Argument(help="The lender's name.", show_default=False)],
    data_dir: DataDir = VAR,
) -> None:
    """Add a lender and print its first administrator key, this once."""
    from hegui.environment import database
    from service.access.tenants import add_tenant

    with database(data_dir):
        made, issued = add_tenant(name)
        show(tenant_id=made.id, key_id=issued.key_id, key=issued.token)


@tenant.command("list")
def tenant_list(data_dir: DataDir = VAR) -> None:
    """Print every lender's id and name."""
    from hegui.environment import database
    from service.access.tenants import list_tenants
    from service.db import front_door_session

    with database(data_dir), front_door_session() as session:
        for row in list_tenants(session):
            sys.stdout.write(f"{row.id}  {row.name}\n")


@agency.command("add")
def agency_add(
    name: Annotated[str, typer.Argument(help="The agency's name.", show_default=False)],
    tenant_id: TenantId,
    data_dir: DataDir = VAR,
) -> None:
    """Add an agency and print the secret that signs its webhooks, this once."""
    from service.access.tenants import add_agency
    from service.db import tenant_session

    with lender_database(data_dir, tenant_id) as lender:
        with tenant_session(lender) as session:
            made = add_agency(session, tenant_id=lender, name=name, by=OPERATOR)
        show(
            agency_id=made.id,
            webhook_path=f"/v1/webhooks/{made.id}",
            webhook_secret=made.webhook_secret,
        )


@endpoint.command("add")
def endpoint_add(
    url: Annotated[
        str, typer.Argument(help="Where alerts go: https://… or mailto:….", show_default=False)
    ],
    tenant_id: TenantId,
    kind: Annotated[
        str, typer.Option("--kind", help="webhook, dingtalk, wecom, feishu, slack or email.")
    ] = "webhook",
    secret: Annotated[
        str | None, typer.Option("--secret", help="The robot's own: dingtalk, feishu.")
    ] = None,
    agencies: Annotated[
        list[str] | None, typer.Option("--agency", help="Only this agency; repeatable.")
    ] = None,
    families: Annotated[
        list[str] | None, typer.Option("--family", help="Only this family (THR); repeatable.")
    ] = None,
    lowest: Annotated[
        str, typer.Option("--lowest-severity", help="low, medium, high or critical.")
    ] = "low",
    dispositions: Annotated[
        list[str] | None,
        typer.Option("--disposition", help="violation (default), review, signal; repeatable."),
    ] = None,
    window_s: Annotated[
        int | None, typer.Option("--window-s", help="Seconds that a group is gathered.")
    ] = None,
    escalate_to: Annotated[
        str | None, typer.Option("--escalate-to", help="Endpoint for what nobody acknowledges.")
    ] = None,
    escalate_after_s: Annotated[
        int | None, typer.Option("--escalate-after-s", help="Seconds until then.")
    ] = None,
    data_dir: DataDir = VAR,
) -> None:
    """Add an address for alerts; a webhook's secret is printed, this once.

    Critical violations reach at least one endpoint whatever the filters say.
    """
    from rules.model import Disposition, Severity
    from service.alerts.endpoints import EndpointWish, add_endpoint
    from service.db import tenant_session
    from service.errors import ServiceError
    from service.models import EndpointKind
    from service.privacy.sealed_fields import opened

    wish = EndpointWish(
        url=url,
        kind=EndpointKind(choose(kind, "--kind", list(EndpointKind))),
        secret=secret,
        agencies=[read_id(text, "--agency") for text in agencies] if agencies else None,
        families=families or None,
        lowest_severity=Severity(choose(lowest, "--lowest-severity", list(Severity))),
        dispositions=[
            Disposition(choose(text, "--disposition", list(Disposition)))
            for text in dispositions or ["violation"]
        ],
        window_s=window_s,
        escalate_to=read_id(escalate_to, "--escalate-to") if escalate_to else None,
        escalate_after_s=escalate_after_s,
    )
    with lender_database(data_dir, tenant_id) as lender:
        try:
            with tenant_session(lender) as session:
                made = add_endpoint(session, tenant_id=lender, wish=wish, by=OPERATOR)
                show(
                    endpoint_id=made.id, secret=opened(made, "secret") if kind == "webhook" else ""
                )
        except ServiceError as error:
            fields = "; ".join(f"{each.field} {each.message}" for each in error.errors)
            hint = "private addresses and plain http must stand in HEGUI_EGRESS_ALLOW"
            raise RefusedError(f"{error.detail} {fields} ({hint})") from error


def choose(text: str, name: str, allowed: "Sequence[StrEnum]") -> str:
    """Give back one of the words allowed for `name`; raises `RefusedError`."""
    if text not in allowed:
        raise RefusedError(f"{name}: {text}: use {', '.join(allowed)}")
    return text


def migrate_database(data_dir: Path) -> None:
    """Run the migrations on the owner's database, or on the embedded one."""
    from hegui.environment import database
    from service.config import settings
    from service.provision import migrate

    if settings().database_owner_url.get_secret_value():
        migrate()
    elif settings().database_url.get_secret_value():
        raise RefusedError(
            "HEGUI_DATABASE_OWNER_URL is not set: migrations run as the owner of the tables"
        )
    else:
        with database(data_dir):
            pass
    sys.stdout.write("the database has the newest schema\n")


def check_migrations_on_new_database() -> None:
    """Migrate a new database that is thrown away, and compare it with the tables in code."""
    from alembic.util import CommandError

    from hegui.postgres import Postgres
    from service.provision import check_migrations, migrate

    with (
        tempfile.TemporaryDirectory(prefix="hegui-") as folder,
        Postgres(Path(folder) / "pg", durable=False, say=lambda _: None) as postgres,
    ):
        migrate(postgres.owner_url)
        try:
            check_migrations(postgres.owner_url)
        except CommandError as error:
            raise RefusedError(f"migrations and tables in code differ: {error}") from error
    sys.stdout.write("migrations and tables in code agree\n")


def write_report(
    agency_text: str, first: date, last: date, form: str, output: Path | None, data_dir: Path
) -> None:
    """Write an agency's report to a file or to standard output, and note it in the ledger."""
    from hegui.environment import database
    from service.clock import now
    from service.db import front_door_session, tenant_session
    from service.evidence.checkpoint import signer
    from service.evidence.report import ReportPeriod, build_report
    from service.evidence.report_file import ReportFormat, make_file, note_report
    from service.models import WebhookSource
    from service.packs import load_pack

    agency_id, moment, wanted = read_id(agency_text, "AGENCY_ID"), now(), ReportFormat(form)
    with database(data_dir):
        with front_door_session() as door:
            source = door.get(WebhookSource, agency_id)
        if source is None:
            raise RefusedError(f"AGENCY_ID: there is no agency {agency_id}")
        with tenant_session(source.tenant_id) as session:
            document = build_report(
                session,
                load_pack(),
                tenant_id=source.tenant_id,
                agency_id=agency_id,
                period=ReportPeriod(first, last),
                now=moment,
            )
            file = make_file(document, wanted, signer=signer(), now=moment)
            note_report(
                session,
                tenant_id=source.tenant_id,
                by=OPERATOR,
                document=document,
                file=file,
                form=wanted,
            )
    if output is None:
        sys.stdout.buffer.write(file.content)
    else:
        output.write_bytes(file.content)
        sys.stderr.write(f"{len(file.content)} bytes written to {output}\n")

"""The commands for a person's rights: what is held of them, a copy, a correction, an erasure."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hegui.cli_admin import OPERATOR, VAR, DataDir, TenantId
from hegui.cli_privacy import in_lender
from hegui.errors import RefusedError

if TYPE_CHECKING:
    from service.privacy.debtor import Subject

debtor = typer.Typer(name="debtor", rich_markup_mode=None)

PhoneOption = Annotated[str | None, typer.Option("--phone", help="A telephone number.")]
CaseOption = Annotated[str | None, typer.Option("--case", help="A case; the person is its debtor.")]
Output = Annotated[
    Path | None, typer.Option("--output", help="Write it to this file.  [default: stdout]")
]


@debtor.command("access")
def debtor_access(
    tenant_id: TenantId,
    phone: PhoneOption = None,
    case: CaseOption = None,
    output: Output = None,
    data_dir: DataDir = VAR,
) -> None:
    """Say what is held of a person: counted and dated, without the contents."""
    from service.privacy.debtor import access_subject

    _run(access_subject, tenant_id, phone, case, output, data_dir)


@debtor.command("export")
def debtor_export(
    tenant_id: TenantId,
    phone: PhoneOption = None,
    case: CaseOption = None,
    output: Output = None,
    data_dir: DataDir = VAR,
) -> None:
    """Write everything that is held of a person, to hand it over."""
    from service.privacy.debtor import export_subject

    _run(export_subject, tenant_id, phone, case, output, data_dir)


@debtor.command("erase")
def debtor_erase(
    tenant_id: TenantId,
    phone: PhoneOption = None,
    case: CaseOption = None,
    output: Output = None,
    data_dir: DataDir = VAR,
) -> None:
    """Erase what is held of a debtor; refused, with dates, where it must still be kept."""
    from service.privacy.debtor import erase_subject

    _run(erase_subject, tenant_id, phone, case, output, data_dir)


@debtor.command("correct")
def debtor_correct(
    case: Annotated[str, typer.Option("--case", help="The case.", show_default=False)],
    tenant_id: TenantId,
    name: Annotated[str | None, typer.Option("--name", help="The debtor's right name.")] = None,
    phones: Annotated[
        list[str] | None,
        typer.Option("--number", help="A right number; all of them, the option repeated."),
    ] = None,
    output: Output = None,
    data_dir: DataDir = VAR,
) -> None:
    """Put a debtor's name or numbers right; what was sent before stays as it came."""
    from service.clock import now
    from service.privacy.debtor import correct_case, read_phone

    right: dict[str, Any] = {"name": name} if name else {}
    if phones:
        right["phones"] = [read_phone(phone) for phone in phones]
    if not right:
        raise RefusedError("name what is right: --name or --number")
    with in_lender(tenant_id, data_dir) as (tenant, session):
        receipt = correct_case(
            session,
            tenant_id=tenant,
            case_id=case,
            fields={"debtor": right},
            by=OPERATOR,
            now=now(),
        )
    _write(receipt, output)


def _run(
    act: Callable[..., dict[str, Any]],
    tenant_id: str,
    phone: str | None,
    case: str | None,
    output: Path | None,
    data_dir: Path,
) -> None:
    from service.clock import now

    with in_lender(tenant_id, data_dir) as (tenant, session):
        found = act(
            session, tenant_id=tenant, subject=_subject(phone, case), by=OPERATOR, now=now()
        )
    _write(found, output)


def _subject(phone: str | None, case: str | None) -> "Subject":
    from service.privacy.debtor import Subject, read_phone

    if phone is None and case is None:
        raise RefusedError("name the person: --phone or --case")
    return Subject(read_phone(phone) if phone else None, case)


def _write(document: dict[str, Any], output: Path | None) -> None:
    import orjson

    body = orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"
    if output is None:
        sys.stdout.buffer.write(body)
    else:
        output.write_bytes(body)
        output.chmod(0o600)

"""The commands `hegui vcon`: contacts as vCon documents."""

import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import orjson
import typer

from hegui.cli_admin import VAR, DataDir, TenantId, lender_database, read_id

vcon = typer.Typer(name="vcon", rich_markup_mode=None)


@vcon.command("export")
def export(
    interaction: Annotated[
        str, typer.Argument(help="The interaction's id in this service.", show_default=False)
    ],
    tenant_id: TenantId,
    audio: Annotated[
        bool, typer.Option("--audio", help="Put the recording's bytes inside as well.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", help="Default: standard output.")
    ] = None,
    data_dir: DataDir = VAR,
) -> None:
    """Write one interaction as a vCon: parties, dialog, transcript and verdict."""
    from service.db import tenant_session
    from service.vcon_export import export_vcon

    wanted: UUID = read_id(interaction, "INTERACTION")
    with lender_database(data_dir, tenant_id) as lender, tenant_session(lender) as session:
        document = export_vcon(session, wanted, has_audio=audio)
    body = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if output is None:
        sys.stdout.buffer.write(body)
    else:
        output.write_bytes(body)
        sys.stderr.write(f"{len(body)} bytes written to {output}\n")

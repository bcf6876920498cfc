"""The command `hegui scorecard`: the yearly evaluation of an agency, as a file."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hegui.cli_admin import VAR, DataDir, read_id
from hegui.errors import RefusedError


class Form(StrEnum):
    """How the evaluation is written."""

    JSON = "json"
    XLSX = "xlsx"
    PDF = "pdf"


def scorecard(
    agency_text: Annotated[
        str, typer.Argument(metavar="AGENCY_ID", help="The agency's id.", show_default=False)
    ],
    year: Annotated[int, typer.Option("--year", help="Calendar year, Asia/Shanghai.")],
    form: Annotated[Form, typer.Option("--format")] = Form.JSON,
    output: Annotated[
        Path | None, typer.Option("--output", help="Default: standard output.")
    ] = None,
    data_dir: DataDir = VAR,
) -> None:
    """Write the yearly evaluation of an agency that GB/T 45251 asks for.

    Rates with their intervals by month, family and collector; contacts without proof are counted
    against the agency, and shown.
    """
    from hegui.environment import database
    from service.clock import now
    from service.db import front_door_session, tenant_session
    from service.evidence.checkpoint import signer
    from service.models import WebhookSource
    from service.packs import load_pack
    from service.people.scorecards_evaluation import build_evaluation, to_json, to_xlsx
    from service.people.scorecards_pdf import to_pdf

    agency_id = read_id(agency_text, "AGENCY_ID")
    with database(data_dir):
        with front_door_session() as door:
            source = door.get(WebhookSource, agency_id)
        if source is None:
            raise RefusedError(f"AGENCY_ID: there is no agency {agency_id}")
        with tenant_session(source.tenant_id) as session:
            document = build_evaluation(
                session, load_pack(), agency_id=agency_id, year=year, now=now()
            )
        match form:
            case Form.JSON:
                body = to_json(document)
            case Form.XLSX:
                body = to_xlsx(document)
            case Form.PDF:
                body = to_pdf(document, signer=signer())
    if output is None:
        sys.stdout.buffer.write(body)
    else:
        output.write_bytes(body)
        sys.stderr.write(f"{len(body)} bytes written to {output}\n")

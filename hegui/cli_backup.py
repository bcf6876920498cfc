"""The commands of backup and restore, for the embedded PostgreSQL."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from hegui.cli_admin import DataDir, read_moment
from hegui.errors import RefusedError

backup = typer.Typer(name="backup", rich_markup_mode=None)
VAR = Path("var")
Base = Annotated[
    Path,
    typer.Argument(metavar="BASE", help="A base copy made before.", exists=True, file_okay=False),
]


@backup.command("make")
def backup_make(
    target: Annotated[Path, typer.Argument(help="Folder for the copy.", show_default=False)],
    data_dir: DataDir = VAR,
) -> None:
    """Copy the database while it runs, and check the copy; print where it is.

    With HEGUI_WAL_ARCHIVE_DIR set the log since then is kept too, and any moment after the copy can
    be restored. Copy the object folder afterwards: its files never change.
    """
    from hegui.backup import make_backup
    from hegui.environment import database, embedded
    from service.config import settings

    if settings().database_url.get_secret_value():
        raise RefusedError(
            "HEGUI_DATABASE_URL names a server of your own: use its pg_basebackup or pgBackRest"
        )
    with database(data_dir):
        place = make_backup(embedded(data_dir).superuser_url, target)
    sys.stdout.write(f"{place}\n")


@backup.command("verify")
def backup_verify(base: Base) -> None:
    """Check every file of a base copy against its manifest."""
    from hegui.backup import verify_backup

    verify_backup(base)
    sys.stdout.write("the copy is whole\n")


@backup.command("restore")
def backup_restore(
    base: Base,
    data_dir: Annotated[
        Path, typer.Option("--data-dir", help="A new data folder.", show_default=False)
    ],
    archive: Annotated[
        Path | None, typer.Option("--archive", help="The archived log, to go on from the copy.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="The moment to stop at; RFC 3339 with an offset.")
    ] = None,
) -> None:
    """Restore into a new data folder, up to a moment or to the end of the log.

    Then put the objects into its folder `objects`, and let `hegui backup gaps` name what differs.
    """
    from hegui.backup import restore_backup

    server = restore_backup(
        base, archive=archive, to=read_moment(to, "--to"), base=data_dir / "postgres"
    )
    server.stop()
    sys.stdout.write(f"restored in {data_dir}\n")


@backup.command("gaps")
def backup_gaps(data_dir: DataDir = VAR) -> None:
    """Name recordings whose row or whose bytes are missing, one JSON object a line.

    Status 1 where there are any. Agencies send again what is named: the event, and the bytes under
    the same address.
    """
    from hegui.backup import find_gaps
    from hegui.environment import database
    from service.config import settings

    with database(data_dir):
        if settings().s3_bucket:
            raise RefusedError("this compares with the object folder; the recordings are in S3")
        gaps = find_gaps(settings().object_dir.resolve())
    for gap in gaps:
        line = {"tenant_id": str(gap.tenant_id), "sha256": gap.sha256, "gap": gap.kind}
        sys.stdout.write(json.dumps(line) + "\n")
    if gaps:
        raise typer.Exit(1)

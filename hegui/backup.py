"""Backups of the embedded PostgreSQL: a base copy, its archived log, and the way back in time.

PostgreSQL's own tools do the work: pg_basebackup, pg_verifybackup, and recovery from the archive.
"""

import shutil
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psycopg
from sqlmodel import col, select

from hegui.errors import RefusedError
from hegui.postgres import Postgres, archive_settings, find_binaries
from service.access.tenants import list_tenants
from service.clock import now
from service.db import front_door_session, tenant_session
from service.keeping.storage import LocalStore
from service.models import RecordingRow

_RECOVERY_S = 600.0


@dataclass(frozen=True, slots=True)
class Gap:
    """Where rows and bytes disagree: after a restore the one may be newer than the other."""

    tenant_id: UUID
    sha256: str
    kind: str


def make_backup(url: str, target: Path) -> Path:
    """Copy a running server into a new folder below `target` and verify the copy; gives it.

    Raises `RefusedError` where a tool does.
    """
    stamp = now().astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    place = target.resolve() / f"base-{stamp}"
    target.mkdir(parents=True, exist_ok=True)
    _tool(
        "pg_basebackup", "--pgdata", str(place), "--dbname", url, "--checkpoint=fast",
        "--wal-method=stream", "--manifest-checksums=SHA256", "--no-password",
    )  # fmt: skip
    verify_backup(place)
    return place


def verify_backup(place: Path) -> None:
    """Check every file of a base copy against its manifest; raises `RefusedError`."""
    _tool("pg_verifybackup", "--exit-on-error", str(place))


def restore_backup(
    place: Path, *, archive: Path | None, to: datetime | None, base: Path
) -> Postgres:
    """Lay a base copy out as the cluster of `base`, recover it, and give its running server.

    With `archive` the log is replayed on, up to `to` or to its end. Raises `RefusedError` where
    `base` has a cluster already, the copy is damaged, or the time cannot be reached.
    """
    server = Postgres(base)
    if server.data.exists():
        raise RefusedError(f"{server.data} exists; restore into a new folder")
    if to is not None and archive is None:
        raise RefusedError("a restore to a point in time needs the archive of the log")
    verify_backup(place)
    base.mkdir(parents=True, exist_ok=True)
    shutil.copytree(place, server.data)
    server.data.chmod(0o700)
    _ask_for_recovery(server.data, archive, to)
    server.adopt()
    server.start()
    _await_end_of_recovery(server)
    return server


def find_gaps(root: Path) -> list[Gap]:
    """Compare the rows of all lenders with the files of the object folder, by name.

    `bytes_missing`: a row without its bytes; the agency has to send them again. `row_missing`:
    bytes that came after the point of the restore; once the agency repeats event and upload the
    row is there again.
    """
    place = LocalStore(root)
    gaps = []
    with front_door_session() as door:
        tenants = [row.id for row in list_tenants(door)]
    for tenant_id in tenants:
        with tenant_session(tenant_id) as session:
            rows = session.exec(
                select(RecordingRow.sha256).where(col(RecordingRow.purged_at).is_(None))
            ).all()
        known = set(rows)
        gaps += [
            Gap(tenant_id, sha256, "bytes_missing")
            for sha256 in sorted(known)
            if not place.exists(tenant_id, sha256)
        ]
        there = {path.name for path in (root / str(tenant_id)).glob("??/*")}
        gaps += [
            Gap(tenant_id, name, "row_missing")
            for name in sorted(there - known)
            if not name.startswith(".")
        ]
    return gaps


def _tool(name: str, *arguments: str) -> None:
    done = subprocess.run(  # noqa: S603  PostgreSQL's own programs, no shell
        [find_binaries() / name, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
    )
    if done.returncode:
        raise RefusedError(f"{name} failed: {done.stderr.strip()[-500:]}")


def _ask_for_recovery(data: Path, archive: Path | None, to: datetime | None) -> None:
    if archive is None:
        return
    archive_settings(archive)  # the same names are allowed on the way back
    lines = [f'restore_command = \'cp "{archive.resolve()}/%f" "%p"\'']
    if to is not None:
        lines.append(f"recovery_target_time = '{to.astimezone(UTC).isoformat()}'")
        lines.append("recovery_target_action = 'promote'")
    with (data / "postgresql.auto.conf").open("a") as file:
        file.write("\n".join(["", *lines, ""]))
    (data / "recovery.signal").touch()


def _await_end_of_recovery(server: Postgres) -> None:
    deadline = time.monotonic() + _RECOVERY_S
    while time.monotonic() < deadline:
        try:
            with psycopg.connect(server.owner_url, autocommit=True) as connection:
                row = connection.execute("select pg_is_in_recovery()").fetchone()
        except psycopg.OperationalError:
            row = None
        if row == (False,):
            return
        if server.pid is None:
            words = server.log.read_text(errors="replace").splitlines()[-3:]
            raise RefusedError("the log does not reach that time: " + " | ".join(words))
        time.sleep(0.1)
    raise RefusedError(f"the recovery did not end in {_RECOVERY_S:.0f} s; see {server.log}")

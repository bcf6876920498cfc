"""A base copy and its log bring back any moment; what is missing then is named."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from hegui.backup import make_backup, restore_backup, verify_backup
from hegui.errors import RefusedError
from hegui.postgres import Postgres, archive_settings
from service.keeping.storage import LocalStore
from service.provision import migrate

ROOT = Path(__file__).parents[2]
LENDER = UUID(int=7)


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="hegui-backup-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def _run(server: Postgres, objects: Path, *command: str) -> subprocess.CompletedProcess[str]:
    settings = {
        "HEGUI_DATABASE_URL": server.app_url,
        "HEGUI_DATABASE_OWNER_URL": server.owner_url,
        "HEGUI_OBJECT_DIR": str(objects),
    }
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env={**os.environ, **settings},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def _bring(server: Postgres, objects: Path, *audios: str) -> None:
    """Recordings arrive: durable bytes first, then their rows."""
    superuser = psycopg.conninfo.make_conninfo(server.owner_url, user="postgres")
    with psycopg.connect(superuser) as connection:
        connection.execute(
            "insert into tenant (id, name, created_at) values (%s, 'x', now())"
            " on conflict do nothing",
            (LENDER,),
        )
        for audio in audios:
            content = audio.encode()
            LocalStore(objects).put_stream(LENDER, [content], _name(audio), 1000)
            connection.execute(
                "insert into recording (tenant_id, sha256, size_bytes, received_at, retain_until)"
                " values (%s, %s, %s, now(), now()) on conflict do nothing",
                (LENDER, _name(audio), len(content)),
            )


def _gaps(server: Postgres, objects: Path) -> tuple[int, dict[str, str]]:
    done = _run(server, objects, "-m", "hegui", "backup", "gaps")
    found: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {row["sha256"]: row["gap"] for row in found}


def _name(audio: str) -> str:
    return hashlib.sha256(audio.encode()).hexdigest()


def _end_piece(server: Postgres, archive: Path) -> datetime:
    """Close the piece of the log that is being written; gives the moment, once it is archived."""
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        row = connection.execute("select clock_timestamp(), pg_walfile_name(pg_switch_wal())")
        moment, piece = row.fetchone() or (None, "")
    assert isinstance(moment, datetime)
    deadline = time.monotonic() + 60
    while not (archive / str(piece)).exists():
        assert time.monotonic() < deadline, "the log is not archived"
        time.sleep(0.05)
    return moment


def test_a_moment_is_restored_and_what_came_later_is_named(folder: Path) -> None:
    objects, archive = folder / "objects", folder / "archive"
    with Postgres(folder / "one", archive=archive, say=lambda _: None) as server:
        migrate(server.owner_url)
        _bring(server, objects, "before")
        copy = make_backup(server.superuser_url, folder / "copies")
        _bring(server, objects, "after the copy")
        moment = _end_piece(server, archive)
        _bring(server, objects, "too late")
        _end_piece(server, archive)

    (objects / str(LENDER) / _name("before")[:2] / _name("before")).unlink()
    restored = restore_backup(copy, archive=archive, to=moment, base=folder / "two")
    try:
        status, gaps = _gaps(restored, objects)
        assert (status, gaps) == (
            1, {_name("before"): "bytes_missing", _name("too late"): "row_missing"}
        )  # fmt: skip
        # The agency sends both again, and nothing is missing any more.
        _bring(restored, objects, "before", "too late")
        assert _gaps(restored, objects) == (0, {})
    finally:
        restored.stop()
    with pytest.raises(RefusedError, match="exists"):
        restore_backup(copy, archive=archive, to=moment, base=folder / "two")


def test_a_damaged_copy_is_refused(folder: Path) -> None:
    with Postgres(folder / "one", durable=False, say=lambda _: None) as server:
        copy = make_backup(server.superuser_url, folder / "copies")
    victim = copy / "global" / "pg_control"
    content = bytearray(victim.read_bytes())
    content[7] ^= 1
    victim.write_bytes(content)

    with pytest.raises(RefusedError, match="pg_control"):
        verify_backup(copy)
    with pytest.raises(RefusedError, match="pg_control"):
        restore_backup(copy, archive=None, to=None, base=folder / "two")
    assert not (folder / "two").exists()
    with pytest.raises(RefusedError, match="archive"):
        restore_backup(copy, archive=None, to=datetime.now(UTC), base=folder / "two")


def test_an_archive_folder_cannot_break_out_of_its_command() -> None:
    with pytest.raises(RefusedError):
        archive_settings(Path("/tmp/x'; rm -rf y; '"))

"""A real clock three years ahead, for database and service alike: nothing is gone.

libfaketime (a package of the test environment) is loaded into PostgreSQL and into the service.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from hegui.postgres import Postgres
from service.provision import migrate

ROOT = Path(__file__).parents[2]
AHEAD = {"FAKETIME": "+1096d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

PLANT = """
import json
from datetime import UTC, datetime, timedelta
from starlette.testclient import TestClient
from service.keeping import holds
from service.app import create_app
from service.db import tenant_session
from tests.factories import make_agency, make_tenant
from tests.retention import make_kept_call, tick
from workers.keeping import protect_recordings

tick()
lender = make_tenant()
agency = make_agency(lender)
now = datetime.now(UTC)
card = {"lender_type": "bank"}
with TestClient(create_app()) as client:
    fresh = make_kept_call(client, agency, b"fresh", started_at=now, case=card)
    old = make_kept_call(client, agency, b"old", started_at=now - timedelta(days=2000),
                         case_id="K-2", case=card)
    held = make_kept_call(client, agency, b"held", started_at=now - timedelta(days=2000),
                          case_id="K-3", case=card)
with tenant_session(lender.id) as session:
    wish = holds.HoldWish("r", sha256=held)
    holds.place_hold(session, tenant_id=lender.id, wish=wish, by="t", now=now)
protect_recordings(lender.id)
print(json.dumps({"tenant": str(lender.id), "hashes": [fresh, old, held]}))
"""

TRY = """
import json, sys
from datetime import UTC, datetime, timedelta
from uuid import UUID
import psycopg
from service.keeping import purge
from service.config import settings
from service.db import tenant_session
from service.errors import ServiceError
from workers.keeping import keep

tenant, hashes = UUID(sys.argv[1]), sys.argv[2:]
said = {"now": datetime.now(UTC).isoformat(), "plans": [], "sql": []}
for _ in range(2):
    try:
        with tenant_session(tenant) as session:
            purge.plan_purge(session, tenant_id=tenant, by="one", cooling=timedelta(days=7),
                             limit=10, now=datetime.now(UTC))
        said["plans"].append("made")
    except ServiceError as error:
        said["plans"].append(error.code + ":" + error.extra.get("flaw", ""))
    keep(0)  # the keeper goes on by the clock that it has
with psycopg.connect(settings().database_url.get_secret_value(), autocommit=True) as connection:
    connection.execute("select set_config('app.tenant_id', %s, false)", (str(tenant),))
    said["database"] = connection.execute("select now()").fetchone()[0].isoformat()
    for sha256 in hashes:
        try:
            connection.execute("update recording set purged_at = now(),"
                               " purge_run_id = gen_random_uuid() where sha256 = %s", (sha256,))
            said["sql"].append("done")
        except psycopg.DatabaseError as error:
            said["sql"].append(error.sqlstate)
print(json.dumps(said))
"""


def faketime() -> str:
    """The library that shifts a process's clock."""
    spec = find_spec("libfaketime")
    assert spec is not None, "libfaketime is part of the dev extra"
    assert spec.origin is not None
    found = sorted(Path(spec.origin).parent.rglob("libfaketime.so.1"))
    assert found
    return str(found[0])


class PostgresAhead(Postgres):
    """The embedded server with its clock three years ahead."""

    def _environment(self) -> dict[str, str]:
        return super()._environment() | AHEAD | {"LD_PRELOAD": faketime()}


@pytest.fixture
def base() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="hegui-ahead-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _run(script: str, *arguments: str, **environment: str) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_nothing_is_gone_when_the_clock_runs_three_years_ahead(base: Path) -> None:
    objects = base / "objects"
    with Postgres(base, durable=False, say=lambda _: None) as server:
        migrate(server.owner_url)
        settings = {"HEGUI_DATABASE_URL": server.app_url, "HEGUI_OBJECT_DIR": str(objects)}
        planted = _run(PLANT, **settings)
    ahead = AHEAD | {"LD_PRELOAD": faketime()}
    with PostgresAhead(base, durable=False, say=lambda _: None) as server:
        said = _run(TRY, str(planted["tenant"]), *planted["hashes"], **settings, **ahead)
        superuser = psycopg.conninfo.make_conninfo(server.owner_url, user="postgres")
        with psycopg.connect(superuser) as connection:
            kept = connection.execute(
                "select count(*) filter (where purged_at is null), count(*) from recording"
            ).fetchone()

    three_years_on = datetime.now(UTC) + timedelta(days=1090)
    assert datetime.fromisoformat(str(said["now"])) > three_years_on
    assert datetime.fromisoformat(str(said["database"])) > three_years_on
    assert said["plans"] == ["clock_not_trusted:no_tick", "clock_not_trusted:jumped"]
    assert said["sql"] == ["HG001", "HG001", "HG001"]
    assert kept == (3, 3)
    names = {path.name for path in objects.rglob("*") if not path.name.startswith(".")}
    assert set(planted["hashes"]) <= names

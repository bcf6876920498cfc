import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import psycopg
import pytest

from hegui.postgres import DatabaseError, Postgres

NOBODY = 65534
CHINESE = "我们就上门泼油漆"


def quiet(text: str) -> None:
    del text


# Not pytest's own folders: another run closes them to other users, and the server is one.
@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hegui-test-") as folder:
        yield Path(folder)


@pytest.fixture
def fresh() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hegui-test-") as folder:
        yield Path(folder)


def start_holder(base: Path) -> subprocess.Popen[str]:
    """A process of its own that starts the server, writes rows and never stops by itself."""
    program = """
import sys, time
from pathlib import Path
import psycopg
from hegui.postgres import Postgres
server = Postgres(Path(sys.argv[1]))
server.start()
with psycopg.connect(server.owner_url, autocommit=True) as connection:
    connection.execute("create table if not exists kept (n int primary key)")
    print(server.pid, flush=True)
    for n in range(100_000):
        connection.execute("insert into kept select coalesce(max(n), 0) + 1 from kept")
        print(n, flush=True)
"""
    return subprocess.Popen(
        [sys.executable, "-c", program, str(base)], stdout=subprocess.PIPE, text=True
    )


def test_chinese_trigrams_work_and_nothing_listens_on_the_network(base: Path) -> None:
    with Postgres(base, say=quiet) as server:
        with psycopg.connect(server.owner_url, autocommit=True) as connection:
            connection.execute("create extension if not exists pg_trgm")
            found = connection.execute("select show_trgm(%s)", (CHINESE,)).fetchone()
            listens = connection.execute("show listen_addresses").fetchone()
            owner = connection.execute(
                "select rolsuper or rolbypassrls from pg_roles where rolname = current_user"
            ).fetchone()

        assert found is not None
        assert len(found[0]) > 5
        assert listens == ("",)
        assert owner == (False,)
        assert server.socket_dir.stat().st_mode & 0o077 == 0


def test_values_never_reach_the_server_log(base: Path) -> None:
    marked = "marked-phrase-13800138000"
    with (
        Postgres(base, say=quiet) as server,
        psycopg.connect(server.owner_url, autocommit=True) as connection,
    ):
        connection.execute("create temp table phone (number text primary key)")
        for _ in range(2):
            try:
                connection.execute("insert into phone values (%s)", (marked,))
            except psycopg.errors.UniqueViolation:
                continue
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            connection.execute(f"select '{marked}'::int")

    assert marked not in server.log.read_text()


def test_a_second_hegui_on_the_same_folder_is_refused(base: Path) -> None:
    with (
        Postgres(base, say=quiet),
        pytest.raises(DatabaseError, match="another hegui already runs"),
    ):
        Postgres(base, say=quiet).start()


@pytest.mark.parametrize("victims", ["both", "hegui", "database"])
def test_every_acknowledged_row_survives_kill_9(fresh: Path, victims: str) -> None:
    holder = start_holder(fresh)
    assert holder.stdout is not None
    database = int(holder.stdout.readline())
    acknowledged = [int(holder.stdout.readline()) for _ in range(200)]

    if victims in {"both", "database"}:
        os.kill(database, signal.SIGKILL)
    if victims in {"both", "hegui"}:
        holder.kill()
    holder.wait(30)
    holder.stdout.close()

    with Postgres(fresh, say=quiet) as server, psycopg.connect(server.owner_url) as connection:
        kept = connection.execute("select count(*) from kept").fetchone()
    assert kept is not None
    assert kept[0] >= len(acknowledged)


def test_the_server_ends_with_the_process_that_started_it(fresh: Path) -> None:
    holder = start_holder(fresh)
    assert holder.stdout is not None
    database = int(holder.stdout.readline())

    holder.kill()
    holder.wait(30)
    holder.stdout.close()

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and Path(f"/proc/{database}").exists():
        time.sleep(0.05)
    assert not Path(f"/proc/{database}").exists()


def run_as_nobody(base: Path) -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    with Postgres(base, say=quiet) as server:
        psycopg.connect(server.owner_url).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_it_runs_as_an_ordinary_user_too() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, NOBODY, NOBODY)
        child = get_context("fork").Process(target=run_as_nobody, args=(Path(folder) / "pg",))
        child.start()
        child.join(60)

        assert child.exitcode == 0
        assert (Path(folder) / "pg" / "data").stat().st_uid == NOBODY


def test_it_starts_again_after_dying_alone(base: Path) -> None:
    with Postgres(base, say=quiet) as server:
        first = server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        while server.pid is not None:
            time.sleep(0.02)

        assert server.restart_if_dead()
        with psycopg.connect(server.owner_url) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_a_path_too_long_for_a_socket_is_no_obstacle(fresh: Path) -> None:
    deep = fresh / ("long" * 20) / "postgres"
    with Postgres(deep, durable=False, say=quiet) as server:
        assert not server.socket_dir.is_relative_to(fresh)
        psycopg.connect(server.owner_url).close()

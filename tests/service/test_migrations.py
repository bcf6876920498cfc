"""The schema goes up, down and up again, and is what the code says."""

from collections.abc import Iterator

import psycopg
import pytest
from alembic import command
from psycopg.conninfo import make_conninfo

from migrations import queue_schema
from service.provision import alembic_config, check_migrations, migrate
from tests.conftest import Database


@pytest.fixture
def empty(database: Database) -> Iterator[str]:
    """Make a second database on the same server; yield its owner's URL."""
    url = make_conninfo(database.superuser_url, dbname="postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create database hegui_empty owner hegui_owner")
        yield make_conninfo(database.owner_url, dbname="hegui_empty")
        connection.execute("drop database hegui_empty with (force)")


def _objects(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {
            name
            for (name,) in connection.execute(
                "select relname from pg_class where relnamespace = 'public'::regnamespace"
                " union all select proname from pg_proc"
                " where pronamespace = 'public'::regnamespace"
            )
        }


def test_up_down_and_up_again(empty: str) -> None:
    migrate(empty)
    above = _objects(empty)

    command.downgrade(alembic_config(empty), "base")
    below = _objects(empty)
    migrate(empty)
    migrate(empty)

    assert below == {"alembic_version", "alembic_version_pkc"}
    assert _objects(empty) == above
    assert {"event", "procrastinate_jobs", "hegui_ingest", "hegui_enqueue"} <= above


def test_tables_are_what_the_code_says(database: Database) -> None:
    check_migrations(database.owner_url)


def test_queue_schema_names_its_version(database: Database) -> None:
    with psycopg.connect(database.owner_url) as connection:
        noted = queue_schema.installed(connection)

    assert noted is not None
    assert noted.startswith("3.")

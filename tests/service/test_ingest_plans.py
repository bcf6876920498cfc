"""In a first load of a fresh database the last events cost no more than the first."""

import time
from collections.abc import Iterator

import psycopg
import pytest
from starlette.testclient import TestClient

from service import ingest
from service.db import PLANS_LAST_S
from tests.conftest import Database
from tests.factories import Sender, encode, make_sms

# What the event's own checks and keys read of the table's indexes.
READ = "select coalesce(sum(idx_tup_read), 0) from pg_stat_user_indexes where relname = 'event'"
# As in a fresh database: nothing is known of rows that other tests wrote and took away again, nor
# is their room still there; and nobody learns more while the test runs.
FRESH = (
    "alter table event set (autovacuum_enabled = false)",
    "vacuum full event",
    "delete from pg_statistic where starelid = 'event'::regclass",
    """
    update pg_class set relpages = 0, reltuples = -1 where oid = 'event'::regclass
      or oid in (select indexrelid from pg_index where indrelid = 'event'::regclass)
    """,
)
STEP_S = 1.5  # statistics of a connection are told within a second of its next statement


def load(agency: Sender, count: int) -> None:
    ingest.store_events(
        [
            ingest.read_event(
                tenant_id=agency.tenant_id,
                agency_id=agency.id,
                message_id=f"load_{number}_{time.monotonic_ns()}",
                body=encode(make_sms(case_id=f"K-{number}")),
            )
            for number in range(count)
        ]
    )


def read_so_far(connection: psycopg.Connection) -> int:
    row = connection.execute(READ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def fresh(database: Database, client: TestClient) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        for statement in FRESH:
            connection.execute(statement)
        yield connection
        connection.execute("alter table event reset (autovacuum_enabled)")


def test_plans_made_for_an_empty_table_are_not_kept_while_it_fills(
    fresh: psycopg.Connection, agency: Sender
) -> None:
    for _ in range(30):  # each connection of the pool comes to keep its plans
        load(agency, 1)
    load(agency, 1000)
    time.sleep(max(STEP_S, PLANS_LAST_S) + 0.1)
    load(agency, 1)
    time.sleep(STEP_S)
    load(agency, 1)
    before = read_so_far(fresh)

    load(agency, 200)
    time.sleep(STEP_S)
    load(agency, 1)
    after = read_so_far(fresh)

    # A plan for an empty table reads each of the 1000 rows for every event.
    assert (after - before) / 200 < 20

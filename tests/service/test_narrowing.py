"""The database's policies hold alone: plain SQL as the application's role, no code between."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors as pg
from starlette.testclient import TestClient

from service.access import tenants
from service.access.grants import end_grant
from service.access.models import GrantField
from service.db import tenant_session
from tests.conftest import Database
from tests.factories import Lender, make_agency, make_call, make_grant, make_sms, post_event
from tests.people import THREAT

# What a regulator's session may find rows in, while its grant lives.
TOLD = {
    "access_grant", "agency", "event", "finding", "interaction", "parameter_set", "recording",
    "sample", "speech_set", "transcript", "verdict",
}  # fmt: skip
WORDS = [{"speaker": "collector", "start": 0.0, "end": 1.0, "text": THREAT}]
IN, OUT = "2026-06-03T11:00:00+08:00", "2025-06-03T11:00:00+08:00"
Count = Callable[[str], int]


@pytest.fixture
def world(client: TestClient, lender: Lender, run_jobs: Callable[[], None]) -> dict[str, UUID]:
    """Two agencies, each with a contact that fails in the grants' period and one before it."""
    agencies = {name: make_agency(lender, name) for name in ("mine", "other")}
    for name, agency in agencies.items():
        case = {"case_id": f"K-{name}"}
        for start in (IN, OUT):
            post_event(client, agency, make_call(started_at=start, transcript=WORDS, **case))
        post_event(client, agency, make_sms(started_at=IN, text=THREAT, **case))
    run_jobs()
    regulator = tenants.add_regulator("监管局").id
    held = {name: agency.id for name, agency in agencies.items()}
    return {**held, "lender": lender.id, "regulator": regulator}


@contextmanager
def session(database: Database, **names: UUID) -> Iterator[Any]:
    """A connection of the application's role that has named who it is for."""
    with psycopg.connect(database.app_url) as connection:
        for name, value in names.items():
            connection.execute("select set_config(%s, %s, true)", (f"app.{name}", str(value)))
        yield lambda query: connection.execute(query.encode()).fetchall()


def counts(ask: Any) -> dict[str, int]:
    """The rows that the session finds, by table, of every table with a tenant."""
    tables = ask(
        "select table_name from information_schema.columns where table_schema = 'public'"
        " and column_name = 'tenant_id' and table_name not in ('api_key', 'webhook_source')"
    )
    return {
        table: rows for (table,) in tables if (rows := ask(f"select count(*) from {table}")[0][0])
    }


def test_a_regulators_session_finds_what_a_live_grant_covers(
    database: Database, lender: Lender, world: dict[str, UUID]
) -> None:
    grant = make_grant(lender, world["regulator"], agencies=[world["mine"]])
    names = {"tenant_id": lender.id, "regulator_id": world["regulator"]}

    with session(database, **names, grant_id=grant) as ask:
        found = counts(ask)
        seen = ask("select agency_id, started_at from interaction")
        agencies = ask("select id from agency")
        outside = ask(
            "select 1 from event as e where not exists (select 1 from interaction as i"
            " where i.event_id = e.id)"
        )
    with session(database, tenant_id=lender.id) as ask:
        everything = counts(ask)

    assert set(found) <= TOLD
    assert {"agency", "event", "finding", "interaction", "verdict"} <= set(found)
    assert {agency for agency, _ in seen} == {world["mine"]}
    assert {start.astimezone(UTC).year for _, start in seen} == {2026}
    assert agencies == [(world["mine"],)]
    assert outside == []
    assert (found["interaction"], everything["interaction"]) == (2, 6)
    assert found["verdict"] == 2
    assert everything["audit_entry"] > 0


def test_without_a_live_grant_a_regulators_session_finds_nothing(
    database: Database, lender: Lender, world: dict[str, UUID]
) -> None:
    ended, unapproved = make_grant(lender, world["regulator"]), uuid4()
    with tenant_session(lender.id) as held:
        end_grant(held, ended, by=lender.key_id)
    stranger = tenants.add_regulator("别的").id
    names = {"tenant_id": lender.id, "regulator_id": world["regulator"]}
    live = make_grant(lender, world["regulator"])
    tries = (
        {**names, "grant_id": ended},
        {**names, "grant_id": unapproved},
        names,
        {**names, "grant_id": live, "regulator_id": stranger},
        {"regulator_id": world["regulator"], "grant_id": live},
    )

    for wrong in tries:
        with session(database, **wrong) as ask:
            assert set(counts(ask)) <= {"access_grant"}, wrong
    with session(database, **names, grant_id=live) as ask:
        assert ask("select count(*) from interaction") == [(4,)]


def test_a_grant_that_is_over_shows_nothing_within_the_same_transaction(
    database: Database, lender: Lender, world: dict[str, UUID]
) -> None:
    grant = make_grant(lender, world["regulator"])
    names = {"tenant_id": lender.id, "regulator_id": world["regulator"], "grant_id": grant}

    with session(database, **names) as ask:
        before = ask("select count(*) from interaction")
        with tenant_session(lender.id) as held:
            end_grant(held, grant, by=lender.key_id)
        after = ask("select count(*) from interaction")

    assert (before, after) == ([(4,)], [(0,)])


def test_transcripts_and_recordings_need_their_fields(
    database: Database, lender: Lender, world: dict[str, UUID]
) -> None:
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        connection.execute(
            "update interaction set recording_sha256 = 'a' where agency_id = %s", (world["mine"],)
        )
        connection.execute(
            "insert into recording (tenant_id, sha256, size_bytes, received_at, retain_until)"
            " values (%s, 'a', 1, now(), now() + interval '6 years')",
            (lender.id,),
        )
        connection.execute(
            "insert into transcript (tenant_id, interaction_id, segments, engine, model_digest,"
            " parameters, untrusted_share, created_at)"
            " select tenant_id, id, '[]', 'x', 'x', '{}', 0, now() from interaction"
        )
    names = {"tenant_id": lender.id, "regulator_id": world["regulator"]}

    seen = []
    for fields in ((), ("transcripts",), ("recordings",)):
        grant = make_grant(
            lender, world["regulator"], fields=frozenset(GrantField(field) for field in fields)
        )
        with session(database, **names, grant_id=grant) as ask:
            found = counts(ask)
        seen.append((found.get("transcript", 0), found.get("recording", 0)))
    with session(database, tenant_id=lender.id, agency_id=world["other"]) as ask:
        other = counts(ask)

    assert seen == [(0, 0), (4, 0), (0, 1)]
    assert (other["transcript"], other.get("recording", 0)) == (3, 0)


def test_an_agencys_session_changes_nothing_of_others(
    database: Database, lender: Lender, world: dict[str, UUID]
) -> None:
    make_grant(lender, world["regulator"])

    with session(database, tenant_id=lender.id, agency_id=world["mine"]) as ask:
        changed = ask(
            "with changed as (update interaction set reason = 'x' returning agency_id)"
            " select distinct agency_id from changed"
        )
        ended = ask("update access_grant set ended_at = now(), ended_by = 'x' returning id")
        entries = ask("select 1 from audit_entry")

    assert changed == [(world["mine"],)]
    assert ended == []
    assert entries == []


@pytest.mark.parametrize(
    "statement",
    [
        "update interaction set reason = 'x'",
        "update access_grant set ended_at = now(), ended_by = 'x'",
        (
            "insert into speech_set (tenant_id, revision, prompt, hotwords, set_at, set_by)"
            " select tenant_id, 1, '', '[]', now(), 'x' from agency"
        ),
        (
            "insert into grant_access (tenant_id, id, grant_id, key_id, kind, route, at)"
            " select tenant_id, gen_random_uuid(), id, 'x', 'read', '/', now() from access_grant"
        ),
    ],
)
def test_a_regulators_session_writes_nothing(
    database: Database, lender: Lender, world: dict[str, UUID], statement: str
) -> None:
    grant = make_grant(lender, world["regulator"])
    names = {"tenant_id": lender.id, "regulator_id": world["regulator"], "grant_id": grant}

    with session(database, **names) as ask, pytest.raises(pg.InsufficientPrivilege):
        ask(statement)


def test_a_regulators_session_deletes_nothing(
    database: Database, lender: Lender, world: dict[str, UUID]
) -> None:
    grant = make_grant(lender, world["regulator"])
    names = {"tenant_id": lender.id, "regulator_id": world["regulator"], "grant_id": grant}

    with session(database, **names) as ask:
        deletable = [
            table
            for (table,) in ask(
                "select table_name from information_schema.role_table_grants"
                " where grantee = 'hegui_app' and privilege_type = 'DELETE'"
                " and table_name in (select table_name from information_schema.columns"
                "  where column_name = 'tenant_id')"
            )
        ]
        left = [table for table in deletable if ask(f"delete from {table} returning 1")]

    assert "transcript" in deletable
    assert left == []


def test_an_agencys_session_finds_its_own_rows_only(
    database: Database, lender: Lender, world: dict[str, UUID]
) -> None:
    with session(database, tenant_id=lender.id, agency_id=world["mine"]) as ask:
        found = counts(ask)
        with_agency = {
            table
            for (table,) in ask(
                "select table_name from information_schema.columns"
                " where table_schema = 'public' and column_name = 'agency_id'"
            )
        }
        owners = {
            owner
            for table in with_agency & set(found)
            for (owner,) in ask(f"select distinct agency_id from {table}")
        }

    assert owners == {world["mine"]}
    assert found["verdict"] == found["interaction"] == 3
    assert not {"access_grant", "grant_access", "sample", "alert", "audit_entry"} & set(found)


def test_the_databases_clock_alone_says_what_is_over(
    database: Database, lender: Lender, world: dict[str, UUID]
) -> None:
    grant = make_grant(lender, world["regulator"])
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(
            "update access_grant set starts_at = now() + interval '1 hour',"
            " ends_at = now() + interval '2 hours'"
        )
    names = {"tenant_id": lender.id, "regulator_id": world["regulator"], "grant_id": grant}

    with session(database, **names) as ask:
        assert set(counts(ask)) == {"access_grant"}

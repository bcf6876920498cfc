"""What the database itself holds: fences on every table, keys that cannot point across them."""

import contextlib
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors as pg
from sqlmodel import select

from service.db import tenant_session
from service.models import Agency, InteractionRow
from service.tenants import list_tenants
from tests.conftest import Database
from tests.factories import make_agency, make_tenant

# Read before a tenant is known; each statement on them names the tenant itself.
UNFENCED = {"api_key", "webhook_source"}


@pytest.fixture
def ask(database: Database, clean: None) -> Iterator[Any]:
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        yield lambda query: connection.execute(query.encode()).fetchall()


def _fenced(ask: Any) -> set[str]:
    found = ask(
        "select table_name from information_schema.columns"
        " where table_schema = 'public' and column_name = 'tenant_id'"
    )
    return {name for (name,) in found} - UNFENCED


def test_every_table_with_a_tenant_is_fenced_and_forced(ask: Any) -> None:
    secured = ask("select relname from pg_class where relrowsecurity and relforcerowsecurity")
    policies = ask(
        "select tablename from pg_policies where permissive = 'PERMISSIVE' and cmd = 'ALL'"
        " and qual is not null and with_check is not null and qual like '%app.tenant_id%'"
    )

    fenced = _fenced(ask)
    assert len(fenced) >= 11
    assert fenced <= {name for (name,) in secured}
    assert sorted(name for (name,) in policies) == sorted(fenced)


def test_keys_start_with_the_tenant_and_references_carry_it(ask: Any) -> None:
    fenced = _fenced(ask)
    keys = ask(
        "select c.relname, a.attname from pg_index i join pg_class c on c.oid = i.indrelid"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]"
        " where i.indisunique and c.relnamespace = 'public'::regnamespace"
    )
    references = ask(
        "select s.relname, t.relname, a.attname, array_length(f.conkey, 1) from pg_constraint f"
        " join pg_class s on s.oid = f.conrelid join pg_class t on t.oid = f.confrelid"
        " join pg_attribute a on a.attrelid = s.oid and a.attnum = f.conkey[1]"
        " where f.contype = 'f'"
    )

    assert [pair for pair in keys if pair[0] in fenced and pair[1] != "tenant_id"] == []
    between = [row for row in references if row[0] in fenced | UNFENCED and row[1] in fenced]
    assert len(between) >= 12
    assert [row for row in between if row[2] != "tenant_id" or row[3] < 2] == []


def test_no_door_leads_around_the_fence(ask: Any) -> None:
    assert ask("select 1 from pg_matviews") == []
    assert ask("select 1 from pg_views where schemaname = 'public'") == []
    assert (
        ask("select proname from pg_proc where prosecdef and pronamespace = 'public'::regnamespace")
        == []
    )
    assert ask(
        "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles"
        " where rolname = 'hegui_app'"
    ) == [(False, False, False, False)]
    assert ask("select 1 from pg_class where relowner = 'hegui_app'::regrole") == []


def test_the_application_may_only_add_to_what_is_evidence(ask: Any) -> None:
    granted = ask(
        "select table_name, privilege_type from information_schema.role_table_grants"
        " where grantee = 'hegui_app'"
    )
    rights: dict[str, set[str]] = {}
    for table, right in granted:
        rights.setdefault(table, set()).add(right)

    for table in ("audit_entry", "event", "finding"):
        assert rights[table] == {"SELECT", "INSERT"}, table
    for table, held in rights.items():
        assert held <= {"SELECT", "INSERT", "UPDATE", "DELETE"}, table


@pytest.mark.parametrize("role", ["app", "owner"])
def test_without_a_tenant_there_are_no_rows(database: Database, clean: None, role: str) -> None:
    make_agency(make_tenant())
    url = database.app_url if role == "app" else database.owner_url

    with psycopg.connect(url) as connection:
        for table in ("agency", "event", "audit_entry"):
            assert connection.execute(f"select 1 from {table}".encode()).fetchall() == []


def _insert_as(url: str, tenant_id: UUID, statement: str, values: tuple[Any, ...]) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", (str(tenant_id),))
        connection.execute(statement.encode(), values)


def test_a_tenant_cannot_write_for_another(database: Database, clean: None) -> None:
    first, second = make_tenant(), make_tenant()
    statement = "insert into agency (tenant_id, id, name, created_at) values (%s, %s, 'x', now())"

    with pytest.raises(pg.InsufficientPrivilege):
        _insert_as(database.app_url, first.id, statement, (second.id, uuid4()))


def test_a_reference_cannot_cross_the_fence(database: Database, clean: None) -> None:
    mine, theirs = make_tenant(), make_agency(make_tenant())
    statement = (
        "insert into event (tenant_id, id, agency_id, message_id, body_sha256, body, kind,"
        " case_id, occurred_at, received_at)"
        " values (%s, %s, %s, 'm', 'd', '{}', 'k', 'c', now(), now())"
    )

    with pytest.raises(pg.ForeignKeyViolation):
        _insert_as(database.app_url, mine.id, statement, (mine.id, uuid4(), theirs.id))


def test_one_connection_used_by_many_tenants_leaks_nothing(clean: None) -> None:
    lenders = [make_tenant(f"lender {number}") for number in range(3)]
    agencies = {lender.id: make_agency(lender).id for lender in lenders}

    for turn in range(300):
        lender = lenders[turn % 3]
        with contextlib.suppress(ZeroDivisionError), tenant_session(lender.id) as session:
            found = [agency.id for agency in session.exec(select(Agency))]
            assert found == [agencies[lender.id]]
            assert 1 / (turn % 7) > 0


def test_an_agency_session_sees_its_own_rows_only(clean: None) -> None:
    lender = make_tenant()
    mine, other = make_agency(lender), make_agency(lender)

    with tenant_session(lender.id, agency_id=mine.id) as session:
        assert [agency.id for agency in session.exec(select(Agency))] == [mine.id]
        assert list(session.exec(select(InteractionRow))) == []
    with tenant_session(lender.id) as session:
        assert {agency.id for agency in session.exec(select(Agency))} == {mine.id, other.id}
        assert len(list_tenants(session)) == 1


def test_retention_is_held_by_the_database(database: Database, clean: None) -> None:
    lender = make_tenant()
    with psycopg.connect(database.app_url, autocommit=True) as connection:
        connection.execute("select set_config('app.tenant_id', %s, false)", (str(lender.id),))
        connection.execute(
            "insert into recording values (%s, 'a', 1, now(), now() + interval '1 day')",
            (lender.id,),
        )
        with pytest.raises(pg.InsufficientPrivilege):
            connection.execute("delete from recording")
        for statement in (
            "update recording set retain_until = retain_until - interval '1 second'",
            "update recording set size_bytes = 2",
        ):
            with pytest.raises(psycopg.DatabaseError) as caught:
                connection.execute(statement.encode())
            assert caught.value.sqlstate == "HG001"
        connection.execute("update recording set retain_until = retain_until + interval '1 day'")


def test_the_app_logs_in_with_short_limits(database: Database) -> None:
    with psycopg.connect(database.app_url) as connection:
        shown = connection.execute(
            "select current_setting('search_path'), current_setting('statement_timeout'),"
            " datctype from pg_database where datname = current_database()"
        ).fetchone()

    assert shown == ("public", "1min", "C.UTF-8")

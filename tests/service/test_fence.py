"""What the database itself holds: fences on every table, keys that cannot point across them."""

import contextlib
import os
import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors as pg
from sqlmodel import select

from service import db
from service.access.person_models import Person
from service.access.tenants import add_regulator, list_tenants
from service.config import settings
from service.db import tenant_session
from service.models import Agency, InteractionRow
from tests.conftest import Database
from tests.factories import make_agency, make_grant, make_tenant

TURNS = 10_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 300
# Read before a tenant is known; each statement on them names the tenant itself.
UNFENCED = {"api_key", "webhook_source", "person"}
# What an agency's session sees of all rows of its lender, and why.
OPEN_TO_AGENCIES = {
    "audit_entry": "a policy of its own: every session adds entries and reads back its key's own",
    "review_policy": "how long an agency may dispute stands in it, and nothing of any contact",
}
OPEN_TO_REGULATORS = {
    "audit_entry": "a policy of its own, as for agencies",
}


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


@pytest.mark.asvs("8.4.1")
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


@pytest.mark.parametrize(
    ("actor", "setting", "known"),
    [
        ("agency", "app.agency_id", OPEN_TO_AGENCIES),
        ("regulator", "app.regulator_id", OPEN_TO_REGULATORS),
    ],
)
@pytest.mark.asvs("8.2.2", "8.4.1")
def test_every_table_is_narrowed_for_agencies_and_regulators(
    ask: Any, actor: str, setting: str, known: dict[str, str]
) -> None:
    narrowed = ask(
        "select tablename from pg_policies where permissive = 'RESTRICTIVE' and cmd = 'ALL'"
        f" and policyname = tablename || '_of_{actor}' and qual like '%{setting}%'"
        f" and with_check like '%{setting}%'"
    )

    missing = _fenced(ask) - {name for (name,) in narrowed} - set(known)
    hint = f"fence(…, narrowed=…, regulators=…) or a reason in OPEN_TO_{actor.upper()}"
    assert not missing, f"{hint}: {sorted(missing)}"


def test_no_policy_widens_what_the_tenants_policy_shows(ask: Any) -> None:
    others = ask(
        "select policyname, cmd from pg_policies where permissive = 'PERMISSIVE'"
        " and policyname <> tablename || '_of_tenant' and schemaname = 'public'"
    )

    # A regulator's grants are of several lenders; it finds them before a lender is named.
    assert others == [("access_grant_of_its_regulator", "SELECT")]


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


@pytest.mark.asvs("13.2.2")
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
    for catalogue, owner in (
        ("pg_class", "relowner"), ("pg_proc", "proowner"), ("pg_namespace", "nspowner"),
        ("pg_type", "typowner"), ("pg_database", "datdba"),
    ):  # fmt: skip
        assert ask(f"select 1 from {catalogue} where {owner} = 'hegui_app'::regrole") == []


@pytest.mark.asvs("8.4.1")
def test_a_session_that_names_somebody_sees_its_own_people_only(clean: None) -> None:
    first, second = make_tenant(), make_tenant()
    agencies = [make_agency(first), make_agency(first)]
    wishes: list[dict[str, Any]] = [
        {"tenant_id": first.id, "actor": "lender", "scope": "read"},
        *({"tenant_id": first.id, "agency_id": each.id, "actor": "agency", "scope": "send"}
          for each in agencies),
        {"tenant_id": second.id, "actor": "lender", "scope": "read"},
        {"regulator_id": add_regulator("监管局").id, "actor": "regulator", "scope": "read"},
    ]  # fmt: skip
    with db.front_door_session() as session:
        for number, wish in enumerate(wishes):
            name = f"usr_{number}"
            session.add(Person(handle=name, email=f"{name}@example.com", name=name, **wish))

    def seen(**names: Any) -> set[str]:
        with tenant_session(first.id, **names) as session:
            return set(session.exec(select(Person.handle)).all())

    assert seen() == {"usr_0", "usr_1", "usr_2"}
    assert seen(agency_id=agencies[0].id) == {"usr_1"}
    assert seen(regulator_id=uuid4()) == set()


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


@pytest.fixture
def pool_of_one(database: Database, clean: None) -> Iterator[None]:
    os.environ["HEGUI_DATABASE_POOL_SIZE"] = "1"
    settings.cache_clear()
    db.dispose()
    yield
    del os.environ["HEGUI_DATABASE_POOL_SIZE"]
    settings.cache_clear()
    db.dispose()


@pytest.mark.asvs("8.4.1")
def test_one_connection_used_by_many_in_turn_leaks_nothing(pool_of_one: None) -> None:
    lenders = [make_tenant(f"lender {number}") for number in range(3)]
    agencies = {lender.id: [make_agency(lender).id for _ in range(2)] for lender in lenders}
    regulator = add_regulator("监管局").id
    grants = {lender.id: make_grant(lender, regulator) for lender in lenders}
    turns = random.Random(7)  # noqa: S311  the same turns in every run

    for turn in range(TURNS):
        lender = turns.choice(lenders).id
        agency = turns.choice([None, None, *agencies[lender]])
        is_regulator = agency is None and turns.random() < 0.3
        seen = [agency] if agency else agencies[lender]
        with contextlib.suppress(ZeroDivisionError):
            with tenant_session(
                lender,
                agency_id=agency,
                regulator_id=regulator if is_regulator else None,
                grant_id=grants[lender] if is_regulator else None,
            ) as session:
                found = session.exec(select(Agency.id)).all()
                assert sorted(found) == sorted(seen)
                assert 1 / (turn % 7) > 0
            with db.front_door_session() as session:
                assert session.exec(select(Agency.id)).all() == []


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

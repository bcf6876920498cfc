"""A superuser behind the application's back changes what is sealed: found, and the entry named."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy import text
from sqlmodel import col, select
from starlette.testclient import TestClient

from service.clock import now
from service.db import tenant_session
from service.evidence.ledger_audit import Audit, audit_ledger
from service.evidence.ledger_models import LedgerCheckpoint, LedgerEntry
from service.evidence.ledger_run import (
    LedgerForkedError,
    checkpoint_folder,
    newest_on_file,
    run_sealer,
)
from service.evidence.ledger_source import SOURCES
from service.models import InteractionRow
from service.transcribe import Heard, load_recording, store_transcript
from tests.conftest import Database
from tests.factories import (
    make_agency,
    make_call,
    make_case,
    make_recording,
    make_sms,
    make_tenant,
    post_event,
    put_recording,
)
from tests.service.test_ledger import NOW, act, seal_all
from workers.app import run_once

# The columns that a row's content is made of, by table; the others may change (docs/evidence.md).
FREE = {"written_xid", "is_current", "retain_until", "erased_at"} | {
    *("purged_at", "purge_run_id", "store_until", "store_held")
}


@dataclass
class Sealed:
    """A lender with every kind of sealed row, and a way past triggers and rights."""

    tenant_id: UUID
    superuser: psycopg.Connection[Any]

    def audit(self, *witnessed: str) -> Audit:
        with tenant_session(self.tenant_id) as session:
            return audit_ledger(session, tenant_id=self.tenant_id, witnessed=witnessed)

    def seq_of(self, source: str) -> int:
        with tenant_session(self.tenant_id) as session:
            return session.exec(
                select(LedgerEntry.seq)
                .where(LedgerEntry.source == source)
                .order_by(col(LedgerEntry.seq))
            ).first()  # type: ignore[return-value]

    def note(self) -> str:
        with tenant_session(self.tenant_id) as session:
            row = session.exec(
                select(LedgerCheckpoint).order_by(col(LedgerCheckpoint.size).desc())
            ).first()
        assert row is not None
        return row.note


@pytest.fixture(scope="module")
def prepared(api: TestClient, sweeper: Any, database: Database) -> Iterator[Sealed]:
    """Make every kind of sealed row, once."""
    lender = make_tenant()
    agency, audio = make_agency(lender), b"words" * 30
    threat = [{"speaker": "collector", "start": 3.0, "end": 7.0, "text": "再不还钱就上门泼油漆"}]
    for document in (
        make_case(),
        make_sms(interaction_id="S-1", started_at="2026-06-03T23:30:00+08:00"),
        make_call(interaction_id="C-1", transcript=threat),
        make_call(interaction_id="C-2", recording=make_recording(audio)),
        make_sms(interaction_id="S-9", case_id="K-9", started_at="2026-06-03T23:30:00+08:00"),
    ):
        assert post_event(api, agency, document).status_code == 202
    assert put_recording(api, agency, audio).status_code == 201
    with tenant_session(lender.id) as session:
        row = session.exec(
            select(InteractionRow).where(InteractionRow.interaction_id == "C-2")
        ).one()
        work = load_recording(session, tenant_id=lender.id, interaction_id=row.id, now=NOW)
        assert work is not None
        heard = Heard((), "openai-whisper", "0" * 64, {}, 6.0, 0.1, ("clipped",))
        store_transcript(session, work, heard, now=now())
    for path, document in (
        ("/v1/parameters", {"values": {}}),
        ("/v1/parameters/speech", {"prompt": "还款", "hotwords": ["汇民银行"]}),
    ):
        assert api.put(path, json=document, headers=lender.auth).status_code < 300
    run_once()
    run_sealer(lender.id)
    with psycopg.connect(database.superuser_url, autocommit=True) as superuser:
        superuser.execute("set session_replication_role = replica")
        yield Sealed(lender.id, superuser)
    sweeper()


@pytest.fixture
def sealed(prepared: Sealed) -> Iterator[Sealed]:
    """The same rows for each test, whatever the one before did to them."""
    with ExitStack() as stack:
        for table in (*PROTECTED, *HEADS, "interaction", "erasure"):
            stack.enter_context(undone(prepared, table))
        files = set(checkpoint_folder(prepared.tenant_id).iterdir())
        yield prepared
    for path in set(checkpoint_folder(prepared.tenant_id).iterdir()) - files:
        path.unlink()


def another(value: Any) -> Any:  # noqa: PLR0911  one answer a type
    """A value of the same type that differs."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1_000_000
        case str():
            return value + "0"
        case None:
            return "x"
        case dict() | list():
            return Jsonb({"x": 1})
        case UUID():
            return UUID(int=value.int ^ 1)
        case bytes():
            return value[:-1] + bytes([value[-1] ^ 1])
    return value.replace(year=value.year - 1)


HEADS = ("ledger_checkpoint", "ledger_node", "ledger_head")
PROTECTED = [source.name for source in SOURCES] + ["finding", "ledger_entry", "ledger_salt"]


@contextmanager
def undone(sealed: Sealed, table: str) -> Iterator[None]:
    """Put a table back as it was."""
    name, kept = sql.Identifier(table), sql.Identifier(f"kept_{uuid4().hex}")
    sealed.superuser.execute(sql.SQL("create temp table {} as table {}").format(kept, name))
    try:
        yield
    finally:
        sealed.superuser.execute(sql.SQL("delete from {}").format(name))
        back = "insert into {} overriding system value select * from {}"
        sealed.superuser.execute(sql.SQL(back).format(name, kept))
        sealed.superuser.execute(sql.SQL("drop table {}").format(kept))


def columns(sealed: Sealed, table: str) -> list[tuple[str, bool]]:
    """A table's columns that may not change, and whether the database counts them itself."""
    found = sealed.superuser.execute(
        "select column_name, is_identity = 'YES' from information_schema.columns"
        " where table_schema = 'public' and table_name = %s order by ordinal_position",
        (table,),
    ).fetchall()
    return [row for row in found if row[0] not in FREE | {"tenant_id"}]


def change(sealed: Sealed, table: str, column: str, *, is_identity: bool) -> None:
    """Change one column of one row."""
    superuser, name, place = sealed.superuser, sql.Identifier(table), sql.Identifier(column)
    first = sql.SQL(" where ctid = (select min(ctid) from {})").format(name)
    row = superuser.execute(sql.SQL("select {} from {}").format(place, name) + first).fetchone()
    assert row is not None, f"no row of {table} was sealed"
    if is_identity:
        alter = sql.SQL("alter table {} alter {} set generated by default").format(name, place)
        superuser.execute(alter)
    write = sql.SQL("update {} set {} = %s").format(name, place)
    superuser.execute(write + first, (another(row[0]) if not is_identity else 10**9,))


@pytest.mark.parametrize("table", PROTECTED)
def test_a_change_of_any_protected_column_is_found_and_the_entry_named(
    sealed: Sealed, table: str
) -> None:
    tried = columns(sealed, table)

    for column, is_identity in tried:
        with undone(sealed, table):
            change(sealed, table, column, is_identity=is_identity)
            flaw = sealed.audit().first
            assert flaw is not None, f"a change of {table}.{column} was overlooked"
            assert flaw.seq is not None, f"{table}.{column}: {flaw}"
    assert len(tried) >= 2
    assert sealed.audit().flaws == []


@pytest.mark.parametrize("table", PROTECTED)
def test_a_deleted_row_is_found_and_the_entry_named(sealed: Sealed, table: str) -> None:
    first = sql.SQL(" where ctid = (select min(ctid) from {})").format(sql.Identifier(table))
    ids = {source.name: source.id for source in SOURCES}
    gone = ids.get(table, "''")
    found = sealed.superuser.execute(
        sql.SQL("delete from {} as t").format(sql.Identifier(table))
        + first
        + sql.SQL(" returning " + gone)
    ).fetchone()
    flaw = sealed.audit().first

    assert found is not None
    assert flaw is not None
    assert flaw.seq is not None
    if table in ids:
        assert (flaw.code, flaw.source, flaw.source_id) == ("row_missing", table, found[0])


def test_rows_put_in_between_are_found(sealed: Sealed) -> None:
    superuser = sealed.superuser
    with undone(sealed, "audit_entry"):
        superuser.execute(
            "insert into audit_entry (tenant_id, at, actor, action, details, written_xid)"
            " select tenant_id, at, actor, 'forged', details, written_xid from audit_entry limit 1"
        )
        assert [flaw.code for flaw in sealed.audit().flaws] == ["never_sealed"]
    with undone(sealed, "ledger_entry"):
        superuser.execute(
            "insert into ledger_entry select tenant_id, max(seq) + 1, 'audit_entry', '999', 'x',"
            " now(), '\\x00', '\\x00', '\\x00' from ledger_entry group by tenant_id"
        )
        assert {"row_missing", "entry_added"} <= {flaw.code for flaw in sealed.audit().flaws}
    # One that comes as a new row, with an old date, is sealed; but later than it should have been.
    superuser.execute(
        "insert into audit_entry (tenant_id, at, actor, action, details)"
        " values (%s, now() - interval '3 hours', 'x', 'forged', '{}')",
        (sealed.tenant_id,),
    )
    run_sealer(sealed.tenant_id)
    assert [flaw.code for flaw in sealed.audit().flaws] == ["added_later"]


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("event", "body"),
        ("audit_entry", "details"),
        ("finding", "doc"),
        ("ledger_salt", "salt"),
        ("ledger_entry", "sha256, sm3, leaf_hash"),
    ],
)
def test_two_rows_that_were_swapped_are_found(sealed: Sealed, table: str, columns: str) -> None:
    names = columns.split(", ")
    with undone(sealed, table):
        key = "id" if table in {"event", "finding"} else "seq"
        which = "where action = 'interaction_checked'" if table == "audit_entry" else ""
        sealed.superuser.execute(
            f"with two as (select {key} as k, {columns}, row_number() over (order by {key}) as n"
            f" from {table} {which} order by {key} limit 2)"
            f" update {table} as t set {', '.join(f'{name} = o.{name}' for name in names)}"
            f" from two as m join two as o on o.n <> m.n where t.{key} = m.k".encode()
        )
        flaw = sealed.audit().first

    assert flaw is not None
    assert flaw.seq is not None


@pytest.mark.parametrize(
    "statement",
    [
        "update interaction set outcome = 'pass' where outcome = 'fail'",
        "update interaction set verdict_id = gen_random_uuid() where outcome = 'fail'",
        "update verdict set is_current = false where outcome = 'fail'",
    ],
)
def test_a_contact_that_hides_its_newest_verdict_is_found(sealed: Sealed, statement: str) -> None:
    sealed.superuser.execute(statement.encode())

    flaw = sealed.audit().first

    assert flaw is not None
    assert flaw.code == "verdict_not_shown"
    assert flaw.seq is not None


@pytest.mark.parametrize("table", HEADS)
def test_a_changed_head_or_node_is_found(sealed: Sealed, table: str) -> None:
    act(sealed.tenant_id, "bulk", count=300)
    seal_all(sealed.tenant_id)

    for column, _ in columns(sealed, table):
        if (table, column) in {("ledger_head", "watermark"), ("ledger_head", "server")}:
            continue  # they say where the sealer goes on, not what is sealed
        with undone(sealed, table):
            change(sealed, table, column, is_identity=False)
            assert sealed.audit().flaws, f"{table}.{column}"


def test_a_tail_that_was_cut_is_found_against_an_exported_checkpoint(sealed: Sealed) -> None:
    kept = sealed.note()
    size = sealed.audit().size
    for table, column in (
        ("ledger_salt", "seq"), ("ledger_entry", "seq"), ("ledger_checkpoint", "size - 1"),
    ):  # fmt: skip
        sealed.superuser.execute(f"delete from {table} where {column} >= {size - 3}".encode())
    sealed.superuser.execute(f"update ledger_head set size = {size - 3}".encode())
    for table in PROTECTED[:7]:  # and the rows that those entries were made of
        source = next(one for one in SOURCES if one.name == table)
        sealed.superuser.execute(
            f"delete from {table} as t where not exists (select 1 from ledger_entry as e"
            f" where e.source = '{table}' and e.source_id = {source.id})".encode()
        )

    flaws = sealed.audit(kept).flaws

    assert ("tail_cut", size - 3) in {(flaw.code, flaw.seq) for flaw in flaws}
    with pytest.raises(LedgerForkedError):
        run_sealer(sealed.tenant_id)


def test_a_history_that_was_written_anew_is_found(sealed: Sealed) -> None:
    kept = sealed.note()
    for table in ("ledger_salt", "ledger_entry", "ledger_checkpoint", "ledger_node"):
        sealed.superuser.execute(f"delete from {table}".encode())
    sealed.superuser.execute("update ledger_head set size = 0, watermark = 0")
    sealed.superuser.execute("update event set occurred_at = occurred_at - interval '1 day'")
    act(sealed.tenant_id, "later", count=30)
    # The forger has the signing key too: within the database all is in order again.
    seal_all(sealed.tenant_id)
    assert {flaw.code for flaw in sealed.audit().flaws} <= {"added_later"}

    assert "forked" in {flaw.code for flaw in sealed.audit(kept).flaws}
    with pytest.raises(LedgerForkedError):
        run_sealer(sealed.tenant_id)


def test_what_was_erased_on_purpose_leaves_the_proofs_whole(sealed: Sealed) -> None:
    with tenant_session(sealed.tenant_id) as session:
        connection = session.connection()
        connection.execute(text("select hegui_erase_case('K-9')"))
        assert sealed.audit().flaws == []  # another session: nothing is committed yet
    erased_without_saying_so = sealed.audit().flaws
    sealed.superuser.execute(
        "insert into erasure (tenant_id, id, case_id, at, by, counts, digest)"
        " values (%s, gen_random_uuid(), 'K-9', now(), 'test', '{}', '')",
        (sealed.tenant_id,),
    )

    audit = sealed.audit()

    assert {flaw.code for flaw in erased_without_saying_so} == {"salt_missing"}
    assert audit.flaws == []
    assert audit.erased == len(erased_without_saying_so) == 2


def test_every_signed_head_is_put_on_file_and_never_over_another(sealed: Sealed) -> None:
    path = newest_on_file(sealed.tenant_id)
    assert path is not None
    assert path.read_text() == sealed.note()
    before = len(list(checkpoint_folder(sealed.tenant_id).iterdir()))
    act(sealed.tenant_id, "more")

    run_sealer(sealed.tenant_id)

    assert len(list(checkpoint_folder(sealed.tenant_id).iterdir())) == before + 1
    assert path.stat().st_mode & 0o222 == 0

"""The sealer: every committed row becomes one entry, whatever the order in which writers commit."""

import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from uuid import UUID

import psycopg
import pytest
from psycopg import errors as pg
from sqlalchemy import text
from sqlmodel import col, func, select
from starlette.testclient import TestClient

from service.audit import add_entry
from service.db import engine, tenant_session
from service.evidence import merkle
from service.evidence.checkpoint import (
    Checkpoint,
    NoteError,
    PublicKey,
    open_note,
    origin_of,
    signer,
)
from service.evidence.ledger import Sealed, canonical, commit_to, make_leaf, seal
from service.evidence.ledger_models import LedgerCheckpoint, LedgerEntry, LedgerHead, LedgerSalt
from service.evidence.ledger_source import read_contents, source_named
from service.evidence.tiles import StoredTree, full_nodes
from service.models import AuditEntry, EventRow, VerdictRow
from tests.conftest import Database
from tests.factories import Lender, Sender, make_case, make_sms, make_tenant, post_event

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


def seal_all(tenant_id: UUID, *, limit: int = 10_000) -> int:
    """Seal until nothing waits; gives the ledger's size."""
    while True:
        with tenant_session(tenant_id) as session:
            done = seal(session, tenant_id=tenant_id, signer=signer(), now=NOW, limit=limit)
        assert done is not None
        if not done.is_behind:
            return done.size


def act(tenant_id: UUID, action: str, *, count: int = 1) -> None:
    with tenant_session(tenant_id) as session:
        for number in range(count):
            add_entry(
                session, tenant_id=tenant_id, actor="test", action=action, details={"n": number}
            )


def actions(tenant_id: UUID) -> list[str]:
    with tenant_session(tenant_id) as session:
        return list(session.exec(select(LedgerEntry.kind).order_by(col(LedgerEntry.seq))))


def test_every_row_of_the_road_is_sealed_once(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> None:
    post_event(client, agency, make_case())
    post_event(client, agency, make_sms(started_at="2026-06-03T23:30:00+08:00"))
    run_jobs()

    size = seal_all(lender.id)
    again = seal_all(lender.id)

    with tenant_session(lender.id) as session:
        counts = {
            table: session.exec(select(func.count()).select_from(table)).one()
            for table in (EventRow, AuditEntry, VerdictRow)
        }
        entries = session.exec(select(LedgerEntry).order_by(col(LedgerEntry.seq))).all()
        salts = {row.seq: row.salt for row in session.exec(select(LedgerSalt))}
        for entry in entries:
            found = read_contents(session, source_named(entry.source), [entry.source_id])
            made = commit_to(found[entry.source_id].content, salts[entry.seq])
            leaf = make_leaf(lender.id, entry.seq, entry.kind, entry.at, made)
            assert (made.sha256, made.sm3) == (entry.sha256, entry.sm3)
            assert merkle.leaf_hash(leaf) == entry.leaf_hash
        head = session.exec(
            select(LedgerCheckpoint).order_by(col(LedgerCheckpoint.size).desc())
        ).first()
    # A first run leaves one act to the next: that a new key signs. The worker may have had it.
    assert size <= again == sum(counts.values()) <= size + 1
    assert [entry.seq for entry in entries] == list(range(again))
    assert counts[EventRow] == 2
    assert head is not None
    assert head.root == merkle.root([entry.leaf_hash for entry in entries])
    key = signer().public(origin_of(lender.id))
    read = Checkpoint.parse(open_note(head.note, PublicKey.parse(str(key))))
    assert (read.size, read.root) == (again, head.root)


def test_a_transaction_that_commits_late_loses_nothing(lender: Lender, database: Database) -> None:
    late = psycopg.connect(database.app_url)
    late.execute("select set_config('app.tenant_id', %s, false)", (str(lender.id),))
    insert = (
        "insert into audit_entry (tenant_id, at, actor, action, details)"
        " values (%s, now(), 'test', %s, '{}')"
    )
    late.execute(insert, (lender.id, "late"))  # takes a number of the sequence, then waits
    lost = psycopg.connect(database.app_url)
    lost.execute("select set_config('app.tenant_id', %s, false)", (str(lender.id),))
    lost.execute(insert, (lender.id, "never"))  # its number stays a gap
    act(lender.id, "early")
    seal_all(lender.id)
    assert not {"early", "late"} & set(actions(lender.id))

    lost.rollback()
    late.commit()
    late.close()
    lost.close()
    seal_all(lender.id)

    sealed = actions(lender.id)
    assert sealed.count("late") == sealed.count("early") == 1
    assert "never" not in sealed


def test_many_writers_and_two_sealers_give_one_gapless_ledger(lender: Lender) -> None:
    dice = Random(20261122)  # noqa: S311

    def write(number: int) -> None:
        with suppress(ZeroDivisionError), tenant_session(lender.id) as session:
            add_entry(session, tenant_id=lender.id, actor="test", action=f"act_{number}")
            session.flush()
            session.connection().execute(text(f"select pg_sleep({dice.random() / 50})"))
            _ = 1 // (number % 7)  # one in seven is rolled back

    def run_sealer(_: int) -> list[Sealed | None]:
        done = []
        for _ in range(8):
            with tenant_session(lender.id) as session:
                done.append(seal(session, tenant_id=lender.id, signer=signer(), now=NOW, limit=9))
        return done

    with ThreadPoolExecutor(6) as threads:
        sealers = [threads.submit(run_sealer, number) for number in range(2)]
        writers = [threads.submit(write, number) for number in range(60)]
        for writer in writers:
            writer.result()
        for sealer in sealers:
            sealer.result()
    size = seal_all(lender.id, limit=9)

    sealed = [name for name in actions(lender.id) if name.startswith("act_")]
    assert sorted(sealed) == sorted(f"act_{number}" for number in range(60) if number % 7)
    with tenant_session(lender.id) as session:
        rows = session.exec(select(LedgerEntry).order_by(col(LedgerEntry.seq))).all()
        heads = session.exec(select(LedgerCheckpoint)).all()
    assert [row.seq for row in rows] == list(range(size))
    leaves = [row.leaf_hash for row in rows]
    assert all(head.root == merkle.root(leaves[: head.size]) for head in heads)


def test_a_database_restored_on_another_server_is_caught_up(lender: Lender) -> None:
    act(lender.id, "before", count=30)
    seal_all(lender.id)
    act(lender.id, "after", count=30)
    with tenant_session(lender.id) as session:
        head = session.exec(select(LedgerHead)).one()
        head.server, head.watermark = "another", 2**60

    seal_all(lender.id, limit=7)

    assert actions(lender.id).count("before") == actions(lender.id).count("after") == 30


def test_a_transaction_larger_than_a_page_is_sealed_whole(lender: Lender) -> None:
    act(lender.id, "bulk", count=50)

    seal_all(lender.id, limit=4)

    assert actions(lender.id).count("bulk") == 50


@pytest.mark.parametrize(
    "statement",
    [
        "update ledger_entry set kind = 'x'",
        "delete from ledger_entry",
        "delete from ledger_checkpoint",
        "update audit_entry set action = 'x'",
        "delete from audit_entry",
        "update ledger_salt set salt = ''",
        "truncate audit_entry",
    ],
)
def test_neither_the_application_nor_the_owner_may_change_what_is_written(
    lender: Lender, database: Database, statement: str
) -> None:
    seal_all(lender.id)

    with tenant_session(lender.id) as session, pytest.raises(Exception, match=r"denied|append"):
        session.connection().execute(text(statement))
    with psycopg.connect(database.owner_url) as owner:
        owner.execute("select set_config('app.tenant_id', %s, false)", (str(lender.id),))
        with pytest.raises(pg.Error, match="append-only"):
            owner.execute(statement.encode() + b" cascade" * statement.startswith("trunc"))


def test_another_tenants_ledger_is_not_there(lender: Lender) -> None:
    seal_all(lender.id)
    other = make_tenant()

    with tenant_session(other.id) as session:
        assert session.exec(select(LedgerEntry)).all() == []
        assert session.exec(select(LedgerCheckpoint)).all() == []


def test_the_stored_tree_gives_the_proofs_of_the_plain_one() -> None:
    leaves = [secrets.token_bytes(32) for _ in range(70_000)]
    stored: dict[int, dict[int, bytes]] = {}
    dice, size = Random(1), 0  # noqa: S311

    def fetch(level: int, first: int, last: int) -> list[bytes]:
        row = leaves if level == 0 else stored.get(level, {})
        return [row[place] for place in range(first, last)]

    while size < len(leaves):
        step = min(dice.choice([1, 3, 255, 256, 700, 9000]), len(leaves) - size)
        for level, place, found in full_nodes(size, leaves[size : size + step], fetch):
            assert place not in stored.setdefault(level, {})
            stored[level][place] = found
        size += step
    assert {level: len(row) for level, row in stored.items()} == {8: 70_000 // 256, 16: 1}
    for size in [1, 2, 255, 256, 257, 600, 65_536, 65_537, 70_000]:
        tree, index = StoredTree(size, fetch), dice.randrange(size)
        root = merkle.root(leaves[:size])
        first = dice.randint(1, size)
        assert tree.root() == root
        proof = tree.inclusion_proof(index)
        assert merkle.verify_inclusion(leaves[index], index, size, proof, root)
        older = merkle.root(leaves[:first])
        grown = tree.consistency_proof(first)
        assert merkle.verify_consistency(first, size, grown, older, root)
        if size <= 600:
            assert proof == merkle.inclusion_proof(leaves[:size], index)
            assert grown == merkle.consistency_proof(leaves[:size], first)


def test_every_changed_byte_of_a_note_is_refused() -> None:
    head = Checkpoint("hegui/ledger/x", 12, secrets.token_bytes(32), NOW)
    note = signer().sign(head.text, "hegui/ledger/x")
    key = signer().public("hegui/ledger/x")
    assert Checkpoint.parse(open_note(note, key)) == head

    raw = note.encode()
    for place in range(len(raw)):
        for change in (1, 0x20, 0x80):
            bad = raw[:place] + bytes([raw[place] ^ change]) + raw[place + 1 :]
            with pytest.raises((NoteError, UnicodeDecodeError)):
                open_note(bad.decode(), key)
    for cut in range(len(raw)):
        with pytest.raises((NoteError, UnicodeDecodeError)):
            open_note(raw[:cut].decode(), key)


def test_canonical_json_is_that_of_the_standard_library() -> None:
    document = {"b": '引号"\\\n\x01\x7f\u2028', "a": None, "数": 2**53 - 1, "c": True}

    import json

    plain = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert canonical(document) == plain.encode()


def test_the_key_is_made_once_and_is_private() -> None:
    from service.config import settings

    path = settings().object_dir.resolve().parent / "ledger-key.pem"
    first = signer().key_id
    signer.cache_clear()

    assert signer().key_id == first
    assert path.stat().st_mode & 0o777 == 0o400
    assert engine() is not None
    assert os.access(path, os.R_OK)

"""The sealer: rows that are safely committed become entries of a Merkle tree with a signed head.

Writers know nothing of it. They insert their rows, each stamped by the database with its
transaction; the sealer takes, in a fixed order, the rows of every transaction below the oldest one
that still runs. A transaction that commits late is above that line until it has ended, so nothing
is overlooked, whatever the order of commits and the gaps in sequences.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from cryptography.hazmat.primitives import hashes
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from service.audit import add_entry
from service.evidence.checkpoint import Checkpoint, Signer, origin_of
from service.evidence.ledger_models import (
    LedgerCheckpoint,
    LedgerEntry,
    LedgerHead,
    LedgerKey,
    LedgerNode,
)
from service.evidence.ledger_source import SOURCES, Sealable, read_unsealed, read_written
from service.evidence.merkle import leaf_hash
from service.evidence.tiles import StoredTree, full_nodes

BATCH = 10_000
SALT_BYTES = 16
_HORIZON = text(
    "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint,"
    " (select system_identifier::text from pg_control_system())"
)
# Arrays, because COPY does not go into a table with row security.
_ADD_ENTRIES = text(
    "insert into ledger_entry"
    " (tenant_id, seq, source, source_id, kind, at, sha256, sm3, leaf_hash)"
    " select :tenant, * from unnest(cast(:seqs as bigint[]), cast(:sources as text[]),"
    " cast(:ids as text[]), cast(:kinds as text[]), cast(:ats as timestamptz[]),"
    " cast(:sha256s as bytea[]), cast(:sm3s as bytea[]), cast(:leaves as bytea[]))"
)
_ADD_SALTS = text(
    "insert into ledger_salt (tenant_id, seq, salt)"
    " select :tenant, * from unnest(cast(:seqs as bigint[]), cast(:salts as bytea[]))"
)
_ADD_NODES = text(
    "insert into ledger_node (tenant_id, level, position, hash)"
    " select :tenant, * from unnest(cast(:levels as int[]), cast(:positions as bigint[]),"
    " cast(:hashes as bytea[]))"
)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What one run did; `is_behind` says that more rows wait."""

    added: int
    size: int
    is_behind: bool


@dataclass(frozen=True, slots=True)
class Commitment:
    """What an entry says of its content to those who do not have it."""

    sha256: bytes
    sm3: bytes


def canonical(document: dict[str, Any]) -> bytes:
    """Write a document of strings, whole numbers, booleans and null as RFC 8785 does."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def commit_to(content: dict[str, Any], salt: bytes) -> Commitment:
    """Hash salt and canonical content, by SHA-256 and by SM3 (GB/T 32905)."""
    body = salt + canonical(content)
    return Commitment(_hash(hashes.SHA256(), body), _hash(hashes.SM3(), body))


def _hash(algorithm: hashes.HashAlgorithm, body: bytes) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(body)
    return digest.finalize()


def make_leaf(tenant_id: UUID, seq: int, kind: str, at: datetime, commitment: Commitment) -> bytes:
    """Return the bytes of a leaf: canonical JSON that names nobody."""
    return canonical(
        {
            "v": 1,
            "tenant": str(tenant_id),
            "seq": seq,
            "kind": kind,
            "at": moment_text(at),
            "sha256": commitment.sha256.hex(),
            "sm3": commitment.sm3.hex(),
        }
    )


def moment_text(moment: datetime) -> str:
    """Write a moment in UTC with six digits of the second, as the database's contents do."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seal(
    session: Session, *, tenant_id: UUID, signer: Signer, now: datetime, limit: int = BATCH
) -> Sealed | None:
    """Seal up to about `limit` rows and sign the new head; None where another sealer is at it.

    Whoever holds the head's lock is the only writer, so entries have no gaps and one order.
    """
    session.exec(insert(LedgerHead).values(tenant_id=tenant_id).on_conflict_do_nothing())
    head = session.exec(select(LedgerHead).with_for_update(skip_locked=True)).one_or_none()
    if head is None:
        return None
    horizon, server = session.connection().execute(_HORIZON).one()
    if head.server != server:
        # Transaction numbers of another server (a restored dump) mean nothing here.
        rows, is_behind = _gather_unsealed(session, horizon, limit)
        if not is_behind:
            head.watermark, head.server = horizon, server
    else:
        rows, upper = _gather(session, head.watermark, horizon, limit)
        head.watermark, is_behind = upper, upper < horizon
    if rows:
        leaves = _append(session, tenant_id, head.size, rows)
        _store_nodes(session, tenant_id, head.size, leaves)
        head.size += len(leaves)
        session.flush()
    # A head is signed once everything before its time is in it, so that an entry which is much
    # older than the head before its own was not there in time (ledger_audit looks for that).
    if not is_behind:
        _sign(session, tenant_id, head.size, signer, now)
    return Sealed(len(rows), head.size, is_behind)


def stored_tree(session: Session, size: int) -> StoredTree:
    """Return the tree over the first `size` entries of the session's tenant."""
    return StoredTree(size, lambda level, first, last: _fetch(session, level, first, last))


def _gather(
    session: Session, watermark: int, horizon: int, limit: int
) -> tuple[list[Sealable], int]:
    """The rows of whole transactions from the watermark on, and where the next run goes on."""
    while True:
        found = [
            read_written(session, source, since=watermark, before=horizon, limit=limit)
            for source in SOURCES
        ]
        # A source that filled its page may have more rows of its last transaction.
        upper = min((rows[-1].xid for rows in found if len(rows) == limit), default=horizon)
        if upper > watermark or upper == horizon:
            break
        limit *= 4  # one transaction wrote more than a page: it is sealed whole
    ranked = [
        (row.xid, rank, place, row)
        for rank, rows in enumerate(found)
        for place, row in enumerate(rows)
        if row.xid < upper
    ]
    return [row for *_, row in sorted(ranked, key=lambda one: one[:3])], upper


def _gather_unsealed(session: Session, horizon: int, limit: int) -> tuple[list[Sealable], bool]:
    """Up to a page of each source's rows that have no entry, and whether there may be more."""
    found: list[Sealable] = []
    is_behind = False
    for source in SOURCES:
        rows = read_unsealed(session, source, before=horizon, limit=limit)
        is_behind = is_behind or len(rows) == limit
        found += rows
    return found, is_behind


def _append(session: Session, tenant_id: UUID, size: int, rows: Sequence[Sealable]) -> list[bytes]:
    """Write entries and salts; gives the hashes of the new leaves."""
    salts = [secrets.token_bytes(SALT_BYTES) for _ in rows]
    made = [commit_to(row.content, salt) for row, salt in zip(rows, salts, strict=True)]
    seqs = list(range(size, size + len(rows)))
    leaves = [
        leaf_hash(make_leaf(tenant_id, seq, row.kind, row.at, commitment))
        for seq, row, commitment in zip(seqs, rows, made, strict=True)
    ]
    connection = session.connection()
    connection.execute(
        _ADD_ENTRIES,
        {
            "tenant": tenant_id,
            "seqs": seqs,
            "sources": [row.source for row in rows],
            "ids": [row.source_id for row in rows],
            "kinds": [row.kind for row in rows],
            "ats": [row.at for row in rows],
            "sha256s": [commitment.sha256 for commitment in made],
            "sm3s": [commitment.sm3 for commitment in made],
            "leaves": leaves,
        },
    )
    connection.execute(_ADD_SALTS, {"tenant": tenant_id, "seqs": seqs, "salts": salts})
    return leaves


def _store_nodes(session: Session, tenant_id: UUID, before: int, leaves: Sequence[bytes]) -> None:
    nodes = list(
        full_nodes(before, leaves, lambda level, first, last: _fetch(session, level, first, last))
    )
    if nodes:
        levels, positions, found = map(list, zip(*nodes, strict=True))
        session.connection().execute(
            _ADD_NODES,
            {"tenant": tenant_id, "levels": levels, "positions": positions, "hashes": found},
        )


def _fetch(session: Session, level: int, first: int, last: int) -> Sequence[bytes]:
    if level == 0:
        return session.exec(
            select(LedgerEntry.leaf_hash)
            .where(col(LedgerEntry.seq) >= first, col(LedgerEntry.seq) < last)
            .order_by(col(LedgerEntry.seq))
        ).all()
    return session.exec(
        select(LedgerNode.hash)
        .where(LedgerNode.level == level)
        .where(col(LedgerNode.position) >= first, col(LedgerNode.position) < last)
        .order_by(col(LedgerNode.position))
    ).all()


def _sign(session: Session, tenant_id: UUID, size: int, signer: Signer, now: datetime) -> None:
    """Sign a head that grew; another key than the last one's is itself an act in the ledger."""
    found = session.exec(
        select(LedgerCheckpoint.key_id, LedgerCheckpoint.size)
        .order_by(col(LedgerCheckpoint.size).desc())
        .limit(1)
    ).one_or_none()
    last, signed = found or (None, 0)
    if size == signed:
        return
    if last != signer.key_id:
        session.exec(
            insert(LedgerKey)
            .values(key_id=signer.key_id, public_key=signer.raw_public, first_used_at=now)
            .on_conflict_do_nothing()
        )
        add_entry(
            session,
            tenant_id=tenant_id,
            actor="sealer",
            action="ledger_key_used",
            subject_id=signer.key_id,
            details={"before": last},
        )
    origin = origin_of(tenant_id)
    head = Checkpoint(origin, size, stored_tree(session, size).root(), now)
    session.add(
        LedgerCheckpoint(
            tenant_id=tenant_id,
            size=size,
            root=head.root,
            sealed_at=now,
            key_id=signer.key_id,
            note=signer.sign(head.text, origin),
        )
    )
    session.flush()

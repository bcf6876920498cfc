"""The read side of the ledger: heads, pages of entries, proofs that others can check alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlmodel import Session, col, select

from service.db import tenant_session
from service.errors import FieldProblem, InvalidInputError, NotFoundError
from service.evidence.checkpoint import PublicKey, origin_of, signer
from service.evidence.ledger import Commitment, make_leaf, stored_tree
from service.evidence.ledger_models import LedgerCheckpoint, LedgerEntry, LedgerKey, LedgerSalt
from service.evidence.ledger_source import EVENT, read_contents, source_named
from service.models import EventRow


@dataclass(frozen=True, slots=True)
class Opened:
    """An entry with what opens it: its salt and the content as it is now; None where erased."""

    entry: LedgerEntry
    leaf: bytes
    salt: bytes | None
    content: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Inclusion:
    """That a leaf is in the tree of a signed head."""

    opened: Opened
    head: LedgerCheckpoint
    path: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Consistency:
    """That the tree of one size begins the tree of a signed head."""

    first: int
    first_root: bytes
    head: LedgerCheckpoint
    path: Sequence[bytes]


def get_checkpoint(session: Session, size: int | None = None) -> LedgerCheckpoint:
    """The newest signed head, or the one of this size; raises `NotFoundError`."""
    statement = select(LedgerCheckpoint).order_by(col(LedgerCheckpoint.size).desc()).limit(1)
    if size is not None:
        statement = statement.where(LedgerCheckpoint.size == size)
    found = session.exec(statement).one_or_none()
    if found is None:
        raise NotFoundError("There is no such checkpoint.")
    return found


def list_keys(session: Session, tenant_id: UUID) -> list[PublicKey]:
    """The keys that have signed this ledger, the newest first; before the first head the next."""
    used = session.exec(
        select(LedgerKey)
        .where(col(LedgerKey.key_id).in_(select(LedgerCheckpoint.key_id).distinct()))
        .order_by(col(LedgerKey.first_used_at).desc())
    ).all()
    origin = origin_of(tenant_id)
    return [PublicKey(origin, row.public_key) for row in used] or [signer().public(origin)]


def list_entries(
    session: Session, *, after: int | None = None, kind: str | None = None, limit: int = 50
) -> list[LedgerEntry]:
    """Entries in the ledger's order, those after number `after`."""
    statement = select(LedgerEntry).order_by(col(LedgerEntry.seq)).limit(limit)
    if after is not None:
        statement = statement.where(col(LedgerEntry.seq) > after)
    if kind is not None:
        statement = statement.where(LedgerEntry.kind == kind)
    return list(session.exec(statement))


def open_entries(session: Session, tenant_id: UUID, entries: Sequence[LedgerEntry]) -> list[Opened]:
    """Give each entry its leaf, and salt and content where they are still there."""
    salts = {
        row.seq: row.salt
        for row in session.exec(
            select(LedgerSalt).where(col(LedgerSalt.seq).in_([entry.seq for entry in entries]))
        )
    }
    contents = {
        name: read_contents(
            session,
            source_named(name),
            [entry.source_id for entry in entries if entry.source == name],
        )
        for name in {entry.source for entry in entries}
    }
    opened = []
    for entry in entries:
        row = contents[entry.source].get(entry.source_id)
        salt = salts.get(entry.seq)
        opened.append(
            Opened(
                entry,
                make_leaf(
                    tenant_id, entry.seq, entry.kind, entry.at, Commitment(entry.sha256, entry.sm3)
                ),
                salt,
                row.content if row is not None and salt is not None else None,
            )
        )
    return opened


def find_entry(session: Session, source: str, source_id: str) -> LedgerEntry:
    """The entry of a row; raises `NotFoundError` where it is not sealed, or not there."""
    found = session.exec(
        select(LedgerEntry).where(LedgerEntry.source == source, LedgerEntry.source_id == source_id)
    ).one_or_none()
    if found is None:
        raise NotFoundError("There is no such entry; new ones are sealed within a minute.")
    return found


def prove_inclusion(
    session: Session, tenant_id: UUID, *, seq: int, size: int | None = None
) -> Inclusion:
    """Prove an entry against the newest head, or the one of this size.

    Raises `NotFoundError` where there is no such entry or head, `InvalidInputError` where the head
    is older than the entry.
    """
    entry = session.exec(select(LedgerEntry).where(LedgerEntry.seq == seq)).one_or_none()
    if entry is None:
        raise NotFoundError("There is no such entry; new ones are sealed within a minute.")
    head = get_checkpoint(session, size)
    if head.size <= seq:
        problem = FieldProblem("size", "must be larger than the entry's number")
        raise InvalidInputError("That head does not hold the entry yet.", errors=(problem,))
    (opened,) = open_entries(session, tenant_id, [entry])
    return Inclusion(opened, head, stored_tree(session, head.size).inclusion_proof(seq))


def prove_receipt(session: Session, tenant_id: UUID, receipt: UUID) -> Inclusion:
    """Prove that the event of this receipt is in the ledger.

    `session` has to see the event; the tree is read beside it, for an agency sees no other leaf.
    Raises `NotFoundError` where there is no such receipt for the caller.
    """
    if session.get(EventRow, (tenant_id, receipt)) is None:
        raise NotFoundError("There is no such receipt.")
    with tenant_session(tenant_id) as whole:
        entry = find_entry(whole, EVENT.name, str(receipt))
        return prove_inclusion(whole, tenant_id, seq=entry.seq)


def prove_consistency(session: Session, *, first: int, second: int | None = None) -> Consistency:
    """Prove that the ledger of `first` entries begins the newest head, or the one of `second`.

    Raises `NotFoundError` where there is no such head, `InvalidInputError` where it is smaller.
    """
    head = get_checkpoint(session, second)
    if first > head.size:
        problem = FieldProblem("from", "must not be larger than the head's size")
        raise InvalidInputError("That head is older.", errors=(problem,))
    tree = stored_tree(session, head.size)
    root = stored_tree(session, first).root()
    return Consistency(first, root, head, tree.consistency_proof(first))

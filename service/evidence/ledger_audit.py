"""The whole ledger read again: every row against its entry, every entry against the signed heads.

It trusts nothing in the database but the keys' own signatures; against a checkpoint that left our
control it also sees a tail that was cut off and a history that was written anew.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session, col, select

from service.errors import MasterKeyError
from service.evidence import merkle
from service.evidence.checkpoint import Checkpoint, NoteError, PublicKey, open_note, origin_of
from service.evidence.ledger import Commitment, commit_to, make_leaf
from service.evidence.ledger_models import (
    LedgerCheckpoint,
    LedgerHead,
    LedgerKey,
    LedgerNode,
)
from service.evidence.ledger_source import (
    EVENT,
    SOURCES,
    TRANSCRIPT,
    Sealable,
    is_uuid,
    plan_without_loops,
    read_contents,
    source_named,
)
from service.evidence.tiles import full_nodes
from service.models import EventRow
from service.privacy.sealing import about_event, unseal

PAGE = 5_000
MAX_FLAWS = 100
_PAGE = text(
    "select e.seq, e.source, e.source_id, e.kind, e.at, e.sha256, e.sm3, e.leaf_hash, s.salt"
    " from ledger_entry as e left join ledger_salt as s on s.tenant_id = e.tenant_id"
    " and s.seq = e.seq where e.seq > :last order by e.seq limit :page"
)
# A row is written in a transaction of seconds; one that is sealed this long after a head that
# should have held it was put there later, with a time of its own choosing.
LATE = timedelta(minutes=15)
# Whether the erasure of a case explains that an entry's content is not there any more.
_ERASED = text(
    "select 1 from erasure as x where x.case_id = (case :source"
    " when 'event' then (select v.case_id from event as v where v.id::text = :id"
    "   and v.erased_at is not null)"
    " when 'verdict' then (select i.case_id from verdict as v join interaction as i"
    "   on i.tenant_id = v.tenant_id and i.id = v.interaction_id where v.id::text = :id)"
    " when 'transcript' then (select i.case_id from interaction as i"
    "   where i.id::text = split_part(:id, ':', 1)) end) limit 1"
)
# A transcript gives way to a later one, or to a later event that names another recording.
_REPLACED = text(
    "select 1 from ledger_entry as e where e.seq > :seq and e.source = 'transcript'"
    " and e.source_id like :interaction || ':%'"
    " union all select 1 from ledger_entry as e join event as v on v.id::text = e.source_id"
    " join interaction as i on i.interaction_id = v.interaction_id and i.agency_id = v.agency_id"
    " where e.source = 'event' and e.seq > :seq and i.id::text = :interaction limit 1"
)


class _Entry(NamedTuple):
    """An entry with its salt, as the database holds them; there may be millions."""

    seq: int
    source: str
    source_id: str
    kind: str
    at: datetime
    sha256: bytes
    sm3: bytes
    leaf_hash: bytes
    salt: bytes | None


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that is not as it was sealed; `seq` is the entry, where one can be named."""

    seq: int | None
    code: str
    source: str = ""
    source_id: str = ""


@dataclass(slots=True)
class Audit:
    """What an audit saw; the first flaw is the one of the lowest entry."""

    size: int = 0
    checkpoints: int = 0
    erased: int = 0
    flaws: list[Flaw] = field(default_factory=list)

    @property
    def first(self) -> Flaw | None:
        """The flaw of the lowest entry; those that no entry can be named for come last."""
        return min(self.flaws, key=lambda one: (one.seq is None, one.seq or 0), default=None)


def audit_ledger(
    session: Session, *, tenant_id: UUID, witnessed: Sequence[str] = (), key: str | None = None
) -> Audit:
    """Read a tenant's ledger again; `witnessed` are notes of checkpoints that were kept elsewhere.

    `key` is the verifier key to hold the signatures against; without it those that the ledger
    names. Raises `NoteError` where a witnessed note is not a checkpoint of this ledger.
    """
    audit = Audit()
    origin = origin_of(tenant_id)
    keys = _keys(session, origin, key)
    witnesses = [_read_witness(note, keys, origin) for note in witnessed]
    leaves: list[bytes] = []
    heads = session.exec(select(LedgerCheckpoint).order_by(col(LedgerCheckpoint.size))).all()
    for entries in _pages(session):
        if not _check_page(session, audit, tenant_id, entries, leaves, heads):
            break
    audit.size, audit.checkpoints = len(leaves), len(heads)
    _check_heads(audit, heads, keys, origin, leaves)
    _check_stored(session, audit, leaves)
    _check_witnesses(audit, witnesses, leaves)
    _check_unsealed(session, audit)
    _check_standing(session, audit)
    return audit


def _keys(session: Session, origin: str, key: str | None) -> dict[str, PublicKey]:
    if key is not None:
        public = PublicKey.parse(key)
        return {public.fingerprint: public}
    rows = session.exec(select(LedgerKey)).all()
    return {row.key_id: PublicKey(origin, row.public_key) for row in rows}


def _read_witness(note: str, keys: dict[str, PublicKey], origin: str) -> Checkpoint:
    for key in keys.values():
        try:
            head = Checkpoint.parse(open_note(note, key))
        except NoteError:
            continue
        if head.origin == origin:
            return head
    raise NoteError("the checkpoint is not one of this ledger, or signed by no key of it")


def _pages(session: Session) -> Iterator[Sequence[_Entry]]:
    last = -(2**62)
    while True:
        found = session.connection().execute(_PAGE, {"last": last, "page": PAGE})
        page = [_Entry(*row) for row in found]
        if not page:
            return
        last = page[-1].seq
        yield page


def _check_page(
    session: Session,
    audit: Audit,
    tenant_id: UUID,
    entries: Sequence[_Entry],
    leaves: list[bytes],
    heads: Sequence[LedgerCheckpoint],
) -> bool:
    """Check a page of entries; False where reading on would say nothing more."""
    contents = _contents(session, entries)
    _check_sealed(session, audit, tenant_id, entries)
    sizes = [head.size for head in heads]
    for entry in entries:
        gap = entry.seq - len(leaves)
        if gap:
            audit.flaws.append(Flaw(len(leaves), "entry_missing"))
        if gap > PAGE:
            return False
        leaves += [b""] * gap
        found = contents[entry.source].get(entry.source_id)
        code = _judge(session, audit, tenant_id, entry, found)
        # The head that first held this entry, and the one before it.
        place = bisect_left(sizes, entry.seq + 1)
        if code is None and place and entry.at + LATE < heads[place - 1].sealed_at:
            code = "added_later"
        if code is not None:
            audit.flaws.append(Flaw(entry.seq, code, entry.source, entry.source_id))
        leaves.append(entry.leaf_hash)
    return len(audit.flaws) < MAX_FLAWS


def _contents(session: Session, entries: Sequence[_Entry]) -> dict[str, dict[str, Sealable]]:
    wanted: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        wanted[entry.source].append(entry.source_id)
    known = {source.name for source in SOURCES}
    return defaultdict(
        dict,
        {
            name: read_contents(session, source_named(name), ids)
            for name, ids in wanted.items()
            if name in known
        },
    )


def _judge(
    session: Session,
    audit: Audit,
    tenant_id: UUID,
    entry: _Entry,
    found: Sealable | None,
) -> str | None:
    """Say what is wrong with one entry; None where nothing is."""
    code = _compare(entry, found)
    if code is not None:
        if not _is_erased(session, entry, code):
            return code
        audit.erased += 1
    commitment = Commitment(entry.sha256, entry.sm3)
    leaf = make_leaf(tenant_id, entry.seq, entry.kind, entry.at, commitment)
    return None if merkle.leaf_hash(leaf) == entry.leaf_hash else "entry_changed"


def _compare(entry: _Entry, found: Sealable | None) -> str | None:
    """Hold an entry's commitments against its row as it is now."""
    if found is None:
        return "row_missing"
    if (found.kind, found.at) != (entry.kind, entry.at):
        return "row_changed"
    if entry.salt is None:
        return "salt_missing"
    made = commit_to(found.content, entry.salt)
    return None if made == Commitment(entry.sha256, entry.sm3) else "row_changed"


def _is_erased(session: Session, entry: _Entry, code: str) -> bool:
    """Tell whether the database says why a row, or what opens its entry, is not there any more.

    An erasure takes the salt with the content; a row that changed while its salt is there was not
    erased.
    """
    connection = session.connection()
    if code == "row_changed":
        return False
    where = {"source": entry.source, "id": entry.source_id}
    if connection.execute(_ERASED, where).first() is not None:
        return True
    if code == "salt_missing" or entry.source != TRANSCRIPT.name:
        return False
    interaction = entry.source_id.partition(":")[0]
    found = connection.execute(_REPLACED, {"seq": entry.seq, "interaction": interaction})
    return found.first() is not None


def _check_sealed(
    session: Session, audit: Audit, tenant_id: UUID, entries: Sequence[_Entry]
) -> None:
    """See that what says who an event is about is still what was sealed for that very row."""
    seqs = {
        entry.source_id: entry.seq
        for entry in entries
        if entry.source == EVENT.name and is_uuid(entry.source_id)
    }
    rows = session.exec(
        select(
            EventRow.agency_id,
            EventRow.message_id,
            EventRow.id,
            EventRow.sealed,
        )
        .where(col(EventRow.id).in_([UUID(name) for name in seqs]))
        .where(col(EventRow.sealed).is_not(None))
    )
    for agency_id, message_id, event_id, sealed in rows:
        try:
            unseal(tenant_id, sealed or b"", about_event(tenant_id, agency_id, message_id))
        except MasterKeyError:
            name = str(event_id)
            audit.flaws.append(Flaw(seqs[name], "identity_changed", EVENT.name, name))


def _check_heads(
    audit: Audit,
    heads: Sequence[LedgerCheckpoint],
    keys: dict[str, PublicKey],
    origin: str,
    leaves: Sequence[bytes],
) -> None:
    """Hold every signed head against the leaves, and every signature against its key."""
    roots = _roots(leaves, [head.size for head in heads])
    for head in heads:
        name = str(head.size)
        if head.size > len(leaves):
            audit.flaws.append(Flaw(len(leaves), "tail_cut", "ledger_checkpoint", name))
            continue
        try:
            read = Checkpoint.parse(open_note(head.note, keys[head.key_id]))
        except (NoteError, KeyError):
            audit.flaws.append(Flaw(None, "signature_refused", "ledger_checkpoint", name))
            continue
        said = (read.origin, read.size, read.root, read.sealed_at)
        if said != (origin, head.size, head.root, head.sealed_at):
            audit.flaws.append(Flaw(None, "checkpoint_changed", "ledger_checkpoint", name))
        elif roots[head.size] != read.root:
            audit.flaws.append(Flaw(None, "root_differs", "ledger_checkpoint", name))


def _roots(leaves: Sequence[bytes], sizes: Sequence[int]) -> dict[int, bytes]:
    """The roots at these sizes, in one pass: full subtrees are kept, the largest first."""
    found: dict[int, bytes] = {0: merkle.EMPTY}
    wanted, peaks = set(sizes), list[tuple[int, bytes]]()
    for count, leaf in enumerate(leaves, 1):
        level, node = 0, leaf
        while peaks and peaks[-1][0] == level:
            node = merkle.node_hash(peaks.pop()[1], node)
            level += 1
        peaks.append((level, node))
        if count in wanted:
            top = peaks[-1][1]
            for _, peak in peaks[-2::-1]:
                top = merkle.node_hash(peak, top)
            found[count] = top
    return found


def _check_stored(session: Session, audit: Audit, leaves: Sequence[bytes]) -> None:
    """Hold the head's size and the stored inner nodes against the leaves."""
    head = session.exec(select(LedgerHead)).one_or_none()
    if head is not None and head.size != len(leaves):
        seq = min(head.size, len(leaves))
        audit.flaws.append(Flaw(seq, "tail_cut" if head.size > len(leaves) else "entry_added"))
    made = {(level, place): found for level, place, found in full_nodes(0, leaves, _nothing)}
    for node in session.exec(select(LedgerNode)):
        if made.pop((node.level, node.position), None) != node.hash:
            seq = node.position << node.level
            audit.flaws.append(
                Flaw(None, "node_changed", "ledger_node", f"{node.level}/{node.position}/{seq}")
            )
    for level, place in made:
        audit.flaws.append(Flaw(None, "node_missing", "ledger_node", f"{level}/{place}"))


def _nothing(_level: int, _first: int, _last: int) -> Sequence[bytes]:
    return ()


def _check_witnesses(
    audit: Audit, witnesses: Sequence[Checkpoint], leaves: Sequence[bytes]
) -> None:
    roots = _roots(leaves, [head.size for head in witnesses])
    for head in witnesses:
        name = str(head.size)
        if head.size > len(leaves):
            audit.flaws.append(Flaw(len(leaves), "tail_cut", "witness", name))
        elif roots[head.size] != head.root:
            audit.flaws.append(Flaw(None, "forked", "witness", name))


def _check_unsealed(session: Session, audit: Audit) -> None:
    """Look for rows below the watermark that have no entry: they were put there afterwards."""
    plan_without_loops(session)
    for source in SOURCES:
        found = session.connection().execute(
            text(
                f"select {source.id} from {source.name} as t join ledger_head as h"  # noqa: S608  fixed words
                " on h.tenant_id = t.tenant_id where t.written_xid < h.watermark and not exists"
                " (select 1 from ledger_entry as e where e.tenant_id = t.tenant_id"
                f" and e.source = '{source.name}' and e.source_id = {source.id}) limit 10"
            )
        )
        for (source_id,) in found:
            audit.flaws.append(Flaw(None, "never_sealed", source.name, source_id))


_STANDING = text(
    "select i.id::text, e.seq from interaction as i join lateral (select v.id, v.outcome,"
    " v.is_current from verdict as v where v.tenant_id = i.tenant_id and v.interaction_id = i.id"
    " order by v.revision desc limit 1) as n on true left join ledger_entry as e on"
    " e.tenant_id = i.tenant_id and e.source = 'verdict' and e.source_id = n.id::text"
    " where i.verdict_id is distinct from n.id or i.outcome is distinct from n.outcome"
    " or not n.is_current limit 10"
)


def _check_standing(session: Session, audit: Audit) -> None:
    """See that each contact shows its newest verdict: those columns follow from sealed ones."""
    for interaction, seq in session.connection().execute(_STANDING):
        audit.flaws.append(Flaw(seq, "verdict_not_shown", "interaction", interaction))

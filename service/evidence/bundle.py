"""The evidence of one contact in one file, with the proofs that all of it stands in the ledger.

Whoever may not see personal data gets the masked view: no audio, texts blotted out, and of the
ledger the leaves and proofs alone, which say nothing about anybody.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import and_, or_
from sqlmodel import Session, col, select

from rules import Pack
from service.access.tenants import Principal
from service.audit import add_entry
from service.errors import NotFoundError
from service.evidence.bundle_document import build_document
from service.evidence.checkpoint import origin_of, signer
from service.evidence.ledger import stored_tree
from service.evidence.ledger_models import LedgerEntry
from service.evidence.ledger_read import get_checkpoint, open_entries
from service.evidence.ledger_source import (
    ACT,
    EVENT,
    PARAMETERS,
    RECORDING,
    TRANSCRIPT,
    VERDICT,
    read_documents,
    source_named,
)
from service.evidence.manifest import make_package
from service.evidence.report_pdf import render
from service.evidence.sealed_zip import Part
from service.keeping.storage import store
from service.models import AuditEntry, EventRow, InteractionRow, TranscriptRow, VerdictRow
from service.privacy.masking import may_see_plain, shown_to
from service.privacy.sealing import open_event
from service.read import Period, get_interaction

SCHEMA = "hegui.bundle/1"
MEDIA_TYPE = "application/zip"
# Where the text behind a digest of an entry's content lies in the package.
_FOLDERS = {
    EVENT.name: "events",
    TRANSCRIPT.name: "transcript",
    VERDICT.name: "verdicts",
    PARAMETERS.name: "parameters",
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A package on its way out: its bytes come piece by piece."""

    name: str
    chunks: Iterator[bytes]


def make_bundle(
    session: Session,
    whole: Session,
    pack: Pack,
    *,
    principal: Principal,
    interaction_id: UUID,
    period: Period | None,
    now: datetime,
) -> Bundle:
    """Gather a contact's evidence; `session` sees what the caller may, `whole` the lender's ledger.

    The ledger should be sealed up to now before. Raises `NotFoundError` where the contact is not
    there for the caller.
    """
    found = get_interaction(session, interaction_id, period=period)
    is_plain = may_see_plain(principal)
    document = build_document(session, pack, found, now=now)
    shown = shown_to(principal, {**document, "view": _view(is_plain)})
    parts = {"interaction.json": _json(shown)}
    if is_plain:
        parts |= _persons(session, found.row)
    ledger, texts = _ledger(whole, principal.tenant_id, found.row, is_plain=is_plain)
    files = [Part.of(name, content) for name, content in (parts | texts).items()]
    files += [Part.of(name, content) for name, content in ledger.items()]
    files.append(Part.of("report.pdf", render("bundle", shown, now=now)))
    if is_plain and found.recording is not None:
        files += _audio(principal.tenant_id, found.recording.sha256, found.recording.size_bytes)
    add_entry(
        session,
        tenant_id=principal.tenant_id,
        actor=principal.key_id,
        action="bundle_exported",
        subject_id=str(interaction_id),
        details={"view": _view(is_plain), "files": len(files)},
    )
    chunks = make_package(
        SCHEMA,
        {
            "tenant": str(principal.tenant_id),
            "interaction": str(interaction_id),
            "view": _view(is_plain),
        },
        sorted(files, key=lambda part: part.name),
        signer=signer(),
        origin=origin_of(principal.tenant_id),
        now=now,
    )
    return Bundle(f"hegui-bundle-{interaction_id}.zip", chunks)


def _view(is_plain: bool) -> str:  # noqa: FBT001  one word for it
    return "plain" if is_plain else "masked"


def _json(document: Any) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def _persons(session: Session, row: InteractionRow) -> dict[str, bytes]:
    """Each event as it came in, with whom it is about."""
    return {
        f"received/{event.id}.json": _json(open_event(event)) for event in _events(session, row)
    }


def _events(session: Session, row: InteractionRow) -> Sequence[EventRow]:
    """The contact's own events and those of its case as a whole, in the order of receipt."""
    return session.exec(
        select(EventRow)
        .where(EventRow.case_id == row.case_id)
        .where(
            or_(
                and_(
                    col(EventRow.interaction_id) == row.interaction_id,
                    col(EventRow.agency_id) == row.agency_id,
                ),
                col(EventRow.interaction_id).is_(None),
            )
        )
        .order_by(col(EventRow.received_at), col(EventRow.id))
    ).all()


def _rows(session: Session, row: InteractionRow) -> list[tuple[str, str]]:
    """The sealed rows that this contact's evidence consists of, each by source and id."""
    verdicts = session.exec(
        select(VerdictRow)
        .where(VerdictRow.interaction_id == row.id)
        .order_by(col(VerdictRow.revision))
    ).all()
    heard = session.exec(
        select(TranscriptRow.written_xid).where(TranscriptRow.interaction_id == row.id)
    ).all()
    acts = session.exec(
        select(AuditEntry.seq)
        .where(AuditEntry.subject_id == str(row.id))
        .order_by(col(AuditEntry.seq))
    ).all()
    sets = sorted({verdict.parameters_revision for verdict in verdicts} - {0})
    found = [(EVENT.name, str(event.id)) for event in _events(session, row)]
    if row.recording_sha256 is not None:
        found.append((RECORDING.name, row.recording_sha256))
    found += [(TRANSCRIPT.name, f"{row.id}:{number}") for number in heard]
    found += [(PARAMETERS.name, str(revision)) for revision in sets]
    found += [(VERDICT.name, str(verdict.id)) for verdict in verdicts]
    return [*found, *((ACT.name, str(seq)) for seq in acts)]


def _ledger(
    session: Session, tenant_id: UUID, row: InteractionRow, *, is_plain: bool
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The entries with their proofs, the head they are in, and the texts behind their digests."""
    wanted = _rows(session, row)
    entries = {
        (entry.source, entry.source_id): entry
        for entry in session.exec(
            select(LedgerEntry).where(col(LedgerEntry.source_id).in_([id_ for _, id_ in wanted]))
        )
    }
    try:
        head = get_checkpoint(session)
    except NotFoundError:
        return {}, {}
    held = [entries[key] for key in wanted if key in entries and entries[key].seq < head.size]
    tree = stored_tree(session, head.size)
    listed, texts = [], dict[str, bytes]()
    for opened in open_entries(session, tenant_id, held):
        one: dict[str, Any] = {
            "seq": opened.entry.seq,
            "leaf": opened.leaf.decode(),
            "path": [node.hex() for node in tree.inclusion_proof(opened.entry.seq)],
        }
        if is_plain and opened.salt is not None and opened.content is not None:
            made = _texts(session, opened.entry.source, opened.entry.source_id)
            texts |= {name: text.encode() for name, text in made.values()}
            one["salt"] = opened.salt.hex()
            one["content"] = opened.content
            one["documents"] = {field: name for field, (name, _) in made.items()}
        listed.append(one)
    document = {
        "schema": "hegui.ledger/1",
        "size": head.size,
        "entries": sorted(listed, key=lambda one: int(one["seq"])),
        "not_sealed_yet": len(wanted) - len(held),
    }
    return {"ledger.json": _json(document), "checkpoint.txt": head.note.encode()}, texts


def _texts(session: Session, source: str, source_id: str) -> Mapping[str, tuple[str, str]]:
    """The texts behind an entry's digests: by field, the name in the package and the text."""
    folder = _FOLDERS.get(source)
    if folder is None:
        return {}
    found = read_documents(session, source_named(source), source_id)
    stem = source_id.partition(":")[0]
    return {
        field: (f"{folder}/{stem}.{field.removesuffix('_sha256')}.json", text)
        for field, text in found.items()
    }


def _audio(tenant_id: UUID, sha256: str, size: int) -> list[Part]:
    if not store().exists(tenant_id, sha256):
        return []
    return [Part(f"audio/{sha256}", size, lambda: store().read(tenant_id, sha256))]

"""What the ledger seals: for each kind of row the content that its commitment stands for.

A content is a flat JSON object of strings and whole numbers. What a row holds as a document enters
as the SHA-256 of the document's text in the database (`…_sha256`), so that nobody's words are in
the ledger; of an act the details, which are ids and counts, enter as text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from service.errors import MasterKeyError
from service.privacy import sealing
from service.privacy.sealed_words import SEALED_COLUMNS, open_words


def _moment(column: str) -> str:
    return f"to_char({column} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


def _digest(expression: str) -> str:
    return f"encode(sha256(convert_to({expression}, 'UTF8')), 'hex')"


# The findings of a verdict as one document, in their order.
FINDINGS = (
    "(select coalesce(jsonb_agg(jsonb_build_object('position', f.position, 'id', f.id,"  # noqa: S608  fixed words, no input
    " 'interaction_id', f.interaction_id, 'agency_id', f.agency_id, 'rule', f.rule,"
    " 'severity', f.severity, 'disposition', f.disposition,"
    f" 'started_at', {_moment('f.started_at')}, 'doc', f.doc) order by f.position), '[]')::text"
    " from finding as f where f.tenant_id = t.tenant_id and f.verdict_id = t.id)"
)


@dataclass(frozen=True, slots=True)
class Source:
    """A table whose rows are sealed.

    `columns` are the content's fields with their SQL; `documents` those fields that are digests of
    a text, with the SQL of that text; `rank` orders rows of one transaction. `sealed` names for a
    document the column that is empty where the text is sealed instead.
    """

    name: str
    id: str
    kind: str
    at: str
    rank: str
    columns: dict[str, str]
    documents: dict[str, str]
    sealed: dict[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> dict[str, str]:
        """Every field of the content, with its SQL."""
        return self.columns | {name: _digest(sql) for name, sql in self.documents.items()}


@dataclass(frozen=True, slots=True)
class Sealable:
    """One row that is to be sealed, or was."""

    source: str
    source_id: str
    kind: str
    at: datetime
    xid: int
    content: dict[str, Any]


EVENT = Source(
    "event",
    id="t.id::text",
    kind="'receipt'",
    at="t.received_at",
    rank="t.received_at, t.id",
    columns={
        "id": "t.id::text",
        "agency_id": "t.agency_id::text",
        "message_id": "t.message_id",
        "posted_sha256": "t.body_sha256",
        "type": "t.kind",
        "case_id": "t.case_id",
        "interaction_id": "t.interaction_id",
        "occurred_at": _moment("t.occurred_at"),
        "received_at": _moment("t.received_at"),
    },
    documents={"body_sha256": "t.body::text"},
)
ACT = Source(
    "audit_entry",
    id="t.seq::text",
    kind="t.action",
    at="t.at",
    rank="t.seq",
    columns={
        "number": "t.seq",
        "at": _moment("t.at"),
        "actor": "t.actor",
        "action": "t.action",
        "subject_id": "t.subject_id",
        "details": "t.details::text",
    },
    documents={},
)
VERDICT = Source(
    "verdict",
    id="t.id::text",
    kind="'verdict'",
    at="t.evaluated_at",
    rank="t.evaluated_at, t.id",
    columns={
        "id": "t.id::text",
        "interaction": "t.interaction_id::text",
        "revision": "t.revision",
        "outcome": "t.outcome",
        "reasons": "t.reasons::text",
        "pack": "t.pack",
        "pack_digest": "t.pack_digest",
        "parameters_revision": "t.parameters_revision",
        "untrusted_share": "t.untrusted_share::text",
        "evaluated_at": _moment("t.evaluated_at"),
        "digest": "t.findings_digest",
    },
    documents={"findings_sha256": FINDINGS},
)
TRANSCRIPT = Source(
    "transcript",
    id="t.interaction_id || ':' || t.written_xid",
    kind="'transcript'",
    at="t.created_at",
    rank="t.created_at, t.interaction_id",
    columns={
        "interaction": "t.interaction_id::text",
        "recording": "t.recording_sha256",
        "engine": "t.engine",
        "model_digest": "t.model_digest",
        "created_at": _moment("t.created_at"),
        "untrusted_share": "t.untrusted_share::text",
        "decoded_seconds": "t.decoded_seconds::text",
        "flags": "t.flags::text",
    },
    documents={
        "segments_sha256": "t.segments::text",
        "words_sha256": "t.words::text",
        "parameters_sha256": "t.parameters::text",
    },
    sealed={"segments_sha256": "segments", "words_sha256": "words"},
)
RECORDING = Source(
    "recording",
    id="t.sha256",
    kind="'recording'",
    at="t.received_at",
    rank="t.received_at, t.sha256",
    columns={
        "sha256": "t.sha256",
        "size_bytes": "t.size_bytes",
        "received_at": _moment("t.received_at"),
    },
    documents={},
)
PARAMETERS = Source(
    "parameter_set",
    id="t.revision::text",
    kind="'parameters'",
    at="t.set_at",
    rank="t.revision",
    columns={
        "revision": "t.revision",
        "set_at": _moment("t.set_at"),
        "set_by": "t.set_by",
    },
    documents={"values_sha256": "t.values::text"},
)
SPEECH = Source(
    "speech_set",
    id="t.revision::text",
    kind="'speech'",
    at="t.set_at",
    rank="t.revision",
    columns={
        "revision": "t.revision",
        "set_at": _moment("t.set_at"),
        "set_by": "t.set_by",
        "prompt": "t.prompt",
    },
    documents={"hotwords_sha256": "t.hotwords::text"},
)
# Rows of one transaction are sealed in this order.
SOURCES: tuple[Source, ...] = (EVENT, RECORDING, TRANSCRIPT, VERDICT, PARAMETERS, SPEECH, ACT)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NUMBER = re.compile(r"[0-9]{1,18}")
_ANY = re.compile(r".*", re.DOTALL)
# Where the rows are found by an index: the column, its type, and what its values look like.
_KEYS = {
    EVENT.name: ("t.id", "uuid", _UUID),
    VERDICT.name: ("t.id", "uuid", _UUID),
    TRANSCRIPT.name: ("t.interaction_id", "uuid", _UUID),
    ACT.name: ("t.seq", "bigint", _NUMBER),
}


def _select(source: Source, where: str, order: str, limit: str = "") -> str:
    fields = ", ".join(f'{sql} as "c_{name}"' for name, sql in source.fields.items())
    fields += _sealed_columns(source)
    # Rows are chosen first: contents are worked out for those of the page alone.
    chosen = f"(select t.* from {source.name} as t where {where} order by {order} {limit})"  # noqa: S608  fixed words, no input
    return (
        f"select {source.id} as source_id, {source.kind} as kind, {source.at} as at,"  # noqa: S608  fixed words
        f" t.written_xid as xid, {fields} from {chosen} as t order by {order}"
    )


def _rows(
    session: Session,
    source: Source,
    statement: str,
    values: dict[str, Any],
    *,
    damaged: str = "unreadable when it was sealed",
) -> Iterator[Sealable]:
    found = session.connection().execute(text(statement), values)
    names = list(source.fields)
    for source_id, kind, at, xid, *row in found:
        content = dict(zip(names, row[: len(names)], strict=True))
        for name, held in _opened(source, row[len(names) :], damaged=damaged).items():
            content[name] = held if held == damaged else sha256(held.encode()).hexdigest()
        yield Sealable(source.name, source_id, kind, at, xid, content)


def _sealed_columns(source: Source) -> str:
    """SQL: the row's key and what is sealed of it, NULL where it lies in the clear."""
    if not source.sealed:
        return ""
    held = ", ".join(
        f"case when t.{column} = '[]' then t.{SEALED_COLUMNS[column]} end"
        for column in source.sealed.values()
    )
    return f", t.tenant_id, t.interaction_id, {held}"


def _opened(source: Source, row: Sequence[Any], *, damaged: str) -> dict[str, str]:
    """The sealed documents of a row by field; `damaged` for one that does not open.

    Raises `MasterKeyError` where the tenant's keys do not open at all.
    """
    if not row:
        return {}
    tenant_id, interaction_id, *held = row
    found = {}
    for (name, column), sealed in zip(source.sealed.items(), held, strict=True):
        if sealed is None:
            continue
        sealing.load_keys(tenant_id)
        try:
            found[name] = open_words(tenant_id, interaction_id, column, sealed)
        except MasterKeyError:
            found[name] = damaged
    return found


def read_written(
    session: Session, source: Source, *, since: int, before: int, limit: int
) -> list[Sealable]:
    """Rows of the transactions [since, before), by transaction; at most `limit`."""
    where = "t.written_xid >= :since and t.written_xid < :before"
    statement = _select(source, where, f"t.written_xid, {source.rank}", "limit :limit")
    values = {"since": since, "before": before, "limit": limit}
    return list(_rows(session, source, statement, values))


def read_unsealed(session: Session, source: Source, *, before: int, limit: int) -> list[Sealable]:
    """Rows that have no entry, whichever transaction below `before` wrote them; at most `limit`."""
    where = (
        "t.written_xid < :before"  # noqa: S608  fixed words
        " and not exists (select 1 from ledger_entry as e"
        f" where e.tenant_id = t.tenant_id and e.source = '{source.name}'"
        f" and e.source_id = {source.id})"
    )
    statement = _select(source, where, f"t.written_xid, {source.rank}", "limit :limit")
    plan_without_loops(session)
    return list(_rows(session, source, statement, {"before": before, "limit": limit}))


def plan_without_loops(session: Session) -> None:
    """Have this transaction compare whole tables by hashing.

    The ledger grows faster than its statistics; a plan made for an empty one would take it row by
    row against all rows of a table.
    """
    session.connection().execute(text("set local enable_nestloop = off"))


def read_contents(session: Session, source: Source, ids: Sequence[str]) -> dict[str, Sealable]:
    """The rows of these ids as they are now; what is gone, or no id of this source, is left out."""
    column, cast, form = _KEYS.get(source.name, (source.id, "text", _ANY))
    keys = [one.partition(":")[0] if source is TRANSCRIPT else one for one in ids]
    statement = _select(source, f"{column} = any(cast(:ids as {cast}[]))", source.rank)
    values = {"ids": [key for key in keys if form.fullmatch(key)]}
    # A document that cannot be opened is never the one that was sealed, readable or not.
    rows = _rows(session, source, statement, values, damaged="unreadable")
    return {row.source_id: row for row in rows}


def read_documents(session: Session, source: Source, source_id: str) -> dict[str, str]:
    """The texts behind the digests of one row, by field; empty where the row is gone."""
    if not source.documents:
        return {}
    fields = ", ".join(f'{sql} as "{name}"' for name, sql in source.documents.items())
    fields += _sealed_columns(source)
    found = session.connection().execute(
        text(f"select {fields} from {source.name} as t where {source.id} = :id"),  # noqa: S608  fixed words
        {"id": source_id},
    )
    row = found.one_or_none()
    if row is None:
        return {}
    count = len(source.documents)
    texts = dict(zip(source.documents, row[:count], strict=True))
    return texts | _opened(source, row[count:], damaged="")


def source_named(name: str) -> Source:
    """Return the source of that name; raises `KeyError`."""
    return {source.name: source for source in SOURCES}[name]


def is_uuid(text: str) -> bool:
    """Tell whether a text is a UUID as the database writes it."""
    return _UUID.fullmatch(text) is not None

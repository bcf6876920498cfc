"""What was heard of a recording: sealed in its row, opened for those who judge and read it.

What is sealed is the text that the database makes of the document (`jsonb::text`), compressed, so
that the ledger's digest of it is the same before and after. Rows of earlier releases hold the
documents in the clear until `hegui keys reseal` seals them.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlmodel import Session

from service.models import TranscriptPiece, TranscriptRow
from service.privacy import sealing

# The column of a transcript in the clear, and the one that holds it sealed.
SEALED_COLUMNS: Mapping[str, str] = {"segments": "sealed_segments", "words": "sealed_words"}
_BATCH = 200
_AS_KEPT = text("select cast(:segments as jsonb)::text, cast(:words as jsonb)::text")
_OLD = text(
    "select interaction_id, segments::text, words::text from transcript"
    " where sealed_segments is null limit :batch"
)
# Only what is still as it was read: a later hearing may have replaced it.
_SEAL_OLD = text(
    "update transcript set segments = '[]', words = '[]', sealed_segments = :sealed_segments,"
    " sealed_words = :sealed_words where interaction_id = :id and sealed_segments is null"
    " and segments::text = :segments and words::text = :words"
)


def seal_heard(
    session: Session,
    tenant_id: UUID,
    interaction_id: UUID,
    *,
    segments: Sequence[Mapping[str, Any]],
    words: Sequence[Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    """The columns of a transcript's row that hold its words."""
    given = {"segments": segments, "words": words}
    values = {name: json.dumps(each, ensure_ascii=False) for name, each in given.items()}
    kept = session.connection().execute(_AS_KEPT, values).one()
    return {"segments": [], "words": [], **_sealed(tenant_id, interaction_id, *kept)}


def segments_of(row: TranscriptRow) -> list[dict[str, Any]]:
    """A transcript's segments, without their words."""
    if row.sealed_segments is None or row.segments:
        return row.segments
    opened = open_words(row.tenant_id, row.interaction_id, "segments", row.sealed_segments)
    segments: list[dict[str, Any]] = orjson.loads(opened)
    return segments


def words_of(row: TranscriptRow) -> list[list[dict[str, Any]]]:
    """The words of each segment."""
    if row.sealed_words is None or row.words:
        return row.words
    opened = open_words(row.tenant_id, row.interaction_id, "words", row.sealed_words)
    words: list[list[dict[str, Any]]] = orjson.loads(opened)
    return words


def open_words(tenant_id: UUID, interaction_id: UUID, column: str, sealed: bytes) -> str:
    """The document of one column as text; raises `MasterKeyError` where it was changed."""
    about = sealing.about_field(
        tenant_id, "transcript", str(interaction_id), SEALED_COLUMNS[column]
    )
    return zlib.decompress(sealing.unseal(tenant_id, sealed, about)).decode()


def seal_old_words(session: Session, *, tenant_id: UUID) -> int:
    """Seal one batch of transcripts that lie in the clear; run it until it gives 0."""
    run, count = session.connection().execute, 0
    for interaction_id, segments, words in run(_OLD, {"batch": _BATCH}).all():
        sealed = _sealed(tenant_id, interaction_id, segments, words)
        values = {"id": interaction_id, "segments": segments, "words": words, **sealed}
        count += run(_SEAL_OLD, values).rowcount
    return count


def seal_piece(tenant_id: UUID, interaction_id: UUID, position: int, doc: object) -> bytes:
    """A piece of a transcript in the making, sealed."""
    about = _about_piece(tenant_id, interaction_id, position)
    return sealing.seal(tenant_id, zlib.compress(json.dumps(doc).encode()), about)


def open_piece(row: TranscriptPiece) -> dict[str, Any]:
    """The document of a piece, to the letter."""
    if row.sealed is None:
        return row.doc
    about = _about_piece(row.tenant_id, row.interaction_id, row.position)
    doc: dict[str, Any] = json.loads(
        zlib.decompress(sealing.unseal(row.tenant_id, row.sealed, about))
    )
    return doc


def _about_piece(tenant_id: UUID, interaction_id: UUID, position: int) -> bytes:
    return sealing.about_field(
        tenant_id, "transcript_piece", f"{interaction_id}|{position}", "sealed"
    )


def _sealed(tenant_id: UUID, interaction_id: UUID, *texts: str) -> dict[str, bytes]:
    return {
        column: sealing.seal(
            tenant_id,
            zlib.compress(plain.encode()),
            sealing.about_field(tenant_id, "transcript", str(interaction_id), column),
        )
        for column, plain in zip(SEALED_COLUMNS.values(), texts, strict=True)
    }

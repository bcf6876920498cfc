"""Hears one claimed recording: goes on from stored pieces, stores new ones, shows its progress."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sqlalchemy.exc

from service import log
from service.clock import now
from service.config import settings
from service.db import tenant_session
from service.errors import ServiceError
from service.keeping.storage import store
from service.speech import Bias
from service.transcribe import Heard, Hearing, StoredPiece, begin, store_piece
from service.work import LostLeaseError, renew
from workers.company import Room
from workers.lease import kept_alive
from workers.speech import Piece, transcribe_file

if TYPE_CHECKING:
    from workers.speech.engines import EngineOptions

_LOG = log.get(__name__)
_ROOM = Room()


@dataclass(slots=True)
class _Progress:
    """The share that is heard (0..1), as the lease's thread tells it; None until something is."""

    share: float | None = None


def hear(work: Hearing) -> Heard:
    """Hear the recording under its lease, which is renewed for as long as it takes.

    Recordings that are heard at the same time share the model's batches. One over which a worker
    may have ended waits until it is alone, so that no other is cut short with it. Raises
    `UndecodableError`, and `LostLeaseError` as soon as a piece cannot be stored because somebody
    else has claimed the recording.
    """
    config = settings()
    progress = _Progress()
    with (
        kept_alive(lambda: _renew(work, progress)),
        _ROOM.entered(alone=work.alone),
        _begun(work),
        store().as_file(work.tenant_id, work.sha256) as path,
    ):
        heard = transcribe_file(
            path,
            speakers=work.speakers,
            engine=config.engine,
            model=config.model,
            on_progress=lambda share: _advance(work, progress, share),
            options=options_of(work.bias),
            batch_s=config.engine_batch_s,
            done=[_piece(piece) for piece in work.pieces],
            on_piece=lambda piece: _keep(work, piece, progress),
        )
    return Heard(
        segments=heard.segments,
        engine=heard.engine,
        model_digest=heard.model_digest,
        parameters=heard.parameters,
        decoded_seconds=heard.decoded_seconds,
        untrusted_share=heard.untrusted_share,
        flags=heard.flags,
    )


@contextmanager
def _begun(work: Hearing) -> Iterator[None]:
    """Count the try before anything else can fail."""
    with tenant_session(work.tenant_id) as session:
        begin(session, work)
    yield


def options_of(bias: Bias) -> "EngineOptions | None":
    """The engine's options with the lender's words in them; None where it has set none."""
    if not bias.prompt and not bias.hotwords:
        return None
    # It loads the models, which a worker of the other queue never needs.
    from workers.speech.engines import EngineOptions  # noqa: PLC0415

    own = EngineOptions(hotwords=bias.hotwords)
    return replace(own, prompt=bias.prompt) if bias.prompt else own


def _renew(work: Hearing, progress: _Progress) -> bool:
    with tenant_session(work.tenant_id) as session:
        return renew(session, work.interaction_id, work.attempt, now=now(), progress=progress.share)


def _piece(stored: StoredPiece) -> Piece:
    return Piece(
        position=stored.position,
        until_seconds=stored.until_seconds,
        key=stored.key,
        doc=stored.doc,
    )


def _advance(work: Hearing, progress: _Progress, share: float) -> None:
    """Show how far it has come, after each group of turns; stop where somebody has taken over."""
    progress.share = round(share, 4)
    with _tolerated("progress_not_stored"):
        if not _renew(work, progress):
            raise LostLeaseError


def _keep(work: Hearing, piece: Piece, progress: _Progress) -> None:
    """Store a piece in a transaction of its own."""
    stored = StoredPiece(piece.position, piece.key, piece.until_seconds, piece.doc)
    with _tolerated("piece_not_stored"):
        with tenant_session(work.tenant_id) as session:
            store_piece(session, work, stored, progress=progress.share, now=now())
        _LOG.debug("piece_stored", attempt=work.attempt, position=piece.position)


@contextmanager
def _tolerated(event: str) -> Iterator[None]:
    """Go on where the database is away: it costs what is written here, and not the hearing."""
    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, ServiceError) as error:
        _LOG.warning(event, **log.describe_error(error))

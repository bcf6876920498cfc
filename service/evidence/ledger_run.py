"""One round of the sealer for one lender: seal what is there, put the signed head on file."""

from pathlib import Path
from uuid import UUID

from sqlmodel import Session, col, select

from service.clock import now
from service.config import settings
from service.db import tenant_session
from service.errors import ServiceError
from service.evidence.checkpoint import (
    Checkpoint,
    NoteError,
    open_note,
    origin_of,
    signer,
    write_once,
)
from service.evidence.ledger import Sealed, seal, stored_tree
from service.evidence.ledger_models import LedgerCheckpoint, LedgerHead
from service.evidence.ledger_post import want_posts

# A run that cannot catch up leaves the rest to the next one.
MAX_ROUNDS = 200


class LedgerForkedError(ServiceError):
    """The database holds less, or another history, than a checkpoint that lies on file."""

    code = "ledger_forked"
    title = "The ledger does not continue its last checkpoint"


def checkpoint_folder(tenant_id: UUID) -> Path:
    """Return the folder of a lender's checkpoints, one file a signed head."""
    return settings().object_dir.resolve() / str(tenant_id) / "checkpoints"


def run_sealer(tenant_id: UUID) -> Sealed | None:
    """Seal everything that is safely committed; None where another sealer is at it.

    Raises `LedgerForkedError`, and seals nothing, where the newest checkpoint on file is not one
    of this database: after a restore of an older backup an operator has to look first.
    """
    with tenant_session(tenant_id) as session:
        _compare(session, tenant_id)
    added, total = 0, Sealed(0, 0, is_behind=True)
    for _ in range(MAX_ROUNDS):
        with tenant_session(tenant_id) as session:
            done = seal(session, tenant_id=tenant_id, signer=signer(), now=now())
            if done is not None and done.added and not done.is_behind:
                want_posts(session, tenant_id=tenant_id, size=done.size, now=now())
        if done is None:
            return None
        added += done.added
        total = Sealed(added, done.size, done.is_behind)
        if not done.is_behind:
            break
    with tenant_session(tenant_id) as session:
        _put_on_file(session, tenant_id)
    return total


def newest_on_file(tenant_id: UUID) -> Path | None:
    """Return the file of the largest checkpoint; None where there is none."""
    return max(checkpoint_folder(tenant_id).glob("*.txt"), default=None)


def _compare(session: Session, tenant_id: UUID) -> None:
    path = newest_on_file(tenant_id)
    if path is None:
        return
    origin = origin_of(tenant_id)
    try:
        # Signed by an older key it says as much: size and root are all that is compared.
        text = path.read_text(encoding="utf-8")
        kept = Checkpoint.parse(text.rpartition("\n\n")[0] + "\n")
        if kept.origin != origin:
            raise NoteError("another ledger's")  # noqa: TRY301  one answer for what is not ours
    except (NoteError, UnicodeDecodeError) as error:
        raise LedgerForkedError(f"{path} is not a checkpoint of this ledger") from error
    head = session.exec(select(LedgerHead)).one_or_none()
    size = head.size if head is not None else 0
    if size < kept.size:
        raise LedgerForkedError(f"the ledger has {size} entries, {path} has {kept.size}")
    if stored_tree(session, kept.size).root() != kept.root:
        raise LedgerForkedError(f"the ledger's first {kept.size} entries are not those of {path}")


def _put_on_file(session: Session, tenant_id: UUID) -> None:
    """Write the newest signed head where it is not on file yet; never over another."""
    row = session.exec(
        select(LedgerCheckpoint).order_by(col(LedgerCheckpoint.size).desc()).limit(1)
    ).one_or_none()
    if row is None:
        return
    folder = checkpoint_folder(tenant_id)
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    path = folder / f"{row.size:020}.txt"
    if not path.exists():
        try:
            write_once(path, row.note.encode())
        except FileExistsError:
            open_note(path.read_text(encoding="utf-8"), signer().public(origin_of(tenant_id)))

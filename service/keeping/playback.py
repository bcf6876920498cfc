"""Who may hear a recording, and the note that somebody did."""

from datetime import timedelta

from sqlmodel import Session, col, select

from service.access.tenants import Principal
from service.audit import add_entry
from service.clock import now
from service.db import tenant_session
from service.errors import ForbiddenError, NotFoundError
from service.keeping.storage import is_hash
from service.models import Actor, AuditEntry, RecordingRow, Scope

# A player asks for one recording in many ranges; that is one playing.
_ONE_PLAYING = timedelta(minutes=10)


def find_recording(principal: Principal, sha256: str) -> RecordingRow:
    """Return a recording that the caller may hear, and write down that it was opened.

    The database's fence decides which ones there are for the caller: an agency's are those of its
    contacts, a regulator's those that its grant opens. Raises `ForbiddenError`, and `NotFoundError`
    the same for what is foreign, purged or unknown.
    """
    if principal.actor is Actor.LENDER and principal.scope not in {Scope.ADMIN, Scope.REVIEW}:
        raise ForbiddenError("Voices cannot be masked: this needs the scope review or admin.")
    if not is_hash(sha256):
        raise NotFoundError("There is no such recording.")
    grant = principal.grant
    with tenant_session(
        principal.tenant_id,
        agency_id=principal.agency_id,
        regulator_id=principal.regulator_id,
        grant_id=grant.id if grant else None,
        key_id=principal.key_id,
    ) as session:
        row = session.exec(
            select(RecordingRow)
            .where(col(RecordingRow.sha256) == sha256)
            .where(col(RecordingRow.purged_at).is_(None))
        ).one_or_none()
        if row is None:
            raise NotFoundError("There is no such recording.")
        _note(session, principal, sha256)
    return row


def _note(session: Session, principal: Principal, sha256: str) -> None:
    moment = now()
    again = session.exec(
        select(AuditEntry.seq)
        .where(col(AuditEntry.at) > moment - _ONE_PLAYING)
        .where(col(AuditEntry.action) == "recording_played")
        .where(col(AuditEntry.actor) == principal.key_id)
        .where(col(AuditEntry.subject_id) == sha256)
    ).first()
    if again is None:
        add_entry(
            session,
            tenant_id=principal.tenant_id,
            actor=principal.key_id,
            action="recording_played",
            subject_id=sha256,
        )

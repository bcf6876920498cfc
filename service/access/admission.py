"""Whom a good key speaks for, and what the lender's administrator reads of the audit trail."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, select

from service.access.door import Credential
from service.access.grants import choose_grant, note_access
from service.access.tenants import Principal
from service.errors import FieldProblem, ForbiddenError, InvalidInputError
from service.models import Actor, AuditEntry, Scope


def open_principal(
    credential: Credential, *, wanted: UUID | None, route: str, subject_id: str | None
) -> Principal:
    """Return whom a request speaks for.

    A regulator speaks under one live grant, and its act is written down and committed before
    anything is read. A lender's viewer and a regulator see personal data masked.
    """
    if credential.actor is Actor.OPERATOR:
        raise ForbiddenError("An operator looks after the service and sees no lender's data.")
    if credential.regulator_id is None:
        assert credential.tenant_id is not None
        is_viewer = credential.actor is Actor.LENDER and credential.scope is Scope.READ
        return Principal(
            tenant_id=credential.tenant_id,
            actor=credential.actor,
            scope=credential.scope,
            key_id=credential.key_id,
            agency_id=credential.agency_id,
            sees_personal=not is_viewer,
            person=credential.person,
            session_id=credential.session_id,
        )
    grant = choose_grant(credential.regulator_id, wanted)
    unmasked = note_access(grant, key_id=credential.key_id, route=route, subject_id=subject_id)
    return Principal(
        tenant_id=grant.tenant_id,
        actor=credential.actor,
        scope=credential.scope,
        key_id=credential.key_id,
        regulator_id=credential.regulator_id,
        grant=grant,
        sees_personal=unmasked,
        person=credential.person,
        session_id=credential.session_id,
    )


@dataclass(frozen=True, slots=True)
class EntryFilters:
    """What a list of audit entries is narrowed by; None leaves a field open. `to` is exclusive."""

    action: str | None = None
    actor: str | None = None
    subject_id: str | None = None
    since: datetime | None = None
    to: datetime | None = None


def list_entries(
    session: Session, filters: EntryFilters, *, cursor: str | None = None, limit: int = 50
) -> tuple[Sequence[AuditEntry], str | None]:
    """Audit entries, newest first, and the cursor of the next page."""
    query = select(AuditEntry)
    for name in ("action", "actor", "subject_id"):
        value = getattr(filters, name)
        if value is not None:
            query = query.where(getattr(AuditEntry, name) == value)
    if filters.since is not None:
        query = query.where(col(AuditEntry.at) >= filters.since)
    if filters.to is not None:
        query = query.where(col(AuditEntry.at) < filters.to)
    if cursor is not None:
        query = query.where(col(AuditEntry.seq) < _read_cursor(cursor))
    rows = session.exec(query.order_by(col(AuditEntry.seq).desc()).limit(limit + 1)).all()
    last = rows[limit - 1].seq if len(rows) > limit else None
    return rows[:limit], None if last is None else _make_cursor(last)


def _make_cursor(seq: int) -> str:
    return base64.urlsafe_b64encode(f"seq:{seq}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> int:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        kind, _, number = base64.b64decode(padded, altchars=b"-_", validate=True).partition(b":")
        if kind != b"seq" or not number.isdigit() or len(number) > 18:  # noqa: PLR2004  a bigint
            raise ValueError(cursor)  # noqa: TRY301  one answer for every bad cursor
        return int(number)
    except (binascii.Error, ValueError) as error:
        raise InvalidInputError(
            "The cursor is not one that this service gave.",
            errors=(FieldProblem("cursor", "take it from next_cursor of the page before"),),
        ) from error

"""Entries that say who did what: added in the transaction of the deed, never changed."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlmodel import Session

from service.models import AuditEntry


def add_entry(
    session: Session,
    *,
    tenant_id: UUID,
    actor: str,
    action: str,
    subject_id: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry; `actor` is a key id or the name of a process, `details` hold ids and counts."""
    session.add(
        AuditEntry(
            tenant_id=tenant_id,
            actor=actor,
            action=action,
            subject_id=subject_id,
            details=dict(details or {}),
        )
    )

"""Writes an act down where it belongs: with the lender it concerns, or with the operator."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlmodel import Session

from service.access.models import OperatorEntry
from service.audit import add_entry

OPERATOR = "operator"


def note(
    session: Session,
    *,
    tenant_id: UUID | None,
    by: str,
    action: str,
    subject_id: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add an audit entry of the lender; an act that concerns no lender is the operator's."""
    if tenant_id is None:
        row = OperatorEntry(
            actor=by, action=action, subject_id=subject_id, details=dict(details or {})
        )
        session.add(row)
        return
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=by,
        action=action,
        subject_id=subject_id,
        details=details,
    )

"""A lender's own values for the parameters of rules: tighter limits, policy rules switched on.

Each change is a new set; a contact is judged by the set that was in force when it started, so a
later change never rewrites an earlier verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlmodel import Session, col, select

import rules
from rules.model import CaseHistory, Verdict
from service.audit import add_entry
from service.errors import FieldProblem, InvalidInputError
from service.models import ParameterSet

Values = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Setting:
    """Values in force from a moment on; revision 0 is the pack's own."""

    revision: int
    since: datetime | None
    values: Values


DEFAULTS = Setting(0, None, {})


def list_settings(session: Session) -> tuple[Setting, ...]:
    """Every set of the tenant, the pack's own first, in the order in which they came into force."""
    rows = session.exec(select(ParameterSet).order_by(col(ParameterSet.revision))).all()
    return DEFAULTS, *(Setting(row.revision, row.set_at, row.values) for row in rows)


def set_parameters(
    session: Session, pack: rules.Pack, *, tenant_id: UUID, values: Values, by: str, now: datetime
) -> Setting:
    """Put a new set in force from now on; it replaces the one before as a whole.

    Raises `InvalidInputError` that names the rule and parameter where a value is of the wrong kind
    or looser than the rule's bounds allow.
    """
    try:
        rules.resolve_parameters(pack, values)
    except rules.ParameterError as error:
        field = f"values.{error.rule}.{error.parameter}"
        raise InvalidInputError(
            "A value is not allowed; limits can be tightened, not loosened beyond their bounds.",
            errors=(FieldProblem(field, error.message),),
        ) from error
    last = session.exec(select(func.max(ParameterSet.revision))).one()
    row = ParameterSet(
        tenant_id=tenant_id,
        revision=(last or 0) + 1,
        values={rule: dict(given) for rule, given in values.items()},
        set_at=now,
        set_by=by,
    )
    session.add(row)
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=by,
        action="parameters_set",
        subject_id=str(row.revision),
        details={"rules": sorted(values)},
    )
    return Setting(row.revision, now, row.values)


def in_force(settings: Sequence[Setting], at: datetime) -> Setting:
    """The set that a contact which started at this moment is judged by."""
    return [found for found in settings if found.since is None or found.since <= at][-1]


def judge(
    pack: rules.Pack, history: CaseHistory, settings: Sequence[Setting]
) -> tuple[Verdict, ...]:
    """The verdict of each contact, in the history's order, under the set in force for it."""
    chosen = [in_force(settings, contact.interaction.started_at) for contact in history.contacts]
    verdicts = {
        found.revision: rules.evaluate(pack, history, parameters=found.values)
        for found in settings
        if found in chosen
    }
    return tuple(verdicts[found.revision][n] for n, found in enumerate(chosen))

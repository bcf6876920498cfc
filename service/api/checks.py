"""Checks of a batch: the contacts of one agency and time, summed up."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, Field

from rules.model import Disposition, Outcome, Severity
from service import checks
from service.api.deps import TenantSession
from service.api.reading import CurrentView, within
from service.api.shapes import Out
from service.checks import CheckStatus, Conclusion
from service.clock import now
from service.errors import FieldProblem, ForbiddenError, InvalidInputError

router = APIRouter(prefix="/v1/checks", tags=["checks"])


class RuleCountOut(Out):
    """How often a rule was reported."""

    rule: str = Field(examples=["THR-02"])
    severity: Severity
    disposition: Disposition
    findings: int
    interactions: int = Field(description="Contacts that the findings lie in.")


class BatchCheckOut(Out):
    """The contacts of one agency that started in [from, to), as their verdicts stand now."""

    agency_id: UUID
    agency_name: str
    since: datetime = Field(serialization_alias="from")
    to: datetime
    status: CheckStatus = Field(description="`in_progress` while a contact waits for its verdict.")
    conclusion: Conclusion | None = Field(
        description="The worst contact's: pass is `success`, inconclusive and error are `neutral`, "
        "review is `action_required`, fail is `failure`. None while in progress."
    )
    interactions: int
    pending: int
    outcomes: dict[Outcome, int]
    violations: dict[Severity, int]
    reviews: dict[Severity, int]
    rules: list[RuleCountOut]


@router.get("/agencies/{agency_id}")
def get_agency_check(
    session: TenantSession,
    view: CurrentView,
    agency_id: Annotated[UUID, Path(description="The agency's id.")],
    since: Annotated[
        AwareDatetime,
        Query(alias="from", description="Started at or after; RFC 3339 with an offset."),
    ],
    to: Annotated[
        AwareDatetime | None, Query(description="Started before; now, where it is left out.")
    ] = None,
) -> BatchCheckOut:
    """Sum up the contacts of one agency and time: status, conclusion, counts by rule."""
    end = to or now()
    if end <= since:
        problem = FieldProblem("to", "must lie after from")
        raise InvalidInputError("The time ends before it starts.", errors=(problem,))
    if not within(view, since, end):
        raise ForbiddenError("The period reaches beyond what this key may see.")
    found = checks.check_batch(session, agency_id, since=since, to=end)
    return BatchCheckOut(
        agency_id=found.agency_id,
        agency_name=found.agency_name,
        since=found.since,
        to=found.to,
        status=found.status,
        conclusion=found.conclusion,
        interactions=found.interactions,
        pending=found.pending,
        outcomes=dict(found.outcomes),
        violations=found.findings(Disposition.VIOLATION),
        reviews=found.findings(Disposition.REVIEW),
        rules=[RuleCountOut.model_validate(row, from_attributes=True) for row in found.rules],
    )

"""The shapes of reviews: what stands beside a finding, decisions, claims, the queue."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from rules.events import SafeStr
from rules.model import Severity
from service.access.tenants import Principal
from service.api.deps import CurrentPrincipal, TenantSession
from service.models import Actor
from service.people.models import Decision, DisputeState, Reading, ReviewRow
from service.people.reviews import Standing, standing
from service.people.reviews_policy import RuleId
from service.privacy.sealed_fields import opened

Reason = Annotated[
    SafeStr,
    StringConstraints(min_length=2, max_length=2000, strip_whitespace=True),
    Field(description="Why, in the words of whoever decides.", examples=["借用语气词，并非威胁"]),
]


class StandingOut(BaseModel):
    """What people made of a finding. The system's own word stays in the finding itself."""

    model_config = ConfigDict(frozen=True)

    state: Literal["confirm", "dismiss", "change", "open", "second_reading"] = Field(
        description="The decision that stands; `open`: only disputed so far; `second_reading`: "
        "decided, and hidden from readers until the blind second reading is done."
    )
    rule: str = Field(description="The rule that holds now.")
    severity: Severity
    reason: str | None
    decided_by: str | None = Field(description="The reviewer's key id; only lenders see it.")
    decided_at: datetime | None
    is_final: bool = Field(description="Whether the judgement of a dispute closed it.")
    dispute_id: UUID | None
    dispute_state: DisputeState | None


def shown_standing(caller: Principal, found: Standing) -> StandingOut:
    """What stands, as the caller may see it."""
    return StandingOut(
        state=found.state,
        rule=found.rule,
        severity=Severity(found.severity),
        reason=found.reason,
        decided_by=found.decided_by if caller.actor is Actor.LENDER else None,
        decided_at=found.decided_at,
        is_final=found.is_final,
        dispute_id=found.dispute_id,
        dispute_state=DisputeState(found.dispute_state) if found.dispute_state else None,
    )


Asked = Callable[[Collection[UUID]], dict[UUID, StandingOut]]


def ask_standings(caller: CurrentPrincipal, session: TenantSession) -> Asked:
    """Give a function from ids of findings to what stands beside them, for this caller."""
    viewer = caller.person if caller.actor is Actor.LENDER else None

    def ask(ids: Collection[UUID]) -> dict[UUID, StandingOut]:
        found = standing(session, ids, viewer=viewer)
        return {id_: shown_standing(caller, each) for id_, each in found.items()}

    return ask


Standings = Annotated[Asked, Depends(ask_standings)]


class ReviewIn(BaseModel):
    """A decision on a finding."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"decision": "dismiss", "reason": "借用语气词，并非威胁"}]},
    )

    decision: Decision
    reason: Reason
    reading: Literal[Reading.FIRST, Reading.SECOND] = Reading.FIRST
    rule: RuleId | None = Field(default=None, description="With `change`: the rule it really is.")
    severity: Severity | None = Field(default=None, description="With `change`.")
    revises: UUID | None = Field(
        default=None, description="The decision that this one takes the place of."
    )


class ReviewOut(BaseModel):
    """A decision as it was made; decisions are added, never edited."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    finding_id: UUID
    interaction: UUID
    reading: Reading
    number: int = Field(description="Counts the decisions of a reading; the highest stands.")
    rule: str = Field(description="The system's.")
    severity: Severity = Field(description="The system's.")
    decision: Decision
    to_rule: str | None
    to_severity: Severity | None
    reason: str
    decided_by: str
    decided_at: datetime

    @classmethod
    def of(cls, row: ReviewRow) -> "ReviewOut":
        """Show one row."""
        names = set(cls.model_fields) - {"interaction", "reason"}
        shown = {name: getattr(row, name) for name in names}
        return cls(interaction=row.interaction_id, reason=opened(row, "reason"), **shown)


class ReviewList(BaseModel):
    """Every decision on a finding, the oldest first."""

    model_config = ConfigDict(frozen=True)

    items: list[ReviewOut]


class ClaimOut(BaseModel):
    """That the caller holds a finding until then."""

    model_config = ConfigDict(frozen=True)

    finding_id: UUID
    attempt: int = Field(description="Counts the holders.")
    lease_until: datetime


class AssignmentIn(BaseModel):
    """Who alone may take it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reviewer: SafeStr | None = Field(
        max_length=64,
        description="The handle of one of the lender's people, or a key id; null: anybody.",
        examples=[None],
    )

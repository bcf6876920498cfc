"""A lender's own values for review, dispute and watch; without any, those that stand here."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from sqlmodel import Session, col, select

from service.audit import add_entry
from service.clock import now
from service.people.models import ReviewPolicy

RuleId = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}-[0-9]{2}$")]
Floor = Annotated[float, Field(ge=0.0, le=1.0)]


class Policy(BaseModel):
    """The values; each is checked by its bounds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dispute_days: int = Field(
        default=5,
        ge=1,
        le=60,
        description="Working days after its verdict in which an agency may dispute a finding.",
    )
    decide_days: int = Field(
        default=10,
        ge=1,
        le=60,
        description="Working days after a dispute is opened until it lapses undecided.",
    )
    lease_minutes: int = Field(
        default=15, ge=1, le=240, description="How long a reviewer holds what it has claimed."
    )
    watch: bool = Field(
        default=True, description="Whether rules under their floor ask for review by themselves."
    )
    floor: Floor = Field(default=0.8, description="Least precision of a rule that decides alone.")
    floors: dict[RuleId, Floor] = Field(
        default={}, max_length=500, description="Floors of single rules, instead of `floor`."
    )
    minimum: int = Field(
        default=20, ge=5, le=1000, description="Least reviews before the watch says anything."
    )
    window: int = Field(
        default=200, ge=5, le=5000, description="The newest reviews of a rule that are counted."
    )

    @model_validator(mode="after")
    def _window_holds_the_minimum(self) -> "Policy":
        if self.window < self.minimum:
            raise ValueError("window must be at least minimum")
        return self

    def floor_of(self, rule: str) -> float:
        """The floor that holds for a rule."""
        return self.floors.get(rule, self.floor)


def get_policy(session: Session) -> tuple[int, Policy]:
    """The policy in force and its revision; 0 is the product's own."""
    row = session.exec(
        select(ReviewPolicy).order_by(col(ReviewPolicy.revision).desc()).limit(1)
    ).one_or_none()
    return (0, Policy()) if row is None else (row.revision, Policy.model_validate(row.values))


def set_policy(session: Session, policy: Policy, *, tenant_id: UUID, by: str) -> int:
    """Put a policy in force from now on; gives its revision. Open disputes keep their times."""
    revision = get_policy(session)[0] + 1
    session.add(
        ReviewPolicy(
            tenant_id=tenant_id,
            revision=revision,
            values=policy.model_dump(mode="json"),
            set_at=now(),
            set_by=by,
        )
    )
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=by,
        action="review_policy_set",
        subject_id=str(revision),
        details={"rules": sorted(policy.floors)},
    )
    session.flush()
    return revision

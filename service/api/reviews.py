"""Where reviewers work: the queue, claims, decisions, their history, and the lender's policy."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from service.api.deps import Administrator, LenderReader, Reviewer, TenantSession
from service.api.reading import (
    AgencyId,
    Cursor,
    DispositionIs,
    Limit,
    RuleIs,
    SeverityIs,
    Since,
    Until,
)
from service.api.review_shapes import AssignmentIn, ClaimOut, ReviewIn, ReviewList, ReviewOut
from service.api.shapes import FindingOut
from service.clock import now
from service.config import settings
from service.errors import ForbiddenError
from service.packs import load_pack
from service.people import reviews, reviews_policy, reviews_queue
from service.people.models import Reading
from service.people.reviews_policy import Policy
from service.people.reviews_queue import QueueFilters

router = APIRouter(tags=["reviews"])

FindingKey = Annotated[UUID, Path(description="The finding's id.")]


class WaitingOut(BaseModel):
    """A finding that waits, and who holds it meanwhile."""

    model_config = ConfigDict(frozen=True)

    finding: FindingOut
    priority: int = Field(description="Severity times uncertainty; the highest come first.")
    assigned_to: str | None
    held_by: str | None
    lease_until: datetime | None


class ReviewQueuePage(BaseModel):
    """One page of the queue, the most urgent first."""

    model_config = ConfigDict(frozen=True)

    items: list[WaitingOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


class ReviewPolicyOut(BaseModel):
    """The policy in force; revision 0 is the product's own."""

    model_config = ConfigDict(frozen=True)

    revision: int
    policy: Policy


def queue_filters(
    reading: Annotated[
        Literal[Reading.FIRST, Reading.SECOND],
        Query(description="`second`: decided by others, to be read again blindly."),
    ] = Reading.FIRST,
    rule: RuleIs = None,
    severity: SeverityIs = None,
    disposition: DispositionIs = None,
    agency_id: AgencyId = None,
    since: Since = None,
    until: Until = None,
    assigned: Annotated[
        Literal["me", "nobody"] | None, Query(description="Only what is assigned so.")
    ] = None,
    free: Annotated[bool, Query(description="Leave out what the caller cannot take now.")] = False,  # noqa: FBT002  a query parameter
) -> QueueFilters:
    """Gather the parameters that narrow the queue."""
    return QueueFilters(
        reading=reading,
        rule=rule,
        severity=severity.value if severity else None,
        disposition=disposition.value if disposition else None,
        agency_id=agency_id,
        since=since,
        to=until,
        assigned=assigned,
        free=free,
    )


@router.get("/v1/reviews/queue", summary="List what waits for a reviewer")
def list_queue(
    caller: Reviewer,
    session: TenantSession,
    filters: Annotated[QueueFilters, Depends(queue_filters)],
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ReviewQueuePage:
    """List findings that nobody has decided, by severity and uncertainty."""
    page = reviews_queue.list_queue(session, filters, by=caller.person, cursor=cursor, limit=limit)
    items = [
        WaitingOut(
            finding=FindingOut.of(row.finding),
            priority=row.priority,
            assigned_to=row.assigned_to,
            held_by=row.held_by,
            lease_until=row.lease_until,
        )
        for row in page.rows
    ]
    return ReviewQueuePage(items=items, next_cursor=page.next_cursor)


@router.post("/v1/findings/{finding}/claim", summary="Hold a finding for review")
def post_claim(caller: Reviewer, session: TenantSession, finding: FindingKey) -> ClaimOut:
    """Hold it for the caller, or longer; 409 where another reviewer holds it."""
    held = reviews.claim(session, finding, tenant_id=caller.tenant_id, by=caller.person)
    return ClaimOut(finding_id=finding, attempt=held.attempt, lease_until=held.lease_until)


@router.delete("/v1/findings/{finding}/claim", status_code=204, summary="Give a finding back")
def delete_claim(caller: Reviewer, session: TenantSession, finding: FindingKey) -> None:
    """Let others take it."""
    reviews.release(session, finding, by=caller.person)


@router.put("/v1/findings/{finding}/assignment", status_code=204, summary="Assign a finding")
def put_assignment(
    caller: Administrator, session: TenantSession, finding: FindingKey, wish: AssignmentIn
) -> None:
    """Let only one reviewer take it, or anybody again."""
    reviews.assign(session, finding, tenant_id=caller.tenant_id, to=wish.reviewer, by=caller.key_id)


@router.post(
    "/v1/findings/{finding}/review",
    status_code=201,
    summary="Decide on a finding",
    responses={200: {"model": ReviewOut, "description": "This decision was here before."}},
)
def post_review(
    caller: Reviewer, session: TenantSession, finding: FindingKey, wish: ReviewIn, answer: Response
) -> ReviewOut:
    """Confirm, dismiss or change it; the caller must hold it. The same again changes nothing."""
    row, is_new = reviews.decide(
        session,
        finding,
        reviews.Wish(**dict(wish)),
        tenant_id=caller.tenant_id,
        by=caller.person,
        under=caller.key_id,
        known_rules={rule.id for rule in load_pack().rules},
        base_url=settings().public_base_url,
        now=now(),
    )
    answer.status_code = 201 if is_new else 200
    return ReviewOut.of(row)


@router.get("/v1/findings/{finding}/reviews", summary="List the decisions on a finding")
def list_reviews(caller: LenderReader, session: TenantSession, finding: FindingKey) -> ReviewList:
    """List every decision over all revisions; 403 for who is still to read it blindly."""
    subject = reviews.get_subject(session, finding)
    rows = reviews.list_reviews(session, subject)
    if reviews.is_blind_to(session, subject.interaction.id, rows, caller.person):
        raise ForbiddenError("The blind second reading is still to come.")
    return ReviewList(items=[ReviewOut.of(row) for row in rows])


@router.get("/v1/reviews/policy", summary="Read the policy of review and dispute")
def get_policy(caller: LenderReader, session: TenantSession) -> ReviewPolicyOut:
    """Show days, leases and floors that are in force."""
    del caller
    revision, policy = reviews_policy.get_policy(session)
    return ReviewPolicyOut(revision=revision, policy=policy)


@router.put("/v1/reviews/policy", summary="Set the policy of review and dispute")
def put_policy(caller: Administrator, session: TenantSession, policy: Policy) -> ReviewPolicyOut:
    """Put days, leases and floors in force from now on; what is left out has its default."""
    revision = reviews_policy.set_policy(
        session, policy, tenant_id=caller.tenant_id, by=caller.key_id
    )
    return ReviewPolicyOut(revision=revision, policy=policy)

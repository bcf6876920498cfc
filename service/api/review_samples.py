"""Samples for review, blind second readings, agreement of readers, and rules under watch."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from rules.events import SafeStr
from rules.model import Outcome
from service.api.deps import Administrator, LenderReader, Reviewer, TenantSession
from service.api.reading import Cursor, InteractionKey, Limit
from service.api.review_shapes import Reason
from service.clock import now
from service.errors import FieldProblem, InvalidInputError
from service.packs import load_pack
from service.people import reviews_figures, reviews_sample, watch
from service.people.models import DrawMethod, Reading, ReadingRow, SampleItem, SampleRow
from service.people.reviews_policy import RuleId
from service.people.reviews_sample import MAX_SIZE, Misses, SampleWish
from service.privacy.sealed_fields import opened

router = APIRouter(tags=["reviews"])

SampleKey = Annotated[UUID, Path(description="The sample's id.")]
FirstOrSecond = Literal[Reading.FIRST, Reading.SECOND]


class Frozen(BaseModel):
    """A shape of this page."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DrawIn(Frozen):
    """What to draw; contacts that passed are drawn like the others."""

    method: DrawMethod = Field(
        description="`stratified`: by agency and outcome. `risk`: doubtful outcomes likelier."
    )
    since: AwareDatetime = Field(alias="from", examples=["2026-06-01T00:00:00+08:00"])
    to: AwareDatetime = Field(examples=["2026-07-01T00:00:00+08:00"])
    size: int = Field(ge=1, le=MAX_SIZE, examples=[200])
    second_share: float = Field(default=0.1, ge=0, le=1, description="Share to be read twice.")
    agency_id: UUID | None = None
    seed: Annotated[SafeStr, StringConstraints(min_length=8, max_length=64)] | None = Field(
        default=None, description="To draw a known sample again; otherwise it is made by chance."
    )


class ShareOut(Frozen):
    """A share with its 95 % interval; null where there is nothing to count."""

    count: int
    total: int
    share: float | None
    low: float
    high: float


class EstimateOut(Frozen):
    """A figure with its 95 % bootstrap interval; null where it cannot be told."""

    value: float | None
    low: float | None
    high: float | None
    units: int


class MissesOut(Frozen):
    """What readers found in contacts that the system passed."""

    drawn: int
    read: int
    rate: ShareOut
    rules: dict[str, int]


class DrawOut(Frozen):
    """A sample, as it was drawn."""

    id: UUID
    method: DrawMethod
    seed: str
    since: datetime = Field(serialization_alias="from")
    to: datetime
    agency_id: UUID | None
    size: int
    second_share: float
    frame: int = Field(description="Contacts that it was drawn from.")
    frame_sha256: str = Field(
        description="SHA-256 of their ids and outcomes, a line each, in the order of ids."
    )
    drawn_at: datetime
    drawn_by: str

    @classmethod
    def of(cls, row: SampleRow, **more: Any) -> "DrawOut":
        """Show one row."""
        return cls(**{name: getattr(row, name) for name in DrawOut.model_fields}, **more)


class DrawDetailOut(DrawOut):
    """A sample with its strata, and what reading it has shown so far."""

    strata: list[dict[str, Any]]
    misses: MissesOut


class DrawPage(Frozen):
    """One page of samples, newest first."""

    items: list[DrawOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


class SampledOut(Frozen):
    """One drawn contact."""

    position: int
    interaction: UUID
    outcome: Outcome = Field(description="What the system said when it was drawn.")
    stratum: str
    chance: float = Field(description="Its chance of being drawn.")
    second: bool = Field(description="Whether it is read twice.")

    @classmethod
    def of(cls, row: SampleItem) -> "SampledOut":
        """Show one row."""
        names = set(cls.model_fields) - {"interaction"}
        return cls(interaction=row.interaction_id, **{n: getattr(row, n) for n in names})


class SampledList(Frozen):
    """Drawn contacts by position; pass the last position as `after` for the next ones."""

    items: list[SampledOut]


class ReadingClaimIn(Frozen):
    """Which reading the contact is held for."""

    reading: FirstOrSecond = Reading.FIRST


class ReadingClaimOut(Frozen):
    """That the caller holds a contact until then."""

    attempt: int
    lease_until: datetime


class ContactReadingIn(Frozen):
    """What a reader says of a whole contact."""

    reading: FirstOrSecond = Reading.FIRST
    missed: list[RuleId] = Field(
        max_length=50, description="Rules that it broke and nobody reported; none: it is clean."
    )
    reason: Reason


class ContactReadingOut(Frozen):
    """A reading as it was made."""

    id: UUID
    interaction: UUID
    reading: FirstOrSecond
    missed: list[str]
    reason: str
    read_by: str
    read_at: datetime

    @classmethod
    def of(cls, row: ReadingRow) -> "ContactReadingOut":
        """Show one row."""
        names = set(cls.model_fields) - {"interaction", "reason"}
        shown = {name: getattr(row, name) for name in names}
        return cls(interaction=row.interaction_id, reason=opened(row, "reason"), **shown)


class AgreementOut(Frozen):
    """Agreement of two readers over the same things."""

    pairs: int
    agreed: int
    kappa: EstimateOut = Field(description="Cohen's, first reader against second.")
    alpha: EstimateOut = Field(description="Krippendorff's, nominal.")


class DifferenceOut(Frozen):
    """Where two readers differ; `finding` is null for a whole contact."""

    interaction: UUID
    finding: UUID | None
    rule: str
    first: str
    second: str


class AgreementsOut(Frozen):
    """Agreement over findings, over whole contacts, by rule and by reviewer (key id)."""

    all: AgreementOut
    contacts: AgreementOut
    by_rule: dict[str, AgreementOut]
    by_reviewer: dict[str, AgreementOut]
    differences: list[DifferenceOut]


class WatchedOut(Frozen):
    """A rule as the watch sees it."""

    rule: str
    under_watch: bool = Field(description="Whether its violations only ask for review now.")
    since: datetime | None
    floor: float
    minimum: int = Field(description="Least reviews before the watch says anything.")
    precision: ShareOut = Field(description="Of the newest reviews; since the watch began, if so.")


class WatchOut(Frozen):
    """Every rule that was reviewed or is under watch."""

    items: list[WatchedOut]


def _misses(found: Misses) -> MissesOut:
    rate = ShareOut.model_validate(found.rate, from_attributes=True)
    return MissesOut(drawn=found.drawn, read=found.read, rate=rate, rules=dict(found.rules))


@router.post("/v1/reviews/samples", status_code=201, summary="Draw a sample")
def post_sample(caller: Administrator, session: TenantSession, wish: DrawIn) -> DrawOut:
    """Draw contacts to read, passed ones too, by a seed that is written down."""
    if wish.to <= wish.since:
        problem = FieldProblem("to", "must lie after from")
        raise InvalidInputError("The time ends before it starts.", errors=(problem,))
    row = reviews_sample.draw(
        session,
        SampleWish(**dict(wish)),
        tenant_id=caller.tenant_id,
        by=caller.key_id,
        now=now(),
    )
    return DrawOut.of(row)


@router.get("/v1/reviews/samples", summary="List samples")
def list_samples(
    caller: LenderReader, session: TenantSession, cursor: Cursor = None, limit: Limit = 50
) -> DrawPage:
    """List samples, newest first."""
    del caller
    page = reviews_sample.list_samples(session, cursor=cursor, limit=limit)
    items = [DrawOut.of(row) for row in page.rows]
    return DrawPage(items=items, next_cursor=page.next_cursor)


@router.get("/v1/reviews/samples/{sample}", summary="Read a sample and what it shows")
def get_sample(caller: LenderReader, session: TenantSession, sample: SampleKey) -> DrawDetailOut:
    """Show how it was drawn, and the estimate of what the system misses."""
    del caller
    row = reviews_sample.get_sample(session, sample)
    misses = _misses(reviews_sample.estimate_misses(session, sample))
    shown = {name: getattr(row, name) for name in DrawOut.model_fields}
    return DrawDetailOut(**shown, strata=row.strata or [], misses=misses)


@router.get("/v1/reviews/samples/{sample}/items", summary="List the contacts of a sample")
def list_items(
    caller: Reviewer,
    session: TenantSession,
    sample: SampleKey,
    reading: Annotated[
        FirstOrSecond | None, Query(description="Only what waits for this reading by the caller.")
    ] = None,
    after: Annotated[int, Query(ge=-1, le=MAX_SIZE, description="From after this position.")] = -1,
    limit: Limit = 50,
) -> SampledList:
    """List drawn contacts by position."""
    rows = reviews_sample.list_items(
        session, sample, reading=reading, by=caller.person, after=after, limit=limit
    )
    return SampledList(items=[SampledOut.of(row) for row in rows])


@router.post(
    "/v1/reviews/samples/{sample}/items/{interaction}/claim", summary="Hold a contact for reading"
)
def post_item_claim(
    caller: Reviewer,
    session: TenantSession,
    sample: SampleKey,
    interaction: InteractionKey,
    wish: ReadingClaimIn,
) -> ReadingClaimOut:
    """Hold it for the caller, or longer; 409 where another reader holds it."""
    attempt, until = reviews_sample.claim_item(
        session, sample, interaction, wish.reading, tenant_id=caller.tenant_id, by=caller.person
    )
    return ReadingClaimOut(attempt=attempt, lease_until=until)


@router.post(
    "/v1/reviews/samples/{sample}/items/{interaction}/reading",
    status_code=201,
    summary="Say what a contact broke",
    responses={200: {"model": ContactReadingOut, "description": "This reading was here before."}},
)
def post_reading(
    caller: Reviewer,
    session: TenantSession,
    sample: SampleKey,
    interaction: InteractionKey,
    wish: ContactReadingIn,
    answer: Response,
) -> ContactReadingOut:
    """Write down what was missed; the second reader never sees what the first one wrote."""
    row, is_new = reviews_sample.add_reading(
        session,
        sample,
        interaction,
        wish.reading,
        wish.missed,
        wish.reason,
        tenant_id=caller.tenant_id,
        by=caller.person,
        under=caller.key_id,
        known_rules={rule.id for rule in load_pack().rules},
        now=now(),
    )
    answer.status_code = 201 if is_new else 200
    return ContactReadingOut.of(row)


@router.get("/v1/reviews/agreement", summary="Read how far readers agree")
def get_agreement(
    caller: LenderReader,
    session: TenantSession,
    since: Annotated[
        AwareDatetime, Query(alias="from", description="Read a second time at or after.")
    ],
    to: Annotated[AwareDatetime | None, Query(description="Before; now if left out.")] = None,
) -> AgreementsOut:
    """Give kappa and alpha with intervals: over all, by rule, by reviewer."""
    del caller
    found = reviews_figures.agreements(session, since=since, to=to or now())
    return AgreementsOut.model_validate(found, from_attributes=True)


@router.get("/v1/watch", summary="List rules under watch")
def get_watch(caller: LenderReader, session: TenantSession) -> WatchOut:
    """Show the live precision of every reviewed rule, and which ones only ask for review."""
    del caller
    items = [
        WatchedOut(
            rule=each.rule,
            under_watch=each.since is not None,
            since=each.since,
            floor=each.floor,
            minimum=each.minimum,
            precision=ShareOut.model_validate(each.precision, from_attributes=True),
        )
        for each in watch.list_watched(session)
    ]
    return WatchOut(items=items)

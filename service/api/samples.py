"""Samples by commit and reveal: a regulator opens, the lender commits, the regulator reveals."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.access import sampling
from service.access.grants import get_grant
from service.access.models import Sample, SampleMethod
from service.api.deps import Administrator, Overseer, RegulatorCaller, TenantSession

router = APIRouter(prefix="/v1/samples", tags=["grants"])

SampleKey = Annotated[UUID, Path(description="The sample's id.")]
Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class SampleIn(BaseModel):
    """How to draw, and the SHA-256 of a seed that stays with the regulator until it reveals it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: SampleMethod = Field(
        description="`stratified`: by agency and outcome; `risk_weighted`: by the worst finding."
    )
    size: int = Field(ge=1, le=sampling.MAX_SIZE)
    seed_sha256: Hex = Field(description="SHA-256, hex, of 32 random bytes.")


class SeedIn(BaseModel):
    """The seed whose hash the sample was opened with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Hex = Field(description="The 32 random bytes, hex.")


class SampleOut(BaseModel):
    """A sample as far as it has come; with the population's lines it can be drawn again offline."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    schema_name: str = Field(alias="schema", examples=["hegui.sample/1"])
    id: UUID
    grant: UUID
    case_number: str
    agencies: list[UUID] | None
    period_from: datetime
    period_to: datetime
    method: SampleMethod
    size: int
    seed_sha256: str
    opened_at: datetime
    population_size: int | None
    root: str | None = Field(description="Merkle root (RFC 9162) over the population's lines.")
    committed_at: datetime | None
    seed: str | None
    revealed_at: datetime | None
    drawn: list[UUID] | None = Field(description="The contacts drawn, in the order of the draw.")


class SampleList(BaseModel):
    """Samples, newest first; a regulator's own grant's, a lender's up to 200."""

    model_config = ConfigDict(frozen=True)

    items: list[SampleOut]


def _shown(session: TenantSession, row: Sample) -> SampleOut:
    return SampleOut(**sampling.write_document(row, get_grant(session, row.grant_id)))


@router.post("", status_code=201, summary="Open a sample")
def post_sample(caller: RegulatorCaller, session: TenantSession, wish: SampleIn) -> SampleOut:
    """Ask for a draw from all contacts that the grant covers; the seed's hash binds the caller."""
    return _shown(session, sampling.open_sample(session, caller, **dict(wish)))


@router.get("", summary="List samples")
def list_samples(caller: Overseer, session: TenantSession) -> SampleList:
    """List samples: a lender's all, a regulator's those of the grant it reads under."""
    del caller
    return SampleList(items=[_shown(session, row) for row in sampling.list_samples(session)])


@router.get("/{sample}", summary="Read a sample")
def get_sample(caller: Overseer, session: TenantSession, sample: SampleKey) -> SampleOut:
    """Show a sample as far as it has come: opened, committed, drawn."""
    del caller
    return _shown(session, sampling.get_sample(session, sample))


@router.get(
    "/{sample}/population",
    summary="Read a committed population",
    response_class=Response,
    responses={
        200: {
            "description": "One line of JSON a contact, in the order of the ids; the root is over "
            "exactly these bytes.",
            "content": {"application/octet-stream": {"schema": {"type": "string"}}},
        }
    },
)
def get_population(caller: Overseer, session: TenantSession, sample: SampleKey) -> Response:
    """Give the lines that the root was made from: ids, strata and weights, no personal data."""
    del caller
    lines = sampling.get_population(session, sample)
    return Response(lines, media_type="application/octet-stream")


@router.post("/{sample}/commit", summary="Commit the population of a sample")
def post_commit(caller: Administrator, session: TenantSession, sample: SampleKey) -> SampleOut:
    """Fix the list of all contacts that the grant covers, as they stand now; it stays."""
    row = sampling.commit_population(session, sample, by=caller.key_id)
    return _shown(session, row)


@router.post("/{sample}/reveal", summary="Reveal the seed of a sample")
def post_reveal(
    caller: RegulatorCaller, session: TenantSession, sample: SampleKey, wish: SeedIn
) -> SampleOut:
    """Reveal the promised seed: the sample is drawn from the committed population."""
    return _shown(session, sampling.reveal(session, sample, seed=wish.seed, by=caller.key_id))

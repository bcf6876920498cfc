"""Scorecards of agencies, the league, the yearly evaluation, and the badge."""

from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from service.access.console import COOKIE
from service.api.deps import (
    Administrator,
    LenderReader,
    Participant,
    TenantSession,
    current_credential,
    current_principal,
    open_session,
)
from service.api.review_samples import ShareOut
from service.clock import now
from service.errors import BadKeyError, FieldProblem, InvalidInputError
from service.evidence.checkpoint import signer
from service.packs import load_pack
from service.people import badge, scorecards, scorecards_evaluation, scorecards_pdf
from service.people.scorecards import Counts

router = APIRouter(tags=["scorecards"])

AgencyKey = Annotated[UUID, Path(description="The agency's id.")]
From = Annotated[
    AwareDatetime,
    Query(alias="from", description="Started at or after; RFC 3339 with an offset."),
]
To = Annotated[
    AwareDatetime | None, Query(description="Started before; now, where it is left out.")
]


class Frozen(BaseModel):
    """A shape of this page."""

    model_config = ConfigDict(frozen=True)


class CountsOut(Frozen):
    """Contacts, and two shares of them."""

    contacts: int
    unproven: int = Field(description="Without proof either way: inconclusive, error, pending.")
    failed_by_system: int
    failed: int = Field(description="With a violation that stands after reviews and disputes.")
    without_recording: int
    rate: ShareOut = Field(description="Failed among those with proof.")
    adverse: ShareOut = Field(description="Failed and without proof, among all.")
    is_small: bool = Field(description="Too few contacts: the shares say little.")

    @classmethod
    def of(cls, counts: Counts) -> "CountsOut":
        """Show one set of counts."""
        return cls.model_validate(counts, from_attributes=True)


class RateChangeOut(Frozen):
    """The rate against that of the period before, which was as long."""

    before: ShareOut
    difference: float | None
    low: float | None
    high: float | None
    word: Literal["better", "worse", "unclear"]


class FamilyOut(Frozen):
    """Contacts that broke a rule of a family, among those with proof."""

    family: str = Field(examples=["THR"])
    broken: ShareOut


class CollectorOut(Frozen):
    """One collector, by employee number."""

    collector_id: str
    counts: CountsOut


class CardOut(Frozen):
    """The card of one agency."""

    agency_id: UUID
    agency_name: str
    since: datetime = Field(serialization_alias="from")
    to: datetime
    counts: CountsOut
    change: RateChangeOut
    families: list[FamilyOut]
    collectors: list[CollectorOut]
    disputes: dict[str, int] = Field(description="Disputes opened in the time, by state.")


class LeaguePlaceOut(Frozen):
    """One agency in the league."""

    rank: int | None = Field(description="Null where there are too few contacts.")
    agency_id: UUID
    agency_name: str
    counts: CountsOut


class LeagueOut(Frozen):
    """Every agency, the best first; ranked by `adverse`, so missing recordings never help."""

    items: list[LeaguePlaceOut]


class EvaluationForm(StrEnum):
    """How the evaluation is given."""

    JSON = "json"
    XLSX = "xlsx"
    PDF = "pdf"


class XlsxResponse(Response):
    """A workbook."""

    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class PdfResponse(Response):
    """A signed PDF."""

    media_type = scorecards_pdf.MEDIA_TYPE


class SvgResponse(Response):
    """A picture."""

    media_type = "image/svg+xml"


class BadgeTokenOut(Frozen):
    """The token of a badge, shown this once."""

    token: str
    path: str = Field(description="The badge's address on this service.")


LONGEST = timedelta(days=3660)
"""Ten years: the trend looks at the same time again before it."""


def _end(since: datetime, to: datetime | None) -> datetime:
    end = to or now()
    if end <= since:
        problem = FieldProblem("to", "must lie after from")
        raise InvalidInputError("The time ends before it starts.", errors=(problem,))
    if end - since > LONGEST:
        problem = FieldProblem("from", f"must lie at most {LONGEST.days} days before to")
        raise InvalidInputError("The time is too long for one card.", errors=(problem,))
    return end


@router.get("/v1/scorecards", summary="Rank the agencies")
def get_league(
    caller: LenderReader, session: TenantSession, since: From, to: To = None
) -> LeagueOut:
    """Compare the lender's agencies over a time."""
    del caller
    places = scorecards.league(session, since=since, to=_end(since, to))
    items = [
        LeaguePlaceOut(
            rank=each.rank,
            agency_id=each.agency_id,
            agency_name=each.agency_name,
            counts=CountsOut.of(each.counts),
        )
        for each in places
    ]
    return LeagueOut(items=items)


@router.get("/v1/scorecards/{agency_id}", summary="Read an agency's scorecard")
def get_card(
    caller: Participant, session: TenantSession, agency_id: AgencyKey, since: From, to: To = None
) -> CardOut:
    """Show rates with their intervals, the trend, families and collectors."""
    del caller
    end = _end(since, to)
    card = scorecards.agency_card(session, agency_id, since=since, to=end)
    return CardOut(
        agency_id=agency_id,
        agency_name=card.agency_name,
        since=since,
        to=end,
        counts=CountsOut.of(card.counts),
        change=RateChangeOut.model_validate(card.change, from_attributes=True),
        families=[
            FamilyOut(family=name, broken=ShareOut.model_validate(found, from_attributes=True))
            for name, found in card.families
        ],
        collectors=[
            CollectorOut(collector_id=name, counts=CountsOut.of(found))
            for name, found in card.collectors
        ],
        disputes=dict(card.disputes),
    )


@router.get(
    "/v1/scorecards/{agency_id}/evaluation",
    summary="Read an agency's yearly evaluation",
    responses={
        200: {
            "content": {
                made.media_type: {"schema": {"type": "string", "format": "binary"}}
                for made in (XlsxResponse, PdfResponse)
            }
        }
    },
)
def get_evaluation(
    caller: LenderReader,
    session: TenantSession,
    agency_id: AgencyKey,
    year: Annotated[int, Query(ge=2000, le=2099, description="Calendar year, Asia/Shanghai.")],
    form: Annotated[EvaluationForm, Query(alias="format")] = EvaluationForm.JSON,
) -> dict[str, Any]:
    """Give the file that GB/T 45251 asks a lender for once a year: JSON, XLSX or signed PDF/A-3."""
    del caller
    document = scorecards_evaluation.build_evaluation(
        session, load_pack(), agency_id=agency_id, year=year, now=now()
    )
    if form is EvaluationForm.JSON:
        return document
    if form is EvaluationForm.PDF:
        return PdfResponse(scorecards_pdf.to_pdf(document, signer=signer()))  # type: ignore[return-value]
    return XlsxResponse(scorecards_evaluation.to_xlsx(document))  # type: ignore[return-value]


@router.post(
    "/v1/checks/agencies/{agency_id}/badge-token",
    status_code=201,
    summary="Make a token for an agency's badge",
)
def post_badge_token(
    caller: Administrator, session: TenantSession, agency_id: AgencyKey
) -> BadgeTokenOut:
    """Make an address that shows the badge without a key; the token before ends."""
    token = badge.make_token(session, agency_id, tenant_id=caller.tenant_id, by=caller.key_id)
    path = f"/v1/checks/agencies/{agency_id}/badge.svg?token={token}"
    return BadgeTokenOut(token=token, path=path)


@router.delete(
    "/v1/checks/agencies/{agency_id}/badge-token",
    status_code=204,
    summary="Revoke the token of an agency's badge",
)
def delete_badge_token(caller: Administrator, session: TenantSession, agency_id: AgencyKey) -> None:
    """Show the badge to nobody without a key."""
    badge.revoke_token(session, agency_id, tenant_id=caller.tenant_id, by=caller.key_id)


@router.get(
    "/v1/checks/agencies/{agency_id}/badge.svg",
    summary="Draw an agency's badge",
    response_class=SvgResponse,
    openapi_extra={"security": [{"apiKey": []}, {"consoleSession": []}, {}]},
)
def get_badge(
    request: Request,
    agency_id: AgencyKey,
    token: Annotated[str, Query(max_length=64, description="Instead of an API key.")] = "",
    lang: Annotated[Literal["zh", "en"], Query(description="Language of the words.")] = "zh",
) -> Response:
    """Show whether the last seven days passed: a word and a colour, no name and no number."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    given = None
    if scheme.lower() == "bearer":
        given = HTTPAuthorizationCredentials(scheme=scheme, credentials=credentials)
    cookie = request.cookies.get(COOKIE)
    if given is not None or (cookie is not None and not token):
        caller = current_principal(request, current_credential(request, given, cookie))
        with contextmanager(open_session)(caller) as session:
            found = badge.conclude(session, agency_id, now=now())
    elif token:
        found = badge.conclude_by_token(agency_id, token, now=now())
    else:
        raise BadKeyError("The badge's token or the API key is missing, unknown or revoked.")
    return SvgResponse(badge.draw(found, lang), headers={"cache-control": "private, max-age=60"})

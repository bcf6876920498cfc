"""Checks of a batch: the contacts of an agency and time, a manifest or a campaign, summed up."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, Field

from rules.events import Campaign
from rules.model import Disposition, Outcome, Severity
from service import checks
from service.api.deps import Participant, TenantSession
from service.api.reading import AgencyId, CurrentView, within
from service.api.shapes import AgencyOut, Out
from service.checks import CheckStatus, Conclusion, Tally
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


class TallyOut(Out):
    """Contacts as their verdicts stand now."""

    status: CheckStatus = Field(
        description="`in_progress` while a contact waits for its verdict, or a listed one has not "
        "come and is not due yet."
    )
    conclusion: Conclusion | None = Field(
        description="The worst contact's: pass is `success`, inconclusive and error are `neutral`, "
        "review is `action_required`, fail is `failure`; a listed contact that never came is "
        "`action_required`. None while in progress."
    )
    interactions: int = Field(description="Contacts that came, checked or not.")
    pending: int
    outcomes: dict[Outcome, int]
    violations: dict[Severity, int]
    reviews: dict[Severity, int]
    rules: list[RuleCountOut]


class BatchCheckOut(TallyOut):
    """The contacts of one agency that started in [from, to), as their verdicts stand now."""

    agency_id: UUID
    agency_name: str
    since: datetime = Field(serialization_alias="from")
    to: datetime


class ManifestCheckOut(TallyOut):
    """The contacts that one manifest lists, as their verdicts stand now."""

    manifest: UUID
    name: str
    campaign: str | None
    agency_id: UUID
    agency_name: str
    received_at: datetime
    due_at: datetime = Field(description="What has not come by then is missing for good.")
    listed: int = Field(description="Contacts of the manifest.")
    missing: int = Field(description="Of these: never reported to us.")
    unlisted: int = Field(
        description="The agency's contacts that name this campaign and stand in no manifest of it."
    )


class CampaignCheckOut(TallyOut):
    """The contacts of one campaign, as their verdicts stand now."""

    campaign: str
    agency_id: UUID | None = Field(description="Where it was narrowed to one agency.")
    agencies: list[AgencyOut] = Field(description="Whose contacts or manifests name it.")
    manifests: int
    missing: int = Field(description="Listed by its manifests and never reported to us.")


def _told(tally: Tally) -> dict[str, Any]:
    """The fields that every check has."""
    return {
        "status": tally.status,
        "conclusion": tally.conclusion,
        "interactions": tally.interactions,
        "pending": tally.pending,
        "outcomes": dict(tally.outcomes),
        "violations": tally.findings(Disposition.VIOLATION),
        "reviews": tally.findings(Disposition.REVIEW),
        "rules": [RuleCountOut.model_validate(row, from_attributes=True) for row in tally.rules],
    }


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
        **_told(found.tally),
    )


@router.get("/manifests/{manifest}")
def get_manifest_check(
    _caller: Participant,
    session: TenantSession,
    manifest: Annotated[UUID, Path(description="The manifest's id.")],
) -> ManifestCheckOut:
    """Sum up the contacts that a manifest lists: status, conclusion, counts, what is missing."""
    found = checks.check_manifest(session, manifest, now=now())
    row = found.manifest
    return ManifestCheckOut(
        manifest=row.id,
        name=row.name,
        campaign=row.campaign,
        agency_id=row.agency_id,
        agency_name=found.agency_name,
        received_at=row.received_at,
        due_at=row.due_at,
        listed=row.rows,
        missing=found.tally.missing,
        unlisted=found.unlisted,
        **_told(found.tally),
    )


@router.get("/campaigns/{campaign}")
def get_campaign_check(
    _caller: Participant,
    session: TenantSession,
    campaign: Annotated[Campaign, Path(description="As the events or manifests name it.")],
    agency_id: AgencyId = None,
) -> CampaignCheckOut:
    """Sum up a campaign, of all agencies or one: contacts that name it, or whose manifest does."""
    found = checks.check_campaign(session, campaign, agency_id=agency_id, now=now())
    return CampaignCheckOut(
        campaign=found.campaign,
        agency_id=found.agency_id,
        agencies=[AgencyOut.of(row) for row in found.agencies],
        manifests=found.manifests,
        missing=found.tally.missing,
        **_told(found.tally),
    )

"""What the read routes share: the caller's view and the list parameters."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query
from pydantic import AwareDatetime

from rules.events import Campaign
from rules.model import Disposition, Outcome, Severity
from service.access.tenants import Principal
from service.api.deps import CurrentPrincipal
from service.read import Filters, Period


@dataclass(frozen=True, slots=True)
class View:
    """What the caller may see; a regulator only what started within its grant's period."""

    principal: Principal
    period: Period | None


def open_view(principal: CurrentPrincipal) -> View:
    """Return the caller's view."""
    grant = principal.grant
    return View(principal, (grant.period_from, grant.period_to) if grant else None)


CurrentView = Annotated[View, Depends(open_view)]

CaseId = Annotated[
    str | None,
    Query(max_length=128, pattern=r"^[^\s\x00-\x1f\x7f]+$", description="Only this case."),
]
AgencyId = Annotated[UUID | None, Query(description="Only this agency.")]
OutcomeIs = Annotated[Outcome | None, Query(description="Only this current outcome.")]
RuleIs = Annotated[
    str | None,
    Query(pattern=r"^[A-Z]{3}-[0-9]{2}$", description="Only this rule.", examples=["THR-02"]),
]
SeverityIs = Annotated[Severity | None, Query(description="Only this severity.")]
DispositionIs = Annotated[Disposition | None, Query(description="Only this disposition.")]
Since = Annotated[
    AwareDatetime | None,
    Query(alias="from", description="Started at or after; RFC 3339 with an offset."),
]
Until = Annotated[
    AwareDatetime | None, Query(alias="to", description="Started before; RFC 3339 with an offset.")
]
Cursor = Annotated[
    str | None,
    Query(max_length=256, pattern=r"^[A-Za-z0-9_-]+$", description="`next_cursor` of a page."),
]
Limit = Annotated[int, Query(ge=1, le=200, description="Rows of one page.")]
CampaignIs = Annotated[Campaign | None, Query(description="Only contacts of this campaign.")]
ManifestIs = Annotated[UUID | None, Query(description="Only contacts that this manifest lists.")]
InteractionKey = Annotated[UUID, Path(description="The interaction's id within this service.")]


def interaction_filters(
    view: CurrentView,
    case_id: CaseId = None,
    agency_id: AgencyId = None,
    outcome: OutcomeIs = None,
    rule: RuleIs = None,
    since: Since = None,
    until: Until = None,
    campaign: CampaignIs = None,
    manifest: ManifestIs = None,
) -> Filters:
    """Gather the parameters that narrow a list of interactions."""
    return Filters(
        case_id=case_id,
        agency_id=agency_id,
        outcome=outcome,
        rule=rule,
        since=since,
        to=until,
        period=view.period,
        campaign=campaign,
        manifest=manifest,
    )


InteractionFilters = Annotated[Filters, Depends(interaction_filters)]


def finding_filters(
    filters: InteractionFilters, severity: SeverityIs = None, disposition: DispositionIs = None
) -> Filters:
    """Gather the parameters that narrow a list of findings."""
    return replace(filters, severity=severity, disposition=disposition)


FindingFilters = Annotated[Filters, Depends(finding_filters)]


def within(view: View, first: datetime, after: datetime) -> bool:
    """Tell whether [first, after) lies inside what the caller may see."""
    return view.period is None or (view.period[0] <= first and after <= view.period[1])

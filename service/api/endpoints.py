"""Where a lender's alerts go: endpoints of every kind, and what each has subscribed to."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from rules.events import SafeStr
from rules.model import Disposition, Severity
from service.alerts import alert_log, endpoints
from service.api.deps import Administrator, LenderReader, TenantSession
from service.config import settings
from service.models import Endpoint, EndpointKind
from service.privacy.sealed_fields import opened

router = APIRouter(prefix="/v1/endpoints", tags=["alerts"])

EndpointKey = Annotated[UUID, Path(description="The endpoint's id.")]
Family = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Agencies = Annotated[list[UUID] | None, Field(max_length=500, description="None: all agencies.")]
Families = Annotated[
    list[Family] | None,
    Field(max_length=50, description="None: all families.", examples=[["THR", "PRV"]]),
]
Dispositions = Annotated[list[Disposition], Field(min_length=1, max_length=3)]
Window = Annotated[
    int | None,
    Field(
        ge=0,
        le=endpoints.MAX_WINDOW_S,
        description="How long findings of one agency and rule are gathered into one alert; "
        "critical ones never wait. None: as the kind does.",
    ),
]
After = Annotated[
    int | None,
    Field(
        ge=endpoints.ESCALATE_AFTER_S[0],
        le=endpoints.ESCALATE_AFTER_S[-1],
        description="After how many seconds an unacknowledged critical alert goes on.",
    ),
]
Secret = Annotated[SafeStr, StringConstraints(min_length=1, max_length=endpoints.MAX_SECRET)]
Url = Annotated[
    str,
    StringConstraints(max_length=2048),
    Field(description="https (http where the operator lists host and port), or mailto:."),
]


class EndpointIn(BaseModel):
    """A new endpoint and its subscription."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Url
    kind: EndpointKind = EndpointKind.WEBHOOK
    secret: Secret | None = Field(
        default=None, description="The robot's own, for dingtalk and feishu; a webhook's is made."
    )
    agencies: Agencies = None
    families: Families = None
    lowest_severity: Severity = Severity.LOW
    dispositions: Dispositions = [Disposition.VIOLATION]
    window_s: Window = None
    escalate_to: UUID | None = None
    escalate_after_s: After = None
    checkpoints: bool = Field(
        default=False, description="Post the ledger's signed heads too (webhooks only)."
    )


class EndpointChange(BaseModel):
    """What to change; what is left out stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agencies: Agencies = None
    families: Families = None
    lowest_severity: Severity = Severity.LOW
    dispositions: Dispositions = [Disposition.VIOLATION]
    window_s: int = Field(default=0, ge=0, le=endpoints.MAX_WINDOW_S)
    escalate_to: UUID | None = None
    escalate_after_s: After = None
    checkpoints: bool = Field(
        default=False, description="Post the ledger's signed heads too (webhooks only)."
    )
    active: bool = True


class EndpointOut(BaseModel):
    """An endpoint as it stands; its address is shown without what may be secret in it."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    kind: EndpointKind
    url: str
    active: bool
    disabled_reason: str | None
    failing_since: datetime | None
    agencies: list[UUID] | None
    families: list[str] | None
    lowest_severity: Severity
    dispositions: list[Disposition]
    window_s: int
    escalate_to: UUID | None
    escalate_after_s: int | None
    checkpoints: bool
    created_at: datetime

    @classmethod
    def of(cls, row: Endpoint, **more: Any) -> Self:
        """Show one row."""
        names = set(EndpointOut.model_fields) - {"url"}
        return cls(url=_shown(row), **{name: getattr(row, name) for name in names}, **more)


class NewEndpointOut(EndpointOut):
    """An endpoint with its secret, shown this once; empty where the kind has none of ours."""

    secret: str


class EndpointList(BaseModel):
    """The lender's endpoints, oldest first."""

    model_config = ConfigDict(frozen=True)

    items: list[EndpointOut]


class SecretIn(BaseModel):
    """The robot's new secret; nothing for a webhook, whose secret is made here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: Secret | None = None


class RecoverIn(BaseModel):
    """From when on everything is sent again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: AwareDatetime


class RecoveredOut(BaseModel):
    """How many alerts are on their way."""

    model_config = ConfigDict(frozen=True)

    alerts: int


class EndpointSecretOut(BaseModel):
    """A webhook's new secret, shown this once; the one before signs too for some hours."""

    model_config = ConfigDict(frozen=True)

    secret: str
    overlap_hours: int


def _shown(row: Endpoint) -> str:
    """A robot's address holds its token: all after the host is left out."""
    url = opened(row, "url")
    if row.kind == EndpointKind.EMAIL.value:
        return url
    scheme, _, rest = url.partition("://")
    if row.kind == EndpointKind.WEBHOOK.value:
        return url.partition("?")[0]
    return f"{scheme}://{rest.split('/', maxsplit=1)[0]}/…"


def _own_secret(row: Endpoint) -> str:
    return opened(row, "secret") if row.kind == EndpointKind.WEBHOOK.value else ""


@router.post("", status_code=201, summary="Add an endpoint for alerts")
def post_endpoint(
    caller: Administrator, session: TenantSession, endpoint: EndpointIn
) -> NewEndpointOut:
    """Add an address that alerts go to, and say which it wants."""
    wish = endpoints.EndpointWish(**dict(endpoint))
    made = endpoints.add_endpoint(session, tenant_id=caller.tenant_id, wish=wish, by=caller.key_id)
    return NewEndpointOut.of(made, secret=_own_secret(made))


@router.get("", summary="List endpoints")
def list_endpoints(caller: LenderReader, session: TenantSession) -> EndpointList:
    """List the endpoints, the switched-off ones too."""
    del caller
    return EndpointList(items=[EndpointOut.of(row) for row in endpoints.list_endpoints(session)])


@router.patch("/{endpoint}", summary="Change an endpoint")
def patch_endpoint(
    caller: Administrator,
    session: TenantSession,
    endpoint: EndpointKey,
    change: EndpointChange,
) -> EndpointOut:
    """Change what an endpoint has subscribed to, or switch it off and on."""
    changes = change.model_dump(exclude_unset=True)
    row = endpoints.change_endpoint(session, endpoint, changes, by=caller.key_id)
    return EndpointOut.of(row)


@router.delete("/{endpoint}", status_code=204, summary="Remove an endpoint")
def delete_endpoint(caller: Administrator, session: TenantSession, endpoint: EndpointKey) -> None:
    """Send it nothing more; critical alerts that it still had go to the other endpoints."""
    endpoints.remove_endpoint(session, endpoint, by=caller.key_id)


@router.post("/{endpoint}/secret", status_code=201, summary="Rotate an endpoint's secret")
def post_endpoint_secret(
    caller: Administrator, session: TenantSession, endpoint: EndpointKey, new: SecretIn
) -> EndpointSecretOut:
    """Give an endpoint a new secret."""
    row = endpoints.rotate_endpoint_secret(session, endpoint, secret=new.secret, by=caller.key_id)
    hours = settings().secret_overlap_hours if row.previous_until else 0
    return EndpointSecretOut(secret=_own_secret(row), overlap_hours=hours)


@router.post("/{endpoint}/recover", status_code=202, summary="Send everything since a time again")
def post_recover(
    caller: Administrator, session: TenantSession, endpoint: EndpointKey, wish: RecoverIn
) -> RecoveredOut:
    """Send all that the endpoint should have been told since then, under the same ids."""
    count = alert_log.recover(session, endpoint, since=wish.since, by=caller.key_id)
    return RecoveredOut(alerts=count)

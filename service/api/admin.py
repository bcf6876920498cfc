"""What a lender's administrator sets up: agencies and keys."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints

from rules.events import SafeStr
from service import tenants
from service.api.deps import Administrator, TenantSession
from service.config import settings
from service.models import Actor, Scope
from service.signature import forget_sources

router = APIRouter(tags=["administration"])


def _printable(value: str) -> str:
    if not value.isprintable() or not value.strip():
        message = "must be printable text"
        raise ValueError(message)
    return value


Label = Annotated[
    SafeStr, StringConstraints(min_length=1, max_length=200), AfterValidator(_printable)
]


class In(BaseModel):
    """A request body: fields we do not know are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Out(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True)


class AgencyIn(In):
    """A new agency."""

    name: Label


class AgencyOut(Out):
    """A new agency; the secret is shown this once."""

    id: UUID
    name: str
    webhook_path: str
    webhook_secret: str


class SecretOut(Out):
    """A new signing secret, shown this once; the one before stays good for some hours."""

    webhook_secret: str
    overlap_hours: int


class KeyIn(In):
    """What a new key should be good for."""

    actor: Actor
    scope: Scope
    label: Label
    agency_id: UUID | None = None
    expires_at: AwareDatetime | None = None
    period_from: AwareDatetime | None = None
    period_to: AwareDatetime | None = None


class KeyOut(Out):
    """A new key; `key` is shown this once."""

    id: UUID
    key_id: str
    key: str


@router.post("/v1/agencies", status_code=201, summary="Add an agency")
def post_agency(caller: Administrator, session: TenantSession, agency: AgencyIn) -> AgencyOut:
    """Add an agency and show the secret that signs its webhooks."""
    made = tenants.add_agency(
        session, tenant_id=caller.tenant_id, name=agency.name, by=caller.key_id
    )
    return AgencyOut(
        id=made.id,
        name=made.name,
        webhook_path=f"/v1/webhooks/{made.id}",
        webhook_secret=made.webhook_secret,
    )


@router.post("/v1/agencies/{agency_id}/secret", status_code=201, summary="Rotate a secret")
def post_secret(caller: Administrator, session: TenantSession, agency_id: UUID) -> SecretOut:
    """Give an agency's webhooks a new secret; both are good for a while."""
    secret = tenants.rotate_secret(
        session, tenant_id=caller.tenant_id, agency_id=agency_id, by=caller.key_id
    )
    forget_sources()
    return SecretOut(webhook_secret=secret, overlap_hours=settings().secret_overlap_hours)


@router.post("/v1/keys", status_code=201, summary="Add an API key")
def post_key(caller: Administrator, session: TenantSession, key: KeyIn) -> KeyOut:
    """Add a key for the lender, one of its agencies or a regulator."""
    wish = tenants.KeyWish(**key.model_dump())
    issued = tenants.add_key(session, tenant_id=caller.tenant_id, wish=wish, by=caller.key_id)
    return KeyOut(id=issued.id, key_id=issued.key_id, key=issued.token)


@router.delete("/v1/keys/{key}", status_code=204, summary="Revoke an API key")
def delete_key(caller: Administrator, session: TenantSession, key: UUID) -> None:
    """End a key; the next request with it is refused."""
    tenants.revoke_key(session, tenant_id=caller.tenant_id, key=key, by=caller.key_id)

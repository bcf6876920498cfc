"""What a lender's administrator sets up: agencies and keys."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from rules.events import SafeStr
from service.access import keys as access_keys
from service.access import tenants
from service.access.keys import MAX_OVERLAP_HOURS, Owner
from service.api.deps import Administrator, TenantSession
from service.api.reading import Cursor, Limit
from service.config import settings
from service.models import Actor, Agency, ApiKey, Scope
from service.read import make_cursor, read_cursor
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
AgencyKey = Annotated[UUID, Path(description="The agency's id.")]
KeyKey = Annotated[UUID, Path(description="The key's id, as the list of keys shows it.")]


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


class AgencyStateOut(Out):
    """Where an agency stands; one that is suspended or removed is refused everywhere."""

    id: UUID
    name: str
    suspended_at: datetime | None
    removed_at: datetime | None

    @classmethod
    def of(cls, row: Agency) -> "AgencyStateOut":
        """Show one row."""
        return cls.model_validate(row, from_attributes=True)


class SecretOut(Out):
    """A new signing secret, shown this once; the one before stays good for some hours."""

    webhook_secret: str
    overlap_hours: int


class KeyIn(In):
    """What a new key should be good for; a regulator's keys are made by the operator."""

    actor: Actor = Field(description="`lender` or `agency`.", examples=["agency"])
    scope: Scope = Field(
        description="lender: `admin`, `review`, `read`; agency: `send`, `quality`, `read`.",
        examples=["send"],
    )
    label: Label
    agency_id: UUID | None = None
    expires_at: AwareDatetime | None = None


class RotateIn(In):
    """How long the old key stays good beside its successor."""

    overlap_hours: int | None = Field(
        default=None,
        ge=0,
        le=MAX_OVERLAP_HOURS,
        description="None: as the operator set it (HEGUI_SECRET_OVERLAP_HOURS).",
    )


class KeyOut(Out):
    """A new key; `key` is shown this once."""

    id: UUID
    key_id: str
    key: str

    @classmethod
    def of(cls, issued: access_keys.IssuedKey) -> "KeyOut":
        """Show a new key."""
        return cls(id=issued.id, key_id=issued.key_id, key=issued.token)


class KeyStateOut(Out):
    """One key as it stands; its secret is kept by nobody."""

    id: UUID
    key_id: str
    actor: Actor
    scope: Scope
    label: str
    agency_id: UUID | None
    created_at: datetime
    expires_at: datetime | None
    suspended_at: datetime | None
    revoked_at: datetime | None
    replaces: UUID | None = Field(description="The key that this one came from by rotation.")
    person_id: UUID | None = Field(description="Whose key it is; null: nobody's, as a machine's.")

    @classmethod
    def of(cls, row: ApiKey) -> "KeyStateOut":
        """Show one row."""
        return cls.model_validate(row, from_attributes=True)


class KeyPage(Out):
    """One page of keys, newest first."""

    items: list[KeyStateOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


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
def post_secret(caller: Administrator, session: TenantSession, agency_id: AgencyKey) -> SecretOut:
    """Give an agency's webhooks a new secret; both are good for a while."""
    secret = tenants.rotate_secret(
        session, tenant_id=caller.tenant_id, agency_id=agency_id, by=caller.key_id
    )
    forget_sources()
    return SecretOut(webhook_secret=secret, overlap_hours=settings().secret_overlap_hours)


@router.post("/v1/agencies/{agency_id}/suspend", summary="Suspend an agency")
def post_suspend_agency(
    caller: Administrator, session: TenantSession, agency_id: AgencyKey
) -> AgencyStateOut:
    """Refuse an agency's keys and webhooks until it is resumed; its contacts stay."""
    row = tenants.suspend_agency(session, agency_id, by=caller.key_id)
    forget_sources()
    return AgencyStateOut.of(row)


@router.post("/v1/agencies/{agency_id}/resume", summary="Resume an agency")
def post_resume_agency(
    caller: Administrator, session: TenantSession, agency_id: AgencyKey
) -> AgencyStateOut:
    """Take a suspended agency's keys and webhooks again."""
    row = tenants.resume_agency(session, agency_id, by=caller.key_id)
    forget_sources()
    return AgencyStateOut.of(row)


@router.delete("/v1/agencies/{agency_id}", status_code=204, summary="Remove an agency")
def delete_agency(caller: Administrator, session: TenantSession, agency_id: AgencyKey) -> None:
    """End an agency's keys and webhooks for good; its contacts stay with the lender."""
    tenants.remove_agency(session, agency_id, by=caller.key_id)
    forget_sources()


@router.post("/v1/keys", status_code=201, summary="Add an API key")
def post_key(caller: Administrator, session: TenantSession, key: KeyIn) -> KeyOut:
    """Add a key for the lender or one of its agencies."""
    wish = access_keys.KeyWish(**key.model_dump())
    issued = access_keys.add_key(session, tenant_id=caller.tenant_id, wish=wish, by=caller.key_id)
    return KeyOut.of(issued)


@router.get("/v1/keys", summary="List API keys")
def list_keys(
    caller: Administrator, session: TenantSession, cursor: Cursor = None, limit: Limit = 50
) -> KeyPage:
    """List the keys of the lender and its agencies, newest first, the ended ones too."""
    after = read_cursor(cursor) if cursor else None
    rows = access_keys.list_keys(session, Owner(caller.tenant_id), after=after, limit=limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    return KeyPage(
        items=[KeyStateOut.of(row) for row in rows[:limit]],
        next_cursor=make_cursor(last.created_at, last.id) if last else None,
    )


@router.post("/v1/keys/{key}/rotate", status_code=201, summary="Rotate an API key")
def post_rotate(
    caller: Administrator, session: TenantSession, key: KeyKey, wish: RotateIn
) -> KeyOut:
    """Make a key's successor; the key itself stays good for the overlap."""
    issued = access_keys.rotate_key(
        session,
        Owner(caller.tenant_id),
        key,
        overlap_hours=wish.overlap_hours,
        by=caller.key_id,
    )
    return KeyOut.of(issued)


@router.post("/v1/keys/{key}/suspend", summary="Suspend an API key")
def post_suspend_key(caller: Administrator, session: TenantSession, key: KeyKey) -> KeyStateOut:
    """Refuse a key from its next request on, until it is resumed."""
    row = access_keys.suspend_key(session, Owner(caller.tenant_id), key, by=caller.key_id)
    return KeyStateOut.of(row)


@router.post("/v1/keys/{key}/resume", summary="Resume an API key")
def post_resume_key(caller: Administrator, session: TenantSession, key: KeyKey) -> KeyStateOut:
    """Take a suspended key again; one that is over stays over."""
    row = access_keys.resume_key(session, Owner(caller.tenant_id), key, by=caller.key_id)
    return KeyStateOut.of(row)


@router.delete("/v1/keys/{key}", status_code=204, summary="Revoke an API key")
def delete_key(caller: Administrator, session: TenantSession, key: KeyKey) -> None:
    """End a key for good; the next request with it is refused."""
    access_keys.revoke_key(session, Owner(caller.tenant_id), key, by=caller.key_id)

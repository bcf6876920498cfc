"""Grants of regulators: requested, approved by two, read under, ended; and what was read."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from rules.events import SafeStr
from service.access import grants
from service.access.grants import GrantState, GrantWish
from service.access.models import AccessGrant, AccessKind, GrantAccess, GrantField
from service.api.admin import Label
from service.api.deps import Administrator, LenderReader, RegulatorCaller, TenantSession
from service.api.reading import Cursor, InteractionKey, Limit

router = APIRouter(tags=["grants"])

GrantKey = Annotated[UUID, Path(description="The grant's id.")]
Text = Annotated[SafeStr, StringConstraints(min_length=1, max_length=500)]


class GrantIn(BaseModel):
    """The terms of a grant. It opens verdicts with their evidence; `fields` open more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    regulator_id: UUID
    case_number: Label = Field(
        description="The regulator's own number of its proceeding.", examples=["金罚查〔2026〕12号"]
    )
    purpose: Text = Field(examples=["on-site inspection of outsourced collection, June 2026"])
    agencies: Annotated[list[UUID], Field(max_length=500)] | None = Field(
        default=None, description="None: all agencies."
    )
    fields: list[GrantField] = Field(
        default=[],
        max_length=10,
        description="`personal` allows to unmask contacts, one by one and each with a reason.",
    )
    period_from: AwareDatetime = Field(description="Contacts that started at or after.")
    period_to: AwareDatetime = Field(description="Contacts that started before.")
    starts_at: AwareDatetime | None = Field(default=None, description="None: when approved.")
    ends_at: AwareDatetime = Field(description="When the grant is over, at most 366 days later.")


class GrantOut(BaseModel):
    """A grant as it stands."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    state: GrantState
    regulator_id: UUID
    case_number: str
    purpose: str
    agencies: list[UUID] | None
    fields: list[GrantField]
    period_from: datetime
    period_to: datetime
    starts_at: datetime
    ends_at: datetime
    requested_by: str
    requested_at: datetime
    first_approver: str | None
    first_approved_at: datetime | None
    second_approver: str | None
    second_approved_at: datetime | None
    ended_by: str | None
    ended_at: datetime | None

    @classmethod
    def of(cls, row: AccessGrant, at: datetime) -> "GrantOut":
        """Show one row as it stands at the database's time."""
        names = set(GrantOut.model_fields) - {"state"}
        return cls(state=grants.state_of(row, at), **{name: getattr(row, name) for name in names})


class GrantPage(BaseModel):
    """One page of grants, newest request first."""

    model_config = ConfigDict(frozen=True)

    items: list[GrantOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


class OwnGrantOut(BaseModel):
    """A grant as its regulator sees it."""

    model_config = ConfigDict(frozen=True)

    id: UUID = Field(description="Send it as the header `Hegui-Grant`, where several are live.")
    lender: str
    state: GrantState
    case_number: str
    purpose: str
    fields: list[GrantField]
    period_from: datetime
    period_to: datetime
    starts_at: datetime
    ends_at: datetime

    @classmethod
    def of_own(cls, row: AccessGrant, lender: str, state: GrantState) -> "OwnGrantOut":
        """Show one row."""
        names = set(cls.model_fields) - {"lender", "state"}
        return cls(lender=lender, state=state, **{name: getattr(row, name) for name in names})


class AccessOut(BaseModel):
    """One act under a grant, written down before anything was read."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: UUID
    at: datetime
    key_id: str
    kind: AccessKind
    route: str
    subject_id: str | None = Field(description="The id that was asked for, where one was.")
    reason: str | None = Field(description="Why a contact was unmasked, in the reader's words.")

    @classmethod
    def of(cls, row: GrantAccess) -> "AccessOut":
        """Show one row."""
        return cls.model_validate(row)


class AccessPage(BaseModel):
    """One page of what was done under a grant, newest first."""

    model_config = ConfigDict(frozen=True)

    items: list[AccessOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


class UnmaskIn(BaseModel):
    """Why the names and numbers of this contact are needed; the lender reads it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Text


class UnmaskedOut(BaseModel):
    """Until when this key sees the contact as it is."""

    model_config = ConfigDict(frozen=True)

    until: datetime


@router.post("/v1/grants", status_code=201, summary="Request a grant")
def post_grant(caller: Administrator, session: TenantSession, grant: GrantIn) -> GrantOut:
    """Write down what a regulator should read; it opens nothing before two have approved it."""
    wish = GrantWish(**{**dict(grant), "fields": frozenset(grant.fields)})
    row = grants.request_grant(session, tenant_id=caller.tenant_id, wish=wish, by=caller.key_id)
    return GrantOut.of(row, grants.database_now(session))


@router.get("/v1/grants", summary="List grants")
def list_grants(
    caller: LenderReader, session: TenantSession, cursor: Cursor = None, limit: Limit = 50
) -> GrantPage:
    """List the lender's grants, newest first; a regulator finds its own under `/v1/me`."""
    del caller
    page, at = grants.list_grants(session, cursor=cursor, limit=limit), grants.database_now(session)
    return GrantPage(
        items=[GrantOut.of(row, at) for row in page.rows], next_cursor=page.next_cursor
    )


@router.get("/v1/grants/{grant}", summary="Read a grant")
def get_grant(caller: LenderReader, session: TenantSession, grant: GrantKey) -> GrantOut:
    """Show one grant's terms, approvals and end."""
    del caller
    return GrantOut.of(grants.get_grant(session, grant), grants.database_now(session))


@router.post("/v1/grants/{grant}/approve", summary="Approve a grant")
def post_approve(caller: Administrator, session: TenantSession, grant: GrantKey) -> GrantOut:
    """Give the first or second approval; the two are different people."""
    row = grants.approve_grant(session, grant, by=caller.key_id)
    return GrantOut.of(row, grants.database_now(session))


@router.post("/v1/grants/{grant}/end", summary="End a grant")
def post_end(caller: Administrator, session: TenantSession, grant: GrantKey) -> GrantOut:
    """Refuse a request or end a grant: at once, and for good."""
    row = grants.end_grant(session, grant, by=caller.key_id)
    return GrantOut.of(row, grants.database_now(session))


@router.get("/v1/grants/{grant}/accesses", summary="What was read under a grant?")
def list_accesses(
    caller: LenderReader,
    session: TenantSession,
    grant: GrantKey,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AccessPage:
    """List every act of the regulator under this grant, newest first."""
    del caller
    page = grants.list_accesses(session, grant, cursor=cursor, limit=limit)
    return AccessPage(items=[AccessOut.of(row) for row in page.rows], next_cursor=page.next_cursor)


@router.post("/v1/interactions/{interaction}/unmask", summary="Unmask one contact")
def post_unmask(
    caller: RegulatorCaller, session: TenantSession, interaction: InteractionKey, wish: UnmaskIn
) -> UnmaskedOut:
    """Show one contact as it is to this key, for an hour; the lender sees who did it and why."""
    return UnmaskedOut(until=grants.unmask(session, caller, interaction, reason=wish.reason))

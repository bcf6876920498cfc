"""Whom a key speaks for, and the audit trail that the lender's administrator reads."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from service.access import admission as access
from service.access import grants, tenants
from service.access.admission import EntryFilters
from service.access.models import Regulator
from service.api.deps import Administrator, CurrentCredential, LenderReader, TenantSession
from service.api.grants import OwnGrantOut
from service.api.reading import Cursor, Limit, Since, Until
from service.models import Actor, AuditEntry, Scope

router = APIRouter(tags=["access"])

Word = Annotated[str | None, Query(max_length=128, pattern=r"^[!-~]+$")]


class MeOut(BaseModel):
    """Whom the key or session of this request speaks for."""

    model_config = ConfigDict(frozen=True)

    actor: Actor
    scope: Scope
    key_id: str = Field(description="What acts are written down under: a key's or person's id.")
    person: str = Field(description="Who counts as one where people are counted.")
    session_id: UUID | None = Field(description="The session; null for a key.")
    owner: str = Field(description="The name of the lender or the regulator.")
    tenant_id: UUID | None = Field(description="The lender; null for regulators and operators.")
    agency_id: UUID | None
    regulator_id: UUID | None
    grants: list[OwnGrantOut] = Field(description="A regulator's grants, newest first.")


class EntryOut(BaseModel):
    """One act: who did what, when; `details` holds ids, counts and digests."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    seq: int
    at: datetime
    actor: str = Field(description="The id of a key or a person, or the name of a process.")
    action: str = Field(examples=["agency_suspended"])
    subject_id: str | None
    details: dict[str, Any]

    @classmethod
    def of(cls, row: AuditEntry) -> "EntryOut":
        """Show one row."""
        return cls.model_validate(row)


class EntryPage(BaseModel):
    """One page of the audit trail, newest first."""

    model_config = ConfigDict(frozen=True)

    items: list[EntryOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


class RegulatorOut(BaseModel):
    """An authority that the operator knows; a lender may grant it something."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: UUID
    name: str
    suspended_at: datetime | None
    removed_at: datetime | None

    @classmethod
    def of(cls, row: Regulator) -> "RegulatorOut":
        """Show one row."""
        return cls.model_validate(row)


class RegulatorList(BaseModel):
    """Every regulator, oldest first."""

    model_config = ConfigDict(frozen=True)

    items: list[RegulatorOut]


def entry_filters(
    action: Annotated[Word, Query(description="Only this act, as `key_revoked`.")] = None,
    actor: Annotated[Word, Query(description="Only by this key or process.")] = None,
    subject_id: Annotated[Word, Query(description="Only about this.")] = None,
    since: Since = None,
    until: Until = None,
) -> EntryFilters:
    """Gather the parameters that narrow the audit trail."""
    return EntryFilters(action, actor, subject_id, since, until)


@router.get("/v1/me", summary="Whom does this key or session speak for?")
def get_me(caller: CurrentCredential) -> MeOut:
    """Tell actor, scope and owner of the key or session; a regulator's grants too, live or not."""
    own = grants.list_own_grants(caller.regulator_id) if caller.regulator_id else []
    return MeOut(
        actor=caller.actor,
        scope=caller.scope,
        key_id=caller.key_id,
        person=caller.person,
        session_id=caller.session_id,
        owner=caller.owner,
        tenant_id=caller.tenant_id,
        agency_id=caller.agency_id,
        regulator_id=caller.regulator_id,
        grants=[OwnGrantOut.of_own(*found) for found in own],
    )


@router.get("/v1/audit", summary="Read the audit trail")
def list_audit(
    caller: Administrator,
    session: TenantSession,
    filters: Annotated[EntryFilters, Depends(entry_filters)],
    cursor: Cursor = None,
    limit: Limit = 50,
) -> EntryPage:
    """List who did what, newest first: administration, every read by a regulator, every grant."""
    del caller
    rows, next_cursor = access.list_entries(session, filters, cursor=cursor, limit=limit)
    return EntryPage(items=[EntryOut.of(row) for row in rows], next_cursor=next_cursor)


@router.get("/v1/regulators", summary="List regulators")
def list_regulators(caller: LenderReader, session: TenantSession) -> RegulatorList:
    """List the authorities that a grant can be made for."""
    del caller
    return RegulatorList(items=[RegulatorOut.of(row) for row in tenants.list_regulators(session)])

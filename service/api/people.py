"""Who may sign in: a lender's administrator looks after its people, an operator after the rest."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from service.access import persons
from service.access.person_models import Person
from service.access.persons import PersonWish
from service.api.admin import Label
from service.api.deps import CircleSession, PeopleKeeper
from service.api.reading import Cursor, Limit
from service.api.session import Email, In, SessionList, SessionOut
from service.config import settings
from service.models import Actor, Scope
from service.read import make_cursor, read_cursor

router = APIRouter(tags=["people"])

PersonKey = Annotated[UUID, Path(description="The person's id, as the list of people shows it.")]


class PersonIn(In):
    """Somebody who shall sign in. A lender's people stand for the lender or one of its agencies."""

    actor: Actor = Field(
        description="`lender` or `agency`; for an operator `regulator` or `operator`.",
        examples=["lender"],
    )
    scope: Scope = Field(
        description="lender: `admin`, `review`, `read`; agency: `send`, `quality`, `read`;"
        " regulator: `read`; operator: `operate`.",
        examples=["review"],
    )
    email: Email
    name: Label
    agency_id: UUID | None = None
    regulator_id: UUID | None = None


class RoleIn(In):
    """Another role."""

    scope: Scope


class PersonOut(BaseModel):
    """Somebody who may sign in; `handle` is the name in the audit trail, in reviews and grants."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: UUID
    handle: str = Field(examples=["usr_4fT0aZ81kQpX"])
    actor: Actor
    scope: Scope
    email: str
    name: str
    agency_id: UUID | None
    regulator_id: UUID | None
    has_password: bool
    has_provider: bool = Field(description="Whether the person signed in at the provider before.")
    created_at: datetime
    suspended_at: datetime | None
    removed_at: datetime | None

    @classmethod
    def of(cls, row: Person) -> "PersonOut":
        """Show one row."""
        return cls.model_validate(
            {
                **row.model_dump(),
                "has_password": row.password is not None,
                "has_provider": row.oidc_subject is not None,
            }
        )


class PersonPage(BaseModel):
    """One page of people, newest first."""

    model_config = ConfigDict(frozen=True)

    items: list[PersonOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


class TokenOut(BaseModel):
    """A token that sets one person's password once (`POST /v1/password`); it is shown this once."""

    model_config = ConfigDict(frozen=True)

    token: str
    hours: int = Field(description="How long it is good.")

    @classmethod
    def of(cls, token: str) -> "TokenOut":
        """Show a new token."""
        return cls(token=token, hours=settings().set_password_hours)


class NewPersonOut(BaseModel):
    """A new person, and the token with which that person sets the first password."""

    model_config = ConfigDict(frozen=True)

    person: PersonOut
    password_token: TokenOut


@router.post("/v1/people", status_code=201, summary="Add a person")
def post_person(caller: PeopleKeeper, session: CircleSession, person: PersonIn) -> NewPersonOut:
    """Add somebody and show a token, for that person alone, that sets the first password."""
    wish = PersonWish(**person.model_dump())
    row = persons.add_person(session, caller.circle, wish, by=caller.key_id)
    token = persons.issue_password_token(session, row, by=caller.key_id)
    return NewPersonOut(person=PersonOut.of(row), password_token=TokenOut.of(token))


@router.get("/v1/people", summary="List people")
def list_people(
    caller: PeopleKeeper, session: CircleSession, cursor: Cursor = None, limit: Limit = 50
) -> PersonPage:
    """List who may sign in, newest first, the removed ones too."""
    after = read_cursor(cursor) if cursor else None
    rows = persons.list_people(session, caller.circle, after=after, limit=limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    return PersonPage(
        items=[PersonOut.of(row) for row in rows[:limit]],
        next_cursor=make_cursor(last.created_at, last.id) if last else None,
    )


@router.get("/v1/people/{person}", summary="Read a person")
def get_person(caller: PeopleKeeper, session: CircleSession, person: PersonKey) -> PersonOut:
    """Show one person."""
    return PersonOut.of(persons.get_person(session, caller.circle, person))


@router.patch("/v1/people/{person}", summary="Change a person's role")
def patch_person(
    caller: PeopleKeeper, session: CircleSession, person: PersonKey, role: RoleIn
) -> PersonOut:
    """Give another role: sessions end, and the person's own keys that may more than it."""
    row = persons.change_scope(session, caller.circle, person, role.scope, by=caller.key_id)
    return PersonOut.of(row)


@router.post("/v1/people/{person}/suspend", summary="Suspend a person")
def post_suspend(caller: PeopleKeeper, session: CircleSession, person: PersonKey) -> PersonOut:
    """Refuse somebody's sessions and own keys from the next request on, until resumed."""
    return PersonOut.of(persons.suspend_person(session, caller.circle, person, by=caller.key_id))


@router.post("/v1/people/{person}/resume", summary="Resume a person")
def post_resume(caller: PeopleKeeper, session: CircleSession, person: PersonKey) -> PersonOut:
    """Let somebody sign in again."""
    return PersonOut.of(persons.resume_person(session, caller.circle, person, by=caller.key_id))


@router.delete("/v1/people/{person}", status_code=204, summary="Remove a person")
def delete_person(caller: PeopleKeeper, session: CircleSession, person: PersonKey) -> None:
    """End somebody's sessions and own keys for good; what the person did keeps the handle."""
    persons.remove_person(session, caller.circle, person, by=caller.key_id)


@router.post(
    "/v1/people/{person}/password-token", status_code=201, summary="Let a person set a password"
)
def post_password_token(
    caller: PeopleKeeper, session: CircleSession, person: PersonKey
) -> TokenOut:
    """Show a token that sets the person's password once; the tokens before are void.

    The person approves nothing that was asked for before the password is set.
    """
    row = persons.get_person(session, caller.circle, person)
    return TokenOut.of(persons.issue_password_token(session, row, by=caller.key_id))


@router.get("/v1/people/{person}/sessions", summary="List a person's open sessions")
def list_sessions(caller: PeopleKeeper, session: CircleSession, person: PersonKey) -> SessionList:
    """List somebody's open sessions, newest first."""
    row = persons.get_person(session, caller.circle, person)
    found = persons.list_sessions(session, row.id)
    return SessionList(items=[SessionOut.of(each, None) for each in found])


@router.delete(
    "/v1/people/{person}/sessions", status_code=204, summary="End a person's open sessions"
)
def delete_sessions(caller: PeopleKeeper, session: CircleSession, person: PersonKey) -> None:
    """End all of somebody's sessions, at once; again changes nothing."""
    persons.sign_out_person(session, caller.circle, person, by=caller.key_id)

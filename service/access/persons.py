"""People who sign in: invited, given another role, suspended, resumed, removed.

Like keys they are read before a tenant is known: every statement names whose people are meant.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, text, update
from sqlmodel import Session, col, select

from service.access.keys import (
    ALLOWED_SCOPES,
    get_regulator,
    make_token,
    random_text,
    refuse_last_administrator,
)
from service.access.notebook import note
from service.access.person_models import ConsoleSession, PasswordToken, Person
from service.clock import now
from service.config import settings
from service.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from service.models import Actor, Agency, ApiKey, Scope

TOKEN_PREFIX = "hgp"  # noqa: S105  how the token begins
_HANDLE_LENGTH = 12
# A lender's keys by what they may do; a person with less keeps no key that may more.
_REACH = {Scope.ADMIN: 2, Scope.REVIEW: 1, Scope.READ: 0}
_VOID_TOKENS = text(
    "update password_token set used_at = clock_timestamp()"
    " where person_id = :person and used_at is null"
)
_END_SESSIONS = text(
    "update console_session set ended_at = clock_timestamp()"
    " where person_id = :person and ended_at is null and id is distinct from :but"
)


@dataclass(frozen=True, slots=True)
class Circle:
    """Whose people are meant: a lender's and its agencies'; None: regulators' and operators."""

    tenant_id: UUID | None

    def holds(self) -> ColumnElement[bool]:
        """The condition on a person to be one of these."""
        if self.tenant_id is not None:
            return col(Person.tenant_id) == self.tenant_id
        return col(Person.tenant_id).is_(None)


@dataclass(frozen=True, slots=True)
class PersonWish:
    """Who should be let in, and what for."""

    actor: Actor
    scope: Scope
    email: str
    name: str
    agency_id: UUID | None = None
    regulator_id: UUID | None = None


def normal_email(email: str) -> str:
    """One spelling of an address: nobody tells people apart by capitals."""
    return email.strip().casefold()


def token_digest(token: str) -> str:
    """What is kept of a token that sets a password, or of a session's."""
    return hashlib.sha256(token.encode()).hexdigest()


def add_person(session: Session, circle: Circle, wish: PersonWish, *, by: str) -> Person:
    """Add somebody, who cannot sign in before a password is set or the provider vouches.

    Raises `InvalidInputError` where the wish contradicts itself, `ConflictError` for an address
    that is taken.
    """
    _refuse_wish(session, circle, wish)
    email = normal_email(wish.email)
    taken = session.exec(
        select(Person)
        .where(circle.holds(), col(Person.email) == email, col(Person.removed_at).is_(None))
        .where(col(Person.regulator_id).is_not_distinct_from(wish.regulator_id))
    ).first()
    if taken is not None:
        raise ConflictError(
            f"This address is {taken.handle}'s; change that person, or remove it first.",
            code="person_exists",
        )
    row = Person(
        handle=f"usr_{random_text(_HANDLE_LENGTH)}",
        tenant_id=circle.tenant_id,
        agency_id=wish.agency_id,
        regulator_id=wish.regulator_id,
        actor=wish.actor.value,
        scope=wish.scope.value,
        email=email,
        name=wish.name,
    )
    session.add(row)
    _note(session, row, by, "person_added", actor=row.actor, scope=row.scope)
    session.flush()
    return row


def _refuse_wish(session: Session, circle: Circle, wish: PersonWish) -> None:
    """Raise where actor, scope, agency and regulator do not fit together, or not to the circle."""
    problems = [_scope_problem(wish.actor, wish.scope)]
    if (wish.actor in {Actor.LENDER, Actor.AGENCY}) != (circle.tenant_id is not None):
        hint = "a lender's people are lender's and agency's; regulators' are the operator's to add"
        problems.append(FieldProblem("actor", hint))
    if (wish.actor is Actor.AGENCY) != (wish.agency_id is not None):
        problems.append(FieldProblem("agency_id", "belongs to people of agencies, and only them"))
    elif wish.agency_id is not None:
        agency = session.exec(select(Agency).where(col(Agency.id) == wish.agency_id)).one_or_none()
        if agency is None or agency.removed_at is not None:
            problems.append(FieldProblem("agency_id", "is not an agency of this lender"))
    if (wish.actor is Actor.REGULATOR) != (wish.regulator_id is not None):
        problems.append(FieldProblem("regulator_id", "belongs to people of regulators, only them"))
    elif wish.regulator_id is not None and not _is_regulator(session, wish.regulator_id):
        problems.append(FieldProblem("regulator_id", "is no regulator that the operator knows"))
    found = tuple(problem for problem in problems if problem is not None)
    if found:
        raise InvalidInputError("The person cannot be added.", errors=found)


def _scope_problem(actor: Actor, scope: Scope) -> FieldProblem | None:
    allowed = {Scope.OPERATE} if actor is Actor.OPERATOR else ALLOWED_SCOPES[actor]
    if scope in allowed:
        return None
    return FieldProblem("scope", "must be one of: " + ", ".join(sorted(allowed)))


def _is_regulator(session: Session, regulator_id: UUID) -> bool:
    try:
        return get_regulator(session, regulator_id).removed_at is None
    except NotFoundError:
        return False


def issue_password_token(session: Session, row: Person, *, by: str) -> str:
    """Return a token that sets this person's password, once; the ones before are void.

    Raises `ConflictError` for somebody who was removed.
    """
    _refuse_removed(row)
    _void_tokens(session, row.id)
    token, _ = make_token(TOKEN_PREFIX)
    begun = database_now(session)
    session.add(
        PasswordToken(
            digest=token_digest(token),
            person_id=row.id,
            created_at=begun,
            expires_at=begun + timedelta(hours=settings().set_password_hours),
        )
    )
    _note(session, row, by, "password_token_issued")
    session.flush()
    return token


def database_now(session: Session) -> datetime:
    """Return the database's time: it alone says what is over."""
    found: datetime = session.exec(select(func.clock_timestamp())).one()
    return found


def _void_tokens(session: Session, person: UUID) -> None:
    session.connection().execute(_VOID_TOKENS, {"person": person})


def get_person(session: Session, circle: Circle, person: UUID) -> Person:
    """One of the circle's people, locked; raises `NotFoundError`."""
    row = session.exec(
        select(Person).where(col(Person.id) == person, circle.holds()).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFoundError("There is no such person.")
    return row


def list_people(
    session: Session, circle: Circle, *, after: tuple[datetime, UUID] | None = None, limit: int = 50
) -> Sequence[Person]:
    """Return a circle's people, newest first, the removed ones too; from `after` on."""
    query = select(Person).where(circle.holds())
    if after is not None:
        moment, person = after
        query = query.where(
            (col(Person.created_at) < moment)
            | ((col(Person.created_at) == moment) & (col(Person.id) < person))
        )
    return session.exec(
        query.order_by(col(Person.created_at).desc(), col(Person.id).desc()).limit(limit)
    ).all()


def change_scope(
    session: Session, circle: Circle, person: UUID, scope: Scope, *, by: str
) -> Person:
    """Give somebody another role; sessions end, and own keys that may more than the new role.

    The same role again changes nothing. Raises `InvalidInputError` for a role of other actors.
    """
    row = get_person(session, circle, person)
    _refuse_removed(row)
    problem = _scope_problem(Actor(row.actor), scope)
    if problem is not None:
        raise InvalidInputError("The role cannot be given.", errors=(problem,))
    if row.scope != scope:
        _refuse_last(session, row, by)
        before, row.scope = row.scope, scope.value
        keys = _end_keys(session, row, least=_REACH.get(scope, 0) + 1)
        sessions = end_sessions(session, row.id)
        session.flush()
        _note(
            session, row, by, "person_role_changed",
            before=before, scope=row.scope, keys_ended=keys, sessions_ended=sessions,
        )  # fmt: skip
    return row


def suspend_person(session: Session, circle: Circle, person: UUID, *, by: str) -> Person:
    """Refuse somebody's sessions and keys from the next request on, until resumed."""
    row = get_person(session, circle, person)
    _refuse_removed(row)
    if row.suspended_at is None:
        _refuse_last(session, row, by)
        row.suspended_at = now()
        ended = end_sessions(session, row.id)
        session.flush()
        _note(session, row, by, "person_suspended", sessions_ended=ended)
    return row


def resume_person(session: Session, circle: Circle, person: UUID, *, by: str) -> Person:
    """Let somebody sign in again; the sessions from before stay ended."""
    row = get_person(session, circle, person)
    _refuse_removed(row)
    if row.suspended_at is not None:
        row.suspended_at = None
        session.flush()
        _note(session, row, by, "person_resumed")
    return row


def remove_person(session: Session, circle: Circle, person: UUID, *, by: str) -> None:
    """End somebody's sessions, keys and tokens for good; again changes nothing.

    What the person did keeps the handle; the address is free for somebody else.
    """
    row = get_person(session, circle, person)
    if row.removed_at is None:
        _refuse_last(session, row, by)
        _void_tokens(session, row.id)
        keys, ended = _end_keys(session, row, least=0), end_sessions(session, row.id)
        row.password = row.password_at = None
        row.removed_at = now()
        session.flush()
        _note(session, row, by, "person_removed", keys_ended=keys, sessions_ended=ended)


def end_sessions(session: Session, person: UUID, *, but: UUID | None = None) -> int:
    """End all of somebody's sessions but one; tells how many there were."""
    done = session.connection().execute(_END_SESSIONS, {"person": person, "but": but})
    return int(done.rowcount)


def list_sessions(session: Session, person: UUID) -> Sequence[ConsoleSession]:
    """Somebody's sessions that are open now, newest first."""
    at = func.clock_timestamp()
    idle = timedelta(minutes=settings().session_idle_minutes)
    return session.exec(
        select(ConsoleSession)
        .where(col(ConsoleSession.person_id) == person, col(ConsoleSession.ended_at).is_(None))
        .where(col(ConsoleSession.expires_at) > at, col(ConsoleSession.seen_at) > at - idle)
        .order_by(col(ConsoleSession.created_at).desc(), col(ConsoleSession.id).desc())
    ).all()


def end_session(session: Session, person: Person, wanted: UUID, *, by: str) -> None:
    """End one of somebody's sessions; again changes nothing. Raises `NotFoundError`."""
    row = session.exec(
        select(ConsoleSession)
        .where(col(ConsoleSession.id) == wanted, col(ConsoleSession.person_id) == person.id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFoundError("There is no such session.")
    if row.ended_at is None:
        row.ended_at = database_now(session)
        _note(session, person, by, "session_ended", console_session=str(row.id))


def _end_keys(session: Session, row: Person, *, least: int) -> int:
    """End the keys that belong to somebody and reach at least so far; tells how many."""
    scopes = [scope.value for scope, reach in _REACH.items() if reach >= least]
    done = session.connection().execute(
        update(ApiKey)
        .where(col(ApiKey.person_id) == row.id, col(ApiKey.revoked_at).is_(None))
        .where(col(ApiKey.scope).in_(scopes))
        .values(revoked_at=now())
    )
    return int(done.rowcount)


def _refuse_removed(row: Person) -> None:
    if row.removed_at is not None:
        raise ConflictError("It was removed, and that is for good.", code="removed")


def _refuse_last(session: Session, row: Person, by: str) -> None:
    if row.tenant_id is not None and row.actor == Actor.LENDER and row.scope == Scope.ADMIN:
        refuse_last_administrator(session, row.tenant_id, by=by, person=row.id)


def _note(session: Session, row: Person, by: str, action: str, **details: Any) -> None:
    note(
        session,
        tenant_id=row.tenant_id,
        by=by,
        action=action,
        subject_id=row.handle,
        details=details,
    )


def note_act(session: Session, row: Person, action: str, **details: Any) -> None:
    """Write down what somebody did to the own account."""
    _note(session, row, row.handle, action, **details)


def sign_out_person(session: Session, circle: Circle, person: UUID, *, by: str) -> int:
    """End all of somebody's sessions; tells how many there were. Raises `NotFoundError`."""
    row = get_person(session, circle, person)
    ended = end_sessions(session, row.id)
    if ended:
        _note(session, row, by, "sessions_ended", sessions_ended=ended)
    return ended

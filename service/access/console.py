"""Console sessions: begun by a log-in, told from the database at each request, ended at once.

The cookie holds 256 random bits and the table their digest. Idle and longest times are the
database's.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from hmac import compare_digest
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session, col, select

from service import log
from service.access import persons, throttle
from service.access.door import Credential, credential_of, refused
from service.access.passwords import hash_password, is_outdated, is_right, refuse_password
from service.access.person_models import ConsoleSession, How, Person
from service.clock import now
from service.config import settings
from service.db import front_door_session, tenant_session
from service.errors import BadSignInError, ConflictError

COOKIE = "__Host-hegui"
_AGENT_LENGTH = 200
_TOKEN_BYTES = 32
_log = log.get(__name__)
# Seen is noted every so often: a write for each request would cost more than the request.
_SESSION = text("""
select s.id, s.id as session_id, p.id as person_id, p.handle as key_id, p.handle as person,
  p.actor, p.scope, p.tenant_id, p.agency_id, p.regulator_id,
  coalesce(t.name, r.name, 'operator') as owner,
  s.ended_at is null and clock_timestamp() < s.expires_at
    and clock_timestamp() < s.seen_at + make_interval(mins => :idle)
    and coalesce(p.suspended_at, p.removed_at, t.suspended_at, t.removed_at, r.suspended_at,
      r.removed_at) is null as is_live,
  clock_timestamp() > s.seen_at + interval '20 seconds' as is_to_note
from console_session as s
join person as p on p.id = s.person_id
left join tenant as t on t.id = p.tenant_id
left join regulator as r on r.id = p.regulator_id
where s.digest = :digest or s.id = :session
""")
_SEEN = text(
    "update console_session set seen_at = clock_timestamp() where id = :session"
    " and ended_at is null and clock_timestamp() > seen_at + interval '20 seconds'"
)
_END = text(
    "update console_session set ended_at = clock_timestamp()"
    " where digest = :digest and ended_at is null"
)
_SWEEP = text(
    "delete from console_session where id in (select id from console_session"
    " where expires_at < now() - interval '90 days' limit 100 for update skip locked)"
)
_LIVE_TOKEN = text(
    "select person_id from password_token"
    " where digest = :digest and used_at is null and clock_timestamp() < expires_at"
)
_USE_TOKEN = text(
    "update password_token set used_at = clock_timestamp()"
    " where digest = :digest and used_at is null and clock_timestamp() < expires_at"
    " returning person_id"
)


@dataclass(frozen=True, slots=True)
class Door:
    """Where somebody knocks: a lender's (its agencies' people too), a regulator's, operators'."""

    tenant_id: UUID | None = None
    regulator_id: UUID | None = None

    @property
    def name(self) -> str:
        """The owner, for counting attempts."""
        return str(self.tenant_id or self.regulator_id or "operator")


@dataclass(frozen=True, slots=True)
class Caller:
    """From where a log-in comes: the address as the server sees it, and the browser's name."""

    address: str
    agent: str = ""


@contextmanager
def circle_session(tenant_id: UUID | None) -> Iterator[Session]:
    """Open the session in which a person's acts are written down: the lender's, or nobody's."""
    opened = front_door_session() if tenant_id is None else tenant_session(tenant_id)
    with opened as session:
        yield session


def authenticate_session(token: str) -> Credential:
    """Return whom a session's token speaks for; raises `BadKeyError`, the same for all.

    It is looked up by the digest of 256 random bits: nothing can be learned from its timing.
    """
    found = _find(digest=persons.token_digest(token))
    if found is None:
        raise refused()
    return found


def is_live(session_id: UUID) -> bool:
    """Tell whether a session is still good, for an answer that takes its time."""
    return _find(session_id=session_id) is not None


def _find(*, digest: str | None = None, session_id: UUID | None = None) -> Credential | None:
    idle = settings().session_idle_minutes
    with front_door_session() as session:
        values = {"digest": digest, "session": session_id, "idle": idle}
        row = session.connection().execute(_SESSION, values).mappings().first()
        found = None if row is None else credential_of(session, row)
        if row is not None and found is not None and digest is not None and row["is_to_note"]:
            session.connection().execute(_SEEN, {"session": row["session_id"]})
    return found


def sign_in(door: Door, email: str, password: str, caller: Caller, *, old: str | None) -> str:
    """Begin a session with a password; gives the cookie's token. The session `old` ends.

    Raises `LimitedError` where too many attempts failed, and `BadSignInError`, the same and after
    the same work, for a wrong password, for nobody, and for somebody who may not sign in.
    """
    address = throttle.address_of(caller.address)
    account = throttle.account_of(door.name, persons.normal_email(email))
    throttle.begin_attempt(account, address)
    person = _person_at(door, email)
    if not is_right(person.password if person else None, password) or person is None:
        raise _not_signed_in("password")
    anew = hash_password(password) if is_outdated(person.password or "") else None
    token = begin_session(person, How.PASSWORD, caller, old=old, password=anew)
    throttle.end_attempt(account, address)
    return token


def _person_at(door: Door, email: str) -> Person | None:
    with front_door_session() as session:
        return session.exec(
            select(Person)
            .where(col(Person.tenant_id).is_not_distinct_from(door.tenant_id))
            .where(col(Person.regulator_id).is_not_distinct_from(door.regulator_id))
            .where(col(Person.email) == persons.normal_email(email))
            .where(col(Person.removed_at).is_(None))
        ).one_or_none()


def _not_signed_in(how: str) -> BadSignInError:
    _log.info("sign_in_refused", reason=how)
    return BadSignInError("Nobody signed in: the address or the password is wrong, or not taken.")


def begin_session(
    person: Person, how: How, caller: Caller, *, old: str | None, password: str | None = None
) -> str:
    """Begin a session of somebody who proved to be it; gives its token.

    `password` is kept instead of the one before, made with newer parameters. Raises
    `BadSignInError` where the person, the lender, agency or regulator is suspended or removed.
    """
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with circle_session(person.tenant_id) as session:
        # Locked: whoever suspends or changes this person waits, and ends this session too.
        row = session.exec(
            select(Person).where(col(Person.id) == person.id).with_for_update()
        ).one()
        if row.scope != person.scope or not _is_same_password(row, person):
            raise _not_signed_in("changed")
        if password is not None:
            row.password = password
        _end_old(session, old)
        session.connection().execute(_SWEEP)
        begun = persons.database_now(session)
        made = ConsoleSession(
            digest=persons.token_digest(token),
            person_id=row.id,
            how=how.value,
            agent="".join(each for each in caller.agent if each.isprintable())[:_AGENT_LENGTH],
            created_at=begun,
            seen_at=begun,
            expires_at=begun + timedelta(hours=settings().session_max_hours),
        )
        session.add(made)
        session.flush()
        if not _may_enter(session, row):
            raise _not_signed_in("suspended")
        persons.note_act(session, row, "signed_in", how=how.value, console_session=str(made.id))
    return token


def _is_same_password(row: Person, seen: Person) -> bool:
    """Tell whether nobody set another password since it was looked at."""
    return compare_digest(row.password or "", seen.password or "")


_MAY_ENTER = text("""
select coalesce(p.suspended_at, p.removed_at, t.suspended_at, t.removed_at, a.suspended_at,
  a.removed_at, r.suspended_at, r.removed_at) is null
from person as p
left join tenant as t on t.id = p.tenant_id
left join agency as a on a.tenant_id = p.tenant_id and a.id = p.agency_id
left join regulator as r on r.id = p.regulator_id
where p.id = :person
""")


def _may_enter(session: Session, row: Person) -> bool:
    return bool(session.connection().execute(_MAY_ENTER, {"person": row.id}).scalar())


def _end_old(session: Session, token: str | None) -> None:
    """End the session that the browser had before: each log-in is a new one."""
    if token is not None:
        session.connection().execute(_END, {"digest": persons.token_digest(token)})


def sign_out(credential: Credential) -> None:
    """End the session that a request came with."""
    assert credential.session_id is not None
    end_own_session(credential, credential.session_id)


def end_own_session(credential: Credential, wanted: UUID) -> None:
    """End one of the caller's own sessions; raises `NotFoundError`."""
    with circle_session(credential.tenant_id) as session:
        person = persons.get_person(session, persons.Circle(credential.tenant_id), _own(credential))
        persons.end_session(session, person, wanted, by=person.handle)


def _own(credential: Credential) -> UUID:
    assert credential.person_id is not None  # every session is somebody's
    return credential.person_id


def list_own_sessions(credential: Credential) -> list[ConsoleSession]:
    """The caller's open sessions, newest first."""
    with circle_session(credential.tenant_id) as session:
        return list(persons.list_sessions(session, _own(credential)))


def set_password(token: str, password: str) -> None:
    """Set a password with a token that was handed over; all sessions of the person end.

    Raises `BadSignInError` for a token that is unknown, used or over, `InvalidInputError` for a
    password that is not taken; the token is good for another try then.
    """
    digest = {"digest": persons.token_digest(token)}
    with front_door_session() as session:
        found = session.connection().execute(_LIVE_TOKEN, digest).scalar()
        person = session.get(Person, found) if found else None
    if person is None or person.removed_at is not None:
        raise BadSignInError("The token is unknown, used or over; ask for another.")
    refuse_password(password, about=(person.email, person.name))
    kept = hash_password(password)
    with circle_session(person.tenant_id) as session:
        if session.connection().execute(_USE_TOKEN, digest).scalar() is None:
            raise BadSignInError("The token is unknown, used or over; ask for another.")
        row = persons.get_person(session, persons.Circle(person.tenant_id), person.id)
        row.password, row.password_at = kept, now()
        # Who had the token may have been somebody else: approvals count from here on.
        row.admitted_at = max(row.admitted_at, now())
        ended = persons.end_sessions(session, row.id)
        session.flush()
        persons.note_act(session, row, "password_set", sessions_ended=ended)
    throttle.forget_account(throttle.account_of(_door_of(person).name, person.email))


def _door_of(person: Person) -> Door:
    return Door(person.tenant_id, person.regulator_id)


def change_password(credential: Credential, current: str, password: str, caller: Caller) -> str:
    """Take a new password for the one in use; gives the token of a new session, all others end.

    Raises `BadSignInError` where `current` is wrong, `LimitedError` after too many of these,
    `InvalidInputError` for a password that is not taken, `ConflictError` for somebody without one.
    """
    own = _own(credential)
    with front_door_session() as session:
        person = session.get(Person, own)
    assert person is not None
    if person.password is None:
        raise ConflictError("You sign in at the provider and have no password.", code="no_password")
    address = throttle.address_of(caller.address)
    account = throttle.account_of(_door_of(person).name, person.email)
    throttle.begin_attempt(account, address)
    if not is_right(person.password, current):
        raise _not_signed_in("password")
    throttle.end_attempt(account, address)
    refuse_password(password, about=(person.email, person.name), field="new")
    kept = hash_password(password)
    with circle_session(person.tenant_id) as session:
        row = persons.get_person(session, persons.Circle(person.tenant_id), own)
        if not _is_same_password(row, person):
            raise _not_signed_in("changed")
        row.password, row.password_at = kept, now()
        ended = persons.end_sessions(session, own)
        session.flush()
        persons.note_act(session, row, "password_changed", sessions_ended=ended)
    return begin_session(row, How.PASSWORD, caller, old=None)

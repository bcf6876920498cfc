"""The door: whom a key speaks for, told from the database at each request.

Nothing is remembered between requests: a key that was revoked, suspended or replaced, or whose
owner was, is refused on the next one. What is over is told by the database's clock.
"""

from dataclasses import dataclass
from hmac import compare_digest
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlmodel import Session

from service.access.keys import SHORT_LIVED, TokenParts, make_token, read_token
from service.db import front_door_session
from service.errors import BadKeyError
from service.models import Actor, Scope

_REFUSED = (
    "The API key or session is missing, malformed, unknown, expired, suspended, ended or revoked."
)
# Compared with where there is no such key: the same work and the same answer.
_NO_DIGEST = TokenParts("", "").digest
_KEY = text("""
select k.id, k.key_id, k.digest, k.actor, k.scope, k.tenant_id, k.agency_id, k.regulator_id,
  k.person_id, coalesce(p.handle, f.key_id) as person,
  k.revoked_at is null and k.suspended_at is null
    and (k.expires_at is null or clock_timestamp() < k.expires_at)
    and coalesce(t.suspended_at, t.removed_at, r.suspended_at, r.removed_at,
      p.suspended_at, p.removed_at) is null as is_live,
  coalesce(t.name, r.name) as owner
from api_key as k
join api_key as f on f.id = coalesce(k.root_id, k.id)
left join person as p on p.id = k.person_id
left join tenant as t on t.id = k.tenant_id
left join regulator as r on r.id = k.regulator_id
where k.key_id = :key_id
""")
_KEY_OF_TOKEN = text("""
select k.key_id from access_token as t join api_key as k on k.id = t.api_key_id
where t.digest = :digest and clock_timestamp() < t.expires_at
""")
_FORGET = text("delete from access_token where api_key_id = :key and expires_at < now()")
_KEEP = text("""
insert into access_token (digest, api_key_id, created_at, expires_at)
values (:digest, :key, now(), now() + make_interval(secs => :seconds))
""")
TOKEN_S = 900
_NAME_TENANT = text("select set_config('app.tenant_id', :tenant, true)")
_AGENCY = text("select suspended_at is null and removed_at is null from agency where id = :agency")


@dataclass(frozen=True, slots=True)
class Credential:
    """A key or a session that is good now.

    A regulator's names no tenant: that hangs on its grants. `person` is as in `Principal`.
    """

    id: UUID
    key_id: str
    person: str
    actor: Actor
    scope: Scope
    owner: str
    tenant_id: UUID | None
    agency_id: UUID | None
    regulator_id: UUID | None
    person_id: UUID | None = None
    session_id: UUID | None = None


def refused(*, error: str | None = None) -> BadKeyError:
    """The one answer to every key that is not good; `error` is OAuth's word for it."""
    return BadKeyError(_REFUSED, extra={"error": error} if error else None)


def authenticate(token: str) -> Credential:
    """Return what an API key or a token is good for; raises `BadKeyError`, the same for all."""
    parts = read_token(token)
    if parts is None:
        raise refused()
    with front_door_session() as session:
        found = _find_by_token(session, parts) if parts.is_token else _find_by_key(session, parts)
    if found is None:
        raise refused()
    return found


def issue_token(client_id: str, client_secret: str) -> str:
    """Change a key for a token that stands for it for fifteen minutes, as long as the key is good.

    The client's id is the key's id, its secret the whole key (RFC 6749 §4.4). Raises `BadKeyError`.
    """
    parts = read_token(client_secret)
    if parts is None or parts.is_token or parts.key_id != client_id:
        raise refused(error="invalid_client")
    with front_door_session() as session:
        found = _find_by_key(session, parts)
        if found is None:
            raise refused(error="invalid_client")
        token, made = make_token(SHORT_LIVED)
        session.connection().execute(_FORGET, {"key": found.id})
        session.connection().execute(
            _KEEP, {"digest": made.digest, "key": found.id, "seconds": TOKEN_S}
        )
    return token


def is_live(key_id: str) -> bool:
    """Tell whether a key is still good, for an answer that takes its time."""
    with front_door_session() as session:
        row = session.connection().execute(_KEY, {"key_id": key_id}).mappings().first()
        return row is not None and credential_of(session, row) is not None


def _find_by_key(session: Session, parts: TokenParts) -> Credential | None:
    row = session.connection().execute(_KEY, {"key_id": parts.key_id}).mappings().first()
    is_right = compare_digest(parts.digest, row["digest"] if row else _NO_DIGEST)
    return credential_of(session, row) if row is not None and is_right else None


def _find_by_token(session: Session, parts: TokenParts) -> Credential | None:
    # The digest of 256 random bits is looked up as it is: nothing can be learned from its timing.
    key_id = session.connection().execute(_KEY_OF_TOKEN, {"digest": parts.digest}).scalar()
    row = session.connection().execute(_KEY, {"key_id": key_id}).mappings().first()
    return credential_of(session, row) if row is not None else None


def credential_of(session: Session, row: RowMapping) -> Credential | None:
    """Read a key's or session's row; None where it or its agency is good for nothing any more."""
    if not row["is_live"]:
        return None
    if row["agency_id"] is not None and not is_open_to(session, row["tenant_id"], row["agency_id"]):
        return None
    return Credential(
        id=row["id"],
        key_id=row["key_id"],
        person=row["person"],
        actor=Actor(row["actor"]),
        scope=Scope(row["scope"]),
        owner=row["owner"],
        tenant_id=row["tenant_id"],
        agency_id=row["agency_id"],
        regulator_id=row["regulator_id"],
        person_id=row["person_id"],
        session_id=row.get("session_id"),
    )


def is_open_to(session: Session, tenant_id: UUID, agency_id: UUID) -> bool:
    """Tell whether an agency is neither suspended nor removed; its table is fenced."""
    session.connection().execute(_NAME_TENANT, {"tenant": str(tenant_id)})
    return bool(session.connection().execute(_AGENCY, {"agency": agency_id}).scalar())

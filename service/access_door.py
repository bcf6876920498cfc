"""The door: whom a key speaks for, told from the database at each request.

Nothing is remembered between requests: a key that was revoked, suspended or replaced, or whose
owner was, is refused on the next one. What is over is told by the database's clock.
"""

from dataclasses import dataclass
from hmac import compare_digest
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from service.access_keys import TokenParts, read_token
from service.db import front_door_session
from service.errors import BadKeyError
from service.models import Actor, Scope

_REFUSED = "The API key is missing, malformed, unknown, expired, suspended or revoked."
# Compared with where there is no such key: the same work and the same answer.
_NO_DIGEST = TokenParts("", "").digest
_KEY = text("""
select k.id, k.key_id, k.digest, k.actor, k.scope, k.tenant_id, k.agency_id, k.regulator_id,
  coalesce(k.root_id, k.id) as root_id, k.label, k.expires_at,
  k.revoked_at is null and k.suspended_at is null
    and (k.expires_at is null or clock_timestamp() < k.expires_at)
    and coalesce(t.suspended_at, t.removed_at, r.suspended_at, r.removed_at) is null as is_live,
  coalesce(t.name, r.name) as owner
from api_key as k
left join tenant as t on t.id = k.tenant_id
left join regulator as r on r.id = k.regulator_id
where k.key_id = :key_id
""")
_NAME_TENANT = text("select set_config('app.tenant_id', :tenant, true)")
_AGENCY = text("select suspended_at is null and removed_at is null from agency where id = :agency")


@dataclass(frozen=True, slots=True)
class Credential:
    """A key that is good now. A regulator's names no tenant: that hangs on its grants."""

    id: UUID
    key_id: str
    root_id: UUID
    actor: Actor
    scope: Scope
    owner: str
    tenant_id: UUID | None
    agency_id: UUID | None
    regulator_id: UUID | None


def refused() -> BadKeyError:
    """The one answer to every key that is not good, whatever is wrong with it."""
    return BadKeyError(_REFUSED)


def authenticate(token: str) -> Credential:
    """Return what an API key is good for; raises `BadKeyError`, the same for every fault."""
    parts = read_token(token)
    if parts is None:
        raise refused()
    with front_door_session() as session:
        found = _find(session, parts)
    if found is None:
        raise refused()
    return found


def is_live(key_id: str) -> bool:
    """Tell whether a key is still good, for an answer that takes its time."""
    with front_door_session() as session:
        row = session.connection().execute(_KEY, {"key_id": key_id}).mappings().first()
        if row is None or not row["is_live"]:
            return False
        agency = row["agency_id"]
        return agency is None or _takes(session, row["tenant_id"], agency)


def _find(session: Session, parts: TokenParts) -> Credential | None:
    row = session.connection().execute(_KEY, {"key_id": parts.key_id}).mappings().first()
    is_right = compare_digest(parts.digest, row["digest"] if row else _NO_DIGEST)
    if row is None or not is_right or not row["is_live"]:
        return None
    if row["agency_id"] is not None and not _takes(session, row["tenant_id"], row["agency_id"]):
        return None
    return Credential(
        id=row["id"],
        key_id=row["key_id"],
        root_id=row["root_id"],
        actor=Actor(row["actor"]),
        scope=Scope(row["scope"]),
        owner=row["owner"],
        tenant_id=row["tenant_id"],
        agency_id=row["agency_id"],
        regulator_id=row["regulator_id"],
    )


def _takes(session: Session, tenant_id: UUID, agency_id: UUID) -> bool:
    """Tell whether an agency is neither suspended nor removed; its table is fenced."""
    session.connection().execute(_NAME_TENANT, {"tenant": str(tenant_id)})
    return bool(session.connection().execute(_AGENCY, {"agency": agency_id}).scalar())

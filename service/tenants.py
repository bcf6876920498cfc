"""Tenants, agencies, webhook secrets and API keys: who may come in, and as whom.

Keys and webhook sources are read before a tenant is known, so their tables are not fenced: every
statement here names the tenant itself.
"""

import hashlib
import re
import secrets
import zlib
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from uuid import UUID, uuid4

from sqlmodel import Session, col, select

from service.audit import add_entry
from service.clock import now
from service.config import settings
from service.db import front_door_session, tenant_session
from service.errors import BadKeyError, FieldProblem, InvalidInputError, NotFoundError
from service.models import Actor, Agency, ApiKey, Scope, Tenant, WebhookSource

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY_ID_LENGTH = 12
_SECRET_LENGTH = 43
_CHECK_LENGTH = 6
_TOKEN = re.compile(
    r"(hg_(?:dev|live)_([0-9A-Za-z]{12})_([0-9A-Za-z]{43}))_([0-9A-Za-z]{6})", re.ASCII
)
_NO_DIGEST = hashlib.sha256(secrets.token_bytes(32)).hexdigest()
_SCOPES = {
    Actor.LENDER: {Scope.ADMIN, Scope.REVIEW, Scope.READ},
    Actor.AGENCY: {Scope.SEND, Scope.QUALITY, Scope.READ},
    Actor.REGULATOR: {Scope.READ},
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a request speaks for, and how far it may look."""

    tenant_id: UUID
    actor: Actor
    scope: Scope
    key_id: str
    agency_id: UUID | None = None
    period_from: datetime | None = None
    period_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new API key; `token` is shown once and kept by nobody."""

    id: UUID
    key_id: str
    token: str


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a new key should be good for; a period bounds what a regulator sees."""

    actor: Actor
    scope: Scope
    label: str
    agency_id: UUID | None = None
    expires_at: datetime | None = None
    period_from: datetime | None = None
    period_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewAgency:
    """A new agency and the secret that signs its webhooks, shown once."""

    id: UUID
    name: str
    webhook_secret: str


def _random_text(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    digits = ""
    for _ in range(_CHECK_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def make_webhook_secret() -> str:
    """Return a new signing secret in the form of Standard Webhooks."""
    return "whsec_" + b64encode(secrets.token_bytes(32)).decode()


def add_tenant(name: str) -> tuple[Tenant, IssuedKey]:
    """Make a lender and its first administrator key."""
    tenant = Tenant(id=uuid4(), name=name)
    with tenant_session(tenant.id) as session:
        session.add(tenant)
        session.flush()
        wish = KeyWish(actor=Actor.LENDER, scope=Scope.ADMIN, label="first key")
        issued = add_key(session, tenant_id=tenant.id, wish=wish, by="operator")
        add_entry(session, tenant_id=tenant.id, actor="operator", action="tenant_added")
    return tenant, issued


def add_agency(session: Session, *, tenant_id: UUID, name: str, by: str) -> NewAgency:
    """Make an agency and its webhook source."""
    agency = Agency(tenant_id=tenant_id, name=name)
    session.add(agency)
    session.flush()
    secret = make_webhook_secret()
    session.add(WebhookSource(agency_id=agency.id, tenant_id=tenant_id, secret_current=secret))
    add_entry(
        session, tenant_id=tenant_id, actor=by, action="agency_added", subject_id=str(agency.id)
    )
    session.flush()
    return NewAgency(id=agency.id, name=name, webhook_secret=secret)


def rotate_secret(session: Session, *, tenant_id: UUID, agency_id: UUID, by: str) -> str:
    """Give an agency a new signing secret; the one before stays good for the set overlap."""
    source = session.exec(
        select(WebhookSource)
        .where(col(WebhookSource.agency_id) == agency_id)
        .where(col(WebhookSource.tenant_id) == tenant_id)
        .with_for_update()
    ).one_or_none()
    if source is None:
        raise NotFoundError("There is no such agency.")
    source.secret_previous = source.secret_current
    source.previous_until = now() + timedelta(hours=settings().secret_overlap_hours)
    source.secret_current = make_webhook_secret()
    add_entry(
        session, tenant_id=tenant_id, actor=by, action="secret_rotated", subject_id=str(agency_id)
    )
    return source.secret_current


def _refuse_wish(session: Session, wish: KeyWish) -> None:
    """Raise where actor, scope, agency and period do not fit together."""
    problems: list[FieldProblem] = []
    if wish.scope not in _SCOPES[wish.actor]:
        allowed = ", ".join(sorted(scope.value for scope in _SCOPES[wish.actor]))
        problems.append(FieldProblem("scope", f"must be one of: {allowed}"))
    if (wish.actor is Actor.AGENCY) != (wish.agency_id is not None):
        problems.append(FieldProblem("agency_id", "belongs to keys of agencies, and only to them"))
    elif (
        wish.agency_id is not None
        and not session.exec(
            select(Agency.id).where(col(Agency.id) == wish.agency_id)
        ).one_or_none()
    ):
        problems.append(FieldProblem("agency_id", "is not an agency of this lender"))
    if wish.actor is Actor.REGULATOR and (wish.period_from is None or wish.period_to is None):
        problems.append(FieldProblem("period_from", "a regulator's key needs a period"))
    if wish.period_from and wish.period_to and wish.period_to <= wish.period_from:
        problems.append(FieldProblem("period_to", "must lie after period_from"))
    if problems:
        raise InvalidInputError("The key cannot be made.", errors=tuple(problems))


def add_key(session: Session, *, tenant_id: UUID, wish: KeyWish, by: str) -> IssuedKey:
    """Make an API key; raises `InvalidInputError` where the wish contradicts itself."""
    _refuse_wish(session, wish)
    environment = "live" if settings().environment == "production" else "dev"
    key_id, secret = _random_text(_KEY_ID_LENGTH), _random_text(_SECRET_LENGTH)
    stem = f"hg_{environment}_{key_id}_{secret}"
    row = ApiKey(
        key_id=key_id,
        digest=hashlib.sha256(secret.encode()).hexdigest(),
        tenant_id=tenant_id,
        actor=wish.actor.value,
        scope=wish.scope.value,
        agency_id=wish.agency_id,
        label=wish.label,
        expires_at=wish.expires_at,
        period_from=wish.period_from,
        period_to=wish.period_to,
    )
    session.add(row)
    add_entry(session, tenant_id=tenant_id, actor=by, action="key_added", subject_id=key_id)
    session.flush()
    return IssuedKey(id=row.id, key_id=key_id, token=f"{stem}_{_checksum(stem)}")


def revoke_key(session: Session, *, tenant_id: UUID, key: UUID, by: str) -> None:
    """End a key at once; ending it again changes nothing."""
    row = session.exec(
        select(ApiKey).where(col(ApiKey.id) == key).where(col(ApiKey.tenant_id) == tenant_id)
    ).one_or_none()
    if row is None:
        raise NotFoundError("There is no such key.")
    if row.revoked_at is None:
        row.revoked_at = now()
        add_entry(
            session, tenant_id=tenant_id, actor=by, action="key_revoked", subject_id=row.key_id
        )


def list_tenants(session: Session) -> list[Tenant]:
    """Return every lender, oldest first; for the operator's commands and for housekeeping."""
    return list(session.exec(select(Tenant).order_by(col(Tenant.created_at), col(Tenant.id))))


def authenticate(token: str, *, at: datetime) -> Principal:
    """Return whom an API key speaks for; raises `BadKeyError`, the same for every fault."""
    matched = _TOKEN.fullmatch(token)
    if matched is None or not compare_digest(_checksum(matched[1]), matched[4]):
        raise BadKeyError("The API key is missing, malformed, unknown, expired or revoked.")
    with front_door_session() as session:
        row = session.exec(select(ApiKey).where(col(ApiKey.key_id) == matched[2])).one_or_none()
    digest = hashlib.sha256(matched[3].encode()).hexdigest()
    is_right = compare_digest(digest, row.digest if row else _NO_DIGEST)
    if (
        row is None
        or not is_right
        or row.revoked_at is not None
        or (row.expires_at is not None and row.expires_at <= at)
    ):
        raise BadKeyError("The API key is missing, malformed, unknown, expired or revoked.")
    return Principal(
        tenant_id=row.tenant_id,
        actor=Actor(row.actor),
        scope=Scope(row.scope),
        key_id=row.key_id,
        agency_id=row.agency_id,
        period_from=row.period_from,
        period_to=row.period_to,
    )

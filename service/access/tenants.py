"""Tenants, agencies and regulators: made, suspended, resumed, removed; and whom a request is for.

Tenants, regulators and webhook sources are read before a tenant is known, so their tables are not
fenced: every statement here names its own.
"""

import secrets
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import update
from sqlmodel import Session, col, select

from service.access.keys import IssuedKey, KeyWish, add_key, get_regulator
from service.access.models import AccessGrant, GrantField, Regulator
from service.access.notebook import OPERATOR, note
from service.audit import add_entry
from service.clock import now
from service.config import settings
from service.db import front_door_session, tenant_session
from service.errors import ConflictError, NotFoundError
from service.models import Actor, Agency, ApiKey, Scope, Tenant, WebhookSource
from service.privacy.sealed_fields import move_sealed, put_sealed


@dataclass(frozen=True, slots=True)
class LiveGrant:
    """The grant that a regulator's request is made under; `agencies` None: all of the lender's."""

    id: UUID
    tenant_id: UUID
    regulator_id: UUID
    case_number: str
    agencies: tuple[str, ...] | None
    fields: frozenset[GrantField]
    period_from: datetime
    period_to: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a request speaks for, and how far it may look.

    `key_id` is what acts are written down under: a key's id, or the handle of somebody who signed
    in (then `session_id` is set). `person` counts people: the handle of the person who signed in
    or whose key it is, else the first key of the key's rotations.
    `sees_personal`: names, numbers and words are shown as they are. A regulator's is true only
    for the one contact that the request is about, for an hour after it was unmasked.
    """

    tenant_id: UUID
    actor: Actor
    scope: Scope
    key_id: str
    person: str
    agency_id: UUID | None = None
    regulator_id: UUID | None = None
    grant: LiveGrant | None = None
    sees_personal: bool = False
    session_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class NewAgency:
    """A new agency and the secret that signs its webhooks, shown once."""

    id: UUID
    name: str
    webhook_secret: str


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
        issued = add_key(session, tenant_id=tenant.id, wish=wish, by=OPERATOR)
        add_entry(session, tenant_id=tenant.id, actor=OPERATOR, action="tenant_added")
    return tenant, issued


def list_tenants(session: Session) -> list[Tenant]:
    """Return every lender, oldest first; for the operator's commands and for housekeeping."""
    return list(session.exec(select(Tenant).order_by(col(Tenant.created_at), col(Tenant.id))))


def suspend_tenant(tenant_id: UUID) -> None:
    """Refuse all of a lender's keys and webhooks from the next request on; its data stays.

    Its jobs wait where they are, and go on after `resume_tenant`.
    """
    _change_tenant(tenant_id, "tenant_suspended")


def resume_tenant(tenant_id: UUID) -> None:
    """Take a suspended lender's keys and webhooks again."""
    _change_tenant(tenant_id, "tenant_resumed")


def remove_tenant(tenant_id: UUID) -> None:
    """End a lender's access for good; what retention holds stays as long as it must."""
    _change_tenant(tenant_id, "tenant_removed")


def _change_tenant(tenant_id: UUID, action: str) -> None:
    with tenant_session(tenant_id) as session:
        row = session.exec(
            select(Tenant).where(col(Tenant.id) == tenant_id).with_for_update()
        ).one_or_none()
        if row is None:
            raise NotFoundError("There is no such lender.")
        if _change(row, action.removeprefix("tenant_")):
            keys = _end_keys(session, col(ApiKey.tenant_id) == tenant_id) if row.removed_at else 0
            add_entry(
                session,
                tenant_id=tenant_id,
                actor=OPERATOR,
                action=action,
                details={"keys_ended": keys} if row.removed_at else {},
            )


def _change(row: Tenant | Agency | Regulator, what: str) -> bool:
    """Suspend, resume or remove; tells whether anything changed. What is removed stays removed."""
    if row.removed_at is not None:
        if what == "removed":
            return False
        raise ConflictError("It was removed, and that is for good.", code="removed")
    if what == "removed":
        row.removed_at = now()
    elif (what == "suspended") == (row.suspended_at is not None):
        return False
    else:
        row.suspended_at = now() if what == "suspended" else None
    return True


def _end_keys(session: Session, condition: object) -> int:
    """End keys at once; tells how many."""
    ended = session.connection().execute(
        update(ApiKey)
        .where(condition)  # type: ignore[arg-type]  # a column expression
        .where(col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=now())
    )
    return int(ended.rowcount)


def add_agency(session: Session, *, tenant_id: UUID, name: str, by: str) -> NewAgency:
    """Make an agency and its webhook source."""
    agency = Agency(tenant_id=tenant_id, name=name)
    session.add(agency)
    session.flush()
    secret = make_webhook_secret()
    source = WebhookSource(agency_id=agency.id, tenant_id=tenant_id, secret_current="")
    put_sealed(source, secret_current=secret)
    session.add(source)
    add_entry(
        session, tenant_id=tenant_id, actor=by, action="agency_added", subject_id=str(agency.id)
    )
    session.flush()
    return NewAgency(id=agency.id, name=name, webhook_secret=secret)


def suspend_agency(session: Session, agency_id: UUID, *, by: str) -> Agency:
    """Refuse an agency's keys and webhooks from the next request on; its data stays."""
    return _change_agency(session, agency_id, "agency_suspended", by)


def resume_agency(session: Session, agency_id: UUID, *, by: str) -> Agency:
    """Take a suspended agency's keys and webhooks again."""
    return _change_agency(session, agency_id, "agency_resumed", by)


def remove_agency(session: Session, agency_id: UUID, *, by: str) -> Agency:
    """End an agency's keys and webhooks for good; its contacts stay with the lender."""
    return _change_agency(session, agency_id, "agency_removed", by)


def _change_agency(session: Session, agency_id: UUID, action: str, by: str) -> Agency:
    row = session.exec(
        select(Agency).where(col(Agency.id) == agency_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFoundError("There is no such agency.")
    if _change(row, action.removeprefix("agency_")):
        keys = _end_keys(session, col(ApiKey.agency_id) == agency_id) if row.removed_at else 0
        add_entry(
            session,
            tenant_id=row.tenant_id,
            actor=by,
            action=action,
            subject_id=str(agency_id),
            details={"keys_ended": keys} if row.removed_at else {},
        )
    session.flush()
    return row


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
    move_sealed(source, source="secret_current", target="secret_previous")
    source.previous_until = now() + timedelta(hours=settings().secret_overlap_hours)
    secret = make_webhook_secret()
    put_sealed(source, secret_current=secret)
    add_entry(
        session, tenant_id=tenant_id, actor=by, action="secret_rotated", subject_id=str(agency_id)
    )
    return secret


def add_regulator(name: str) -> Regulator:
    """Make a regulator; it reads nothing before a lender grants it something."""
    with front_door_session() as session:
        row = Regulator(name=name)
        session.add(row)
        session.flush()
        note(
            session,
            tenant_id=None,
            by=OPERATOR,
            action="regulator_added",
            subject_id=str(row.id),
        )
    return row


def list_regulators(session: Session) -> Sequence[Regulator]:
    """Return every regulator, oldest first; names of authorities are no secret of a lender's."""
    return session.exec(
        select(Regulator).order_by(col(Regulator.created_at), col(Regulator.id))
    ).all()


def change_regulator(regulator_id: UUID, what: str) -> None:
    """`suspended`, `resumed` or `removed`; every lender with a grant to it finds an entry."""
    action = f"regulator_{what}"
    with front_door_session(regulator_id=regulator_id) as session:
        row = get_regulator(session, regulator_id)
        if not _change(row, what):
            return
        keys = _end_keys(session, col(ApiKey.regulator_id) == regulator_id) if row.removed_at else 0
        note(
            session,
            tenant_id=None,
            by=OPERATOR,
            action=action,
            subject_id=str(regulator_id),
            details={"keys_ended": keys} if row.removed_at else {},
        )
        lenders = set(session.exec(select(AccessGrant.tenant_id)).all())
    for lender in sorted(lenders, key=str):
        with tenant_session(lender) as session:
            add_entry(
                session,
                tenant_id=lender,
                actor=OPERATOR,
                action=action,
                subject_id=str(regulator_id),
            )

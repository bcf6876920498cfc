"""API keys: made, listed, rotated, suspended, ended; their digests are all that is kept.

The table is read before a tenant is known and is not fenced: every statement here names its owner.
"""

import hashlib
import re
import secrets
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hmac import compare_digest
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, select

from service.access.models import Regulator
from service.access.notebook import OPERATOR, note
from service.access.person_models import Person
from service.clock import now
from service.config import settings
from service.errors import (
    ConflictError,
    FieldProblem,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from service.models import Actor, Agency, ApiKey, Scope, Tenant

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
MAX_OVERLAP_HOURS = 30 * 24
KEY_PREFIX = "hg"
_KEY_ID_LENGTH = 12
_SECRET_LENGTH = 43
_CHECK_LENGTH = 6
SHORT_LIVED = "hgt"
_TOKEN = re.compile(
    r"((hgt?)_(?:dev|live)_([0-9A-Za-z]{12})_([0-9A-Za-z]{43}))_([0-9A-Za-z]{6})", re.ASCII
)
ALLOWED_SCOPES = {
    Actor.LENDER: {Scope.ADMIN, Scope.REVIEW, Scope.READ},
    Actor.AGENCY: {Scope.SEND, Scope.QUALITY, Scope.READ},
    Actor.REGULATOR: {Scope.READ},
    Actor.OPERATOR: set(),
}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose keys are meant: a lender's (and its agencies'), or a regulator's."""

    tenant_id: UUID | None = None
    regulator_id: UUID | None = None

    def holds(self) -> ColumnElement[bool]:
        """The condition on a key that it is one of these."""
        if self.tenant_id is not None:
            return col(ApiKey.tenant_id) == self.tenant_id
        return col(ApiKey.regulator_id) == self.regulator_id


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new API key; `token` is shown once and kept by nobody."""

    id: UUID
    key_id: str
    token: str


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a new key should be good for."""

    actor: Actor
    scope: Scope
    label: str
    agency_id: UUID | None = None
    regulator_id: UUID | None = None
    expires_at: datetime | None = None
    person_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class TokenParts:
    """An API key or a token as it was sent, of the right form and checksum.

    `key_id` is the key's public part; a token's own is of no meaning.
    """

    key_id: str
    secret: str
    is_token: bool = False

    @property
    def digest(self) -> str:
        """What is kept of the secret."""
        return hashlib.sha256(self.secret.encode()).hexdigest()


def random_text(length: int) -> str:
    """Return random letters and digits from the system's generator."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    digits = ""
    for _ in range(_CHECK_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def read_token(token: str) -> TokenParts | None:
    """Take an API key or a token apart; None where its form or checksum is wrong."""
    matched = _TOKEN.fullmatch(token)
    if matched is None or not compare_digest(_checksum(matched[1]), matched[5]):
        return None
    return TokenParts(matched[3], matched[4], is_token=matched[2] == SHORT_LIVED)


def make_token(prefix: str) -> tuple[str, TokenParts]:
    """Make a credential of the usual form: what is shown once, and its parts."""
    environment = "live" if settings().environment == "production" else "dev"
    parts = TokenParts(random_text(_KEY_ID_LENGTH), random_text(_SECRET_LENGTH))
    stem = f"{prefix}_{environment}_{parts.key_id}_{parts.secret}"
    return f"{stem}_{_checksum(stem)}", parts


def add_key(session: Session, *, tenant_id: UUID | None, wish: KeyWish, by: str) -> IssuedKey:
    """Make an API key; raises `InvalidInputError` where the wish contradicts itself.

    What a person makes for the person's own lender belongs to that person: nobody becomes a second
    person by making keys.
    """
    _refuse_wish(session, tenant_id, wish)
    maker = _person_behind(session, by)
    if maker is not None and wish.actor is Actor.LENDER:
        wish = replace(wish, person_id=maker.id)
    return _issue(session, tenant_id, wish, by=by, action="key_added")


def _refuse_wish(session: Session, tenant_id: UUID | None, wish: KeyWish) -> None:
    """Raise where actor, scope, agency and regulator do not fit together."""
    problems: list[FieldProblem] = []
    if wish.actor is Actor.OPERATOR:
        problems.append(FieldProblem("actor", "operators sign in: hegui person add --operator"))
    elif wish.scope not in ALLOWED_SCOPES[wish.actor]:
        allowed = ", ".join(sorted(scope.value for scope in ALLOWED_SCOPES[wish.actor]))
        problems.append(FieldProblem("scope", f"must be one of: {allowed}"))
    if (wish.actor is Actor.AGENCY) != (wish.agency_id is not None):
        problems.append(FieldProblem("agency_id", "belongs to keys of agencies, and only to them"))
    elif wish.agency_id is not None and not _is_agency(session, wish.agency_id):
        problems.append(FieldProblem("agency_id", "is not an agency of this lender"))
    if wish.actor is Actor.REGULATOR and (tenant_id is not None or wish.regulator_id is None):
        problem = "a regulator's key is made by the operator: hegui key add --regulator ID"
        problems.append(FieldProblem("actor", problem))
    if wish.expires_at is not None and wish.expires_at <= now():
        problems.append(FieldProblem("expires_at", "must lie in the future"))
    if problems:
        raise InvalidInputError("The key cannot be made.", errors=tuple(problems))


def _is_agency(session: Session, agency_id: UUID) -> bool:
    row = session.exec(select(Agency).where(col(Agency.id) == agency_id)).one_or_none()
    return row is not None and row.removed_at is None


def _issue(
    session: Session,
    tenant_id: UUID | None,
    wish: KeyWish,
    *,
    by: str,
    action: str,
    replaced: ApiKey | None = None,
) -> IssuedKey:
    token, parts = make_token(KEY_PREFIX)
    row = ApiKey(
        id=uuid4(),
        key_id=parts.key_id,
        digest=parts.digest,
        tenant_id=tenant_id,
        actor=wish.actor.value,
        scope=wish.scope.value,
        agency_id=wish.agency_id,
        regulator_id=wish.regulator_id,
        label=wish.label,
        expires_at=wish.expires_at,
        replaces=replaced.id if replaced else None,
        root_id=(replaced.root_id or replaced.id) if replaced else None,
        person_id=wish.person_id,
    )
    session.add(row)
    details = {"replaces": replaced.key_id} if replaced else {}
    note(session, tenant_id=tenant_id, by=by, action=action, subject_id=row.key_id, details=details)
    session.flush()
    return IssuedKey(id=row.id, key_id=row.key_id, token=token)


def list_keys(
    session: Session, owner: Owner, *, after: tuple[datetime, UUID] | None = None, limit: int = 50
) -> Sequence[ApiKey]:
    """Return an owner's keys, newest first, the ended ones too; from `after` on."""
    query = select(ApiKey).where(owner.holds())
    if after is not None:
        moment, key = after
        query = query.where(
            (col(ApiKey.created_at) < moment)
            | ((col(ApiKey.created_at) == moment) & (col(ApiKey.id) < key))
        )
    return session.exec(
        query.order_by(col(ApiKey.created_at).desc(), col(ApiKey.id).desc()).limit(limit)
    ).all()


def _get(session: Session, owner: Owner, key: UUID) -> ApiKey:
    row = session.exec(
        select(ApiKey).where(col(ApiKey.id) == key).where(owner.holds()).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFoundError("There is no such key.")
    return row


def _is_live(row: ApiKey, at: datetime) -> bool:
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > at)


def rotate_key(
    session: Session, owner: Owner, key: UUID, *, overlap_hours: int | None = None, by: str
) -> IssuedKey:
    """Make a key's successor; the key itself ends after the overlap, or earlier where it was to.

    The key before this one, if it still lives, ends now: two of a chain live at once, never three.
    Raises `ConflictError` for a key that is over or has a successor.
    """
    row = _get(session, owner, key)
    at = now()
    if not _is_live(row, at) or row.suspended_at is not None:
        raise ConflictError("The key is over or suspended; add a new one.", code="key_not_live")
    taken = session.exec(select(ApiKey.key_id).where(col(ApiKey.replaces) == row.id)).first()
    if taken is not None:
        raise ConflictError(
            f"The key was rotated before; its successor is {taken}.", code="key_rotated"
        )
    hours = settings().secret_overlap_hours if overlap_hours is None else overlap_hours
    wish = KeyWish(
        actor=Actor(row.actor),
        scope=Scope(row.scope),
        label=row.label,
        agency_id=row.agency_id,
        regulator_id=row.regulator_id,
        expires_at=row.expires_at,
        person_id=row.person_id,
    )
    issued = _issue(session, row.tenant_id, wish, by=by, action="key_rotated", replaced=row)
    before = session.exec(select(ApiKey).where(col(ApiKey.id) == row.replaces)).one_or_none()
    if before is not None and _is_live(before, at):
        before.revoked_at = at
        note(
            session,
            tenant_id=row.tenant_id,
            by=by,
            action="key_revoked",
            subject_id=before.key_id,
        )
    end = at + timedelta(hours=hours)
    row.expires_at = end if row.expires_at is None else min(row.expires_at, end)
    return issued


def revoke_key(session: Session, owner: Owner, key: UUID, *, by: str) -> None:
    """End a key at once and for good; ending it again changes nothing."""
    row = _get(session, owner, key)
    if row.revoked_at is None:
        _refuse_last_key(session, row, by)
        row.revoked_at = now()
        note(session, tenant_id=row.tenant_id, by=by, action="key_revoked", subject_id=row.key_id)


def suspend_key(session: Session, owner: Owner, key: UUID, *, by: str) -> ApiKey:
    """Refuse a key from its next request on, until it is resumed."""
    row = _get(session, owner, key)
    if row.suspended_at is None:
        _refuse_last_key(session, row, by)
        row.suspended_at = now()
        note(session, tenant_id=row.tenant_id, by=by, action="key_suspended", subject_id=row.key_id)
    return row


def resume_key(session: Session, owner: Owner, key: UUID, *, by: str) -> ApiKey:
    """Take a suspended key again; a key that is over stays over."""
    row = _get(session, owner, key)
    if row.suspended_at is not None:
        row.suspended_at = None
        note(session, tenant_id=row.tenant_id, by=by, action="key_resumed", subject_id=row.key_id)
    return row


def _refuse_last_key(session: Session, row: ApiKey, by: str) -> None:
    if row.tenant_id is not None and (row.actor, row.scope) == (Actor.LENDER, Scope.ADMIN):
        refuse_last_administrator(session, row.tenant_id, by=by, key=row.id)


def refuse_last_administrator(
    session: Session,
    tenant_id: UUID,
    *,
    by: str,
    key: UUID | None = None,
    person: UUID | None = None,
) -> None:
    """Raise `ConflictError` where without this key or person no administrator would be left.

    A lender does not lock itself out; the operator, who can let it in again, may. Administrators
    are keys without an end and people who can sign in; one change at a time is looked at.
    """
    if by == OPERATOR:
        return
    session.exec(select(Tenant.id).where(col(Tenant.id) == tenant_id).with_for_update()).one()
    can_act = col(Person.suspended_at).is_(None) & col(Person.removed_at).is_(None)
    keys = session.exec(
        select(func.count())
        .select_from(ApiKey)
        .outerjoin(Person, col(Person.id) == col(ApiKey.person_id))
        .where(col(ApiKey.tenant_id) == tenant_id, col(ApiKey.id).is_distinct_from(key))
        .where(col(ApiKey.person_id).is_(None) | can_act)
        .where(col(ApiKey.person_id).is_(None) | col(ApiKey.person_id).is_distinct_from(person))
        .where(col(ApiKey.actor) == Actor.LENDER.value, col(ApiKey.scope) == Scope.ADMIN.value)
        .where(col(ApiKey.revoked_at).is_(None), col(ApiKey.suspended_at).is_(None))
        .where(col(ApiKey.expires_at).is_(None))
    ).one()
    people = session.exec(
        select(func.count())
        .select_from(Person)
        .where(col(Person.tenant_id) == tenant_id, col(Person.id).is_distinct_from(person))
        .where(col(Person.actor) == Actor.LENDER.value, col(Person.scope) == Scope.ADMIN.value)
        .where(can_act, col(Person.password).is_not(None) | col(Person.oidc_subject).is_not(None))
    ).one()
    if not keys and not people:
        raise ConflictError(
            "This is the last administrator (keys count where they have no end); add another one"
            " first.",
            code="last_administrator",
        )


def get_regulator(session: Session, regulator_id: UUID) -> Regulator:
    """One regulator; raises `NotFoundError`."""
    row = session.exec(select(Regulator).where(col(Regulator.id) == regulator_id)).one_or_none()
    if row is None:
        raise NotFoundError("There is no such regulator.")
    return row


def _person_behind(session: Session, by: str) -> Person | None:
    """The person who signed in as `by`, or whose key it is; None for all others."""
    owner = select(ApiKey.person_id).where(col(ApiKey.key_id) == by).scalar_subquery()
    return session.exec(
        select(Person).where((col(Person.handle) == by) | (col(Person.id) == owner))
    ).one_or_none()


def person_of(session: Session, by: str, *, before: datetime | None = None, what: str = "") -> str:
    """Name who acts: a person by handle, a key that is nobody's by the first of its rotations.

    The operator stays the operator. Raises `ForbiddenError` for a key whose first was made after
    `before`, when `what` happened, and for a person who was admitted, or was given a new password
    by somebody else, after it: nobody becomes a second person by making keys or people.
    """
    person = _person_behind(session, by)
    if person is not None:
        name, since = person.handle, person.admitted_at
    else:
        key = session.exec(select(ApiKey).where(col(ApiKey.key_id) == by)).one_or_none()
        if key is None:
            return by
        root = session.exec(select(ApiKey).where(col(ApiKey.id) == (key.root_id or key.id))).one()
        name, since = root.key_id, root.created_at
    if before is not None and since >= before:
        raise ForbiddenError(
            f"This key or person came after {what}; an older one has to approve.",
            code="approver_too_new",
        )
    return name

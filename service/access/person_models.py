"""The tables of signing in: people, their sessions and tokens, attempts, lenders' providers."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from service.clock import now
from service.columns import JSON, MOMENT, TEXT, among, to_fenced


class How(StrEnum):
    """How a session began."""

    PASSWORD = "password"  # noqa: S105  the way of signing in
    OIDC = "oidc"


class Person(SQLModel, table=True):
    """Somebody who signs in: of a lender, an agency or a regulator, or an operator.

    `handle` is what audit entries, reviews and approvals name. Approvals of what was asked for
    before `admitted_at` are not taken: from then on the person alone holds the credentials. A
    session that names a lender, an agency or a regulator sees its own people only.
    """

    __tablename__ = "person"
    __table_args__ = (
        UniqueConstraint("handle"),
        to_fenced("agency", "agency_id"),
        CheckConstraint(
            "(actor = 'lender' and scope in ('admin', 'review', 'read'))"
            " or (actor = 'agency' and scope in ('send', 'quality', 'read'))"
            " or (actor = 'regulator' and scope = 'read')"
            " or (actor = 'operator' and scope = 'operate')",
            name="role",
        ),
        CheckConstraint(
            "(actor in ('lender', 'agency')) = (tenant_id is not null)"
            " and (actor = 'agency') = (agency_id is not null)"
            " and (actor = 'regulator') = (regulator_id is not null)",
            name="speaks_for_one",
        ),
        CheckConstraint("(password is null) = (password_at is null)", name="password_is_dated"),
        CheckConstraint("(oidc_issuer is null) = (oidc_subject is null)", name="binding_is_whole"),
        Index(
            None,
            "tenant_id",
            "email",
            unique=True,
            postgresql_where=text("removed_at is null"),
        ),
        Index(
            None,
            "regulator_id",
            "email",
            unique=True,
            postgresql_where=text("removed_at is null"),
        ),
        Index(
            None,
            "actor",
            "email",
            unique=True,
            postgresql_where=text("removed_at is null and actor = 'operator'"),
        ),
        Index(
            None,
            "tenant_id",
            "oidc_issuer",
            "oidc_subject",
            unique=True,
            postgresql_where=text("removed_at is null"),
        ),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    handle: str = Field(sa_type=TEXT)
    tenant_id: UUID | None = Field(default=None, foreign_key="tenant.id")
    agency_id: UUID | None = None
    regulator_id: UUID | None = Field(default=None, foreign_key="regulator.id")
    actor: str = Field(sa_type=TEXT)
    scope: str = Field(sa_type=TEXT)
    email: str = Field(sa_type=TEXT)
    name: str = Field(sa_type=TEXT)
    password: str | None = Field(default=None, sa_type=TEXT)
    password_at: datetime | None = Field(default=None, sa_type=MOMENT)
    admitted_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    oidc_issuer: str | None = Field(default=None, sa_type=TEXT)
    oidc_subject: str | None = Field(default=None, sa_type=TEXT)
    created_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    suspended_at: datetime | None = Field(default=None, sa_type=MOMENT)
    removed_at: datetime | None = Field(default=None, sa_type=MOMENT)


class ConsoleSession(SQLModel, table=True):
    """One log-in of one person, by the digest of the token that the cookie holds."""

    __tablename__ = "console_session"
    __table_args__ = (
        UniqueConstraint("digest"),
        among("how", How),
        CheckConstraint("expires_at <= created_at + interval '31 days'", name="life"),
        Index(None, "person_id", "created_at"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    digest: str = Field(sa_type=TEXT)
    person_id: UUID = Field(foreign_key="person.id")
    how: str = Field(sa_type=TEXT)
    agent: str = Field(sa_type=TEXT)
    created_at: datetime = Field(sa_type=MOMENT)
    seen_at: datetime = Field(sa_type=MOMENT)
    expires_at: datetime = Field(sa_type=MOMENT)
    ended_at: datetime | None = Field(default=None, sa_type=MOMENT)


class PasswordToken(SQLModel, table=True):
    """The digest of a token that sets one person's password, once and for some hours."""

    __tablename__ = "password_token"
    __table_args__ = (
        CheckConstraint("expires_at <= created_at + interval '31 days'", name="life"),
        Index(None, "person_id"),
    )

    digest: str = Field(primary_key=True, sa_type=TEXT)
    person_id: UUID = Field(foreign_key="person.id")
    created_at: datetime = Field(sa_type=MOMENT)
    expires_at: datetime = Field(sa_type=MOMENT)
    used_at: datetime | None = Field(default=None, sa_type=MOMENT)


class SignInAttempt(SQLModel, table=True):
    """Attempts that failed of late, by the digest of an account or an address."""

    __tablename__ = "sign_in_attempt"
    __table_args__ = (Index(None, "last_at"),)

    subject: str = Field(primary_key=True, sa_type=TEXT)
    failures: int
    last_at: datetime = Field(sa_type=MOMENT)


class OidcProvider(SQLModel, table=True):
    """Where a lender's people sign in; the client's secret is sealed.

    `domains`: ends of the e-mail addresses that are taken; none: all. `roles` gives a scope to
    each value of the claim `role_claim`; none: people are invited first and keep their scope.
    """

    __tablename__ = "oidc_provider"

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    issuer: str = Field(sa_type=TEXT)
    client_id: str = Field(sa_type=TEXT)
    client_secret: bytes = Field(sa_type=LargeBinary)
    domains: list[str] = Field(sa_type=JSON)
    role_claim: str = Field(sa_type=TEXT)
    roles: dict[str, Any] = Field(sa_type=JSON)
    set_at: datetime = Field(default_factory=now, sa_type=MOMENT)
    set_by: str = Field(sa_type=TEXT)


class OidcFlow(SQLModel, table=True):
    """A log-in on its way to the provider and back; deleted when it comes back."""

    __tablename__ = "oidc_flow"

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    state: str = Field(primary_key=True, sa_type=TEXT)
    browser: str = Field(sa_type=TEXT)
    issuer: str = Field(sa_type=TEXT)
    nonce: str = Field(sa_type=TEXT)
    verifier: str = Field(sa_type=TEXT)
    expires_at: datetime = Field(sa_type=MOMENT)

"""Log-in at a lender's own OpenID provider: its settings, the way there and back, whom it names."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hmac import compare_digest
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session, col, select

from service import log
from service.access import console, persons, throttle
from service.access.console import Caller
from service.access.oidc_protocol import (
    Client,
    Discovered,
    Flow,
    Outbound,
    ProviderError,
    authorize_url,
    discover,
    need_outbound,
    redeem,
)
from service.access.person_models import How, OidcFlow, OidcProvider, Person
from service.access.persons import Circle, PersonWish
from service.alerts.destination import RefusedDestinationError, parse_destination
from service.audit import add_entry
from service.clock import now
from service.config import settings
from service.db import tenant_session
from service.errors import (
    BadSignInError,
    FieldProblem,
    InvalidInputError,
    NotFoundError,
    ServiceError,
    UnavailableError,
)
from service.models import Actor, Scope
from service.privacy.sealing import about_field, seal, unseal

BROWSER_COOKIE = "__Host-hegui-oidc"
CALLBACK = "/v1/oidc/callback"
FLOW_LIFE = timedelta(minutes=10)
MAX_DOMAINS, MAX_ROLES = 50, 50
PROVIDER = "provider"
_DISCOVERED_S = 300.0
_ROLES = (Scope.READ, Scope.REVIEW, Scope.ADMIN)
_log = log.get(__name__)
_discovered: dict[str, tuple[float, Discovered]] = {}
_TAKE = text(
    "delete from oidc_flow where state = :state"
    " returning browser, issuer, nonce, verifier, clock_timestamp() < expires_at as is_live,"
    " extract(epoch from clock_timestamp())::bigint as now_s"
)
_SWEEP = text("delete from oidc_flow where expires_at < clock_timestamp()")


@dataclass(frozen=True, slots=True)
class ProviderWish:
    """How a lender's people sign in at its provider; see `OidcProvider`."""

    issuer: str
    client_id: str
    client_secret: str
    domains: tuple[str, ...] = ()
    role_claim: str = ""
    roles: Mapping[str, Scope] | None = None


def set_provider(session: Session, tenant_id: UUID, wish: ProviderWish, *, by: str) -> OidcProvider:
    """Set or change a lender's provider; raises `InvalidInputError` naming the field."""
    _refuse_wish(wish)
    row = find_provider(session) or OidcProvider(
        tenant_id=tenant_id, issuer="", client_id="", client_secret=b"", domains=[],
        role_claim="", roles={}, set_by=by,
    )  # fmt: skip
    row.issuer, row.client_id = wish.issuer, wish.client_id
    row.client_secret = seal(tenant_id, wish.client_secret.encode(), _about(tenant_id))
    row.domains = sorted({domain.casefold() for domain in wish.domains})
    row.role_claim = wish.role_claim
    row.roles = {value: scope.value for value, scope in (wish.roles or {}).items()}
    row.set_at, row.set_by = now(), by
    session.add(row)
    session.flush()
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=by,
        action="oidc_provider_set",
        details={"domains": len(row.domains), "roles": len(row.roles)},
    )
    return row


def _refuse_wish(wish: ProviderWish) -> None:
    problems = []
    try:
        parse_destination(wish.issuer, allow=settings().egress_hosts)
    except RefusedDestinationError as error:
        problem = f"is not called ({error.code}): https, a public name, or in HEGUI_EGRESS_ALLOW"
        problems.append(FieldProblem("issuer", problem))
    if "?" in wish.issuer or "#" in wish.issuer:
        problems.append(FieldProblem("issuer", "has no query and no fragment"))
    if bool(wish.roles) != bool(wish.role_claim):
        problems.append(FieldProblem("role_claim", "stands with roles, and only with them"))
    wrong = [scope for scope in (wish.roles or {}).values() if scope not in _ROLES]
    if wrong:
        allowed = ", ".join(scope.value for scope in _ROLES)
        problems.append(FieldProblem("roles", f"gives one of: {allowed}"))
    if wish.roles and not wish.domains:
        problems.append(FieldProblem("domains", "must name domains where roles let people in"))
    if problems:
        raise InvalidInputError("The provider cannot be set.", errors=tuple(problems))


def _about(tenant_id: UUID) -> bytes:
    return about_field(tenant_id, "oidc_provider", "", "client_secret")


def find_provider(session: Session) -> OidcProvider | None:
    """The session's lender's provider, if one is set."""
    return session.exec(select(OidcProvider)).one_or_none()


def get_provider(session: Session) -> OidcProvider:
    """The session's lender's provider; raises `NotFoundError`."""
    row = find_provider(session)
    if row is None:
        raise NotFoundError("No provider is set.")
    return row


def clear_provider(session: Session, tenant_id: UUID, *, by: str) -> None:
    """Take a lender's provider away; people sign in with passwords then. Raises `NotFoundError`."""
    session.delete(get_provider(session))
    add_entry(session, tenant_id=tenant_id, actor=by, action="oidc_provider_cleared")


def begin(outbound: Outbound | None, tenant_id: UUID) -> tuple[str, str]:
    """Begin a log-in: where the browser goes, and what it shall bring back as a cookie.

    Raises `NotFoundError` where there is no such lender or it has no provider, `UnavailableError`
    where the provider does not answer.
    """
    with tenant_session(tenant_id) as session:
        row = get_provider(session)
    client = _client(row)
    try:
        found = _discover(need_outbound(outbound), row.issuer)
    except ProviderError as error:
        _log.warning("oidc_provider_failed", reason=error.code, tenant_id=str(tenant_id))
        raise UnavailableError("The provider does not answer as it should; try again.") from error
    flow = Flow(f"{tenant_id.hex}.{_random()}", _random(), _random())
    browser = _random()
    with tenant_session(tenant_id) as session:
        session.connection().execute(_SWEEP)
        session.add(
            OidcFlow(
                tenant_id=tenant_id,
                state=persons.token_digest(flow.state),
                browser=persons.token_digest(browser),
                issuer=row.issuer,
                nonce=flow.nonce,
                verifier=flow.verifier,
                expires_at=persons.database_now(session) + FLOW_LIFE,
            )
        )
    return authorize_url(found, client, flow), browser


def _random() -> str:
    return secrets.token_urlsafe(32)


def _client(row: OidcProvider) -> Client:
    return Client(
        issuer=row.issuer,
        client_id=row.client_id,
        secret=unseal(row.tenant_id, row.client_secret, _about(row.tenant_id)).decode(),
        redirect_uri=settings().public_base_url.rstrip("/") + CALLBACK,
    )


def _discover(outbound: Outbound, issuer: str) -> Discovered:
    """A provider's metadata, some minutes old at most: strangers can begin log-ins at will."""
    held = _discovered.get(issuer)
    if held is not None and held[0] > time.monotonic():
        return held[1]
    found = discover(outbound, issuer)
    _discovered[issuer] = (time.monotonic() + _DISCOVERED_S, found)
    return found


def forget_providers() -> None:
    """Drop what this process knows of providers."""
    _discovered.clear()


@dataclass(frozen=True, slots=True)
class Return:
    """What the browser brought back from the provider."""

    state: str
    code: str
    issuer: str | None
    browser: str | None


def finish(outbound: Outbound | None, came: Return, caller: Caller, *, old: str | None) -> str:
    """End a log-in that came back; gives the token of the session that begins.

    Raises `BadSignInError`, the same for a state that is unknown, used, over or another browser's,
    for a code or an id_token that does not hold, and for somebody who may not sign in here.
    """
    address = throttle.address_of(caller.address)
    account = throttle.account_of("oidc", address)
    throttle.begin_attempt(account, address)
    try:
        tenant_id, person = _who(outbound, came)
    except ProviderError as error:
        _log.info("sign_in_refused", reason=error.code)
        raise BadSignInError("The provider's word does not let you in.") from error
    token = console.begin_session(person, How.OIDC, caller, old=old)
    throttle.end_attempt(account, address)
    _log.info("signed_in", tenant_id=str(tenant_id))
    return token


def _who(way_out: Outbound | None, came: Return) -> tuple[UUID, Person]:
    try:
        tenant_id = UUID(hex=came.state.partition(".")[0])
    except ValueError:
        raise ProviderError("state_unknown") from None
    # Used up and committed before anybody is asked: a state works once, whatever comes of it.
    with tenant_session(tenant_id) as session:
        values = {"state": persons.token_digest(came.state)}
        held = session.connection().execute(_TAKE, values).mappings().first()
        row = find_provider(session)
    if held is None or not held["is_live"] or row is None or row.issuer != held["issuer"]:
        raise ProviderError("state_unknown")
    if not compare_digest(held["browser"], persons.token_digest(came.browser or "")):
        raise ProviderError("other_browser")
    outbound = need_outbound(way_out)
    found = _discover(outbound, row.issuer)
    if came.issuer != row.issuer and (came.issuer is not None or found.names_itself):
        raise ProviderError("other_issuer")
    flow = Flow(came.state, held["nonce"], held["verifier"])
    claims = redeem(
        outbound, found, _client(row), code=came.code, flow=flow, now_s=int(held["now_s"])
    )
    with tenant_session(tenant_id) as session:
        return tenant_id, _person(session, row, claims)


def _person(session: Session, row: OidcProvider, claims: Mapping[str, Any]) -> Person:
    """Whom the provider named: by its subject, else by a verified address, else somebody new."""
    scope = _scope(row, claims)
    if row.roles and scope is None:
        raise ProviderError("no_role")
    person = session.exec(
        select(Person)
        .where(col(Person.tenant_id) == row.tenant_id, col(Person.removed_at).is_(None))
        .where(col(Person.oidc_issuer) == row.issuer, col(Person.oidc_subject) == claims["sub"])
    ).one_or_none()
    if person is None:
        person = _bind(session, row, claims, scope)
    if scope is not None and person.actor == Actor.LENDER and person.scope != scope:
        circle = Circle(row.tenant_id)
        try:
            person = persons.change_scope(session, circle, person.id, scope, by=PROVIDER)
        except ServiceError as error:
            raise ProviderError("role_refused") from error
    return person


def _scope(row: OidcProvider, claims: Mapping[str, Any]) -> Scope | None:
    """The highest role that the claim's values give; None where none does."""
    held = claims.get(row.role_claim)
    values = held if isinstance(held, list) else [held]
    given = {row.roles[value] for value in values if isinstance(value, str) and value in row.roles}
    return max((scope for scope in _ROLES if scope in given), key=_ROLES.index, default=None)


def _bind(
    session: Session, row: OidcProvider, claims: Mapping[str, Any], scope: Scope | None
) -> Person:
    """Tie the provider's subject to the person of its verified address, once."""
    email = claims.get("email")
    if not isinstance(email, str) or claims.get("email_verified") is not True:
        raise ProviderError("address_not_verified")
    email = persons.normal_email(email)
    if row.domains and email.rpartition("@")[2] not in row.domains:
        raise ProviderError("domain_not_taken")
    person = session.exec(
        select(Person)
        .where(col(Person.tenant_id) == row.tenant_id, col(Person.email) == email)
        .where(col(Person.removed_at).is_(None))
        .with_for_update()
    ).one_or_none()
    if person is None:
        if scope is None:
            raise ProviderError("nobody_invited")
        name = claims.get("name")
        wish = PersonWish(Actor.LENDER, scope, email, name if isinstance(name, str) else email)
        person = persons.add_person(session, Circle(row.tenant_id), wish, by=PROVIDER)
    elif person.oidc_issuer == row.issuer:
        raise ProviderError("other_subject")
    person.oidc_issuer, person.oidc_subject = row.issuer, claims["sub"]
    person.admitted_at = max(person.admitted_at, now())
    session.flush()
    persons.note_act(session, person, "provider_bound")
    return person

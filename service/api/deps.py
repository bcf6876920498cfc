"""All that a route may ask for: who calls, a session that sees what the caller may see, a body."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import Depends, Header, Request, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from sqlmodel import Session
from starlette.requests import ClientDisconnect

from service.access.admission import open_principal
from service.access.console import COOKIE, authenticate_session, circle_session
from service.access.door import Credential, authenticate, refused
from service.access.persons import Circle
from service.access.tenants import Principal
from service.config import settings
from service.db import tenant_session
from service.errors import (
    ForbiddenError,
    RefusedError,
    RequestTimeoutError,
    TooLargeError,
    UnsupportedEncodingError,
)
from service.limits import spend
from service.models import Actor, Scope
from service.privacy.models import LimitKind

SLOWEST_BYTES_S = 8 * 1024
_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="apiKey",
    description="An API key: `Authorization: Bearer hg_…`. Shown once when it is made.",
)
_cookie = APIKeyCookie(
    name=COOKIE,
    auto_error=False,
    scheme_name="consoleSession",
    description="The cookie of somebody who signed in (`POST /v1/session`). With it, everything but"
    " GET needs the browser's word (`Origin`, `Sec-Fetch-Site`) that a page of this service asks.",
)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
GrantHeader = Annotated[
    UUID | None,
    Header(
        alias="Hegui-Grant",
        description="Regulators only: the grant to read under, where several live.",
    ),
]


def current_credential(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    cookie: Annotated[str | None, Security(_cookie)],
) -> Credential:
    """Return the request's key, or else its session, where it is good now.

    Raises `BadKeyError`, and `ForbiddenError` where another site's page sent the cookie.
    """
    if credentials is None:
        return current_session(request, cookie)
    credential = authenticate(credentials.credentials)
    request.state.tenant_id = credential.tenant_id
    request.state.key_id = credential.key_id
    return credential


def current_session(
    request: Request, cookie: Annotated[str | None, Security(_cookie)]
) -> Credential:
    """Return the request's session where it is good now; raises as `current_credential` does."""
    if cookie is None:
        raise refused()
    if request.method not in SAFE_METHODS and not is_own_page(request):
        raise ForbiddenError(
            "Requests with the session's cookie come from this service's own pages: send Origin.",
            code="cross_site",
        )
    credential = authenticate_session(cookie)
    request.state.tenant_id = credential.tenant_id
    request.state.key_id = credential.key_id
    return credential


def is_own_page(request: Request) -> bool:
    """Tell whether the browser says that a page of `HEGUI_PUBLIC_BASE_URL` made a request."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    if origin is None:
        return site == "same-origin"
    own = urlsplit(settings().public_base_url)
    return origin == f"{own.scheme}://{own.netloc}" and site in {None, "same-origin"}


CurrentCredential = Annotated[Credential, Depends(current_credential)]
CurrentSession = Annotated[Credential, Depends(current_session)]


def current_principal(
    request: Request, credential: CurrentCredential, under: GrantHeader = None
) -> Principal:
    """Return whom the request speaks for; a regulator's reads are written down before they are.

    Raises `BadKeyError`, and `ForbiddenError` for a regulator without a live grant.
    """
    subject = next(iter(request.path_params.values()), None)
    route = request.scope["route"].path
    principal = open_principal(credential, wanted=under, route=route, subject_id=subject)
    request.state.tenant_id = principal.tenant_id
    request.state.principal = principal  # what `service.api.masked` goes by
    request.state.limit = spend(principal.tenant_id, principal.agency_id, LimitKind.REQUESTS)
    return principal


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]


def administrator(principal: CurrentPrincipal) -> Principal:
    """Return the caller where it is a lender's administrator; raises `ForbiddenError`."""
    if principal.actor is not Actor.LENDER or principal.scope is not Scope.ADMIN:
        raise ForbiddenError("This needs a lender's key with the scope admin.")
    return principal


def sender(principal: CurrentPrincipal) -> Principal:
    """Return the caller where it is an agency that may send; raises `ForbiddenError`."""
    if principal.actor is not Actor.AGENCY or principal.scope is not Scope.SEND:
        raise ForbiddenError("This needs an agency's key with the scope send.")
    return principal


def reviewer(principal: CurrentPrincipal) -> Principal:
    """Return the caller where it reviews for the lender; raises `ForbiddenError`."""
    if principal.actor is not Actor.LENDER or principal.scope not in {Scope.ADMIN, Scope.REVIEW}:
        raise ForbiddenError("This needs a lender's key with the scope review or admin.")
    return principal


def quality(principal: CurrentPrincipal) -> Principal:
    """Return the caller where it answers for an agency's calls; raises `ForbiddenError`."""
    if principal.actor is not Actor.AGENCY or principal.scope is not Scope.QUALITY:
        raise ForbiddenError("This needs an agency's key with the scope quality.")
    return principal


def participant(principal: CurrentPrincipal) -> Principal:
    """Return the caller where it is the lender or an agency; raises `ForbiddenError`."""
    if principal.actor is Actor.REGULATOR:
        raise ForbiddenError("This is between the lender and its agencies.")
    return principal


def lender_reader(principal: CurrentPrincipal) -> Principal:
    """Return the caller where it is the lender, with any key; raises `ForbiddenError`."""
    if principal.actor is not Actor.LENDER:
        raise ForbiddenError("This needs a lender's key.")
    return principal


def regulator(principal: CurrentPrincipal) -> Principal:
    """Return the caller where it is a regulator under a live grant; raises `ForbiddenError`."""
    if principal.actor is not Actor.REGULATOR:
        raise ForbiddenError("This needs a regulator's key.")
    return principal


def overseer(principal: CurrentPrincipal) -> Principal:
    """Return the caller where it is the lender or a regulator; raises `ForbiddenError`."""
    if principal.actor is Actor.AGENCY:
        raise ForbiddenError("This is between the lender and its regulators.")
    return principal


@dataclass(frozen=True, slots=True)
class Keeper:
    """Who looks after people, and whose: a lender's administrator, or an operator."""

    circle: Circle
    key_id: str


def keeper(request: Request, credential: CurrentCredential, under: GrantHeader = None) -> Keeper:
    """Return the caller where it looks after people; raises `ForbiddenError`."""
    if credential.actor is Actor.OPERATOR:
        return Keeper(Circle(None), credential.key_id)
    principal = administrator(current_principal(request, credential, under))
    return Keeper(Circle(principal.tenant_id), principal.key_id)


PeopleKeeper = Annotated[Keeper, Depends(keeper)]


def open_circle(caller: PeopleKeeper) -> Iterator[Session]:
    """Open the request's one transaction: of the lender, or of nobody for operators."""
    with circle_session(caller.circle.tenant_id) as session:
        yield session


CircleSession = Annotated[Session, Depends(open_circle, scope="function")]
RegulatorCaller = Annotated[Principal, Depends(regulator)]
Overseer = Annotated[Principal, Depends(overseer)]
LenderReader = Annotated[Principal, Depends(lender_reader)]
Participant = Annotated[Principal, Depends(participant)]
Administrator = Annotated[Principal, Depends(administrator)]
Sender = Annotated[Principal, Depends(sender)]
Reviewer = Annotated[Principal, Depends(reviewer)]
Quality = Annotated[Principal, Depends(quality)]


def open_session(principal: CurrentPrincipal) -> Iterator[Session]:
    """Open the request's one transaction.

    An agency's sees that agency's rows only, a regulator's what its grant covers.
    """
    grant = principal.grant
    with tenant_session(
        principal.tenant_id,
        agency_id=principal.agency_id,
        regulator_id=principal.regulator_id,
        grant_id=grant.id if grant else None,
        key_id=principal.key_id,
    ) as session:
        yield session


# With the scope `function` the commit comes before the answer: a commit that fails is an error.
TenantSession = Annotated[Session, Depends(open_session, scope="function")]


def refuse_compressed(request: Request) -> None:
    """Refuse a compressed body: signatures and hashes are over the bytes as they were made."""
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedEncodingError("Send the body as it is, without Content-Encoding.")


async def body_chunks(request: Request) -> AsyncIterator[bytes]:
    """Give the pieces of a body as they come; raises `RequestTimeoutError` where they come slowly.

    Each piece has a time of its own, and all together must not trickle.
    """
    stream = request.stream()
    begun, size = time.monotonic(), 0
    while True:
        try:
            async with asyncio.timeout(settings().upload_idle_s):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise _too_slow() from None
        size += len(chunk)
        _refuse_trickle(size, begun)
        yield chunk


def _too_slow() -> RequestTimeoutError:
    return RequestTimeoutError("The next piece of the body did not come in time.")


def _refuse_trickle(size: int, begun: float) -> None:
    if time.monotonic() - begun > settings().upload_idle_s + size / SLOWEST_BYTES_S:
        raise RequestTimeoutError(f"The body comes below {SLOWEST_BYTES_S} bytes a second.")


async def read_body(request: Request) -> bytes:
    """Read a small body whole; raises `TooLargeError` as soon as it is over the limit."""
    return await read_limited(request, settings().body_max_kb * 1024)


async def read_limited(request: Request, limit: int) -> bytes:
    """Read a body of up to `limit` bytes whole, its pieces as promptly as `body_chunks` asks.

    Raises `TooLargeError` as soon as it is over.
    """
    refuse_compressed(request)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise TooLargeError(f"The body may have up to {limit} bytes.")
    chunks: list[bytes] = []
    size, begun, idle_s = 0, time.monotonic(), settings().upload_idle_s
    try:
        async with asyncio.timeout(idle_s) as patience:
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise TooLargeError(f"The body may have up to {limit} bytes.")
                _refuse_trickle(size, begun)
                chunks.append(chunk)
                if chunk:
                    patience.reschedule(asyncio.get_running_loop().time() + idle_s)
    except TimeoutError:
        raise _too_slow() from None
    except ClientDisconnect:
        raise RefusedError("The body ended before it was complete.") from None
    return b"".join(chunks)


RawBody = Annotated[bytes, Depends(read_body)]

"""Log-in at a lender's own OpenID provider: the settings, the way there, the way back."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from rules.events import SafeStr
from service.access import oidc
from service.access.console import COOKIE
from service.access.oidc import BROWSER_COOKIE, FLOW_LIFE, ProviderWish, Return
from service.access.person_models import OidcProvider
from service.api.deps import Administrator, TenantSession
from service.api.session import In, caller_of, set_session
from service.config import settings
from service.errors import BadSignInError
from service.models import Scope

router = APIRouter(tags=["sign-in"])

Text = Annotated[SafeStr, StringConstraints(min_length=1, max_length=500, pattern=r"^[!-~]+$")]
Domain = Annotated[
    SafeStr,
    StringConstraints(max_length=189, pattern=r"^[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*$"),
]
# What a code and a state are made of: RFC 6749, appendices A.5 and A.11.
Value = Annotated[str, Query(max_length=4096, pattern="^[ -~]*$")]


class ProviderIn(In):
    """A lender's provider. Without `roles` people are added first; with them the claim decides."""

    issuer: Text = Field(examples=["https://login.bank.example"])
    client_id: Text
    client_secret: Annotated[SecretStr, Field(min_length=1, max_length=500)]
    domains: Annotated[list[Domain], Field(max_length=oidc.MAX_DOMAINS)] = Field(
        default=[], description="Ends of the e-mail addresses that are taken; none: all."
    )
    role_claim: Annotated[SafeStr, StringConstraints(max_length=200)] = Field(
        default="", description="The claim that holds groups or roles."
    )
    roles: Annotated[dict[str, Scope], Field(max_length=oidc.MAX_ROLES)] = Field(
        default={},
        description="What each value of the claim lets do: `admin`, `review` or `read`.",
        examples=[{"compliance": "review"}],
    )


class ProviderOut(BaseModel):
    """A lender's provider; the client's secret is shown to nobody."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    issuer: str
    client_id: str
    domains: list[str]
    role_claim: str
    roles: dict[str, Scope]
    redirect_uri: str = Field(description="What the provider must know as the redirect address.")
    start_uri: str = Field(description="Where the lender's people begin.")
    set_at: datetime
    set_by: str

    @classmethod
    def of(cls, row: OidcProvider) -> "ProviderOut":
        """Show one row."""
        base = settings().public_base_url.rstrip("/")
        start = f"{base}/v1/oidc/start?tenant_id={row.tenant_id}"
        uris = {"redirect_uri": base + oidc.CALLBACK, "start_uri": start}
        return cls.model_validate({**row.model_dump(exclude={"client_secret"}), **uris})


@router.get("/v1/oidc", summary="Read the provider")
def get_provider(caller: Administrator, session: TenantSession) -> ProviderOut:
    """Show where the lender's people sign in."""
    del caller
    return ProviderOut.of(oidc.get_provider(session))


@router.put("/v1/oidc", summary="Set the provider")
def put_provider(caller: Administrator, session: TenantSession, wish: ProviderIn) -> ProviderOut:
    """Set where the lender's people sign in; the client's secret is sealed."""
    values = wish.model_dump(exclude={"client_secret", "domains"})
    asked = ProviderWish(
        client_secret=wish.client_secret.get_secret_value(), domains=tuple(wish.domains), **values
    )
    return ProviderOut.of(oidc.set_provider(session, caller.tenant_id, asked, by=caller.key_id))


@router.delete("/v1/oidc", status_code=204, summary="Take the provider away")
def delete_provider(caller: Administrator, session: TenantSession) -> None:
    """Let nobody sign in at the provider any more; open sessions stay until they end."""
    oidc.clear_provider(session, caller.tenant_id, by=caller.key_id)


@router.get(
    "/v1/oidc/start",
    status_code=303,
    summary="Go to the provider",
    response_class=RedirectResponse,
    openapi_extra={"security": []},
)
def get_start(
    request: Request, tenant_id: Annotated[UUID, Query(description="The lender.")]
) -> Response:
    """Send the browser to the lender's provider; a lender without one is a 404."""
    url, browser = oidc.begin(request.app.state.outbound, tenant_id)
    answer = RedirectResponse(url, status_code=303)
    answer.set_cookie(
        BROWSER_COOKIE, browser, max_age=int(FLOW_LIFE.total_seconds()),
        secure=True, httponly=True, samesite="lax", path="/",
    )  # fmt: skip
    return answer


@router.get(
    oidc.CALLBACK,
    status_code=303,
    summary="Come back from the provider",
    response_class=RedirectResponse,
    openapi_extra={"security": []},
)
def get_callback(
    request: Request,
    state: Value = "",
    code: Value = "",
    iss: Annotated[str | None, Query(max_length=500, pattern="^[!-~]*$")] = None,
) -> Response:
    """Begin a session where the provider's word holds, and send the browser on to `/v1/me`."""
    if not state or not code:
        raise BadSignInError("The provider let nobody in.")
    token = oidc.finish(
        request.app.state.outbound,
        Return(state, code, iss, request.cookies.get(BROWSER_COOKIE)),
        caller_of(request),
        old=request.cookies.get(COOKIE),
    )
    answer = RedirectResponse(f"{settings().public_base_url.rstrip('/')}/v1/me", status_code=303)
    set_session(answer, token)
    answer.delete_cookie(BROWSER_COOKIE, secure=True, httponly=True, samesite="lax", path="/")
    return answer

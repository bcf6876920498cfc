"""People sign in and out, see and end their own sessions, and set their passwords."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from rules.events import SafeStr
from service.access import console
from service.access.console import COOKIE, Caller, Door
from service.access.person_models import ConsoleSession, How
from service.api.deps import CurrentSession, is_own_page
from service.errors import FieldProblem, ForbiddenError, InvalidInputError

router = APIRouter(tags=["sign-in"])

Email = Annotated[
    SafeStr,
    StringConstraints(max_length=254, pattern=r"^[^@\s]{1,64}@[^@\s]{1,189}$"),
    Field(examples=["li.na@bank.example"]),
]
# Longer ones than a password may be are refused in words, not by their shape.
Password = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
SessionKey = Annotated[UUID, Path(description="The session's id, as the list shows it.")]


class In(BaseModel):
    """A request body: fields we do not know are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SignInIn(In):
    """Whose people one belongs to, and the credentials; neither id: an operator."""

    tenant_id: UUID | None = Field(
        default=None, description="The lender, for its people and its agencies' people."
    )
    regulator_id: UUID | None = Field(default=None, description="The regulator, for its people.")
    email: Email
    password: Password


class NewPasswordIn(In):
    """A token that was handed over, and the password that it shall set."""

    token: Annotated[SafeStr, StringConstraints(min_length=1, max_length=200)]
    password: Password = Field(description="15 to 256 characters of any kind.")


class ChangePasswordIn(In):
    """The password in use, and the one after it."""

    current: Password
    new: Password = Field(description="15 to 256 characters of any kind.")


class SessionOut(BaseModel):
    """One open session of the caller."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: UUID
    how: How = Field(description="By password, or at the lender's provider.")
    agent: str = Field(description="What the browser called itself.")
    created_at: datetime
    seen_at: datetime = Field(description="Last request, to some seconds.")
    expires_at: datetime
    is_current: bool = Field(description="Whether this request came with it.")

    @classmethod
    def of(cls, row: ConsoleSession, current: UUID | None) -> "SessionOut":
        """Show one row."""
        values = {**row.model_dump(), "is_current": row.id == current}
        return cls.model_validate(values)


class SessionList(BaseModel):
    """Open sessions, newest first."""

    model_config = ConfigDict(frozen=True)

    items: list[SessionOut]


def caller_of(request: Request) -> Caller:
    """From where a request comes."""
    address = request.client.host if request.client else ""
    return Caller(address, request.headers.get("user-agent", ""))


def set_session(response: Response, token: str) -> None:
    """Give the browser a session: for this host alone, hidden from scripts and other sites."""
    response.set_cookie(COOKIE, token, secure=True, httponly=True, samesite="lax", path="/")


def _drop_session(response: Response) -> None:
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax", path="/")


def _refuse_foreign_page(request: Request) -> None:
    """Refuse to sign a browser in for another site's page; what is no browser names no origin."""
    is_browser = bool({"origin", "sec-fetch-site"} & set(request.headers))
    if is_browser and not is_own_page(request):
        raise ForbiddenError("Only this service's own pages sign people in.", code="cross_site")


@router.post(
    "/v1/session",
    status_code=204,
    summary="Sign in with a password",
    openapi_extra={"security": []},
)
def post_session(request: Request, response: Response, wish: SignInIn) -> None:
    """Begin a session and give its cookie; the session that the browser had before ends.

    Every failure is the same 401 after the same work; too many of them are a 429.
    """
    _refuse_foreign_page(request)
    if wish.tenant_id is not None and wish.regulator_id is not None:
        problem = FieldProblem("regulator_id", "must not stand beside tenant_id")
        raise InvalidInputError("Nobody belongs to both.", errors=(problem,))
    token = console.sign_in(
        Door(wish.tenant_id, wish.regulator_id),
        wish.email,
        wish.password,
        caller_of(request),
        old=request.cookies.get(COOKIE),
    )
    set_session(response, token)


@router.delete("/v1/session", status_code=204, summary="Sign out")
def delete_session(response: Response, caller: CurrentSession) -> None:
    """End the session of this request; its cookie is refused from now on."""
    console.sign_out(caller)
    _drop_session(response)


@router.get("/v1/sessions", summary="List your open sessions")
def list_sessions(caller: CurrentSession) -> SessionList:
    """List your own open sessions, newest first."""
    rows = console.list_own_sessions(caller)
    return SessionList(items=[SessionOut.of(row, caller.session_id) for row in rows])


@router.delete("/v1/sessions/{session}", status_code=204, summary="End one of your sessions")
def delete_own_session(caller: CurrentSession, session: SessionKey) -> None:
    """End one of your own sessions, at once; again changes nothing."""
    console.end_own_session(caller, session)


@router.post(
    "/v1/password",
    status_code=204,
    summary="Set a password with a token",
    openapi_extra={"security": []},
)
def post_password(wish: NewPasswordIn) -> None:
    """Set the password of whom the token is for, once; all sessions of that person end."""
    console.set_password(wish.token, wish.password)


@router.put("/v1/password", status_code=204, summary="Change your password")
def put_password(
    request: Request, response: Response, caller: CurrentSession, wish: ChangePasswordIn
) -> None:
    """Take a new password; all sessions end, and the cookie of a new one is given."""
    token = console.change_password(caller, wish.current, wish.new, caller_of(request))
    set_session(response, token)

"""OAuth 2.0 client credentials: a key is changed for a token that lives fifteen minutes."""

from base64 import b64decode
from binascii import Error
from typing import Literal
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from service.access.door import TOKEN_S, issue_token
from service.api.deps import RawBody
from service.errors import RefusedError

router = APIRouter(tags=["access"])
_FORM = "application/x-www-form-urlencoded"
_BODY = {
    "type": "object",
    "required": ["grant_type"],
    "properties": {
        "grant_type": {"type": "string", "enum": ["client_credentials"]},
        "client_id": {"type": "string", "description": "The key's id (`key_id`)."},
        "client_secret": {"type": "string", "description": "The whole key."},
    },
}


class TokenOut(BaseModel):
    """A token; send it as `Authorization: Bearer`. It ends with its key, at the latest on time."""

    model_config = ConfigDict(frozen=True)

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the scheme
    expires_in: int = Field(description="Seconds.")


def _from_header(request: Request) -> tuple[str, str] | None:
    """Read the client from `Authorization: Basic`, where it is sent so (RFC 6749 §2.3.1)."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = b64decode(given, validate=True).decode("ascii").partition(":")
    except (Error, UnicodeDecodeError):
        name = colon = secret = ""
    return (name, secret) if colon else ("", "")


def _read(request: Request, body: bytes) -> tuple[str, str]:
    """Read the client's id and secret; raises `RefusedError` with OAuth's word for the fault."""
    try:
        form = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=10)
    except ValueError:
        form = {}
    if any(len(values) > 1 for values in form.values()) or "grant_type" not in form:
        raise RefusedError(
            "Send grant_type, client_id and client_secret once each, as a form.",
            extra={"error": "invalid_request"},
        )
    if form["grant_type"] != ["client_credentials"]:
        raise RefusedError(
            "grant_type must be client_credentials.", extra={"error": "unsupported_grant_type"}
        )
    in_body = (form.get("client_id", [""])[0], form.get("client_secret", [""])[0])
    return _from_header(request) or in_body


@router.post(
    "/v1/token",
    summary="Change a key for a token",
    openapi_extra={
        "security": [],
        "requestBody": {"required": True, "content": {_FORM: {"schema": _BODY}}},
    },
)
async def post_token(request: Request, response: Response, body: RawBody) -> TokenOut:
    """Give a token for fifteen minutes (RFC 6749 §4.4); it is refused as soon as its key is."""
    token = await run_in_threadpool(issue_token, *_read(request, body))
    response.headers["cache-control"] = "no-store"
    return TokenOut(access_token=token, expires_in=TOKEN_S)

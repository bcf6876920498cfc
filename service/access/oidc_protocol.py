"""OpenID Connect as one of its clients speaks it: discovery, the code flow with PKCE, the id_token.

OpenID Connect Core 1.0 §3.1 and Discovery 1.0 §4, RFC 7636, RFC 9207. Nothing here dials: the
process is given a way out (`Outbound`), the guarded client of the workers.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from authlib.oauth2.auth import ClientAuth  # type: ignore[import-untyped]
from authlib.oauth2.rfc6749.parameters import (  # type: ignore[import-untyped]
    prepare_grant_uri,
    prepare_token_request,
)
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from service.errors import UnavailableError

# Signed with the provider's private key; neither none nor a shared secret, whatever it says.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
SCOPE = "openid email profile"
_LEEWAY_S = 60
_OK = 200


class ProviderError(Exception):
    """The provider said no, or nothing that holds; `code` is all that may be shown."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider answered."""

    status: int
    body: bytes


class Outbound(Protocol):
    """The way out to a provider; raises `ProviderError` where there is no answer."""

    def get(self, url: str) -> Answer:
        """Ask for a document."""

    def post(self, url: str, *, headers: Mapping[str, str], content: bytes) -> Answer:
        """Post a form."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who we are for a provider."""

    issuer: str
    client_id: str
    secret: str
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Flow:
    """What one log-in carries to the provider and back."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a provider tells of itself."""

    authorize_url: str
    token_url: str
    keys_url: str
    names_itself: bool


def need_outbound(outbound: Outbound | None) -> Outbound:
    """Return the way out; raises `UnavailableError` in a process that was given none."""
    if outbound is None:
        raise UnavailableError("This process has no way out to a provider; start `hegui api`.")
    return outbound


def discover(outbound: Outbound, issuer: str) -> Discovered:
    """Read a provider's metadata; raises `ProviderError`."""
    document = _document(outbound.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration"))
    if document.get("issuer") != issuer:
        raise ProviderError("issuer_differs")
    authorize, token, keys = (
        document.get(field) for field in ("authorization_endpoint", "token_endpoint", "jwks_uri")
    )
    if not (isinstance(authorize, str) and isinstance(token, str) and isinstance(keys, str)):
        raise ProviderError("metadata_incomplete")
    says_issuer = document.get("authorization_response_iss_parameter_supported") is True
    return Discovered(authorize, token, keys, names_itself=says_issuer)


def authorize_url(found: Discovered, client: Client, flow: Flow) -> str:
    """Where the browser goes to sign in."""
    return str(
        prepare_grant_uri(
            found.authorize_url,
            client_id=client.client_id,
            response_type="code",
            redirect_uri=client.redirect_uri,
            scope=SCOPE,
            state=flow.state,
            nonce=flow.nonce,
            code_challenge=create_s256_code_challenge(flow.verifier),
            code_challenge_method="S256",
        )
    )


def redeem(
    outbound: Outbound, found: Discovered, client: Client, *, code: str, flow: Flow, now_s: int
) -> Mapping[str, Any]:
    """Change the code for the id_token and give its claims; raises `ProviderError`.

    `now_s`: seconds since 1970, of the clock that says what is over.
    """
    auth = ClientAuth(client.client_id, client.secret)
    url, headers, form = auth.prepare(
        "POST",
        found.token_url,
        {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
        prepare_token_request(
            "authorization_code",
            code=code,
            redirect_uri=client.redirect_uri,
            code_verifier=flow.verifier,
        ),
    )
    answered = _document(outbound.post(url, headers=headers, content=form.encode()))
    token = answered.get("id_token")
    if not isinstance(token, str):
        raise ProviderError("no_id_token")
    keys = _document(outbound.get(found.keys_url))
    return _claims(token, keys, answered.get("access_token"), client, flow, now_s)


def _claims(
    token: str, keys: Any, access_token: Any, client: Client, flow: Flow, now_s: int
) -> Mapping[str, Any]:
    try:
        decoded = jwt.decode(token, KeySet.import_key_set(keys), algorithms=list(ALGORITHMS))
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options={
                "iss": {"essential": True, "value": client.issuer},
                "aud": {"essential": True, "value": client.client_id},
                "sub": {"essential": True},
                "exp": {"essential": True},
                "iat": {"essential": True},
                "nonce": {"essential": True, "value": flow.nonce},
            },
            params={
                "nonce": flow.nonce,
                "client_id": client.client_id,
                "access_token": access_token,
            },
        )
        claims.validate(now=now_s, leeway=_LEEWAY_S)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise ProviderError("id_token_refused") from error
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        raise ProviderError("id_token_refused")
    return dict(claims)


def _document(answer: Answer) -> dict[str, Any]:
    if answer.status != _OK:
        raise ProviderError("provider_refused")
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ProviderError("answer_malformed")
    return document

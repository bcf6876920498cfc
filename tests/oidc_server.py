"""A real OpenID provider on a local port: discovery, keys, codes with PKCE, signed id_tokens.

It keeps the rules of a provider (a code works once, for its client, address and verifier), and
`twist` changes what it signs, as an attacker's or a broken provider would.
"""

import base64
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tests.local_server import Handler, LocalServer

CLIENT_ID, CLIENT_SECRET = "hegui-client", "a secret of the client"
Twist = Callable[[dict[str, Any]], None]


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


@dataclass
class OidcServer(LocalServer):
    """The provider; `user` is who signs in there, `asked` what it was asked for."""

    user: dict[str, Any] = field(default_factory=dict)
    twist: Twist | None = None
    header: dict[str, str] = field(default_factory=lambda: {"alg": "RS256"})
    issuer_told: str | None = None
    names_itself: bool = False
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    key: RSAKey = field(
        default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1", "use": "sig"})
    )

    @property
    def issuer(self) -> str:
        return f"http://{self.address}"

    def authorize(self, url: str) -> dict[str, str]:
        """Do what the provider's page does after the user signed in: back with a code."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert query["client_id"] == CLIENT_ID
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        back = {"code": code, "state": query["state"]}
        return {**back, "iss": self.issuer} if self.names_itself else back

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer_told or self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "authorization_response_iss_parameter_supported": self.names_itself,
        }

    def token(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """Change a code for tokens; None where anything about it is wrong."""
        expected = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None or authorization != f"Basic {expected}":
            return None
        challenge = create_s256_code_challenge(form.get("code_verifier", ""))
        if (challenge, form.get("redirect_uri")) != (
            asked["code_challenge"],
            asked["redirect_uri"],
        ):
            return None
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **self.user,
        }
        if self.twist is not None:
            self.twist(claims)
        return {"access_token": "unused", "token_type": "Bearer", "id_token": self.sign(claims)}

    def sign(self, claims: dict[str, Any]) -> str:
        if self.header["alg"] not in {"none", "HS256"}:
            return jwt.encode({**self.header, "kid": "1"}, claims, self.key)
        signed = ".".join(encoded(json.dumps(part).encode()) for part in (self.header, claims))
        if self.header["alg"] == "none":
            return f"{signed}."
        # The old trick: the public key, which everybody has, as the shared secret.
        made = hmac.digest(self.key.as_pem(private=False), signed.encode(), "sha256")
        return f"{signed}.{encoded(made)}"

    class handler(Handler):  # noqa: N801  the base class names it so
        def answer(self, status: int, document: Any) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:  # noqa: N802  the base class names it so
            owner: OidcServer = self.server.owner
            owner.asked.append(self.path)
            if self.path == "/.well-known/openid-configuration":
                self.answer(200, owner.metadata())
            elif self.path == "/keys":
                self.answer(200, KeySet([owner.key]).as_dict(private=False))
            else:
                self.answer(404, {})

        def do_POST(self) -> None:  # noqa: N802  the base class names it so
            owner: OidcServer = self.server.owner
            owner.asked.append(self.path)
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            found = owner.token(form, self.headers.get("authorization", ""))
            self.answer(400 if found is None else 200, found or {"error": "invalid_grant"})


def callback(back: dict[str, str]) -> str:
    return "/v1/oidc/callback?" + urlencode(back)

"""The errors that callers see, each with its status and stable code.

ServiceError                      500  internal
├── RefusedError                  400  bad_request
│   ├── BadSignatureError         401  bad_signature · timestamp_out_of_tolerance
│   ├── BadKeyError               401  bad_api_key
│   ├── BadSignInError            401  bad_sign_in
│   ├── ForbiddenError            403  forbidden
│   ├── NotFoundError             404  not_found
│   ├── ConflictError             409  conflict · idempotency_conflict · interaction_of_other_case
│   ├── RequestTimeoutError       408  request_timeout
│   ├── LengthRequiredError       411  length_required
│   ├── TooLargeError             413  too_large
│   ├── UnsupportedEncodingError  415  unsupported_encoding
│   ├── RangeError                416  range_not_satisfiable
│   ├── LimitedError              429  limited
│   └── InvalidInputError         422  invalid_input
│       └── DigestMismatchError   422  digest_mismatch
└── UnavailableError              503  unavailable
    ├── MasterKeyError            503  master_key
    └── StorageFullError          507  storage_full

One handler in `service.app` answers all of them as RFC 9457 problem JSON. Messages never carry
personal data: they name fields, not values.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field that is wrong, and what it should be; never the value itself."""

    field: str
    message: str


class ServiceError(Exception):
    """Something inside failed."""

    status: ClassVar[int] = 500
    code: str = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str = "",
        *,
        code: str | None = None,
        errors: tuple[FieldProblem, ...] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.code = code or self.code
        self.errors = errors
        self.extra = dict(extra or {})

    def headers(self) -> dict[str, str]:
        """Return the headers that the answer needs beside its body."""
        return {}

    def problem(self) -> dict[str, Any]:
        """Return the RFC 9457 document."""
        document: dict[str, Any] = {
            "type": f"urn:hegui:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.extra,
        }
        if self.errors:
            document["errors"] = [
                {"field": problem.field, "message": problem.message} for problem in self.errors
            ]
        return document


class RefusedError(ServiceError):
    """The request cannot be taken as it is."""

    status = 400
    code = "bad_request"
    title = "Bad request"


class BadSignatureError(RefusedError):
    """The webhook's signature does not hold; nothing says why."""

    status = 401
    code = "bad_signature"
    title = "Signature refused"


class BadKeyError(RefusedError):
    """No live API key came with the request."""

    status = 401
    code = "bad_api_key"
    title = "API key refused"

    def headers(self) -> dict[str, str]:
        """Name the scheme that is asked for."""
        return {"WWW-Authenticate": "Bearer"}


class BadSignInError(RefusedError):
    """Somebody did not sign in; the same for all that can be wrong."""

    status = 401
    code = "bad_sign_in"
    title = "Sign-in refused"

    def headers(self) -> dict[str, str]:
        """Name the scheme that is asked for elsewhere; a log-in has none of its own."""
        return {"WWW-Authenticate": "Bearer"}


class ForbiddenError(RefusedError):
    """The key is good, but not for this."""

    status = 403
    code = "forbidden"
    title = "Not allowed with this key"


class NotFoundError(RefusedError):
    """There is no such thing for this caller."""

    status = 404
    code = "not_found"
    title = "Not found"


class ConflictError(RefusedError):
    """What is asked contradicts what is stored."""

    status = 409
    code = "conflict"
    title = "Conflict"


class RequestTimeoutError(RefusedError):
    """The body comes too slowly."""

    status = 408
    code = "request_timeout"
    title = "The body came too slowly"


class LengthRequiredError(RefusedError):
    """The length of the body must be declared."""

    status = 411
    code = "length_required"
    title = "Length required"


class TooLargeError(RefusedError):
    """The body is larger than the limit."""

    status = 413
    code = "too_large"
    title = "Body too large"


class UnsupportedEncodingError(RefusedError):
    """The body is compressed; it must come as it was signed."""

    status = 415
    code = "unsupported_encoding"
    title = "Compressed bodies are not taken"


class LimitedError(RefusedError):
    """More was asked for than the caller's limit allows; `wait_s` says when to come back."""

    status = 429
    code = "limited"
    title = "Too many requests"

    def __init__(self, detail: str, *, wait_s: float, policy: Mapping[str, str]) -> None:
        super().__init__(detail)
        self.wait_s = wait_s
        self.policy = dict(policy)

    def headers(self) -> dict[str, str]:
        """Say when to come back, and what the limit is."""
        return {"Retry-After": str(max(1, math.ceil(self.wait_s))), **self.policy}


class RangeError(RefusedError):
    """The range that was asked for holds no byte."""

    status = 416
    code = "range_not_satisfiable"
    title = "Range not satisfiable"

    def __init__(self, *, size: int) -> None:
        super().__init__(f"The recording has {size} bytes.")
        self.size = size

    def headers(self) -> dict[str, str]:
        """Say how long the whole is."""
        return {"Content-Range": f"bytes */{self.size}"}


class InvalidInputError(RefusedError):
    """The content is malformed; `errors` names the fields."""

    status = 422
    code = "invalid_input"
    title = "Invalid input"


class DigestMismatchError(InvalidInputError):
    """The bytes do not have the hash they were sent under."""

    code = "digest_mismatch"
    title = "The bytes do not match their hash"


class UnavailableError(ServiceError):
    """Something we stand on is away for the moment; the sender should repeat."""

    status = 503
    code = "unavailable"
    title = "Temporarily unavailable"
    retry_after_s: ClassVar[int] = 2

    def headers(self) -> dict[str, str]:
        """Say when to come back."""
        return {"Retry-After": str(self.retry_after_s)}


class MasterKeyError(UnavailableError):
    """The master key is missing or wrong, or what it protects was changed."""

    code = "master_key"
    title = "The personal data cannot be opened"
    retry_after_s = 60


class StorageFullError(UnavailableError):
    """No room is left for the bytes."""

    status = 507
    code = "storage_full"
    title = "Storage is full"
    retry_after_s = 60

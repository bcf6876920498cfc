"""Speaks HTTP to a hegui: the key, patience where it is asked for, refusals as one error."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from http import HTTPStatus
from typing import Any, Self
from uuid import UUID

import httpx

TIMEOUT_S = 60.0
ATTEMPTS = 5
LONGEST_WAIT_S = 60.0
PATIENT = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
PAGE = 200
_FIRST_WAIT_S = 0.5


class ApiError(Exception):
    """The service refused; `code` is stable (docs/errors.md), `errors` name fields."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code", "unknown"))
        self.detail = str(problem.get("detail") or problem.get("title") or f"status {status}")
        self.errors = [dict(each) for each in problem.get("errors", ())]
        fields = "".join(f"\n  {each['field']}: {each['message']}" for each in self.errors)
        super().__init__(f"{self.detail}{fields}")


class BadAddressError(ValueError):
    """The address or the key cannot be used for a request at all."""


class UnreachableError(Exception):
    """The service does not answer, or failed inside; nothing was decided."""


class Transport:
    """One service and one API key; use it with `with`.

    A 429 or 503 is tried again after its `Retry-After`, up to five times in all; so is a
    connection that breaks while something is read. Repeating is safe: operations are idempotent.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout_s: float = TIMEOUT_S,
        attempts: int = ATTEMPTS,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._attempts = attempts
        own = {"authorization": f"Bearer {key}", **(headers or {})}
        try:
            self._http = httpx.Client(base_url=url, headers=own, timeout=timeout_s, trust_env=False)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise BadAddressError("it has characters that cannot be sent") from error

    def __enter__(self) -> Self:
        """Open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Read one JSON document; raises `ApiError` (4xx) or `UnreachableError`."""
        document: dict[str, Any] = self.json(self.request("GET", path, query=query))
        return document

    def pages(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Read every row of a list, page by page."""
        while True:
            page = self.get(path, **query, limit=PAGE)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Ask once, and again where patience is asked for; raises as `get` does."""
        params = {name: plain(value) for name, value in (query or {}).items() if value is not None}
        for attempt in range(1, self._attempts + 1):
            is_last = attempt == self._attempts
            try:
                answer = self._http.request(
                    method, path, params=params, json=body, content=content, headers=headers
                )
            except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
                raise BadAddressError("write it as https://hegui.example.com") from error
            except httpx.TransportError as error:
                if is_last or method != "GET":
                    name = type(error).__name__
                    raise UnreachableError(f"the service does not answer ({name})") from error
                time.sleep(_FIRST_WAIT_S * 2.0 ** (attempt - 1))
                continue
            if answer.status_code not in PATIENT or is_last:
                return self._judged(answer)
            time.sleep(_wait_s(answer, attempt))
        raise AssertionError  # the last attempt returns or raises

    @staticmethod
    def json(answer: httpx.Response) -> Any:
        """The document of an answer; raises `ApiError` where it is not JSON."""
        try:
            return answer.json()
        except ValueError as error:
            problem = {"code": "not_hegui", "detail": "what answers there is not hegui"}
            raise ApiError(answer.status_code, problem) from error

    @classmethod
    def _judged(cls, answer: httpx.Response) -> httpx.Response:
        if answer.status_code in PATIENT or answer.is_client_error:
            problem = cls.json(answer)
            raise ApiError(answer.status_code, problem if isinstance(problem, dict) else {})
        if answer.is_server_error:
            raise UnreachableError(f"the service answered {answer.status_code}")
        return answer


def plain(value: Any) -> Any:
    """A parameter as it stands in a URL."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, UUID | date):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def _wait_s(answer: httpx.Response, attempt: int) -> float:
    """How long the service asks us to wait, seconds or a date; doubling where it does not say."""
    told = answer.headers.get("retry-after", "")
    if told.isascii() and told.isdigit():
        return min(float(told), LONGEST_WAIT_S)
    try:
        at = parsedate_to_datetime(told)
    except ValueError:
        return min(_FIRST_WAIT_S * 2.0 ** (attempt - 1), LONGEST_WAIT_S)
    moment: datetime = at if at.tzinfo else at.replace(tzinfo=UTC)
    seconds: float = (moment - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT_S)

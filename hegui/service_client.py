"""Reads from a running hegui over HTTP; what is refused is told in the service's own words."""

from collections.abc import Iterator
from typing import Any, Self

import httpx

from hegui.errors import RefusedError

TIMEOUT_S = 60
PAGE = "200"
SERVER_FAULT = 500


class UnreachableError(Exception):
    """The service does not answer, or failed inside; nothing was decided. Status 3."""


class ServiceClient:
    """One service and one API key; use it with `with`."""

    def __init__(self, url: str, key: str) -> None:
        headers = {"authorization": f"Bearer {key}"}
        try:
            self._http = httpx.Client(
                base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False
            )
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise RefusedError(
                "--url or HEGUI_API_KEY has characters that cannot be sent"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Read one JSON document; raises `RefusedError` (4xx) or `UnreachableError`."""
        try:
            answer = self._http.get(path, params=query)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise RefusedError("--url: write it as https://hegui.example.com") from error
        except httpx.TransportError as error:
            raise UnreachableError(
                f"the service does not answer ({type(error).__name__})"
            ) from error
        if answer.status_code >= SERVER_FAULT:
            raise UnreachableError(f"the service answered {answer.status_code}")
        try:
            document: dict[str, Any] = answer.json()
        except ValueError as error:
            raise RefusedError("--url: what answers there is not hegui") from error
        if not answer.is_success:
            raise RefusedError(_refusal(document))
        return document

    def pages(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """Read every row of a list, page by page."""
        while True:
            page = self.get(path, **query, limit=PAGE)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]


def _refusal(problem: dict[str, Any]) -> str:
    fields = "".join(f"\n  {row['field']}: {row['message']}" for row in problem.get("errors", ()))
    return f"the service refused: {problem.get('detail') or problem.get('title')}{fields}"

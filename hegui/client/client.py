"""The client that programs use: groups of operations over one transport."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from hegui.client.operations import Operations
from hegui.transport import ATTEMPTS, PAGE, TIMEOUT_S, Transport


class HeguiClient(Operations):
    """One service and one API key; use it with `with`.

    `client.reviews.list_queue(free=True)` gives a `ReviewQueuePage`: each operation is a method of
    the group that its module is, and answers are the shapes of the API. Raises `ApiError` where
    the service refuses, and `UnreachableError` where it does not answer.
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
        super().__init__(
            Transport(url, key, timeout_s=timeout_s, attempts=attempts, headers=headers)
        )

    def __enter__(self) -> Self:
        """Open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.transport.close()


def pages(operation: Callable[..., Any], *places: Any, **query: Any) -> Iterator[Any]:
    """Every row of a list operation, page by page: `pages(client.findings.list_findings)`."""
    while True:
        page = operation(*places, **query, limit=PAGE)
        yield from page.items
        if page.next_cursor is None:
            return
        query["cursor"] = page.next_cursor

"""Group commit: what arrives while a transaction runs shares the next one.

Measured (benches/bench_ingest.py): one transaction an event spends most of the processor on round
trips, commits and threads; shared ones take in several times as many. Nothing waits for company:
an event that comes alone is stored at once, and is answered after its commit all the same.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

E = TypeVar("E")
R = TypeVar("R")


class Together(Generic[E, R]):
    """Hands entries to `store` in groups, at most `flights` groups at a time, on one event loop."""

    def __init__(
        self,
        store: Callable[[Sequence[E]], Sequence[R | Exception]],
        *,
        largest: int = 64,
        flights: int = 2,
    ) -> None:
        self._store = store
        self._largest = largest
        self._free = flights
        self._waiting: list[tuple[E, asyncio.Future[R | Exception]]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def submit(self, entry: E) -> R | Exception:
        """Store an entry with whatever else is waiting; return what `store` said of it."""
        future: asyncio.Future[R | Exception] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, future))
        if self._free:
            self._free -= 1
            task = asyncio.create_task(self._fly())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await future

    async def _fly(self) -> None:
        try:
            while self._waiting:
                group = self._waiting[: self._largest]
                del self._waiting[: self._largest]
                await self._carry(group)
        finally:
            self._free += 1

    async def _carry(self, group: list[tuple[E, asyncio.Future[R | Exception]]]) -> None:
        results: Sequence[R | Exception]
        try:
            results = await run_in_threadpool(self._store, [entry for entry, _ in group])
        except Exception as error:  # noqa: BLE001  each waiting request answers for itself
            results = [error] * len(group)
        for (_, future), result in zip(group, results, strict=True):
            # A sender that went away has cancelled its future; its event is stored all the same.
            if not future.done():
                future.set_result(result)

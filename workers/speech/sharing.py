"""Lets several callers share the batches of one model, and nothing else.

Whoever finds the model idle serves the batch whose turn it is, its own or not. Meanwhile wishes of
the others gather, so that nobody ever waits for a batch to fill. Turns are those of start-time fair
queueing (Goyal and others 1996): a caller with many wishes does not hold up one with few, and
newcomers do not hold up anybody for ever.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass(eq=False)
class Wish(Generic[Item, Found]):
    """One item to be served with others of its `kind`, by any of their `serve` functions."""

    item: Item
    kind: Hashable
    weight: float
    serve: Callable[[Sequence[Item]], Sequence[Found]]
    turn: int = 0
    found: list[Found] = field(default_factory=list)
    error: Exception | None = None

    @property
    def is_done(self) -> bool:
        """Whether there is something to give back."""
        return bool(self.found) or self.error is not None


@dataclass
class Served:
    """How many batches were served, of how many wishes; the most and the heaviest at once."""

    batches: int = 0
    wishes: int = 0
    most: int = 0
    heaviest: float = 0.0


class Sharing(Generic[Item, Found]):
    """Serves the wishes of several threads, one batch of up to `heaviest` at a time."""

    def __init__(self, heaviest: float) -> None:
        self.heaviest = heaviest
        self.served = Served()
        self._changed = threading.Condition()
        self._waiting: list[Wish[Item, Found]] = []
        self._is_busy = False
        self._turn = 0

    def ask(self, wishes: Sequence[Wish[Item, Found]]) -> list[Found]:
        """Return what is found for each wish, in order; raises the error of the first that failed.

        A batch that fails is served one by one, so that an error reaches its own caller alone.
        """
        with self._changed:
            for place, wish in enumerate(wishes):
                wish.turn = self._turn + place
            self._waiting.extend(wishes)
        while self._served_one(wishes):
            pass
        for wish in wishes:
            if wish.error is not None:
                raise wish.error
        return [wish.found[0] for wish in wishes]

    def _served_one(self, own: Sequence[Wish[Item, Found]]) -> bool:
        """Serve the next batch as soon as the model is idle; False once all of the own are done."""

        def is_over() -> bool:
            return all(wish.is_done for wish in own)

        with self._changed:
            self._changed.wait_for(lambda: is_over() or not self._is_busy)
            if is_over():
                return False
            self._is_busy = True
            batch = self._next_batch()
        try:
            _serve(batch)
        finally:
            with self._changed:
                self._is_busy = False
                # Only where this thread was ended in the midst is anything left.
                self._waiting.extend(wish for wish in batch if not wish.is_done)
                self._changed.notify_all()
        return True

    def _next_batch(self) -> list[Wish[Item, Found]]:
        """Take the wish whose turn it is, and those of its kind that come next."""
        self._waiting.sort(key=lambda wish: wish.turn)
        first = self._waiting[0]
        # Time goes on with each batch, so that whoever comes anew comes after who has waited.
        self._turn = max(self._turn, first.turn) + 1
        batch: list[Wish[Item, Found]] = []
        weight = 0.0
        for wish in self._waiting:
            if wish.kind == first.kind and (not batch or weight + wish.weight <= self.heaviest):
                batch.append(wish)
                weight += wish.weight
        taken = set(map(id, batch))
        self._waiting = [wish for wish in self._waiting if id(wish) not in taken]
        self.served.batches += 1
        self.served.wishes += len(batch)
        self.served.most = max(self.served.most, len(batch))
        self.served.heaviest = max(self.served.heaviest, weight)
        return batch


def _serve(batch: Sequence[Wish[Item, Found]]) -> None:
    try:
        found = batch[0].serve([wish.item for wish in batch])
    except Exception as error:  # noqa: BLE001  it is raised again where it belongs
        if len(batch) == 1:
            batch[0].error = error
            return
        for wish in batch:
            _serve([wish])
        return
    for wish, one in zip(batch, found, strict=True):
        wish.found.append(one)

"""Who may be heard side by side in one process, and who must be heard alone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Room:
    """Holds any number of guests together, or one alone; who must be alone is waited for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._guests = 0
        self._is_taken = False
        self._asking = 0

    @contextmanager
    def entered(self, *, alone: bool) -> Iterator[None]:
        """Be in the room for the length of the block."""
        with self._changed:
            if alone:
                self._asking += 1
                try:
                    self._changed.wait_for(lambda: not self._guests and not self._is_taken)
                finally:
                    self._asking -= 1
                self._is_taken = True
            else:
                # Nobody comes in past those who need the room to themselves.
                self._changed.wait_for(lambda: not self._is_taken and not self._asking)
                self._guests += 1
        try:
            yield
        finally:
            with self._changed:
                if alone:
                    self._is_taken = False
                else:
                    self._guests -= 1
                self._changed.notify_all()

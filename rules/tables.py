"""Tables that follow from a library alone: worked out when first asked for, or taken as given."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Table(Generic[T]):
    """A table by the name of the function that works it out.

    A compiled pack carries the tables, so that a process that is given them loads none of the
    libraries they come from.
    """

    def __init__(self, build: Callable[[], T]) -> None:
        self._build = build
        self._held: T | None = None
        self.__doc__ = build.__doc__
        TABLES[build.__name__] = self

    def __call__(self) -> T:
        """The table."""
        if self._held is None:
            self._held = self._build()
        return self._held

    def take(self, table: T) -> None:
        """Use this table, made by the same code from the same library, unless there is one."""
        if self._held is None:
            self._held = table


TABLES: dict[str, Table[Any]] = {}
"""All tables, by name."""

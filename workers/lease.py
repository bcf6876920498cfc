"""Keeps the lease of long work alive from a thread beside it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy.exc

from service import log
from service.errors import ServiceError
from service.work import LEASE

_LOG = log.get(__name__)


@contextmanager
def kept_alive(renew: Callable[[], bool]) -> Iterator[None]:
    """Call `renew` three times a lease while the block runs, until it says the lease is lost."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(LEASE.total_seconds() / 3):
            try:
                if not renew():
                    return
            except (sqlalchemy.exc.SQLAlchemyError, ServiceError) as error:
                # The next beat may succeed; if none does, the lease ends and the fence holds.
                _LOG.warning("lease_not_renewed", **log.describe_error(error))

    thread = threading.Thread(target=beat, daemon=True, name="lease")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

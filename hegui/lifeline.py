"""Ties a child process to its parent: when the parent is gone, the kernel tells the child."""

import ctypes
import signal
import sys
from collections.abc import Callable

SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def end_with_parent(number: signal.Signals) -> Callable[[], None]:
    """Return a `preexec_fn` that asks for this signal at the parent's death; Linux only."""
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None

    def ask() -> None:
        if libc is not None:
            libc.prctl(SET_DEATH_SIGNAL, number, 0, 0, 0)

    return ask

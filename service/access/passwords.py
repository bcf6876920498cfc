"""Passwords: what is taken as one, how it is kept, and that a check takes the same work for all.

Length and list follow NIST SP 800-63B-4 §3.1.1.2 (a password that is the only factor), the
parameters of argon2id OWASP's cheat sheet on password storage.
"""

import secrets
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from threading import BoundedSemaphore

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from service.config import settings
from service.errors import FieldProblem, InvalidInputError, UnavailableError

MIN_LENGTH, MAX_LENGTH = 15, 256
# What the estimator reads of a password; the rest only makes it stronger.
_READ_LENGTH = 72
# Of five classes (0 to 4): from here on more than 10^8 guesses, with all that the lists know.
_STRONG_ENOUGH = 3
_OWN_WORDS = ("hegui", "合规")
_HASHER = PasswordHasher(
    time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, salt_len=16, type=Type.ID
)
# Each takes 19 MiB and a processor for as long as it runs.
_turns = BoundedSemaphore(4)


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=settings().pool_timeout_s):
        raise UnavailableError("Many people sign in at once; send it again.")
    try:
        yield
    finally:
        _turns.release()


def _normal(password: str) -> str:
    """One spelling for what looks the same, as SP 800-63B asks."""
    return unicodedata.normalize("NFKC", password)


def hash_password(password: str) -> str:
    """Return what is kept of a password: argon2id with its parameters and salt."""
    with _turn():
        return _HASHER.hash(_normal(password))


@lru_cache(maxsize=1)
def _nobodys() -> str:
    """What is compared where there is no such person: the same work, and never right."""
    return hash_password(secrets.token_urlsafe(32))


def is_right(kept: str | None, password: str) -> bool:
    """Tell whether a password is the kept one; without one it takes as long, and is wrong."""
    against = _nobodys()
    try:
        with _turn():
            _HASHER.verify(kept or against, _normal(password))
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


def is_outdated(kept: str) -> bool:
    """Tell whether a kept password was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(kept)


def refuse_password(password: str, *, about: Sequence[str], field: str = "password") -> None:
    """Raise `InvalidInputError` for a password that is too short, too long or easily guessed.

    `about`: words that others know of the person. No kinds of characters are asked for.
    """
    from zxcvbn import zxcvbn  # noqa: PLC0415  its lists take a moment to load

    text = _normal(password)
    problem = ""
    if len(text) < MIN_LENGTH:
        problem = f"must have at least {MIN_LENGTH} characters; several words are fine"
    elif len(text) > MAX_LENGTH:
        problem = f"must have up to {MAX_LENGTH} characters"
    else:
        known = [part for word in (*about, *_OWN_WORDS) for part in (word, *word.split("@"))]
        found = zxcvbn(text[:_READ_LENGTH], user_inputs=known, max_length=_READ_LENGTH)
        if found["score"] < _STRONG_ENOUGH:
            problem = "is among the first that are guessed; take several words of your own"
    if problem:
        raise InvalidInputError(
            "The password is not taken.", errors=(FieldProblem(field, problem),)
        )

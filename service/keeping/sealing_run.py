"""Seals what earlier releases put into the store in the clear: one object after the other."""

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text

from service.db import tenant_session
from service.errors import DigestMismatchError, NotFoundError
from service.keeping.storage import store

_BATCH = 500
_LOCK = text("select pg_advisory_xact_lock(hashtextextended(:tenant || :sha256, 0))")
_HELD = "select sha256 from recording where purged_at is null"
_COUNT = text(f"select count(*) from ({_HELD}) as held")  # noqa: S608  fixed words
_NEXT = text(
    f"select sha256 from ({_HELD}) as held where sha256 > :after"  # noqa: S608  fixed words
    " order by sha256 limit :batch"
)
_IS_HELD = text(f"select 1 from ({_HELD}) as held where sha256 = :sha256")  # noqa: S608  fixed words
# The bucket has a new version now: the keeper tells it the date and the holds once more.
_LOCK_ANEW = text("update recording set store_until = null where sha256 = :sha256")


class Found(StrEnum):
    """What became of one object."""

    SEALED = "sealed"
    WAS_SEALED = "was_sealed"
    MISSING = "missing"
    DAMAGED = "damaged"


def count_objects(tenant_id: UUID) -> int:
    """How many objects of the store a lender has."""
    with tenant_session(tenant_id) as session:
        return int(session.connection().execute(_COUNT).scalar_one())


def seal_objects(tenant_id: UUID, counts: Counter[Found]) -> Iterator[tuple[str, Found]]:
    """Seal a lender's objects in the order of their hashes; gives each with what became of it.

    It may be stopped at any moment and begun again: what is sealed is left as it is.
    """
    after = ""
    while True:
        with tenant_session(tenant_id) as session:
            found = session.connection().execute(_NEXT, {"after": after, "batch": _BATCH})
            names = list(found.scalars())
        for sha256 in names:
            result = _seal(tenant_id, sha256)
            if result is not None:
                counts[result] += 1
                yield sha256, result
        if len(names) < _BATCH:
            return
        after = names[-1]


def _seal(tenant_id: UUID, sha256: str) -> Found | None:
    """One object, under the lock that its purge takes too; None where it went meanwhile."""
    with tenant_session(tenant_id) as session:
        run = session.connection().execute
        run(_LOCK, {"tenant": str(tenant_id), "sha256": sha256})
        if run(_IS_HELD, {"sha256": sha256}).first() is None:
            return None
        try:
            if not store().seal(tenant_id, sha256):
                return Found.WAS_SEALED
        except NotFoundError:
            return Found.MISSING
        except DigestMismatchError:
            return Found.DAMAGED
        run(_LOCK_ANEW, {"sha256": sha256})
        return Found.SEALED

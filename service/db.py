"""The only door to the database: sessions that name their tenant, and the only commits."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import Any
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlmodel import Session

from service.config import settings
from service.errors import UnavailableError

# With the defaults of libpq a cut link blocks for minutes; with these it fails within six seconds.
LINK_LIMITS: dict[str, int] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 4000,
}
# Making them takes some milliseconds.
PLANS_LAST_S = 2.0
_making = Lock()
_NAME = text(
    "select set_config('app.tenant_id', :tenant, true), set_config('app.agency_id', :agency, true),"
    " set_config('app.regulator_id', :regulator, true), set_config('app.grant_id', :grant, true),"
    " set_config('app.key_id', :key, true)"
)


def conninfo(url: str, *, application: str = "hegui") -> str:
    """Return the libpq connection string of a URL with our limits on dead links."""
    if not url:
        raise UnavailableError("HEGUI_DATABASE_URL is not set")
    return make_conninfo(url, application_name=application, **LINK_LIMITS)


@lru_cache(maxsize=1)
def engine() -> Engine:
    """Return the engine of this process, connected as the application role."""
    config = settings()
    dsn = conninfo(config.database_url.get_secret_value())
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(dsn),
        pool_size=config.database_pool_size,
        max_overflow=0,
        pool_timeout=config.pool_timeout_s,
        pool_pre_ping=True,
        hide_parameters=True,
    )


def owner_engine(url: str) -> Engine:
    """Return an engine for migrations: the owner's role, one connection at a time."""
    dsn = conninfo(url, application="hegui-migrate")
    return create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=NullPool
    )


class IngestConnection(psycopg.Connection[Any]):
    """A connection for one-statement transactions, whose plans do not grow old.

    The database keeps the plans of functions and foreign keys as long as the connection. Those made
    while a table was nearly empty read all of a tenant's rows for each event, until the table's
    statistics are first taken: within minutes of a first load the time of an event is tenfold.
    """

    planned_at = -PLANS_LAST_S

    def renew_plans(self) -> None:
        """Have plans made anew where they are older than `PLANS_LAST_S`; call it before use."""
        moment = time.monotonic()
        if moment - self.planned_at > PLANS_LAST_S:
            self.execute("discard plans")
            self.planned_at = moment


def _prepare_for_ingest(connection: IngestConnection) -> None:
    """Fail soon on a lock that somebody holds: others wait behind it in the same group."""
    connection.execute("set lock_timeout = '3s'")


@lru_cache(maxsize=1)
def _make_pool() -> ConnectionPool[IngestConnection]:
    config = settings()
    return ConnectionPool(
        conninfo(config.database_url.get_secret_value(), application="hegui-ingest"),
        min_size=1,
        max_size=config.ingest_pool_size,
        timeout=config.pool_timeout_s,
        connection_class=IngestConnection,
        kwargs={"autocommit": True, "prepare_threshold": 1},
        configure=_prepare_for_ingest,
        open=True,
        name="ingest",
    )


def pool() -> ConnectionPool[IngestConnection]:
    """Return the pool of raw autocommit connections for one-statement transactions."""
    # Two first users at once would otherwise make two pools, and drop one with its threads.
    with _making:
        return _make_pool()


def dispose() -> None:
    """Close every connection of this process; the next use opens new ones."""
    if engine.cache_info().currsize:
        engine().dispose()
        engine.cache_clear()
    if _make_pool.cache_info().currsize:
        pool().close()
        _make_pool.cache_clear()


@contextmanager
def tenant_session(
    tenant_id: UUID,
    *,
    agency_id: UUID | None = None,
    regulator_id: UUID | None = None,
    grant_id: UUID | None = None,
    key_id: str = "",
) -> Iterator[Session]:
    """Open one transaction that sees one tenant.

    With `agency_id` it sees only that agency's rows; with `regulator_id` only what the grant
    `grant_id` covers, as long as the grant lives. `key_id` says whose audit entries an agency or
    regulator may read back: its own. Commits at the end of the block, rolls back on any error.
    """
    names = {
        "tenant": str(tenant_id),
        "agency": str(agency_id or ""),
        "regulator": str(regulator_id or ""),
        "grant": str(grant_id or ""),
        "key": key_id,
    }
    with Session(engine(), expire_on_commit=False) as session, session.begin():
        session.connection().execute(_NAME, names)
        yield session


@contextmanager
def front_door_session(*, regulator_id: UUID | None = None) -> Iterator[Session]:
    """Open one transaction that names no tenant: it sees tenants, keys and webhook sources only.

    With `regulator_id` it sees that regulator's grants too, of every lender, and nothing else.
    """
    with Session(engine(), expire_on_commit=False) as session, session.begin():
        if regulator_id is not None:
            names = dict.fromkeys(("tenant", "agency", "grant", "key"), "")
            session.connection().execute(_NAME, {**names, "regulator": str(regulator_id)})
        yield session


def is_ready() -> bool:
    """Tell whether the database answers and holds our schema."""
    with front_door_session() as session:
        found = session.connection().execute(text("select to_regclass('public.event')")).scalar()
    return found is not None

"""What tests share: one real PostgreSQL a run, migrated once, cleaned after each test."""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvicorn
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from starlette.testclient import TestClient

from hegui.postgres import Postgres
from service import db, limits, signature
from service.app import create_app
from service.config import settings
from service.keeping.storage import store
from service.privacy import sealing
from service.privacy.master_key import master_keys
from service.provision import migrate
from tests.direct import DirectClient
from tests.factories import Lender, Sender, make_agency, make_tenant

hypothesis_settings.register_profile(
    "quick",
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
hypothesis_settings.register_profile("long", parent=hypothesis_settings(), max_examples=2000)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_configure(config: pytest.Config) -> None:
    """Name the marks that tests carry."""
    config.addinivalue_line("markers", "asvs(id, ...): serves requirements of OWASP ASVS 5.0.0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A long walk may take the time that it needs."""
    if os.environ.get("HYPOTHESIS_PROFILE") == "long":
        for item in items:
            item.add_marker(pytest.mark.timeout(0))


@dataclass(frozen=True)
class Database:
    """The database of the run, and the three ways into it."""

    superuser_url: str
    owner_url: str
    app_url: str


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Start a PostgreSQL, migrate it once and point the settings at it, as the app's role."""
    folder = Path(tempfile.mkdtemp(prefix="hegui-test-", dir="/tmp"))
    with Postgres(folder, durable=False, say=lambda _: None) as server:
        migrate(server.owner_url)
        os.environ["HEGUI_DATABASE_URL"] = server.app_url
        os.environ["HEGUI_DATABASE_OWNER_URL"] = server.owner_url
        os.environ["HEGUI_OBJECT_DIR"] = str(tmp_path_factory.mktemp("objects"))
        settings.cache_clear()
        store.cache_clear()
        master_keys.cache_clear()
        db.dispose()
        yield Database(
            psycopg.conninfo.make_conninfo(server.owner_url, user="postgres"),
            server.owner_url,
            server.app_url,
        )
        db.dispose()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def sweeper(database: Database) -> Iterator[Any]:
    """Return a function that empties every table, past triggers and keys; takes about 1 ms."""
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        names = connection.execute(
            "select relname from pg_class where relkind = 'r' and relname <> 'alembic_version'"
            " and relnamespace = 'public'::regnamespace"
        ).fetchall()
        script = ";".join(f'delete from "{name}"' for (name,) in names).encode()

        def sweep() -> None:
            connection.execute(script)
            signature.forget_sources()
            sealing.forget_keys()
            limits.forget_limits()

        yield sweep


@pytest.fixture
def clean(sweeper: Any) -> Iterator[None]:
    """Leave an empty database behind."""
    yield
    sweeper()


@pytest.fixture(scope="session")
def api(database: Database) -> Iterator[TestClient]:
    """Run the real application, in this process."""
    with DirectClient(create_app()) as client:
        yield client


@pytest.fixture(scope="session")
def port(database: Database) -> Iterator[int]:
    """Run the API under the server that production uses; give its port on 127.0.0.1."""
    config = uvicorn.Config(
        create_app, factory=True, port=0, http="httptools", loop="asyncio", log_config=None
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def client(api: TestClient, clean: None) -> TestClient:
    """Return a client of the real application; what it leaves is cleaned up."""
    api.headers.pop("authorization", None)
    return api


@pytest.fixture
def lender(client: TestClient) -> Lender:
    return make_tenant()


@pytest.fixture
def agency(lender: Lender) -> Sender:
    return make_agency(lender)


@pytest.fixture
def run_jobs(database: Database) -> Callable[[], None]:
    """Run the real worker over both queues until no job is due."""
    from workers.app import run_once  # loads the speech engines, which few tests need

    return run_once

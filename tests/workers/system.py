"""The system as it is deployed, in mortal processes: database, API and worker under supervision."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from hegui.postgres import Postgres
from service import db, signature
from service.config import settings
from service.keeping.storage import store
from service.privacy import sealing
from service.privacy.master_key import master_keys
from service.provision import migrate

ROOT = Path(__file__).parents[2]


@dataclass
class Process:
    """A process that a supervisor starts again whenever it ends."""

    command: list[str]
    log: Path
    deaths: Counter[int] = field(default_factory=Counter)
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self._child = self._spawn()
        self._thread = threading.Thread(target=self._supervise, daemon=True)
        self._thread.start()

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(self.command, cwd=ROOT, stdout=log, stderr=log)

    def _supervise(self) -> None:
        while not self._over.wait(0.2):
            status = self._child.poll()
            if status is not None and not self._over.is_set():
                self.deaths[status] += 1
                self._child = self._spawn()

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        return self._child.pid

    def kill(self) -> None:
        self._child.kill()

    def stop(self) -> int:
        self._over.set()
        self._thread.join()
        self._child.terminate()
        return self._child.wait(40)


@dataclass
class System:
    """An own database, one API process and one worker process, all of them mortal."""

    postgres: Postgres
    url: str
    api: Process
    worker: Process
    folder: Path

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        superuser = psycopg.conninfo.make_conninfo(self.postgres.owner_url, user="postgres")
        with psycopg.connect(superuser) as connection:
            return connection.execute(statement.encode()).fetchall()

    def kill_database(self) -> None:
        """Kill every process of the server and start it again on the same data."""
        pid = self.postgres.pid
        assert pid is not None
        os.killpg(pid, signal.SIGKILL)
        while not self.postgres.restart_if_dead():
            time.sleep(0.02)

    def wait_until(self, is_so: Callable[[], bool], seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if is_so():
                return True
            time.sleep(0.25)
        return is_so()


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def reset_process() -> None:
    settings.cache_clear()
    store.cache_clear()
    signature.forget_sources()
    master_keys.cache_clear()
    sealing.forget_keys()
    db.dispose()


@contextmanager
def running_system(egress_allow: str, **environment: str) -> Iterator[System]:
    """Start everything on fresh data, point this process at it too, and end what was started."""
    before = {key: value for key, value in os.environ.items() if key.startswith("HEGUI_")}
    folder = Path(tempfile.mkdtemp(prefix="hegui-system-", dir="/tmp"))
    port = free_port()
    with Postgres(folder / "pg", durable=True, say=lambda _: None) as postgres:
        migrate(postgres.owner_url)
        os.environ |= {
            "HEGUI_DATABASE_URL": postgres.app_url,
            "HEGUI_OBJECT_DIR": str(folder / "objects"),
            "HEGUI_EGRESS_ALLOW": egress_allow,
            "HEGUI_LOG_FORMAT": "json",
            **environment,
        }
        reset_process()
        serve = ["uvicorn", "--factory", "service.app:create_app", "--port", str(port)]
        api = Process([sys.executable, "-m", *serve], folder / "api.log")
        worker = Process([sys.executable, "-m", "workers"], folder / "worker.log")
        api.start()
        worker.start()
        try:
            yield System(postgres, f"http://127.0.0.1:{port}", api, worker, folder)
        finally:
            worker.kill()
            worker.stop()
            api.stop()
            for key in [key for key in os.environ if key.startswith("HEGUI_")]:
                del os.environ[key]
            os.environ |= before
            reset_process()
    shutil.rmtree(folder, ignore_errors=True)

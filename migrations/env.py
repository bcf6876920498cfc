"""How migrations run: as the owner, one at a time, with short locks."""

from typing import Any

from alembic import context
from sqlalchemy import text
from sqlalchemy.sql.schema import SchemaItem

from service.config import settings
from service.db import owner_engine
from service.models import metadata

LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "10min"
ONE_AT_A_TIME = 4_847_353_501


def is_ours(
    _item: SchemaItem,
    name: str | None,
    _kind: str,
    _reflected: bool,  # noqa: FBT001  alembic passes it so
    _other: Any,
) -> bool:
    """Leave out what the queue brings: its schema has its own version."""
    return not (name or "").startswith(("procrastinate_", "idx_procrastinate_"))


def run() -> None:
    """Run the migrations on the owner's connection."""
    url = context.config.attributes.get("owner_url") or (
        settings().database_owner_url.get_secret_value()
    )
    engine = owner_engine(url)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, include_object=is_ours)
        with context.begin_transaction():
            connection.execute(text(f"set local lock_timeout = '{LOCK_TIMEOUT}'"))
            connection.execute(text(f"set local statement_timeout = '{STATEMENT_TIMEOUT}'"))
            connection.execute(text(f"select pg_advisory_xact_lock({ONE_AT_A_TIME})"))
            context.run_migrations()
    engine.dispose()


if context.is_offline_mode():
    raise SystemExit("hegui migrates online only: the first migration reads the queue's schema")
run()

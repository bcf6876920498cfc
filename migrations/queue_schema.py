"""The schema of procrastinate, brought to the installed release; its tables carry the version."""

import re
from importlib import resources
from importlib.metadata import version
from typing import Any

import psycopg
from procrastinate.schema import SchemaManager

from migrations.fence import driver

_FILE = re.compile(r"^(\d+)\.(\d+)\.(\d+)_(\d+)_.*\.sql$")
_NOTE = "schema of procrastinate "


def _number(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def installed(connection: psycopg.Connection[Any]) -> str | None:
    """Return the version that the schema was brought to, or None where there is none."""
    row = connection.execute(
        "select obj_description(to_regclass('public.procrastinate_jobs'), 'pg_class')"
    ).fetchone()
    return row[0].removeprefix(_NOTE) if row and row[0] else None


def bring_up_to_date() -> None:
    """Create the queue's schema, or apply the steps that its package ships since the noted one."""
    connection = driver()
    before = installed(connection)
    if before is None:
        connection.execute(SchemaManager.get_schema().encode())
    else:
        folder = resources.files("procrastinate") / "sql" / "migrations"
        for name in sorted(entry.name for entry in folder.iterdir() if _FILE.match(entry.name)):
            if _number(name) > _number(before):
                connection.execute((folder / name).read_bytes())
    note = _NOTE + version("procrastinate")
    connection.execute(f"comment on table procrastinate_jobs is '{note}'".encode())


def remove() -> None:
    """Drop every object of the queue."""
    driver().execute(
        b"""
        do $$
        declare found record;
        begin
          for found in select oid::regclass as name from pg_class
              where relkind = 'r' and relname like 'procrastinate\\_%' loop
            execute format('drop table %s cascade', found.name);
          end loop;
          for found in select oid::regprocedure as name from pg_proc
              where proname like 'procrastinate\\_%' loop
            execute format('drop function %s cascade', found.name);
          end loop;
          for found in select oid::regtype as name from pg_type
              where typname like 'procrastinate\\_%' and typtype in ('e', 'c') loop
            execute format('drop type %s cascade', found.name);
          end loop;
        end $$
        """
    )

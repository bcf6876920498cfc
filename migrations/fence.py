"""The fence of a table: row security by tenant, narrowed by agency, and the app's rights."""

from typing import Any, cast

import psycopg
from alembic import op

APP = "hegui_app"
TENANT = "nullif(current_setting('app.tenant_id', true), '')::uuid"
AGENCY = "nullif(current_setting('app.agency_id', true), '')::uuid"
# How an agency's session is narrowed: by its own column, through the interaction, or to nothing.
BY_COLUMN = f"agency_id = {AGENCY}"
BY_ID = f"id = {AGENCY}"
NOTHING = "false"


def driver() -> psycopg.Connection[Any]:
    """Return the raw connection of the running migration."""
    return cast("psycopg.Connection[Any]", op.get_bind().connection.driver_connection)


def script(text: str) -> None:
    """Run a script of several statements as it stands; its percent signs are its own."""
    driver().execute(text.encode())


def by_interaction(table: str) -> str:
    """Narrow a table through its interaction, which is narrowed itself."""
    return (
        f"exists (select 1 from interaction as i where i.tenant_id = {table}.tenant_id"
        f" and i.id = {table}.interaction_id and i.agency_id = {AGENCY})"
    )


def fence(table: str, *, narrowed: str | None, rights: str) -> None:
    """Fence a table, for its owner too (no tenant named: no rows), and grant the app `rights`."""
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(
        f"create policy {table}_of_tenant on {table}"
        f" using (tenant_id = {TENANT}) with check (tenant_id = {TENANT})"
    )
    if narrowed is not None:
        op.execute(
            f"create policy {table}_of_agency on {table} as restrictive"
            f" using ({AGENCY} is null or {narrowed})"
            f" with check ({AGENCY} is null or {narrowed})"
        )
    op.execute(f"grant {rights} on {table} to {APP}")

"""The fence of a table: row security by tenant, narrowed by actor, and the app's rights."""

from typing import Any, cast

import psycopg
from alembic import op

APP = "hegui_app"
TENANT = "nullif(current_setting('app.tenant_id', true), '')::uuid"
AGENCY = "nullif(current_setting('app.agency_id', true), '')::uuid"
REGULATOR = "nullif(current_setting('app.regulator_id', true), '')::uuid"
# The key that a session speaks for; empty where no key does.
KEY = "current_setting('app.key_id', true)"
# How an agency's session is narrowed: by its own column, through the interaction, or to nothing.
BY_COLUMN = f"agency_id = {AGENCY}"
BY_ID = f"id = {AGENCY}"
NOTHING = "false"
# How a regulator's session is narrowed (functions of migration 0007): a row of an interaction that
# the live grant covers, or anything of a lender whose grant is live.
GRANTED_INTERACTION = "hegui_granted_interaction(tenant_id, interaction_id)"
GRANTED = "hegui_granted(tenant_id)"


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


def narrow(
    table: str, actor: str, session: str, condition: str, *, writes: str | None = None
) -> None:
    """Narrow a table for the sessions of one kind of actor, on top of all its other policies.

    They may write what meets `writes`; None: what they see.
    """
    op.execute(
        f"create policy {table}_of_{actor} on {table} as restrictive"
        f" using ((select {session}) is null or {condition})"
        f" with check ((select {session}) is null or {writes or condition})"
    )


def narrow_regulators(table: str, condition: str, *, writes: str = NOTHING) -> None:
    """Let regulators' sessions see what meets a condition; they write and delete nothing of it."""
    narrow(table, "regulator", REGULATOR, condition, writes=writes)
    op.execute(
        f"create policy {table}_kept_from_regulators on {table} as restrictive for delete"
        f" using ((select {REGULATOR}) is null)"
    )


def fence(
    table: str, *, narrowed: str | None, rights: str, regulators: str | None = NOTHING
) -> None:
    """Fence a table, for its owner too (no tenant named: no rows), and grant the app `rights`.

    `narrowed` is what an agency's session sees of it, `regulators` what a regulator's sees; None
    leaves them the tenant's rows, which tests/service/test_fence.py wants a reason for.
    """
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(
        f"create policy {table}_of_tenant on {table}"
        f" using (tenant_id = {TENANT}) with check (tenant_id = {TENANT})"
    )
    if narrowed is not None:
        narrow(table, "agency", AGENCY, narrowed)
    if regulators is not None:
        narrow_regulators(table, regulators)
    op.execute(f"grant {rights} on {table} to {APP}")

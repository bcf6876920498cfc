"""Bring a PostgreSQL to our schema: roles and database first, then the migrations.

Two ways in. With a superuser (the embedded server, a container of one's own) `provision` makes the
roles and the database. On a server that others run, its operator makes the database, its owner role
and `hegui_app`, and only `migrate` is called, with the owner's URL.
"""

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import migrations
from service.config import settings
from service.db import conninfo

OWNER = "hegui_owner"
APP = "hegui_app"
DATABASE = "hegui"
# The first migration sets the same where the owner may.
APP_SETTINGS = {
    "search_path": "public",
    "lock_timeout": "10s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
}


def _url_as(superuser_url: str, *, user: str, password: str, database: str) -> str:
    """Return the same server's connection string for another role and database."""
    parts = {
        key: value
        for key, value in conninfo_to_dict(superuser_url).items()
        if key not in {"user", "password", "dbname"}
    }
    if password:
        parts["password"] = password
    return make_conninfo("", **parts, user=user, dbname=database)


def _ensure_role(connection: psycopg.Connection, name: str, password: str) -> None:
    known = connection.execute("select 1 from pg_roles where rolname = %s", (name,)).fetchone()
    if not known:
        connection.execute(
            sql.SQL(
                "create role {} login nosuperuser nocreatedb nocreaterole nobypassrls noinherit"
            ).format(sql.Identifier(name))
        )
    if password:
        connection.execute(
            sql.SQL("alter role {} password {}").format(sql.Identifier(name), sql.Literal(password))
        )


def provision(
    superuser_url: str,
    *,
    database: str = DATABASE,
    owner_password: str = "",
    app_password: str = "",
) -> tuple[str, str]:
    """Make both roles and the database where missing; return (owner URL, application URL).

    Without passwords the roles log in only where the server trusts the connection, as the embedded
    server does on its unix socket.
    """
    with psycopg.connect(conninfo(superuser_url), autocommit=True) as connection:
        _ensure_role(connection, OWNER, owner_password)
        _ensure_role(connection, APP, app_password)
        known = connection.execute(
            "select 1 from pg_database where datname = %s", (database,)
        ).fetchone()
        if not known:
            connection.execute(
                sql.SQL(
                    "create database {} owner {} encoding 'UTF8' template template0"
                    " lc_collate 'C' lc_ctype 'C.UTF-8'"
                ).format(sql.Identifier(database), sql.Identifier(OWNER))
            )
        for name, value in APP_SETTINGS.items():
            connection.execute(
                sql.SQL("alter role {} in database {} set {} = {}").format(
                    sql.Identifier(APP),
                    sql.Identifier(database),
                    sql.Identifier(name),
                    sql.Literal(value),
                )
            )
    return (
        _url_as(superuser_url, user=OWNER, password=owner_password, database=database),
        _url_as(superuser_url, user=APP, password=app_password, database=database),
    )


def alembic_config(owner_url: str) -> Config:
    """Return alembic's configuration for our migrations on that database."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["owner_url"] = owner_url
    return config


def migrate(owner_url: str = "", *, revision: str = "head") -> None:
    """Run the migrations as the owner; doing it twice, or from two places at once, is harmless.

    Without a URL the setting `database_owner_url` is used. Where `app_role_password` is set, the
    application role gets it.
    """
    url = owner_url or settings().database_owner_url.get_secret_value()
    command.upgrade(alembic_config(url), revision)
    password = settings().app_role_password.get_secret_value()
    if password:
        with psycopg.connect(conninfo(url)) as connection:
            _ensure_role(connection, APP, password)

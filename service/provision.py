"""Bring a database to our schema, as its owner.

What has to be there before: a database in UTF-8 and its owner's role. Where the owner may create
roles (the embedded server, a container of one's own) the first migration makes `hegui_app`;
elsewhere the server's operator makes it: `create role hegui_app login password '…'`.
"""

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql

import migrations
from service.config import settings
from service.db import conninfo

APP = "hegui_app"


def alembic_config(owner_url: str) -> Config:
    """Return alembic's configuration for our migrations on that database."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["owner_url"] = owner_url
    return config


def migrate(owner_url: str = "", *, revision: str = "head") -> None:
    """Run the migrations; doing it twice, or from two places at once, is harmless.

    Without a URL the setting `database_owner_url` is used. Where `app_role_password` is set, the
    application's role gets it; else it logs in only where the server trusts the connection, as the
    embedded one does on its unix socket.
    """
    url = owner_url or settings().database_owner_url.get_secret_value()
    command.upgrade(alembic_config(url), revision)
    password = settings().app_role_password.get_secret_value()
    if password:
        with psycopg.connect(conninfo(url, application="hegui-migrate")) as connection:
            connection.execute(
                sql.SQL("alter role {} password {}").format(
                    sql.Identifier(APP), sql.Literal(password)
                )
            )


def check_migrations(owner_url: str = "") -> None:
    """Compare the tables in code with the migrated database; raises where they differ."""
    url = owner_url or settings().database_owner_url.get_secret_value()
    command.check(alembic_config(url))

"""Single texts sealed in the column that held them: secrets, addresses, reasons of people.

A sealed text begins with a mark; what earlier releases wrote has none and is read as it stands.
The associated data names tenant, table, row and column.
"""

from base64 import b64decode, b64encode
from typing import Any
from uuid import UUID

from sqlalchemy import inspect
from sqlmodel import SQLModel

from service.privacy import sealing

MARK = "hegui/sealed/1:"
# Table, the rest of its key after the tenant, and its columns that hold sealed texts.
FIELDS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("webhook_source", ("agency_id",), ("secret_current", "secret_previous")),
    ("endpoint", ("id",), ("url", "secret", "secret_previous")),
    ("agency_endpoint", ("agency_id",), ("url", "secret")),
    ("review", ("id",), ("reason",)),
    ("review_reading", ("id",), ("reason",)),
    ("dispute", ("id",), ("text", "reason")),
)


def seal_text(tenant_id: UUID, table: str, row: str, column: str, plain: str) -> str:
    """Seal a text for one place; an empty one stays empty."""
    if not plain:
        return plain
    about = sealing.about_field(tenant_id, table, row, column)
    return MARK + b64encode(sealing.seal(tenant_id, plain.encode(), about)).decode()


def open_text(tenant_id: UUID, table: str, row: str, column: str, held: str) -> str:
    """Open what `seal_text` made; raises `MasterKeyError` where it or its place was changed."""
    if not held.startswith(MARK):
        return held
    about = sealing.about_field(tenant_id, table, row, column)
    return sealing.unseal(tenant_id, b64decode(held.removeprefix(MARK)), about).decode()


def put_sealed(row: SQLModel, **texts: str | None) -> None:
    """Set columns of a row to sealed texts; its key must stand."""
    for column, plain in texts.items():
        sealed = None if plain is None else seal_text(*_place(row), column, plain)
        setattr(row, column, sealed)


def opened(row: SQLModel, column: str) -> str:
    """The text that a column of a row holds, which must not be null."""
    return open_text(*_place(row), column, getattr(row, column))


def opened_or_none(row: SQLModel, column: str) -> str | None:
    """The text that a column of a row holds; None where it is null."""
    return None if getattr(row, column) is None else opened(row, column)


def move_sealed(row: SQLModel, *, source: str, target: str) -> None:
    """Put one column's text into another of the same row, sealed for its new place."""
    put_sealed(row, **{target: opened_or_none(row, source)})


def _place(row: Any) -> tuple[UUID, str, str]:
    keys = [column.name for column in inspect(type(row)).primary_key if column.name != "tenant_id"]
    return row.tenant_id, row.__tablename__, "|".join(str(getattr(row, name)) for name in keys)

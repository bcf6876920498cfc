"""What the tables share: names of constraints, types of columns, references within the fence."""

from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, DateTime, ForeignKeyConstraint, MetaData, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import SQLModel

NAMES = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}
metadata: MetaData = SQLModel.metadata
metadata.naming_convention = NAMES

MOMENT: Any = DateTime(timezone=True)
TEXT: Any = Text
JSON: Any = JSONB
# None is the database's null here, not the document `null`.
NULLABLE_JSON: Any = JSONB(none_as_null=True)
# A new column has a default in the database too: the release before does not name it.
NONE_YET: dict[str, Any] = {"server_default": text("'[]'")}
# The transaction that wrote a row, filled in by the database: the sealer's order of rows.
WRITER: dict[str, Any] = {"server_default": text("(pg_current_xact_id()::text::bigint)")}


def among(column: str, values: type[StrEnum], *, optional: bool = False) -> CheckConstraint:
    """Allow the values of an enumeration in a column, and with `optional` none."""
    words = ", ".join(f"'{value.value}'" for value in values)
    test = f"{column} in ({words})"
    return CheckConstraint(f"{column} is null or {test}" if optional else test, name=column)


def to_fenced(table: str, column: str) -> ForeignKeyConstraint:
    """Reference another fenced table by tenant and id, so no row can point across the fence."""
    return ForeignKeyConstraint(["tenant_id", column], [f"{table}.tenant_id", f"{table}.id"])

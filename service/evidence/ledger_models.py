"""The tables of the ledger: entries as salted commitments, the tree over them, signed heads."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKeyConstraint, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from service.columns import MOMENT, TEXT, to_fenced


class LedgerHead(SQLModel, table=True):
    """How far a tenant's ledger is sealed; its lock makes one sealer the only writer.

    Rows that a transaction below `watermark` wrote on `server` are sealed.
    """

    __tablename__ = "ledger_head"

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    size: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    watermark: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    server: str = Field(default="", sa_type=TEXT, sa_column_kwargs={"server_default": ""})


class LedgerEntry(SQLModel, table=True):
    """One leaf: what kind of thing happened when, and commitments to its content.

    `source` and `source_id` name the row that has the content.
    """

    __tablename__ = "ledger_entry"
    __table_args__ = (UniqueConstraint("tenant_id", "source", "source_id"),)

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    seq: int = Field(primary_key=True, sa_type=BigInteger)
    source: str = Field(sa_type=TEXT)
    source_id: str = Field(sa_type=TEXT)
    kind: str = Field(sa_type=TEXT)
    at: datetime = Field(sa_type=MOMENT)
    sha256: bytes = Field(sa_type=LargeBinary)
    sm3: bytes = Field(sa_type=LargeBinary)
    leaf_hash: bytes = Field(sa_type=LargeBinary)


class LedgerSalt(SQLModel, table=True):
    """What opens an entry's commitments; without it they say nothing about anybody."""

    __tablename__ = "ledger_salt"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "seq"], ["ledger_entry.tenant_id", "ledger_entry.seq"]),
    )

    tenant_id: UUID = Field(primary_key=True)
    seq: int = Field(primary_key=True, sa_type=BigInteger)
    salt: bytes = Field(sa_type=LargeBinary)


class LedgerNode(SQLModel, table=True):
    """The root of a full subtree of 256^n leaves (`level` is 8n), so that proofs read little."""

    __tablename__ = "ledger_node"

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    level: int = Field(primary_key=True)
    position: int = Field(primary_key=True, sa_type=BigInteger)
    hash: bytes = Field(sa_type=LargeBinary)


class LedgerKey(SQLModel, table=True):
    """A public key that has signed checkpoints. Not fenced: it is public."""

    __tablename__ = "ledger_key"

    key_id: str = Field(primary_key=True, sa_type=TEXT)
    public_key: bytes = Field(sa_type=LargeBinary)
    first_used_at: datetime = Field(sa_type=MOMENT)


class LedgerCheckpoint(SQLModel, table=True):
    """A signed head of the tree, in the form of C2SP."""

    __tablename__ = "ledger_checkpoint"

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    size: int = Field(primary_key=True, sa_type=BigInteger)
    root: bytes = Field(sa_type=LargeBinary)
    sealed_at: datetime = Field(sa_type=MOMENT)
    key_id: str = Field(sa_type=TEXT, foreign_key="ledger_key.key_id")
    note: str = Field(sa_type=TEXT)


class LedgerPost(SQLModel, table=True):
    """The newest checkpoint that an endpoint should have, and the one that it has."""

    __tablename__ = "ledger_post"
    __table_args__ = (to_fenced("endpoint", "endpoint_id"),)

    tenant_id: UUID = Field(primary_key=True)
    endpoint_id: UUID = Field(primary_key=True)
    wanted: int = Field(sa_type=BigInteger)
    posted: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    sending: int | None = Field(default=None, sa_type=BigInteger)
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    next_at: datetime = Field(sa_type=MOMENT)
    lease_until: datetime | None = Field(default=None, sa_type=MOMENT)
    last_reason: str | None = Field(default=None, sa_type=TEXT)

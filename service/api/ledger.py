"""The ledger by HTTP: signed heads, entries, proofs, keys."""

import base64
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session

from service.api.deps import CurrentPrincipal, LenderReader, Participant, TenantSession
from service.api.reading import CurrentView, Limit
from service.db import tenant_session
from service.errors import ForbiddenError
from service.evidence import ledger_read
from service.evidence.checkpoint import PublicKey
from service.evidence.ledger_read import Consistency, Inclusion, Opened
from service.models import Actor

router = APIRouter(prefix="/v1/ledger", tags=["ledger"])

Size = Annotated[
    int | None, Query(ge=1, le=2**53, description="A head of this size. None: the newest one.")
]
NOTE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A signed note (C2SP tlog-checkpoint): origin, size, root, time, signature",
        "content": {
            "text/plain": {
                "schema": {"type": "string"},
                "example": "hegui/ledger/0b0e…\n128\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
                "time 2026-06-30T12:00:00Z\n\n— hegui/ledger/0b0e… Az3grl…\n",
            }
        },
    }
}


class EntryOut(BaseModel):
    """One leaf; salt and content open its commitments, for the lender."""

    model_config = ConfigDict(frozen=True)

    seq: int = Field(description="Its number in the ledger, from 0.")
    kind: str = Field(examples=["receipt", "verdict", "report_made"])
    at: datetime
    sha256: str = Field(description="SHA-256 of salt and canonical content.")
    sm3: str = Field(description="SM3 of the same.")
    leaf: str = Field(description="The leaf's bytes: canonical JSON.")
    leaf_hash: str
    salt: str | None = Field(description="Hex; None for others than the lender, or erased.")
    content: dict[str, Any] | None = Field(description="None where the salt is.")

    @classmethod
    def of(cls, opened: Opened, *, show: bool) -> "EntryOut":
        """Show one entry; with `show` what opens it too."""
        entry = opened.entry
        return cls(
            seq=entry.seq,
            kind=entry.kind,
            at=entry.at,
            sha256=entry.sha256.hex(),
            sm3=entry.sm3.hex(),
            leaf=opened.leaf.decode(),
            leaf_hash=entry.leaf_hash.hex(),
            salt=opened.salt.hex() if show and opened.salt is not None else None,
            content=opened.content if show else None,
        )


class EntryPage(BaseModel):
    """One page of entries, in the ledger's order."""

    model_config = ConfigDict(frozen=True)

    items: list[EntryOut]
    next_after: int | None = Field(description="Pass it as `after` for the next page.")


class InclusionOut(BaseModel):
    """A proof that an entry is in a signed head (RFC 9162 §2.1.3)."""

    model_config = ConfigDict(frozen=True)

    entry: EntryOut
    size: int
    path: list[str] = Field(description="Base64 of the nodes from the leaf to the root.")
    checkpoint: str = Field(description="The signed head, as a note.")

    @classmethod
    def of(cls, proof: Inclusion, *, show: bool) -> "InclusionOut":
        """Show one proof."""
        return cls(
            entry=EntryOut.of(proof.opened, show=show),
            size=proof.head.size,
            path=[_base64(node) for node in proof.path],
            checkpoint=proof.head.note,
        )


class ConsistencyOut(BaseModel):
    """A proof that an earlier ledger begins a signed head (RFC 9162 §2.1.4)."""

    model_config = ConfigDict(frozen=True)

    first: int
    first_root: str = Field(description="Base64 of the root over the first entries.")
    size: int
    path: list[str]
    checkpoint: str

    @classmethod
    def of(cls, proof: Consistency) -> "ConsistencyOut":
        """Show one proof."""
        return cls(
            first=proof.first,
            first_root=_base64(proof.first_root),
            size=proof.head.size,
            path=[_base64(node) for node in proof.path],
            checkpoint=proof.head.note,
        )


class KeyOut(BaseModel):
    """A public key that has signed this ledger."""

    model_config = ConfigDict(frozen=True)

    key: str = Field(description="C2SP verifier key: name, hash and base64, for `hegui verify`.")
    fingerprint: str = Field(description="SHA-256 of the raw Ed25519 key.")

    @classmethod
    def of(cls, key: PublicKey) -> "KeyOut":
        """Show one key."""
        return cls(key=str(key), fingerprint=key.fingerprint)


class KeyList(BaseModel):
    """The keys of the ledger, the newest first."""

    model_config = ConfigDict(frozen=True)

    items: list[KeyOut]


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def open_whole(caller: CurrentPrincipal) -> Iterator[Session]:
    """Open a session over the whole tenant: heads and proofs of growth name nobody."""
    with tenant_session(caller.tenant_id) as session:
        yield session


WholeSession = Annotated[Session, Depends(open_whole, scope="function")]


@router.get(
    "/checkpoint",
    responses=NOTE,
    response_class=PlainTextResponse,
    summary="Read the newest signed head",
)
def get_checkpoint(session: WholeSession, size: Size = None) -> Response:
    """Give the newest signed head of the ledger, or the one of a size, as a note."""
    return PlainTextResponse(ledger_read.get_checkpoint(session, size).note)


@router.get("/entries", summary="List entries")
def list_entries(
    caller: LenderReader,
    session: TenantSession,
    after: Annotated[
        int | None, Query(ge=-1, le=2**53, description="Entries after this number.")
    ] = None,
    kind: Annotated[
        str | None, Query(pattern=r"^[a-z_]{1,64}$", description="Only entries of this kind.")
    ] = None,
    limit: Limit = 50,
) -> EntryPage:
    """List the entries in the ledger's order, with what opens each."""
    found = ledger_read.list_entries(session, after=after, kind=kind, limit=limit)
    opened = ledger_read.open_entries(session, caller.tenant_id, found)
    more = found[-1].seq if len(found) == limit else None
    return EntryPage(items=[EntryOut.of(one, show=True) for one in opened], next_after=more)


@router.get("/proof/inclusion", summary="Prove that an entry is in the ledger")
def get_inclusion(
    view: CurrentView,
    session: TenantSession,
    seq: Annotated[int, Query(ge=0, le=2**53, description="The entry's number.")],
    size: Size = None,
) -> InclusionOut:
    """Prove one entry against a signed head; an agency asks by its receipts instead."""
    if view.principal.agency_id is not None:
        raise ForbiddenError("An agency asks by the receipts of its own events.")
    proof = ledger_read.prove_inclusion(session, view.principal.tenant_id, seq=seq, size=size)
    return InclusionOut.of(proof, show=view.principal.actor is Actor.LENDER)


@router.get("/proof/receipts/{receipt}", summary="Prove that an event is in the ledger")
def get_receipt_proof(
    caller: Participant,
    session: TenantSession,
    receipt: Annotated[UUID, Path(description="What the webhook was answered with.")],
) -> InclusionOut:
    """Prove that a webhook's event is in the ledger, with the content that its entry stands for."""
    return InclusionOut.of(ledger_read.prove_receipt(session, caller.tenant_id, receipt), show=True)


@router.get("/proof/consistency", summary="Prove that the ledger only grew")
def get_consistency(
    session: WholeSession,
    first: Annotated[
        int, Query(alias="from", ge=1, le=2**53, description="The size of the earlier head.")
    ],
    second: Annotated[
        int | None,
        Query(alias="to", ge=1, le=2**53, description="The later head. None: the newest."),
    ] = None,
) -> ConsistencyOut:
    """Prove that an earlier head's entries begin a later one's."""
    return ConsistencyOut.of(ledger_read.prove_consistency(session, first=first, second=second))


@router.get("/key", summary="Read the ledger's public keys")
def get_key(caller: CurrentPrincipal, session: WholeSession) -> KeyList:
    """Give the public keys that sign this ledger's heads, bundles and reports, newest first."""
    keys = ledger_read.list_keys(session, caller.tenant_id)
    return KeyList(items=[KeyOut.of(key) for key in keys])

"""Seals who an event is about, under keys of its tenant, and opens it for those who judge it.

AES-256-GCM; the associated data names tenant, table and row, so that nothing sealed can be moved
elsewhere. Data keys are wrapped by the master key and kept in the database; numbers are looked up
by a keyed digest.
"""

import hmac
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any
from uuid import UUID, uuid4

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service import db
from service.clock import now
from service.errors import MasterKeyError
from service.models import EventRow
from service.privacy.master_key import KEY_BYTES, NONCE_BYTES, unwrap, wrap
from service.privacy.models import KeyPurpose

_FORM = b"\x01"
_KEY_ID_BYTES = 16
_HEAD = len(_FORM) + _KEY_ID_BYTES
_REFRESH_S = 60.0
# What of an event's data says who it is about: by type the fields, and what of each object there.
_PERSONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "case.upserted": {
        "debtor": ("name", "phones"),
        "contacts": ("name", "phone"),
        "guarantors": ("name", "phone"),
    },
    "interaction.completed": {"party": ("name", "phone"), "collector": ("name",)},
    "stop.requested": {"phone": ()},
}
_ALL_KEYS = "select id, purpose, wrapped, master, retired_at from data_key"
_ADD_KEY = (
    "insert into data_key (tenant_id, id, purpose, wrapped, master, created_at) values"
    " (%(tenant_id)s, %(id)s, %(purpose)s, %(wrapped)s, %(master)s, %(created_at)s)"
    " on conflict do nothing"
)
_ROLES = {"contacts": "contact", "guarantors": "guarantor"}


@dataclass(frozen=True, slots=True)
class Keyring:
    """A tenant's opened keys; `current` seals, `lookup` digests numbers."""

    current: UUID
    keys: Mapping[UUID, AESGCM]
    lookup: bytes
    loaded_at: float


@dataclass(frozen=True, slots=True)
class Parted:
    """An event's document without its persons, these sealed, and (digest, role) of each number."""

    body: dict[str, Any]
    sealed: bytes | None
    phones: list[tuple[str, str]] | None


_rings: dict[UUID, Keyring] = {}
_loading = Lock()


def forget_keys() -> None:
    """Drop the opened keys of this process; the next use loads them anew."""
    _rings.clear()


def is_loaded(tenant_id: UUID) -> bool:
    """Whether sealing for this tenant asks nothing of the database now."""
    ring = _rings.get(tenant_id)
    return ring is not None and time.monotonic() - ring.loaded_at < _REFRESH_S


def load_keys(tenant_id: UUID, *, anew: bool = False) -> Keyring:
    """The tenant's opened keys; makes the first ones. Raises `MasterKeyError`."""
    if not anew and is_loaded(tenant_id):
        return _rings[tenant_id]
    with _loading:
        if not anew and is_loaded(tenant_id):
            return _rings[tenant_id]
        ring = _read_keys(tenant_id)
        _rings[tenant_id] = ring
        return ring


def about_event(tenant_id: UUID, agency_id: UUID, message_id: str) -> bytes:
    """The associated data of an event: its tenant, its table, its row."""
    return f"hegui/1|{tenant_id}|event|{agency_id}|{message_id}".encode()


def about_field(tenant_id: UUID, table: str, row: str, column: str) -> bytes:
    """The associated data of a field of any other table; `row` is its key after the tenant."""
    return f"hegui/1|{tenant_id}|{table}|{row}|{column}".encode()


def seal(tenant_id: UUID, plain: bytes, about: bytes) -> bytes:
    """Seal bytes under the tenant's current key; `about` must be given again to open them."""
    ring = load_keys(tenant_id)
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = ring.keys[ring.current].encrypt(nonce, plain, about)
    return _FORM + ring.current.bytes + nonce + sealed


def unseal(tenant_id: UUID, sealed: bytes, about: bytes) -> bytes:
    """Open what `seal` made; raises `MasterKeyError` where it or its place was changed."""
    key_id = key_of(sealed)
    ring = _rings.get(tenant_id) or load_keys(tenant_id)
    if key_id not in ring.keys:
        ring = load_keys(tenant_id, anew=True)
    if key_id not in ring.keys:
        raise MasterKeyError("Sealed data names a data key that is not there.")
    nonce, rest = sealed[_HEAD : _HEAD + NONCE_BYTES], sealed[_HEAD + NONCE_BYTES :]
    try:
        return ring.keys[key_id].decrypt(nonce, bytes(rest), about)
    except InvalidTag:
        raise MasterKeyError("Sealed data was changed, or moved from its place.") from None


def key_of(sealed: bytes) -> UUID:
    """The key that sealed these bytes."""
    return UUID(bytes=bytes(sealed[len(_FORM) : _HEAD]))


def phone_digest(tenant_id: UUID, phone: str) -> str:
    """The keyed digest under which a number (E.164) is looked up within a tenant."""
    key = (_rings.get(tenant_id) or load_keys(tenant_id)).lookup
    return hmac.digest(key, phone.encode(), "sha256").hex()[:32]


def part_event(
    document: Mapping[str, Any], *, tenant_id: UUID, agency_id: UUID, message_id: str
) -> Parted:
    """The event's document for storing: who it is about sealed, its numbers as digests."""
    rest, persons = _parted(document)
    if not persons:
        return Parted(rest, None, None)
    about = about_event(tenant_id, agency_id, message_id)
    phones = {(phone_digest(tenant_id, phone), role) for phone, role in _phones(document)}
    return Parted(rest, seal(tenant_id, orjson.dumps(persons), about), sorted(phones))


def open_event(row: EventRow) -> dict[str, Any]:
    """An event's document as it came in; what was erased stays away."""
    if row.sealed is None:
        return row.body
    return _joined(row.body, _persons_of(row, row.sealed))


def sealed_texts(row: EventRow) -> frozenset[str]:
    """Every name and number that is sealed in an event; its body is not read."""
    return frozenset(_leaves(_persons_of(row, row.sealed))) if row.sealed else frozenset()


def _persons_of(row: EventRow, sealed: bytes) -> Any:
    about = about_event(row.tenant_id, row.agency_id, row.message_id)
    return orjson.loads(unseal(row.tenant_id, sealed, about))


def _leaves(persons: Any) -> Iterable[str]:
    if isinstance(persons, str):
        yield persons
    elif isinstance(persons, dict | list):
        for held in persons.values() if isinstance(persons, dict) else persons:
            yield from _leaves(held)


def _parted(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A copy without the persons, and the persons: by field, each a list or an object."""
    rest = dict(document)
    data = rest["data"] = dict(document["data"])
    persons: dict[str, Any] = {}
    for field, hidden in _PERSONS[document["type"]].items():
        held = data.get(field)
        if isinstance(held, str):
            persons[field] = data.pop(field)
        elif isinstance(held, dict):
            persons[field], data[field] = _split(held, hidden)
        elif isinstance(held, list):
            split = [_split(each, hidden) for each in held]
            persons[field] = [each for each, _ in split]
            data[field] = [each for _, each in split]
    return rest, {field: held for field, held in persons.items() if held}


def _split(held: Mapping[str, Any], hidden: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The hidden fields of an object, and the others."""
    found = {key: held[key] for key in hidden if key in held}
    return found, {key: value for key, value in held.items() if key not in found}


def _joined(body: Mapping[str, Any], persons: Mapping[str, Any]) -> dict[str, Any]:
    data = dict(body["data"])
    for field, held in persons.items():
        if isinstance(held, dict):
            data[field] = {**data[field], **held}
        elif isinstance(held, list):
            data[field] = [{**rest, **each} for rest, each in zip(data[field], held, strict=True)]
        else:
            data[field] = held
    return {**body, "data": data}


def _phones(document: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Every number that an event names, with the role of the person."""
    data = document["data"]
    if document["type"] == "case.upserted":
        for phone in data["debtor"]["phones"]:
            yield phone, "debtor"
        for field, role in _ROLES.items():
            for person in data.get(field) or ():
                yield person["phone"], role
    elif document["type"] == "stop.requested":
        yield data["phone"], "stop"
    elif data["party"].get("phone"):
        yield data["party"]["phone"], "party"


def _read_keys(tenant_id: UUID) -> Keyring:
    """Read and open a tenant's keys, over the pool of single statements.

    Whoever asks may hold a session already; a second one from the same pool could wait for ever.
    """
    with db.pool().connection() as connection, connection.transaction():
        connection.execute("select set_config('app.tenant_id', %s, true)", (str(tenant_id),))
        rows = connection.execute(_ALL_KEYS).fetchall()
        if {purpose for _, purpose, *_, retired in rows if retired is None} != set(KeyPurpose):
            for purpose in KeyPurpose:
                connection.execute(_ADD_KEY, new_key(tenant_id, purpose))
            rows = connection.execute(_ALL_KEYS).fetchall()
    opened = {
        key_id: unwrap(wrapped, about_key(tenant_id, key_id, purpose), master=master)
        for key_id, purpose, wrapped, master, _ in rows
    }
    current = {purpose: key_id for key_id, purpose, *_, retired in rows if retired is None}
    return Keyring(
        current=current[KeyPurpose.SEAL],
        keys={
            key_id: AESGCM(opened[key_id])
            for key_id, purpose, *_ in rows
            if purpose == KeyPurpose.SEAL
        },
        lookup=opened[current[KeyPurpose.LOOKUP]],
        loaded_at=time.monotonic(),
    )


def about_key(tenant_id: UUID, key_id: UUID, purpose: str) -> bytes:
    """The associated data of a wrapped data key."""
    return f"hegui/1|{tenant_id}|data_key|{key_id}|{purpose}".encode()


def new_key(tenant_id: UUID, purpose: KeyPurpose) -> dict[str, Any]:
    """The columns of a new data key, wrapped."""
    key_id = uuid4()
    master, wrapped = wrap(
        secrets.token_bytes(KEY_BYTES), about_key(tenant_id, key_id, purpose.value)
    )
    return {
        "tenant_id": tenant_id,
        "id": key_id,
        "purpose": purpose.value,
        "wrapped": wrapped,
        "master": master,
        "created_at": now(),
    }

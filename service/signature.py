"""Whether a webhook was signed by the agency that its address names.

The headers are read by a strict grammar first, because the verifying library raises all sorts of
errors on odd ones; after it every failure is the same 401, for an unknown agency too.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg import OperationalError
from standardwebhooks import Webhook

from service import db
from service.errors import BadSignatureError, FieldProblem, InvalidInputError
from service.privacy.sealed_fields import open_text

TOLERANCE_S = 300
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_TIMESTAMP = re.compile(r"[0-9]{10}", re.ASCII)
_ONE = r"(?:v1,[A-Za-z0-9+/]{43}=|v1a,[A-Za-z0-9+/]{86}==)"
_SIGNATURES = re.compile(rf"{_ONE}(?: {_ONE}){{0,4}}", re.ASCII)
_REFUSED = "The webhook's signature does not hold for this address."
# An unknown agency is verified against this: the same work and the same answer.
_DUMMY = "whsec_" + "A" * 43 + "="
# A revoked secret must fail soon, a busy sender must not cost a look-up each time.
_CACHE_S = 1.0
_CACHE_SIZE = 4096


@dataclass(frozen=True, slots=True)
class SignedHeaders:
    """The three headers of Standard Webhooks, each of the right form."""

    message_id: str
    timestamp: str
    signatures: str


@dataclass(frozen=True, slots=True)
class Source:
    """Whose webhooks an address takes, and the secrets that are good now."""

    tenant_id: UUID
    agency_id: UUID
    secrets: tuple[str, ...]
    previous_until: datetime | None = None


_known: dict[UUID, tuple[float, Source | None]] = {}


def read_headers(headers: Sequence[tuple[bytes, bytes]], *, at: datetime) -> SignedHeaders:
    """Read the signature's headers, exactly one of each.

    Raises `BadSignatureError` where one is missing, doubled or malformed or the time is off, and
    `InvalidInputError` where only the message id has a form we do not take.
    """
    found: dict[bytes, str] = {}
    for name, value in headers:
        if name in {b"webhook-id", b"webhook-timestamp", b"webhook-signature"}:
            if name in found:
                raise BadSignatureError(_REFUSED)
            found[name] = value.decode("latin-1")
    message_id, timestamp, signatures = (
        found.get(name) for name in (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
    )
    if (
        message_id is None
        or timestamp is None
        or signatures is None
        or not _TIMESTAMP.fullmatch(timestamp)
        or not _SIGNATURES.fullmatch(signatures)
    ):
        raise BadSignatureError(_REFUSED)
    if not _ID.fullmatch(message_id):
        problem = FieldProblem("webhook-id", "must be 1 to 128 of A-Z a-z 0-9 _ -")
        raise InvalidInputError("The message id has a form we do not take.", errors=(problem,))
    if abs(at.timestamp() - int(timestamp)) > TOLERANCE_S:
        ours = at.astimezone(UTC).isoformat(timespec="seconds")
        raise BadSignatureError(
            f"The webhook's timestamp is more than {TOLERANCE_S} s from our time, {ours}.",
            code="timestamp_out_of_tolerance",
            extra={"server_time": ours},
        )
    return SignedHeaders(message_id, timestamp, signatures)


_SOURCE = (
    "select s.tenant_id, s.secret_current, s.secret_previous, s.previous_until"
    " from webhook_source as s join tenant as t on t.id = s.tenant_id"
    " where s.agency_id = %s and t.suspended_at is null and t.removed_at is null"
)
_TAKES = "select 1 from agency where id = %s and suspended_at is null and removed_at is null"


def _read_source(agency_id: UUID) -> tuple[Any, ...] | None:
    """Read a source whose lender and agency are neither suspended nor removed."""
    with db.pool().connection() as connection, connection.transaction():
        row = connection.execute(_SOURCE, (agency_id,)).fetchone()
        if row is None:
            return None
        # Agencies are fenced: the tenant is named before one is read.
        connection.execute("select set_config('app.tenant_id', %s, true)", (str(row[0]),))
        return row if connection.execute(_TAKES, (agency_id,)).fetchone() else None


def _load_source(agency_id: UUID) -> Source | None:
    for last in (False, True):
        try:
            row = _read_source(agency_id)
            break
        except OperationalError:
            # The database may have restarted under the pool; its dead connections go first.
            if last:
                raise
            db.pool().check()
    if row is None:
        return None
    tenant_id, *held, until = row
    names = ("secret_current", "secret_previous")
    secrets = tuple(
        open_text(tenant_id, "webhook_source", str(agency_id), name, secret)
        for name, secret in zip(names, held, strict=True)
        if secret
    )
    return Source(tenant_id, agency_id, secrets, until)


def find_source(agency_id: UUID) -> Source | None:
    """Return an agency's webhook source; what it says may be a second old."""
    held = _known.get(agency_id)
    moment = time.monotonic()
    if held is not None and held[0] > moment:
        return held[1]
    source = _load_source(agency_id)
    if len(_known) >= _CACHE_SIZE:
        _known.clear()
    _known[agency_id] = (moment + _CACHE_S, source)
    return source


def is_remembered(agency_id: UUID) -> bool:
    """Tell whether `find_source` would answer without asking the database."""
    held = _known.get(agency_id)
    return held is not None and held[0] > time.monotonic()


def forget_sources() -> None:
    """Drop what is remembered of sources, so that a change counts at once in this process."""
    _known.clear()


def _holds(secret: str, headers: SignedHeaders, body: bytes) -> bool:
    try:
        Webhook(secret).verify(
            body,
            {
                "webhook-id": headers.message_id,
                "webhook-timestamp": headers.timestamp,
                "webhook-signature": headers.signatures,
            },
            json_parse=False,
        )
    except Exception:  # noqa: BLE001  whatever the library makes of hostile input, it is a refusal
        return False
    return True


def verify(source: Source | None, headers: SignedHeaders, body: bytes, *, at: datetime) -> Source:
    """Return the source whose secret signed these bytes; raises `BadSignatureError`."""
    candidates = source.secrets if source else (_DUMMY,)
    if source and source.previous_until is not None and source.previous_until <= at:
        candidates = candidates[:1]
    if not any(_holds(secret, headers, body) for secret in candidates) or source is None:
        raise BadSignatureError(_REFUSED)
    return source

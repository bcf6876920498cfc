"""Where agencies post their events, and ask what became of them."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Request, Response
from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict
from sqlmodel import col, select
from starlette.concurrency import run_in_threadpool

from service import ingest, limits, signature, vcon
from service.api.deps import Participant, TenantSession, read_body
from service.api.examples import EVENTS
from service.clock import now
from service.db import tenant_session
from service.errors import BadSignatureError, NotFoundError
from service.keeping.storage import store
from service.log import get
from service.models import EventRow, InteractionRow, InteractionState
from service.privacy import sealing
from service.privacy.models import LimitKind
from service.together import Together
from service.vcon_reading import parse_vcon

router = APIRouter(tags=["events"])
log = get(__name__)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
TAKEN = Counter("hegui_events_total", "Events taken in, by result.", ["result"])
_REFUSED = Counter("hegui_signatures_refused_total", "Webhooks whose signature was refused.")


@dataclass(frozen=True, slots=True)
class SignedEvent:
    """A body that the agency's secret has signed."""

    source: signature.Source
    message_id: str
    body: bytes


async def _find_source(agency_id: str) -> signature.Source | None:
    """Return the source; the event loop waits for nothing but what is remembered."""
    if not _UUID.fullmatch(agency_id):
        return None
    known = UUID(agency_id)
    if signature.is_remembered(known):
        return signature.find_source(known)
    return await run_in_threadpool(signature.find_source, known)


async def open_envelope(request: Request, agency_id: str, body: bytes) -> SignedEvent:
    """Check the signature over the raw bytes; raises the same error for an unknown agency."""
    at = now()
    try:
        headers = signature.read_headers(request.headers.raw, at=at)
        source = signature.verify(await _find_source(agency_id), headers, body, at=at)
    except BadSignatureError as error:
        _REFUSED.inc()
        log.warning("signature_refused", code=error.code)
        raise
    request.state.tenant_id = source.tenant_id
    if not sealing.is_loaded(source.tenant_id):
        await run_in_threadpool(sealing.load_keys, source.tenant_id)
    return SignedEvent(source, headers.message_id, body)


def _receipt(signed: SignedEvent, accepted: ingest.Accepted) -> Response:
    """Return the answer; the same bytes for a repetition, under 200 instead of 202."""
    TAKEN.labels("fresh" if accepted.fresh else "repeated").inc()
    document = {
        "receipt": accepted.receipt,
        "message_id": signed.message_id,
        "body_sha256": accepted.body_sha256,
        "received_at": accepted.received_at,
    }
    return Response(
        orjson.dumps(document, option=orjson.OPT_UTC_Z),
        status_code=202 if accepted.fresh else 200,
        media_type="application/json",
    )


class ReceiptOut(BaseModel):
    """That an event is ours now: what we hold, and since when."""

    model_config = ConfigDict(frozen=True)

    receipt: UUID
    message_id: str
    body_sha256: str
    received_at: datetime


class ReceiptStateOut(ReceiptOut):
    """A receipt and what became of its event."""

    agency_id: UUID
    type: str
    case_id: str
    interaction_id: str | None
    state: InteractionState | None
    outcome: str | None


def _is_vcon(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    return media_type in vcon.MEDIA_TYPES


async def _read(request: Request, signed: SignedEvent) -> ingest.Entry:
    """Read the body in the form that its media type names; a vCon's sound is kept at once."""
    parsed = None
    if _is_vcon(request):
        parsed, reading = parse_vcon(signed.body)
        if reading.audio is not None:
            await run_in_threadpool(_keep, signed.source, reading.audio)
    return ingest.read_event(
        tenant_id=signed.source.tenant_id,
        agency_id=signed.source.agency_id,
        message_id=signed.message_id,
        body=signed.body,
        parsed=parsed,
    )


def _keep(source: signature.Source, audio: bytes) -> None:
    """Hold the bytes of a recording before the event that announces them is taken in."""
    sha256 = hashlib.sha256(audio).hexdigest()
    stored = store().put_stream(source.tenant_id, [audio], sha256, len(audio))

    def note() -> None:
        with tenant_session(source.tenant_id) as session:
            ingest.record_arrival(
                session,
                tenant_id=source.tenant_id,
                agency_id=source.agency_id,
                sha256=sha256,
                size_bytes=stored.size_bytes,
                now=now(),
            )

    ingest.patiently(note)


_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "agency_id",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "title": "Agency Id", "maxLength": 64},
    }
] + [
    {
        "name": name,
        "in": "header",
        "required": True,
        "description": description,
        "schema": {"type": "string", "pattern": pattern},
        "example": example,
    }
    for name, description, pattern, example in (
        (
            "webhook-id",
            "Unique for each event; the same for each repetition of it.",
            "^[A-Za-z0-9_-]{1,128}$",
            "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
        ),
        ("webhook-timestamp", "Seconds since 1970, within 300 s of ours.", "^[0-9]{10}$", "1"),
        (
            "webhook-signature",
            "Standard Webhooks: `v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`.",
            "^v1",
            "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
        ),
    )
]


@router.post(
    "/v1/webhooks/{agency_id}",  # noqa: FAST003  taken from the request, see below
    status_code=202,
    response_model=ReceiptOut,
    summary="Post one signed event",
    responses={
        200: {"model": ReceiptOut, "description": "Taken in before; the same receipt."},
    },
    openapi_extra={
        "parameters": _PARAMETERS,
        "security": [{"webhookSignature": []}],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/Event"},
                    "examples": EVENTS,
                },
                vcon.MEDIA_TYPE: {"schema": {"type": "object"}},
            },
        },
    },
)
async def post_event(request: Request) -> Response:
    """Take in one event; the answer comes after the commit, and a repetition gets the same one."""
    # Read here, not declared: finding out what a signature asks for costs as much as checking one.
    body = await read_body(request)
    signed = await open_envelope(request, request.path_params["agency_id"], body)
    who = signed.source.tenant_id, signed.source.agency_id, LimitKind.EVENTS
    if not limits.is_free(*who):
        request.state.limit = await run_in_threadpool(limits.spend, *who)
    entry = await _read(request, signed)
    together: Together[ingest.Entry, ingest.Accepted] = request.app.state.events
    return _receipt(signed, ingest.settle(entry, await together.submit(entry)))


@router.get("/v1/receipts/{receipt}", summary="Read what became of an event")
def get_receipt(receipt: UUID, _: Participant, session: TenantSession) -> ReceiptStateOut:
    """Return a receipt and the state of the interaction that its event is about."""
    event = session.exec(select(EventRow).where(col(EventRow.id) == receipt)).one_or_none()
    if event is None:
        raise NotFoundError("There is no such receipt.")
    row = session.exec(
        select(InteractionRow)
        .where(col(InteractionRow.agency_id) == event.agency_id)
        .where(col(InteractionRow.interaction_id) == event.interaction_id)
    ).one_or_none()
    return ReceiptStateOut(
        receipt=event.id,
        message_id=event.message_id,
        body_sha256=event.body_sha256,
        received_at=event.received_at,
        agency_id=event.agency_id,
        type=event.kind,
        case_id=event.case_id,
        interaction_id=event.interaction_id,
        state=InteractionState(row.state) if row else None,
        outcome=row.outcome if row else None,
    )

"""Where agencies put the bytes of a recording under their SHA-256, and where they are played."""

import math
import re
from base64 import b64decode
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from service import ingest
from service.access.grants import watched
from service.access.tenants import Principal
from service.api.deps import CurrentPrincipal, Sender, body_chunks, refuse_compressed
from service.clock import now
from service.config import settings
from service.db import tenant_session
from service.errors import (
    DigestMismatchError,
    FieldProblem,
    InvalidInputError,
    LengthRequiredError,
    RangeError,
    RefusedError,
    TooLargeError,
)
from service.keeping.playback import find_recording
from service.keeping.ranges import UnsatisfiableRangeError, read_range
from service.keeping.storage import Stored, Upload, store
from service.limits import spend
from service.privacy.models import LimitKind

router = APIRouter(tags=["recordings"])
_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):\s*(?:;[^,]*)?(?=,|$)", re.ASCII)
_BATCH_BYTES = 256 * 1024


class RecordingOut(BaseModel):
    """That a recording is ours now."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    size_bytes: int


def _check_headers(request: Request, sha256: str) -> int:
    """Refuse what can be refused before a byte is read; return the limit in bytes."""
    refuse_compressed(request)
    limit = settings().recording_max_mb * 1024 * 1024
    declared = request.headers.get("content-length")
    if declared is None or not declared.isdecimal():
        raise LengthRequiredError("A recording is sent with its Content-Length.")
    if int(declared[:20]) > limit:
        raise TooLargeError(f"A recording may have up to {limit} bytes.")
    digest = request.headers.get("content-digest")
    if digest is not None and "sha-256" in digest:
        found = _DIGEST.search(digest)
        if found is None:
            problem = FieldProblem("content-digest", "must read sha-256=:base64: (RFC 9530)")
            raise InvalidInputError("The digest cannot be read.", errors=(problem,))
        if b64decode(found[1]).hex() != sha256:
            problem = FieldProblem("content-digest", "is not the hash in the address")
            raise DigestMismatchError("Nothing was stored.", errors=(problem,))
    return limit


async def _receive(request: Request, upload: Upload) -> None:
    """Write the body as it comes, in batches that are worth a thread's while."""
    batch = bytearray()
    try:
        async for chunk in body_chunks(request):
            batch += chunk
            if len(batch) >= _BATCH_BYTES:
                await run_in_threadpool(upload.write, bytes(batch))
                batch.clear()
    except ClientDisconnect:
        raise RefusedError("The recording ended before it was complete.") from None
    await run_in_threadpool(upload.write, bytes(batch))


def _note(principal: Principal, agency_id: UUID, sha256: str, stored: Stored) -> bool:
    """Write the row of bytes that are durable already; return whether it is new."""

    def work() -> bool:
        with tenant_session(principal.tenant_id) as session:
            return ingest.record_arrival(
                session,
                tenant_id=principal.tenant_id,
                agency_id=agency_id,
                sha256=sha256,
                size_bytes=stored.size_bytes,
                now=now(),
            )

    return ingest.patiently(work)


_BYTES: dict[str, Any] = {
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
}


@router.head("/v1/recordings/{sha256}", include_in_schema=False)
@router.get(
    "/v1/recordings/{sha256}",
    summary="Play a recording",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The whole recording.", **_BYTES},
        206: {"description": "The part that `Range` asks for.", **_BYTES},
        416: {"description": "The range lies past the end; `Content-Range` has the length."},
    },
)
def get_recording(
    request: Request,
    principal: CurrentPrincipal,
    sha256: Annotated[str, Path(description="SHA-256 of the bytes, hex.", max_length=128)],
    wanted: Annotated[
        str | None, Header(alias="Range", description="One range of bytes.", max_length=100)
    ] = None,
    if_range: Annotated[
        str | None, Header(alias="If-Range", description="The entity tag.", max_length=100)
    ] = None,
) -> Response:
    """Give the bytes as they came, whole or in part, to callers who may hear the contact.

    A lender's readers may not: voices cannot be masked. An agency hears its own contacts, a
    regulator what its grant opens, no longer than it lives. The first bytes of each playing are
    written down.
    """
    held = find_recording(principal, sha256)
    etag = f'"{sha256}"'
    try:
        part = read_range(wanted, if_range, size=held.size_bytes, etag=etag)
    except UnsatisfiableRangeError:
        raise RangeError(size=held.size_bytes) from None
    headers = {
        "accept-ranges": "bytes",
        "etag": etag,
        "cache-control": "private, no-store",
        "content-length": str(part.length if part else held.size_bytes),
        "content-disposition": f'attachment; filename="{sha256}"',
        "x-content-type-options": "nosniff",
    }
    if part is not None:
        headers["content-range"] = f"bytes {part.first}-{part.last}/{held.size_bytes}"
    status = 206 if part else 200
    media = "application/octet-stream"
    if request.method == "HEAD" or held.size_bytes == 0:
        return Response(status_code=status, headers=headers, media_type=media)
    span = (part.first, part.last) if part else (0, None)
    chunks = watched(principal, store().read(principal.tenant_id, sha256, *span))
    return StreamingResponse(chunks, status_code=status, headers=headers, media_type=media)


@router.put(
    "/v1/recordings/{sha256}",
    status_code=201,
    summary="Put a recording's bytes",
    responses={200: {"model": RecordingOut, "description": "These bytes were here before."}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        },
        "parameters": [
            {
                "name": "Content-Digest",
                "in": "header",
                "required": False,
                "description": "RFC 9530: `sha-256=:base64:`; checked against the address.",
                "schema": {"type": "string"},
            }
        ],
    },
)
async def put_recording(
    request: Request,
    response: Response,
    principal: Sender,
    sha256: Annotated[
        str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the bytes, hex.")
    ],
) -> RecordingOut:
    """Keep the bytes, whatever they are, if they have this hash; a repetition changes nothing.

    Interactions that wait for this recording are transcribed next.
    """
    assert principal.agency_id is not None
    limit = _check_headers(request, sha256)
    size_mb = max(1, math.ceil(int(request.headers["content-length"]) / 1024 / 1024))
    who = principal.tenant_id, principal.agency_id
    await run_in_threadpool(spend, *who, LimitKind.UPLOAD_MB, size_mb)
    upload = store().begin(principal.tenant_id, sha256, limit)
    await run_in_threadpool(upload.__enter__)
    try:
        await _receive(request, upload)
        stored = await run_in_threadpool(upload.finish)
    finally:
        upload.__exit__()
    fresh = await run_in_threadpool(_note, principal, principal.agency_id, sha256, stored)
    response.status_code = 201 if fresh else 200
    return RecordingOut(sha256=sha256, size_bytes=stored.size_bytes)

"""Where agencies object to findings, with text and files, and lenders judge."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from rules.events import SafeStr
from rules.model import Severity
from service import ingest
from service.access.tenants import Principal
from service.api.deps import (
    Participant,
    Quality,
    Reviewer,
    TenantSession,
    refuse_compressed,
)
from service.api.reading import AgencyId, Cursor, Limit, RuleIs
from service.api.review_shapes import Reason
from service.clock import now
from service.config import settings
from service.db import tenant_session
from service.errors import (
    FieldProblem,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    RefusedError,
    TooLargeError,
)
from service.keeping.storage import store
from service.models import Actor
from service.packs import load_pack
from service.people import disputes
from service.people.disputes import DisputeFilters
from service.people.disputes_nearmiss import near_miss
from service.people.models import DisputeFile, DisputeRow, DisputeState
from service.privacy.masking import may_see_plain
from service.privacy.sealed_fields import opened, opened_or_none

router = APIRouter(tags=["disputes"])

DisputeKey = Annotated[UUID, Path(description="The dispute's id.")]
Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the bytes, hex.")]
_LIMIT = disputes.MAX_FILE_MB * 1024 * 1024


class DisputeIn(BaseModel):
    """Why the agency thinks that the finding is wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Annotated[SafeStr, StringConstraints(min_length=10, max_length=5000)] = Field(
        examples=["催收员引用的是借款人自己的话，并非威胁，请听录音第 12 秒。"]
    )


class JudgementIn(BaseModel):
    """The judgement; it is final."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    upheld: bool = Field(description="True: the agency is right, and the finding counts no more.")
    reason: Reason


class DisputeFileOut(BaseModel):
    """A file that supports a dispute."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    size_bytes: int
    media_type: str
    added_at: datetime


class DisputeOut(BaseModel):
    """A dispute and its judgement."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    finding_id: UUID
    interaction: UUID
    agency_id: UUID
    rule: str
    severity: Severity
    state: DisputeState
    text: str
    opened_at: datetime
    window_until: datetime = Field(description="Until then the finding could be disputed.")
    decide_by: datetime = Field(description="Then it lapses, if nobody has judged it.")
    reason: str | None
    decided_at: datetime | None
    decided_by: str | None = Field(description="The judge's key id; only lenders see it.")
    files: list[DisputeFileOut]

    @classmethod
    def of(cls, row: DisputeRow, files: list[DisputeFile], caller: Principal) -> "DisputeOut":
        """Show one row with its files."""
        names = set(cls.model_fields) - {"interaction", "files", "decided_by", "text", "reason"}
        return cls(
            interaction=row.interaction_id,
            files=[DisputeFileOut.model_validate(file, from_attributes=True) for file in files],
            text=opened(row, "text"),
            reason=opened_or_none(row, "reason"),
            decided_by=row.decided_by if caller.actor is Actor.LENDER else None,
            **{name: getattr(row, name) for name in names},
        )


class DisputePage(BaseModel):
    """One page of disputes, newest first."""

    model_config = ConfigDict(frozen=True)

    items: list[DisputeOut]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page.")


class YamlResponse(Response):
    """A page of YAML."""

    media_type = "application/yaml"


class BytesResponse(Response):
    """Bytes as they were sent."""

    media_type = "application/octet-stream"


def dispute_filters(
    state: Annotated[DisputeState | None, Query(description="Only this state.")] = None,
    agency_id: AgencyId = None,
    rule: RuleIs = None,
) -> DisputeFilters:
    """Gather the parameters that narrow a list of disputes."""
    return DisputeFilters(state.value if state else None, agency_id, rule)


def _agency(caller: Principal) -> UUID:
    assert caller.agency_id is not None
    return caller.agency_id


def _shown(session: TenantSession, row: DisputeRow, caller: Principal) -> DisputeOut:
    return DisputeOut.of(row, disputes.list_files(session, [row.id])[row.id], caller)


# What an agency does here is also an entry in the lender's records, which an agency's own session
# cannot write: these sessions see the whole tenant, and each call names the agency.
@router.post(
    "/v1/findings/{finding}/disputes",
    status_code=201,
    summary="Dispute a finding",
    responses={200: {"model": DisputeOut, "description": "This dispute was here before."}},
)
def post_dispute(
    caller: Quality,
    finding: Annotated[UUID, Path(description="The finding's id.")],
    wish: DisputeIn,
    answer: Response,
) -> DisputeOut:
    """Object to an own finding inside the window; a finding is disputed once."""
    with tenant_session(caller.tenant_id) as session:
        row, is_new = disputes.open_dispute(
            session,
            finding,
            wish.text,
            tenant_id=caller.tenant_id,
            agency_id=_agency(caller),
            by=caller.key_id,
            now=now(),
        )
        answer.status_code = 201 if is_new else 200
        return _shown(session, row, caller)


@router.get("/v1/disputes", summary="List disputes")
def list_disputes(
    caller: Participant,
    session: TenantSession,
    filters: Annotated[DisputeFilters, Depends(dispute_filters)],
    cursor: Cursor = None,
    limit: Limit = 50,
) -> DisputePage:
    """List the lender's disputes, or the agency's own, newest first."""
    page = disputes.list_disputes(session, filters, cursor=cursor, limit=limit)
    files = disputes.list_files(session, [row.id for row in page.rows])
    items = [DisputeOut.of(row, files[row.id], caller) for row in page.rows]
    return DisputePage(items=items, next_cursor=page.next_cursor)


@router.get("/v1/disputes/{dispute}", summary="Read a dispute")
def get_dispute(caller: Participant, session: TenantSession, dispute: DisputeKey) -> DisputeOut:
    """Show one dispute with its files and its judgement."""
    return _shown(session, disputes.get_dispute(session, dispute), caller)


@router.post(
    "/v1/disputes/{dispute}/judgement",
    status_code=201,
    summary="Judge a dispute",
    responses={200: {"model": DisputeOut, "description": "This judgement was here before."}},
)
def post_judgement(
    caller: Reviewer,
    session: TenantSession,
    dispute: DisputeKey,
    wish: JudgementIn,
    answer: Response,
) -> DisputeOut:
    """Uphold or reject it, finally; not for whoever decided on the finding before."""
    row, is_new = disputes.judge(
        session,
        dispute,
        is_upheld=wish.upheld,
        reason=wish.reason,
        by=caller.person,
        under=caller.key_id,
        base_url=settings().public_base_url,
        now=now(),
    )
    answer.status_code = 201 if is_new else 200
    return _shown(session, row, caller)


@router.post("/v1/disputes/{dispute}/withdrawal", summary="Withdraw a dispute")
def post_withdrawal(caller: Quality, dispute: DisputeKey) -> DisputeOut:
    """Take it back while it is open; the finding cannot be disputed again."""
    with tenant_session(caller.tenant_id) as session:
        row = disputes.withdraw(
            session, dispute, agency_id=_agency(caller), by=caller.key_id, now=now()
        )
        return _shown(session, row, caller)


@router.get(
    "/v1/disputes/{dispute}/near-miss",
    summary="Export an upheld dispute as a near miss",
    response_class=YamlResponse,
)
def get_near_miss(caller: Reviewer, session: TenantSession, dispute: DisputeKey) -> Response:
    """Give the masked words as a test of the rule, which fails until the rule is mended."""
    del caller
    row = disputes.get_dispute(session, dispute)
    return YamlResponse(near_miss(session, load_pack(), row))


@router.put(
    "/v1/disputes/{dispute}/files/{sha256}",
    status_code=201,
    summary="Add a file to a dispute",
    responses={200: {"model": DisputeFileOut, "description": "This file was here before."}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "Content-Type: " + ", ".join(sorted(disputes.MEDIA_TYPES)) + ".",
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        }
    },
)
async def put_file(
    request: Request, answer: Response, caller: Quality, dispute: DisputeKey, sha256: Digest
) -> DisputeFileOut:
    """Keep a file under its hash, up to 20 MB and ten a dispute, while the dispute is open."""
    media_type = _media_type(request)
    await run_in_threadpool(_refuse_file, caller, dispute)
    body = await _read(request)
    stored = await run_in_threadpool(store().put_stream, caller.tenant_id, [body], sha256, _LIMIT)
    file = DisputeFile(
        tenant_id=caller.tenant_id,
        dispute_id=dispute,
        sha256=sha256,
        agency_id=_agency(caller),
        size_bytes=stored.size_bytes,
        media_type=media_type,
        added_by=caller.key_id,
        added_at=now(),
    )
    answer.status_code = 201 if await run_in_threadpool(_note_file, file) else 200
    return DisputeFileOut(
        sha256=sha256, size_bytes=len(body), media_type=media_type, added_at=file.added_at
    )


@router.get(
    "/v1/disputes/{dispute}/files/{sha256}",
    summary="Read a dispute's file",
    response_class=BytesResponse,
)
def get_file(
    caller: Participant, session: TenantSession, dispute: DisputeKey, sha256: Digest
) -> Response:
    """Give a file as it was sent; not for keys that see people masked."""
    row = disputes.get_dispute(session, dispute)
    files = disputes.list_files(session, [row.id])[row.id]
    found = next((file for file in files if file.sha256 == sha256), None)
    if found is None:
        raise NotFoundError(disputes.NOT_THERE)
    if not may_see_plain(caller):
        raise ForbiddenError("A file cannot be masked; this needs the scope review or admin.")
    return Response(
        b"".join(store().read(caller.tenant_id, sha256)),
        media_type=found.media_type,
        headers={
            "content-disposition": f'attachment; filename="{sha256[:16]}"',
            "x-content-type-options": "nosniff",
        },
    )


def _media_type(request: Request) -> str:
    refuse_compressed(request)
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found not in disputes.MEDIA_TYPES:
        allowed = ", ".join(sorted(disputes.MEDIA_TYPES))
        problem = FieldProblem("content-type", f"must be one of: {allowed}")
        raise InvalidInputError("Files of this type are not taken.", errors=(problem,))
    return found


async def _read(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LIMIT:
                raise TooLargeError(f"A file may have up to {disputes.MAX_FILE_MB} MB.")
    except ClientDisconnect:
        raise RefusedError("The file ended before it was complete.") from None
    return bytes(body)


def _refuse_file(caller: Principal, dispute: UUID) -> None:
    with tenant_session(caller.tenant_id) as session:
        disputes.refuse_file(session, dispute, agency_id=_agency(caller), now=now())


def _note_file(file: DisputeFile) -> bool:
    """Note the file, and keep its bytes as long as a recording's."""
    with tenant_session(file.tenant_id) as session:
        ingest.record_arrival(
            session,
            tenant_id=file.tenant_id,
            agency_id=file.agency_id,
            sha256=file.sha256,
            size_bytes=file.size_bytes,
            now=now(),
        )
        return disputes.add_file(session, file, now=now())

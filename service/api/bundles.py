"""The evidence of one contact as a signed package."""

from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from service.access.grants import require_field
from service.access.models import GrantField
from service.api.deps import TenantSession
from service.api.ledger import WholeSession
from service.api.reading import CurrentView, InteractionKey
from service.clock import now
from service.evidence.bundle import MEDIA_TYPE, Bundle, make_bundle
from service.evidence.ledger_run import run_sealer
from service.packs import load_pack

router = APIRouter(prefix="/v1/interactions", tags=["interactions"])

PACKAGE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A signed zip: `hegui verify FILE` and tools/verify_evidence.py check it",
        "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


def seal_first(view: CurrentView) -> None:
    """Bring the ledger up to now, so that the package's proofs speak of everything in it."""
    run_sealer(view.principal.tenant_id)


def answer(bundle: Bundle) -> StreamingResponse:
    """Send a package under its name."""
    headers = {"Content-Disposition": f'attachment; filename="{bundle.name}"'}
    return StreamingResponse(bundle.chunks, media_type=MEDIA_TYPE, headers=headers)


@router.get(
    "/{interaction}/bundle",
    responses=PACKAGE,
    response_class=StreamingResponse,
    dependencies=[Depends(seal_first)],
    summary="Export a contact's evidence",
)
def get_bundle(
    session: TenantSession, whole: WholeSession, view: CurrentView, interaction: InteractionKey
) -> StreamingResponse:
    """Give everything that is known of one contact, signed; masked where the key sees no names."""
    require_field(view.principal, GrantField.TRANSCRIPTS)
    return answer(
        make_bundle(
            session,
            whole,
            load_pack(),
            principal=view.principal,
            interaction_id=interaction,
            period=view.period,
            now=now(),
        )
    )

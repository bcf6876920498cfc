"""Gathers what is held of an interaction into its vCon."""

from typing import Any
from uuid import UUID

from sqlmodel import Session

from service.errors import NotFoundError
from service.keeping.storage import store
from service.models import Actor
from service.privacy.sealing import open_event
from service.read import InteractionDetail, Period, get_interaction, get_transcript
from service.speech import shown_parameters
from service.vcon import Content, write_vcon


def export_vcon(
    session: Session,
    interaction_id: UUID,
    *,
    period: Period | None = None,
    to: Actor = Actor.LENDER,
    is_masked: bool = False,
    has_audio: bool = False,
) -> dict[str, Any]:
    """The interaction with its words and current verdict; with `has_audio` the bytes we hold too.

    A masked copy has no numbers and names of those reached, an agency's none of the lender's own
    words for the speech engine. Raises `NotFoundError` where it is not there for this caller.
    """
    detail = get_interaction(session, interaction_id, period=period)
    event = open_event(detail.event)
    to_agency = to is Actor.AGENCY
    engine, transcript = _transcript(session, interaction_id, period, to_agency=to_agency)
    return write_vcon(
        Content(
            uuid=str(interaction_id),
            timestamp=event["timestamp"],
            data=event["data"],
            transcript=transcript,
            engine=engine,
            verdict=_verdict(detail),
            audio=_audio(detail) if has_audio else None,
            is_masked=is_masked,
        )
    )


def _transcript(
    session: Session, interaction_id: UUID, period: Period | None, *, to_agency: bool
) -> tuple[str | None, dict[str, Any] | None]:
    try:
        heard, segments = get_transcript(session, interaction_id, period=period)
    except NotFoundError:
        return None, None
    if heard is None:
        return None, {"segments": segments}
    return heard.engine, {
        "segments": segments,
        "model_digest": heard.model_digest,
        "parameters": shown_parameters(heard.parameters, to_agency=to_agency),
        "flags": heard.flags,
        "decoded_seconds": heard.decoded_seconds,
        "untrusted_share": heard.untrusted_share,
    }


def _verdict(detail: InteractionDetail) -> dict[str, Any] | None:
    held = detail.verdict
    if held is None:
        return None
    return {
        "outcome": held.outcome,
        "reasons": held.reasons,
        "revision": held.revision,
        "evaluated_at": held.evaluated_at.isoformat(),
        "untrusted_share": held.untrusted_share,
        "pack": held.pack,
        "pack_digest": held.pack_digest,
        "parameters_revision": held.parameters_revision,
        "findings": [finding.doc for finding in detail.findings],
    }


def _audio(detail: InteractionDetail) -> bytes | None:
    held = detail.recording
    if held is None or held.purged_at is not None:
        return None
    return b"".join(store().read(held.tenant_id, held.sha256))

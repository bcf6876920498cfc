"""What a bundle says of one contact in words: who, when, what, by which rule, how it is known."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlmodel import Session, select

from rules import Pack, resolve_parameters
from service.errors import NotFoundError
from service.evidence.report_rules import articles_of, local
from service.keeping.holds import holds_on
from service.models import Agency, FindingRow, Tenant, VerdictRow
from service.parameters import in_force, list_settings
from service.people.reviews_standing import standing
from service.read import InteractionDetail, get_transcript, list_verdicts


def build_document(
    session: Session, pack: Pack, found: InteractionDetail, *, now: datetime
) -> dict[str, Any]:
    """Gather the document of one contact; the PDF says nothing that is not in it."""
    row = found.row
    verdicts = list_verdicts(session, row.id)
    agency = session.exec(select(Agency).where(Agency.id == row.agency_id)).one()
    tenant = session.exec(select(Tenant).where(Tenant.id == row.tenant_id)).one()
    setting = in_force(list_settings(session), row.started_at)
    findings = [one for _, some in verdicts for one in some]
    broken = {one.rule for one in findings}
    data = found.event.body.get("data", {})
    return {
        "schema": "hegui.interaction/1",
        "made_at": now.astimezone(UTC).isoformat(timespec="seconds"),
        "tenant": {"id": str(tenant.id), "name": tenant.name},
        "agency": {"id": str(agency.id), "name": agency.name},
        "interaction": {
            "id": str(row.id),
            "interaction_id": row.interaction_id,
            "case_id": row.case_id,
            "channel": row.channel,
            "direction": row.direction,
            "started_at": local(row.started_at),
            "received_at": local(row.received_at),
            "state": row.state,
            "outcome": row.outcome,
            "collector_id": (data.get("collector") or {}).get("id"),
            "party_role": (data.get("party") or {}).get("role"),
            "flags": list(found.flags),
        },
        "verdicts": _verdicts(session, verdicts),
        "rules": [
            {
                "id": rule.id,
                "title_zh": rule.title.zh,
                "title_en": rule.title.en,
                "severity": rule.severity.value,
                "articles": list(rule.articles),
                "basis": rule.basis,
            }
            for rule in pack.rules
            if rule.id in broken
        ],
        "articles": articles_of(pack, {name for one in findings for name in one.doc["articles"]}),
        "pack": {"name": pack.name, "digest": pack.digest},
        "parameters": {
            "revision": setting.revision,
            "values": {
                rule: dict(values)
                for rule, values in resolve_parameters(pack, setting.values).items()
                if rule in broken
            },
        },
        "recording": _recording(session, found),
        "transcript": _transcript(session, row.id),
    }


def _verdicts(
    session: Session, verdicts: Sequence[tuple[VerdictRow, Sequence[FindingRow]]]
) -> list[dict[str, Any]]:
    stands = standing(session, [one.id for _, some in verdicts for one in some])
    return [
        {
            "id": str(verdict.id),
            "revision": verdict.revision,
            "is_current": verdict.is_current,
            "outcome": verdict.outcome,
            "reasons": verdict.reasons,
            "pack_digest": verdict.pack_digest,
            "findings_digest": verdict.findings_digest,
            "parameters_revision": verdict.parameters_revision,
            "evaluated_at": local(verdict.evaluated_at),
            "findings": [
                {
                    **finding.doc,
                    "rule": finding.rule,
                    "severity": finding.severity,
                    "disposition": finding.disposition,
                    "review": stands[finding.id].state if finding.id in stands else None,
                    "dispute": stands[finding.id].dispute_state if finding.id in stands else None,
                }
                for finding in findings
            ],
        }
        for verdict, findings in verdicts
    ]


def _recording(session: Session, found: InteractionDetail) -> dict[str, Any] | None:
    held = found.recording
    if held is None:
        return None
    return {
        "sha256": held.sha256,
        "size_bytes": held.size_bytes,
        "received_at": local(held.received_at),
        "retain_until": local(held.retain_until),
        "holds": len(holds_on(session, sha256=held.sha256)),
    }


def _transcript(session: Session, interaction_id: UUID) -> dict[str, Any] | None:
    try:
        heard, segments = get_transcript(session, interaction_id)
    except NotFoundError:
        return None
    names = ("speaker", "start", "end", "text", "trusted")
    return {
        "engine": heard.engine if heard else None,
        "model_digest": heard.model_digest if heard else None,
        "segments": [{name: one.get(name) for name in names} for one in segments],
    }

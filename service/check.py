"""The database halves of a check: a case's whole ledger in, revisions, findings and alerts out."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlmodel import Session, col, select

from rules.events import EVENT
from rules.history import AnyEvent, Key, build_histories
from rules.model import Audio, CaseHistory, Disposition, Finding, Outcome, Verdict
from rules.retention import add_years, floor_years
from service.audit import add_entry
from service.jobs import Job, enqueue
from service.models import (
    AlertRow,
    CollectionCase,
    Endpoint,
    EventRow,
    FindingRow,
    InteractionRow,
    InteractionState,
    RecordingRow,
    TranscriptRow,
    VerdictRow,
)
from service.work import LEASE, MAX_TRIES, LostLeaseError, backoff, free, is_free

# Their evidence is still on its way: they keep their place in the history and get no verdict yet.
OPEN = frozenset(
    {InteractionState.WAITING, InteractionState.FETCHING, InteractionState.TRANSCRIBING}
)
# From these an interaction becomes `checked`; `missing` and `undecodable` stay, as facts.
READY = (InteractionState.ACCEPTED, InteractionState.TRANSCRIBED, InteractionState.CHECKED)


@dataclass(frozen=True, slots=True)
class Held:
    """An interaction as it stood when its case was loaded."""

    id: UUID
    agency_id: UUID
    interaction_id: str
    event_id: UUID
    started_at: datetime
    is_open: bool


@dataclass(frozen=True, slots=True)
class CaseWork:
    """One claimed check; `attempt` is the fence, `wanted` what this check will have covered."""

    tenant_id: UUID
    id: UUID
    case_id: str
    wanted: int
    attempt: int
    history: CaseHistory
    held: Mapping[Key, Held]


def load_case(
    session: Session, *, tenant_id: UUID, case_uuid: UUID, now: datetime
) -> CaseWork | None:
    """Claim a case that is behind and read everything known of it; None where nothing is to do.

    A case whose checks have died too often is set aside: its unchecked contacts become `error`.
    """
    found = session.exec(
        select(CollectionCase).where(col(CollectionCase.id) == case_uuid)
    ).one_or_none()
    if found is None or found.checked >= found.wanted or not is_free(found.lease_until, now):
        return None
    if found.tries >= MAX_TRIES:
        _set_aside(session, found, now=now)
        return None
    case = _claim(session, case_uuid, now=now)
    if case is None:
        return None
    rows = _interactions(session, case.case_id)
    transcripts = _transcripts(session, rows)
    events = _events(session, case.case_id, rows, transcripts)
    history = build_histories(events).get(case.case_id, CaseHistory(case.case_id))
    kept = _extend_retention(session, history, rows)
    return CaseWork(
        tenant_id=tenant_id,
        id=case.id,
        case_id=case.case_id,
        wanted=case.wanted,
        attempt=case.attempt,
        history=_with_audio(history, rows, transcripts, kept),
        held={key: _held(row) for key, row in rows.items()},
    )


def release_case(session: Session, work: CaseWork, *, now: datetime) -> None:
    """Let a check that failed rest for a while; the reconcile step starts it again."""
    case = _locked(session, work.id)
    if case.attempt == work.attempt:
        case.lease_until = now + backoff(case.tries)


def store_verdicts(
    session: Session, work: CaseWork, verdicts: Sequence[Verdict], *, base_url: str, now: datetime
) -> int:
    """Write each verdict that differs from the one before it, and its alerts; gives their number.

    Raises `LostLeaseError`, and so writes nothing, where another check has claimed the case since.
    """
    case = _locked(session, work.id)
    if case.attempt != work.attempt:
        raise LostLeaseError
    case.checked, case.tries, case.lease_until = work.wanted, 0, None
    session.flush()
    if case.wanted > work.wanted:
        enqueue(session, Job.CHECK, tenant_id=work.tenant_id, subject_id=work.id)
    current = _current_verdicts(session, [held.id for held in work.held.values()])
    endpoints = session.exec(select(Endpoint).where(col(Endpoint.active))).all()
    written = 0
    for verdict in verdicts:
        held = work.held[(verdict.agency_id or "", verdict.interaction_id)]
        if held.is_open or not _enter_checked(session, held):
            continue
        before = current.get(held.id)
        if before is None or _differs(before, verdict):
            written += 1
            _store_revision(session, work, held, verdict, before, endpoints, base_url, now)
    return written


def findings_digest(findings: Iterable[Finding]) -> str:
    """SHA-256 of the findings' public documents in a canonical form."""
    text = json.dumps(
        [finding.as_dict() for finding in findings],
        ensure_ascii=False,
        sort_keys=True,
        separators=(",", ":"),
        default=str,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _claim(session: Session, case_uuid: UUID, *, now: datetime) -> CollectionCase | None:
    return session.scalars(
        update(CollectionCase)
        .where(
            col(CollectionCase.id) == case_uuid,
            col(CollectionCase.checked) < col(CollectionCase.wanted),
            free(CollectionCase.lease_until, now),
        )
        .values(
            attempt=col(CollectionCase.attempt) + 1,
            tries=col(CollectionCase.tries) + 1,
            lease_until=now + LEASE,
        )
        .returning(CollectionCase)
        .execution_options(populate_existing=True)
    ).one_or_none()


def _locked(session: Session, case_uuid: UUID) -> CollectionCase:
    return session.exec(
        select(CollectionCase).where(col(CollectionCase.id) == case_uuid).with_for_update()
    ).one()


def _interactions(session: Session, case_id: str) -> dict[Key, InteractionRow]:
    rows = session.exec(select(InteractionRow).where(col(InteractionRow.case_id) == case_id))
    return {(str(row.agency_id), row.interaction_id): row for row in rows}


def _transcripts(session: Session, rows: Mapping[Key, InteractionRow]) -> dict[UUID, TranscriptRow]:
    """The transcripts that belong to the interactions' present recordings, by interaction."""
    wanted = {row.id: row.recording_sha256 for row in rows.values() if row.to_hear}
    found = session.exec(select(TranscriptRow).where(col(TranscriptRow.interaction_id).in_(wanted)))
    return {
        row.interaction_id: row
        for row in found
        if row.recording_sha256 == wanted[row.interaction_id]
    }


def _events(
    session: Session,
    case_id: str,
    rows: Mapping[Key, InteractionRow],
    transcripts: Mapping[UUID, TranscriptRow],
) -> list[AnyEvent]:
    """Every event of the case, each contact with its agency and with what was heard of it."""
    events: list[AnyEvent] = []
    for event in session.exec(select(EventRow).where(col(EventRow.case_id) == case_id)):
        body = event.body
        if event.interaction_id is not None:
            key = (str(event.agency_id), event.interaction_id)
            data = {**body["data"], "agency_id": key[0]}
            heard = transcripts.get(rows[key].id)
            # Only the version of a contact that announced these very bytes has these words.
            if heard is not None and data.get("transcript") is None:
                announced = (data.get("recording") or {}).get("sha256")
                if announced == heard.recording_sha256:
                    data["transcript"] = heard.segments
            body = {**body, "data": data}
        events.append(EVENT.validate_python(body))
    return events


def _extend_retention(
    session: Session, history: CaseHistory, rows: Mapping[Key, InteractionRow]
) -> dict[str, datetime]:
    """Raise each recording's `retain_until` to its floor; gives the dates by hash."""
    hashes = {row.recording_sha256 for row in rows.values() if row.recording_sha256}
    if not hashes:
        return {}
    found = session.exec(select(RecordingRow).where(col(RecordingRow.sha256).in_(hashes)))
    recordings = {row.sha256: row for row in found}
    cases = [version.case for version in history.versions]
    years = max(
        (floor_years(case.product, case.lender_type) for case in cases),
        default=floor_years(None, None),
    )
    for contact in history.contacts:
        recording = recordings.get(rows[contact.key].recording_sha256 or "")
        if recording is not None:
            floor = add_years(contact.interaction.started_at, years)
            recording.retain_until = max(recording.retain_until, floor)
    session.flush()
    return {row.sha256: row.retain_until for row in recordings.values()}


def _with_audio(
    history: CaseHistory,
    rows: Mapping[Key, InteractionRow],
    transcripts: Mapping[UUID, TranscriptRow],
    kept: Mapping[str, datetime],
) -> CaseHistory:
    contacts = []
    for contact in history.contacts:
        row = rows[contact.key]
        audio = replace(
            _audio(row, transcripts.get(row.id), contact.audio),
            retain_until=kept.get(row.recording_sha256 or ""),
        )
        contacts.append(replace(contact, audio=audio))
    return replace(history, contacts=tuple(contacts))


def _audio(row: InteractionRow, heard: TranscriptRow | None, said: Audio) -> Audio:
    if heard is not None:
        return Audio(
            state="transcribed",
            decoded_seconds=heard.decoded_seconds,
            untrusted_share=heard.untrusted_share,
        )
    if row.state == InteractionState.UNDECODABLE.value:
        return Audio(state="failed", reason=row.reason)
    if row.state == InteractionState.MISSING.value:
        return Audio(state="missing", reason=row.reason)
    return said


def _held(row: InteractionRow) -> Held:
    return Held(
        id=row.id,
        agency_id=row.agency_id,
        interaction_id=row.interaction_id,
        event_id=row.event_id,
        started_at=row.started_at,
        is_open=row.state in {state.value for state in OPEN},
    )


def _current_verdicts(session: Session, ids: Sequence[UUID]) -> dict[UUID, VerdictRow]:
    found = session.exec(
        select(VerdictRow).where(
            col(VerdictRow.is_current), col(VerdictRow.interaction_id).in_(ids)
        )
    )
    return {row.interaction_id: row for row in found}


def _enter_checked(session: Session, held: Held) -> bool:
    """Mark a contact as checked unless a newer event has changed it; its own check follows then."""
    row = session.exec(
        select(InteractionRow)
        .where(col(InteractionRow.id) == held.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    if row.event_id != held.event_id or row.state in {state.value for state in OPEN}:
        return False
    if row.state in {state.value for state in READY}:
        row.state = InteractionState.CHECKED.value
    return True


def _differs(before: VerdictRow, verdict: Verdict) -> bool:
    return (before.outcome, before.findings_digest, before.pack_digest) != (
        verdict.outcome.value,
        findings_digest(verdict.findings),
        verdict.pack_digest,
    )


def _store_revision(
    session: Session,
    work: CaseWork,
    held: Held,
    verdict: Verdict,
    before: VerdictRow | None,
    endpoints: Sequence[Endpoint],
    base_url: str,
    now: datetime,
) -> None:
    known = _violations_of(session, before)
    row = _add_verdict(session, work.tenant_id, held.id, verdict, before, now=now)
    for position, finding in enumerate(verdict.findings):
        session.add(
            FindingRow(
                tenant_id=work.tenant_id,
                verdict_id=row.id,
                interaction_id=held.id,
                agency_id=held.agency_id,
                position=position,
                rule=finding.rule,
                severity=finding.severity.value,
                disposition=finding.disposition.value,
                doc=finding.as_dict(),
                started_at=held.started_at,
            )
        )
    fresh = [
        finding
        for finding in verdict.findings
        if finding.disposition is Disposition.VIOLATION
        and (finding.rule, finding.segment) not in known
    ]
    if fresh:
        payload = _payload(work, held, row, fresh, base_url)
        for endpoint in endpoints:
            _add_alert(session, endpoint, row, payload, now=now)


def _violations_of(session: Session, before: VerdictRow | None) -> set[tuple[str, int | None]]:
    """The violations of the revision before, each by rule and place."""
    if before is None:
        return set()
    found = session.exec(
        select(FindingRow)
        .where(col(FindingRow.verdict_id) == before.id)
        .where(col(FindingRow.disposition) == Disposition.VIOLATION.value)
    )
    return {(row.rule, row.doc.get("segment")) for row in found}


def _add_verdict(
    session: Session,
    tenant_id: UUID,
    interaction_id: UUID,
    verdict: Verdict,
    before: VerdictRow | None,
    *,
    now: datetime,
) -> VerdictRow:
    """Retire the revision before, add the next one, and point the interaction to it."""
    if before is not None:
        before.is_current = False
        session.flush()
    row = VerdictRow(
        tenant_id=tenant_id,
        interaction_id=interaction_id,
        revision=before.revision + 1 if before else 1,
        outcome=verdict.outcome.value,
        reasons=list(verdict.reasons),
        pack=verdict.pack,
        pack_digest=verdict.pack_digest,
        findings_digest=findings_digest(verdict.findings),
        evaluated_at=now,
    )
    session.add(row)
    session.flush()
    session.exec(
        update(InteractionRow)
        .where(col(InteractionRow.id) == interaction_id)
        .values(outcome=row.outcome, verdict_id=row.id)
    )
    add_entry(
        session,
        tenant_id=tenant_id,
        actor="check",
        action="interaction_checked",
        subject_id=str(interaction_id),
        details={
            "verdict_id": str(row.id),
            "revision": row.revision,
            "outcome": row.outcome,
            "pack_digest": row.pack_digest,
            "findings_digest": row.findings_digest,
        },
    )
    return row


def _payload(
    work: CaseWork, held: Held, row: VerdictRow, findings: Sequence[Finding], base_url: str
) -> dict[str, Any]:
    """What an alert says: ids, rules, severities and a link; nothing said, nobody named."""
    worst = max(findings, key=lambda finding: finding.severity.rank).severity
    rules = sorted({(finding.rule, finding.severity.value) for finding in findings})
    return {
        "type": "interaction.failed",
        "timestamp": row.evaluated_at.isoformat(),
        "data": {
            "id": str(held.id),
            "interaction_id": held.interaction_id,
            "case_id": work.case_id,
            "agency_id": str(held.agency_id),
            "verdict_id": str(row.id),
            "revision": row.revision,
            "outcome": row.outcome,
            "severity": worst.value,
            "findings": [{"rule": rule, "severity": severity} for rule, severity in rules],
            "link": f"{base_url.rstrip('/')}/v1/interactions/{held.id}",
        },
    }


def _add_alert(
    session: Session,
    endpoint: Endpoint,
    row: VerdictRow,
    payload: dict[str, Any],
    *,
    now: datetime,
) -> None:
    alert = AlertRow(
        tenant_id=endpoint.tenant_id,
        endpoint_id=endpoint.id,
        interaction_id=row.interaction_id,
        verdict_id=row.id,
        message_id="",
        payload=payload,
        next_at=now,
        created_at=now,
    )
    alert.message_id = f"alert_{alert.id.hex}"
    session.add(alert)
    session.flush()
    enqueue(session, Job.ALERT, tenant_id=alert.tenant_id, subject_id=alert.id)


def _set_aside(session: Session, case: CollectionCase, *, now: datetime) -> None:
    """Stop checking a case that keeps ending its worker; what it lacks is shown as `error`.

    Verdicts it has already stay: one bad event must not take away what was found before it.
    """
    locked = _locked(session, case.id)
    if locked.attempt != case.attempt or locked.checked >= locked.wanted:
        return
    reason = f"set_aside: its check was cut short {MAX_TRIES} times"
    locked.checked, locked.tries, locked.lease_until = locked.wanted, 0, None
    locked.attempt += 1
    session.flush()
    for row in _interactions(session, case.case_id).values():
        if row.verdict_id is not None or row.state in {state.value for state in OPEN}:
            continue
        verdict = Verdict(
            interaction_id=row.interaction_id,
            agency_id=str(row.agency_id),
            outcome=Outcome.ERROR,
            findings=(),
            reasons=(reason,),
        )
        _add_verdict(session, case.tenant_id, row.id, verdict, None, now=now)
    add_entry(
        session,
        tenant_id=case.tenant_id,
        actor="check",
        action="case_set_aside",
        subject_id=str(case.id),
        details={"reason": reason},
    )

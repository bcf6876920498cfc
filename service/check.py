"""The database halves of a check: a case's whole ledger in, revisions, findings and alerts out."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import update
from sqlmodel import Session, col, select

from rules.history import Key
from rules.model import CaseHistory, Disposition, Finding, Outcome, Verdict
from service.alerts.routing import Contact, active_endpoints, add_alerts, count_findings, route
from service.audit import add_entry
from service.history import list_interactions, read_history
from service.jobs import Job, enqueue
from service.models import (
    CollectionCase,
    Endpoint,
    FindingRow,
    InteractionRow,
    InteractionState,
    VerdictRow,
)
from service.parameters import DEFAULTS, Setting, in_force, list_settings
from service.people import watch
from service.work import LEASE, MAX_TRIES, LostLeaseError, backoff, is_free

# Their evidence is still on its way: they keep their place in the history and get no verdict yet.
OPEN = frozenset(
    {InteractionState.WAITING, InteractionState.FETCHING, InteractionState.TRANSCRIBING}
)
# From these an interaction becomes `checked`; `missing` and `undecodable` stay, as facts.
READY = (InteractionState.ACCEPTED, InteractionState.TRANSCRIBED)


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
    settings: tuple[Setting, ...] = (DEFAULTS,)
    watched: tuple[watch.Period, ...] = ()


def load_case(
    session: Session, *, tenant_id: UUID, case_uuid: UUID, now: datetime
) -> CaseWork | None:
    """Claim a case that is behind and read everything known of it; None where nothing is to do.

    A case whose checks have died too often is set aside: its unchecked contacts become `error`.
    The case is locked before it is looked at: an event that is being stored at this moment may
    have found this very job waiting, and so have added none of its own.
    """
    case = _found_locked(session, case_uuid)
    if case is None or case.checked >= case.wanted or not is_free(case.lease_until, now):
        return None
    if case.tries >= MAX_TRIES:
        _set_aside(session, case, now=now)
        return None
    case.attempt, case.tries, case.lease_until = case.attempt + 1, case.tries + 1, now + LEASE
    session.flush()
    rows = list_interactions(session, case.case_id)
    return CaseWork(
        tenant_id=tenant_id,
        id=case.id,
        case_id=case.case_id,
        wanted=case.wanted,
        attempt=case.attempt,
        history=read_history(session, case.case_id, rows),
        held={key: _held(row) for key, row in rows.items()},
        settings=list_settings(session),
        watched=watch.list_periods(session),
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
    endpoints = active_endpoints(session)
    entered = _enter_checked(session, [held for held in work.held.values() if not held.is_open])
    written = 0
    for found in verdicts:
        held = work.held[(found.agency_id or "", found.interaction_id)]
        if held.id not in entered:
            continue
        verdict = watch.apply(found, watch.under_watch(work.watched, held.started_at))
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


def _found_locked(session: Session, case_uuid: UUID) -> CollectionCase | None:
    return session.exec(
        select(CollectionCase)
        .where(col(CollectionCase.id) == case_uuid)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()


def _locked(session: Session, case_uuid: UUID) -> CollectionCase:
    case = _found_locked(session, case_uuid)
    assert case is not None
    return case


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


def _enter_checked(session: Session, held: Sequence[Held]) -> set[UUID]:
    """Mark contacts as checked and give their ids.

    Those that changed since they were loaded are left out: what changed them has raised the case
    and so asked for a check of its own.
    """
    loaded = {each.id: each.event_id for each in held}
    rows = session.exec(
        select(InteractionRow.id, InteractionRow.event_id, InteractionRow.state)
        .where(col(InteractionRow.id).in_(loaded))
        .order_by(col(InteractionRow.id))
        .with_for_update()
    ).all()
    open_states = {state.value for state in OPEN}
    unchanged = {
        id_: state
        for id_, event_id, state in rows
        if event_id == loaded[id_] and state not in open_states
    }
    ready = {state.value for state in READY}
    session.exec(
        update(InteractionRow)
        .where(
            col(InteractionRow.id).in_([id_ for id_, state in unchanged.items() if state in ready])
        )
        .values(state=InteractionState.CHECKED.value)
    )
    return set(unchanged)


def _differs(before: VerdictRow, verdict: Verdict) -> bool:
    return (
        before.outcome,
        before.reasons,
        before.untrusted_share,
        before.findings_digest,
        before.pack_digest,
    ) != (
        verdict.outcome.value,
        list(verdict.reasons),
        verdict.untrusted_share,
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
    known = _known_of(session, before)
    row = _add_verdict(
        session,
        work.tenant_id,
        held.id,
        verdict,
        before,
        parameters_revision=in_force(work.settings, held.started_at).revision,
        now=now,
    )
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
    fresh = count_findings(
        (finding.rule, finding.severity, finding.disposition)
        for finding in verdict.findings
        if not known
        & {
            (finding.rule, finding.segment, disposition)
            for disposition in (finding.disposition, Disposition.VIOLATION)
        }
    )
    if fresh:
        contact = Contact(
            tenant_id=work.tenant_id,
            id=held.id,
            interaction_id=held.interaction_id,
            case_id=work.case_id,
            agency_id=held.agency_id,
            verdict_id=row.id,
            revision=row.revision,
            outcome=row.outcome,
            evaluated_at=row.evaluated_at,
        )
        chosen = route(endpoints, held.agency_id, fresh)
        add_alerts(session, contact, chosen, endpoints, base_url=base_url, now=now)


def _known_of(session: Session, before: VerdictRow | None) -> set[tuple[str, int | None, str]]:
    """The findings of the revision before, each by rule, place and disposition."""
    if before is None:
        return set()
    found = session.exec(select(FindingRow).where(col(FindingRow.verdict_id) == before.id))
    return {(row.rule, row.doc.get("segment"), row.disposition) for row in found}


def _add_verdict(
    session: Session,
    tenant_id: UUID,
    interaction_id: UUID,
    verdict: Verdict,
    before: VerdictRow | None,
    *,
    parameters_revision: int = 0,
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
        parameters_revision=parameters_revision,
        untrusted_share=verdict.untrusted_share,
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


def _set_aside(session: Session, case: CollectionCase, *, now: datetime) -> None:
    """Stop checking a case that keeps ending its worker; what it lacks is shown as `error`.

    Verdicts it has already stay: one bad event must not take away what was found before it.
    """
    reason = f"set_aside: its check was cut short {MAX_TRIES} times"
    case.checked, case.tries, case.lease_until = case.wanted, 0, None
    case.attempt += 1
    session.flush()
    for row in list_interactions(session, case.case_id).values():
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

"""A person's rights over what is held of them: find it, show it, hand it over, correct, erase.

What the Personal Information Protection Law asks for in articles 44 to 47; each act leaves an
audit entry and a receipt whose digest the entry holds.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
import phonenumbers
from sqlalchemy import text
from sqlmodel import Session, col, select

from service import ingest
from service.audit import add_entry
from service.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from service.history import list_interactions
from service.keeping.holds import holds_on_case
from service.keeping.retention import case_facts, retain_until
from service.keeping.retention_models import RecordingUse
from service.models import (
    EventRow,
    FindingRow,
    HoldRow,
    InteractionRow,
    RecordingRow,
    TranscriptRow,
    VerdictRow,
)
from service.parameters import list_settings
from service.people.models import DisputeFile, DisputeRow, DisputeState
from service.privacy import sealing
from service.privacy.models import Erasure, PersonPhone
from service.privacy.sealed_words import segments_of

EXPORT, ACCESS = "hegui.subject-export/1", "hegui.subject-access/1"
CORRECTION, ERASURE = "hegui.subject-correction/1", "hegui.subject-erasure/1"
DEBTOR = "debtor"
_ERASE = text("select hegui_erase_case(:case)")
_CORRECTABLE = frozenset({"debtor", "contacts", "guarantors", "balance", "overdue_since"})
_MOST_BLOCKERS = 200


@dataclass(frozen=True, slots=True)
class Subject:
    """A person as asked for: by a number (E.164), by a case, or by both."""

    phone: str | None = None
    case_id: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A case that a person stands in; `roles` say as whom."""

    case_id: str
    roles: frozenset[str]

    @property
    def is_debtor(self) -> bool:
        """Whether the case is the person's own; of others only what reached them is theirs."""
        return DEBTOR in self.roles


@dataclass(frozen=True, slots=True)
class Blocker:
    """Something that keeps personal data from being erased: what, until when, and why."""

    what: str
    id: str
    until: datetime | None
    why: str


class ErasureRefusedError(ConflictError):
    """A law, or a hold, keeps what was to be erased; `extra` names what and until when."""

    code = "erasure_refused"
    title = "It must still be kept"

    def __init__(self, blockers: Sequence[Blocker]) -> None:
        latest = max((each.until for each in blockers if each.until), default=None)
        super().__init__(
            f"{len(blockers)} records must be kept"
            + (f", the last until {_told(latest)}." if latest else "; a hold has no end.")
            + " Until then they may only be stored.",
            extra={
                "kept": [
                    {"what": b.what, "id": b.id, "until": _told(b.until), "why": b.why}
                    for b in blockers[:_MOST_BLOCKERS]
                ]
            },
        )
        self.blockers = tuple(blockers)


def read_phone(given: str) -> str:
    """Read a number in any usual form as E.164, mainland where no country is said.

    Raises `InvalidInputError`.
    """
    try:
        number = phonenumbers.parse(given, "CN")
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        problem = FieldProblem("phone", "must be a telephone number, best in E.164: +86…")
        raise InvalidInputError("This is no telephone number.", errors=(problem,))
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def find_cases(session: Session, tenant_id: UUID, subject: Subject) -> list[Standing]:
    """The cases that the person stands in; raises `NotFoundError` where there is none."""
    if subject.phone is None and subject.case_id is None:
        problem = FieldProblem("phone", "name a number or a case")
        raise InvalidInputError("Nobody is named.", errors=(problem,))
    query = select(PersonPhone.case_id, PersonPhone.role)
    if subject.phone is not None:
        digest = sealing.phone_digest(tenant_id, subject.phone)
        query = query.where(col(PersonPhone.digest) == digest)
    if subject.case_id is not None:
        query = query.where(col(PersonPhone.case_id) == subject.case_id)
    roles: dict[str, set[str]] = {}
    for case_id, role in session.exec(query):
        roles.setdefault(case_id, set()).add(role)
    if not roles and subject.phone is None:
        known = select(EventRow.id).where(
            col(EventRow.case_id) == subject.case_id, col(EventRow.erased_at).is_(None)
        )
        if session.exec(known.limit(1)).first() is not None:
            roles = {subject.case_id or "": {DEBTOR}}
    if not roles:
        raise NotFoundError("Nothing is held of this person.")
    if subject.phone is None:
        # Asked for by the case alone, the person is its debtor.
        return [Standing(case_id, frozenset({DEBTOR})) for case_id in sorted(roles)]
    return [Standing(case_id, frozenset(held)) for case_id, held in sorted(roles.items())]


def export_subject(
    session: Session, *, tenant_id: UUID, subject: Subject, by: str, now: datetime
) -> dict[str, Any]:
    """Everything that is held of the person, for handing over (articles 45)."""
    document = _gather(session, tenant_id, subject, now=now)
    _note(session, tenant_id, by, "subject_exported", document)
    return document


def access_subject(
    session: Session, *, tenant_id: UUID, subject: Subject, by: str, now: datetime
) -> dict[str, Any]:
    """What is held of the person, counted and dated, without the contents (article 45)."""
    whole = _gather(session, tenant_id, subject, now=now)
    document = {key: value for key, value in whole.items() if key not in {"cases", "digest"}}
    document["schema"] = ACCESS
    document["cases"] = [
        {
            "case_id": case["case_id"],
            "roles": case["roles"],
            "events": len(case["events"]),
            "contacts": len(case["contacts"]),
            "findings": sum(len(contact["findings"]) for contact in case["contacts"]),
            "transcripts": sum(contact["transcript"] is not None for contact in case["contacts"]),
            "recordings": case["recordings"],
            "kept_until": case["kept_until"],
        }
        for case in whole["cases"]
    ]
    document["digest"] = digest_of(document)
    _note(session, tenant_id, by, "subject_accessed", document)
    return document


def correct_case(
    session: Session,
    *,
    tenant_id: UUID,
    case_id: str,
    fields: Mapping[str, Any],
    by: str,
    now: datetime,
) -> dict[str, Any]:
    """Add the event that puts a case right (article 46), `fields` in the place of what stood there.

    Gives the receipt, which names nobody. What was sent before stays as it came: a correction is
    the latest word, not another past.
    """
    wrong = sorted(set(fields) - _CORRECTABLE)
    if wrong or not fields:
        told = f"must be among {', '.join(sorted(_CORRECTABLE))}"
        problems = tuple(FieldProblem(name, told) for name in wrong or ["body"])
        raise InvalidInputError("This cannot be corrected.", errors=problems)
    latest = session.exec(
        select(EventRow)
        .where(
            col(EventRow.case_id) == case_id,
            col(EventRow.kind) == "case.upserted",
            col(EventRow.erased_at).is_(None),
        )
        .order_by(col(EventRow.occurred_at).desc(), col(EventRow.received_at).desc())
        .limit(1)
    ).first()
    if latest is None:
        raise NotFoundError("There is no such case.")
    held = sealing.open_event(latest)
    data = {**held["data"], **fields}
    if isinstance(fields.get("debtor"), Mapping):
        data["debtor"] = {**held["data"]["debtor"], **fields["debtor"]}
    moment = max(now, latest.occurred_at).astimezone(UTC)
    body = orjson.dumps({**held, "timestamp": moment.isoformat(), "data": data})
    entry = ingest.read_event(
        tenant_id=tenant_id,
        agency_id=latest.agency_id,
        message_id=f"correction_{uuid4().hex}",
        body=body,
    )
    accepted = ingest.settle(entry, ingest.store_events([entry])[0])
    named = sorted(fields)
    receipt = {
        "schema": CORRECTION,
        "made_at": _told(now),
        "case_id": case_id,
        "fields": named,
        "event": str(accepted.receipt),
        "event_sha256": entry.digest,
    }
    receipt["digest"] = digest_of(receipt)
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=by,
        action="subject_corrected",
        subject_id=case_id,
        details={"fields": named, "digest": receipt["digest"]},
    )
    return receipt


def erase_subject(
    session: Session, *, tenant_id: UUID, subject: Subject, by: str, now: datetime
) -> dict[str, Any]:
    """Erase what is held of a debtor (article 47) and give the receipt, which names nobody.

    Raises `ErasureRefusedError` where retention or a hold forbids it: then nothing is erased.
    """
    standings = find_cases(session, tenant_id, subject)
    own = [standing for standing in standings if standing.is_debtor]
    if not own:
        raise ConflictError(
            "This person owes nothing here: what reached them is part of another person's case. "
            "It is erased with that case.",
            code="not_the_debtor",
        )
    blockers = [each for case in own for each in blockers_of(session, case.case_id, now=now)]
    if blockers:
        raise ErasureRefusedError(blockers)
    erased = []
    for case in own:
        counts = session.connection().execute(_ERASE, {"case": case.case_id}).scalar_one()
        erased.append({"case_id": case.case_id, **counts})
    receipt: dict[str, Any] = {"schema": ERASURE, "made_at": _told(now), "erased": erased}
    receipt["digest"] = digest_of(receipt)
    for row in erased:
        counts = {key: value for key, value in row.items() if key != "case_id"}
        session.add(
            Erasure(
                tenant_id=tenant_id,
                case_id=row["case_id"],
                at=now,
                by=by,
                counts=counts,
                digest=receipt["digest"],
            )
        )
        add_entry(
            session,
            tenant_id=tenant_id,
            actor=by,
            action="subject_erased",
            subject_id=row["case_id"],
            details={**counts, "digest": receipt["digest"]},
        )
    return receipt


def blockers_of(session: Session, case_id: str, *, now: datetime) -> list[Blocker]:
    """What keeps a case from being erased now: contacts and recordings under retention, holds."""
    rows = list_interactions(session, case_id)
    facts = case_facts(session, {case_id}).get(case_id, ())
    policies = list_settings(session)
    found = []
    for row in rows.values():
        until = retain_until(row.started_at, facts, policies)
        if until > now:
            found.append(
                Blocker("contact", str(row.id), until, "retention of the contact's record")
            )
    used = session.exec(select(RecordingUse.sha256).where(col(RecordingUse.case_id) == case_id))
    found += _recordings_held(session, "recording", used.all(), now=now)
    found += _disputes(session, [row.id for row in rows.values()], now=now)
    return found + [_hold(hold) for hold in holds_on_case(session, case_id)]


def _recordings_held(
    session: Session, what: str, names: Iterable[str], *, now: datetime
) -> list[Blocker]:
    """Those of some recordings whose bytes are still there."""
    found = []
    for row in session.exec(
        select(RecordingRow).where(
            col(RecordingRow.sha256).in_(set(names)), col(RecordingRow.purged_at).is_(None)
        )
    ):
        is_due = row.retain_until <= now
        why = "it is not purged yet: run a purge first" if is_due else f"retention of the {what}"
        end = None if is_due else row.retain_until
        found.append(Blocker(what.replace(" ", "_"), row.sha256, end, why))
    return found


def _disputes(session: Session, interactions: Sequence[UUID], *, now: datetime) -> list[Blocker]:
    """Disputes that nobody has judged yet, and files of disputes that are kept as recordings."""
    rows = session.exec(
        select(DisputeRow).where(col(DisputeRow.interaction_id).in_(interactions))
    ).all()
    found = [
        Blocker("dispute", str(row.id), row.decide_by, "it is not judged yet")
        for row in rows
        if row.state == DisputeState.OPEN.value
    ]
    files = session.exec(
        select(DisputeFile.sha256).where(col(DisputeFile.dispute_id).in_([row.id for row in rows]))
    ).all()
    return found + _recordings_held(session, "dispute file", files, now=now)


def _hold(row: HoldRow) -> Blocker:
    return Blocker("hold", str(row.id), None, "a legal hold")


def digest_of(document: Mapping[str, Any]) -> str:
    """SHA-256 of a receipt's document without its own digest, in a canonical form."""
    rest = {key: value for key, value in document.items() if key != "digest"}
    return hashlib.sha256(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _told(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else None


def _note(
    session: Session, tenant_id: UUID, by: str, action: str, document: Mapping[str, Any]
) -> None:
    """Write the act down: cases and a digest, never the person."""
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=by,
        action=action,
        details={
            "cases": [case["case_id"] for case in document["cases"]],
            "digest": document["digest"],
        },
    )


def _gather(
    session: Session, tenant_id: UUID, subject: Subject, *, now: datetime
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "schema": EXPORT,
        "made_at": _told(now),
        "purpose": {
            "zh": "核查催收行为是否合规，并依法留存证据",
            "en": "checking that collection is lawful, and keeping the evidence the law asks for",
        },
        "cases": [
            _case(session, standing, subject.phone)
            for standing in find_cases(session, tenant_id, subject)
        ],
    }
    document["digest"] = digest_of(document)
    return document


def _case(session: Session, standing: Standing, phone: str | None) -> dict[str, Any]:
    """What is held of one case; of somebody else's case only what concerns this number."""
    opened = [
        (row, sealing.open_event(row))
        for row in session.exec(
            select(EventRow)
            .where(col(EventRow.case_id) == standing.case_id, col(EventRow.erased_at).is_(None))
            .order_by(col(EventRow.occurred_at), col(EventRow.id))
        )
    ]
    if not standing.is_debtor:
        assert phone is not None
        opened = [(row, own) for row, event in opened if (own := _only(event, phone)) is not None]
    names = {(row.agency_id, row.interaction_id) for row, _ in opened if row.interaction_id}
    rows = [
        row
        for row in list_interactions(session, standing.case_id).values()
        if (row.agency_id, row.interaction_id) in names
    ]
    facts = case_facts(session, {standing.case_id}).get(standing.case_id, ())
    dates = [retain_until(row.started_at, facts, list_settings(session)) for row in rows]
    return {
        "case_id": standing.case_id,
        "roles": sorted(standing.roles),
        "events": [event for _, event in opened],
        "contacts": [_contact(session, row) for row in rows],
        "recordings": _recordings(session, [row.id for row in rows]),
        "kept_until": _told(max(dates, default=None)),
    }


def _only(event: dict[str, Any], phone: str) -> dict[str, Any] | None:
    """The part of an event that concerns a person who is not the debtor; None where none does."""
    data = event["data"]
    if event["type"] == "case.upserted":
        own = {
            name: [person for person in data.get(name) or () if person["phone"] == phone]
            for name in ("contacts", "guarantors")
        }
        kept = {name: persons for name, persons in own.items() if persons}
        return {**event, "data": {"case_id": data["case_id"], **kept}} if kept else None
    if event["type"] == "stop.requested":
        return event if data["phone"] == phone else None
    return event if data["party"].get("phone") == phone else None


def _contact(session: Session, row: InteractionRow) -> dict[str, Any]:
    verdict = session.exec(select(VerdictRow).where(VerdictRow.id == row.verdict_id)).first()
    findings = session.exec(
        select(FindingRow.doc)
        .where(col(FindingRow.verdict_id) == row.verdict_id)
        .order_by(col(FindingRow.position))
    ).all()
    heard = session.exec(
        select(TranscriptRow).where(col(TranscriptRow.interaction_id) == row.id)
    ).first()
    return {
        "id": str(row.id),
        "interaction_id": row.interaction_id,
        "agency_id": str(row.agency_id),
        "channel": row.channel,
        "direction": row.direction,
        "started_at": _told(row.started_at),
        "recording_sha256": row.recording_sha256,
        "outcome": verdict.outcome if verdict else None,
        "findings": list(findings),
        "transcript": segments_of(heard) if heard else None,
    }


def _recordings(session: Session, interactions: Sequence[UUID]) -> list[dict[str, Any]]:
    uses = select(RecordingUse.sha256).where(col(RecordingUse.interaction_id).in_(interactions))
    rows = session.exec(
        select(RecordingRow).where(col(RecordingRow.sha256).in_(uses)).order_by(RecordingRow.sha256)
    )
    return [
        {
            "sha256": row.sha256,
            "size_bytes": row.size_bytes,
            "received_at": _told(row.received_at),
            "retain_until": _told(row.retain_until),
            "purged_at": _told(row.purged_at),
        }
        for row in rows
    ]

"""Disputes: an agency objects to a finding within its window, somebody else judges, and finally."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from rules.model import Disposition
from service.audit import add_entry
from service.errors import ConflictError, NotFoundError
from service.jobs import Job, enqueue
from service.models import FindingRow, VerdictRow
from service.people import reviews
from service.people.disputes_calendar import end_of_working_days
from service.people.models import Decision, DisputeFile, DisputeRow, DisputeState, Reading
from service.people.reviews import MARK, Subject, Wish
from service.people.reviews_policy import get_policy
from service.privacy.sealed_fields import opened, opened_or_none, put_sealed
from service.read import Page, make_cursor, read_cursor

MAX_FILES = 10
MAX_FILE_MB = 20
MEDIA_TYPES = frozenset(
    {
        "application/pdf", "audio/mpeg", "audio/mp4", "audio/ogg", "audio/wav", "image/jpeg",
        "image/png", "text/plain",
    }
)  # fmt: skip
NOT_THERE = "There is no such dispute."


@dataclass(frozen=True, slots=True)
class DisputeFilters:
    """What a list of disputes is narrowed by; None leaves a field open."""

    state: str | None = None
    agency_id: UUID | None = None
    rule: str | None = None


def open_dispute(
    session: Session,
    finding_id: UUID,
    text: str,
    *,
    tenant_id: UUID,
    agency_id: UUID,
    by: str,
    now: datetime,
) -> tuple[DisputeRow, bool]:
    """Object to an own finding; gives the dispute, and whether it is new.

    Raises `NotFoundError` for another agency's finding, `ConflictError` with the code
    `finding_superseded`, `not_disputable`, `window_closed` or `disputed_before`.
    """
    subject = reviews.get_subject(session, finding_id)
    if subject.finding.agency_id != agency_id:
        raise NotFoundError("There is no such finding.")
    before = _of_mark(session, subject)
    if before is not None:
        if opened(before, "text") == text and before.opened_by == by:
            return before, False
        raise _disputed(before)
    if not reviews.is_current(session, subject):
        raise ConflictError(
            "A later revision of the verdict no longer has this finding.",
            code="finding_superseded",
        )
    if subject.finding.disposition == Disposition.SIGNAL.value:
        raise ConflictError("A signal accuses nobody.", code="not_disputable")
    policy = get_policy(session)[1]
    until = end_of_working_days(_seen_at(session, subject), policy.dispute_days)
    if now >= until:
        raise ConflictError(
            f"The {policy.dispute_days} working days for a dispute are over.",
            code="window_closed",
            extra={"window_until": until.isoformat()},
        )
    wanted = DisputeRow(
        tenant_id=tenant_id,
        interaction_id=subject.interaction.id,
        mark=subject.mark,
        finding_id=finding_id,
        agency_id=agency_id,
        rule=subject.finding.rule,
        severity=subject.finding.severity,
        text="",
        opened_by=by,
        opened_at=now,
        window_until=until,
        decide_by=end_of_working_days(now, policy.decide_days),
    )
    put_sealed(wanted, text=text)
    row = _add(session, wanted)
    enqueue(session, Job.LAPSE, tenant_id=tenant_id, subject_id=row.id, at=row.decide_by)
    _note(session, row, by, "dispute_opened")
    return row, True


def judge(
    session: Session,
    dispute_id: UUID,
    *,
    is_upheld: bool,
    reason: str,
    by: str,
    under: str | None = None,
    base_url: str,
    now: datetime,
) -> tuple[DisputeRow, bool]:
    """Judge a dispute, finally; gives it, and whether that is new. `by`, `under`: see `reviews`.

    Raises `ConflictError` with the code `judgement_final`, `dispute_lapsed` or `own_decision`.
    """
    row = get_dispute(session, dispute_id, lock=True)
    state = DisputeState.UPHELD if is_upheld else DisputeState.REJECTED
    if (row.state, opened_or_none(row, "reason"), row.decided_by) == (state.value, reason, by):
        return row, False
    _refuse_closed(row, now)
    subject = reviews.get_subject(session, row.finding_id)
    reviews.lock(session, subject.key, tenant_id=row.tenant_id)
    before = reviews.list_reviews(session, subject)
    if by in {each.decided_by for each in before}:
        raise ConflictError("Nobody judges a dispute of an own decision.", code="own_decision")
    wish = Wish(
        Decision.DISMISS if is_upheld else Decision.CONFIRM, reason, reading=Reading.JUDGEMENT
    )
    made = reviews.add_review(
        session, subject, wish, before, tenant_id=row.tenant_id, by=by, under=under, now=now
    )
    row.state, row.decided_by, row.decided_at = state.value, by, now
    put_sealed(row, reason=reason)
    session.flush()
    _note(session, row, under or by, "dispute_judged", **reviews.acted_for(by, under))
    reviews.recount(session, made, subject, base_url=base_url, now=now)
    return row, True


def withdraw(
    session: Session, dispute_id: UUID, *, agency_id: UUID, by: str, now: datetime
) -> DisputeRow:
    """Take a dispute back while it is open; again changes nothing."""
    row = get_dispute(session, dispute_id, agency_id=agency_id, lock=True)
    if row.state == DisputeState.WITHDRAWN.value:
        return row
    _refuse_closed(row, now)
    row.state, row.decided_at = DisputeState.WITHDRAWN.value, now
    session.flush()
    _note(session, row, by, "dispute_withdrawn")
    return row


def lapse(session: Session, dispute_id: UUID, *, tenant_id: UUID, now: datetime) -> bool:
    """Close a dispute that nobody judged in time; False where there is nothing to close yet.

    The finding then stands as it did, and the lender's record shows that it did not answer.
    """
    row = session.exec(
        select(DisputeRow).where(col(DisputeRow.id) == dispute_id).with_for_update()
    ).one_or_none()
    if row is None or row.state != DisputeState.OPEN.value:
        return False
    if now < row.decide_by:
        enqueue(session, Job.LAPSE, tenant_id=tenant_id, subject_id=dispute_id, at=row.decide_by)
        return False
    row.state, row.decided_at = DisputeState.LAPSED.value, now
    session.flush()
    _note(session, row, "lapse", "dispute_lapsed")
    return True


def get_dispute(
    session: Session, dispute_id: UUID, *, agency_id: UUID | None = None, lock: bool = False
) -> DisputeRow:
    """One dispute, with `agency_id` only that agency's; raises `NotFoundError`."""
    query = select(DisputeRow).where(col(DisputeRow.id) == dispute_id)
    row = session.exec(query.with_for_update() if lock else query).one_or_none()
    if row is None or (agency_id is not None and row.agency_id != agency_id):
        raise NotFoundError(NOT_THERE)
    return row


def list_disputes(
    session: Session, filters: DisputeFilters, *, cursor: str | None = None, limit: int = 50
) -> Page:
    """Disputes, newest first."""
    conditions = [
        getattr(DisputeRow, name) == value
        for name in ("state", "agency_id", "rule")
        if (value := getattr(filters, name)) is not None
    ]
    if cursor is not None:
        place = tuple_(col(DisputeRow.opened_at), col(DisputeRow.id))
        conditions.append(place < read_cursor(cursor))
    rows = session.exec(
        select(DisputeRow)
        .where(*conditions)
        .order_by(col(DisputeRow.opened_at).desc(), col(DisputeRow.id).desc())
        .limit(limit + 1)
    ).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(rows[:limit], make_cursor(last.opened_at, last.id) if last else None)


def list_files(session: Session, dispute_ids: Sequence[UUID]) -> dict[UUID, list[DisputeFile]]:
    """The files of disputes, in the order in which they came."""
    found: dict[UUID, list[DisputeFile]] = {id_: [] for id_ in dispute_ids}
    rows = session.exec(
        select(DisputeFile)
        .where(col(DisputeFile.dispute_id).in_(dispute_ids))
        .order_by(col(DisputeFile.added_at), col(DisputeFile.sha256))
    )
    for row in rows:
        found[row.dispute_id].append(row)
    return found


def refuse_file(session: Session, dispute_id: UUID, *, agency_id: UUID, now: datetime) -> None:
    """Raise where a dispute takes no more files; asked before the bytes are stored, and after."""
    row = get_dispute(session, dispute_id, agency_id=agency_id, lock=True)
    _refuse_closed(row, now)
    if len(list_files(session, [dispute_id])[dispute_id]) >= MAX_FILES:
        raise ConflictError(f"A dispute has up to {MAX_FILES} files.", code="too_many_files")


def add_file(session: Session, file: DisputeFile, *, now: datetime) -> bool:
    """Note a file whose bytes are in the store; False where it was there before."""
    held = {row.sha256 for row in list_files(session, [file.dispute_id])[file.dispute_id]}
    if file.sha256 in held:
        return False
    refuse_file(session, file.dispute_id, agency_id=file.agency_id, now=now)
    session.add(file)
    add_entry(
        session,
        tenant_id=file.tenant_id,
        actor=file.added_by,
        action="dispute_file_added",
        subject_id=str(file.dispute_id),
        details={"sha256": file.sha256, "size_bytes": file.size_bytes},
    )
    session.flush()
    return True


def _refuse_closed(row: DisputeRow, now: datetime) -> None:
    if row.state in reviews.FINAL:
        raise ConflictError("The judgement of a dispute is final.", code="judgement_final")
    if row.state != DisputeState.OPEN.value or now >= row.decide_by:
        is_withdrawn = row.state == DisputeState.WITHDRAWN.value
        word = "withdrawn" if is_withdrawn else "lapsed"
        raise ConflictError(f"The dispute is {word}.", code=f"dispute_{word}")


def _seen_at(session: Session, subject: Subject) -> datetime:
    """When the finding was first there to be seen: revisions do not open the window again."""
    first: datetime = session.exec(
        select(func.min(VerdictRow.evaluated_at))
        .join(FindingRow, col(FindingRow.verdict_id) == col(VerdictRow.id))
        .where(col(FindingRow.interaction_id) == subject.interaction.id, subject.mark == MARK)
    ).one()
    return first


def _of_mark(session: Session, subject: Subject) -> DisputeRow | None:
    return session.exec(
        select(DisputeRow).where(
            col(DisputeRow.interaction_id) == subject.interaction.id,
            col(DisputeRow.mark) == subject.mark,
        )
    ).one_or_none()


def _disputed(row: DisputeRow) -> ConflictError:
    return ConflictError(
        "This finding was disputed before; a finding is disputed once.",
        code="disputed_before",
        extra={"dispute": str(row.id)},
    )


def _add(session: Session, row: DisputeRow) -> DisputeRow:
    """Add a dispute; raises `ConflictError` where another was added at the same moment."""
    made = session.exec(
        insert(DisputeRow)
        .values(**row.model_dump())
        .on_conflict_do_nothing()
        .returning(col(DisputeRow.id))
    ).scalar_one_or_none()
    if made is None:
        raise ConflictError("This finding was disputed before.", code="disputed_before")
    return get_dispute(session, made)


def _note(session: Session, row: DisputeRow, by: str, action: str, **more: str) -> None:
    add_entry(
        session,
        tenant_id=row.tenant_id,
        actor=by,
        action=action,
        subject_id=str(row.id),
        details={
            "finding_id": str(row.finding_id),
            "interaction": str(row.interaction_id),
            "agency_id": str(row.agency_id),
            "rule": row.rule,
            "state": row.state,
            **more,
        },
    )

"""Samples for review: drawn by a recorded seed, passed contacts too, so that misses are counted."""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from rules.model import Outcome
from service.audit import add_entry
from service.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from service.models import InteractionRow
from service.people import reviews
from service.people.agreement import Share, weighted_share
from service.people.models import DrawMethod, Reading, ReadingRow, SampleItem, SampleRow
from service.people.reviews_policy import get_policy
from service.privacy.sealed_fields import opened, put_sealed
from service.read import Page, get_agency, make_cursor, read_cursor

MAX_SIZE = 5000
MAX_FRAME = 1_000_000
# How much likelier a contact is drawn by risk than one that passed.
RISK = {
    Outcome.PASS.value: 1.0,
    Outcome.FAIL.value: 2.0,
    Outcome.REVIEW.value: 4.0,
    Outcome.INCONCLUSIVE.value: 4.0,
}


@dataclass(frozen=True, slots=True)
class SampleWish:
    """What to draw: `size` contacts that started in [since, to), a share of them to read twice."""

    method: DrawMethod
    since: datetime
    to: datetime
    size: int
    second_share: float = 0.1
    agency_id: UUID | None = None
    seed: str | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """A contact of the frame."""

    id: UUID
    agency_id: UUID
    outcome: str

    @property
    def stratum(self) -> str:
        """Agency and outcome: what a stratified sample is spread over."""
        return f"{self.agency_id}:{self.outcome}"


@dataclass(frozen=True, slots=True)
class Misses:
    """What readers found in the passed contacts of a sample; `rules` counts each rule missed.

    `rate` estimates the share of all passed contacts that break a rule nobody reported.
    """

    drawn: int
    read: int
    rate: Share
    rules: Mapping[str, int]


def draw(
    session: Session, wish: SampleWish, *, tenant_id: UUID, by: str, now: datetime
) -> SampleRow:
    """Draw a sample and write it down; raises `InvalidInputError` where there is nothing to draw.

    The same seed and frame give the same sample.
    """
    if wish.agency_id is not None:
        get_agency(session, wish.agency_id)
    frame = _frame(session, wish)
    if not frame:
        problem = FieldProblem("from", "no contact in this time has a verdict")
        raise InvalidInputError("There is nothing to draw from.", errors=(problem,))
    seed = wish.seed or secrets.token_hex(16)
    size = min(wish.size, len(frame))
    chances = select_units(frame, wish.method, size, seed)
    chosen = [unit for unit in frame if unit.id in chances]
    twice = set(ranked(chosen, f"{seed}:second")[: round(len(chosen) * wish.second_share)])
    strata = _counts(frame)
    row = SampleRow(
        tenant_id=tenant_id,
        method=wish.method.value,
        seed=seed,
        since=wish.since,
        to=wish.to,
        agency_id=wish.agency_id,
        size=len(chosen),
        second_share=wish.second_share,
        frame=len(frame),
        strata=[{"stratum": name, "frame": count} for name, count in sorted(strata.items())],
        frame_sha256=_digest(frame),
        drawn_at=now,
        drawn_by=by,
    )
    session.add(row)
    session.flush()
    for position, unit in enumerate(ranked(chosen, seed)):
        session.add(
            SampleItem(
                tenant_id=tenant_id,
                sample_id=row.id,
                position=position,
                interaction_id=unit.id,
                outcome=unit.outcome,
                stratum=unit.stratum,
                chance=chances[unit.id],
                second=unit in twice,
            )
        )
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=by,
        action="sample_drawn",
        subject_id=str(row.id),
        details={
            "method": row.method,
            "seed": seed,
            "size": row.size,
            "frame": row.frame,
            "frame_sha256": row.frame_sha256,
        },
    )
    session.flush()
    return row


def select_units(
    frame: Sequence[Unit], method: DrawMethod, size: int, seed: str
) -> dict[UUID, float]:
    """The drawn units, each with its chance of being drawn (over 0, up to 1)."""
    if method is DrawMethod.STRATIFIED:
        return _stratified(frame, size, seed)
    if method is DrawMethod.RISK:
        return _by_risk(frame, size, seed)
    return {unit.id: size / len(frame) for unit in ranked(frame, seed)[:size]}


def ranked(units: Iterable[Unit], seed: str) -> list[Unit]:
    """Units in the order of SHA-256(seed:id): anyone who has the seed can check it."""
    return sorted(units, key=lambda unit: hashlib.sha256(f"{seed}:{unit.id}".encode()).digest())


def get_sample(session: Session, sample_id: UUID) -> SampleRow:
    """One sample; raises `NotFoundError`."""
    row = session.exec(select(SampleRow).where(col(SampleRow.id) == sample_id)).one_or_none()
    if row is None:
        raise NotFoundError("There is no such sample.")
    return row


def list_samples(session: Session, *, cursor: str | None = None, limit: int = 50) -> Page:
    """Samples, newest first."""
    query = select(SampleRow).order_by(col(SampleRow.drawn_at).desc(), col(SampleRow.id).desc())
    if cursor is not None:
        place = tuple_(col(SampleRow.drawn_at), col(SampleRow.id))
        query = query.where(place < read_cursor(cursor))
    rows = session.exec(query.limit(limit + 1)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(rows[:limit], make_cursor(last.drawn_at, last.id) if last else None)


def list_items(
    session: Session,
    sample_id: UUID,
    *,
    reading: Reading | None = None,
    by: str = "",
    after: int = -1,
    limit: int = 50,
) -> list[SampleItem]:
    """Contacts of a sample by position, from after one; with `reading` those that wait for it."""
    get_sample(session, sample_id)
    query = select(SampleItem).where(
        col(SampleItem.sample_id) == sample_id, col(SampleItem.position) > after
    )
    if reading is not None:
        query = query.where(~_read(reading.value))
    if reading is Reading.SECOND:
        query = query.where(col(SampleItem.second), _read("first"), ~_read("first", by))
    return list(session.exec(query.order_by(col(SampleItem.position)).limit(limit)))


def claim_item(
    session: Session,
    sample_id: UUID,
    interaction_id: UUID,
    reading: Reading,
    *,
    tenant_id: UUID,
    by: str,
) -> tuple[int, datetime]:
    """Hold a contact for one reader; gives the holder's number and the end of the lease.

    Raises `ConflictError` where another holds it.
    """
    _item(session, sample_id, interaction_id)
    lease = timedelta(minutes=get_policy(session)[1].lease_minutes)
    key = _key(sample_id, interaction_id, reading)
    return reviews.take(session, key, tenant_id=tenant_id, by=by, lease=lease)


def add_reading(
    session: Session,
    sample_id: UUID,
    interaction_id: UUID,
    reading: Reading,
    missed: Sequence[str],
    reason: str,
    *,
    tenant_id: UUID,
    by: str,
    under: str | None = None,
    known_rules: Iterable[str],
    now: datetime,
) -> tuple[ReadingRow, bool]:
    """Write what a reader says of a contact; gives it, and whether it is new.

    `missed` are the rules that it broke and the system did not report. Raises `ConflictError`
    with the code `lease_lost`, `already_read`, `own_reading` or `second_not_wanted`.
    """
    item, contact = _item(session, sample_id, interaction_id)
    if not set(missed) <= set(known_rules):
        problem = FieldProblem("missed", "must be rules of the pack")
        raise InvalidInputError("The reading cannot be taken.", errors=(problem,))
    wanted = sorted(set(missed))
    held = {row.reading: row for row in _readings(session, sample_id, interaction_id)}
    own = held.get(reading.value)
    if own is not None:
        if (own.read_by, own.missed, opened(own, "reason")) == (by, wanted, reason):
            return own, False
        raise ConflictError("Somebody has read it already.", code="already_read")
    if reading is Reading.SECOND and not (item.second and "first" in held):
        raise ConflictError("No second reading is wanted here.", code="second_not_wanted")
    if by in {row.read_by for row in held.values()}:
        raise ConflictError("Nobody reads a contact twice.", code="own_reading")
    key = _key(sample_id, interaction_id, reading)
    way_out = f"POST /v1/reviews/samples/{sample_id}/items/{interaction_id}/claim"
    reviews.hold(session, key, by=by, way_out=way_out)
    assert contact.verdict_id is not None  # the frame holds checked contacts alone
    row = ReadingRow(
        tenant_id=tenant_id,
        sample_id=sample_id,
        interaction_id=interaction_id,
        verdict_id=contact.verdict_id,
        reading=reading.value,
        missed=wanted,
        reason="",
        read_by=by,
        read_at=now,
    )
    put_sealed(row, reason=reason)
    made = session.exec(
        insert(ReadingRow)
        .values(**row.model_dump())
        .on_conflict_do_nothing()
        .returning(col(ReadingRow.id))
    ).scalar_one_or_none()
    if made is None:
        raise ConflictError("Somebody has read it already.", code="already_read")
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=under or by,
        action="contact_read",
        subject_id=str(interaction_id),
        details={
            "sample": str(sample_id),
            "reading": reading.value,
            "missed": wanted,
            **reviews.acted_for(by, under),
        },
    )
    reviews.let_go(session, key, by=by)
    return row, True


def estimate_misses(session: Session, sample_id: UUID) -> Misses:
    """What the first readings of a sample say of the contacts that passed."""
    passed = session.exec(
        select(SampleItem).where(
            col(SampleItem.sample_id) == sample_id,
            col(SampleItem.outcome) == Outcome.PASS.value,
        )
    ).all()
    found = {
        row.interaction_id: row.missed
        for row in session.exec(
            select(ReadingRow).where(
                col(ReadingRow.sample_id) == sample_id,
                col(ReadingRow.reading) == Reading.FIRST.value,
            )
        )
    }
    read = [item for item in passed if item.interaction_id in found]
    rules: dict[str, int] = defaultdict(int)
    for item in read:
        for rule in found[item.interaction_id]:
            rules[rule] += 1
    rate = weighted_share(
        [bool(found[item.interaction_id]) for item in read], [item.chance for item in read]
    )
    return Misses(len(passed), len(read), rate, dict(sorted(rules.items())))


def _frame(session: Session, wish: SampleWish) -> list[Unit]:
    query = select(InteractionRow.id, InteractionRow.agency_id, InteractionRow.outcome).where(
        col(InteractionRow.started_at) >= wish.since,
        col(InteractionRow.started_at) < wish.to,
        col(InteractionRow.outcome).in_(RISK),
    )
    if wish.agency_id is not None:
        query = query.where(col(InteractionRow.agency_id) == wish.agency_id)
    rows = session.exec(query.order_by(col(InteractionRow.id)).limit(MAX_FRAME + 1)).all()
    if len(rows) > MAX_FRAME:
        problem = FieldProblem("from", f"has over {MAX_FRAME} contacts; take a shorter time")
        raise InvalidInputError("That is too much to draw from.", errors=(problem,))
    return [Unit(id_, agency, outcome or "") for id_, agency, outcome in rows]


def _counts(frame: Iterable[Unit]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for unit in frame:
        counts[unit.stratum] += 1
    return counts


def _stratified(frame: Sequence[Unit], size: int, seed: str) -> dict[UUID, float]:
    """Proportional to the strata by largest remainders, one at least of each where it can be."""
    counts = _counts(frame)
    names = sorted(counts, key=lambda name: (-counts[name], name))
    given = dict.fromkeys(names, 0)
    for name in names[:size]:
        given[name] = 1
    while sum(given.values()) < size:
        wanting = [name for name in names if given[name] < counts[name]]
        given[max(wanting, key=lambda name: size * counts[name] / len(frame) - given[name])] += 1
    chosen: dict[UUID, float] = {}
    for name in names:
        own = ranked((unit for unit in frame if unit.stratum == name), seed)
        chosen |= {unit.id: given[name] / counts[name] for unit in own[: given[name]]}
    return chosen


def _by_risk(frame: Sequence[Unit], size: int, seed: str) -> dict[UUID, float]:
    """Chances proportional to `RISK`, exactly: systematic sampling (W. G. Madow, 1949).

    Units whose chance would pass 1 are taken for certain.
    """
    left, sure = ranked(frame, seed), dict[UUID, float]()
    while True:
        weight = sum(RISK[unit.outcome] for unit in left)
        step = weight / (size - len(sure)) if size > len(sure) else 0.0
        certain = [unit for unit in left if step and RISK[unit.outcome] >= step]
        if not certain:
            break
        sure |= {unit.id: 1.0 for unit in certain}
        left = [unit for unit in left if unit.id not in sure]
    if not step:
        return sure
    start = int.from_bytes(hashlib.sha256(f"{seed}:start".encode()).digest()[:8]) / 2**64
    mark, passed = start * step, 0.0
    for unit in left:
        passed += RISK[unit.outcome]
        if mark < passed:
            sure[unit.id] = RISK[unit.outcome] / step
            mark += step
    return sure


def _digest(frame: Iterable[Unit]) -> str:
    """What the sample was drawn from: SHA-256 of the ids and outcomes, a line each."""
    lines = "".join(f"{unit.id} {unit.outcome}\n" for unit in frame)
    return hashlib.sha256(lines.encode()).hexdigest()


def _item(
    session: Session, sample_id: UUID, interaction_id: UUID
) -> tuple[SampleItem, InteractionRow]:
    row = session.exec(
        select(SampleItem, InteractionRow)
        .join(InteractionRow, col(InteractionRow.id) == col(SampleItem.interaction_id))
        .where(
            col(SampleItem.sample_id) == sample_id,
            col(SampleItem.interaction_id) == interaction_id,
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError("There is no such contact in this sample.")
    return row


def _readings(session: Session, sample_id: UUID, interaction_id: UUID) -> Sequence[ReadingRow]:
    return session.exec(
        select(ReadingRow).where(
            col(ReadingRow.sample_id) == sample_id,
            col(ReadingRow.interaction_id) == interaction_id,
        )
    ).all()


def _key(sample_id: UUID, interaction_id: UUID, reading: Reading) -> tuple[UUID, str]:
    """A contact's place among the items: no finding's mark looks like it."""
    return interaction_id, f"{sample_id}:{reading.value}"


def _read(reading: str, by: str | None = None) -> ColumnElement[bool]:
    """Whether a contact of the sample was read so, as a condition."""
    query = select(ReadingRow.id).where(
        col(ReadingRow.sample_id) == col(SampleItem.sample_id),
        col(ReadingRow.interaction_id) == col(SampleItem.interaction_id),
        col(ReadingRow.reading) == reading,
    )
    if by is not None:
        query = query.where(col(ReadingRow.read_by) == by)
    return query.correlate(SampleItem).exists()

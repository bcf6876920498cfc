"""Samples that a regulator can prove fair: the seed's hash, then the population, then the seed."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlmodel import Session, col, select

from rules.model import Severity
from service.access.grants import (
    GrantState,
    database_now,
    get_grant,
    note_access,
    require_grant,
    state_of,
)
from service.access.models import AccessGrant, AccessKind, Sample, SampleMethod
from service.access.sampling_draw import (
    PENDING,
    SCHEMA,
    WEIGHTS,
    Member,
    draw,
    read_population,
    root_of,
    write_population,
)
from service.access.tenants import Principal
from service.audit import add_entry
from service.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from service.models import FindingRow, InteractionRow

MAX_POPULATION = 200_000
MAX_SIZE = 10_000


def open_sample(
    session: Session, principal: Principal, *, method: SampleMethod, size: int, seed_sha256: str
) -> Sample:
    """Ask for a draw under the caller's grant; the caller is bound to the seed by its hash."""
    grant = require_grant(principal)
    row = Sample(
        tenant_id=grant.tenant_id,
        grant_id=grant.id,
        method=method.value,
        size=size,
        seed_sha256=seed_sha256,
        opened_by=principal.key_id,
        opened_at=database_now(session),
    )
    session.add(row)
    session.flush()
    _note(session, row, principal.key_id, "sample_opened", method=method.value, size=size)
    note_access(
        grant,
        key_id=principal.key_id,
        route="/v1/samples",
        subject_id=str(row.id),
        kind=AccessKind.SAMPLE,
    )
    return row


def list_samples(session: Session) -> Sequence[Sample]:
    """The samples that the session can see, newest first; a lender's, or those of a grant."""
    return session.exec(
        select(Sample).order_by(col(Sample.opened_at).desc(), col(Sample.id).desc()).limit(200)
    ).all()


def get_sample(session: Session, sample_id: UUID, *, for_update: bool = False) -> Sample:
    """One sample; raises `NotFoundError`."""
    query = select(Sample).where(col(Sample.id) == sample_id)
    row = session.exec(query.with_for_update() if for_update else query).one_or_none()
    if row is None:
        raise NotFoundError("There is no such sample.")
    return row


def get_population(session: Session, sample_id: UUID) -> str:
    """The committed lines; raises `ConflictError` before the lender has committed them."""
    row = get_sample(session, sample_id)
    if row.population is None:
        raise ConflictError("The lender has not committed the population.", code="not_committed")
    return row.population


def commit_population(session: Session, sample_id: UUID, *, by: str) -> Sample:
    """Fix the lender's list of all contacts that the grant covers, as it stands now.

    Raises `ConflictError` for a list that is fixed already or a grant that is not live, and
    `InvalidInputError` for one that is too long or empty.
    """
    row = get_sample(session, sample_id, for_update=True)
    if row.root is not None:
        raise ConflictError("The population is committed, and stays.", code="committed")
    grant = get_grant(session, row.grant_id)
    at = database_now(session)
    if state_of(grant, at) is not GrantState.LIVE:
        raise ConflictError("The grant is not live.", code="grant_not_open")
    population = write_population(_members(session, grant))
    row.population = population
    row.population_size = population.count("\n")
    row.root = root_of(population)
    row.committed_by, row.committed_at = by, at
    session.flush()
    _note(session, row, by, "population_committed", root=row.root, size=row.population_size)
    return row


def _members(session: Session, grant: AccessGrant) -> list[Member]:
    conditions = [
        col(InteractionRow.started_at) >= grant.period_from,
        col(InteractionRow.started_at) < grant.period_to,
    ]
    if grant.agencies is not None:
        agencies = [UUID(agency) for agency in grant.agencies]
        conditions.append(col(InteractionRow.agency_id).in_(agencies))
    count = session.exec(select(func.count()).select_from(InteractionRow).where(*conditions)).one()
    if not 0 < count <= MAX_POPULATION:
        problem = f"holds {count} contacts; a population has 1 to {MAX_POPULATION}"
        raise InvalidInputError(
            "The grant's period cannot be sampled; ask for a grant with another one.",
            errors=(FieldProblem("period", problem),),
        )
    # A contact has a row for each severity that its current findings have, or one without.
    rows = session.exec(
        select(
            InteractionRow.id, InteractionRow.agency_id, InteractionRow.outcome, FindingRow.severity
        )
        .join(
            FindingRow,
            col(FindingRow.verdict_id) == col(InteractionRow.verdict_id),
            isouter=True,
        )
        .where(*conditions)
        .distinct()
    ).all()
    found: dict[UUID, Member] = {}
    for key, agency, outcome, severity in rows:
        weight = WEIGHTS[Severity(severity) if severity else None]
        before = found.get(key)
        if before is None or before.weight < weight:
            found[key] = Member(str(key), str(agency), outcome or PENDING, weight)
    return list(found.values())


def reveal(session: Session, sample_id: UUID, *, seed: str, by: str) -> Sample:
    """Reveal the seed and draw; `seed` is 64 hex digits.

    Raises `ConflictError` before the population is committed or after the seed was revealed, and
    `InvalidInputError` for a seed that is not the promised one.
    """
    row = get_sample(session, sample_id, for_update=True)
    if row.population is None or row.root is None:
        raise ConflictError("The lender has not committed the population.", code="not_committed")
    if row.seed is not None:
        raise ConflictError("The seed was revealed.", code="revealed")
    if hashlib.sha256(bytes.fromhex(seed)).hexdigest() != row.seed_sha256:
        problem = FieldProblem("seed", "has another SHA-256 than the sample was opened with")
        raise InvalidInputError("This is not the promised seed.", errors=(problem,))
    members = read_population(row.population)
    at = database_now(session)
    row.drawn = draw(SampleMethod(row.method), row.size, seed=seed, root=row.root, members=members)
    row.seed, row.revealed_at = seed, at
    session.flush()
    _note(session, row, by, "sample_drawn", drawn=len(row.drawn), root=row.root)
    return row


def write_document(row: Sample, grant: AccessGrant) -> dict[str, Any]:
    """Return the published document of a sample, without the population itself."""
    return {
        "schema": SCHEMA,
        "id": str(row.id),
        "grant": str(row.grant_id),
        "case_number": grant.case_number,
        "agencies": grant.agencies,
        "period_from": _text(grant.period_from),
        "period_to": _text(grant.period_to),
        "method": row.method,
        "size": row.size,
        "seed_sha256": row.seed_sha256,
        "opened_at": _text(row.opened_at),
        "population_size": row.population_size,
        "root": row.root,
        "committed_at": _text(row.committed_at),
        "seed": row.seed,
        "revealed_at": _text(row.revealed_at),
        "drawn": row.drawn,
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _note(session: Session, row: Sample, by: str, action: str, **details: Any) -> None:
    add_entry(
        session,
        tenant_id=row.tenant_id,
        actor=by,
        action=action,
        subject_id=str(row.id),
        details={"grant": str(row.grant_id), **details},
    )

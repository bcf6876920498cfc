"""Until when a recording is kept: the latest date of its contacts, by the longest floor of each.

A date is only ever raised, here by code and in the database by a trigger.
"""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session, col, select

from rules.events import LenderType, Product
from rules.retention import add_years, floor_years
from service.access.notebook import note
from service.config import settings
from service.errors import FieldProblem, InvalidInputError
from service.keeping.retention_models import RecordingUse
from service.models import RecordingRow
from service.parameters import Setting, in_force, list_settings

# The lender's own, longer years are the parameters of this rule; its bounds are the floors.
POLICY_RULE = "REC-02"
_YEARS = {
    "card": "card_years",
    "consumer_finance": "consumer_finance_years",
    "other": "other_years",
}
# What is read of a case: nothing in it names a person.
_FACTS = text(
    "select distinct case_id, body #>> '{data,product}', body #>> '{data,lender_type}' from event"
    " where kind = 'case.upserted' and case_id = any(:cases)"
)
_RAISE = text(
    "update recording as r set retain_until = w.until from"
    " (select * from unnest(cast(:hashes as text[]), cast(:dates as timestamptz[])))"
    " as w (sha256, until)"
    " where r.sha256 = w.sha256 and r.retain_until < w.until returning r.sha256"
)
_SUMMARY = text(
    "select count(*) filter (where purged_at is null) as kept,"
    " count(*) filter (where purged_at is null and hegui_is_held(tenant_id, sha256)) as held,"
    " count(*) filter (where purged_at is null and retain_until <= :now"
    " and not hegui_is_held(tenant_id, sha256)) as past,"
    " count(purged_at) as purged,"
    " coalesce(sum(size_bytes) filter (where purged_at is null), 0)::bigint as size_bytes,"
    " min(retain_until) filter (where purged_at is null) as earliest_until"
    " from recording"
)
_PAST = text(
    "select r.sha256, r.size_bytes, r.received_at, r.retain_until,"
    " hegui_is_held(r.tenant_id, r.sha256) as held,"
    " (select i.run_id from purge_item as i join purge_run as p on p.tenant_id = i.tenant_id"
    "  and p.id = i.run_id where i.tenant_id = r.tenant_id and i.sha256 = r.sha256"
    "  and i.state in ('listed', 'removing') and p.state in ('planned', 'removing') limit 1)"
    " as run_id from recording as r"
    " where r.purged_at is null and r.retain_until <= :now"
    " and (cast(:after_until as timestamptz) is null"
    "  or (r.retain_until, r.sha256) > (:after_until, :after_sha256))"
    " order by r.retain_until, r.sha256 limit :limit"
)
_LATEST_TICK = text("select max(at) from clock_tick")
_TICK = text("insert into clock_tick (at, accepted_by) values (now(), :by)")
_TICK_EVERY = timedelta(hours=20)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a case says of its retention; None where it does not."""

    product: Product | None = None
    lender_type: LenderType | None = None


UNKNOWN = Facts()


@dataclass(frozen=True, slots=True)
class Past:
    """A recording past its date, and why it is still there."""

    sha256: str
    size_bytes: int
    received_at: datetime
    retain_until: datetime
    held: bool
    run_id: UUID | None


def retain_until(
    contact_at: datetime, cases: Iterable[Facts], policies: Sequence[Setting]
) -> datetime:
    """Until when a contact's recording is kept at least (LAW.md §6).

    `cases` are all versions of its case: the longest floor counts, and five years where nothing is
    known. `policies` are the lender's parameter sets, of which the one in force at the contact and
    the latest count, whichever is longer; none can be shorter than the law.
    """
    facts = list(cases) or [UNKNOWN]
    chosen = (in_force(policies, contact_at), policies[-1]) if policies else ()
    years = [floor_years(each.product, each.lender_type) for each in facts]
    for policy in chosen:
        given = policy.values.get(POLICY_RULE, {})
        own = {name: given[key] for name, key in _YEARS.items() if key in given}
        years += [floor_years(each.product, each.lender_type, **own) for each in facts]
    return add_years(contact_at, max(years))


def raise_case(session: Session, case_id: str) -> dict[str, datetime]:
    """Raise the dates of all recordings that a case's contacts stand on; gives them by hash."""
    uses = session.exec(
        select(RecordingUse.sha256, RecordingRow.retain_until)
        .join(
            RecordingRow,
            (col(RecordingRow.sha256) == col(RecordingUse.sha256))
            & (col(RecordingRow.tenant_id) == col(RecordingUse.tenant_id)),
        )
        .where(col(RecordingUse.case_id) == case_id)
    ).all()
    held = dict(uses)
    if not held:
        return {}
    needed = required_until(session, held, case_id=case_id)
    higher = {sha256: until for sha256, until in needed.items() if until > held[sha256]}
    raise_dates(session, higher)
    return {**held, **higher}


def required_until(
    session: Session, hashes: Iterable[str], *, case_id: str | None = None
) -> dict[str, datetime]:
    """The date that the contacts known now ask for, by hash; no entry where there is no contact.

    With `case_id` only that case's contacts are asked.
    """
    query = select(RecordingUse).where(col(RecordingUse.sha256).in_(sorted(set(hashes))))
    if case_id is not None:
        query = query.where(col(RecordingUse.case_id) == case_id)
    uses = session.exec(query).all()
    if not uses:
        return {}
    cases = case_facts(session, {use.case_id for use in uses})
    policies = list_settings(session)
    found: dict[str, datetime] = {}
    for use in uses:
        until = retain_until(use.started_at, cases.get(use.case_id, ()), policies)
        found[use.sha256] = max(until, found.get(use.sha256, until))
    return found


def orphan_until(received_at: datetime) -> datetime:
    """The date of a recording that no contact stands on: five years, as for what is not known."""
    return add_years(received_at, floor_years(None, None))


def first_until(session: Session, sha256: str, *, now: datetime) -> datetime:
    """The date of a recording that arrives now: its contacts', or the operator's first floor."""
    needed = required_until(session, [sha256])
    return needed.get(sha256, now + timedelta(days=settings().retention_floor_days))


def raise_dates(session: Session, dates: dict[str, datetime]) -> int:
    """Raise these recordings to these dates where theirs are earlier; gives how many were."""
    if not dates:
        return 0
    hashes = sorted(dates)  # in one order, whoever raises
    values = {"hashes": hashes, "dates": [dates[sha256].astimezone(UTC) for sha256 in hashes]}
    return len(session.connection().execute(_RAISE, values).all())


def case_facts(session: Session, case_ids: Iterable[str]) -> dict[str, list[Facts]]:
    """What all versions of these cases say of their retention, by case."""
    rows = session.connection().execute(_FACTS, {"cases": sorted(case_ids)})
    found: dict[str, list[Facts]] = {}
    for case_id, product, lender_type in rows.all():
        facts = Facts(
            Product(product) if product else None, LenderType(lender_type) if lender_type else None
        )
        found.setdefault(case_id, []).append(facts)
    return found


def summarise(session: Session, *, now: datetime) -> dict[str, Any]:
    """How many recordings are kept, held, past their date without a hold, and purged."""
    row = session.connection().execute(_SUMMARY, {"now": now}).one()
    return dict(row._mapping)  # noqa: SLF001  its public name


def note_tick(session: Session, *, now: datetime) -> bool:
    """Write down, about once a day, that the clock passed this moment; see `clock_flaw`."""
    last = session.connection().execute(_LATEST_TICK).scalar_one()
    if last is not None and timedelta() <= now - last < _TICK_EVERY:
        return False
    if last is not None and last > now:
        return False
    session.connection().execute(_TICK, {"by": None})
    return True


def clock_flaw(session: Session) -> str | None:
    """Why the database's clock is not trusted for a purge; None where it is.

    `no_tick`: nothing was written of late. `jumped`: a gap of more than three days that nobody has
    vouched for. `went_back`: there are ticks of a time that has not come yet.
    """
    flaw: str | None = session.connection().execute(text("select hegui_clock_flaw()")).scalar_one()
    return flaw


def vouch_for_clock(session: Session, *, by: str) -> None:
    """Accept the gaps in the clock's ticks so far: somebody has looked at the clock."""
    session.connection().execute(text("delete from clock_tick where at > clock_timestamp()"))
    session.connection().execute(_TICK, {"by": by})
    note(session, tenant_id=None, by=by, action="clock_vouched_for")


def page_past(
    session: Session, *, now: datetime, cursor: str | None, limit: int
) -> tuple[list[Past], str | None]:
    """A page of the recordings past their date, the longest overdue first, and the next cursor."""
    until, sha256 = _read_place(cursor) if cursor else (None, "")
    values = {"now": now, "limit": limit + 1, "after_until": until, "after_sha256": sha256}
    rows = [Past(*row) for row in session.connection().execute(_PAST, values).all()]
    last = rows[limit - 1] if len(rows) > limit else None
    return rows[:limit], _make_place(last) if last else None


def _make_place(row: Past) -> str:
    text_ = f"{row.retain_until.isoformat()} {row.sha256}"
    return urlsafe_b64encode(text_.encode()).decode().rstrip("=")


def _read_place(cursor: str) -> tuple[datetime, str]:
    try:
        text_ = b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        moment, _, sha256 = text_.decode().partition(" ")
        found = datetime.fromisoformat(moment)
        if found.tzinfo is None:
            raise ValueError(cursor)  # noqa: TRY301  one answer for every bad cursor
    except ValueError as error:
        raise InvalidInputError(
            "The cursor is not one that this service gave.",
            errors=(FieldProblem("cursor", "take it from next_cursor of the page before"),),
        ) from error
    return found, sha256

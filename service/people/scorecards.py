"""Scorecards: how agencies, collectors and families compare, with the uncertainty and the gaps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from service.people.agreement import Share, share
from service.read import get_agency, list_agencies

# Below this many contacts a rate says little, and no rank is given.
SMALL = 30
MAX_COLLECTORS = 500

# What stands after people: a judgement before a first decision; what was not looked at stands as
# the system has it. A question that somebody confirmed counts like a violation.
_STANDING = (
    "with decided as ("
    " select distinct on (interaction_id, mark) interaction_id, mark, decision, to_rule"
    " from review where reading <> 'second'"
    " order by interaction_id, mark, reading = 'judgement' desc, number desc),"
    " stood as ("
    " select f.interaction_id, split_part(coalesce(d.to_rule, f.rule), '-', 1) as family,"
    "  case when d.decision is null then f.disposition = 'violation'"
    "   else d.decision <> 'dismiss' end as counts"
    " from interaction as n"
    " join finding as f on f.tenant_id = n.tenant_id and f.verdict_id = n.verdict_id"
    " left join decided as d on d.interaction_id = f.interaction_id"
    "  and d.mark = hegui_finding_mark(f.rule, f.doc)"
    " where n.started_at >= :since and n.started_at < :to"
    "  and f.disposition in ('violation', 'review')"
    "  and (cast(:agency as uuid) is null or n.agency_id = :agency)),"
    " broken as (select distinct interaction_id, family from stood where counts)"
)
_PEOPLE = text(
    _STANDING + " select n.agency_id,"  # noqa: S608  fixed words, no input
    " case when :by_collector then coalesce(e.body #>> '{data,collector,id}', '') else '' end,"
    " count(*),"
    " count(*) filter (where n.outcome is null or n.outcome in ('inconclusive', 'error')),"
    " count(*) filter (where n.outcome = 'fail'),"
    " count(*) filter (where exists (select 1 from broken as b where b.interaction_id = n.id)),"
    " count(*) filter (where n.state in ('missing', 'undecodable', 'waiting', 'fetching'))"
    " from interaction as n join event as e on e.tenant_id = n.tenant_id and e.id = n.event_id"
    " where n.started_at >= :since and n.started_at < :to"
    "  and (cast(:agency as uuid) is null or n.agency_id = :agency)"
    " group by 1, 2 order by 1, 2"
)
_FAMILIES = text(
    _STANDING  # noqa: S608  fixed words, no input
    + " select b.family, count(*) from broken as b group by 1 order by 2 desc, 1"
)
_DISPUTES = text(
    "select state, count(*) from dispute"
    " where opened_at >= :since and opened_at < :to"
    "  and (cast(:agency as uuid) is null or agency_id = :agency) group by 1"
)


@dataclass(frozen=True, slots=True)
class Counts:
    """Contacts of one agency or collector: in all, without proof, and broken.

    `failed_by_system` is what the verdicts say, `failed` what stands after reviews and disputes;
    `without_recording` those whose recording is not there or cannot be read.
    """

    contacts: int = 0
    unproven: int = 0
    failed_by_system: int = 0
    failed: int = 0
    without_recording: int = 0

    @property
    def proven(self) -> int:
        """Contacts with proof either way."""
        return max(self.contacts - self.unproven, 0)

    @property
    def rate(self) -> Share:
        """Broken contacts among those with proof."""
        return share(min(self.failed, self.proven), self.proven)

    @property
    def adverse(self) -> Share:
        """Broken contacts and those without proof, among all: what a league is ranked by.

        Who sends no recordings can only lose by it.
        """
        return share(min(self.failed + self.unproven, self.contacts), self.contacts)

    @property
    def is_small(self) -> bool:
        """Whether there are too few contacts to compare."""
        return self.contacts < SMALL


@dataclass(frozen=True, slots=True)
class Change:
    """The difference of two rates (now minus before) with its 95 % interval; None: nothing to say.

    `word` is `better`, `worse` or `unclear`.
    """

    before: Share
    difference: float | None
    low: float | None
    high: float | None
    word: str


@dataclass(frozen=True, slots=True)
class Card:
    """One agency in a time."""

    agency_id: UUID
    agency_name: str
    counts: Counts
    change: Change
    families: Sequence[tuple[str, Share]]
    collectors: Sequence[tuple[str, Counts]]
    disputes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Place:
    """One agency in the league; `rank` is None where there are too few contacts."""

    rank: int | None
    agency_id: UUID
    agency_name: str
    counts: Counts


def agency_card(session: Session, agency_id: UUID, *, since: datetime, to: datetime) -> Card:
    """The card of one agency; raises `NotFoundError` where the caller cannot see it."""
    agency = get_agency(session, agency_id)
    own = count(session, since=since, to=to, agency_id=agency_id)
    before = count(session, since=since - (to - since), to=since, agency_id=agency_id)
    counts = own.get((agency_id, ""), Counts())
    people = count(session, since=since, to=to, agency_id=agency_id, by_collector=True)
    values = {"since": since, "to": to, "agency": agency_id}
    families = session.connection().execute(_FAMILIES, values).all()
    disputes = session.connection().execute(_DISPUTES, values).all()
    collectors = sorted(
        ((collector, found) for (_, collector), found in people.items()),
        key=lambda each: (-each[1].adverse.low, -each[1].contacts, each[0]),
    )
    return Card(
        agency_id=agency_id,
        agency_name=agency.name,
        counts=counts,
        change=compare(before.get((agency_id, ""), Counts()).rate, counts.rate),
        families=[(name, share(min(n, counts.proven), counts.proven)) for name, n in families],
        collectors=collectors[:MAX_COLLECTORS],
        disputes={state: n for state, n in disputes},  # noqa: C416  rows, not pairs
    )


def league(session: Session, *, since: datetime, to: datetime) -> list[Place]:
    """Every agency, the best first; those with too few contacts last and without a rank."""
    found = count(session, since=since, to=to)
    rows = [(agency, found.get((agency.id, ""), Counts())) for agency in list_agencies(session)]
    rows.sort(key=lambda row: (row[1].is_small, row[1].adverse.share or 0.0, row[0].name))
    places: list[Place] = []
    for number, (agency, counts) in enumerate(rows, start=1):
        rank: int | None = None if counts.is_small else number
        last = places[-1] if places else None
        if rank and last and last.rank and last.counts.adverse.share == counts.adverse.share:
            rank = last.rank
        places.append(Place(rank, agency.id, agency.name, counts))
    return places


def count(
    session: Session,
    *,
    since: datetime,
    to: datetime,
    agency_id: UUID | None = None,
    by_collector: bool = False,
) -> dict[tuple[UUID, str], Counts]:
    """Contacts that started in [since, to), by agency and, where asked, collector (else '')."""
    values: dict[str, Any] = {
        "since": since, "to": to, "agency": agency_id, "by_collector": by_collector,
    }  # fmt: skip
    rows = session.connection().execute(_PEOPLE, values).all()
    return {(row[0], row[1]): Counts(*row[2:]) for row in rows}


def compare(before: Share, after: Share) -> Change:
    """Two rates against each other, by Newcombe's hybrid score interval (1998, method 10)."""
    if before.share is None or after.share is None:
        return Change(before, None, None, None, "unclear")
    difference = after.share - before.share
    low = difference - math.hypot(after.share - after.low, before.high - before.share)
    high = difference + math.hypot(after.high - after.share, before.share - before.low)
    word = "worse" if low > 0 else "better" if high < 0 else "unclear"
    return Change(before, difference, low, high, word)

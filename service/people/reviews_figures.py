"""How far two readers agree: by rule and by reviewer, with intervals."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from service.people.agreement import Estimate, bootstrap, cohen_kappa, krippendorff_alpha

GROUP_ROUNDS = 400
MAX_PAIRS = 20_000
# The newest decision of each reading on findings, and the readings of whole contacts.
_PAIRS = text(
    "select a.interaction_id as interaction, a.finding_id as finding, a.rule as rule,"
    "  a.decided_by as first_by, b.decided_by as second_by,"
    "  a.decision as first, b.decision as second"
    " from (select distinct on (interaction_id, mark) * from review where reading = 'first'"
    "   order by interaction_id, mark, number desc) as a"
    " join (select distinct on (interaction_id, mark) * from review where reading = 'second'"
    "   order by interaction_id, mark, number desc) as b"
    "  on b.interaction_id = a.interaction_id and b.mark = a.mark"
    " where b.decided_at >= :since and b.decided_at < :to"
    " union all select a.interaction_id, null, '', a.read_by, b.read_by,"
    "  case when a.missed = '[]' then 'clean' else 'missed' end,"
    "  case when b.missed = '[]' then 'clean' else 'missed' end"
    " from review_reading as a join review_reading as b on b.sample_id = a.sample_id"
    "  and b.interaction_id = a.interaction_id and b.reading = 'second'"
    " where a.reading = 'first' and b.read_at >= :since and b.read_at < :to"
    " order by 1, 2, 3 limit :most"
)


@dataclass(frozen=True, slots=True)
class Pair:
    """What two readers said of one thing; `rule` is empty for a whole contact."""

    interaction: UUID
    finding: UUID | None
    rule: str
    first_by: str
    second_by: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement within one group of pairs; `agreed` of them said the same."""

    pairs: int
    agreed: int
    kappa: Estimate
    alpha: Estimate


@dataclass(frozen=True, slots=True)
class Agreements:
    """All pairs of a time together, by rule, and by reviewer; and where readers differ."""

    all: Agreement
    contacts: Agreement
    by_rule: dict[str, Agreement]
    by_reviewer: dict[str, Agreement]
    differences: Sequence[Pair]


def agreements(session: Session, *, since: datetime, to: datetime) -> Agreements:
    """Measure agreement over what was read a second time in [since, to)."""
    rows = session.connection().execute(_PAIRS, {"since": since, "to": to, "most": MAX_PAIRS})
    pairs = [Pair(*row) for row in rows.all()]
    findings = [pair for pair in pairs if pair.rule]
    by_rule: dict[str, list[Pair]] = defaultdict(list)
    by_reviewer: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        if pair.rule:
            by_rule[pair.rule].append(pair)
        for reader in {pair.first_by, pair.second_by}:
            by_reviewer[reader].append(pair)
    return Agreements(
        all=measure(findings, "all"),
        contacts=measure([pair for pair in pairs if not pair.rule], "contacts"),
        by_rule={rule: measure(own, rule, GROUP_ROUNDS) for rule, own in sorted(by_rule.items())},
        by_reviewer={
            reader: measure(own, reader, GROUP_ROUNDS)
            for reader, own in sorted(by_reviewer.items())
        },
        differences=[pair for pair in pairs if pair.first != pair.second],
    )


def measure(pairs: Sequence[Pair], seed: str, rounds: int = 1000) -> Agreement:
    """Cohen's kappa (first against second reader) and Krippendorff's alpha of these pairs."""
    units = [(pair.first, pair.second) for pair in pairs]
    return Agreement(
        pairs=len(units),
        agreed=sum(first == second for first, second in units),
        kappa=bootstrap(units, cohen_kappa, seed=f"kappa:{seed}", rounds=rounds),
        alpha=bootstrap(units, krippendorff_alpha, seed=f"alpha:{seed}", rounds=rounds),
    )

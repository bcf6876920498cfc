"""Old contacts judged again, with nothing written: by their own pack, or by two packs against.

The same pack, parameters and history give the same bytes; a verdict says by digest which pack it
was made with, so a replay either repeats it or says what is no longer the same.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlmodel import Session, col, select

from rules import Pack
from rules.model import Finding, Verdict
from service.check import findings_digest
from service.errors import NotFoundError
from service.history import list_interactions, read_history
from service.models import Agency, InteractionRow, VerdictRow
from service.pack_cache import compiled
from service.packs import load_pack
from service.parameters import judge, list_settings
from service.people import watch
from service.privacy.masking import mask_text

SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Replay:
    """A verdict made again; `differs` names what is not as it was stored, nothing where all is."""

    interaction_id: UUID
    revision: int
    pack_digest: str
    stored_digest: str
    made_digest: str
    outcome: str
    differs: tuple[str, ...]


@dataclass(slots=True)
class Change:
    """Findings of one rule at one agency that only one of two packs makes."""

    rule: str
    agency: str
    added: int = 0
    removed: int = 0
    samples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Backtest:
    """What a pack would change against another; verdicts that change are counted by outcome."""

    cases: int = 0
    contacts: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    changes: dict[tuple[str, str], Change] = field(default_factory=dict)

    @property
    def rows(self) -> list[Change]:
        """The changes, the largest first."""
        return sorted(
            self.changes.values(),
            key=lambda one: (-(one.added + one.removed), one.rule, one.agency),
        )


def read_pack(name_or_path: str) -> Pack:
    """Read a pack by its name, or from the folder of its files; an old release's folder too.

    Raises `FileNotFoundError`, and `rules.PackError` with every problem in it.
    """
    folder = Path(name_or_path)
    if not folder.is_dir():
        return load_pack(name_or_path)
    return compiled(
        {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"))}
    )


def replay(session: Session, pack: Pack, interaction_id: UUID) -> Replay:
    """Judge a contact's case again by this pack, and hold the contact's standing verdict against.

    Raises `NotFoundError` where the contact, or its verdict, is not there.
    """
    row = session.exec(
        select(InteractionRow).where(InteractionRow.id == interaction_id)
    ).one_or_none()
    stored = session.exec(
        select(VerdictRow).where(
            VerdictRow.interaction_id == interaction_id, col(VerdictRow.is_current)
        )
    ).one_or_none()
    if row is None or stored is None:
        raise NotFoundError("There is no such interaction, or it has no verdict yet.")
    made = judge_case(session, pack, row.case_id)[str(row.agency_id), row.interaction_id]
    digest = findings_digest(made.findings)
    pairs = {
        "pack": (stored.pack_digest, made.pack_digest),
        "outcome": (stored.outcome, made.outcome.value),
        "reasons": (stored.reasons, list(made.reasons)),
        "untrusted_share": (stored.untrusted_share, made.untrusted_share),
        "findings": (stored.findings_digest, digest),
    }
    return Replay(
        interaction_id=interaction_id,
        revision=stored.revision,
        pack_digest=made.pack_digest,
        stored_digest=stored.findings_digest,
        made_digest=digest,
        outcome=made.outcome.value,
        differs=tuple(name for name, (held, new) in pairs.items() if held != new),
    )


def judge_case(session: Session, pack: Pack, case_id: str) -> dict[tuple[str, str], Verdict]:
    """Judge every contact of a case by this pack; whatever reading it would write is taken back."""
    with _undone(session):
        history = read_history(session, case_id, list_interactions(session, case_id))
        settings = list_settings(session)
        periods = watch.list_periods(session)
    verdicts = judge(pack, history, settings)
    return {
        contact.key: watch.apply(
            verdict, watch.under_watch(periods, contact.interaction.started_at)
        )
        for contact, verdict in zip(history.contacts, verdicts, strict=True)
    }


def list_cases(session: Session, since: datetime, until: datetime) -> list[str]:
    """The cases that had a contact in [since, until)."""
    return list(
        session.exec(
            select(InteractionRow.case_id)
            .where(InteractionRow.started_at >= since, InteractionRow.started_at < until)
            .distinct()
            .order_by(col(InteractionRow.case_id))
        )
    )


def backtest_case(
    session: Session,
    found: Backtest,
    packs: tuple[Pack, Pack],
    case_id: str,
    *,
    since: datetime,
    until: datetime,
) -> None:
    """Judge one case by `packs` (the new one, and the one against it) and note what differs.

    Parameters that one of the packs does not know make a `ParameterError`. Samples are masked.
    """
    names = {str(row.id): row.name for row in session.exec(select(Agency))}
    new, old = (judge_case(session, pack, case_id) for pack in packs)
    rows = list_interactions(session, case_id)
    found.cases += 1
    for key, verdict in new.items():
        if not since <= rows[key].started_at < until:
            continue
        found.contacts += 1
        before = old[key]
        if before.outcome is not verdict.outcome:
            found.outcomes[f"{before.outcome.value} -> {verdict.outcome.value}"] += 1
        _compare(found, names[key[0]], rows[key], before, verdict)


def _compare(
    found: Backtest, agency: str, row: InteractionRow, before: Verdict, after: Verdict
) -> None:
    held, made = _by_place(before), _by_place(after)
    for place in held.keys() | made.keys():
        difference = len(made[place]) - len(held[place])
        if not difference:
            continue
        change = found.changes.setdefault((place[0], agency), Change(place[0], agency))
        if difference > 0:
            change.added += difference
        else:
            change.removed -= difference
        if len(change.samples) < SAMPLES:
            one = (made[place] or held[place])[0]
            said = mask_text(one.quote) if one.quote else one.why
            sign = "+" if difference > 0 else "-"
            change.samples.append(f"{sign} {row.interaction_id}: {said}")


def _by_place(verdict: Verdict) -> defaultdict[tuple[str, int | None, str], list[Finding]]:
    placed = defaultdict(list)
    for finding in verdict.findings:
        placed[finding.rule, finding.segment, finding.disposition.value].append(finding)
    return placed


@contextmanager
def _undone(session: Session) -> Iterator[None]:
    """Take back at the end whatever the block wrote."""
    savepoint = session.begin_nested()
    try:
        yield
    finally:
        session.expunge_all()
        savepoint.rollback()

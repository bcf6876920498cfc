"""Checks in the manner of continuous integration: status and conclusion of contacts and batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import distinct, func
from sqlmodel import Session, col, select

from rules.model import Disposition, Outcome, Severity
from service.errors import NotFoundError
from service.keeping.manifest_models import UploadManifest, UploadManifestRow
from service.keeping.manifest_queries import (
    ids_in_campaign,
    ids_in_manifest,
    is_listed_as,
    is_row_of_manifest,
)
from service.keeping.manifests import get_manifest
from service.models import Agency, FindingRow, InteractionRow
from service.read import get_agency, list_agencies


class CheckStatus(StrEnum):
    """Whether every contact in it has its verdict."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


class Conclusion(StrEnum):
    """What a completed check says; the words are those of the code forges' check runs."""

    SUCCESS = "success"
    NEUTRAL = "neutral"
    ACTION_REQUIRED = "action_required"
    FAILURE = "failure"


# Missing evidence is neither a pass nor a fault that was proven.
CONCLUSIONS = {
    Outcome.PASS: Conclusion.SUCCESS,
    Outcome.INCONCLUSIVE: Conclusion.NEUTRAL,
    Outcome.ERROR: Conclusion.NEUTRAL,
    Outcome.REVIEW: Conclusion.ACTION_REQUIRED,
    Outcome.FAIL: Conclusion.FAILURE,
}


def conclusion_of(outcome: str | None) -> Conclusion | None:
    """What one contact's outcome concludes; None while there is none."""
    return None if outcome is None else CONCLUSIONS[Outcome(outcome)]


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How often a rule was reported: findings, and the contacts that they lie in."""

    rule: str
    severity: Severity
    disposition: Disposition
    findings: int
    interactions: int


@dataclass(frozen=True, slots=True)
class Tally:
    """Contacts as their current verdicts stand, and the announced ones that never came.

    `is_awaited`: what is missing may still come, because it is not due yet.
    """

    outcomes: Mapping[Outcome, int]
    pending: int
    rules: Sequence[RuleCount]
    missing: int = 0
    is_awaited: bool = False

    @property
    def interactions(self) -> int:
        """Contacts that came, checked or not."""
        return sum(self.outcomes.values()) + self.pending

    @property
    def status(self) -> CheckStatus:
        """`in_progress` while a contact waits for its verdict, or is missing and not yet due."""
        is_open = self.pending or (self.missing and self.is_awaited)
        return CheckStatus.IN_PROGRESS if is_open else CheckStatus.COMPLETED

    @property
    def conclusion(self) -> Conclusion | None:
        """The worst contact's conclusion; None while in progress. No contact at all is neutral.

        What never came asks for action: it is no proof of a fault, and nobody can call it clean.
        """
        if self.status is CheckStatus.IN_PROGRESS:
            return None
        found = [CONCLUSIONS[outcome] for outcome, count in self.outcomes.items() if count]
        found += [Conclusion.ACTION_REQUIRED] if self.missing else []
        return max(found, key=list(Conclusion).index, default=Conclusion.NEUTRAL)

    def findings(self, disposition: Disposition) -> dict[Severity, int]:
        """Findings of that disposition by severity, worst first."""
        return {
            severity: sum(
                row.findings
                for row in self.rules
                if row.severity is severity and row.disposition is disposition
            )
            for severity in reversed(Severity)
        }


@dataclass(frozen=True, slots=True)
class BatchCheck:
    """The contacts of one agency that started in [since, to)."""

    agency_id: UUID
    agency_name: str
    since: datetime
    to: datetime
    tally: Tally


@dataclass(frozen=True, slots=True)
class ManifestCheck:
    """The contacts that one manifest lists.

    `unlisted` are those of its agency that name its campaign and that no manifest of it lists.
    """

    manifest: UploadManifest
    agency_name: str
    unlisted: int
    tally: Tally


@dataclass(frozen=True, slots=True)
class CampaignCheck:
    """The contacts of one campaign that the caller may see, of one agency or of all."""

    campaign: str
    agency_id: UUID | None
    agencies: Sequence[Agency]
    manifests: int
    tally: Tally


def check_batch(session: Session, agency_id: UUID, *, since: datetime, to: datetime) -> BatchCheck:
    """Sum up one agency's contacts of a time; raises `NotFoundError` where it is not to be seen."""
    agency = get_agency(session, agency_id)
    within = (
        col(InteractionRow.agency_id) == agency_id,
        col(InteractionRow.started_at) >= since,
        col(InteractionRow.started_at) < to,
    )
    return BatchCheck(agency_id, agency.name, since, to, _tally(session, within))


def check_manifest(session: Session, manifest_id: UUID, *, now: datetime) -> ManifestCheck:
    """Sum up what a manifest lists; raises `NotFoundError` where it is not to be seen."""
    manifest = get_manifest(session, manifest_id)
    within = (col(InteractionRow.id).in_(ids_in_manifest(manifest_id)),)
    missing = _missing(session, col(UploadManifest.id) == manifest_id)
    return ManifestCheck(
        manifest,
        get_agency(session, manifest.agency_id).name,
        _unlisted(session, manifest),
        _tally(session, within, missing, is_awaited=now < manifest.due_at),
    )


def check_campaign(
    session: Session, campaign: str, *, agency_id: UUID | None = None, now: datetime
) -> CampaignCheck:
    """Sum up a campaign; raises `NotFoundError` where no contact or manifest to be seen names it.

    `agency_id` narrows it to one agency's part.
    """
    if agency_id is not None:
        get_agency(session, agency_id)
    within: list[Any] = [col(InteractionRow.id).in_(ids_in_campaign(campaign))]
    named: list[Any] = [col(UploadManifest.campaign) == campaign]
    if agency_id is not None:
        within.append(col(InteractionRow.agency_id) == agency_id)
        named.append(col(UploadManifest.agency_id) == agency_id)
    manifests = session.exec(select(UploadManifest).where(*named)).all()
    ids = set(session.exec(select(InteractionRow.agency_id).where(*within).distinct()))
    ids |= {manifest.agency_id for manifest in manifests}
    if not ids:
        raise NotFoundError("There is no such campaign.")
    late = max((manifest.due_at for manifest in manifests), default=now)
    tally = _tally(session, tuple(within), _missing(session, *named), is_awaited=now < late)
    agencies = [agency for agency in list_agencies(session) if agency.id in ids]
    return CampaignCheck(campaign, agency_id, agencies, len(manifests), tally)


def _tally(
    session: Session, within: tuple[Any, ...], missing: int = 0, *, is_awaited: bool = False
) -> Tally:
    counts: dict[str | None, int] = dict(
        session.exec(
            select(InteractionRow.outcome, func.count())
            .where(*within)
            .group_by(col(InteractionRow.outcome))
        ).all()
    )
    return Tally(
        outcomes={outcome: counts.get(outcome.value, 0) for outcome in CONCLUSIONS},
        pending=counts.get(None, 0),
        rules=_rules(session, within),
        missing=missing,
        is_awaited=is_awaited,
    )


def _missing(session: Session, *of_manifests: Any) -> int:
    """How many contacts the manifests list that never came; one that two list counts once."""
    listed = (col(UploadManifestRow.agency_id), col(UploadManifestRow.interaction_id))
    absent = (
        select(*listed)
        .join(UploadManifest, is_row_of_manifest())
        .join(InteractionRow, is_listed_as(), isouter=True)
        .where(*of_manifests, col(InteractionRow.id).is_(None))
        .distinct()
        .subquery()
    )
    return session.exec(select(func.count()).select_from(absent)).one()


def _unlisted(session: Session, manifest: UploadManifest) -> int:
    if manifest.campaign is None:
        return 0
    listed = select(UploadManifestRow.manifest_id).join(UploadManifest, is_row_of_manifest())
    return session.exec(
        select(func.count())
        .select_from(InteractionRow)
        .where(col(InteractionRow.agency_id) == manifest.agency_id)
        .where(col(InteractionRow.id).in_(ids_in_campaign(manifest.campaign)))
        .where(~listed.where(is_listed_as(), UploadManifest.campaign == manifest.campaign).exists())
    ).one()


def _rules(session: Session, within: tuple[Any, ...]) -> list[RuleCount]:
    """Findings of current verdicts by rule, the worst and most frequent first."""
    key = (col(FindingRow.rule), col(FindingRow.severity), col(FindingRow.disposition))
    rows = session.exec(
        select(  # type: ignore[call-overload]  # sqlmodel types up to four columns
            *key, func.count(), func.count(distinct(col(FindingRow.interaction_id)))
        )
        .join(InteractionRow, col(InteractionRow.verdict_id) == col(FindingRow.verdict_id))
        .where(*within)
        .group_by(*key)
    ).all()
    found = [
        RuleCount(rule, Severity(severity), Disposition(disposition), findings, contacts)
        for rule, severity, disposition, findings, contacts in rows
    ]
    return sorted(
        found,
        key=lambda row: (
            list(Disposition).index(row.disposition),
            -row.severity.rank,
            -row.findings,
            row.rule,
        ),
    )

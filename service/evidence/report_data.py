"""The figures of a report, counted by the database; only what is listed leaves it row by row."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from service.evidence.report_rules import ZONE, local

Scope = Mapping[str, Any]
STATUS_ZH = {
    "kept": "已保存",
    "purged": "期满已清除",
    "not_received": "未收到",
    "absent": "无录音",
    "undecodable": "已保存，无法解码",
}
ORDER = ("fail", "review", "inconclusive", "error", "pass", "pending")
# The interactions of a report; an agency's session sees no others anyway.
_SCOPE = (
    "i.started_at >= :since and i.started_at < :until"
    " and (cast(:agency as uuid) is null or i.agency_id = :agency)"
)
_DAY = f"(i.started_at at time zone '{ZONE.key}')::date"
_COUNTS = text(
    "select coalesce(i.outcome, 'pending'), i.channel, count(*) from interaction as i"  # noqa: S608  fixed words, no input
    f" where {_SCOPE} group by 1, 2"
)
_DAYS = text(
    f"select {_DAY} as day, count(*), count(*) filter (where i.outcome = 'fail'),"  # noqa: S608  fixed words
    " count(*) filter (where i.outcome = 'review') from interaction as i"
    f" where {_SCOPE} group by 1 order by 1"
)
_AGENCIES = text(
    "select a.id::text, a.name, count(*), count(*) filter (where i.outcome = 'fail'),"  # noqa: S608  fixed words
    " count(*) filter (where i.outcome = 'review'), count(*) filter (where i.outcome in"
    " ('inconclusive', 'error')) from interaction as i join agency as a"
    f" on a.tenant_id = i.tenant_id and a.id = i.agency_id where {_SCOPE}"
    " group by 1, 2 order by 4 desc, 2, 1"
)
_FINDINGS = text(
    "select f.id, f.rule, f.severity, f.disposition, f.doc, i.id, i.interaction_id, i.case_id,"  # noqa: S608  fixed words
    " i.channel, i.started_at, e.body #>> '{data,collector,id}', a.name"
    " from interaction as i"
    " join finding as f on f.tenant_id = i.tenant_id and f.verdict_id = i.verdict_id"
    " join event as e on e.tenant_id = i.tenant_id and e.id = i.event_id"
    " join agency as a on a.tenant_id = i.tenant_id and a.id = i.agency_id"
    f" where {_SCOPE} order by i.started_at, i.id, f.position"
)
_PACKS = text(
    "select distinct v.pack_digest from interaction as i join verdict as v"  # noqa: S608  fixed words
    f" on v.tenant_id = i.tenant_id and v.id = i.verdict_id where {_SCOPE} order by 1"
)
# A contact needs a recording where it announced one, or where it was an answered call.
_RECORDED = (
    "select i.interaction_id, i.started_at, i.recording_sha256, r.size_bytes, r.received_at,"  # noqa: S608  fixed words
    " r.retain_until, case"
    " when coalesce(jsonb_typeof(e.body #> '{data,recording}'), 'null') = 'null' then 'absent'"
    " when r.sha256 is null then 'not_received'"
    " when r.purged_at is not null then 'purged'"
    " when i.state = 'undecodable' then 'undecodable' else 'kept' end as status"
    " from interaction as i join event as e on e.tenant_id = i.tenant_id and e.id = i.event_id"
    " left join recording as r on r.tenant_id = i.tenant_id and r.sha256 = i.recording_sha256"
    f" where {_SCOPE} and (jsonb_typeof(e.body #> '{{data,recording}}') = 'object'"
    " or (i.channel = 'call' and e.body #>> '{data,outcome}' = 'answered'))"
)
_KEPT = text(
    "select status, count(*), coalesce(sum(size_bytes), 0)::bigint, min(retain_until)"  # noqa: S608  fixed words
    f" from ({_RECORDED}) as k group by status order by status"
)
_NOT_KEPT = text(
    f"select * from ({_RECORDED}) as k where status <> 'kept' order by started_at, interaction_id"  # noqa: S608  fixed words
)
_COMPLETE = text(
    "select a.name, count(*), sum(d.listed), sum(d.expected), sum(d.complete)"
    " from completeness_day as d join agency as a on a.tenant_id = d.tenant_id"
    " and a.id = d.agency_id where d.day >= :first and d.day <= :last"
    " and (cast(:agency as uuid) is null or d.agency_id = :agency) group by a.name order by a.name"
)
_FAULTS = text(
    "select f.kind, count(*), count(*) filter (where f.resolved_at is not null)"
    " from completeness_finding as f where f.day >= :first and f.day <= :last"
    " and (cast(:agency as uuid) is null or f.agency_id = :agency) group by 1 order by 1"
)
_DISPUTES = text(
    "select d.state, count(*) from dispute as d join interaction as i"  # noqa: S608  fixed words
    f" on i.tenant_id = d.tenant_id and i.id = d.interaction_id where {_SCOPE}"
    " group by 1 order by 1"
)
_PAGE = 1_000


def scope_of(
    since: datetime, until: datetime, first: date, last: date, agency_id: UUID | None
) -> Scope:
    """The values that every statement here takes."""
    return {"since": since, "until": until, "first": first, "last": last, "agency": agency_id}


def count_interactions(session: Session, scope: Scope) -> dict[str, Any]:
    """How many contacts there were, by outcome and by channel."""
    outcomes: dict[str, int] = {}
    channels: dict[str, int] = {}
    for outcome, channel, count in session.connection().execute(_COUNTS, scope):
        outcomes[outcome] = outcomes.get(outcome, 0) + count
        channels[channel] = channels.get(channel, 0) + count
    return {
        "interactions": sum(outcomes.values()),
        "by_outcome": {name: outcomes[name] for name in ORDER if name in outcomes},
        "by_channel": dict(sorted(channels.items())),
    }


def list_days(session: Session, scope: Scope) -> list[dict[str, Any]]:
    """Each day on which there was a contact: how many, and how many failed or wait for a person."""
    found = session.connection().execute(_DAYS, scope)
    return [
        {"day": day.isoformat(), "interactions": count, "fail": fail, "review": review}
        for day, count, fail, review in found
    ]


def list_agencies(session: Session, scope: Scope) -> list[dict[str, Any]]:
    """Each agency's contacts, those with most failures first."""
    names = ("id", "name", "interactions", "fail", "review", "not_verified")
    return [
        dict(zip(names, row, strict=True)) for row in session.connection().execute(_AGENCIES, scope)
    ]


def list_findings(session: Session, scope: Scope) -> Iterator[dict[str, Any]]:
    """Each finding of the verdicts that stand now, in the order of time."""
    found = session.connection().execute(_FINDINGS, scope, execution_options={"yield_per": _PAGE})
    for id_, rule, severity, disposition, doc, contact, name, case, channel, at, who, firm in found:
        yield {
            "interaction_id": name,
            "id": str(contact),
            "finding": str(id_),
            "agency": firm,
            "case_id": case,
            "channel": channel,
            "started_at": local(at),
            "collector_id": who or "",
            "rule": rule,
            "severity": severity,
            "disposition": disposition,
            **{
                key: doc.get(key)
                for key in ("articles", "quote", "heard", "start", "end", "facts", "why", "why_zh")
            },
        }


def list_packs(session: Session, scope: Scope) -> list[str]:
    """The digests of the packs that these verdicts were made with."""
    return [digest for (digest,) in session.connection().execute(_PACKS, scope)]


def count_recordings(session: Session, scope: Scope) -> dict[str, dict[str, Any]]:
    """How many recordings are kept and how many are not, by status; the first end of their time."""
    return {
        status: {
            "count": count,
            "bytes": size,
            "first_end": until.date().isoformat() if until else None,
            "status_zh": STATUS_ZH[status],
        }
        for status, count, size, until in session.connection().execute(_KEPT, scope)
    }


def list_not_kept(session: Session, scope: Scope) -> list[dict[str, Any]]:
    """Each contact whose recording is not there, or says nothing."""
    return [
        {
            "interaction_id": row.interaction_id,
            "started_at": local(row.started_at),
            "sha256": row.recording_sha256,
            "size_bytes": row.size_bytes,
            "received_at": local(row.received_at) if row.received_at else None,
            "retain_until": local(row.retain_until) if row.retain_until else None,
            "status": row.status,
            "status_zh": STATUS_ZH[row.status],
        }
        for row in session.connection().execute(_NOT_KEPT, scope)
    ]


def completeness_of(session: Session, scope: Scope) -> dict[str, Any]:
    """What the agencies' call lists say is missing; empty where none was sent."""
    connection = session.connection()
    names = ("agency", "days", "listed", "expected", "complete")
    return {
        "agencies": [
            dict(zip(names, (row[0], *map(int, row[1:])), strict=True))
            for row in connection.execute(_COMPLETE, scope)
        ],
        "faults": [
            {"kind": kind, "count": count, "resolved": resolved}
            for kind, count, resolved in connection.execute(_FAULTS, scope)
        ],
    }


def count_disputes(session: Session, scope: Scope) -> dict[str, int]:
    """How many findings of the period were disputed, by what became of it."""
    return {state: count for state, count in session.connection().execute(_DISPUTES, scope)}  # noqa: C416  rows to a mapping

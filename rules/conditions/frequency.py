"""Conditions on how often a person is contacted; counts are of natural days in Asia/Shanghai."""

from collections.abc import Iterable, Iterator

from rules.conditions.entry import entry_of, free_messages, timeline_of
from rules.context import ContactContext, FactHit
from rules.model import Disposition, Severity
from rules.timeline import Tally, masked


def _may_reach(context: ContactContext, count: float) -> bool:
    """Whether the case has seen so many contacts up to this one, of whatever kind."""
    return context.index + 1 >= count


def _over(context: ContactContext, tally: Tally | None, **facts: object) -> Iterator[FactHit]:
    if tally is not None and tally.count > context.parameters["limit"]:
        day = entry_of(context).day.isoformat()
        yield FactHit(
            facts={
                "count": tally.count,
                "callers": tally.callers,
                "agencies": tally.agencies,
                "day": day,
                **facts,
            }
        )


def effective_calls_over_limit(context: ContactContext) -> Iterable[FactHit]:
    """More effective calls to the debtor than `limit` on one day."""
    if not _may_reach(context, context.parameters["limit"] + 1):
        return ()
    tally = timeline_of(context).effective(context.index, context.parameters["talk_seconds"])
    return _over(context, tally)


def unanswered_dials_over_limit(context: ContactContext) -> Iterable[FactHit]:
    """More unanswered dials to one number than `limit` on one day."""
    if not _may_reach(context, context.parameters["limit"] + 1):
        return ()
    tally = timeline_of(context).unanswered(context.index)
    return _over(context, tally, called=masked(entry_of(context).phone))


def notices_over_limit(context: ContactContext) -> Iterable[FactHit]:
    """More one-way notices that got through than `limit` on one day."""
    if not _may_reach(context, context.parameters["limit"] + 1):
        return ()
    return _over(context, timeline_of(context).notices(context.index))


def burst_of_dials(context: ContactContext) -> Iterator[FactHit]:
    """Too many dials to one number within minutes, or to one person within a day."""
    given = context.parameters
    if not _may_reach(context, min(given["dials"], given["limit"] + 1)):
        return
    timeline = timeline_of(context)
    near = timeline.burst(context.index, given["minutes"])
    tally = timeline.dials(context.index)
    today = tally.count if tally else 0
    if near >= given["dials"] or today > given["limit"]:
        yield FactHit(
            facts={
                "in_window": near,
                "today": today,
                "day": entry_of(context).day.isoformat(),
                "called": masked(entry_of(context).phone),
            }
        )


def many_messages(context: ContactContext) -> Iterator[FactHit]:
    """Collection messages to one person in a day: a note from `warn_from`, then findings."""
    if not _may_reach(context, context.parameters["warn_from"]):
        return
    tally = timeline_of(context).messages(context.index, free_messages(context))
    if tally is None or tally.count < context.parameters["warn_from"]:
        return
    facts = {"count": tally.count, "day": entry_of(context).day.isoformat()}
    if tally.count >= context.parameters["from"]:
        yield FactHit(facts=facts)
    else:
        yield FactHit(facts=facts, disposition=Disposition.SIGNAL, severity=Severity.LOW)


def limit_passed_by_switching_numbers(context: ContactContext) -> Iterator[FactHit]:
    """A daily limit is passed only by adding up several caller numbers."""
    given = context.parameters
    if not _may_reach(context, min(given["effective_limit"], given["unanswered_limit"]) + 1):
        return
    timeline = timeline_of(context)
    counts = (
        (timeline.effective(context.index, given["talk_seconds"]), given["effective_limit"]),
        (timeline.unanswered(context.index), given["unanswered_limit"]),
    )
    for tally, limit in counts:
        if tally is None or tally.busiest is None or tally.count <= limit:
            continue
        if tally.busiest <= limit:
            yield FactHit(
                facts={
                    "count": tally.count,
                    "callers": tally.callers,
                    "busiest": tally.busiest,
                    "agencies": tally.agencies,
                    "day": entry_of(context).day.isoformat(),
                }
            )

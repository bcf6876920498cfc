"""Run the tests that rules carry."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydantic import ValidationError

from rules.engine import evaluate
from rules.fixture import EntryError, Fixture, build
from rules.model import Finding, Verdict
from rules.rule import Pack, ParameterError, Rule
from rules.timeline import SHANGHAI, in_zone


@dataclass(frozen=True, slots=True)
class Failure:
    """A test entry that did not come out as its rule says."""

    rule: str
    kind: str
    number: int
    entry: str
    message: str

    def __str__(self) -> str:
        return f"{self.rule} {self.kind}[{self.number}]: {self.message}: {self.entry}"


def entries(rule: Rule) -> Iterator[tuple[str, int, Any, bool]]:
    """The test entries of a rule: kind, number, entry, and whether the rule must fire."""
    tests = rule.tests
    for kind, group, fires in (
        ("hits", tests.hits, True),
        ("heard", tests.heard, True),
        ("misses", tests.misses, False),
        ("boundary.hits", tests.boundary_hits, True),
        ("boundary.misses", tests.boundary_misses, False),
    ):
        for number, entry in enumerate(group, start=1):
            yield kind, number, entry, fires


def selftest(pack: Pack) -> tuple[Failure, ...]:
    """Run all tests of all rules; an empty result means that every rule does what it says."""
    return tuple(
        Failure(rule.id, kind, number, str(entry), message)
        for rule in pack.rules
        for kind, number, entry, fires in entries(rule)
        if (message := check(pack, rule, entry, fires=fires)) is not None
    )


def check(pack: Pack, rule: Rule, entry: Any, *, fires: bool) -> str | None:
    """What is wrong with one test entry; None where it passes.

    The rule is asked alone: the second reader, which learns from such entries, is not.
    """
    try:
        fixture = build(rule, entry)
        given = {rule.id: fixture.parameters} if fixture.parameters else None
        verdict = evaluate(pack, fixture.history, parameters=given, reader=False)[fixture.index]
    except (
        EntryError,
        ValidationError,
        ParameterError,
        TypeError,
        KeyError,
        AttributeError,
    ) as error:
        return f"the entry cannot be used: {error}"
    if (day := _day_out_of_force(rule, fixture)) is not None:
        return f"its day, {day}, lies outside the days on which the rule is in force"
    found = [finding for finding in verdict.findings if finding.rule == rule.id]
    if fires and not found:
        return "nothing is reported"
    if not fires and found:
        shown = found[0].quote or dict(found[0].facts)
        return f"is reported: {shown}"
    return _unexpected(fixture, found, verdict)


def _day_out_of_force(rule: Rule, fixture: Fixture) -> date | None:
    """The day of the contact under test, where nothing could be reported whatever was said."""
    started = fixture.history.contacts[fixture.index].interaction.started_at
    day = in_zone(started, SHANGHAI).date()
    in_force = (rule.effective_from or date.min) <= day <= (rule.effective_to or date.max)
    return None if in_force else day


def _unexpected(fixture: Fixture, found: list[Finding], verdict: Verdict) -> str | None:
    """What differs from the entry's `expect`."""
    expect = dict(fixture.expect)
    outcome = expect.pop("outcome", None)
    if outcome is not None and verdict.outcome.value != outcome:
        return f"the outcome is {verdict.outcome.value}, not {outcome}"
    for key, wanted in expect.items():
        seen = [finding.as_dict().get(key) for finding in found]
        if wanted not in seen:
            return f"{key} is {seen}, not {wanted!r}"
    return None

"""How many tests a rule must carry before it loads."""

from collections.abc import Iterator

from rules.rule import (
    AbsentCondition,
    AllCondition,
    AnyCondition,
    Condition,
    CueCondition,
    FindingsCondition,
    NotCondition,
    RepeatedCondition,
    Rule,
    SequenceCondition,
    WordsCondition,
)

HITS, MISSES, HEARD = 3, 3, 2


def parts(condition: Condition) -> Iterator[Condition]:
    """The condition and all conditions inside it."""
    yield condition
    if isinstance(condition, AnyCondition | AllCondition):
        inner: tuple[Condition, ...] = condition.parts
    elif isinstance(condition, NotCondition | RepeatedCondition | AbsentCondition):
        inner = (condition.part,)
    elif isinstance(condition, SequenceCondition):
        inner = tuple(step.part for step in condition.steps)
    else:
        inner = ()
    for part in inner:
        yield from parts(part)


def is_about_words(rule: Rule) -> bool:
    """Whether the rule fires on words that are there, not on facts or on words that are missing."""
    return _fires_on_words(rule.when)


def _fires_on_words(condition: Condition) -> bool:
    if isinstance(condition, WordsCondition | CueCondition | FindingsCondition):
        return True
    if isinstance(condition, AnyCondition):
        return any(map(_fires_on_words, condition.parts))
    if isinstance(condition, AllCondition):
        return _fires_on_words(condition.parts[0])
    if isinstance(condition, RepeatedCondition):
        return _fires_on_words(condition.part)
    if isinstance(condition, SequenceCondition):
        return any(_fires_on_words(step.part) for step in condition.steps if not step.negative)
    return False


def check_quota(rule: Rule) -> Iterator[str]:
    """What the rule lacks in tests."""
    tests = rule.tests
    words = is_about_words(rule)
    wanted = (HITS, MISSES, HEARD) if words else (1, 1, 0)
    hits = len(tests.hits) + (0 if words else len(tests.boundary_hits))
    misses = len(tests.misses) + (0 if words else len(tests.boundary_misses))
    for name, have, need in (
        ("hits", hits, wanted[0]),
        ("misses", misses, wanted[1]),
        ("heard", len(tests.heard), wanted[2]),
    ):
        if have < need:
            yield f"needs at least {need} {name}, has {have}"
    numeric = [p.name for p in rule.parameters if _is_numeric(p.default)]
    if numeric and not (tests.boundary_hits and tests.boundary_misses):
        yield f"has a number ({', '.join(numeric)}) and so needs boundary hits and misses"


def _is_numeric(value: object) -> bool:
    if isinstance(value, bool):
        return False
    clock = isinstance(value, str) and len(value) == 5 and value[2:3] == ":"  # noqa: PLR2004
    return isinstance(value, int | float) or clock

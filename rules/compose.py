"""Conditions over a contact: words, facts, order, repetition and absence put together."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, NamedTuple

from rules.conditions import FACTS, HEARD
from rules.context import ContactContext, FactHit, Span
from rules.hearing import Hearing, Hit
from rules.model import Disposition, Finding
from rules.quota import parts
from rules.rule import (
    AbsentCondition,
    AllCondition,
    AnyCondition,
    Condition,
    CueCondition,
    FactsCondition,
    FindingsCondition,
    NotCondition,
    RepeatedCondition,
    Rule,
    SequenceCondition,
    Within,
    WordsCondition,
)

MAX_CHAINS = 400
"""Chains of a sequence that are followed; more of them in one contact say nothing new."""


@dataclass(slots=True)
class Scene:
    """One contact before the rules: what is heard and known of it, what could not be decided.

    The context carries the parameters of the rule that is asked, and the arguments of its facts.
    """

    hearing: Hearing
    context: ContactContext
    unknown: list[str]
    found: Sequence[Finding]


Check = Callable[[Scene], tuple[Hit, ...]]
"""The places where a condition holds on a contact, in order; empty where it does not."""


def check_of(condition: Condition, cues: Mapping[str, WordsCondition]) -> Check:
    """What is left to be done of a condition for each contact; `cues` by name."""
    check: Check
    match condition:
        case WordsCondition() | CueCondition():
            check = _words(
                cues[condition.name] if isinstance(condition, CueCondition) else condition
            )
        case NotCondition(part=part):
            check = _not(check_of(part, cues))
        case AnyCondition(parts=members):
            check = _any([check_of(part, cues) for part in members])
        case RepeatedCondition(part=part):
            check = partial(_repeated, condition, check_of(part, cues))
        case AllCondition():
            check = _ruled(condition, cues, _all(condition, cues))
        case SequenceCondition(steps=steps):
            checks = [check_of(step.part, cues) for step in steps]
            check = _ruled(condition, cues, partial(_sequence, condition, checks))
        case AbsentCondition():
            check = partial(_absent, condition)
        case FactsCondition():
            check = _facts(condition)
        case FindingsCondition():
            check = partial(_gravest, condition)
    return check


def _words(condition: WordsCondition) -> Check:
    return lambda scene: scene.hearing.hits(condition)


def _not(part: Check) -> Check:
    return lambda scene: () if part(scene) else (Hit((-1, 0)),)


def _any(checks: Sequence[Check]) -> Check:
    return lambda scene: tuple([hit for check in checks for hit in check(scene)])


def _ruled(condition: Condition, cues: Mapping[str, WordsCondition], check: Check) -> Check:
    """The check, for contacts that have the words without which the condition does not hold."""
    possible = ways(condition, cues)
    if possible is None:
        return check
    return lambda scene: check(scene) if scene.hearing.may_hold(possible) else ()


Ways = tuple[frozenset[int], ...] | None
"""Sets of keys of `words` conditions: all of one set must have matches, or nothing holds."""


def ways(condition: Condition, cues: Mapping[str, WordsCondition]) -> Ways:
    """In which ways a condition may hold at all; None: whatever is said.

    Where the words of each way are missing, the condition leaves nothing undecided either. That is
    so for the first part of `all` and the first step of a sequence, and for every other one, too,
    where no facts are asked.
    """
    found: Ways = None
    match condition:
        case WordsCondition(key=key):
            found = (frozenset({key}),)
        case CueCondition(name=name):
            found = (frozenset({cues[name].key}),)
        case RepeatedCondition(part=part):
            found = ways(part, cues)
        case FactsCondition(name=name, arguments=arguments):
            found = _spoken(HEARD.get(name, ()), arguments, cues)
        case AllCondition(parts=members):
            found = _together(condition, members, cues)
        case SequenceCondition(steps=steps):
            wanted = [step.part for step in steps if not step.negative]
            found = _together(condition, wanted, cues)
        case AnyCondition(parts=members):
            each = [ways(part, cues) for part in members]
            if None not in each:
                found = tuple(dict.fromkeys(keys for some in each for keys in some or ()))
    return found


def _spoken(
    groups: Sequence[Sequence[str]],
    arguments: Mapping[str, Any],
    cues: Mapping[str, WordsCondition],
) -> Ways:
    """The ways of facts that need the cues of one of these groups; none where a cue is unknown."""
    named = [[str(arguments.get(name, name)) for name in group] for group in groups]
    if not named or any(name not in cues for group in named for name in group):
        return None
    return tuple(frozenset(cues[name].key for name in group) for group in named)


def _together(
    condition: Condition, members: Sequence[Condition], cues: Mapping[str, WordsCondition]
) -> Ways:
    """The ways in which all of these members of a condition may hold."""
    if any(isinstance(part, FactsCondition | FindingsCondition) for part in parts(condition)):
        members = members[:1]
    found = [some for part in members if (some := ways(part, cues)) is not None]
    if not found:
        return None
    return tuple(frozenset().union(*keys) for keys in itertools.product(*found))


MAX_DAYS = 1024
"""Days of which it is kept what binds on them."""


class Item(NamedTuple):
    """What may hold of a rule by itself: one of several parts of it, or all of it.

    `keys` are those of all `words` conditions that it asks for.
    """

    rule: Rule
    check: Check
    keys: frozenset[int]


class Agenda:
    """Rules in their order, of which only those parts that may hold are to be asked."""

    def __init__(self, rules: Sequence[Rule], cues: Mapping[str, WordsCondition]) -> None:
        self._items: list[Item] = []
        self._always: list[int] = []
        self._by_key: dict[int, list[int]] = {}
        self._together: dict[int, list[tuple[int, frozenset[int]]]] = {}
        self._bound: dict[date, frozenset[int]] = {}
        for rule in rules:
            when = rule.when
            for part in when.parts if isinstance(when, AnyCondition) else (when,):
                self._add(rule, part, cues)

    def _add(self, rule: Rule, part: Condition, cues: Mapping[str, WordsCondition]) -> None:
        number, possible = len(self._items), ways(part, cues)
        self._items.append(Item(rule, check_of(part, cues), _keys(part, cues)))
        if possible is None:
            self._always.append(number)
        for keys in possible or ():
            if len(keys) == 1:
                self._by_key.setdefault(min(keys), []).append(number)
            else:
                self._together.setdefault(min(keys), []).append((number, keys))

    def of(self, set_off: AbstractSet[int], day: date) -> list[Item]:
        """What may hold of the rules of a day where these `words` conditions may, rule by rule."""
        numbers = set(self._always)
        for key in set_off & self._by_key.keys():
            numbers.update(self._by_key[key])
        for key in set_off & self._together.keys():
            numbers.update([number for number, keys in self._together[key] if keys <= set_off])
        items = self._items
        return [items[number] for number in sorted(numbers & self._bound_on(day))]

    def _bound_on(self, day: date) -> frozenset[int]:
        """The numbers of what is in force on that day."""
        if day not in self._bound:
            if len(self._bound) == MAX_DAYS:
                self._bound.clear()
            items = enumerate(self._items)
            self._bound[day] = frozenset(n for n, item in items if item.rule.binds(day))
        return self._bound[day]


def _keys(condition: Condition, cues: Mapping[str, WordsCondition]) -> frozenset[int]:
    """The keys of all `words` conditions in a condition."""
    found = set()
    for part in parts(condition):
        if isinstance(part, WordsCondition):
            found.add(part.key)
        elif isinstance(part, CueCondition):
            found.add(cues[part.name].key)
    return frozenset(found)


def _gravest(condition: FindingsCondition, scene: Scene) -> tuple[Hit, ...]:
    """One hit on the gravest finding of these families, which names the rules of all of them."""
    found = [finding for finding in scene.found if finding.rule[:3] in condition.families]
    if not found:
        return ()
    top = min(found, key=_gravity)
    rules = sorted({finding.rule for finding in found})
    span = None
    if top.segment is not None and top.char_start is not None and top.char_end is not None:
        span = Span(
            segment=top.segment,
            char_start=top.char_start,
            char_end=top.char_end,
            heard=top.heard or "",
            quote=top.quote or "",
            speaker=top.speaker,
            turn=0,
            start=top.start,
            end=top.end,
            match=top.match,
            confidence=top.confidence,
        )
    return (
        Hit(
            (0, top.char_start or 0),
            span,
            facts={"rules": ", ".join(rules)},
            disposition=top.disposition,
            severity=top.severity,
            confidence=top.confidence,
        ),
    )


def _gravity(finding: Finding) -> tuple[int, int, float, str, int]:
    standing = list(Disposition).index(finding.disposition)
    return (
        standing,
        -finding.severity.rank,
        -finding.confidence,
        finding.rule,
        finding.char_start or 0,
    )


def _facts(condition: FactsCondition) -> Check:
    ask, arguments = FACTS[condition.name], condition.arguments

    def check(scene: Scene) -> tuple[Hit, ...]:
        scene.context.arguments = arguments
        found: tuple[Hit, ...] = ()
        for fact in ask(scene.context):
            if (hit := _stated(fact, scene)) is not None:
                found += (hit,)
        return found

    return check


def _stated(fact: FactHit, scene: Scene) -> Hit | None:
    """The hit of a fact; one that cannot be decided is noted instead."""
    if fact.unknown is not None:
        scene.unknown.append(fact.unknown)
        return None
    span, missing = fact.at, fact.missing or ""
    return Hit(
        (span.turn, span.char_start) if span else (-1, 0),
        span,
        facts=fact.facts,
        missing=missing,
        missing_zh=missing,
        disposition=fact.disposition,
        severity=fact.severity,
        confidence=span.confidence if span else 1.0,
    )


def _near(one: Hit, other: Hit, within: Within | None) -> bool:
    """Whether two hits lie close enough; facts are near everything."""
    if within is None or one.turn < 0 or other.turn < 0:
        return True
    if within.turns is not None:
        return abs(one.turn - other.turn) <= within.turns
    return _seconds_apart(one, other) <= (within.seconds or 0.0)


def _seconds_apart(one: Hit, other: Hit) -> float:
    a, b = (one, other) if one.order <= other.order else (other, one)
    ended = a.span.end if a.span and a.span.end is not None else 0.0
    started = b.span.start if b.span and b.span.start is not None else 0.0
    return max(0.0, started - ended)


def _all(condition: AllCondition, cues: Mapping[str, WordsCondition]) -> Check:
    """Facts are asked first: they cost less than words, and mostly do not hold."""
    members = condition.parts
    first = check_of(members[0], cues)
    facts = [(n, check_of(p, cues)) for n, p in enumerate(members) if isinstance(p, FactsCondition)]
    rest = [
        (n, check_of(_bare(part), cues), not isinstance(part, NotCondition))
        for n, part in enumerate(members[1:], start=1)
    ]

    def check(scene: Scene) -> tuple[Hit, ...]:
        held: dict[int, tuple[Hit, ...]] = {}
        before = len(scene.unknown)
        for n, fact in facts:
            held[n] = fact(scene)
            if not held[n] and len(scene.unknown) == before:
                return ()
        hits = held[0] if 0 in held else first(scene)
        if not hits and 0 not in held:
            del scene.unknown[before:]
        for n, part, wanted in rest:
            if not hits:
                break
            company = held[n] if n in held else part(scene)
            hits = _accompanied(hits, company, condition.scope, wanted=wanted)
        return hits

    return check


def _bare(part: Condition) -> Condition:
    return part.part if isinstance(part, NotCondition) else part


def _accompanied(
    hits: tuple[Hit, ...], company: tuple[Hit, ...], scope: Within | None, *, wanted: bool
) -> tuple[Hit, ...]:
    """The hits that have the wanted company near them, or have not the unwanted one."""
    kept = []
    for hit in hits:
        near = next((other for other in company if _near(hit, other, scope)), None)
        if wanted and near is not None:
            kept.append(hit.beside(near))
        elif not wanted and near is None:
            kept.append(hit)
    return tuple(kept)


def _follows(before: Hit, after: Hit, within: Within | None) -> bool:
    if before.turn < 0 or after.turn < 0:
        return True
    if after.order <= before.order:
        return False
    return _near(before, after, within)


def _sequence(
    condition: SequenceCondition, checks: Sequence[Check], scene: Scene
) -> tuple[Hit, ...]:
    steps = condition.steps
    found: dict[int, tuple[Hit, ...]] = {}
    for n, step in sorted(enumerate(steps), key=lambda pair: pair[1].negative):
        found[n] = checks[n](scene)
        if not found[n] and not step.negative:
            return ()
    chains: list[dict[int, Hit]] = [{}]
    last: int | None = None
    for n, step in enumerate(steps):
        if step.negative:
            continue
        chains = [
            {**chain, n: hit}
            for chain in chains
            for hit in found[n]
            if last is None or _follows(chain[last], hit, step.within)
        ][:MAX_CHAINS]
        last = n
    carried: list[Hit] = []
    for chain in chains:
        if not any(
            _intrudes(n, chain, found[n], step.within)
            for n, step in enumerate(steps)
            if step.negative
        ):
            carrier = chain[condition.carrier]
            for n in sorted(chain):
                if n != condition.carrier and chain[n].facts:
                    carrier = carrier.beside(chain[n])
            carried.append(carrier)
    return _distinct(carried)


def _intrudes(n: int, chain: dict[int, Hit], hits: tuple[Hit, ...], within: Within | None) -> bool:
    """Whether a forbidden hit lies between the steps before and after it."""
    before = max((m for m in chain if m < n), default=None)
    after = min((m for m in chain if m > n), default=None)
    return any(
        (before is None or _follows(chain[before], hit, within))
        and (after is None or _follows(hit, chain[after], within if before is None else None))
        for hit in hits
    )


def _repeated(condition: RepeatedCondition, part: Check, scene: Scene) -> tuple[Hit, ...]:
    hits = sorted(part(scene), key=lambda hit: hit.order)
    back = condition.times - 1
    close = partial(_near, within=condition.within)
    return tuple(hit for n, hit in enumerate(hits) if n >= back and close(hits[n - back], hit))


def _absent(condition: AbsentCondition, scene: Scene) -> tuple[Hit, ...]:
    part, hearing = condition.part, scene.hearing
    if hearing.silent(part.voice, part.turns) or hearing.hits(part):
        return ()
    doubtful = hearing.doubtful(part.voice, part.turns) or hearing.garbled
    return (
        Hit(
            (-1, 0),
            facts={"missing": condition.name.en} if condition.name.en else None,
            missing=condition.name.en,
            missing_zh=condition.name.zh,
            disposition=Disposition.REVIEW if doubtful else None,
        ),
    )


def _distinct(hits: list[Hit]) -> tuple[Hit, ...]:
    """The hits in order, each place once."""
    by_place = {(hit.order, hit.span): hit for hit in reversed(hits)}
    return tuple(sorted(by_place.values(), key=lambda hit: hit.order))

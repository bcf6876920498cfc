"""Conditions over a contact: words, facts, order, repetition and absence put together."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rules.conditions import FACTS
from rules.context import ContactContext, Span
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


def holds(condition: Condition, scene: Scene) -> tuple[Hit, ...]:
    """The places where a condition holds on a contact, in order; empty where it does not."""
    return _HOLDS[type(condition)](condition, scene)


def _words(condition: WordsCondition, scene: Scene) -> tuple[Hit, ...]:
    return scene.hearing.hits(condition)


def _cue(condition: CueCondition, scene: Scene) -> tuple[Hit, ...]:
    return scene.hearing.hits(scene.hearing.pack.cues[condition.name])


def _not(condition: NotCondition, scene: Scene) -> tuple[Hit, ...]:
    return () if holds(condition.part, scene) else (Hit((-1, 0)),)


def _any(condition: AnyCondition, scene: Scene) -> tuple[Hit, ...]:
    found: tuple[Hit, ...] = ()
    for part in condition.parts:
        if hits := _HOLDS[type(part)](part, scene):
            found += hits
    return found


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


class Agenda:
    """Rules in their order, of which only those that may hold are to be asked."""

    def __init__(self, rules: Sequence[Rule], cues: Mapping[str, WordsCondition]) -> None:
        self._rules = tuple(rules)
        self._always: list[int] = []
        self._by_key: dict[int, list[tuple[int, frozenset[int]]]] = {}
        for n, rule in enumerate(rules):
            possible = ways(rule.when, cues)
            if possible is None:
                self._always.append(n)
            for keys in possible or ():
                self._by_key.setdefault(min(keys), []).append((n, keys))

    def of(self, set_off: AbstractSet[int]) -> list[Rule]:
        """The rules that may hold where these `words` conditions have matches, if any have."""
        found = set(self._always)
        for key in set_off & self._by_key.keys():
            found.update([n for n, keys in self._by_key[key] if keys <= set_off])
        return [self._rules[n] for n in sorted(found)]


def _is_ruled_out(condition: Condition, scene: Scene) -> bool:
    """Whether words are missing without which the condition does not hold."""
    pack = scene.hearing.pack
    known: dict[int, Ways] = pack.memory.setdefault("ways", {})
    if id(condition) not in known:
        known[id(condition)] = ways(condition, pack.cues)
    possible = known[id(condition)]
    return possible is not None and not scene.hearing.may_hold(possible)


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
            {"rules": ", ".join(rules)},
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


def _facts(condition: FactsCondition, scene: Scene) -> tuple[Hit, ...]:
    found: list[Hit] = []
    scene.context.arguments = condition.arguments
    for result in FACTS[condition.name](scene.context):
        if result.unknown is not None:
            scene.unknown.append(result.unknown)
            continue
        span = result.at
        order = (span.turn, span.char_start) if span else (-1, 0)
        found.append(
            Hit(
                order,
                span,
                result.facts,
                result.missing or "",
                result.missing or "",
                result.disposition,
                result.severity,
                span.confidence if span else 1.0,
            )
        )
    return tuple(found)


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


def _all(condition: AllCondition, scene: Scene) -> tuple[Hit, ...]:
    """Facts are asked first: they cost less than words, and mostly do not hold."""
    if _is_ruled_out(condition, scene):
        return ()
    held: dict[int, tuple[Hit, ...]] = {}
    before = len(scene.unknown)
    for n, part in enumerate(condition.parts):
        if isinstance(part, FactsCondition):
            held[n] = holds(part, scene)
            if not held[n] and len(scene.unknown) == before:
                return ()
    hits = held[0] if 0 in held else holds(condition.parts[0], scene)
    if not hits and 0 not in held:
        del scene.unknown[before:]
    for n, part in enumerate(condition.parts[1:], start=1):
        if not hits:
            break
        company = held[n] if n in held else holds(_bare(part), scene)
        hits = _accompanied(
            hits, company, condition.scope, wanted=not isinstance(part, NotCondition)
        )
    return hits


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
            kept.append(_merged(hit, near))
        elif not wanted and near is None:
            kept.append(hit)
    return tuple(kept)


def _merged(hit: Hit, other: Hit) -> Hit:
    """The hit with the facts, and the milder judgement, of its company."""
    facts = {**(hit.facts or {}), **(other.facts or {})}
    return replace(
        hit,
        facts=facts or None,
        missing=hit.missing or other.missing,
        missing_zh=hit.missing_zh or other.missing_zh,
        disposition=hit.disposition
        or (other.disposition if other.turn < 0 or other.facts else None),
        severity=hit.severity or (other.severity if other.facts else None),
        confidence=hit.confidence * (other.confidence if hit.span is None else 1.0),
    )


def _follows(before: Hit, after: Hit, within: Within | None) -> bool:
    if before.turn < 0 or after.turn < 0:
        return True
    if after.order <= before.order:
        return False
    return _near(before, after, within)


def _sequence(condition: SequenceCondition, scene: Scene) -> tuple[Hit, ...]:
    if _is_ruled_out(condition, scene):
        return ()
    steps = condition.steps
    found: dict[int, tuple[Hit, ...]] = {}
    for n, step in sorted(enumerate(steps), key=lambda pair: pair[1].negative):
        found[n] = holds(step.part, scene)
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
                    carrier = _merged(carrier, chain[n])
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


def _repeated(condition: RepeatedCondition, scene: Scene) -> tuple[Hit, ...]:
    hits = sorted(holds(condition.part, scene), key=lambda hit: hit.order)
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


_HOLDS: dict[type[Condition], Callable[[Any, Scene], tuple[Hit, ...]]] = {
    WordsCondition: _words,
    CueCondition: _cue,
    NotCondition: _not,
    AnyCondition: _any,
    AllCondition: _all,
    SequenceCondition: _sequence,
    RepeatedCondition: _repeated,
    AbsentCondition: _absent,
    FactsCondition: _facts,
    FindingsCondition: _gravest,
}

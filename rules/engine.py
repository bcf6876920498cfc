"""Evaluate a case history against a pack: one verdict for each contact."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from rules.citation import may_cite
from rules.compose import Agenda, Item, Scene
from rules.context import ContactContext, Span
from rules.events import Case, Channel, Interaction, Mode, Segment, Speaker
from rules.flaws import flaws_of, talked
from rules.hearing import Candidate, Hearing, Hit, is_unsure, overlap
from rules.legible import PLAIN, SHAKY, misheard_before
from rules.model import (
    Audio,
    CaseHistory,
    Contact,
    Disposition,
    Finding,
    Outcome,
    Suggestion,
    Verdict,
)
from rules.parameters import Overrides, resolve
from rules.quota import is_about_words, parts
from rules.rule import (
    AbsentCondition,
    FactsCondition,
    FindingsCondition,
    Pack,
    Rule,
    SequenceCondition,
)
from rules.second import gated_of, second_reading
from rules.standing import settled
from rules.timeline import SHANGHAI, in_zone

SURE_MATCH = 0.8
"""Matches by sound less sure than this can only ask for a review."""

UNSAID = frozenset({"institution_not_named", "employee_not_named", "recording_not_mentioned"})
"""Facts that are words which were not heard."""

Suggestions = Mapping[tuple[str, str], Sequence[Suggestion]]


@dataclass(slots=True)
class _Ledger:
    """One history under evaluation: each contact is heard once, whoever asks."""

    pack: Pack
    history: CaseHistory
    parameters: dict[str, dict[str, Any]]
    reads: bool
    hearings: dict[tuple[str, str], Hearing] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)

    def hearing(self, contact: Contact) -> Hearing:
        """What is heard in a contact."""
        held = self.hearings.get(contact.key)
        if held is None or held.contact is not contact:
            held = self.hearings[contact.key] = Hearing(self.pack, contact)
        return held

    def said(self, cue: str, contact: Contact) -> tuple[Span, ...]:
        """Places where a cue holds."""
        return self.hearing(contact).said(cue)

    def goes_on(self, contact: Contact, segment: int) -> bool:
        """Whether a turn of the collector begins after that segment."""
        return self.hearing(contact).goes_on(segment)

    def garbled(self, contact: Contact) -> bool:
        """Whether what was said in a contact is badly written down."""
        return self.hearing(contact).garbled

    def sounds(self, needle: str, contact: Contact, *, turns: int | None) -> Span | None:
        """Where the collector says something like the needle."""
        return self.hearing(contact).sounds(needle, turns)


def evaluate(
    pack: Pack,
    history: CaseHistory,
    *,
    parameters: Overrides | None = None,
    suggestions: Suggestions | None = None,
    reader: bool = True,
) -> tuple[Verdict, ...]:
    """One verdict for each contact of the history, in its order; the same bytes for the same input.

    `suggestions` by (agency id, interaction id); the pack's own reader, where it has one, is asked
    as well unless `reader` is false. Raises `ParameterError` for tenant values that a rule does not
    allow, and nothing else.
    """
    values = resolve(pack, parameters) if parameters else _defaults(pack)
    ledger = _Ledger(pack, history, values, reader)
    starts = [version.as_of for version in history.versions]
    return tuple(
        _check(
            ledger,
            index,
            _case_at(history, starts, contact.interaction.started_at),
            suggestions or {},
        )
        for index, contact in enumerate(history.contacts)
    )


def _defaults(pack: Pack) -> dict[str, dict[str, Any]]:
    """The values of all parameters where the tenant sets none."""
    if "defaults" not in pack.memory:
        pack.memory["defaults"] = resolve(pack, None)
    found: dict[str, dict[str, Any]] = pack.memory["defaults"]
    return found


def _rules_about(pack: Pack, interaction: Interaction) -> Agenda:
    """The rules about such a contact on whatever day, those on other findings last."""
    key = (
        interaction.channel,
        interaction.party.role,
        interaction.mode,
        interaction.direction,
        interaction.outcome,
    )
    if key not in pack.memory:
        about = [rule for rule in pack.rules if _is_about(rule, interaction)]
        about.sort(key=lambda rule: isinstance(rule.when, FindingsCondition))
        pack.memory[key] = Agenda(about, pack.cues)
    found: Agenda = pack.memory[key]
    return found


def _case_at(history: CaseHistory, starts: list[datetime], moment: datetime) -> Case | None:
    """The case as known at that time; the first version where none is older."""
    if not starts:
        return None
    return history.versions[max(0, bisect_right(starts, moment) - 1)].case


def _check(ledger: _Ledger, index: int, case: Case | None, suggestions: Suggestions) -> Verdict:
    contact = ledger.history.contacts[index]
    interaction = contact.interaction
    day = in_zone(interaction.started_at, SHANGHAI).date()
    hearing = ledger.hearing(contact)
    found: list[Finding] = []
    unknown: list[str] = []
    context = ContactContext(
        ledger.history, contact, index, case, {}, {}, words=ledger, memory=ledger.memory
    )
    scene = Scene(hearing, context, unknown, found)
    asked = _rules_about(ledger.pack, interaction).of(hearing.set_off, day)
    _ask(asked, ledger.parameters, scene, found)
    second = second_reading(
        ledger.pack.reader if ledger.reads else None,
        hearing,
        found,
        suggestions.get(contact.key, ()),
        lambda: _in_force(ledger, interaction, day),
    )
    found = settled(
        _cited(ledger.pack, second, day, case),
        interaction,
        (version.case for version in ledger.history.versions),
        missing=_unsaid(ledger.pack),
        words=lambda: hearing.words(key for item in asked for key in item.keys),
    )
    found.sort(key=_place)
    outcome, reasons = _outcome(ledger.pack, contact, hearing, found, unknown)
    return Verdict(
        interaction_id=interaction.interaction_id,
        agency_id=interaction.agency_id,
        outcome=outcome,
        findings=tuple(found),
        reasons=reasons,
        pack=ledger.pack.name,
        pack_digest=ledger.pack.digest,
        untrusted_share=contact.audio.untrusted_share,
    )


def _ask(
    asked: Iterable[Item],
    parameters: Mapping[str, Mapping[str, Any]],
    scene: Scene,
    found: list[Finding],
) -> None:
    """Add what each rule finds; its items follow one another."""
    context = scene.context
    rule: Rule | None = None
    hits: list[Hit] = []
    for item in asked:
        if item.rule is not rule:
            if hits and rule:
                found += _findings(rule, hits, context.parameters, scene.hearing)
                hits = []
            rule = item.rule
            context.parameters = parameters[rule.id]
        if context.parameters.get("enabled") is not False:
            hits += item.check(scene)
    if hits and rule:
        found += _findings(rule, hits, context.parameters, scene.hearing)


def _cited(pack: Pack, found: Sequence[Finding], day: date, case: Case | None) -> list[Finding]:
    """The findings with the articles that hold; one that no article carries is none."""
    kept = []
    for finding in found:
        articles = tuple(
            [cite for cite in finding.articles if may_cite(pack.articles[cite], day, case)]
        )
        if articles == finding.articles:
            kept.append(finding)
        elif articles:
            kept.append(replace(finding, articles=articles))
    return kept


def applies(rule: Rule, interaction: Interaction, day: date) -> bool:
    """Whether the rule is in force on that day and about such a contact."""
    return _is_about(rule, interaction) and rule.binds(day)


def _in_force(ledger: _Ledger, interaction: Interaction, day: date) -> list[Rule]:
    """The rules about words that bind such a contact on that day."""
    return [
        rule
        for rule in ledger.pack.rules
        if is_about_words(rule)
        and applies(rule, interaction, day)
        and ledger.parameters[rule.id].get("enabled") is not False
    ]


def _is_about(rule: Rule, interaction: Interaction) -> bool:
    return (
        (not rule.channels or interaction.channel.value in rule.channels)
        and (not rule.parties or interaction.party.role.value in rule.parties)
        and (not rule.modes or interaction.mode.value in rule.modes)
        and (not rule.directions or interaction.direction in rule.directions)
        and (not rule.outcomes or interaction.outcome.value in rule.outcomes)
    )


def _place(finding: Finding) -> tuple[Any, ...]:
    return (
        finding.rule,
        -1 if finding.segment is None else finding.segment,
        finding.char_start or 0,
        finding.char_end or 0,
        finding.why,
    )


def _findings(
    rule: Rule, hits: Iterable[Hit], values: Mapping[str, Any], hearing: Hearing
) -> list[Finding]:
    """The findings of one rule: untrusted words carry none, overlapping words carry one."""
    kept: list[Hit] = []
    usable = [hit for hit in hits if hit.span is None or hit.span.trusted]
    for hit in sorted(usable, key=_weight):
        if not any(overlap(hit, other) for other in kept):
            kept.append(hit)
    return [_finding(rule, hit, values, hearing) for hit in kept]


def _weight(hit: Hit) -> tuple[bool, float, tuple[int, int]]:
    """The surest first; but words that only ask for a look give way to words that stand alone.

    Facts that ask for a look do not: they know the case.
    """
    unsure = hit.disposition is Disposition.REVIEW and not hit.facts
    return unsure, -hit.confidence, hit.order


def _finding(rule: Rule, hit: Hit, values: Mapping[str, Any], hearing: Hearing) -> Finding:
    span = hit.span
    why_en, why_zh = _explained(rule, hit, values)
    facts = dict(hit.facts or {})
    basic = Finding(
        rule=rule.id,
        articles=rule.articles,
        severity=hit.severity or rule.severity,
        disposition=_disposition(rule, hit, hearing),
        why=why_en,
        why_zh=why_zh,
        confidence=round(hit.confidence, 3),
        facts=facts,
    )
    if span is None:
        return basic
    return replace(
        basic,
        speaker=span.speaker,
        quote=span.quote,
        heard=span.heard,
        segment=span.segment,
        char_start=span.char_start,
        char_end=span.char_end,
        start=span.start,
        end=span.end,
        match=span.match,
    )


def _disposition(rule: Rule, hit: Hit, hearing: Hearing) -> Disposition:
    """What the evidence can carry: doubtful speakers and doubtful words ask for a review."""
    wanted = hit.disposition or rule.disposition
    if wanted is not Disposition.VIOLATION or hit.span is None:
        return wanted
    if hit.span.speaker is not None:
        own = is_unsure(hearing.document.segments[hit.span.segment])
        if own or (_leans_on_others(rule) and hearing.unsure()):
            return Disposition.REVIEW
    if hit.span.match == "phonetic":
        unsure = hit.span.confidence < SURE_MATCH or hearing.oddity > SHAKY
    else:
        short = hit.span.char_end - hit.span.char_start < PLAIN
        unsure = (short and hearing.garbled) or (
            hearing.oddity > SHAKY and _lead_is_misheard(hit.span, hearing)
        )
    return Disposition.REVIEW if unsure or hit.span.biased else wanted


def _lead_is_misheard(span: Span, hearing: Hearing) -> bool:
    text = hearing.document.segments[span.segment].text
    return span.speaker is not None and misheard_before(text, span.char_start)


def _unsaid(pack: Pack) -> frozenset[str]:
    """The rules on words that were not said."""
    if "unsaid" not in pack.memory:
        pack.memory["unsaid"] = frozenset(
            rule.id
            for rule in pack.rules
            if any(
                isinstance(part, AbsentCondition)
                or (isinstance(part, FactsCondition) and part.name in UNSAID)
                for part in parts(rule.when)
            )
        )
    found: frozenset[str] = pack.memory["unsaid"]
    return found


def _leans_on_others(rule: Rule) -> bool:
    """Whether other words than those it points at, maybe another speaker's, carry a finding."""
    return any(isinstance(part, SequenceCondition) for part in parts(rule.when))


class _Known(dict[str, Any]):
    """Template values; what is not known is shown as a dash."""

    def __missing__(self, key: str) -> str:
        return "—"


def _explained(rule: Rule, hit: Hit, values: Mapping[str, Any]) -> tuple[str, str]:
    span = hit.span
    known: dict[str, Any] = {**values, **(hit.facts or {})}
    known |= {"quote": span.quote, "heard": span.heard} if span else {}
    english = _filled(rule.why.en, _Known(known | {"missing": hit.missing}))
    chinese = _filled(rule.why.zh, _Known(known | {"missing": hit.missing_zh}))
    if span is not None and span.match == "phonetic":
        english += f" Matched by sound (heard: “{span.heard}”)."
        chinese += f"（按发音识别，转写原文为“{span.heard}”）"
    return english, chinese


def _filled(template: str, known: _Known) -> str:
    """The template with its names filled in; braces that are no names stay as they are."""
    parts = template.split("{")
    done = [parts[0]]
    for part in parts[1:]:
        name, brace, rest = part.partition("}")
        done.append(f"{known[name.strip()]}{rest}" if brace else "{" + part)
    return "".join(done)


def _outcome(
    pack: Pack, contact: Contact, hearing: Hearing, found: Sequence[Finding], unknown: Sequence[str]
) -> tuple[Outcome, tuple[str, ...]]:
    reasons = tuple(dict.fromkeys([*_missing_evidence(pack, contact, hearing), *sorted(unknown)]))
    if contact.audio.state == "failed":
        return Outcome.ERROR, (contact.audio.reason or "audio_not_decodable", *reasons)
    dispositions = {finding.disposition for finding in found}
    if Disposition.VIOLATION in dispositions:
        return Outcome.FAIL, reasons
    if reasons:
        return Outcome.INCONCLUSIVE, reasons
    return (Outcome.REVIEW if Disposition.REVIEW in dispositions else Outcome.PASS), ()


def _missing_evidence(pack: Pack, contact: Contact, hearing: Hearing) -> Iterable[str]:
    interaction, audio = contact.interaction, contact.audio
    has_talk = talked(interaction)
    if audio.state == "missing" and (has_talk or interaction.channel is Channel.VISIT):
        yield "recording_missing"
    if _unheard(interaction, audio) and has_talk:
        yield "words_unknown"
    if audio.untrusted_share > pack.untrusted_limit:
        yield "speech_not_trusted"
    yield from flaws_of(interaction, audio)
    if has_talk and _nobody_is_known(hearing.document.segments):
        yield "speakers_unknown"


def _nobody_is_known(segments: Sequence[Segment]) -> bool:
    """Whether there are words, and nobody knows of any of them who said them."""
    anything = False
    for segment in segments:
        if segment.text.strip():
            if segment.speaker is not Speaker.UNKNOWN:
                return False
            anything = True
    return anything


def _unheard(interaction: Interaction, audio: Audio) -> bool:
    """Whether people talked and no recording was announced; a one-way notice needs none."""
    return (
        audio.state == "none"
        and interaction.transcript is None
        and interaction.mode is not Mode.NOTICE
    )


def gated_utterances(pack: Pack, contact: Contact) -> tuple[tuple[int, str], ...]:
    """Segment number and raw text of the collector's words that a second reader may see."""
    return gated_of(Hearing(pack, contact))


def explain(pack: Pack, contact: Contact) -> tuple[Candidate, ...]:
    """Every match in a contact and which guard cleared it; for people who ask why."""
    return tuple(Hearing(pack, contact).candidates())

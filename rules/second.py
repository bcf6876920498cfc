"""What the second reader adds to the findings of the patterns, and what it takes away."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from rules.document import Side, Voice
from rules.events import Segment, Speaker
from rules.hearing import SURE_ROLE, Hearing, Hit
from rules.model import Disposition, Finding, Suggestion
from rules.quota import parts
from rules.reader import THIRD_PARTIES, Reader, Reading, Standing, standing_of
from rules.rule import (
    AllCondition,
    AnyCondition,
    Condition,
    CueCondition,
    NotCondition,
    RepeatedCondition,
    Rule,
    SequenceCondition,
    WordsCondition,
)

SURE_SUGGESTION = 0.5
"""Suggestions less sure than this are left out."""

DOUBTED = "The second reader doubts it: a person must confirm it."
DOUBTED_ZH = "辅助判读对此存疑，须人工确认。"


def gated_of(hearing: Hearing) -> tuple[tuple[int, str], ...]:
    """What a second reader may see: trusted segments, surely the collector's, none cleared."""
    cleared = {
        candidate.span.segment
        for candidate in hearing.candidates()
        if candidate.cleared_by is not None and candidate.voice is Voice.COLLECTOR
    }
    return tuple(
        (n, segment.text)
        for n, segment in enumerate(hearing.document.segments)
        if segment.speaker is Speaker.COLLECTOR
        and segment.trusted
        and segment.role_score >= SURE_ROLE
        and segment.text.strip()
        and n not in cleared
    )


def second_reading(
    reader: Reader | None,
    hearing: Hearing,
    found: list[Finding],
    suggestions: Iterable[Suggestion],
    in_force: Callable[[], Sequence[Rule]],
) -> list[Finding]:
    """The findings after a second look; without a reader, only those of a caller's are added.

    `in_force` gives the rules about words that bind such a contact.
    """
    kept = found if reader is None else _believed(reader, hearing, found)
    kept = kept + _reviews(suggestions, hearing, kept, in_force)
    if reader is not None:
        kept = kept + _reviews(_suggested(reader, hearing, kept, in_force), hearing, kept, in_force)
    return kept


def _believed(reader: Reader, hearing: Hearing, found: list[Finding]) -> list[Finding]:
    """The findings as far as the reader believes them, where the words are well written down.

    A family of mere reviews that it doubts is dropped; a violation by words that it doubts asks
    for a review.
    """
    stands = [(finding, standing_of(finding)) for finding in found]
    more = {finding.family for finding, standing in stands if standing is not Standing.MERE}
    mere = {finding.family for finding in found} - more
    blamed = {finding.family for finding, standing in stands if standing is Standing.BLAMED}
    if not (mere or blamed) or hearing.garbled or not _is_told_apart(hearing):
        return found
    side = hearing.document.side(Voice.COLLECTOR)
    to_third = _is_to_third(hearing)
    gone = {f for f in mere if reader.doubts_all(side, f, reader.doubts, to_third=to_third)}
    soft = {f for f in blamed if reader.doubts_all(side, f, reader.softens, to_third=to_third)}
    return [
        _softened(finding) if standing is Standing.BLAMED and finding.family in soft else finding
        for finding, standing in stands
        if finding.family not in gone
    ]


def _softened(finding: Finding) -> Finding:
    """For review, and why."""
    return replace(
        finding,
        disposition=Disposition.REVIEW,
        why=f"{finding.why} {DOUBTED}",
        why_zh=f"{finding.why_zh}{DOUBTED_ZH}",
    )


def _suggested(
    reader: Reader,
    hearing: Hearing,
    found: Sequence[Finding],
    in_force: Callable[[], Sequence[Rule]],
) -> list[Suggestion]:
    """At most one suggestion for each family of the rules in force of which no words are found.

    None of a segment that breaks another rule beyond doubt: that one is looked at anyway. Badly
    written down words are read like others: the reader learned from such, too.
    """
    if not hearing.document.speaks(Voice.COLLECTOR):
        return []
    side = hearing.document.side(Voice.COLLECTOR)
    readings = reader.read(side, to_third=_is_to_third(hearing))
    if not readings or not _is_told_apart(hearing):
        return []
    rules = in_force()
    known = {finding.family for finding in found if finding.quote is not None}
    wanted = {rule.family for rule in rules} - known
    readings = [reading for reading in readings if reading.family in wanted]
    gated = {segment for segment, _ in gated_of(hearing)} if readings else set()
    gated -= {f.segment for f in found if f.disposition is Disposition.VIOLATION}
    readings = [reading for reading in readings if not _is_known(reading, hearing, rules)]
    best: dict[str, Reading] = {}
    for reading in readings:
        biased = hearing.document.segments[reading.segment].biased
        if reading.segment in gated and not biased:
            held = best.get(reading.family, reading)
            best[reading.family] = max(held, reading, key=_sureness)
    return [_suggestion(reader, hearing, side, reading, rules) for reading in best.values()]


def _is_known(reading: Reading, hearing: Hearing, rules: Sequence[Rule]) -> bool:
    """Whether the patterns of the family know these words, or an excuse for any.

    They found nothing: so the facts of the case make true what was said, or the talk excuses it.
    """
    for rule in rules:
        if rule.family == reading.family:
            pointed, excuses = _heard_by(rule.when)
            if any(_hits(hearing, part) for part in excuses) or any(
                hit.span is not None and hit.span.segment == reading.segment
                for part in pointed
                for hit in _hits(hearing, part)
            ):
                return True
    return False


def _heard_by(condition: Condition) -> tuple[list[Condition], list[Condition]]:
    """The words that a condition would point at, and those that must not be there."""
    pointed: list[Condition] = []
    excuses: list[Condition] = []
    match condition:
        case WordsCondition() | CueCondition():
            pointed = [condition]
        case NotCondition(part=part):
            excuses = [each for each in parts(part) if isinstance(each, CueCondition)]
        case AnyCondition(parts=inner):
            found = list(map(_heard_by, inner))
            pointed = [each for own, _ in found for each in own]
            excuses = [each for _, own in found for each in own]
        case AllCondition(parts=inner):
            pointed = _heard_by(inner[0])[0]
            excuses = [each for part in inner for each in _heard_by(part)[1]]
        case SequenceCondition(steps=steps, carrier=carrier):
            pointed = _heard_by(steps[carrier].part)[0]
            negative = [NotCondition(step.part) for step in steps if step.negative]
            excuses = [each for part in negative for each in _heard_by(part)[1]]
        case RepeatedCondition(part=part):
            pointed, excuses = _heard_by(part)
    return pointed, excuses


def _hits(hearing: Hearing, condition: Condition) -> tuple[Hit, ...]:
    """Where words or a cue hold."""
    if isinstance(condition, CueCondition):
        own = hearing.pack.cues.get(condition.name)
        return () if own is None else hearing.hits(own)
    return hearing.hits(condition) if isinstance(condition, WordsCondition) else ()


def _sureness(reading: Reading) -> tuple[float, int]:
    """The surest first, of equals the first one said."""
    return reading.confidence, -reading.segment


def _is_to_third(hearing: Hearing) -> bool:
    return hearing.contact.interaction.party.role.value in THIRD_PARTIES


def _is_told_apart(hearing: Hearing) -> bool:
    """Whether it is clear who says what in the contact, and that it was said."""
    limit = hearing.pack.untrusted_limit
    return not (hearing.contact.audio.untrusted_share > limit or hearing.unsure())


def _suggestion(
    reader: Reader, hearing: Hearing, side: Side, reading: Reading, rules: Sequence[Rule]
) -> Suggestion:
    start, end, words = reader.place(side, reading)
    span = hearing.document.span(Voice.COLLECTOR, start, end)
    own = [rule.id for rule in rules if rule.family == reading.family]
    named = ", ".join(f"“{word}”" for word in words)
    return Suggestion(
        reading.family,
        span.segment,
        span.char_start,
        span.char_end,
        reading.confidence,
        f"no pattern finds it, but it reads like it, most of all by {named}.",
        f"未命中任何句式，但整体措辞相近，主要依据：{''.join(f'“{word}”' for word in words)}。",
        reader.likely(side, reading, own),
    )


def _reviews(
    suggestions: Iterable[Suggestion],
    hearing: Hearing,
    found: Sequence[Finding],
    in_force: Callable[[], Sequence[Rule]],
) -> list[Finding]:
    """As reviews: what is suggested of gated words, where no finding says it yet."""
    wanted = sorted(suggestions, key=_order)
    if not wanted:
        return []
    gated = {segment for segment, _ in gated_of(hearing)}
    kept = []
    for suggestion in wanted:
        own = [rule for rule in in_force() if rule.family == suggestion.family]
        rule = next((rule for rule in own if rule.id == suggestion.rule), own[0] if own else None)
        if rule is None or suggestion.segment not in gated or suggestion.score < SURE_SUGGESTION:
            continue
        text = hearing.document.segments[suggestion.segment].text
        start, end = max(0, suggestion.char_start), min(suggestion.char_end, len(text))
        if start < end and not any(
            f.rule.startswith(suggestion.family) and f.segment == suggestion.segment for f in found
        ):
            place = replace(suggestion, char_start=start, char_end=end)
            kept.append(_review(rule, place, hearing.document.segments[suggestion.segment]))
    return kept


def _order(suggestion: Suggestion) -> tuple[int, int, int, str, str]:
    place = suggestion.segment, suggestion.char_start, suggestion.char_end
    return (*place, suggestion.family, suggestion.reason)


def _review(rule: Rule, suggestion: Suggestion, segment: Segment) -> Finding:
    heard = segment.text[suggestion.char_start : suggestion.char_end]
    reason = suggestion.reason_zh or suggestion.reason
    return Finding(
        rule=rule.id,
        articles=rule.articles,
        severity=rule.severity,
        disposition=Disposition.REVIEW,
        why=f"A second reader suggests {rule.title.en.lower()}: {suggestion.reason}",
        why_zh=f"辅助判读提示可能涉及“{rule.title.zh}”，须人工确认：{reason}",
        speaker=segment.speaker,
        quote=heard,
        heard=heard,
        segment=suggestion.segment,
        char_start=suggestion.char_start,
        char_end=suggestion.char_end,
        start=segment.start,
        end=segment.end,
        match="suggested",
        confidence=min(1.0, max(0.0, suggestion.score)),
    )

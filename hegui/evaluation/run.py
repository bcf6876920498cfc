"""Run every track of the evaluation over a corpus and tell the result as data and as a page."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from hegui.evaluation.anew import Anew
from hegui.evaluation.baselines import keywords, plain_keywords, segmented_keywords
from hegui.evaluation.corpus import Corpus
from hegui.evaluation.folds import report_held_out
from hegui.evaluation.noise import SyllableNoise
from hegui.evaluation.scoring import Score, score
from rules import Pack, evaluate
from rules.conditions import FACTS, answers, claims, opening, papers
from rules.history import build_histories
from rules.model import Disposition, Finding
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
    SequenceCondition,
    WordsCondition,
)

NOISE_RATES = (0.0, 0.05, 0.10, 0.15)
SEEDS = (1, 2, 3)
# Conditions of these modules weigh what was said or written, though packs name them as facts.
_WORDS_AS_FACTS = frozenset(module.__name__ for module in (answers, claims, opening, papers))


@dataclass(frozen=True, slots=True)
class Track:
    """One way of reading a corpus by one method, and its score; `note` is printed beside it."""

    corpus: str
    track: str
    method: str
    score: Score
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The track as plain values."""
        return {
            "corpus": self.corpus,
            "track": self.track,
            "method": self.method,
            "note": self.note,
            **self.score.as_dict(),
        }


@dataclass(slots=True)
class Evaluation:
    """All tracks of one run, and the pack they were made with."""

    pack: str
    pack_digest: str
    tracks: list[Track] = field(default_factory=list)


def report_findings(pack: Pack, corpus: Corpus, *, reader: bool = True) -> dict[str, list[Finding]]:
    """What the engine finds, by interaction id; an empty list where it finds nothing.

    With `reader` false the pack's second reader is not asked.
    """
    found: dict[str, list[Finding]] = {}
    for history in build_histories(corpus.events, corpus.audio).values():
        for verdict in evaluate(pack, history, reader=reader):
            found.setdefault(verdict.interaction_id, []).extend(verdict.findings)
    return found


def report_rules(pack: Pack, corpus: Corpus, *, reader: bool = True) -> dict[str, set[str]]:
    """The rules that the engine reports, by interaction id; see `report_findings`."""
    return _rules(report_findings(pack, corpus, reader=reader))


def _rules(found: Mapping[str, list[Finding]], *, alone: bool = False) -> dict[str, set[str]]:
    """The rules of findings; with `alone`, of those that stand without anybody's confirmation."""
    return {
        key: {
            finding.rule
            for finding in findings
            if not alone or finding.disposition is Disposition.VIOLATION
        }
        for key, findings in found.items()
    }


def spoken_rules(pack: Pack) -> frozenset[str]:
    """The ids of the rules that listen to words."""
    return frozenset(rule.id for rule in pack.rules if _listens(rule.when))


def _listens(condition: Condition) -> bool:
    match condition:
        case WordsCondition() | CueCondition() | AbsentCondition() | FindingsCondition():
            return True
        case AnyCondition(parts=parts) | AllCondition(parts=parts):
            return any(_listens(part) for part in parts)
        case NotCondition(part=part) | RepeatedCondition(part=part):
            return _listens(part)
        case SequenceCondition(steps=steps):
            return any(_listens(step.part) for step in steps)
        case FactsCondition(name=name):
            return FACTS[name].__module__ in _WORDS_AS_FACTS


Method = Callable[[Corpus], dict[str, set[str]]]


def evaluate_corpus(
    pack: Pack,
    corpus: Corpus,
    *,
    files: Mapping[str, str] | None = None,
    anew: Anew | None = None,
    heard: Corpus | None = None,
    recorded: frozenset[str] = frozenset(),
    on_step: Callable[[str], None] = lambda _: None,
) -> list[Track]:
    """Score the engine on the clean text and under noise, beside both baselines.

    `files` are the texts that the pack was made from; with them the folds run, whose readers `anew`
    trains. `heard` is the
    corpus through a speech engine; only `recorded` interactions and rules about words count there.
    The baselines are scored on the rules that their keyword list covers.
    """
    spoken = spoken_rules(pack)
    tracks = []

    def add(track: str, method: str, found: dict[str, set[str]], **options: Any) -> None:
        only = options.get("only")
        if only is not None:
            found = {key: rules for key, rules in found.items() if key in only}
        counted = options.get("counted", frozenset())
        kept = score(found, corpus.expected, (lambda r: r in counted) if counted else _everything)
        tracks.append(Track(corpus.name, track, method, kept, options.get("note", "")))

    def compare(track: str, version: Corpus, **options: Any) -> None:
        for name, baseline in _BASELINES:
            add(track, name, baseline(version), counted=covered, **options)

    covered = frozenset(keywords())
    on_step(f"{corpus.name}: text")
    findings = report_findings(pack, corpus)
    plain, alone = _rules(findings), _rules(findings, alone=True)
    unread = report_rules(pack, corpus, reader=False)
    for part, keys in _parts(corpus, plain.keys()).items():
        add(f"text, all rules{part}", "hegui", plain, only=keys)
        add(f"text, all rules, without the reader{part}", "hegui", unread, only=keys)
        add(f"text, violations alone{part}", "hegui", alone, only=keys)
    add("text, words", "hegui", plain, counted=spoken)
    if files is not None:
        on_step(f"{corpus.name}: folds")
        found, lost = report_held_out(files, corpus, anew)
        note = f"phrases removed, by fold: {', '.join(map(str, lost))}"
        add("five-fold, held-out phrases removed", "hegui", found, note=note)
        add("five-fold, held-out phrases removed, words", "hegui", found, counted=spoken)
    compare("text, keyword rules", corpus)
    add("text, keyword rules", "hegui", plain, counted=covered)
    for rate in NOISE_RATES[1:]:
        for seed in SEEDS:
            label = f"noise {rate:.0%}, seed {seed}, keyword rules"
            on_step(f"{corpus.name}: {label}")
            noisy = corpus.with_texts(SyllableNoise(rate, seed))
            add(label, "hegui", report_rules(pack, noisy), counted=covered)
            compare(label, noisy)
    if heard is not None:
        on_step(f"{corpus.name}: audio")
        found = report_rules(pack, heard)
        add("audio, words", "hegui", found, counted=spoken, only=recorded)
        add("audio, keyword rules", "hegui", found, counted=covered, only=recorded)
        compare("audio, keyword rules", heard, only=recorded)
    return tracks


def _parts(corpus: Corpus, keys: AbstractSet[str]) -> dict[str, AbstractSet[str] | None]:
    """What is scored: all interactions, and where some are kept from view, either part."""
    if not corpus.unseen:
        return {"": None}
    return {"": None, ", seen cases": keys - corpus.unseen, ", unseen cases": corpus.unseen}


def _everything(_: str) -> bool:
    return True


_BASELINES: tuple[tuple[str, Method], ...] = (
    ("plain keywords", plain_keywords),
    ("jieba + keywords", segmented_keywords),
)

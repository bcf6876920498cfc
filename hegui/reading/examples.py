"""Collect what the reader learns from: utterances of collectors, and which rules each breaks."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import hegui
from hegui.evaluation.corpus import Corpus, Expectation, read_corpus
from hegui.evaluation.run import report_findings
from hegui.evaluation.scoring import family_of
from rules import Pack
from rules.document import Document, Voice
from rules.events import Interaction, Speaker
from rules.model import Finding
from rules.reader import THIRD_PARTIES

HERE = Path(__file__).parent
LINES = HERE / "lines"
CORPORA = Path(hegui.__file__).parent / "evaluation" / "corpora"
CALLS = Path(hegui.__file__).parent.parent / "tests" / "rules"
"""Where a checkout has them; an installed package does not."""


_BESIDE = frozenset({"ABU", "PRV", "SMS", "THR"})
"""Families that the test of another rule may break without a word about it."""


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance: the rules it breaks, those it may be said to break, and where it is from.

    `to_third` says that somebody listens who does not owe. `contact` is shared by the utterances
    of one contact, and `source` by all that somebody wrote at a time.
    """

    text: str
    wanted: frozenset[str] = frozenset()
    tolerated: frozenset[str] = frozenset()
    to_third: bool = False
    source: str = ""
    contact: str = ""


def all_examples(pack: Pack, corpora: Iterable[Corpus]) -> list[Example]:
    """Everything the reader learns from, in a fixed order."""
    return [
        *line_examples(),
        *pack_examples(pack),
        *call_examples(CALLS),
        *(example for corpus in corpora for example in corpus_examples(pack, corpus)),
    ]


def seen_corpora(folder: Path = CORPORA) -> list[Corpus]:
    """The labelled corpora that come with the product, by name."""
    return [read_corpus(each) for each in sorted(folder.iterdir()) if each.is_dir()]


def lines_digest(folder: Path = LINES) -> str:
    """SHA-256 over the names and texts of the files of lines."""
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.yaml")):
        for part in (path.name.encode(), path.read_bytes()):
            total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


def line_examples(folder: Path = LINES) -> Iterator[Example]:
    """The lines written for the reader."""
    for path in sorted(folder.glob("*.yaml")):
        yield from _groups(path, f"lines/{path.stem}")


def call_examples(folder: Path = CALLS) -> Iterator[Example]:
    """The good and bad calls of the rules' tests, as far as they are single lines or turns."""
    for path in sorted(folder.glob("*_calls/*.yaml")):
        yield from _groups(path, f"calls/{path.stem}")


def _groups(path: Path, source: str) -> Iterator[Example]:
    document = yaml.load(path.read_text("utf-8"), yaml.CSafeLoader)
    groups = document if isinstance(document, list) else []
    if isinstance(document, dict):
        groups = [each for block in document.values() for each in block]
    for number, group in enumerate(groups):
        if isinstance(group, str):
            yield Example(group, source=source, contact=f"{source}/{number}")
        elif isinstance(group, dict):
            yield from _group(group, source, f"{source}/{number}")


def _group(group: dict[str, Any], source: str, name: str) -> Iterator[Example]:
    """The utterances of one group of lines, or of one written talk."""
    for number, line in enumerate(group.get("lines", ())):
        item = {**group, **(line if isinstance(line, dict) else {"text": line})}
        if "party" not in item and isinstance(item.get("text"), str):
            yield _example(item, item["text"], source, f"{name}/{number}")
    if "lines" in group or "kind" in group:  # a kind is what the other side signals
        return
    turns = group.get("turns") or [dict([turn.split(": ", 1)]) for turn in group.get("talk", ())]
    texts = [turn["c"] for turn in turns if "c" in turn] + _listed(group.get("say"))
    texts += _listed(group.get("text"))
    wanted = _listed(group.get("rules", group.get("rule")))
    for text in texts:
        if not wanted or len(texts) == 1:
            yield _example(group, text, source, name)


def _example(item: dict[str, Any], text: str, source: str, name: str) -> Example:
    wanted = frozenset(_listed(item.get("rules", item.get("rule"))))
    return Example(
        text,
        wanted,
        frozenset(_listed(item.get("also"))) - wanted,
        to_third=str(item.get("to", item.get("role", ""))).startswith(("third", "agreed_contact")),
        source=source,
        contact=name,
    )


def _listed(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else [str(v) for v in value]


def pack_examples(pack: Pack) -> Iterator[Example]:
    """The tests inside the rules of a pack that are a single utterance of the collector."""
    others = frozenset(rule.id for rule in pack.rules if rule.family in _BESIDE)
    for rule in pack.rules:
        if rule.voice is not Voice.COLLECTOR:
            continue
        for wanted, entries in ((True, rule.tests.hits), (False, rule.tests.misses)):
            for number, entry in enumerate(entries):
                item = entry if isinstance(entry, dict) else {"collector": entry}
                text = item.get("collector", item.get("text"))
                if isinstance(text, str) and item.keys() <= {
                    "collector",
                    "text",
                    "party",
                    "channel",
                }:
                    yield Example(
                        text,
                        frozenset({rule.id} if wanted else ()),
                        others - {rule.id} if wanted else frozenset(),
                        to_third=item.get("party") in THIRD_PARTIES,
                        source="pack",
                        contact=f"pack/{rule.id}/{wanted}/{number}",
                    )


def corpus_examples(pack: Pack, corpus: Corpus) -> Iterator[Example]:
    """The utterances of the contacts whose mistakes may be read, never those of the others.

    What a contact must report counts for the utterance that the engine points at, or for the only
    one there is; elsewhere in that contact it is tolerated.
    """
    found = report_findings(pack, corpus, reader=False)
    for interaction in corpus.interactions():
        if interaction.interaction_id not in corpus.unseen:
            expected = corpus.expected.get(interaction.interaction_id, Expectation())
            findings = found.get(interaction.interaction_id, [])
            yield from _utterances(interaction, expected, findings, f"corpus/{corpus.name}")


def _utterances(
    interaction: Interaction, expected: Expectation, findings: list[Finding], source: str
) -> Iterator[Example]:
    segments = Document(interaction).segments
    own = [
        (n, segment.text)
        for n, segment in enumerate(segments)
        if segment.speaker is Speaker.COLLECTOR and segment.text.strip()
    ]
    for number, text in own:
        here = {f.family for f in findings if f.segment == number}
        wanted = frozenset(
            rule for rule in expected.required if len(own) == 1 or family_of(rule) in here
        )
        yield Example(
            text,
            wanted,
            (expected.required | expected.acceptable) - wanted,
            to_third=interaction.party.role.value in THIRD_PARTIES,
            source=source,
            contact=f"{source}/{interaction.interaction_id}",
        )

"""Read a labelled corpus: events, expectations and, where it has them, recordings."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from rules.events import (
    CaseUpserted,
    Interaction,
    InteractionCompleted,
    Segment,
    StopRequested,
    parse_event,
)
from rules.history import Key
from rules.model import Audio

AnyEvent = CaseUpserted | InteractionCompleted | StopRequested


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must be reported for one interaction, and what may be."""

    required: frozenset[str] = frozenset()
    acceptable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Corpus:
    """Events with their expectations, by interaction id; an absent expectation means: nothing.

    `audio` says which transcripts a speech engine made. `unseen` are the interactions whose
    mistakes are only counted and never listed, so that nobody tunes on them.
    """

    name: str
    events: tuple[AnyEvent, ...]
    expected: dict[str, Expectation] = field(default_factory=dict)
    audio: dict[Key, Audio] = field(default_factory=dict)
    unseen: frozenset[str] = frozenset()

    def interactions(self) -> Iterator[Interaction]:
        """Every interaction, in the order of the file."""
        for event in self.events:
            if isinstance(event, InteractionCompleted):
                yield event.data

    def with_texts(self, change: "TextChange") -> "Corpus":
        """The same corpus with every spoken or written text replaced by `change(id, text)`."""
        return replace(self, events=tuple(_changed(event, change) for event in self.events))


class TextChange:
    """A deterministic change of text; subclasses say which."""

    def __call__(self, key: str, text: str) -> str:
        """Return the changed text; `key` names the place, so that each place changes alike."""
        raise NotImplementedError


def read_events(path: Path) -> tuple[AnyEvent, ...]:
    """Read a file of one event a line; raises `ValueError` naming the line that is wrong."""
    events = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            events.append(parse_event(line))
        except ValueError as error:
            raise ValueError(f"{path.name}:{number}: {error}") from error
    return tuple(events)


def read_expected(path: Path) -> dict[str, Expectation]:
    """Read the expectations file: one JSON object an interaction.

    Raises `ValueError` naming the line that is wrong.
    """
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            found[row["interaction_id"]] = Expectation(
                frozenset(row.get("rules", ())), frozenset(row.get("also_acceptable", ()))
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path.name}:{number}: {error!r}") from error
    return found


def read_corpus(folder: Path) -> Corpus:
    """Read `events.jsonl` and `expected.jsonl` of one folder, and `corpus.yaml` where it has one.

    The demonstration's own form of expectations, `expected.yaml`, is understood as well.

    `corpus.yaml` may hold `unseen_cases`: a regular expression of whole case ids. Raises
    `ValueError` where an expectation names an interaction that the events do not hold.
    """
    corpus = Corpus(folder.name, read_events(folder / "events.jsonl"), _expectations(folder))
    case_of = {item.interaction_id: item.case_id for item in corpus.interactions()}
    strangers = sorted(corpus.expected.keys() - case_of.keys())
    if strangers:
        raise ValueError(f"expected.jsonl: no event for {', '.join(strangers[:5])}")
    unseen = _unseen_cases(folder / "corpus.yaml")
    return replace(
        corpus,
        unseen=frozenset(key for key, case_id in case_of.items() if unseen.fullmatch(case_id)),
    )


def _expectations(folder: Path) -> dict[str, Expectation]:
    path = folder / "expected.yaml"
    if not path.exists():
        return read_expected(folder / "expected.jsonl")
    return {
        name: Expectation(frozenset(row.get("rules", ())), frozenset(row.get("also", ())))
        for name, row in yaml.safe_load(path.read_text("utf-8")).items()
    }


def _unseen_cases(path: Path) -> re.Pattern[str]:
    settings = yaml.safe_load(path.read_text("utf-8")) if path.exists() else {}
    return re.compile(settings.get("unseen_cases", "(?!)"))


def _changed(event: AnyEvent, change: TextChange) -> AnyEvent:
    if not isinstance(event, InteractionCompleted):
        return event
    data = event.data
    update: dict[str, object] = {}
    if data.transcript is not None:
        update["transcript"] = tuple(
            _said(segment, change(f"{data.interaction_id}/{place}", segment.text))
            for place, segment in enumerate(data.transcript)
        )
    return event.model_copy(update={"data": data.model_copy(update=update)}) if update else event


def _said(segment: Segment, text: str) -> Segment:
    return segment.model_copy(update={"text": text})

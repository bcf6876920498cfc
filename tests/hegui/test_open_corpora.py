"""What open corpora must show: no blame from the debtor's words, quotes, denials or teaching."""

import random
from functools import cache
from pathlib import Path

import pytest
import yaml

import hegui.evaluation
from hegui.evaluation.corpus import Corpus, Expectation, read_corpus
from hegui.evaluation.scoring import family_of
from rules import evaluate
from rules.events import Interaction, InteractionCompleted, Segment, Speaker
from rules.history import build_histories
from rules.model import Disposition, Finding
from tests.rules import spoken_corpus
from tests.rules.small_pack import collection

CORPORA = Path(hegui.evaluation.__file__).parent / "corpora"
OPEN = ("city", "field", "market", "parlance", "street")
GREETING, REASSURING = "您好，请问是您本人吗？", "好的，我记一下，谢谢您。"
LINES_A_FRAME = 5
STILL_BLAMED = 0.03
"""Share of framed lines that may still be taken for the speaker's own words."""


@cache
def _open(name: str) -> tuple[Corpus, dict[str, list[Finding]]]:
    corpus = read_corpus(CORPORA / name)
    return corpus, _found(corpus)


def _found(corpus: Corpus) -> dict[str, list[Finding]]:
    return {
        verdict.interaction_id: list(verdict.findings)
        for history in build_histories(corpus.events, corpus.audio).values()
        for verdict in evaluate(collection(), history)
        if verdict.interaction_id not in corpus.unseen
    }


def _only_the_party_speaks(item: Interaction) -> Interaction:
    """The contact with every word of the collector's after the opening made harmless."""

    def heard(place: int, segment: Segment) -> Segment:
        if segment.speaker is Speaker.PARTY:
            return segment
        text = REASSURING if place else GREETING
        return segment.model_copy(update={"text": text})

    words = tuple(heard(n, segment) for n, segment in enumerate(item.transcript or ()))
    return item.model_copy(update={"transcript": words})


@pytest.mark.parametrize("name", OPEN)
def test_the_debtors_words_are_no_finding_against_the_collector(name: str) -> None:
    corpus, heard = _open(name)
    changed = tuple(
        event.model_copy(update={"data": _only_the_party_speaks(event.data)})
        if isinstance(event, InteractionCompleted) and event.data.transcript
        else event
        for event in corpus.events
    )
    silenced = Corpus(name, changed, unseen=corpus.unseen)
    spoken = {item.interaction_id for item in corpus.interactions() if item.transcript}

    blamed = [
        (key, finding.rule, finding.quote)
        for key, findings in _found(silenced).items()
        for finding in findings
        if finding.quote is not None
        and finding.disposition is not Disposition.SIGNAL
        and finding.speaker is Speaker.COLLECTOR
        and key in spoken
    ]
    pointed = [
        (key, finding.rule, finding.quote)
        for key, findings in heard.items()
        for finding in findings
        if finding.speaker is Speaker.PARTY and finding.disposition is Disposition.VIOLATION
    ]

    assert blamed == []
    assert pointed == []


@pytest.mark.parametrize("name", OPEN)
def test_lawful_contacts_draw_no_violation(name: str) -> None:
    corpus, heard = _open(name)

    blamed = []
    for key, findings in heard.items():
        wanted = corpus.expected.get(key, Expectation())
        tolerated = {family_of(rule) for rule in wanted.acceptable}
        blamed += [
            (key, finding.rule, finding.quote)
            for finding in findings
            if not wanted.required
            and finding.disposition is Disposition.VIOLATION
            and family_of(finding.rule) not in tolerated
        ]

    assert blamed == []


def test_a_bad_line_that_is_quoted_denied_or_taught_blames_nobody() -> None:
    frames = yaml.safe_load(
        (Path(spoken_corpus.__file__).parent / "good_calls/frames.yaml").read_text()
    )
    sets = ("held_out", "held_out_2", "held_out_3", "held_out_4", "held_out_more")
    lines = [
        entry.text.rstrip("。！？!?")
        for name in sets
        for entry in spoken_corpus.bad_lines(name)
        if len(entry.text) <= 40
        and entry.history.contacts[-1].interaction.transcript
        and entry.history.contacts[-1].interaction.party.role == "debtor"
    ]
    draw = random.Random(20261122)  # noqa: S311  no secret hangs on it

    blamed = []
    said = [frame.format(line) for frame in frames for line in draw.sample(lines, LINES_A_FRAME)]
    for text in said:
        history = spoken_corpus.history_of(
            {},
            [
                *spoken_corpus.OPENING,
                ("collector", "好的。"),
                ("party", "你说。"),
                ("collector", text),
            ],
        )
        findings = evaluate(collection(), history)[-1].findings
        if any(finding.disposition is Disposition.VIOLATION for finding in findings):
            blamed.append(text)

    assert len(blamed) <= STILL_BLAMED * len(said), blamed

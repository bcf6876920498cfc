"""Lawful calls stay clean, and bad lines in other words than the patterns' own are found."""

import pytest

from rules import Pack, evaluate
from rules.model import Disposition, Finding
from tests.rules import spoken_corpus as corpus

REVIEWS_ALLOWED = 0.02
"""Share of lawful contacts that may ask for a person's look."""


def _found(pack: Pack, entry: corpus.Entry) -> list[Finding]:
    return [
        finding
        for finding in evaluate(pack, entry.history)[-1].findings
        if finding.disposition is not Disposition.SIGNAL
    ]


@pytest.mark.parametrize(("kind", "least"), [("lawful_lines", 400), ("lawful_dialogues", 60)])
def test_lawful_contacts_are_clean(pack: Pack, kind: str, least: int) -> None:
    entries: list[corpus.Entry] = getattr(corpus, kind)()
    assert len(entries) >= least
    blamed, doubted = [], []
    for entry in entries:
        found = _found(pack, entry)
        said = (entry.name, entry.text, [(finding.rule, finding.quote) for finding in found])
        if any(finding.disposition is Disposition.VIOLATION for finding in found):
            blamed.append(said)
        elif found:
            doubted.append(said)
    assert blamed == []
    assert len(doubted) <= REVIEWS_ALLOWED * len(entries), doubted


@pytest.mark.parametrize(
    ("name", "recall", "precision"),
    [
        ("held_out", 0.95, 0.97),
        ("held_out_2", 0.93, 0.95),
        ("held_out_3", 0.95, 0.95),
        ("held_out_4", 0.95, 0.95),
        ("held_out_more", 0.93, 0.95),
        ("held_out_5", 0.88, 0.95),
        ("held_out_6", 0.93, 0.95),
    ],
)
def test_bad_lines_in_other_words_are_found(
    pack: Pack, name: str, recall: float, precision: float
) -> None:
    wanted = found_of_wanted = reported_outside = 0
    missed = []
    for entry in corpus.bad_lines(name):
        rules = {finding.rule for finding in evaluate(pack, entry.history)[-1].findings}
        wanted += len(entry.wanted)
        found_of_wanted += len(entry.wanted & rules)
        missed += [(rule, entry.text) for rule in entry.wanted - rules]
        reported_outside += len(rules - entry.wanted - entry.tolerated - corpus.OF_THE_MESSAGE)
    assert found_of_wanted / wanted >= recall, missed
    assert found_of_wanted / (found_of_wanted + reported_outside) >= precision


def test_bad_lines_in_the_partys_mouth_blame_nobody(pack: Pack) -> None:
    sets = ("held_out", "held_out_2", "held_out_3", "held_out_4", "held_out_more")
    for entry in (entry for name in sets for entry in corpus.bad_lines(name)):
        if "transcript" not in entry.history.contacts[-1].interaction.model_fields_set:
            continue
        verdict = evaluate(pack, corpus.turned_round(entry.text))[-1]
        against = [
            (finding.rule, finding.quote)
            for finding in verdict.findings
            if finding.disposition is not Disposition.SIGNAL
        ]
        assert against == [], entry.text

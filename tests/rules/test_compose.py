"""In which ways a condition may hold, so that one whose words are missing is never asked."""

from datetime import date

import pytest

from rules import rule
from rules.compose import Agenda, ways
from rules.document import Voice
from rules.model import Disposition, Severity
from rules.rule import (
    AllCondition,
    AnyCondition,
    Condition,
    CueCondition,
    FactsCondition,
    NotCondition,
    RepeatedCondition,
    Rule,
    SequenceCondition,
    Step,
    Title,
    WordsCondition,
)

ONE, TWO, THREE = (WordsCondition(key, Voice.COLLECTOR, ()) for key in (1, 2, 3))
FACTS = FactsCondition("recording_missing")
REFUSED = FactsCondition("refused_repeatedly")
CUES = {"three": THREE, "asks_for_terms": THREE, "refuses_terms": ONE}


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        pytest.param(ONE, [{1}], id="words"),
        pytest.param(CueCondition("three"), [{3}], id="a cue"),
        pytest.param(RepeatedCondition(ONE, 2), [{1}], id="repeated"),
        pytest.param(AnyCondition((ONE, TWO)), [{1}, {2}], id="any of two"),
        pytest.param(AnyCondition((ONE, FACTS)), None, id="any may hold by facts alone"),
        pytest.param(AllCondition((ONE, TWO)), [{1, 2}], id="all"),
        pytest.param(AllCondition((ONE, NotCondition(TWO))), [{1}], id="what must be missing"),
        pytest.param(
            AllCondition((AnyCondition((ONE, TWO)), THREE)), [{1, 3}, {2, 3}], id="any in all"
        ),
        pytest.param(
            AllCondition((ONE, FACTS, TWO)), [{1}], id="facts may be open though words are missing"
        ),
        pytest.param(AllCondition((FACTS, ONE)), None, id="facts first"),
        pytest.param(REFUSED, [{1, 3}], id="facts that are heard in the words of cues"),
        pytest.param(
            FactsCondition(
                "charges_answered_wrongly", {"charges": "three", "sum": "refuses_terms"}
            ),
            [{1}, {3}],
            id="facts that are told which cues",
        ),
        pytest.param(
            SequenceCondition((Step(ONE), Step(TWO, negative=True), Step(THREE)), 2),
            [{1, 3}],
            id="a sequence",
        ),
    ],
)
def test_a_condition_may_hold_in_these_ways_alone(
    condition: Condition, wanted: list[set[int]] | None
) -> None:
    found = ways(condition, CUES)

    assert (found if found is None else sorted(map(set, found), key=sorted)) == wanted


def _rule(name: str, when: Condition) -> Rule:
    none: frozenset[str] = frozenset()
    text = Title(name, name)
    return Rule(
        id=name, family=name, title=text, severity=Severity.LOW, disposition=Disposition.REVIEW,
        articles=(), basis="policy", voice=Voice.COLLECTOR, channels=none, parties=none, modes=none,
        directions=none, outcomes=none, effective_from=None, effective_to=None, parameters=(),
        when=when, why=text, coverage="", tests=rule.Tests(), file="", line=1,
    )  # fmt: skip


def test_rules_whose_words_are_missing_are_not_asked_and_the_others_keep_their_order() -> None:
    both = AllCondition((ONE, TWO))
    conditions: tuple[Condition, ...] = (
        both,
        FACTS,
        AnyCondition((TWO, both)),
        THREE,
    )
    agenda = Agenda([_rule(f"R{n}", when) for n, when in enumerate(conditions)], {})

    def asked(*keys: int) -> list[str]:
        return [item.rule.id for item in agenda.of(frozenset(keys), date(2026, 6, 3))]

    assert asked() == ["R1"]
    assert asked(1) == ["R1"]
    assert asked(2) == ["R1", "R2"]
    assert asked(3, 1, 2) == ["R0", "R1", "R2", "R2", "R3"]

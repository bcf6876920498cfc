"""In which ways a condition may hold, so that one whose words are missing is never asked."""

import pytest

from rules.compose import ways
from rules.document import Voice
from rules.rule import (
    AllCondition,
    AnyCondition,
    Condition,
    CueCondition,
    FactsCondition,
    NotCondition,
    RepeatedCondition,
    SequenceCondition,
    Step,
    WordsCondition,
)

ONE, TWO, THREE = (WordsCondition(key, Voice.COLLECTOR, ()) for key in (1, 2, 3))
FACTS = FactsCondition("recording_missing")


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
    found = ways(condition, {"three": THREE})

    assert (found if found is None else sorted(map(set, found), key=sorted)) == wanted

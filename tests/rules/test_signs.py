"""What an expression needs is found, and a guard that may object is always asked."""

import re
from pathlib import Path

import pytest
import yaml

from rules import guards
from rules.document import Side
from rules.events import Segment, Speaker
from rules.glance import Zone
from rules.place import EVERYTHING, Place, watch
from rules.signs import Look, as_heard, glance_at, ways_of

TALKS = Path(__file__).parent / "good_calls" / "dialogues.yaml"
DENIALS = (
    "我们决不慧上门泼油漆。如果遇到自称公安的，请您报警。您说之前有人威胁要砍您全家，是吗？",
    "换成是我，躺在床上动不了。像上门泼油漆这种催收，公司抓到一个开除一个，绝不姑息。",
    "这个月可以砍掉违约金。判决生效后有能力而拒不履行的，可能承担刑事责任。您是担心坐牢吗？",
    "有人说要罚息不是翻倍的，这些都是明令禁止的，我们道个歉。坐牢吗？法律规定不得威胁您。",
)


def side_of(texts: list[str]) -> Side:
    said = [
        (n, [(n, Segment(speaker=Speaker.COLLECTOR, start=0, end=1, text=text))])
        for n, text in enumerate(texts)
    ]
    return Side(said)


def test_no_guard_that_objects_is_left_unasked() -> None:
    talks = yaml.safe_load(TALKS.read_text("utf-8"))
    lines = [turn["c"] for talk in talks for turn in talk.get("turns", ()) if "c" in turn]
    side = side_of([*lines[::40], *DENIALS * 2])
    objected, asked = dict.fromkeys(guards.LOOKS, 0), 0
    for start in range(1, len(side.text) - 6):
        place = Place(side, start, start + 5, ((start, start + 2), (start + 3, start + 5)))
        for name, looks in guards.LOOKS.items():
            place.told = EVERYTHING
            objection = guards.GUARDS[name](place)
            asked += place.look(looks) > 0
            told = guards.first_objection(place, frozenset({name}))
            assert told == (objection and (name, objection)), side.text[start - 9 : start + 20]
            objected[name] += objection is not None
    assert all(objected.values()), objected
    assert asked < len(guards.LOOKS) * len(side.text) / 4


@pytest.mark.parametrize(
    ("pattern", "ways"),
    [
        ("坐牢", ["坐+牢"]),
        ("抓|拷|铐", ["抓拷铐"]),
        ("[一a-c]天?了", ["一abc+了"]),
        ("(?:坐牢|抓)(?!你)", ["坐+牢", "抓"]),
        ("^[^。]{0,4}?(?:a{2}|b*)c+$", ["c"]),
    ],
)
def test_an_expression_needs_these_characters(pattern: str, ways: list[str]) -> None:
    wanted = {frozenset(map(frozenset, way.split("+"))) for way in ways}
    assert set(ways_of(pattern)) == wanted


@pytest.mark.parametrize("pattern", [r"\d", "(a", "a)", "(?P<a>b)", "*a"])
def test_what_is_not_understood_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"known|bracket"):
        ways_of(pattern)


def test_a_look_that_needs_nothing_cannot_be_told() -> None:
    with pytest.raises(ValueError, match="needs no sign"):
        glance_at([[Look("a?", Zone.BEFORE, 3)]])


def test_a_glance_sees_its_zones_alone_and_hears_homophones() -> None:
    text = "决不慧。砍，你们。决不会"
    side = side_of([text])
    at = side.text.index("砍")
    zones = [
        (Look("慧", zone, width), Look("们", zone, width))
        for zone, width in ((Zone.BEFORE, 9), (Zone.AFTER, 9), (Zone.AFTER, 2), (Zone.LATER, 9))
    ]
    glance = glance_at(
        [*zones, [Look("不会", Zone.TURN_ROUND, by_sound=True)], [Look("砍", Zone.INSIDE)]]
    )
    assert re.search(as_heard("不会"), side.codes[:at])
    assert glance.tells(side.field, at, at + 1, 0b111111) == 0b111010
    assert glance.tells(side.field, at, at + 1, 0b001111) == 0b001010
    with pytest.raises(IndexError):
        glance.tells(side.field, at, len(side.text) + 1, 1)


def test_an_expression_is_looked_for_in_one_zone_alone() -> None:
    look = Look("用来试的话", Zone.BEFORE, 9)
    assert watch(look) == watch(look)
    with pytest.raises(ValueError, match="one zone"):
        watch(look._replace(zone=Zone.AFTER))

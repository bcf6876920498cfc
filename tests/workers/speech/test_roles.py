"""Who speaks, by the map of the event and by the words."""

from collections.abc import Mapping, Sequence

import pytest

from rules.events import Speaker
from workers.speech.roles import Shared, assign_roles

COLLECTOR, PARTY, UNKNOWN = Speaker.COLLECTOR, Speaker.PARTY, Speaker.UNKNOWN
ASKS = (
    "您好，这边是恒远金融的，工号三零二，请问是周女士吗？",
    "您这笔账单逾期了，什么时候能处理？",
)
ANSWERS = ("我是，你哪位？", "我最近没工作，能不能宽限几天？")
# The same as a speech engine may write it: other characters, like sounds.
MISHEARD_ASKS = (
    "宁好，这边是横源今容的，公好三零二，请问是舟女是吗？",
    "宁这比涨单雨期了，什么实候能出里？",
)
MISHEARD_ANSWERS = ("我是，里那位？", "我最近没公做，能不能宽线几天？")
BOTH = ("collector", "party")

Said = Mapping[tuple[int, int], Sequence[str]]


@pytest.mark.parametrize(
    ("asks", "answers"), [(ASKS, ANSWERS), (MISHEARD_ASKS, MISHEARD_ANSWERS)], ids=["said", "heard"]
)
def test_a_map_the_wrong_way_round_is_turned_and_a_right_one_is_kept(
    asks: Sequence[str], answers: Sequence[str]
) -> None:
    said = {(0, 0): asks, (1, 0): answers}

    kept = assign_roles(said, channels=2, speakers=BOTH)
    turned = assign_roles(said, channels=2, speakers=("party", "collector"))

    assert (kept.at(0, 0), kept.at(1, 0), kept.flags) == ((COLLECTOR, 1.0), (PARTY, 1.0), ())
    assert (turned.at(0, 0)[0], turned.at(1, 0)[0]) == (COLLECTOR, PARTY)
    assert "swapped_channels" in turned.flags
    assert turned.at(0, 0)[1] < 1


def test_words_that_say_little_leave_the_map_as_it_came() -> None:
    roles = assign_roles({(0, 0): ["好的"], (1, 0): ["再见"]}, channels=2, speakers=BOTH)

    assert (roles.at(0, 0), roles.at(1, 0), roles.flags) == ((COLLECTOR, 1.0), (PARTY, 1.0), ())


def test_voices_of_one_channel_are_named_by_their_words() -> None:
    said = {(0, 0): ANSWERS, (0, 1): ASKS}
    two = assign_roles(said, channels=1, speakers=BOTH, shared=Shared(0, None, 2, 1.0))
    three = assign_roles(said, channels=1, speakers=BOTH, shared=Shared(0, None, 3, 1.0))

    assert (two.at(0, 0)[0], two.at(0, 1)[0]) == (PARTY, COLLECTOR)
    assert two.flags == ("mono_turns",)
    assert {"many_voices", "uncertain_roles"} <= set(three.flags)
    assert max(score for _, score in three.seats.values()) <= 0.5


@pytest.mark.parametrize(
    ("said", "shared"),
    [
        pytest.param({(0, 0): ASKS}, Shared(0), id="no model"),
        pytest.param({(0, 0): ASKS}, Shared(0, None, 1), id="one voice"),
    ],
)
def test_one_channel_that_is_not_divided_belongs_to_nobody(said: Said, shared: Shared) -> None:
    roles = assign_roles(said, channels=1, speakers=BOTH, shared=shared)

    assert roles.at(0, 0) == (UNKNOWN, 0.0)
    assert roles.flags == ("uncertain_roles",)


@pytest.mark.parametrize(
    ("speakers", "channels", "said", "names", "flag"),
    [
        (BOTH, 3, {(0, 0): ASKS, (1, 0): ANSWERS}, (COLLECTOR, PARTY, UNKNOWN), "uneven_channels"),
        (BOTH, 3, {(0, 0): ASKS, (2, 0): ANSWERS}, (COLLECTOR, PARTY, UNKNOWN), "uncertain_roles"),
        (("collector",), 2, {(0, 0): ASKS, (1, 0): ASKS}, (COLLECTOR, UNKNOWN), "uncertain_roles"),
        (("unknown", "unknown"), 2, {(0, 0): ANSWERS, (1, 0): ASKS}, (PARTY, COLLECTOR), None),
        (("party", "collector", "collector"), 3, {}, (PARTY, COLLECTOR, COLLECTOR), None),
    ],
    ids=["a spare channel", "words on a spare channel", "a name missing", "names unknown", "three"],
)  # fmt: skip
def test_maps_of_other_shapes(
    speakers: Sequence[str], channels: int, said: Said, names: Sequence[Speaker], flag: str | None
) -> None:
    roles = assign_roles(said, channels=channels, speakers=speakers)

    assert tuple(roles.at(channel, 0)[0] for channel in range(len(names))) == names
    assert (flag in roles.flags) if flag else roles.flags == ()
    if "uncertain_roles" in roles.flags:
        assert max(score for _, score in roles.seats.values()) <= 0.5

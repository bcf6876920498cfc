"""Normal forms and the way back to the raw text."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.normalise import normalise, plain
from rules.phonetic import encode, is_code


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        pytest.param("還錢", "还钱", id="traditional"),
        pytest.param("ＡＰＰ１２", "app12", id="full width"),
        pytest.param("泼.油.漆", "泼油漆", id="dots between characters"),
        pytest.param("坐-牢", "坐牢", id="a dash inside a word"),
        pytest.param("再 不 还", "再不还", id="spaces between characters"),
        pytest.param("泼\u200b油\ufeff漆", "泼油漆", id="zero width"),
        pytest.param("坐😀牢", "坐牢", id="emoji inside a word"),
        pytest.param("坐嗯牢", "坐牢", id="filler"),
        pytest.param("我哋唔会冇谱", "我哋不会没谱", id="Cantonese for no and none"),
        pytest.param("唔，好，唔唔还钱", "，好，还钱", id="the same as a sound"),
        pytest.param("打一二三七八", "打12378", id="spoken digits"),
        pytest.param("12,860.35元", "12860.35元", id="thousands"),
        pytest.param("您好 请还款", "您好，请还款", id="a space as a pause"),
        pytest.param("“砍死你”", "砍死你", id="quotation marks"),
    ],
)
def test_text_has_one_form(raw: str, normal: str) -> None:
    assert plain(raw) == normal


def test_a_syllable_spelt_in_latin_letters_sounds_like_its_character() -> None:
    text = plain("zuo牢")

    assert len(text) == 2
    assert is_code(text[0])
    assert text[0] == encode("坐")


def test_every_character_knows_where_it_came_from() -> None:
    raw = "让你，坐-牢。还錢"

    text, starts, ends = normalise(raw)

    assert [raw[a:b] for a, b in zip(starts, ends, strict=True)] == list("让你，坐牢。还錢")
    assert text == "让你，坐牢。还钱"


@given(st.text(max_size=200))
def test_the_map_is_ordered_and_inside_the_text(raw: str) -> None:
    text, starts, ends = normalise(raw)

    assert len(text) == len(starts) == len(ends) == len(encode(text))
    assert all(0 <= a < b <= len(raw) for a, b in zip(starts, ends, strict=True))
    assert all(a < b for a, b in itertools.pairwise(starts))

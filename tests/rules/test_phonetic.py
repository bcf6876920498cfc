"""Syllable codes and the distances between them."""

import pytest

from rules.phonetic import distance, encode, readings, spell


@pytest.mark.parametrize(
    "pair", ["坐做", "砍坎", "是四", "蓝南", "福湖", "朋盆", "京今", "0零", "通同"]
)
def test_confused_syllables_have_one_code(pair: str) -> None:
    assert encode(pair[0]) == encode(pair[1])


@pytest.mark.parametrize("pair", ["漆戏", "讯信", "逾以", "泼博", "征中", "花夸"])
def test_similar_syllables_are_near(pair: str) -> None:
    assert distance(encode(pair[0]), encode(pair[1])) in {0.0, 0.5}


@pytest.mark.parametrize("pair", ["坐还", "打你", "牢漆"])
def test_other_syllables_are_far(pair: str) -> None:
    assert distance(encode(pair[0]), encode(pair[1])) == 1.0


def test_nearness_is_mutual() -> None:
    from rules.phonetic import neighbours

    near = neighbours()

    assert all(code in near[other] for code, others in near.items() for other in others)


def test_a_phrase_with_a_heteronym_has_both_readings() -> None:
    assert len(readings("还钱")) == 2
    assert encode("环钱") in readings("还钱")


def test_pinyin_is_cut_into_syllables() -> None:
    found = spell("zuolao")

    assert found is not None
    assert "".join(code for _, _, code in found) == encode("坐牢")
    assert spell("app") is None

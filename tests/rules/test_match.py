"""Patterns found by characters and by sound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.compile import Compiled, Style
from rules.field import Field
from rules.grammar import PatternError, parse_class, parse_pattern
from rules.match import Match, Matcher
from rules.normalise import TURN_JOINT, normalise
from rules.phonetic import encode

LEXICON = {
    name: parse_class(words, {})
    for name, words in {
        "you": ["你", "您", "你们"],
        "cut": ["打断", "卸", "卸掉"],
        "limb": ["腿", "胳膊"],
    }.items()
}


def find(pattern: str, text: str, **style: bool) -> list[Match]:
    alternatives = parse_pattern(pattern, LEXICON)
    matcher = Matcher([Compiled(0, 0, items, Style(**style)) for items in alternatives])
    normal = normalise(f"{TURN_JOINT}{text}{TURN_JOINT}")[0]
    return matcher.scan(Field(normal, encode(normal))).matches(0)


@pytest.mark.parametrize(
    ("pattern", "text", "quote"),
    [
        pytest.param("泼油漆|坐牢", "让你坐牢", "坐牢", id="alternatives"),
        pytest.param(
            "{cut} {you} 的? (一条)? {limb}", "我卸你一条胳膊", "卸你一条胳膊", id="classes"
        ),
        pytest.param("上门 .. 油漆", "上门给你泼油漆", "上门给你泼油漆", id="gap in a clause"),
        pytest.param("不还 ... 坐牢", "不还钱，就坐牢", "不还钱，就坐牢", id="gap over a comma"),
        pytest.param("^你等着$", "好，你等着。", "你等着", id="clause anchors"),
        pytest.param("欠了 .. {amount}", "你欠了我们三万二", "欠了我们三万二", id="a sum"),
        pytest.param("12378", "打一二三七八投诉", "12378", id="digits spoken"),
        pytest.param("泼油漆", "泼.油.漆", "泼油漆", id="separators"),
        pytest.param("你等着", "您等着", "您等着", id="polite as rude"),
        pytest.param("找你 家? 爸妈", "找妳爸妈", "找你爸妈", id="an old form of you"),
        pytest.param("你弄死他", "您弄死她", "您弄死他", id="whoever it is"),
        pytest.param("日{=你}", "日你", "日你", id="exactly these characters"),
    ],
)
def test_patterns_match_characters(pattern: str, text: str, quote: str) -> None:
    (match,) = find(pattern, text)

    assert match.exact
    assert match.quote == quote


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        pytest.param("上门 .. 油漆", "上门，泼油漆", id="a clause gap stops at a comma"),
        pytest.param("不还 ... 坐牢", "不还钱。就坐牢", id="a sentence gap stops at a full stop"),
        pytest.param("^你等着$", "你等着我查一下", id="anchor"),
        pytest.param("等着 !(我)", "你等着我", id="not followed by"),
        pytest.param("!<(稍) 等着", "稍等着", id="not preceded by"),
        pytest.param("sb", "usb接口", id="Latin letters have borders"),
        pytest.param("日{=你}", "今日您欠款", id="exactly these characters"),
    ],
)
def test_patterns_stop_where_they_say(pattern: str, text: str) -> None:
    assert find(pattern, text) == []


@pytest.mark.parametrize(
    ("pattern", "text", "quote"),
    [
        pytest.param(
            "上门 .. (泼|喷)油漆", "我们就上门颇游戏", "上门泼油漆", id="one syllable near"
        ),
        pytest.param("让{you}坐牢", "让你做牢", "让你坐牢", id="same sound"),
        pytest.param("爆 {you}? 通讯录", "报你通信录", "爆你通讯录", id="near in a word"),
        pytest.param(
            "把 {you} 家? .. 锁眼 .. 堵", "把您家所眼拿胶水堵死", "把您家锁眼拿胶水堵", id="a gap"
        ),
        pytest.param("家破人亡", "让你加破人忙", "家破人亡", id="two characters"),
        pytest.param("上门泼油漆", "上门泼了油漆", "上门泼油漆", id="a syllable too many"),
    ],
)
def test_patterns_match_what_asr_makes_of_them(pattern: str, text: str, quote: str) -> None:
    (match,) = find(pattern, text)

    assert not match.exact
    assert match.quote == quote


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        pytest.param("爆 (一下)? 通讯录", "麻烦您报一下通讯地址", id="another word"),
        pytest.param("你得来垫", "感谢您的来电", id="everyday words"),
        pytest.param("坐牢", "做了", id="two syllables alone"),
        pytest.param("老赖", "老来得子", id="short word, other sense"),
        pytest.param("已 .. 提起诉讼", "依法提起诉讼", id="a single syllable that is another word"),
    ],
)
def test_ordinary_words_are_not_taken_for_others(pattern: str, text: str) -> None:
    assert find(pattern, text) == []


@pytest.mark.parametrize(
    ("text", "may"),
    [
        pytest.param("上门给你泼油漆", True, id="all words"),
        pytest.param("上门给你颇游戏", True, id="as heard"),
        pytest.param("上门给你送合同", False, id="one of its words"),
        pytest.param("油漆桶在那里，上门去看", False, id="words in another order"),
    ],
)
def test_a_glance_rules_patterns_out_and_loses_no_match(text: str, *, may: bool) -> None:
    (items,) = parse_pattern("上门 .. 泼油漆", LEXICON)
    normal = normalise(f"{TURN_JOINT}{text}{TURN_JOINT}")[0]
    scan = Matcher([Compiled(0, 0, items)]).scan(Field(normal, encode(normal)))

    assert (0 in scan.set_off) is may
    found = scan.matches(0)
    assert bool(found) is may
    assert found == scan.matches(0)


def test_sound_can_be_switched_off_and_made_stronger() -> None:
    assert find("让你坐牢", "让你做牢", phonetic=False) == []
    assert find("录音", "本次通话路音", strong=True)


@pytest.mark.parametrize(
    "pattern",
    ["(坐牢", "坐牢)", "{nobody}", "..", "坐..99牢", "？", "坐*牢", "?", "问那个", "{=？}", "{=}"],
)
def test_faulty_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        parse_pattern(pattern, LEXICON)


ANY = st.characters(exclude_categories=())
"""Any character at all, halves of pairs among them."""


@given(st.text(st.one_of(st.sampled_from("上门泼油漆三万，。\n ab\uf8ff\uf8fe\ue0ff"), ANY)))
def test_no_text_whatever_upsets_the_search(said: str) -> None:
    patterns = [
        "上门 .. !(检)泼油漆",
        "^ 欠了 ... {amount} $",
        "ab? .. {you}",
        "把 {you}? .. !<(a)门",
    ]
    items = [items for pattern in patterns for items in parse_pattern(pattern, LEXICON)]
    matcher = Matcher([Compiled(n, 0, one) for n, one in enumerate(items)])
    normal = normalise(f"{TURN_JOINT}{said}{TURN_JOINT}")[0]
    raw = said.encode(errors="replace").decode()  # no normal form holds half a pair

    for text, codes in ((normal, encode(normal)), (raw, raw[::-1]), ("", "")):
        scan = matcher.scan(Field(text, codes))
        for match in (match for n in range(len(items)) for match in scan.matches(n)):
            assert 0 <= match.start < match.end <= len(text)


def test_a_text_and_codes_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        Field("上门", "上")

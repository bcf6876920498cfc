"""Every planted number, name and address is found, in any spelling; nothing else is touched."""

import time
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn
from stdnum.cn import ric

from service.privacy.personal import Kind, find_personal, mask, mask_each

FIGURES = {
    "ascii": "0123456789",
    "full width": "０１２３４５６７８９",
    "Chinese": "零一二三四五六七八九",
    "operator's": "洞幺二三四五六拐八勾",
    "formal": "零壹贰叁肆伍陆柒捌玖",
    "Arabic-Indic": "٠١٢٣٤٥٦٧٨٩",
    "mathematical": "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗",
}
GAPS = ("", " ", "-", "－", "，", "、", ".", " 嗯，", "，那个，", "\u200b", "\n", "——", "，然后是")
HOME = "北京市朝阳区建国路88号3栋2单元501室"
# Talk of the trade that names nobody: money, days, hours, rules, offices, hotlines.
LAWFUL = (
    "您好，您的账单已逾期，请尽快与我们联系。",
    "欠款一万二千三百四十五元六角，",
    "2026年6月3日下午三点前还清",
    "本次通话会录音，工号零二三一。",
    "客服热线400-000-0777，",
    "合同号202611220001，",
    "分12期，每期833.33元，",
    "根据《民法典》第六百七十六条，",
    "我们会依法向人民法院起诉。",
    "不要当老赖",
    "谢谢您，明白了，",
    "利息是百分之十二，",
    "高级经理会给您回电，",
    "3号或者5号都可以，",
    "他说一二三四五都行，",
    "您可以到银行柜台办理，",
)


@st.composite
def mobiles(draw: st.DrawFn) -> str:
    return (
        "1" + draw(st.sampled_from("3456789")) + draw(st.text("0123456789", min_size=9, max_size=9))
    )


@st.composite
def identities(draw: st.DrawFn) -> str:
    region = draw(st.sampled_from(["110101", "310104", "440305", "510107", "659001"]))
    born = draw(st.dates(date(1930, 1, 1), date(2029, 12, 31)))
    stem = f"{region}{born:%Y%m%d}{draw(st.integers(0, 999)):03d}"
    return stem + ric.calc_check_digit(stem + "0")


@st.composite
def cards(draw: st.DrawFn) -> str:
    start = draw(st.sampled_from(["62", "4", "51", "35", "9558", "6013"]))
    size = draw(st.integers(15, 18))
    stem = start + draw(st.text("0123456789", min_size=size, max_size=size))[: size - len(start)]
    return stem + luhn.calc_check_digit(stem)


@st.composite
def spelt(draw: st.DrawFn, number: str) -> str:
    """A number in the figures of a script, with one kind of gap between groups of figures."""
    figures = FIGURES[draw(st.sampled_from(sorted(FIGURES)))]
    gap = draw(st.sampled_from(GAPS))
    size = draw(st.integers(1, 5))
    words = [figures[int(char)] if char.isdigit() else char for char in number]
    groups = ["".join(words[at : at + size]) for at in range(0, len(words), size)]
    return gap.join(groups)


lawful = st.lists(st.sampled_from(LAWFUL), max_size=4).map("".join)


@given(data=st.data(), before=lawful, after=lawful)
@pytest.mark.asvs("14.2.6")
def test_every_planted_number_is_found_however_it_is_spelt(
    data: st.DataObject, before: str, after: str
) -> None:
    kind, numbers = data.draw(
        st.sampled_from(
            [
                (Kind.PHONE, mobiles()),
                (Kind.IDENTITY_NUMBER, identities()),
                (Kind.BANK_CARD, cards()),
            ]
        )
    )
    planted = data.draw(spelt(data.draw(numbers)))
    text = f"{before}。号码：{planted}。{after}"
    start = len(before) + 4

    masked = mask(text)

    assert masked == text[:start] + "*" * len(planted) + text[start + len(planted) :]
    assert kind in {found.kind for found in find_personal(text)}


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("座机是010-65551234。", Kind.PHONE, "010-65551234"),
        ("6 2 0 0 0 0 0 0 0 1 0 1 0 0 0 3", Kind.BANK_CARD, "6 2 0 0 0 0 0 0 0 1 0 1 0 0 0 3"),
        ("打(0755) 2655 1234", Kind.PHONE, "0755) 2655 1234"),
        ("洞二幺六五五五幺二三四", Kind.PHONE, "洞二幺六五五五幺二三四"),
        ("+86 138 0000 0001", Kind.PHONE, "+86 138 0000 0001"),
        ("0086-13800000001", Kind.PHONE, "0086-13800000001"),
        ("+852 9123 4567", Kind.PHONE, "+852 9123 4567"),
        ("家里电话六五五五幺二三四", Kind.PHONE, "六五五五幺二三四"),
        ("一三八，三个八，零零，四个一", Kind.PHONE, "一三八，三个八，零零，四个一"),
        ("身份证110101900307771", Kind.IDENTITY_NUMBER, "110101900307771"),
        ("证件号11010119900307771x", Kind.IDENTITY_NUMBER, "11010119900307771x"),
        ("卡号6222021234567890111", Kind.BANK_CARD, "6222021234567890111"),
        ("邮箱li.wei@example.com.cn，", Kind.EMAIL, "li.wei@example.com.cn"),
        ("加微信：abc_def99", Kind.ACCOUNT, "abc_def99"),
        ("QQ号是123456789", Kind.ACCOUNT, "123456789"),
        ("车牌京A·12345", Kind.PLATE, "京A·12345"),
        ("新能源粤BD12345", Kind.PLATE, "粤BD12345"),
        (f"家住{HOME}。", Kind.ADDRESS, HOME),
        ("就在花园路七号院三单元", Kind.ADDRESS, "花园路七号院三单元"),
        ("永安镇石桥村3组", Kind.ADDRESS, "永安镇石桥村3组"),
        ("我叫李伟，", Kind.NAME, "李伟"),
        ("姓名：诸葛孔明 ", Kind.NAME, "诸葛孔明"),
        ("请问是张晓红女士吗", Kind.NAME, "张晓红"),
        ("张先生您好", Kind.NAME, "张"),
        ("请问您是李伟吗", Kind.NAME, "李伟"),
        ("王建国欠我们银行钱", Kind.NAME, "王建国"),
        ("李总您好", Kind.NAME, "李"),
    ],
)  # fmt: skip
def test_what_names_or_reaches_a_person_is_found(text: str, kind: Kind, found: str) -> None:
    assert [(each.kind, text[each.start : each.end]) for each in find_personal(text)] == [
        (kind, found)
    ]


@pytest.mark.parametrize("text", [*LAWFUL, "1,380,000,000.01元", "公司老板和班主任", "找老师", ""])
def test_what_names_nobody_is_left_alone(text: str) -> None:
    assert mask(text) == text


def test_known_people_are_found_as_written_apart_and_as_heard() -> None:
    known = {"夏侯惇", "Anna Li", "+861065551234"}
    text = "下候敦欠钱，夏 侯 惇先来，anna li 也在，六五五五幺二三四不接，1065551234"

    masked = mask(text, known)

    assert masked == "***欠钱，*****先来，******* 也在，六五五五幺二三四不接，**********"


@given(st.text("一三八零幺0138 ，-我叫李伟张先生路3号京A@.市区x嗯个", max_size=60))
def test_masking_again_changes_nothing_and_keeps_the_length(text: str) -> None:
    masked = mask(text)

    assert len(masked) == len(text)
    assert mask(masked) == masked
    assert all(after in {before, "*"} for before, after in zip(text, masked, strict=True))


def test_a_number_read_out_over_several_stretches_is_one() -> None:
    said = ["我的电话一三八", "嗯", "零零零零", "好的", "零零零一"]

    assert mask_each(said) == ["我的电话***", "*", "****", "**", "****"]
    assert mask_each([]) == []


@pytest.mark.parametrize(
    "piece",
    [
        "您好，请还款。", "1", "一", "1 ", "市", "路3号", "王", "13800000001 ", "a@", "三个", "，1",
        "镇村路", "a.",
    ],
)  # fmt: skip
@pytest.mark.asvs("1.3.12")
def test_a_long_text_takes_time_in_proportion_whatever_it_holds(piece: str) -> None:
    size = 1_000_000 // len(piece.encode()) // 4
    small, large = piece * (size // 8), piece * size

    begun = time.process_time()
    mask(small)
    middle = time.process_time()
    mask(large)
    ended = time.process_time()

    assert ended - middle < max(2.5 * 8 * (middle - begun), 1.0)
    assert ended - middle < 5

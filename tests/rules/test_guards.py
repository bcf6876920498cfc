"""Each guard clears what it is for and lets threats through."""

import pytest

from rules.document import Side
from rules.events import Segment, Speaker
from rules.guards import GUARDS, OPTIONAL, first_objection, is_softened
from rules.place import Place


def place(text: str, words: str, *, exact: bool = True) -> Place:
    said = Segment(speaker=Speaker.COLLECTOR, start=0, end=1, text=text)
    side = Side([(0, [(0, said)])])
    start = side.text.index(words)
    end = start + len(words)
    return Place(side, start, end, ((start, end),), exact=exact)


@pytest.mark.parametrize(
    ("guard", "text", "words"),
    [
        ("negated", "我们绝不会上门泼油漆", "泼油漆"),
        ("negated", "借款不还是民事纠纷，正常情况下不会坐牢", "坐牢"),
        ("negated", "泼油漆、堵锁眼这些都是明令禁止的", "泼油漆"),
        ("negated", "我这边不是公安也不是法院", "法院"),
        ("negated", "泼油漆什么的，正规公司不会做", "泼油漆"),
        ("negated", "上门泼油漆那种事肯定不会的", "泼油漆"),
        ("question", "您是担心我们上门泼油漆吗？", "泼油漆"),
        ("reported", "您说之前有人威胁要砍您全家，是吗？", "砍您全家"),
        ("reported", "昨天那通“砍死你”的录音已经转质检，员工停岗", "砍死你"),
        ("education", "判决生效后有能力而拒不履行的，可能承担刑事责任", "刑事责任"),
        ("advice", "如果遇到泼油漆的，请您报警", "泼油漆"),
        ("spoken_of", "像上门泼油漆这种催收，公司抓到一个开除一个", "泼油漆"),
        ("spoken_of", "您刚才学的那句再不还就让你坐牢，我听着都生气", "坐牢"),
        ("spoken_of", "有些小贷公司会讲不还钱就上门抓人，我们不来这一套", "上门抓人"),
        ("spoken_of", "您担心我们告诉您单位，这个担心是多余的", "告诉您单位"),
        ("own_risk", "我要是骗您，出门让车撞死", "让车撞死"),
        ("own_risk", "换成是我，躺在床上动不了", "躺在床上"),
        ("target", "这个月可以砍掉违约金", "砍"),
        ("border", "弄死机了您就重启一下", "弄死"),
        ("border", "我们马上门店会联系您", "上门"),
    ],
)
def test_the_innocent_are_cleared(guard: str, text: str, words: str) -> None:
    assert GUARDS[guard](place(text, words))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我不会动手，但是我那帮兄弟会不会动手，我可就不知道了", "动手"),
        ("法律是不让泼油漆，那我们换别的", "泼油漆"),
        ("再不还我找到你家砍死你，你信不信", "砍死你"),
        ("不还钱就让你坐牢", "坐牢"),
        ("别怪我们不客气", "不客气"),
        ("你别以为我们不敢上门泼油漆", "泼油漆"),
        ("我上次跟你说了，再不还就上门泼油漆", "泼油漆"),
        ("我们领导说了，明天上门抓人", "上门抓人"),
        ("你不会想坐牢吧", "坐牢"),
        ("信不信我砍死你？", "砍死你"),
        ("你不能再拖了，明天上门泼油漆", "泼油漆"),
        ("不是吓唬你，手铐一戴你就知道了", "手铐"),
        ("电话不接信息不回，我让你全家不得安宁", "不得安宁"),
        ("你上了网贷黑名单，谁也不会借你", "黑名单"),
        ("你的案件已经进入强制执行", "强制执行"),
        ("我不跟你说笑，再不还我打断你的腿", "打断你的腿"),
        ("这种话我只说一遍，明天就上门泼油漆", "泼油漆"),
        ("我们公司不让骂人，可我今天就骂你，你就是个畜生", "畜生"),
        ("别听网上瞎说，你这个就是要坐牢", "坐牢"),
        ("我先把你这事记下来，回头让你单位开除你", "开除你"),
        ("我要是再看见你，见一次打一次", "见一次打一次"),
        ("你怕我告诉你单位？怕就还钱", "告诉你单位"),
    ],
)
def test_threats_are_not_cleared(text: str, words: str) -> None:
    assert first_objection(place(text, words), frozenset(GUARDS) - OPTIONAL) is None


def test_a_denial_is_heard_through_homophones() -> None:
    assert GUARDS["negated"](place("我们决不慧上门泼油漆", "泼油漆"))


def test_an_idiom_clears_only_what_it_overlaps() -> None:
    text = "弄死机了，我弄死你"
    inside, beside = place(text, "弄死"), place(text, "弄死你")
    idiom = inside.start, inside.start + len("弄死机")
    inside.idioms = beside.idioms = (idiom,)
    assert GUARDS["idiom"](inside)
    assert GUARDS["idiom"](beside) is None


def test_kind_words_soften_a_hint_but_not_beside_a_rude_one() -> None:
    courtesy = frozenset({"courtesy"})
    kind = "您放心，我帮您登记延期，您单位那边走着瞧吧"
    assert first_objection(place(kind, "走着瞧"), courtesy) is None
    assert is_softened(place(kind, "走着瞧"), courtesy)
    for rude in ("您放心，我帮您登记延期，你就走着瞧吧", "您单位那边走着瞧吧"):
        assert not is_softened(place(rude, "走着瞧"), courtesy)


def test_an_untried_pattern_is_not_matched_by_sound_alone() -> None:
    untried = frozenset({"untried"})
    text = "您那边收成泡汤了吧"
    assert first_objection(place(text, "泡汤"), untried) is None
    assert first_objection(place(text, "泡汤", exact=False), untried) is not None

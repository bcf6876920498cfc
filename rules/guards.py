"""What clears a match: denial, question, report, teaching, advice, other target, word border."""

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import rjieba

from rules.manner import kind_words
from rules.normalise import BREAKS, HARD, SOFT, TURN
from rules.phonetic import encode
from rules.talked_about import SPOKEN_OF_AFTER, SPOKEN_OF_BEFORE

_NEAR, _FAR, _AFTER = 12, 28, 24
"""Characters before a match in which a negation still governs it, or may; and after it."""

_TURN_FAR = 120
"""Characters of the turn on both sides of a match that any guard looks at."""


@dataclass(slots=True)
class Place:
    """A match in the normal form of its side: `words` are the spans of the words that matched.

    `sentence` and `turn` are where the sentence and the turn round it begin and end, or where no
    guard looks any further.
    """

    text: str
    codes: str
    start: int
    end: int
    words: tuple[tuple[int, int], ...]
    idioms: tuple[tuple[int, int], ...] = ()
    raw_after: str = ""
    exact: bool = True
    sentence: tuple[int, int] = field(init=False)
    turn: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        text, end = self.text, self.end
        far = max(0, self.start - _TURN_FAR)
        low = max(far, text.rfind(TURN, far, self.start) + 1)
        high = text.find(TURN, end, end + _TURN_FAR)
        if high < 0:
            high = min(len(text), end + _TURN_FAR)
        stop = text.find(HARD, end, high)
        first = max(low, text.rfind(HARD, low, self.start) + 1)
        self.turn, self.sentence = (low, high), (first, high if stop < 0 else stop)

    def before(self, most: int) -> int:
        """Where the sentence begins, or so many characters before the match."""
        return max(self.sentence[0], self.start - most)

    def after(self, most: int) -> int:
        """Where the sentence ends, or so many characters after the match."""
        return min(self.sentence[1], self.end + most)

    def turn_after(self, most: int) -> int:
        """Where the turn ends, or so many characters after the match."""
        return min(self.turn[1], self.end + most)

    def clause(self, most: int) -> tuple[int, int]:
        """The clause round the match, so many characters on both sides at most."""
        low, high = self.before(most), self.after(most)
        comma = self.text.find(SOFT, self.end, high)
        return (max(low, self.text.rfind(SOFT, low, self.start) + 1), high if comma < 0 else comma)


Guard = Callable[[Place], str | None]
"""Says why a match does not count, or None where it lets it through."""


_written = cache(re.compile)
"""An expression over characters, compiled once."""


@cache
def _heard(pattern: str) -> re.Pattern[str]:
    """The same expression over syllable codes; Chinese characters alone are changed."""
    return re.compile(re.sub("[\u3400-\u9fff]", lambda found: encode(found[0]), pattern))


def _search(pattern: str, place: Place, low: int, high: int, *, sound: bool = True) -> str | None:
    """What the expression finds in a stretch, by characters or else by sound."""
    found = _written(pattern).search(place.text[low:high])
    if found is None and sound:
        found = _heard(pattern).search(place.codes[low:high])
    return None if found is None else place.text[low + found.start() : low + found.end()]


_DENIAL = (
    "(?:绝对?不|决不|永不|从不|从未|从来没|从没|并不|并没|不会|不能|不得|不可以|不可能|不许|"
    "不准|不让|不允许|不应该?|不该"
    "|没有|没人|禁止|严禁|杜绝|不需要|不用担心|不必担心|不至于|无权|没权利?|拒绝|避免|防止|"
    "不存在|不属于|不涉及|不提倡|不建议"
    "|不是(?:要|来|去|说|想|为了)?|不支持|不主张|并非|不要求|不参与)"
)
_NO_DENIAL = (
    "(?:不然|不是还?也?有|怎么没|咋没|怎么不|咋不|会不会|能不能|是不是|要不是|可不可以|不能不|不得不|不会不|不得了|不仅|不只|不光|不但|"
    "没有办法就|不能再|不能老|不能总|不要再|没有还|没有钱"
    "|不是不|你没有|您没有|你不能|有没有|你不会(?:想|以为|希望|愿意|真)|您不会(?:想|以为|希望|"
    "愿意|真)|难道|以为(?:我们?|咱们?)?不"
    "|谁说|你说(?:我们?)?不|信不信|不存在你)"
)
_TURNING = (
    "(?:就|否则|不然|要不|再不|的话|但|可是|不过|只是|反而|然后|小心|等着|那我|那就"
    "|除非|直接|马上|立刻|明天|今天|后果|不还|不给|不接|不处理|逼|不怕)"
)
_ADJACENT = re.compile("[不没别勿莫无][有要想会再去来敢]?$")
_STILL_THREAT = (
    "(?:但|但是|可|可是|不过|只是|就怕|至于)[^。\n]{0,10}(?:兄弟|弟兄|别人|人家|他们|手下|朋友|"
    "那帮|那群|会不会|保不齐|不敢保证|不保证|不好说|难说|不知道"
    "|管不了|管不住|控制不|不一定|说不准|没准|不代表)|那(?:我们?|咱们?)?(?:就)?(?:换|来点|用|"
    "玩)别的|换(?:个|种)(?:法子|方式|办法|花样)"
)
_SURELY = "(?:都|也|是|可|绝对?|决|肯定|一定|根本|从来|从|真的?)*"
_DENIED_AFTER = (
    "^[^。\n]{0,10}?(?:(?:都|全|全都|也)?(?:是|属于|算)(?:[^，。\n]{0,6})(?:禁止|违法|违规|"
    "犯法|不允许|不合规|不可以|不对|谣言|假的|误传|谣传|骗局|骗术|骗人|圈套|瞎说|胡说|乱讲|没有的事)"
    "|(?:这|那)(?:句|种|个|些|样)?(?:的)?(?:话|说法|讲法)[^。\n]{0,4}?(?:不是|不该|不应该|不对|不实|有误|错)"
    "|[^，。\n]{0,2}(?:确实|实在|本来就|真的?)?(?:不该|不应该)(?:这么|这样)?(?:说|讲)"
    "|(?:明令|一律|严格)?(?:禁止|不允许|不被允许|不合规|违法|犯法)的?"
    f"|(?:我们?|咱们?|公司|这边|员工|同事){_SURELY}不(?:会|干|做|搞|允许|可能)"
    "|(?:我们|公司)?(?:从来)?没有(?:这|那|过|权))"
    # Without us as the subject only what is said of the act itself: 谁也不会借你 denies nothing.
    "|^(?:什么)?(?:的话|的)?，?(?:已?告知|答复|回复|表示|说明)?(?:这|那)?(?:些|个|种|样)?(?:的)?(?:事情?|话|行为|做法)?"
    f"{_SURELY}不(?:会|干|做|搞|允许|可能)"
    "|^[^。\n]{0,24}?(?:这些|这种|这类|那些|那种)(?:行为|事情?|方式|手段|做法|话)?(?:都|全都?|也)?"
    "(?:是|属于)(?:[^，。\n]{0,6})(?:禁止|违法|违规|犯法|不允许|不合规)"
)
_OWN_WILL = (
    "(?:就|肯定|一定)?不(?:会|干|做|搞)(?:放过|罢休|客气|算完|善罢|管|手软|走|停|让"
    "|只|仅|等|再|跟你|给你|饶)"
)
_WILL_OR_TURN = f"{_OWN_WILL}|{_TURNING}"
_NO_ADJACENT = (
    f"{_NO_DENIAL}|(?:再|要|又|还|老|总|一直|敢)不$|怪(?:我们?)?不$|别(?:想|怪|以为|逼|指望)"
)


def negated(place: Place) -> str | None:
    """Clear what is denied or forbidden, but not a threat that is only worded as a denial."""
    sentence = place.after(_AFTER)
    if _search(_STILL_THREAT, place, place.end, sentence):
        return None
    near, _ = place.clause(_NEAR)
    if found := _ADJACENT.search(place.text[near : place.start]):
        before = place.text[max(near, place.start - 6) : place.start]
        if not _written(_NO_ADJACENT).search(before):
            return _reason("denied", found[0], place)
    if inner := _inner_denial(place):
        return _reason("denied", inner, place)
    if found_text := _governing(place, place.before(_FAR)):
        return _reason("denied", found_text, place)
    after = _search(_DENIED_AFTER, place, place.end, sentence)
    if after and not _written(_WILL_OR_TURN).search(after):
        return _reason("denied", after, place)
    return None


_INNER = re.compile("(?:并?不是|并不|不会|绝不|从不|不再|并没有|不用|不必|不需要|没人|无需)$")


def _inner_denial(place: Place) -> str | None:
    """A denial between two words of the match, right before the second: 罚息不是翻倍."""
    if len(place.words) == 1:
        return None
    for (_, end), (start, _) in itertools.pairwise(sorted(place.words)):
        found = _INNER.search(place.text[end:start])
        if found and place.text[start] not in "有还":  # 不是还有额度吗
            return found[0]
    return None


def _governing(place: Place, low: int) -> str | None:
    """A denial before the match that governs it: nothing between them turns the sense."""
    spans = [found.span() for found in _written(_DENIAL).finditer(place.text, low, place.start)]
    spans += [
        found.span()
        for found in _heard(_DENIAL).finditer(place.codes, low, place.start)
        if found.end() - found.start() > 1
    ]
    for start, end in sorted(set(spans), reverse=True):
        between = place.text[end : place.start]
        listing = between.count(SOFT)
        if _written(_TURNING).search(between) or _blocked(place, low, start, end):
            continue
        strong = re.search(
            "绝|决|禁止|杜绝|不得|不允许|从不|从来|不准|不许|不会", place.text[start:end]
        )
        if len(between) <= _NEAR and (not listing or strong):
            return place.text[start:end]
        if strong and listing and len(between) <= _FAR:
            return place.text[start:end]
    return None


def _blocked(place: Place, low: int, start: int, end: int) -> bool:
    """Whether words on the denial unmake it; 能不能 does so to its own 不能 only (能不能不让…)."""
    near = _written(_NO_DENIAL).finditer(place.text, max(low, start - 4), min(end + 2, place.start))
    asking = {"会不会", "能不能", "是不是", "可不可以", "有没有"}
    return any(found[0] not in asking or found.end() > start for found in near)


def _reason(kind: str, words: str, place: Place) -> str:
    return f"{kind}: {words.strip(BREAKS)} … {place.text[place.start : place.end]}"


_ASKED = (
    "(?:您|你)?(?:是)?(?:想)?(?:问|担心|害怕|听说|听到|遇到|遇见|碰到|收到过?|反映|"
    "提到)|(?:有没有|是否有|有无)[^。\n]{0,4}?(?:人|员工|同事|坐席|催收员)|有(?:没有)?谁|是不是有人|谁(?:跟|对|说|告诉)|哪位|哪个"
    "(?:人|同事|号码)"
)
_QUESTION_END = (
    "^[^。\n]{0,10}?(?:吗|呢|么|没有|对吧|是吧|是不是|不|嘛|谁|哪)?(?:，(?:是吗|对"
    "吗|是吧|对吧|是不是))?。"
)
_TURN_OR_ASK = f"{_TURNING}|我(?:再)?问你"
_OF_COURTS = "公安|法院|警|立案|判|起诉|仲裁|传票"
_PLAIN_QUESTION = "^了?(?:吗|没有|没|了没)(?:，|。|$)"
_DARE = "信不信|怕不怕|想不想|要不要我|是不是想|你想|您想|你是不是要|想让|逼我|非要|敢不敢|怎么样"


def question(place: Place) -> str | None:
    """Clear what the collector only asks about: did somebody say this, is that your worry?"""
    low = place.before(_FAR)
    before = place.text[low : place.start]
    if _written(_DARE).search(before):
        return None
    plain = _written(_PLAIN_QUESTION).match(place.text[place.end : place.end + 5])
    if plain and _written(_OF_COURTS).search(place.text[place.start : place.end]):
        return _reason("asked", plain[0], place)
    asked = _search(_ASKED, place, low, place.start)
    if asked is None or _written(_TURN_OR_ASK).search(before):
        return None
    ends = _written(_QUESTION_END).match(place.text[place.end : place.end + 20])
    marked = "?" in place.raw_after or "？" in place.raw_after
    asks = "是不是" in before or "有没有" in before or "是否" in before
    if asks or (ends and re.search("吗|呢|么|没有|吧|是不是|嘛", ends[0])) or marked:
        return _reason("asked", asked, place)
    return None


_OTHERS = (
    "(?:您|你|客户|对方|人家|别人|有人|网上|网友|新闻|传言|谣言|之前|先前|前面|昨天|昨晚|前天|"
    "上次|那位|那个|有(?:位)?同事|(?:的)?同事|员工|催收员|他|她|他们)[^。\n]{0,8}?"
)
_TOLD = "反映|反馈|提到|投诉|威胁|恐吓|声称|扬言|听到|收到"
_OTHERS_SAID = f"{_OTHERS}(?:说过?|讲过?|骂|传的?|{_TOLD})"
# One syllable alone says too little: 件 and 将 sound like 讲.
_OTHERS_SAID_BY_SOUND = f"{_OTHERS}(?:说过|讲过|{_TOLD})"
_APOLOGY = (
    "道(?:个|一个|声)?歉|赔(?:个|您个)?不是|赔礼|受委屈|抱歉|对不起|质检|核查|核实(?:一下)?(?:这|那|该|相关)|停岗|停职|投诉工单|"
    "工单|处罚|严肃处理|录音(?:发|调|我们|留|保存|提供)|书面(?:答复|回复|交代)|不允"
    "许员工|这么说话|受惊|受到惊吓|更正"
)
_RELAYED = (
    "(?:领导|老板|经理|主任|公司|法院|法官|警察|警方|派出所|公安|律师|总部|上面|银"
    "行|我|咱)[^。\n您你]{0,4}(?:说|讲|通知|反映|威胁)"
)
_STILL_ON = "老子|再敢|试试|再不|否则|不然|要是不|你要不|不还|就让你|我就|我们就|等着瞧"


def reported(place: Place) -> str | None:
    """Clear the words of others that the collector repeats to clarify or to apologise."""
    turn_low, turn_high = place.turn
    low = place.before(_FAR)
    between = place.text[low : place.start]
    blunt = re.search("，你(?:这个?)?就是", place.text[low : place.start + 2])
    if blunt or _written(_STILL_ON).search(between):
        return None
    said = _search(_OTHERS_SAID, place, low, place.start, sound=False)
    said = said or _search(_OTHERS_SAID_BY_SOUND, place, low, place.start)
    apology = _written(_APOLOGY).search(place.text[turn_low:turn_high])
    if said and not _written(_RELAYED).search(between):
        own = re.search("(?:我|我们)(?:跟你|跟您|已经)?说", between)
        if apology or (own is None and _asks_or_distances(place, between)):
            return _reason("reported", said, place)
    if apology and not _written(_STILL_ON).search(place.text[turn_low:turn_high]):
        return _reason("reported", apology[0], place)
    return None


def _asks_or_distances(place: Place, between: str) -> bool:
    """Whether the words belong to another person, not to the listener's own promise to pay."""
    tail = place.text[place.end : place.turn_after(_AFTER)]
    third = re.search(
        "人家|别人|有人|网上|网友|新闻|传言|谣言|同事|员工|催收员|威胁|恐吓|骂|反映|反馈|投诉|"
        "听到|收到",
        between,
    )
    return bool(
        third or re.search("吗|是吧|对吧|是吗|报警|放心|不会|没有|不是|别担心|谣言|假的", tail)
    )


_AND_YET = (
    "照样|你(?:这个?)?就|，可(?:我|你|您)|还是(?:要|得|会)|一样(?:要|得|会)|我告诉你|但是|可是"
    "|不过|偏偏|老子"
)


_WILL_ALL_THE_SAME = f"照样|偏偏|老子|{_OWN_WILL}"
_JUDGED_INSIDE = "(?:那|这)(?:都|可)?是?(?:犯法|违法|违规|骗人)"


def spoken_of(place: Place) -> str | None:
    """Clear words that are talked about: they are judged after, or introduced as another's."""
    turn = place.turn_after(48)
    if _search(_STILL_THREAT, place, place.end, turn):
        return None
    judged = _search(SPOKEN_OF_AFTER, place, place.end, turn, sound=False)
    judged = judged or _search(_JUDGED_INSIDE, place, place.start, place.end, sound=False)
    if judged and not _written(_WILL_ALL_THE_SAME).search(judged):
        return _reason("spoken of", judged, place)
    low = place.before(40)
    told = _search(SPOKEN_OF_BEFORE, place, low, place.start, sound=False)
    if told is None:
        return None
    between = place.text[place.text.find(told, low) : place.start]
    return None if _written(_AND_YET).search(between) else _reason("spoken of", told, place)


_STATUTE = (
    "(?:法律|法规|条例|民法典|刑法|治安|监管|办法|公约|指引|准则|国家|公司|总部|政"
    "策|制度|行业)[^。\n]{0,8}(?:规定|禁止|不允许|明令|严禁|不得|要求|不让|明确|红"
    "线)"
)
_COURT_COURSE = (
    "(?:得|必须|除非)(?:是|等|由|经过|靠)$|判决(?:书)?(?:已经)?(?:生效|下来)?(?:之?后|以后)|拒不(?:执行|履行)|情节严重|被(?:法院|"
    "人民法院)(?:判决|认定|裁定|列入|列为|采取|限制)|(?:法院|人民法院)(?:判决|认定|裁定|依法)|"
    "被执行人"
    "|纳入失信|列入失信|失信被执行人名单|按(?:照)?(?:法律|规定)(?:需要|提前|应当)|如实(?:向|"
    "申报)|依法(?:可能|可以|有可能)|可能(?:会)?(?:涉嫌|涉及|构成|承担|面临)|俗称|所谓"
)
_DIRECT = (
    "(?:你|您)?(?:就|马上|明天|今天|立刻|等着)(?:等着)?[^，。\n]{0,4}(?:抓|拷|铐|送"
    "|进去|坐牢|蹲|判)|让你|叫你|把你|弄你|给你办|够判|再不还|再不处理|后果自负"
)


def education(place: Place) -> str | None:
    """Clear teaching: what the law forbids, and the neutral course of a court case."""
    low, high = place.before(40), place.after(_AFTER)
    before = place.text[low : place.start]
    direct = _written(_DIRECT).search(place.text[low:high])
    if direct or _search(_STILL_THREAT, place, place.end, high):
        return None
    found = _search(_STATUTE, place, low, place.start) or _search(
        _COURT_COURSE, place, low, place.start
    )
    if found is None and re.search("可能|会", before):
        found = _search(
            "可能(?:会)?(?:涉嫌|涉及|构成|承担|面临)[^，。\n]{0,6}$", place, low, place.start
        )
    if found is None or _written(_AND_YET).search(before[before.find(found) :]):
        return None
    return _reason("taught", found, place)


_IF_MET = (
    "(?:如果|如|若|要是|万一|一旦|假如|假设|真)?[^。\n]{0,4}(?:遇到|遇见|遇上|碰到|"
    "碰上|接到|收到|发现)(?:过)?|(?:如果|若|要是|万一|一旦|假如)(?:有人|谁|别人)"
)
_WARD_OFF = (
    "(?:谨防|当心|警惕|提防|防范|小心(?:骗子|诈骗|被骗)|识别|防止|以防|防备"
    "|(?<!不是)(?<!没有)(?<!以为)(?:自称|假冒|冒充|谎称))"
)
_DO_REPORT = (
    "(?:请|您|可以|记得|马上|及时|一定|就|立即|立刻|麻烦|建议|直接|都能|也可以)"
    "[^。\n]{0,6}(?:报警|投诉|举报|拨打|保留|留存|留好|反映|告诉我们|警惕|谨防|核实"
    "|110|12378)|留好证据|保留证据|千万别信|不要(?:相信|理会|上当)|别信|别理"
)


def advice(place: Place) -> str | None:
    """Clear advice: if you meet with this, report it."""
    low = place.before(_FAR)
    met = _search(_IF_MET, place, low, place.start) or _search(_WARD_OFF, place, low, place.start)
    if not met:
        return None
    guarded = _written(_WARD_OFF).search(met) is not None
    if guarded or _search(_DO_REPORT, place, place.end, place.turn_after(30)):
        return _reason("advised", met, place)
    return None


_OWN_FAULT = (
    "(?:骗|蒙您|坑您|撒谎|说谎|多收|多要|透露|泄露|说假|违规|骚扰|上门闹|乱来|胡来|弄错|搞错|说错|算错"
    "|给(?:您|你)(?:的)?(?:家|单位|公司)|打给(?:您|你)(?:的)?(?:家|单位|公司))"
)
_SELF_VOW = (
    f"(?:我们?|咱们?)(?:今天|哪天)?(?:要是|如果|真要是?|若是?|敢)[^。\n]{{0,4}}?{_OWN_FAULT}"
    f"|(?:要是|如果|哪天)(?:我们?|咱们?)[^。\n]{{0,3}}?{_OWN_FAULT}"
    "|(?:换成|换作|换做|换了)(?:是)?(?:我|咱)"
)


def own_risk(place: Place) -> str | None:
    """Clear what the collector calls down on himself: if I cheat you, report me."""
    own = place.text[place.start : place.end]
    if "你" in own or "您" in own:
        return None
    vow = _written(_SELF_VOW).search(place.text[place.before(_FAR) : place.start])
    return _reason("vowed", vow[0], place) if vow else None


def courtesy(place: Place) -> str | None:
    """Soften hints among kind words: 您 throughout, and help, comfort or an excuse beside them."""
    kind = kind_words(place.text, place.start, place.end)
    return _reason("kind", kind, place) if kind else None


def untried(place: Place) -> str | None:
    """Clear what only sounds like an untried pattern."""
    return None if place.exact else _reason("untried", "by sound", place)


_THIRD_OBJECTS = (
    "^(?:掉|了|一下|下|的|您的|你的|那个|这个)?(?:电话|资料|材料|违约金|利息|罚息|"
    "费用|滞纳金|价格?|手续费|系统|电脑|手机|软件|程序|页面|网页|app|账单|文件|档案"
    "|单子|行李|东西|卡号)"
)


def target(place: Place) -> str | None:
    """Clear what is done to a thing that is neither the listener nor theirs."""
    found = _written(_THIRD_OBJECTS).match(place.text[place.end : place.end + 8])
    return _reason("target", found[0], place) if found else None


def idiom(place: Place) -> str | None:
    """Clear a match whose words overlap a harmless idiom of the pack."""
    for low, high in place.idioms:
        for start, end in place.words:
            inside = start <= low and high <= end and (start, end) != (low, high)
            if low < end and start < high and not inside:
                return f"idiom: {place.text[low:high]}"
    return None


def border(place: Place) -> str | None:
    """Clear a word that jieba cuts through, so that its characters belong to two other words."""
    pairs = [(a, b) for a, b in place.words if b - a == 2 and rjieba.has_word(place.text[a:b])]  # noqa: PLR2004
    if not pairs:
        return None
    low, high = place.clause(10)
    tokens: list[tuple[int, int]] = []
    at = low
    for token in rjieba.cut(place.text[low:high], False):  # noqa: FBT003  no guessing of unknown words
        tokens.append((at, at + len(token)))
        at += len(token)
    for start, end in pairs:
        for a, b in tokens:
            crosses = a < start < b < end or start < a < end < b
            if crosses and b - a > 1 and not (place.start <= a and b <= place.end):
                return f"border: {place.text[a:b]}"
    return None


GUARDS: Mapping[str, Guard] = {
    "idiom": idiom,
    "negated": negated,
    "reported": reported,
    "spoken_of": spoken_of,
    "question": question,
    "advice": advice,
    "education": education,
    "target": target,
    "own_risk": own_risk,
    "border": border,
    "untried": untried,
}
"""The guards that clear a match, by name, in the order in which they are asked."""

_BY_COST = (
    "untried idiom target own_risk reported negated question advice education spoken_of border"
)
BY_COST: Mapping[str, Guard] = {name: GUARDS[name] for name in _BY_COST.split()}
"""The same guards, those that cost little and clear much first: for whoever asks only whether."""

SOFTENING: Mapping[str, Guard] = {"courtesy": courtesy}
"""Those that let a match ask for a review at most. A threat may be polite: they clear nothing."""

OPTIONAL = frozenset({"courtesy", "untried"})
"""Guards that are on only where a rule, cue or pattern adds them."""


def first_objection(
    place: Place, names: frozenset[str], guards: Mapping[str, Guard] = GUARDS
) -> tuple[str, str] | None:
    """The first of these guards that has something against the match, and why."""
    for name, guard in guards.items():
        if name in names and (why := guard(place)) is not None:
            return name, why
    return None

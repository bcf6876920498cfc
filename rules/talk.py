"""Which matches are others' words or talk about a thing: asked, reported, taught, advised."""

import re

from rules.denial import OWN_WILL, STILL_THREAT, TURNING
from rules.glance import Zone
from rules.place import (
    AFTER,
    FAR,
    TALK_AFTER,
    TALK_BEFORE,
    Place,
    may_stand,
    reason,
    search,
    watch,
    written,
)
from rules.signs import Look
from rules.talked_about import SPOKEN_OF_AFTER, SPOKEN_OF_BEFORE

_BOTH = (False, True)
_ASKED = (
    "(?:您|你)?(?:是)?(?:想)?(?:问|担心|害怕|听说|听到|遇到|遇见|碰到|收到过?|反映|"
    "提到)|(?:有没有|是否有|有无)[^。\n]{0,4}?(?:人|员工|同事|坐席|催收员)|有(?:没有)?谁|是不是有人|谁(?:跟|对|说|告诉)|哪位|哪个"
    "(?:人|同事|号码)"
)
_QUESTION_END = (
    "^[^。\n]{0,10}?(?:吗|呢|么|没有|对吧|是吧|是不是|不|嘛|谁|哪)?(?:，(?:是吗|对"
    "吗|是吧|对吧|是不是))?。"
)
_TURN_OR_ASK = f"{TURNING}|我(?:再)?问你"
_OF_COURTS = "公安|法院|警|立案|判|起诉|仲裁|传票"
_PLAIN_QUESTION = "^了?(?:吗|没有|没|了没)(?:，|。|$)"
_DARE = "信不信|怕不怕|想不想|要不要我|是不是想|你想|您想|你是不是要|想让|逼我|非要|敢不敢|怎么样"


def question(place: Place) -> str | None:
    """Clear what the collector only asks about: did somebody say this, is that your worry?"""
    low = place.before(FAR)
    before = place.text[low : place.start]
    if written(_DARE).search(before):
        return None
    plain = written(_PLAIN_QUESTION).match(place.text[place.end : place.end + 5])
    if plain and written(_OF_COURTS).search(place.text[place.start : place.end]):
        return reason("asked", plain[0], place)
    asked = search(_ASKED, place, low, place.start)
    if asked is None or written(_TURN_OR_ASK).search(before):
        return None
    ends = written(_QUESTION_END).match(place.text[place.end : place.end + 20])
    marked = "?" in place.raw_after or "？" in place.raw_after
    asks = "是不是" in before or "有没有" in before or "是否" in before
    if asks or (ends and re.search("吗|呢|么|没有|吧|是不是|嘛", ends[0])) or marked:
        return reason("asked", asked, place)
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
    low = place.before(FAR)
    between = place.text[low : place.start]
    blunt = re.search("，你(?:这个?)?就是", place.text[low : place.start + 2])
    if blunt or written(_STILL_ON).search(between):
        return None
    said = search(_OTHERS_SAID, place, low, place.start, sound=False)
    said = said or search(_OTHERS_SAID_BY_SOUND, place, low, place.start)
    apology = None
    if may_stand(_APOLOGY, place):
        apology = written(_APOLOGY).search(place.text[turn_low:turn_high])
    if said and not written(_RELAYED).search(between):
        own = re.search("(?:我|我们)(?:跟你|跟您|已经)?说", between)
        if apology or (own is None and _asks_or_distances(place, between)):
            return reason("reported", said, place)
    if apology and not written(_STILL_ON).search(place.text[turn_low:turn_high]):
        return reason("reported", apology[0], place)
    return None


def _asks_or_distances(place: Place, between: str) -> bool:
    """Whether the words belong to another person, not to the listener's own promise to pay."""
    tail = place.text[place.end : place.turn_after(AFTER)]
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


_WILL_ALL_THE_SAME = f"照样|偏偏|老子|{OWN_WILL}"
_JUDGED_INSIDE = "(?:那|这)(?:都|可)?是?(?:犯法|违法|违规|骗人)"


def spoken_of(place: Place) -> str | None:
    """Clear words that are talked about: they are judged after, or introduced as another's."""
    turn = place.turn_after(TALK_AFTER)
    if search(STILL_THREAT, place, place.end, turn):
        return None
    judged = search(SPOKEN_OF_AFTER, place, place.end, turn, sound=False)
    judged = judged or search(_JUDGED_INSIDE, place, place.start, place.end, sound=False)
    if judged and not written(_WILL_ALL_THE_SAME).search(judged):
        return reason("spoken of", judged, place)
    low = place.before(TALK_BEFORE)
    told = search(SPOKEN_OF_BEFORE, place, low, place.start, sound=False)
    if told is None:
        return None
    between = place.text[place.text.find(told, low) : place.start]
    return None if written(_AND_YET).search(between) else reason("spoken of", told, place)


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
    low, high = place.before(TALK_BEFORE), place.after(AFTER)
    before = place.text[low : place.start]
    direct = written(_DIRECT).search(place.text[low:high])
    if direct or search(STILL_THREAT, place, place.end, high):
        return None
    found = search(_STATUTE, place, low, place.start) or search(
        _COURT_COURSE, place, low, place.start
    )
    if found is None or written(_AND_YET).search(before[before.find(found) :]):
        return None
    return reason("taught", found, place)


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
    low = place.before(FAR)
    met = search(_IF_MET, place, low, place.start) or search(_WARD_OFF, place, low, place.start)
    if not met:
        return None
    guarded = written(_WARD_OFF).search(met) is not None
    if guarded or search(_DO_REPORT, place, place.end, place.turn_after(30)):
        return reason("advised", met, place)
    return None


QUESTION_LOOKS = watch(
    Look(_PLAIN_QUESTION, Zone.LATER, 5),
    *(Look(_ASKED, Zone.BEFORE, FAR, by_sound=by_sound) for by_sound in _BOTH),
)
REPORTED_LOOKS = watch(
    Look(_OTHERS_SAID, Zone.BEFORE, FAR),
    *(Look(_OTHERS_SAID_BY_SOUND, Zone.BEFORE, FAR, by_sound=by_sound) for by_sound in _BOTH),
    Look(_APOLOGY, Zone.TURN_ROUND),
)
SPOKEN_OF_LOOKS = watch(
    Look(SPOKEN_OF_AFTER, Zone.LATER, TALK_AFTER),
    Look(_JUDGED_INSIDE, Zone.INSIDE),
    Look(SPOKEN_OF_BEFORE, Zone.BEFORE, TALK_BEFORE),
)
EDUCATION_LOOKS = watch(
    *(
        Look(pattern, Zone.BEFORE, TALK_BEFORE, by_sound=by_sound)
        for pattern in (_STATUTE, _COURT_COURSE)
        for by_sound in _BOTH
    )
)
ADVICE_LOOKS = watch(
    *(
        Look(pattern, Zone.BEFORE, FAR, by_sound=by_sound)
        for pattern in (_IF_MET, _WARD_OFF)
        for by_sound in _BOTH
    )
)

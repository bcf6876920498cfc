"""What a call must open with: who calls, that it is recorded, and who listens before the debt."""

import re
from collections.abc import Iterator
from functools import cache

from rules.conditions.words import doubt, heard_well, opening
from rules.context import ContactContext, FactHit, Span
from rules.events import Speaker
from rules.normalise import plain
from rules.numbers import Run, figure_runs, tells_figures
from rules.phonetic import encode, neighbours

_PLACE_OF_PAYMENT = re.compile(
    r"(?:手机)?(?:APP|App|app|客户端|小程序|公众号|网点|柜台|对公|账户|官网|网银|客服|微信|支付宝|营业厅).*$"
)
_FIRM_TAIL = re.compile(
    r"(?:(?:信息|商务|企业|管理|技术|科技|咨询|网络)?(?:服务)?(?:有限)?(?:责任)?公司|服务|（.*）|\(.*\))$"
)
# A name in front of the kind of house it is (远岸银行). Vague desks do not count.
GENERIC_HOUSE = re.compile(
    r"(?<![哪您你本我])(?!我们|你们|这家|那家|哪家|贵|本)[\u4e00-\u9fff]{2,8}?"
    r"(?:银行|信用卡中心|消费金融|消金|小额贷款|小贷|金服|普惠|数科|科技|信息|商务|律师事务所|资产管理|服务公司|有限公司)"
)
_FIRM_KIND = re.compile(
    r"(?:企业|企管|外包|资产|资管|管理|商务|信息|咨询|科技|技术|网络|服务|金服|法务|集团|有限|责任|公司|（.*）)+$"
)
_HOUSE_TAIL = re.compile(r"(?:消费金融|金融|消金|银行|小额贷款|小贷|信托|金服)+$")
# A lender that is called by its product's name (速融贷这边的); 网贷, 房贷 and the like name nobody.
LENDING_BRAND = re.compile(
    r"[\u4e00-\u9fff]{2}(?<![房车网借还放信欠小笔个的])(?:贷|消金|钱包|白条)(?=这边|委托|平台|借款|对账单|账单|APP|的|，|。|$)"
)
_SHORT = 2
"""One character is no name."""
_ENTRUSTED = re.compile(
    r"(?:受|代|替)[^，。,]{2,14}?(?:委托|授权|委派)|[\u4e00-\u9fff]{2,10}(?:委托|授权)"
)
_VAGUE_DESK = re.compile(
    r"(?:逾期|清收|催收|贷后|还款|处理|法务|案件|账务|资产)[\u4e00-\u9fff]{0,4}(?:中心|组|部门?|专线|处)"
)
_STATE = re.compile(r"公安|法院|检察|派出所|警|司法|仲裁")


def institution_names(context: ContactContext) -> tuple[str, ...]:
    """Names of the agency, and of the lender as its payment channels tell them."""
    org = context.contact.interaction.collector.org
    channels = context.case.payment_channels if context.case else ()
    named = (name for name in (org, *channels) if name)
    return tuple(dict.fromkeys(short for name in named for short in short_names(name)))


def lender_names(context: ContactContext) -> tuple[str, ...]:
    """Names of the lender as the payment channels tell them (远岸银行APP: 远岸银行)."""
    channels = context.case.payment_channels if context.case else ()
    names = (_PLACE_OF_PAYMENT.sub("", channel) for channel in channels)
    return tuple(
        dict.fromkeys(name for name in names if GENERIC_HOUSE.search(name) or len(name) > _SHORT)
    )


def house_of(name: str) -> str:
    """The name without the kind of house it is: 百禾小贷 and 百禾小额贷款公司 are both 百禾."""
    core = _HOUSE_TAIL.sub("", _FIRM_KIND.sub("", name))
    return core if len(core) >= _SHORT else name


def short_names(name: str) -> tuple[str, ...]:
    """A firm's or a channel's name, and what people shorten it to."""
    forms = (
        name,
        _PLACE_OF_PAYMENT.sub("", name),
        _FIRM_TAIL.sub("", name),
        _FIRM_KIND.sub("", name),
    )
    return tuple(dict.fromkeys(form for form in forms if len(form) >= _SHORT))


def _names_institution(context: ContactContext, turns: int | None) -> bool:
    text = opening(context, turns)
    names = institution_names(context)
    if any(name in text for name in names):
        return True
    if any(len(short) > 1 and short in text for short in (_HOUSE_TAIL.sub("", n) for n in names)):
        return True  # 海川的智能助手
    plain = _VAGUE_DESK.sub("，", _STATE.sub("，", text))
    if any(known.search(plain) for known in (GENERIC_HOUSE, LENDING_BRAND, _ENTRUSTED)):
        return True
    if context.contact.audio.state == "transcribed" and _KIND_LEFT.search(plain):
        return True
    return any(context.sounds(name, turns=turns) is not None for name in names)


# The speech engine loses names first; the kind of house that it leaves was said with one.
_KIND_LEFT = re.compile(r"(?<!我们)(?<!咱们)(?<!你们)银行|信用卡中|消费金融")


def institution_not_named(context: ContactContext) -> Iterator[FactHit]:
    """Neither lender nor agency is named in the collector's first turns (parameter `turns`)."""
    turns = int(context.parameters.get("turns", 2))
    text = opening(context, turns)
    if not text or not heard_well(context, turns):
        return
    if not _names_institution(context, turns):
        yield FactHit(facts={"turns": turns}, disposition=doubt(context))


_NUMBER_WORD = re.compile(r"(?:[工公功攻弓宫]号|编号|员工号|坐席|座席|客服代表)[是为：:\s]*$")
_ROLE_WORD = re.compile("号(?:客服|专员|坐席|座席|话务|员工|工作人员|业务员|催收员|协商员|调解员)")
_LABEL = 8
_PAUSES = "，。、"
_LONE, _PASSING, _ANY = range(2, 9), range(3, 7), range(3, 9)
"""How many figures a job number has that stands alone, that is told in passing, or at all."""
_OWN_NAME = re.compile(
    r"(?:我姓|(?:^|[，。、])姓[\u4e00-\u9fff]{1,2}(?=[，。、]|$)|(?:^|[，。、])小[\u4e00-\u9fff](?=[，。、]|$)|我叫|我是[^，。]{0,14}?小|免贵姓|我的名字|叫我小|我是[^，。]{0,16}的[\u4e00-\u9fff]{2,3}(?=[，。,]|$))"
)
# How people name themselves in passing: 迅桥公司小黄, 川岭银行姓康, 江阴路银行康经理.
_NAMED_IN_PASSING = re.compile(
    r"(?<![您你贵])[小老阿](?![师板公婆人家哥弟妹姐区时心贷额说赖])[\u4e00-\u9fff](?=[，。、0-9零〇一幺二两三四五六七八九录电]|$)"
    r"|(?<![您你贵免哪])姓(?!什么|名|啥)[\u4e00-\u9fff]"
    r"|(?:银行|公司|金服|商务|信息|消金|金融|^|[，。、])[\u4e00-\u9fff](?:经理|专员|主管|主任)(?=[，。、录电]|$)"
)


def _labelled(text: str, run: Run) -> bool:
    """工号0123, 坐席 八八, 四五零六号客服."""
    before = _NUMBER_WORD.search(text, max(0, run.start - _LABEL), run.start)
    return before is not None or _ROLE_WORD.match(text, run.end) is not None


def _stands_alone(text: str, run: Run) -> bool:
    """恒越，六零三，录音: between two pauses, with 我 before it or 号 behind it at most."""
    head = text[: run.start].removesuffix("我")
    tail = text[run.end :].removeprefix("号")
    return (
        len(run.digits) in _LONE
        and (not head or head[-1] in _PAUSES)
        and (not tail or tail[0] in _PAUSES)
    )


def _in_passing(run: Run) -> bool:
    """康，五六一录音: as long as job numbers are, and no quantity."""
    return (
        len(run.digits) in _PASSING and run.before not in ("号", "第") and not run.counts_something
    )


def _tells_number(context: ContactContext, text: str, first: str) -> bool:
    """Whether the collector tells a job number: labelled anywhere, or in the first turns at all."""
    if any(_labelled(text, run) for run in figure_runs(text)):
        return True
    if any(_stands_alone(first, run) or _in_passing(run) for run in figure_runs(first)):
        return True
    # A speech engine may lose the word 工号 and keep the digits, or the reverse.
    if context.contact.audio.state != "transcribed":
        return False
    return context.sounds("工号") is not None or any(
        len(run.digits) in _ANY and not run.counts_something for run in figure_runs(first)
    )


def employee_not_named(context: ContactContext) -> Iterator[FactHit]:
    """Neither job number nor name is heard from the collector anywhere in the contact."""
    if not heard_well(context, None):
        return
    collector = context.contact.interaction.collector
    text, first = opening(context, None), opening(context, 2)
    if _tells_number(context, text, first) or _NAMED_IN_PASSING.search(first):
        return
    digits = "".join(char for char in collector.id if char.isdecimal())
    if (digits and tells_figures(text, digits)) or _OWN_NAME.search(text):
        return
    if collector.name and (
        collector.name in text or (len(collector.name) > 1 and context.sounds(collector.name))
    ):
        return
    yield FactHit(disposition=doubt(context))


_RECORDING = re.compile(r"录[着下]?[音像影制]|(?:会|被|在|全程|同步)录|录着|留音|记录仪")
_SPOKEN_NOTICE = ("通话录音", "电话录音", "全程录音", "录音电话", "会被录音", "正在录音", "录音")
_BEFORE_NOTICE = "通话|电话|来电|全程|本次|会被|都有|正在|开着"


@cache
def _half_heard() -> re.Pattern[str]:
    """Over syllable codes: one syllable of 录音 where a notice of recording usually stands."""
    near = neighbours()
    lu, yin = encode("录"), encode("音")
    wide_lu, wide_yin = f"[{lu}{near[lu]}]", f"[{yin}{near[yin]}]"
    either = f"(?:{wide_lu}[^，]|[^，]{wide_yin})"
    leads = "|".join(encode(word) for word in _BEFORE_NOTICE.split("|"))
    bank = encode("行")
    return re.compile(
        f"{lu}[^，]?{wide_yin}|{wide_lu}[^，]?{yin}(?!{bank})|(?:{leads})[^，]?{either}"
        f"|(?<=，)[^，]{{0,2}}(?:{lu}[^，]|[^，]{yin}(?!{bank}))[^，]?(?=，)"
    )


def recording_not_mentioned(context: ContactContext) -> Iterator[FactHit]:
    """The collector never says that the call is recorded; a notice heard by half is left alone."""
    if not heard_well(context, None):
        return
    text = opening(context, None)
    if _RECORDING.search(text) or any(map(context.sounds, _SPOKEN_NOTICE)):
        return
    if _half_heard().search(encode(re.sub("[。0-9]", "，", f"，{plain(text)}，"))):
        return
    yield FactHit(disposition=doubt(context))


_BARE_FIGURE = re.compile(r"\d{2,6}(?![\d.]*[元块千百万])")
"""A job number that happens to stand before a word for a loan."""

_ASKS = re.compile(
    r"吗|吧|先生|女士|小姐|太太|本人|请问|是不是|哪位|是.{0,4}[？?]|^.{2,4}[？?]$|贵姓|怎么称呼|在不在|核对|核实|后四位"
)
_DENIES = re.compile(
    r"(?<!是)不是(?!说|不|很|我不)|打错|拨错|找错|错了|不在|没有这个人|不认识|谁啊|你谁|你找谁|找谁|找哪|谁呀|哪位|"
    r"什么意思|是他|是她|我是.{0,3}(?:他|她)|我(?:爸|妈|哥|姐|弟|妹|老公|老婆|爱人|儿子|女儿)(?:爸|妈)?(?:不|在|去|出)"
)
_AFFIRMS = re.compile(
    r"是我|我(?:就)?是|本人|我姓|^[嗯对是哎欸啊好诶]|没错|在听|你说|您说|我在|方便|可以"
)


def debt_before_identity(context: ContactContext) -> Iterator[FactHit]:
    """The debt is named (cue `debt_named`) before the listener was asked and said who they are."""
    interaction = context.contact.interaction
    case = context.case
    own = case.debtor.phones if case else ()
    if interaction.party.phone is not None and interaction.party.phone not in own:
        return
    named = [span for span in context.said("debt_named") if not _BARE_FIGURE.match(span.heard)]
    if not named:
        return
    first = min(named, key=lambda span: (span.segment, span.char_start))
    if interaction.outcome.value == "voicemail" or not _identified(context, first):
        yield FactHit(facts={}, at=first)


def _identified(context: ContactContext, debt: Span) -> bool:
    """Whether, before `debt`, the party answered to a name or a question of who they are."""
    name = context.case.debtor.name if context.case else ""
    asked = False
    for index, segment in enumerate(context.contact.interaction.transcript or ()):
        if index >= debt.segment:
            break
        if segment.speaker is Speaker.COLLECTOR:
            asked = asked or bool(_ASKS.search(segment.text)) or name in segment.text
        elif segment.speaker is Speaker.PARTY:
            said_so = _AFFIRMS.search(segment.text) or (name and name in segment.text)
            if "是我" in segment.text or (name and f"我是{name}" in segment.text):
                return True
            if not _DENIES.search(segment.text) and (asked or said_so):
                return True
        else:  # who spoke is not known: no ground for blame
            return True
    return False


def left_on_voicemail(context: ContactContext) -> Iterator[FactHit]:
    """The words were left on a voicemail, for anybody to hear."""
    interaction = context.contact.interaction
    if interaction.outcome.value == "voicemail":
        yield FactHit(facts={"outcome": "voicemail"})

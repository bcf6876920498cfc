"""Which parts a collection message or a letter lacks."""

import re
from collections.abc import Iterator, Mapping

from rules.claims import amounts
from rules.conditions.opening import GENERIC_HOUSE, LENDING_BRAND, institution_names
from rules.context import ContactContext, FactHit
from rules.events import Channel

# --- letters and messages -------------------------------------------------------------------------

_PHONE = re.compile(
    r"(?<![0-9])(?:[0-9]{3,4}[-－—][0-9]{3,4}[-－—]?[0-9]{3,4}|1010[0-9]{4}|9[0-9]{4,7}|[0-9]{7,12})(?![0-9])"
)
_REPLY = re.compile(r"回复本|回复此|本邮件|在线客服|客服邮箱|@[A-Za-z0-9]")
_WAY = re.compile(
    r"APP|App|app|客户端|网点|柜台|对公|官网|网上银行|网银|手机银行|公众号|小程序|账户|扣款|链接|https?://|绑定|存入|转入|"
    r"还款入口|支付宝|微信|银行卡"
)
_COLLECTS = re.compile(
    r"欠|还款|还清|归还|偿还|速还|逾期|应还|贷款|借款|账单|结清|还钱|[什几]么?时候还|未还|没还|还上|催收|催款|处理.{0,6}款|没清|不还"
)
_CARE = re.compile(
    r"已(?:成功)?(?:还清|结清|入账|到账|还款|扣款)|感谢您的(?:还款|支持)|(?:还款|扣款|支付)成功|暂停联系|停止联系|防骗|谨防|冒充|不法分子|诈骗|验证码|心理援助|(?:资料|材料)清单|已(?:登记|受理|提交)"
)
_SLOTS_ZH = {
    "institution": "机构名称",
    "amount": "金额",
    "way": "还款方式",
    "contact": "联系方式",
    "name": "持卡人姓名",
    "reason": "催收事由和相关法规",
    "rights": "权利和义务",
    "query": "查询、还款、异议和举证的途径",
    "seal": "业务公章",
}


def message_lacks_parts(context: ContactContext) -> Iterator[FactHit]:
    """A collection text to the debtor lacks institution, sum, way to pay or a contact."""
    text = context.contact.interaction.text
    if not text or not _COLLECTS.search(text) or _CARE.search(text):
        return
    if context.contact.interaction.channel is Channel.LETTER and _is_card(context):
        return  # the card measures ask for more: `letter_lacks_parts`
    lacking = [name for name, there in _message_parts(context, text).items() if not there]
    if lacking:
        yield FactHit(facts={"lacking": lacking}, missing="、".join(_SLOTS_ZH[x] for x in lacking))


def _is_card(context: ContactContext) -> bool:
    return context.case is not None and context.case.product == "credit_card"


def _message_parts(context: ContactContext, text: str) -> Mapping[str, bool]:
    signed = re.search(r"[【\[][^】\]]{2,20}[】\]]", text) is not None
    named = any(name in text for name in institution_names(context))
    return {
        "institution": signed
        or named
        or bool(GENERIC_HOUSE.search(text) or LENDING_BRAND.search(text)),
        "amount": bool(amounts(text)),
        "way": bool(_WAY.search(text)),
        "contact": bool(_PHONE.search(text) or _REPLY.search(text)),
    }


_LETTER_PARTS: dict[str, tuple[re.Pattern[str], ...]] = {
    "reason": (
        re.compile(r"依据|根据|按照|事由|《"),
        re.compile(r"《|第[^条]{1,12}条|合约|办法|法典|法律|法规"),
    ),
    "rights": (re.compile(r"权利|有权"), re.compile(r"义务|责任|应当?按|按约")),
    "query": (
        re.compile(r"查询|明细|查账"),
        re.compile(r"还款|清偿|偿还"),
        re.compile(r"异议|申诉|核实"),
        re.compile(r"证据|证明|举证|材料|凭证|凭据"),
    ),
    "seal": (re.compile(r"公章|盖章|专用章|印章|签章|业务章"),),
}


def letter_lacks_parts(context: ContactContext) -> Iterator[FactHit]:
    """A letter on a credit card lacks one of the parts that the card measures ask for."""
    text = context.contact.interaction.text
    if not text or not _is_card(context):
        return
    name = context.case.debtor.name if context.case else ""
    there = {
        "name": (not name or name in text) and bool(amounts(text)),
        **{
            part: all(pattern.search(text) for pattern in patterns)
            for part, patterns in _LETTER_PARTS.items()
        },
        "contact": bool(_PHONE.search(text) or _REPLY.search(text)),
    }
    lacking = [part for part, found in there.items() if not found]
    if lacking:
        yield FactHit(facts={"lacking": lacking}, missing="、".join(_SLOTS_ZH[x] for x in lacking))

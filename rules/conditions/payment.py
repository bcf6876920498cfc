"""Where the collector wants the money: accounts told, held against the channels of the case."""

import re
from collections.abc import Iterable, Iterator, Sequence

from rules.accounts import Account, Said, accounts, holds_number, may_hold_account, names_account
from rules.conditions.opening import institution_names
from rules.conditions.words import opening, part_of, spans_of
from rules.context import ContactContext, FactHit, Span
from rules.events import Speaker
from rules.model import Contact, Disposition

_PAY = re.compile(
    r"转(?!告|达|接|人工|述|给(?:他|她|本人))|打(?:到|进|给我|过来|款|钱|这|入)|汇|存|付|还(?:到|进|款到|这)|扫|收款|"
    r"账[号户]|帐[号户]|卡号|户名|户头|开户|银行卡|钱"
)
_PRIVATE = re.compile(
    r"私[人户]|个人|我(?:的|这个|这张|自己的?|本人的?)?(?:卡|微信|威信|支付宝|账[号户]|户头|手机号|收款)|"
    r"(?:同事|朋友|主管|经理|老板|财务|会计|出纳|组长|表[弟哥姐妹]|老婆|老公|爱人|亲戚)(?:的|个人|本人|私人)|户名.{0,4}(?:是|叫|:|：)?我"
)
_COMPANY = re.compile(r"对公|公户|公账|公司账|企业账|单位账|公司的?账|监管账户|备付金")
# Numbers that look like accounts, and accounts that are the listener's own.
_OTHER = re.compile(
    r"身份证|案号|合同|订单|快递|单号|受理|编号|借据|凭证号|流水号|热线|客服|拨打|来电|回电|致电|(?:打|拨)(?:我|这个|给)?电话|"
    r"传真|工号|执照|信用代码"
)
_LISTENERS = re.compile(
    r"(?:您|你)(?:的|名下|本人|自己|绑定|预留|那张|这张|尾号|专属)[^，。]{0,8}$"
)
_OWN_PLACE = re.compile(r"(?:专属|虚拟|绑定|预留|您名下|你名下|APP里|App里)[^，。]{0,10}$")
_WARNS = re.compile(
    r"骗|冒充|假冒|不是我们|谨防|(?:别|不要|切勿|请勿|千万别|不能|不会让|不用)[^，。]{0,8}(?:转|打|汇|存|付|扫|信|还)"
)
_PERSONAL_CARD = re.compile(r"62[0-9]{14,17}")
_HOLDER = re.compile(
    r"(?:户名|收款人|开户名|账户名|名字|户主)[^，。；]{0,2}?(?:叫|是|为|:|：)?\s*(?P<name>[\u4e00-\u9fff]{2,18})"
)
_FIRM = re.compile(r"公司|银行|金融|消金|小贷|平台|中心|支行|分行|信托|基金|科技|服务")
_REACH = 40


def account_not_designated(context: ContactContext) -> Iterator[FactHit]:
    """The collector tells an account to pay to that is none of the case's payment channels.

    A private account is a violation; a company's, or a case that names no channels, is for review.
    """
    channels = context.case.payment_channels if context.case else ()
    for account, span, about in _told(context):
        if _is_designated(context, account):
            continue
        disposition = _weighed(context, account, about)
        if disposition is None:
            continue
        yield FactHit(
            facts={"account": f"…{account.value[-4:]}", "channels": len(channels)},
            disposition=disposition if disposition is not Disposition.VIOLATION else None,
            at=part_of(span, account.start, account.end),
        )


def purse_not_designated(context: ContactContext) -> Iterator[FactHit]:
    """No account that the collector tells is one of the case's payment channels.

    Goes with words that ask for payment to somebody's own account or code: where the case names no
    channels, a person must look.
    """
    told = [account for account, _, _ in _told(context)]
    if told and all(_is_designated(context, account) for account in told):
        return
    channels = context.case.payment_channels if context.case else ()
    yield FactHit(
        facts={"channels": len(channels)}, disposition=None if channels else Disposition.REVIEW
    )


_Told = tuple[Account, Span, str]


def _told(context: ContactContext) -> tuple[_Told, ...]:
    """Accounts in words about payment, with the collector's words round each; worked out once."""
    key = f"accounts:{context.index}"
    if key not in context.memory:
        long = may_hold_account(opening(context, None))
        found = _accounts_in(context.contact, spans_of(context)) if long else ()
        context.memory[key] = tuple(found)
    told: tuple[_Told, ...] = context.memory[key]
    return told


def _accounts_in(contact: Contact, own: Iterable[Span]) -> Iterator[_Told]:
    spans = {span.segment: span for span in own}
    said = _said(contact, spans)
    for account in accounts(said):
        span = spans[account.segment]
        before = span.heard[max(0, account.start - _REACH) : account.start]
        last = spans[account.until]
        after = last.heard[account.end if last is span else 0 :][:_REACH]
        earlier = _before(said, account.segment)[-_REACH:]
        later = _after(said, account.until)[:_REACH]
        about = f"{earlier}。{before}{after}。{later}"
        if _is_for_payment(account, before, about):
            yield account, span, about


def _said(contact: Contact, spans: dict[int, Span]) -> list[Said]:
    transcript = contact.interaction.transcript
    if transcript is None:
        return [Said(0, span.heard, own=True) for span in spans.values()]
    return [
        Said(index, segment.text, segment.speaker is Speaker.COLLECTOR)
        for index, segment in enumerate(transcript)
    ]


def _before(said: Sequence[Said], segment: int) -> str:
    return next((one.text for one in reversed(said[:segment]) if one.own), "")


def _after(said: Sequence[Said], segment: int) -> str:
    return next((one.text for one in said[segment + 1 :] if one.own), "")


def _is_for_payment(account: Account, before: str, about: str) -> bool:
    if (
        _WARNS.search(about)
        or _OTHER.search(before[-12:])
        or _LISTENERS.search(before)
        or _OWN_PLACE.search(before)
    ):
        return False
    if account.is_mobile:  # a number to call, unless something is said of paying by it
        return bool(re.search(r"支付宝|微信|威信|收款|转账|转(?:到|给我|过来)|打钱|付款码", about))
    return bool(_PAY.search(about))


def _is_designated(context: ContactContext, account: Account) -> bool:
    heard = context.contact.audio.state == "transcribed"
    channels = context.case.payment_channels if context.case else ()
    return any(names_account(channel, account, heard=heard) for channel in channels)


def _weighed(context: ContactContext, account: Account, about: str) -> Disposition | None:
    """What an account that no channel names amounts to; None where it is the lender's own."""
    channels = context.case.payment_channels if context.case else ()
    holder = _HOLDER.search(about)
    firm = bool(holder and _FIRM.search(holder["name"]))
    if firm or _COMPANY.search(about):
        lender = any(name in about for name in institution_names(context))
        numbered = any(map(holds_number, channels))
        return None if lender and channels and not numbered else Disposition.REVIEW
    private = (
        holder is not None
        or not account.value.isdigit()
        or account.is_mobile
        or _PRIVATE.search(about) is not None
        or _PERSONAL_CARD.fullmatch(account.value) is not None
        or any(map(holds_number, channels))
    )
    return Disposition.VIOLATION if private and channels else Disposition.REVIEW

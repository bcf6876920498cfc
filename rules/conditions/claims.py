"""What the collector says of courts, credit files and sums, held against what the case knows."""

import re
from collections.abc import Iterator
from decimal import Decimal

from rules.claims import Amount, amounts, claimed_totals
from rules.conditions.opening import institution_names
from rules.conditions.words import part_of, spans_of
from rules.context import ContactContext, FactHit
from rules.events import Case, PartyRole
from rules.model import Disposition

# Plain words for a whole debt that stand in the same clause before the sum, or close it off.
_ALL_OF_IT = re.compile(
    r"窟窿|拢共|统共|拢总|总数|总账|总欠|总债|满打满算|里里外外|前前后后|加一块|算下来|算一块|滚到|滚成|滚出|涨到|涨成|"
    r"尚欠|仍欠|还欠|欠着|未还|没还|待还|账上[有是挂]|挂着|差(?:我们|着|了)|该着|背着|得拿|要拿|拿出|掏出|交出|凑出|"
    r"必须[还拿给打转]|一次性|待偿|待缴|得准备|准备个|系统(?:上|里|显示)?[^，]{0,3}[是有]"
)
_CLOSES_IT = re.compile(
    r"^[^，。；]{0,3}(?:起步|的(?:窟窿|饥荒|债|账|欠款|外债|总账)|(?:欠款|债务|没还|未还|待还)(?!中))"
)
_NO_WHOLE = re.compile(
    r"最低|每期|每月|每个月|首期|首付|先[还转打付交拿凑]|部分|其中|利息|罚息|违约金|滞纳金|本金|额度|工资|收入|当初|"
    r"当时|原来|原先|别人|人家|有的|有人|超过|满|以上|减免|不是|并非|没有|不到|是不是|多少|您?刚才?说|你说|外债|平台|假如|比如|比方|如果"
)
_SERVICE_NUMBER = re.compile(r"9[0-9]{4,7}|1010[0-9]{4}|1[0-9]{10}|123[0-9]{2}|400[0-9]{7}")
_PAST = re.compile(r"(?:之前|以前|曾经?|原先|早先|去年|前年).{0,4}[欠借](?:过|了)")

_STAGES = {"none": 0, "filed": 1, "judgment": 2}
_CLAIMS = {"filed": 1, "seizure": 2, "judgment": 2, "criminal": 3}


def proceedings_denied(context: ContactContext) -> Iterator[FactHit]:
    """The case knows of no such court step: `with: {claim: filed | seizure | judgment | criminal}`.

    A case that says nothing of courts gives a hit for review only.
    """
    claim = str(context.arguments.get("claim", "filed"))
    known = _lawsuit(context.case)
    if known is None:
        yield FactHit(facts={"lawsuit": "unknown"}, disposition=Disposition.REVIEW)
    elif _STAGES[known] < _CLAIMS[claim]:
        if claim == "seizure" and known == "filed":
            return  # a court may secure assets before it judges
        doubtful = claim == "criminal" and known != "none"
        yield FactHit(
            facts={"lawsuit": known}, disposition=Disposition.REVIEW if doubtful else None
        )


def _lawsuit(case: Case | None) -> str | None:
    if case is None or case.proceedings is None:
        return None
    return case.proceedings.lawsuit


def credit_report_denied(context: ContactContext) -> Iterator[FactHit]:
    """Nothing was reported to credit files; where the case says nothing of it, for review."""
    case = context.case
    reported = case.proceedings.credit_reported if case and case.proceedings else None
    if reported is None:
        yield FactHit(facts={"credit_reported": "unknown"}, disposition=Disposition.REVIEW)
    elif not reported:
        yield FactHit(facts={"credit_reported": False})


def claimed_sum_over_balance(context: ContactContext) -> Iterator[FactHit]:
    """The collector states a whole debt above the balance of the case.

    Parameters (shares of the balance): above `tolerance` a person looks, above `excess` it stands.
    """
    balance = context.case.balance if context.case else None
    if balance is None or balance == 0:
        return
    tolerance = Decimal(str(context.parameters["tolerance"]))
    excess = Decimal(str(context.parameters["excess"]))
    heard = context.contact.audio.state == "transcribed"
    if (heard or _corrects(context)) and _says(context, balance):
        return  # the right sum was said: an engine garbles sums, and people put them right
    for span in spans_of(context):
        for amount in _whole_debts(_nameless(context, span.heard)):
            over = amount.low / balance - 1
            if over <= tolerance:
                continue
            yield FactHit(
                facts={"claimed": _plain(amount.low), "balance": _plain(balance)},
                disposition=Disposition.REVIEW if heard or over <= excess else None,
                at=part_of(span, amount.start, amount.end),
            )
            return


_CORRECTS = re.compile("(?:看|说|念|报|弄|搞|算)(?:错|串|岔)了?|口误|更正|不对，?是")


def _corrects(context: ContactContext) -> bool:
    """Whether the collector takes back something said."""
    return any(_CORRECTS.search(span.heard) for span in spans_of(context))


_SAME = Decimal("0.01")


def _says(context: ContactContext, sum_owed: Decimal) -> bool:
    """Whether the collector names this sum, give or take one in a hundred."""
    return any(
        abs(amount.low / sum_owed - 1) <= _SAME
        for span in spans_of(context)
        for amount in amounts(span.heard)
    )


def _nameless(context: ContactContext, text: str) -> str:
    """The text with names of lender and agency blanked out: 消费金融 is no 消费 and no 费."""
    for name in institution_names(context):
        text = text.replace(name, "某" * len(name))
    return text


def _whole_debts(text: str) -> tuple[Amount, ...]:
    """Sums stated as the whole debt, in the words of accounts and in plain ones."""
    sums = amounts(text)
    found = {a for a in claimed_totals(text, sums) if not _PAST.search(_clause_before(text, a))}
    for amount in sums:
        clause = _clause_before(text, amount)
        after = text[amount.end : amount.end + 10]
        if amount in found or _NO_WHOLE.search(clause + after):
            continue
        if _ALL_OF_IT.search(clause) or _CLOSES_IT.match(after):
            found.add(amount)
    return tuple(sorted(found, key=lambda amount: amount.start))


def _clause_before(text: str, amount: Amount) -> str:
    return re.split(r"[，,。；;！!？?\n]", text[: amount.start])[-1]


def debt_sum_told(context: ContactContext) -> Iterator[FactHit]:
    """A sum of money is named to somebody who is not the debtor and has not offered to pay."""
    if not any(reached_somebody_else(context)):
        return
    offers = context.said("spoken.offers_to_pay")
    for span in spans_of(context):
        if any(offer.segment < span.segment for offer in offers):
            return
        for amount in amounts(span.heard):
            if _SERVICE_NUMBER.fullmatch(span.heard[amount.start : amount.end]):
                continue
            yield FactHit(
                facts={},
                disposition=Disposition.REVIEW,
                at=part_of(span, amount.start, amount.end),
            )
            return


def reached_somebody_else(context: ContactContext) -> Iterator[FactHit]:
    """The contact reached a contact person or a third party."""
    role = context.contact.interaction.party.role
    if role in {PartyRole.AGREED_CONTACT, PartyRole.THIRD_PARTY}:
        yield FactHit(facts={"reached": role.value})


def _plain(value: Decimal) -> str:
    return f"{value:.2f}"

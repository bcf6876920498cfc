"""Conditions on who collects: private lines, employers, agencies the debtor was not told of."""

import re
from collections.abc import Iterator
from itertools import islice

from rules.conditions.opening import house_of, lender_names, short_names
from rules.conditions.words import opening, part_of, spans_of
from rules.context import ContactContext, FactHit
from rules.events import ContactOutcome
from rules.model import Disposition
from rules.timeline import masked

_FIRST = 3
_ARRIVED = frozenset({ContactOutcome.ANSWERED, ContactOutcome.DELIVERED})


def private_line(context: ContactContext) -> Iterator[FactHit]:
    """The contact was made from a private number or account."""
    interaction = context.contact.interaction
    if interaction.direction == "outbound" and interaction.caller_number_type == "private":
        yield FactHit(facts={"caller": masked(interaction.caller_number)})


def collector_is_none_of(context: ContactContext) -> Iterator[FactHit]:
    """The collector's employer, as reported, has none of the `words` in its name."""
    org = context.contact.interaction.collector.org
    if org is None or not any(word in org for word in context.arguments["words"]):
        # An employer that is not named contradicts nothing: a person must look.
        yield FactHit(facts={"org": org or "–"}, disposition=None if org else Disposition.REVIEW)


_ENTRUSTED = re.compile(r"委托|授权|委派|委外|合作|代理|外包|受|代|替|帮")
_LENDERS_OWN = (
    r"(?:的|总行|总部|信用卡中心|信用卡|信用卡部|贷后|客服|官方|风控|法务|资产|资产保全|逾期|催收|管理|中心|部门?|这边|这里|"
    r"工作人员|工作|人员|员工|专员|经理|主管|主任|负责人|本部|直属|内部|自己|正式|客户|还款|回访|组|科|处|啊|哈)*"
)
_HELLO = (
    r"(?:喂|你好|您好|哎|嗯|那个|先生|女士|小姐|哥|姐|老师|[\u4e00-\u9fff]{0,3}(?:先生|女士|小姐))*"
)
_SELF = (
    r"(?:我们这边|我们这里|我这边|我这里|我们|咱们|这里|这边|本人|我|咱)?"
    r"(?:就|也)?(?:是|系|来自|代表)?"
)
_CLAUSE = re.compile(r"[，,。.！!？?；;、:：\s]+")


def poses_as_lender(context: ContactContext) -> Iterator[FactHit]:
    """An agency's collector gives the lender's name as their own and the agency's name nowhere.

    The lender is known by the payment channels of the case; nothing is said where the collector's
    employer is not known or is the lender itself. For a person to confirm.
    """
    org = context.contact.interaction.collector.org
    lenders = lender_names(context)
    if org is None or not lenders or any(house_of(name) in org or org in name for name in lenders):
        return
    everything = opening(context, None)
    if any(name in everything for name in short_names(org)) or context.sounds(org):
        return
    claim = re.compile(
        rf"{_HELLO}{_SELF}(?:{'|'.join(map(re.escape, lenders))}){_LENDERS_OWN}"
        rf"(?:[\u4e00-\u9fff]{{1,4}}|小[\u4e00-\u9fff]|(?:工号|编号).*)?"
    )
    for span in islice(spans_of(context), _FIRST):
        if _ENTRUSTED.search(span.heard):
            return
        for clause in _CLAUSE.split(span.heard):
            if claim.fullmatch(clause):
                start = span.heard.find(clause)
                yield FactHit(
                    facts={"org": org},
                    disposition=Disposition.REVIEW,
                    at=part_of(span, start, start + len(clause)),
                )
                return


def agency_not_disclosed(context: ContactContext) -> Iterator[FactHit]:
    """The case says that the debtor was not told which agency collects."""
    interaction, case = context.contact.interaction, context.case
    if interaction.direction != "outbound" or interaction.outcome not in _ARRIVED:
        return
    if case is not None and case.agency_disclosed is False:
        yield FactHit(facts={"agency_disclosed": False})

"""How the collector speaks around a match: kindly, or bluntly."""

import re

_CARES = re.compile(
    "(?:帮|给|替)您[^，。\n]{0,3}?(?:申请|登记|记|报|查|转|开|办|发|留|补|做|问|反映|约|改|核|备注)"
    "|申请|登记|减免|延期|分期|宽限|放心|不着急|不急|别急|别着急|慢慢来|不催您|理解|辛苦|谢谢|感谢|多谢|抱歉|不好意思|对不起"
    "|赔个不是|祝您|保重|早日康复|不会?(?:联系|打扰|上门|告诉|透露|找|打给)|客服|官网|先(?:看病|治病|养|休息|忙|顾)"
    "|核实|核查|更正|撤销|投诉|反映|保留|报警"
)
_BLUNT = re.compile("(?<!向)你(?!好|们好)|老子|丫的|恁|侬|俺们?要")
_REACH = 160
"""Characters on both sides in which the manner is judged: a turn or two."""


def kind_words(text: str, start: int, end: int) -> str | None:
    """Words of help, comfort or excuse around the match of one who says 您 throughout."""
    low, high = max(0, start - _REACH), end + _REACH
    if "您" not in text[low:high] or _BLUNT.search(text, low, high):
        return None
    found = _CARES.search(text, low, start) or _CARES.search(text, end, high)
    return None if found is None else found[0]

"""What clears a match: denial, question, report, teaching, advice, other target, word border."""

from collections.abc import Mapping
from functools import cache, reduce
from operator import or_

import rjieba

from rules import talk
from rules.denial import NEGATED_LOOKS, STILL_LOOKS, negated
from rules.glance import Zone
from rules.manner import kind_words
from rules.place import FAR, Guard, Place, reason, watch, written
from rules.signs import Look

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
    vow = written(_SELF_VOW).search(place.text[place.before(FAR) : place.start])
    return reason("vowed", vow[0], place) if vow else None


def courtesy(place: Place) -> str | None:
    """Soften hints among kind words: 您 throughout, and help, comfort or an excuse beside them."""
    kind = kind_words(place.text, place.start, place.end)
    return reason("kind", kind, place) if kind else None


def untried(place: Place) -> str | None:
    """Clear what only sounds like an untried pattern."""
    return None if place.exact else reason("untried", "by sound", place)


_OBJECT = 8
"""Characters after a match in which what is done to is named."""

_THIRD_OBJECTS = (
    "^(?:掉|了|一下|下|的|您的|你的|那个|这个)?(?:电话|资料|材料|违约金|利息|罚息|"
    "费用|滞纳金|价格?|手续费|系统|电脑|手机|软件|程序|页面|网页|app|账单|文件|档案"
    "|单子|行李|东西|卡号)"
)


def target(place: Place) -> str | None:
    """Clear what is done to a thing that is neither the listener nor theirs."""
    found = written(_THIRD_OBJECTS).match(place.text[place.end : place.end + _OBJECT])
    return reason("target", found[0], place) if found else None


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
    "reported": talk.reported,
    "spoken_of": talk.spoken_of,
    "question": talk.question,
    "advice": talk.advice,
    "education": talk.education,
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

LOOKS: Mapping[str, int] = {
    "negated": NEGATED_LOOKS,
    "reported": talk.REPORTED_LOOKS,
    "spoken_of": talk.SPOKEN_OF_LOOKS,
    "question": talk.QUESTION_LOOKS,
    "advice": talk.ADVICE_LOOKS,
    "education": talk.EDUCATION_LOOKS,
    "target": watch(Look(_THIRD_OBJECTS, Zone.LATER, _OBJECT)),
    "own_risk": watch(Look(_SELF_VOW, Zone.BEFORE, FAR)),
}
"""Guards by the bits of the expressions of which one must stand round what they clear."""

Asked = tuple[tuple[int, str, Guard], ...]


@cache
def _asked(names: frozenset[str], *, by_cost: bool) -> tuple[int, Asked]:
    """Of these guards the bits of all and, in order, the bits, name and function of each."""
    guards = BY_COST if by_cost else GUARDS
    asked = [(LOOKS.get(name, 0), name, guards[name]) for name in guards if name in names]
    return reduce(or_, (bits for bits, _, _ in asked), STILL_LOOKS), tuple(asked)


def first_objection(
    place: Place, names: frozenset[str], *, by_cost: bool = False
) -> tuple[str, str] | None:
    """The first of these guards that has something against the match, and why.

    They are asked in the order of `GUARDS`, or in that of `BY_COST`.
    """
    wanted, asked = _asked(names, by_cost=by_cost)
    told = place.look(wanted)
    for bits, name, guard in asked:
        if (bits & told or not bits) and (why := guard(place)) is not None:
            return name, why
    return None


def is_softened(place: Place, names: frozenset[str]) -> bool:
    """Whether one of these guards lets the match ask for a review at most."""
    return any(name in names and guard(place) for name, guard in SOFTENING.items())

"""Which matches are denied or forbidden by the words round them."""

import itertools
import re

from rules.glance import Zone
from rules.normalise import SOFT
from rules.place import (
    AFTER,
    FAR,
    NEAR,
    TALK_AFTER,
    Place,
    heard,
    may_stand,
    reason,
    search,
    watch,
    written,
)
from rules.signs import Look

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
TURNING = (
    "(?:就|否则|不然|要不|再不|的话|但|可是|不过|只是|反而|然后|小心|等着|那我|那就"
    "|除非|直接|马上|立刻|明天|今天|后果|不还|不给|不接|不处理|逼|不怕)"
)
_ADJACENT = "[不没别勿莫无][有要想会再去来敢]?$"
STILL_THREAT = (
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
OWN_WILL = (
    "(?:就|肯定|一定)?不(?:会|干|做|搞)(?:放过|罢休|客气|算完|善罢|管|手软|走|停|让"
    "|只|仅|等|再|跟你|给你|饶)"
)
_WILL_OR_TURN = f"{OWN_WILL}|{TURNING}"
_NO_ADJACENT = (
    f"{_NO_DENIAL}|(?:再|要|又|还|老|总|一直|敢)不$|怪(?:我们?)?不$|别(?:想|怪|以为|逼|指望)"
)


def negated(place: Place) -> str | None:
    """Clear what is denied or forbidden, but not a threat that is only worded as a denial."""
    sentence = place.after(AFTER)
    if search(STILL_THREAT, place, place.end, sentence):
        return None
    near, _ = place.clause(NEAR)
    adjacent = may_stand(_ADJACENT, place)
    if adjacent and (found := written(_ADJACENT).search(place.text[near : place.start])):
        before = place.text[max(near, place.start - 6) : place.start]
        if not written(_NO_ADJACENT).search(before):
            return reason("denied", found[0], place)
    if inner := _inner_denial(place):
        return reason("denied", inner, place)
    if found_text := _governing(place, place.before(FAR)):
        return reason("denied", found_text, place)
    after = search(_DENIED_AFTER, place, place.end, sentence)
    if after and not written(_WILL_OR_TURN).search(after):
        return reason("denied", after, place)
    return None


_INNER = "(?:并?不是|并不|不会|绝不|从不|不再|并没有|不用|不必|不需要|没人|无需)$"


def _inner_denial(place: Place) -> str | None:
    """A denial between two words of the match, right before the second: 罚息不是翻倍."""
    if len(place.words) == 1 or not may_stand(_INNER, place):
        return None
    for (_, end), (start, _) in itertools.pairwise(sorted(place.words)):
        found = written(_INNER).search(place.text[end:start])
        if found and place.text[start] not in "有还":  # 不是还有额度吗
            return found[0]
    return None


def _governing(place: Place, low: int) -> str | None:
    """A denial before the match that governs it: nothing between them turns the sense."""
    spans: list[tuple[int, int]] = []
    if may_stand(_DENIAL, place):
        spans += [found.span() for found in written(_DENIAL).finditer(place.text, low, place.start)]
    if may_stand(_DENIAL, place, by_sound=True):
        spans += [
            found.span()
            for found in heard(_DENIAL).finditer(place.codes, low, place.start)
            if found.end() - found.start() > 1
        ]
    for start, end in sorted(set(spans), reverse=True):
        between = place.text[end : place.start]
        listing = between.count(SOFT)
        if written(TURNING).search(between) or _blocked(place, low, start, end):
            continue
        strong = re.search(
            "绝|决|禁止|杜绝|不得|不允许|从不|从来|不准|不许|不会", place.text[start:end]
        )
        if len(between) <= NEAR and (not listing or strong):
            return place.text[start:end]
        if strong and listing and len(between) <= FAR:
            return place.text[start:end]
    return None


def _blocked(place: Place, low: int, start: int, end: int) -> bool:
    """Whether words on the denial unmake it; 能不能 does so to its own 不能 only (能不能不让…)."""
    near = written(_NO_DENIAL).finditer(place.text, max(low, start - 4), min(end + 2, place.start))
    asking = {"会不会", "能不能", "是不是", "可不可以", "有没有"}
    return any(found[0] not in asking or found.end() > start for found in near)


_BOTH = (False, True)
NEGATED_LOOKS = watch(
    Look(_ADJACENT, Zone.BEFORE, 2),
    Look(_INNER, Zone.INSIDE),
    *(Look(_DENIAL, Zone.BEFORE, FAR, by_sound=by_sound) for by_sound in _BOTH),
    *(Look(_DENIED_AFTER, Zone.AFTER, AFTER, by_sound=by_sound) for by_sound in _BOTH),
)
STILL_LOOKS = watch(*(Look(STILL_THREAT, Zone.LATER, TALK_AFTER, by_sound=one) for one in _BOTH))

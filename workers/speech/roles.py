"""Says who speaks on which channel, and checks the map of the event against the words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rules.events import Speaker

# What an agency says and a borrower does not, as speech engines write 工号, 委托 and 录音.
COLLECTOR_WORDS = re.compile(
    "[工公共功][号好后候]|[委伟][托脱]|[录路露陆][音影因]|银行|金融|信用卡|借款|贷款|账单|还款|欠款|"
    "本人吗|请问(?:是|您|你)|先生|女士|您|受理|立案|法院|起诉|上门|入账|通知(?:你|您)|"
    "联系人|结清|分期|减免|不客气|打扰"
)
PARTY_WORDS = re.compile(
    "我是[。，,]?$|什么事|啥事|没钱|没收到|我没|手头|工资|投诉你|我要投诉|我报警|报警|我.{0,4}录着|"
    "你是谁|哪位|怎么办|宽限|尽快|我爸妈|我妈|我爸|我老婆|打错|不认识|别打|求你|还不上|"
    "我(?:下|这)?个?月|为什么"
)
LONGER = 1.4
DOUBTFUL_LEAD = 2
CLEAR_LEAD = 3
CERTAIN_LEAD = 6
CORRECTED_SCORES = (0.7, 0.9)
DOUBTFUL_SCORE = 0.5


@dataclass(frozen=True)
class Roles:
    """The speaker of each channel, how sure it is (0 to 1), and what was found on the way."""

    speakers: tuple[Speaker, ...]
    scores: tuple[float, ...]
    flags: tuple[str, ...] = ()


def assign_roles(
    texts: Mapping[int, str], *, channels: int, speakers: Sequence[str], dual_mono: bool = False
) -> Roles:
    """Give every channel its speaker, from the map of the event and from what was said.

    `texts` holds the trusted words of each channel that has any. One voice map entry for one
    channel is taken at its word; one channel for two speakers stays unknown.
    """
    named = tuple(Speaker(name) for name in speakers)
    if dual_mono or (channels == 1 and len(named) > 1):
        flags = ("both_voices_on_one_channel",)
        return Roles((Speaker.UNKNOWN,) * channels, (0.0,) * channels, flags)
    if len(named) != channels:
        return _uneven(named, channels)
    if set(named) == {Speaker.COLLECTOR, Speaker.PARTY} and channels == 2:  # noqa: PLR2004
        return _checked(named, texts)
    return Roles(named, tuple(_score(name) for name in named))


def leaning(text: str) -> int:
    """Return how much more a text sounds like the collector (above 0) than like the party."""
    return len(COLLECTOR_WORDS.findall(text)) - 2 * len(PARTY_WORDS.findall(text))


def _lead(first: str, second: str) -> int:
    """Return how much more the first voice sounds like the collector; collectors talk more too."""
    longer = (len(first) > LONGER * len(second)) - (len(second) > LONGER * len(first))
    return leaning(first) - leaning(second) + longer


def _score(name: Speaker) -> float:
    return 0.0 if name is Speaker.UNKNOWN else 1.0


def _uneven(named: tuple[Speaker, ...], channels: int) -> Roles:
    """More or fewer channels than the map has: no channel can be matched with certainty."""
    padded = (named + (Speaker.UNKNOWN,) * channels)[:channels]
    scores = tuple(min(_score(name), DOUBTFUL_SCORE) for name in padded)
    return Roles(padded, scores, ("channels_do_not_match_speakers",))


def _checked(named: tuple[Speaker, ...], texts: Mapping[int, str]) -> Roles:
    collector, party = named.index(Speaker.COLLECTOR), named.index(Speaker.PARTY)
    lead = _lead(texts.get(collector, ""), texts.get(party, ""))
    if lead <= -CLEAR_LEAD:
        score = CORRECTED_SCORES[lead <= -CERTAIN_LEAD]
        return Roles(tuple(reversed(named)), (score,) * 2, ("channels_swapped",))
    if lead <= -DOUBTFUL_LEAD:
        return Roles(named, (DOUBTFUL_SCORE,) * 2, ("channels_swapped?",))
    return Roles(named, (1.0,) * 2)

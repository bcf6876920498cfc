"""The kinds of endpoints: how fast each may be spoken to, how much at once, and who says so.

A pace is the pause after one post before the next begins. It is a little longer than the
documented limit divided evenly, so no minute, wherever it starts, holds one post too many.
"""

from dataclasses import dataclass

from service.alerts.models import EndpointKind


@dataclass(frozen=True, slots=True)
class Channel:
    """What a kind allows; `limits` are the provider's (posts, seconds), `source` where it says so.

    `text_bytes` is the longest text we send, `penalty_s` how long we rest when told to slow down,
    `window_s` how long a group of findings is gathered unless the endpoint says otherwise.
    """

    limits: tuple[tuple[int, int], ...]
    source: str
    pace_s: float
    text_bytes: int
    window_s: int
    penalty_s: float
    signs: bool


CHANNELS = {
    EndpointKind.WEBHOOK: Channel((), "", 0.0, 0, 0, 0.0, signs=True),
    EndpointKind.DINGTALK: Channel(
        ((20, 60),),
        "https://open.dingtalk.com/document/robots/custom-robot-access",
        pace_s=3.05,
        text_bytes=4096,
        window_s=60,
        penalty_s=600.0,
        signs=True,
    ),
    EndpointKind.WECOM: Channel(
        ((20, 60),),
        "https://developer.work.weixin.qq.com/document/path/91770",
        pace_s=3.05,
        text_bytes=2048,
        window_s=60,
        penalty_s=60.0,
        signs=False,
    ),
    EndpointKind.FEISHU: Channel(
        ((100, 60), (5, 1)),
        "https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot",
        pace_s=0.65,
        text_bytes=8192,
        window_s=60,
        penalty_s=60.0,
        signs=True,
    ),
    EndpointKind.SLACK: Channel(
        ((1, 1),),
        "https://docs.slack.dev/apis/web-api/rate-limits",
        pace_s=1.1,
        text_bytes=8192,
        window_s=60,
        penalty_s=30.0,
        signs=False,
    ),
    EndpointKind.EMAIL: Channel(
        (), "", pace_s=10.0, text_bytes=65_536, window_s=300, penalty_s=300.0, signs=False
    ),
}


def channel(kind: str) -> Channel:
    """Give the limits of an endpoint's kind."""
    return CHANNELS[EndpointKind(kind)]

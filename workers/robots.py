"""Posts digests into chat groups: one way of signing, one shape and one word for "no" a provider.

Sources, as they stood in November 2026:
DingTalk  https://open.dingtalk.com/document/robots/custom-robot-access
WeCom     https://developer.work.weixin.qq.com/document/path/91770
Feishu    https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot
Slack     https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

import base64
import hashlib
import hmac
import json
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from service.alerts.alert import Attempt, Result
from service.alerts.digest import Post
from service.models import EndpointKind
from workers.egress import Egress, EgressError, Reply
from workers.sender import judge

# The codes with which a provider says "too fast" in an answer whose status is 200.
TOO_FAST = {
    EndpointKind.DINGTALK: frozenset({130101, 410100}),
    EndpointKind.WECOM: frozenset({45009}),
    EndpointKind.FEISHU: frozenset({9499, 11232, 99991400}),
    EndpointKind.SLACK: frozenset[int](),
}


def sign_dingtalk(secret: str, now: datetime) -> tuple[str, str]:
    """The time in milliseconds; base64 of HMAC-SHA256, key: secret, text: time, newline, secret."""
    timestamp = str(int(now.timestamp() * 1000))
    digest = hmac.new(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256).digest()
    return timestamp, base64.b64encode(digest).decode()


def sign_feishu(secret: str, now: datetime) -> tuple[str, str]:
    """The time in seconds; base64 of HMAC-SHA256, key: time, newline, secret, text: none."""
    timestamp = str(int(now.timestamp()))
    digest = hmac.new(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256).digest()
    return timestamp, base64.b64encode(digest).decode()


def post_to_robot(egress: Egress, post: Post, *, now: datetime) -> Attempt:
    """Post a digest once; never raises for what the provider does."""
    url, document = _request(post, now)
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {"content-type": "application/json; charset=utf-8", "user-agent": "hegui"}
    try:
        reply = egress.post(url, headers=headers, content=body)
    except EgressError as error:
        return Attempt(Result.FAILED, error.code)
    return _judge(post.kind, reply, now)


def _request(post: Post, now: datetime) -> tuple[str, dict[str, Any]]:
    """The address and the document of a plain text message; plain text holds no markup."""
    if post.kind is EndpointKind.DINGTALK:
        timestamp, sign = sign_dingtalk(post.secret, now)
        joint = "&" if "?" in post.url else "?"
        url = f"{post.url}{joint}timestamp={timestamp}&sign={quote(sign, safe='')}"
        return url, {"msgtype": "text", "text": {"content": post.text}}
    if post.kind is EndpointKind.WECOM:
        return post.url, {"msgtype": "text", "text": {"content": post.text}}
    if post.kind is EndpointKind.FEISHU:
        timestamp, sign = sign_feishu(post.secret, now)
        text = {"msg_type": "text", "content": {"text": post.text}}
        return post.url, {"timestamp": timestamp, "sign": sign, **text}
    return post.url, {"text": post.text}


def _judge(kind: EndpointKind, reply: Reply, now: datetime) -> Attempt:
    """Read the status and, where the provider answers 200 to everything, the code in the body."""
    attempt = judge(reply, now=now)
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Attempt(Result.THROTTLED, attempt.reason, reply.status, attempt.retry_after_s)
    if kind is EndpointKind.SLACK:
        return attempt
    code = _code(reply.body)
    if code in TOO_FAST[kind]:
        return Attempt(Result.THROTTLED, f"code_{code}", reply.status)
    if attempt.result is not Result.DELIVERED or code == 0:
        return attempt
    reason = "answer_malformed" if code is None else f"code_{code}"
    return Attempt(Result.FAILED, reason, reply.status)


def _code(body: bytes) -> int | None:
    """The provider's own code; None where the answer holds none."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    found = document.get("errcode", document.get("code"))
    return found if isinstance(found, int) else None

"""Sends one alert as a Standard Webhooks message, and says when to try again."""

import json
import random
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from service.alerts.alert import MAX_ATTEMPTS, Attempt, Delivery, Result
from service.clock import now
from service.config import settings
from workers.egress import Egress, EgressError, Reply

RETRY_DELAYS_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
SPREAD = 0.2
RETRY_AFTER_CAP_S = 86_400.0
PATIENT = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_DICE = random.SystemRandom()


def send(egress: Egress, delivery: Delivery, *, now: datetime) -> Attempt:
    """Post the alert once, signed for this moment; never raises for what the receiver does.

    Only a 2xx is a success; a redirect is a failure and is not followed.
    """
    # Keys are sorted because the stored document has no order: each attempt sends the same bytes.
    body = json.dumps(delivery.payload, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    try:
        signature = " ".join(
            Webhook(secret).sign(delivery.message_id, now, body)
            for secret in (delivery.secret, delivery.secret_previous)
            if secret is not None
        )
    except (ValueError, EmptyWebhookSecretError):
        return Attempt(Result.FAILED, "secret_malformed")
    headers = {
        "content-type": "application/json",
        "user-agent": "hegui",
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    try:
        reply = egress.post(delivery.url, headers=headers, content=body.encode())
    except EgressError as error:
        return Attempt(Result.FAILED, error.code)
    return judge(reply, now=now)


def try_once(delivery: Delivery) -> tuple[Attempt, datetime, datetime | None]:
    """Send by the guarded client; gives how it ended, when that was, and when to try again."""
    config = settings()
    egress = Egress(allow=config.egress_hosts, total_s=config.alert_timeout_s)
    attempt = send(egress, delivery, now=now())
    ended = now()
    return attempt, ended, next_attempt_at(delivery.attempts, attempt, now=ended)


def judge(reply: Reply, *, now: datetime) -> Attempt:
    """Say what an answer's status means; only the patient ones may ask for more time."""
    status = reply.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Attempt(Result.DELIVERED, "delivered", status)
    if status == HTTPStatus.GONE:
        return Attempt(Result.GONE, "endpoint_gone", status)
    wish = _retry_after_s(reply.headers.get("retry-after"), now) if status in PATIENT else None
    return Attempt(Result.FAILED, f"http_{status}", status, wish)


def _retry_after_s(value: str | None, now: datetime) -> float | None:
    """Read `Retry-After`, seconds or a date; what makes no sense counts as absent."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return min(float(value), RETRY_AFTER_CAP_S)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    if at.tzinfo is None:
        return None
    return min(max((at - now).total_seconds(), 0.0), RETRY_AFTER_CAP_S)


def next_attempt_at(attempts: int, attempt: Attempt, *, now: datetime) -> datetime | None:
    """When to try again after `attempts` attempts; None once the schedule is used up.

    The schedule's delays vary by a fifth either way; a receiver's `Retry-After` is a lower bound.
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    delay = RETRY_DELAYS_S[attempts - 1] * _DICE.uniform(1 - SPREAD, 1 + SPREAD)
    return now + timedelta(seconds=max(delay, attempt.retry_after_s or 0.0))

"""An alert is signed afresh at each attempt, under one id, and only a 2xx ends it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from standardwebhooks import Webhook

from service.alerts.alert import MAX_ATTEMPTS, Attempt, Delivery, Result
from tests.receiver import Receiver
from workers.egress import Egress
from workers.sender import RETRY_DELAYS_S, next_attempt_at, send

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def delivery_to(receiver: Receiver) -> Delivery:
    return Delivery(
        alert_id=uuid4(),
        tenant_id=uuid4(),
        endpoint_id=uuid4(),
        url=receiver.url,
        secret=SECRET,
        message_id="alert_0123",
        payload={"type": "interaction.failed", "data": {"rule": "THR-02", "b": 1, "a": "一"}},
        attempts=1,
        started_at=NOW,
    )


def deliver(receiver: Receiver, *, now: datetime = NOW) -> Attempt:
    egress = Egress(allow=[receiver.address], total_s=2)
    return send(egress, delivery_to(receiver), now=now)


def test_a_receiver_can_verify_what_it_gets(receiver: Receiver) -> None:
    attempt = deliver(receiver, now=datetime.now(UTC))

    assert attempt == Attempt(Result.DELIVERED, "delivered", 204)
    (request,) = receiver.requests
    assert request.signed_with(SECRET)
    assert not request.signed_with("whsec_" + "AAAA" * 8)
    Webhook(SECRET).verify(request.body, dict(request.headers))


def test_attempts_share_an_id_and_a_body_but_not_a_time(receiver: Receiver) -> None:
    deliver(receiver, now=NOW)
    deliver(receiver, now=NOW + timedelta(minutes=5))

    first, second = receiver.requests
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "alert_0123"
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 300
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, Attempt(Result.DELIVERED, "delivered", 200)),
        (204, {}, Attempt(Result.DELIVERED, "delivered", 204)),
        (301, {"Location": "/"}, Attempt(Result.FAILED, "http_301", 301)),
        (400, {}, Attempt(Result.FAILED, "http_400", 400)),
        (410, {}, Attempt(Result.GONE, "endpoint_gone", 410)),
        (429, {"Retry-After": "120"}, Attempt(Result.FAILED, "http_429", 429, 120.0)),
        (429, {"Retry-After": "9" * 400}, Attempt(Result.FAILED, "http_429", 429, 86_400.0)),
        (429, {"Retry-After": "soon"}, Attempt(Result.FAILED, "http_429", 429)),
        (
            503,
            {"Retry-After": "Sun, 22 Nov 2026 04:01:00 GMT"},
            Attempt(Result.FAILED, "http_503", 503, 60.0),
        ),
        (500, {"Retry-After": "120"}, Attempt(Result.FAILED, "http_500", 500)),
    ],
)
def test_each_answer_has_its_meaning(
    receiver: Receiver, status: int, headers: dict[str, str], expected: Attempt
) -> None:
    receiver.answer(status, headers)

    assert deliver(receiver) == expected


def test_silence_and_cut_connections_are_failures(receiver: Receiver) -> None:
    receiver.reset()
    assert deliver(receiver).reason in {"connection_failed", "answer_malformed"}
    receiver.stall()
    assert deliver(receiver) == Attempt(Result.FAILED, "timed_out")


def test_a_secret_that_cannot_sign_is_a_failure_and_sends_nothing(receiver: Receiver) -> None:
    delivery = replace(delivery_to(receiver), secret="whsec_")

    attempt = send(Egress(allow=[receiver.address]), delivery, now=NOW)

    assert attempt == Attempt(Result.FAILED, "secret_malformed")
    assert receiver.requests == []


def test_the_schedule_is_kept_within_a_fifth_and_ends() -> None:
    failed = Attempt(Result.FAILED, "http_500", 500)

    for attempts, delay in enumerate(RETRY_DELAYS_S, start=1):
        at = next_attempt_at(attempts, failed, now=NOW)
        assert at is not None
        assert 0.8 * delay <= (at - NOW).total_seconds() <= 1.2 * delay
    assert next_attempt_at(MAX_ATTEMPTS, failed, now=NOW) is None
    assert len(RETRY_DELAYS_S) == MAX_ATTEMPTS - 1


def test_a_receiver_may_ask_for_more_time_but_not_for_less() -> None:
    patient = Attempt(Result.FAILED, "http_429", 429, retry_after_s=3600)
    hasty = Attempt(Result.FAILED, "http_429", 429, retry_after_s=0)

    later = next_attempt_at(1, patient, now=NOW)
    sooner = next_attempt_at(2, hasty, now=NOW)

    assert later == NOW + timedelta(hours=1)
    assert sooner is not None
    assert sooner >= NOW + timedelta(seconds=240)

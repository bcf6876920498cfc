"""Robots are spoken to as their providers ask: signed, within size and pace, in plain text."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from starlette.testclient import TestClient

from rules.model import Severity
from rules.rule import Title
from service.alerts.alert import Attempt, Result
from service.alerts.channel import CHANNELS
from service.alerts.digest import Group, Post, compose
from service.config import settings
from service.models import EndpointKind
from tests.conftest import Database
from tests.factories import Lender, Sender, make_case, make_sms, post_event
from tests.receiver import Receiver
from tests.relay import Mailbox, running_relay
from tests.robots import Provider
from workers.egress import Egress
from workers.mail import mail, relay_address
from workers.robots import post_to_robot, sign_dingtalk, sign_feishu

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
SECRET = "SEC-not-a-real-one"
ROBOTS = [kind for kind in EndpointKind if kind not in {EndpointKind.WEBHOOK, EndpointKind.EMAIL}]


def make_post(kind: EndpointKind, url: str, text: str = "催收合规告警 & alert") -> Post:
    return Post(
        delivery_id=UUID(int=7),
        tenant_id=uuid4(),
        endpoint_id=uuid4(),
        kind=kind,
        url=url,
        secret=SECRET,
        subject="催收合规告警",
        text=text,
        alerts=1,
    )


@pytest.mark.parametrize("kind", ROBOTS)
def test_a_robot_takes_what_is_signed_and_refuses_another_secret(kind: EndpointKind) -> None:
    with Provider(kind.value, SECRET) as robot:
        egress = Egress(allow=[robot.address], total_s=5)
        moment = datetime.now(UTC)
        post = make_post(kind, robot.url)

        assert post_to_robot(egress, post, now=moment) == Attempt(
            Result.DELIVERED, "delivered", 200
        )
        assert robot.texts == [post.text]
        if CHANNELS[kind].signs:
            wrong = post_to_robot(egress, replace(post, secret="other"), now=moment)
            old = post_to_robot(egress, post, now=moment - timedelta(hours=2))
            assert {wrong.result, old.result} == {Result.FAILED}
            assert wrong.reason in {"code_310000", "code_19021"}


@pytest.mark.parametrize("kind", ROBOTS)
def test_too_fast_is_a_wish_to_wait_and_no_failure(kind: EndpointKind) -> None:
    with Provider(kind.value, SECRET, limits=CHANNELS[kind].limits[-1:]) as robot:
        robot.clock = NOW.timestamp
        egress = Egress(allow=[robot.address], total_s=5)
        results = [
            post_to_robot(egress, make_post(kind, robot.url), now=NOW).result for _ in range(21)
        ]

        allowed = CHANNELS[kind].limits[-1][0]
        assert results == [Result.DELIVERED] * allowed + [Result.THROTTLED] * (21 - allowed)


def test_slack_says_how_long_to_wait() -> None:
    with Provider("slack", limits=((0, 60),)) as robot:
        egress = Egress(allow=[robot.address], total_s=5)

        attempt = post_to_robot(egress, make_post(EndpointKind.SLACK, robot.url), now=NOW)

    assert attempt == Attempt(Result.THROTTLED, "http_429", 429, 7.0)


def test_a_200_that_is_not_the_providers_is_no_delivery() -> None:
    with Receiver() as receiver:
        receiver.answer(200)
        egress = Egress(allow=[receiver.address], total_s=5)

        attempt = post_to_robot(egress, make_post(EndpointKind.DINGTALK, receiver.url), now=NOW)

    assert attempt == Attempt(Result.FAILED, "answer_malformed", 200)


def test_robots_are_not_a_way_to_private_addresses() -> None:
    post = make_post(EndpointKind.DINGTALK, "https://169.254.169.254/robot/send")

    assert post_to_robot(Egress(), post, now=NOW) == Attempt(Result.FAILED, "address_refused")


def test_signatures_are_the_ones_worked_out_by_hand() -> None:
    """openssl dgst -sha256 -hmac gives the same for these texts and keys."""
    moment = datetime.fromtimestamp(1_599_360_473, UTC)

    assert sign_feishu("demo", moment) == (
        "1599360473",
        "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=",
    )
    assert sign_dingtalk("this is secret", moment) == (
        "1599360473000",
        "hXZTWifRGHclNuZSKxoXc//sh51SWfVfRIhcdeKs63I=",
    )


def group(number: int, severity: Severity, agency: str = "示例催收公司") -> Group:
    return Group(
        agency=agency,
        agency_id=uuid4(),
        rule=f"THR-{number:02}",
        severity=severity,
        findings=3,
        escalated=False,
        since=NOW + timedelta(seconds=number),
        alert_ids=(uuid4(), uuid4()),
        interaction_id=None,
    )


def test_a_text_keeps_to_its_bytes_and_takes_critical_ones_first() -> None:
    groups = [group(n, Severity.LOW) for n in range(30)] + [group(31, Severity.CRITICAL)]
    titles = {each.rule: Title("威胁使用暴力", "Threatens violence") for each in groups}

    for kind in [*ROBOTS, EndpointKind.EMAIL]:
        limit = CHANNELS[kind].text_bytes
        used, text = compose(groups, titles, base_url="https://hegui.example", limit=limit)
        assert len(text.encode()) <= limit
        assert used[0].severity is Severity.CRITICAL
        assert [each.rule for each in used[1:]] == [each.rule for each in groups[: len(used) - 1]]
        assert len(used) == text.count("/v1/findings?")
        assert "催收合规告警" in text.splitlines()[0]
        assert "Collection alert" in text.splitlines()[0]


def test_the_name_of_an_agency_mentions_nobody() -> None:
    name = '<at user_id="all">everyone</at> <!channel> @all\n# title'

    _, text = compose([group(1, Severity.LOW, name)], {}, base_url="https://x", limit=4096)

    assert not set("<>@&") & set(text.replace("&rule=", ""))
    assert len([line for line in text.splitlines() if line]) == 4


@pytest.fixture
def relay() -> Iterator[tuple[Mailbox, str]]:
    with running_relay() as (mailbox, address):
        yield mailbox, address


def test_mail_goes_through_the_relay_and_says_the_same(relay: tuple[Mailbox, str]) -> None:
    mailbox, address = relay
    url = f"smtp://hegui:p%40ss@{address}"
    egress = Egress(allow=[relay_address(url)], total_s=5)
    post = make_post(EndpointKind.EMAIL, "mailto:risk@bank.example")

    sent = mail(egress, post, relay=url, sender="hegui@bank.example", now=NOW)

    assert sent == Attempt(Result.DELIVERED, "delivered")
    (message,) = mailbox.kept
    assert message["To"] == "risk@bank.example"
    assert message["Message-ID"] == f"<post_{UUID(int=7).hex}@hegui>"
    assert post.text in message.get_payload(decode=True).decode()


@pytest.mark.parametrize(
    ("relay_url", "to", "reason"),
    [
        ("smtp://hegui:wrong@{}", "risk@bank.example", "smtp_535"),
        ("smtp://hegui:p%40ss@{}", "full@bank.example", "smtp_452"),
        ("smtps://hegui:p%40ss@{}", "risk@bank.example", "tls_failed"),
        ("smtp+starttls://hegui:p%40ss@{}", "risk@bank.example", "relay_failed"),
        ("", "risk@bank.example", "no_mail_relay"),
    ],
)
def test_a_relay_that_refuses_is_a_failure_with_a_word(
    relay: tuple[Mailbox, str], relay_url: str, to: str, reason: str
) -> None:
    url = relay_url.format(relay[1])
    egress = Egress(allow=[relay[1]], total_s=5)
    post = make_post(EndpointKind.EMAIL, f"mailto:{to}")

    attempt = mail(egress, post, relay=url, sender="hegui@bank.example", now=NOW)

    assert (attempt.result, attempt.reason) == (Result.FAILED, reason)
    assert relay[0].kept == []


def test_a_relay_that_is_not_listed_is_not_dialled(relay: tuple[Mailbox, str]) -> None:
    post = make_post(EndpointKind.EMAIL, "mailto:risk@bank.example")

    attempt = mail(Egress(), post, relay=f"smtp://{relay[1]}", sender="a@b.example", now=NOW)

    assert attempt == Attempt(Result.FAILED, "address_refused")


def settle(**environment: str) -> None:
    os.environ |= environment
    settings.cache_clear()


@pytest.fixture
def operator(database: Database) -> Iterator[Callable[..., None]]:
    """Set what an operator sets, for one test."""
    before = dict(os.environ)
    yield settle
    for name in set(os.environ) - set(before):
        del os.environ[name]
    settle(**before)


THREAT = "再不还钱，我们今天就上门泼油漆，让你家里人都不得安宁。"


def send_threat(client: TestClient, agency: Sender) -> None:
    post_event(client, agency, make_case())
    post_event(client, agency, make_sms(text=THREAT))


@pytest.mark.parametrize("kind", ROBOTS)
def test_a_threat_comes_down_the_whole_road_to_every_kind_of_robot(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    operator: Callable[..., None],
    run_jobs: Callable[[], None],
    kind: EndpointKind,
) -> None:
    with Provider(kind.value, SECRET, limits=CHANNELS[kind].limits) as robot:
        operator(HEGUI_EGRESS_ALLOW=robot.address)
        secret = SECRET if CHANNELS[kind].signs else None
        wish = {"kind": kind.value, "url": robot.url, "secret": secret}
        assert client.post("/v1/endpoints", json=wish, headers=lender.auth).status_code == 201
        send_threat(client, agency)
        run_jobs()

    assert robot.refusals == []
    assert "[严重 critical] THR-" in robot.texts[0]
    assert "泼油漆" not in robot.texts[0]


def test_a_threat_comes_down_the_whole_road_to_a_mailbox(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    relay: tuple[Mailbox, str],
    operator: Callable[..., None],
    run_jobs: Callable[[], None],
) -> None:
    operator(HEGUI_SMTP_URL=f"smtp://hegui:p%40ss@{relay[1]}", HEGUI_SMTP_FROM="hegui@bank.example")
    wish = {"kind": "email", "url": "mailto:risk@bank.example"}
    assert client.post("/v1/endpoints", json=wish, headers=lender.auth).status_code == 201
    send_threat(client, agency)
    run_jobs()

    (message,) = relay[0].kept
    text = message.get_payload(decode=True).decode()
    assert "[严重 critical] THR-" in text
    assert "泼油漆" not in text
    assert message["From"] == "hegui@bank.example"

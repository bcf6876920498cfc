"""Mail goes out under TLS to a relay that a bank's own authority vouches for, and to no other."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from service.alerts.alert import Attempt, Result
from service.models import EndpointKind
from tests.relay import Authority, Mailbox, make_authority, running_relay
from tests.workers.test_robots import NOW, make_post
from workers.egress import Egress, secure_context
from workers.mail import mail

SCHEMES = ("smtps", "smtp+starttls")
DELIVERED = Attempt(Result.DELIVERED, "delivered")
REFUSED = Attempt(Result.FAILED, "tls_failed")


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    """The bank's own, trusted by this machine as an operator makes it so."""
    made = make_authority(tmp_path)
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = str(made.path)
    secure_context.cache_clear()
    yield made
    if before is None:
        del os.environ["SSL_CERT_FILE"]
    else:
        os.environ["SSL_CERT_FILE"] = before
    secure_context.cache_clear()


@contextmanager
def relay_with(
    scheme: str, authority: Authority, folder: Path, name: str, days: int = 30
) -> Iterator[tuple[Mailbox, str]]:
    """A relay of that kind, with a certificate for that name and time; and its address."""
    context = authority.context(folder, name, days=days)
    more: dict[str, Any]
    if scheme == "smtps":
        more = {"ssl_context": context}
    else:
        more = {"tls_context": context, "require_starttls": True, "auth_require_tls": True}
    with running_relay(**more) as (mailbox, address):
        yield mailbox, address


def send(scheme: str, address: str) -> Attempt:
    post = make_post(EndpointKind.EMAIL, "mailto:risk@bank.example")
    url = f"{scheme}://hegui:p%40ss@{address}"
    return mail(Egress(allow=[address], total_s=5), post, relay=url, sender="a@b.example", now=NOW)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_mail_is_handed_over_under_tls(scheme: str, authority: Authority, tmp_path: Path) -> None:
    with relay_with(scheme, authority, tmp_path, "127.0.0.1") as (mailbox, address):
        sent = send(scheme, address)

    assert sent == DELIVERED
    (message,) = mailbox.kept
    assert message["Message-ID"] == f"<post_{UUID(int=7).hex}@hegui>"
    assert mailbox.logins == [b"hegui"]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("vouched_by", "name", "days"),
    [("stranger", "127.0.0.1", 30), ("bank", "mail.bank.example", 30), ("bank", "127.0.0.1", -1)],
    ids=["unknown authority", "another name", "expired"],
)
def test_a_relay_with_a_wrong_certificate_gets_neither_mail_nor_password(
    scheme: str, vouched_by: str, name: str, days: int, authority: Authority, tmp_path: Path
) -> None:
    signer = authority if vouched_by == "bank" else make_authority(tmp_path, vouched_by)
    with relay_with(scheme, signer, tmp_path, name, days) as (mailbox, address):
        sent = send(scheme, address)

    assert sent == REFUSED
    assert (mailbox.kept, mailbox.logins) == ([], [])


def test_a_relay_that_offers_no_starttls_gets_neither_mail_nor_password(
    authority: Authority,
) -> None:
    with running_relay() as (mailbox, address):
        sent = send("smtp+starttls", address)

    assert sent == Attempt(Result.FAILED, "relay_failed")
    assert (mailbox.kept, mailbox.logins) == ([], [])

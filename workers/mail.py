"""Mails digests through the operator's relay, with the standard library, over checked sockets."""

import ssl
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from smtplib import SMTP, SMTPException, SMTPRecipientsRefused, SMTPResponseException
from socket import socket
from urllib.parse import SplitResult, unquote, urlsplit

from service.alerts.alert import Attempt, Result
from service.alerts.digest import Post
from workers.egress import Egress, EgressError, secure_context

PORTS = {"smtps": 465, "smtp+starttls": 587, "smtp": 25}


class _Smtp(SMTP):
    """The standard client on a socket that the guarded client has dialled."""

    def __init__(self, egress: Egress, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._egress = egress
        self._tls = tls
        super().__init__(host, port, local_hostname="hegui")

    def _get_socket(self, host: str, port: int, timeout: object) -> socket:
        """Replace the one step that dials, as the library's own TLS client does."""
        del timeout
        plain = self._egress.dial_socket(host, port)
        return self._tls.wrap_socket(plain, server_hostname=host) if self._tls else plain


def relay_address(relay: str) -> str:
    """`host:port` of the relay, for the list of what may be dialled."""
    parts = urlsplit(relay)
    return f"{parts.hostname}:{parts.port or PORTS.get(parts.scheme, 0)}"


def mail(egress: Egress, post: Post, *, relay: str, sender: str, now: datetime) -> Attempt:
    """Hand a digest to the relay once; never raises for what the relay does.

    `relay` is smtps:// (TLS from the start), smtp+starttls:// (TLS or nothing) or smtp:// (plain,
    for a relay on the operator's own network), with a name and password where it asks for them.
    """
    parts = urlsplit(relay)
    if parts.hostname is None or parts.scheme not in PORTS:
        return Attempt(Result.FAILED, "no_mail_relay")
    try:
        _hand_over(egress, parts, _message(post, sender, now))
    except (EgressError, OSError, SMTPException) as error:
        return _failure(error)
    return Attempt(Result.DELIVERED, "delivered")


def _hand_over(egress: Egress, parts: SplitResult, message: EmailMessage) -> None:
    tls = secure_context() if parts.scheme == "smtps" else None
    port = parts.port or PORTS[parts.scheme]
    with _Smtp(egress, parts.hostname or "", port, tls) as client:
        if parts.scheme == "smtp+starttls":
            client.starttls(context=secure_context())
        if parts.username is not None:
            client.login(unquote(parts.username), unquote(parts.password or ""))
        client.send_message(message)


def _failure(error: Exception) -> Attempt:
    """One word for what went wrong; the relay's own text may quote the address."""
    code = None
    if isinstance(error, SMTPResponseException):
        code = error.smtp_code
    elif isinstance(error, SMTPRecipientsRefused):
        code = next(iter(error.recipients.values()))[0]
    if code is not None:
        return Attempt(Result.FAILED, f"smtp_{code}", code)
    if isinstance(error, EgressError):
        return Attempt(Result.FAILED, error.code)
    if isinstance(error, ssl.SSLError):
        return Attempt(Result.FAILED, "tls_failed")
    late = isinstance(error, TimeoutError)
    return Attempt(Result.FAILED, "timed_out" if late else "relay_failed")


def _message(post: Post, sender: str, now: datetime) -> EmailMessage:
    """A plain text mail; its id stays the post's, so a relay can drop a repetition."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = post.url.removeprefix("mailto:")
    message["Subject"] = post.subject
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<post_{post.delivery_id.hex}@hegui>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(post.text)
    return message

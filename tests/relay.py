"""A mail relay on a local port, plain or with TLS, and the authority that vouches for it."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.workers.system import free_port

HOST = "127.0.0.1"


class Mailbox(Message):
    """A relay that keeps what it is handed, and refuses one recipient."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []
        self.logins: list[bytes] = []

    def handle_message(self, message: object) -> None:
        self.kept.append(message)

    async def handle_RCPT(  # noqa: N802  the library names it so
        self, server: object, session: object, envelope: object, address: str, options: object
    ) -> str:
        del server, session, options
        if address.startswith("full"):
            return "452 mailbox is full"
        envelope.rcpt_tos.append(address)  # type: ignore[attr-defined]
        return "250 OK"


@contextmanager
def running_relay(**more: Any) -> Iterator[tuple[Mailbox, str]]:
    """Serve until the block ends; gives what was handed over, and `host:port`.

    `ssl_context` is TLS from the start, `tls_context` offers STARTTLS.
    """
    mailbox = Mailbox()

    def check(server: object, session: object, envelope: object, kind: str, data: Any) -> object:
        mailbox.logins.append(data.login)
        is_known = data.login == b"hegui" and data.password == b"p@ss"
        return AuthResult(success=is_known, handled=False)

    made = {"authenticator": check, "auth_require_tls": False, **more}
    controller = Controller(mailbox, hostname=HOST, port=free_port(), **made)
    controller.start()
    try:
        yield mailbox, f"{HOST}:{controller.port}"
    finally:
        controller.stop()


@dataclass(frozen=True)
class Authority:
    """A certificate authority of a bank's own; `path` is what its machines trust."""

    path: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def context(self, folder: Path, name: str = HOST, *, days: int = 30) -> ssl.SSLContext:
        """Settings of a server with a certificate for this name; below 0 days it is over."""
        key = ec.generate_private_key(ec.SECP256R1())
        alt: x509.GeneralName = x509.DNSName(name)
        if name == HOST:
            alt = x509.IPAddress(IPv4Address(HOST))
        signed = (
            _builder(name, self.certificate.subject, key, days)
            .add_extension(x509.SubjectAlternativeName([alt]), critical=False)
            .add_extension(_of_authority(self.key), critical=False)
            .sign(self.key, SHA256())
        )
        chain = folder / f"{name}-{days}.pem"
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain.write_bytes(secret + signed.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context


def make_authority(folder: Path, name: str = "bank") -> Authority:
    """Make an authority whose certificate lies in the folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    made = (
        _builder(name, subject, key, 30)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    path = folder / f"{name}-authority.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return Authority(path, made, key)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _of_authority(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    moment = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(days=60))
        .not_valid_after(moment + timedelta(days=days))
    )

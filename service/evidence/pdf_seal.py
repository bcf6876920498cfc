"""Signatures within a PDF: made as PAdES by pyHanko, read back in their one form.

The signature covers every byte but its own place in the file. What stands in that place is read
strictly, part by part, and put together again: so no byte of the file is free.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO

from asn1crypto.keys import PrivateKeyInfo  # type: ignore[import-untyped]
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko_certvalidator.registry import SimpleCertificateStore

from service.evidence.checkpoint import NoteError, PublicKey, Signer

FIELD = "hegui"
REASON = "Sealed by hegui; verify with: hegui verify"
_RANGE = re.compile(rb"/ByteRange \[0 ([0-9]{1,10}) ([0-9]{1,10}) ([0-9]{1,10})\]")
_YEARS_100 = timedelta(days=36_500)
_SEQUENCE, _SET, _OCTETS, _BITS, _CONTEXT_0 = 0x30, 0x31, 0x04, 0x03, 0xA0
# Object identifiers as DER: Ed25519, SHA-512, data, signed data, message digest, common name.
_ED25519 = bytes.fromhex("300506032b6570")
_SHA512 = bytes.fromhex("300d06096086480165030402030500")
_DATA = bytes.fromhex("300b06092a864886f70d010701")
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_MESSAGE_DIGEST = bytes.fromhex("06092a864886f70d010904")
_COMMON_NAME = bytes.fromhex("0603550403")
_ONE = b"\x02\x01\x01"


@dataclass(frozen=True, slots=True)
class PdfSeal:
    """What stands in a PDF's signature, whether it holds or not."""

    key: PublicKey
    covered: bytes
    certificate: bytes
    attributes: bytes
    digest: bytes
    signature: bytes
    der: bytes


def certificate_of(signer: Signer, origin: str) -> x509.Certificate:
    """The key's own certificate: the same bytes each time."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, origin)])
    since = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(signer.private.public_key())
        .serial_number(1)
        .not_valid_before(since)
        .not_valid_after(since + _YEARS_100)
        .add_extension(usage, critical=True)
        .sign(signer.private, None)
    )


def seal_pdf(pdf: bytes, signer: Signer, origin: str) -> bytes:
    """Sign a PDF/A with the deployment's key; it stays PDF/A."""
    certificate = certificate_of(signer, origin).public_bytes(Encoding.DER)
    secret = signer.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    pen = SimpleSigner(
        signing_cert=Certificate.load(certificate),
        signing_key=PrivateKeyInfo.load(secret),
        cert_registry=SimpleCertificateStore(),  # type: ignore[no-untyped-call]
    )
    wish = PdfSignatureMetadata(
        field_name=FIELD,
        subfilter=SigSeedSubFilter.PADES,
        md_algorithm="sha512",
        reason=REASON,
    )
    sealed = BytesIO()
    PdfSigner(wish, signer=pen).sign_pdf(IncrementalPdfFileWriter(BytesIO(pdf)), output=sealed)
    return sealed.getvalue()


def read_seal(pdf: bytes) -> PdfSeal:
    """Read a PDF's one signature; raises `NoteError` where it has none of our form."""
    ranges = _RANGE.findall(pdf)
    if len(ranges) != 1:
        raise NoteError("the PDF does not have exactly one signature of this product")
    first, after, rest = (int(number) for number in ranges[0])
    if after + rest != len(pdf) or not 0 < first < after:
        raise NoteError("the signature does not cover the whole file")
    place = pdf[first:after]
    if place[:1] != b"<" or place[-1:] != b">":
        raise NoteError("the signature's place is malformed")
    try:
        raw = bytes.fromhex(place[1:-1].decode("ascii"))
    except ValueError as error:
        raise NoteError("the signature's place is malformed") from error
    if raw.hex().upper().encode() != place[1:-1]:
        raise NoteError("the signature's place is malformed")
    return _read_der(raw, pdf[:first] + pdf[after:])


def check_seal(seal: PdfSeal, key: PublicKey) -> None:
    """Hold the signature against a key; raises `NoteError` that says what does not hold."""
    if key != seal.key:
        raise NoteError("the PDF is signed by another key")
    if hashlib.sha512(seal.covered).digest() != seal.digest:
        raise NoteError("the PDF is not what was signed")
    public = Ed25519PublicKey.from_public_bytes(key.raw)
    body, _, signature = _children(seal.certificate[_header(seal.certificate) :])
    try:
        public.verify(seal.signature, _wrap(_SET, seal.attributes))
        public.verify(signature[3:], body)
    except (InvalidSignature, ValueError) as error:
        raise NoteError("the signature does not hold") from error


def _read_der(raw: bytes, covered: bytes) -> PdfSeal:
    try:
        length = _header(raw) + _length(raw)
        if raw[length:].strip(b"\x00"):
            raise NoteError("something stands behind the signature")
        outer = _open(_open(raw[:length], _SEQUENCE)[1], _CONTEXT_0)[0]
        certificates, infos = _open(outer, _SEQUENCE)[3:]
        certificate = _open(certificates, _CONTEXT_0)[0]
        info = _open(_open(infos, _SET)[0], _SEQUENCE)
        attributes, signature = info[3], info[5]
        seal = PdfSeal(
            key=_key_of(certificate),
            covered=covered,
            certificate=certificate,
            attributes=attributes[_header(attributes) :],
            digest=_digest_of(attributes),
            signature=signature[2:],
            der=raw[:length],
        )
        if _put_together(seal) != raw[:length]:
            raise NoteError("the signature is not written in its one form")
    except (IndexError, ValueError) as error:
        raise NoteError("the signature is malformed") from error
    return seal


def _put_together(seal: PdfSeal) -> bytes:
    """Write the signature again from its parts."""
    body = _open(seal.certificate, _SEQUENCE)[0]
    fields = _open(body, _SEQUENCE)
    serial, issuer = fields[1], fields[3]
    mark = b"\x00" + _open(seal.certificate, _SEQUENCE)[2][3:]
    certificate = _wrap(_SEQUENCE, body + _ED25519 + _wrap(_BITS, mark))
    info = _wrap(
        _SEQUENCE,
        _ONE
        + _wrap(_SEQUENCE, issuer + serial)
        + _SHA512
        + _wrap(_CONTEXT_0, seal.attributes)
        + _ED25519
        + _wrap(_OCTETS, seal.signature),
    )
    signed = _wrap(
        _SEQUENCE,
        _ONE + _wrap(_SET, _SHA512) + _DATA + _wrap(_CONTEXT_0, certificate) + _wrap(_SET, info),
    )
    return _wrap(_SEQUENCE, _SIGNED_DATA + _wrap(_CONTEXT_0, signed))


def _key_of(certificate: bytes) -> PublicKey:
    fields = _open(_open(certificate, _SEQUENCE)[0], _SEQUENCE)
    subject, public = fields[5], fields[6]
    name = _open(_open(_open(subject, _SEQUENCE)[0], _SET)[0], _SEQUENCE)
    algorithm, bits = _open(public, _SEQUENCE)
    if name[0] != _COMMON_NAME or algorithm != _ED25519 or bits[:3] != b"\x03\x21\x00":
        raise ValueError(certificate)
    return PublicKey(name[1][_header(name[1]) :].decode(), bits[3:])


def _digest_of(attributes: bytes) -> bytes:
    for attribute in _children(attributes[_header(attributes) :]):
        name, values = _open(attribute, _SEQUENCE)
        if name == _MESSAGE_DIGEST:
            return _open(values, _SET)[0][2:]
    raise ValueError(attributes)


def _wrap(tag: int, content: bytes) -> bytes:
    """Write one element of DER."""
    size = len(content)
    if size < 0x80:  # noqa: PLR2004  the short form of a length
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _header(element: bytes) -> int:
    """The number of bytes before an element's content."""
    return 2 if element[1] < 0x80 else 2 + (element[1] & 0x7F)  # noqa: PLR2004  the short form


def _length(element: bytes) -> int:
    head = _header(element)
    return element[1] if head == 2 else int.from_bytes(element[2:head], "big")  # noqa: PLR2004


def _open(element: bytes, tag: int) -> Sequence[bytes]:
    """The elements within one of this tag; raises `ValueError`."""
    if element[0] != tag or _header(element) + _length(element) != len(element):
        raise ValueError(tag)
    return _children(element[_header(element) :])


def _children(content: bytes) -> list[bytes]:
    found = []
    while content:
        size = _header(content) + _length(content)
        if size > len(content):
            raise ValueError(size)
        found.append(content[:size])
        content = content[size:]
    return found

"""Signed notes in the form of C2SP, the ledger's checkpoints among them, and the key that signs.

A note is text, an empty line, and a line `— <name> <base64 of 4 bytes of key hash + signature>`
(c2sp.org/signed-note); a checkpoint's text is origin, size and root, each on a line
(c2sp.org/tlog-checkpoint), here with the time of sealing as the one extension line.
"""

import base64
import binascii
import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from service.config import settings

_ED25519 = b"\x01"
_DASH = "\u2014"
_NAME = re.compile(r"[^\s+]{1,200}")
_CHECKPOINT = re.compile(
    r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\ntime ([0-9T:.-]{19,26}Z)\n"
)


class NoteError(Exception):
    """A note is malformed, or not signed by the key that was asked for."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A named public key; as text it is a C2SP verifier key, `name+hash+base64`."""

    name: str
    raw: bytes

    @property
    def key_hash(self) -> bytes:
        """The first four bytes of SHA-256 over name, line feed, 0x01 and the key."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.raw).digest()[:4]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the raw key, to be compared by eye."""
        return hashlib.sha256(self.raw).hexdigest()

    def __str__(self) -> str:
        return f"{self.name}+{self.key_hash.hex()}+{_encode(_ED25519 + self.raw)}"

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """Read the text form; raises `NoteError`."""
        parts = text.strip().split("+", 2)
        if len(parts) != 3 or not _NAME.fullmatch(parts[0]):  # noqa: PLR2004  name, hash, key
            raise NoteError("the key is not of the form name+hash+base64")
        raw = _decode(parts[2])
        if len(raw) != 33 or raw[:1] != _ED25519:  # noqa: PLR2004  one byte of kind, 32 of key
            raise NoteError("the key is not an Ed25519 key")
        found = cls(parts[0], raw[1:])
        if found.key_hash.hex() != parts[1]:
            raise NoteError("the key's hash does not fit its name and bytes")
        return found


@dataclass(frozen=True, slots=True)
class Signer:
    """The deployment's private key; each tenant's ledger signs under its own name."""

    private: Ed25519PrivateKey

    @property
    def raw_public(self) -> bytes:
        """The public key, 32 bytes."""
        return self.private.public_key().public_bytes_raw()

    @property
    def key_id(self) -> str:
        """SHA-256 of the public key."""
        return hashlib.sha256(self.raw_public).hexdigest()

    def public(self, name: str) -> PublicKey:
        """Return the public key under this name."""
        return PublicKey(name, self.raw_public)

    def sign(self, text: str, name: str) -> str:
        """Return the note: this text, which ends in a line feed, signed under this name."""
        signature = self.public(name).key_hash + self.private.sign(text.encode())
        return f"{text}\n{_DASH} {name} {_encode(signature)}\n"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a ledger: the root over its first `size` entries."""

    origin: str
    size: int
    root: bytes
    sealed_at: datetime

    @property
    def text(self) -> str:
        """The text that is signed."""
        moment = self.sealed_at.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
        return f"{self.origin}\n{self.size}\n{_encode(self.root)}\ntime {moment}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read a checkpoint's text, without its signature; raises `NoteError`."""
        matched = _CHECKPOINT.fullmatch(text)
        if matched is None:
            raise NoteError("the text is not a checkpoint")
        try:
            moment = datetime.fromisoformat(matched[4])
        except ValueError as error:
            raise NoteError("the checkpoint's time is malformed") from error
        found = cls(matched[1], int(matched[2]), _decode(matched[3]), moment)
        if found.text != text:
            raise NoteError("the checkpoint is not written in its one form")
        return found


def origin_of(tenant_id: UUID) -> str:
    """Return the name of a tenant's ledger, under which its notes are signed."""
    return f"hegui/ledger/{tenant_id}"


def open_note(note: str, key: PublicKey) -> str:
    """Return the text of a note that this key alone has signed; raises `NoteError`."""
    text, found, signature = note.rpartition("\n\n")
    text += "\n"
    prefix = f"{_DASH} {key.name} "
    if not found or not signature.startswith(prefix) or not signature.endswith("\n"):
        raise NoteError("the note is not signed under this key's name")
    encoded = signature[len(prefix) : -1]
    raw = _decode(encoded)
    if raw[:4] != key.key_hash:
        raise NoteError("the note is signed by another key")
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(raw[4:], text.encode())
    except (InvalidSignature, ValueError) as error:
        raise NoteError("the signature does not hold") from error
    return text


@lru_cache(maxsize=1)
def signer() -> Signer:
    """Return this deployment's signer; the first use in a deployment makes the key's file."""
    config = settings()
    named = config.ledger_key_file
    path = Path(named) if named else config.object_dir.resolve().parent / "ledger-key.pem"
    with suppress(FileExistsError):
        if not path.exists():
            _make_key(path)
    loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(loaded, Ed25519PrivateKey):
        raise NoteError(f"{path} does not hold an Ed25519 key")
    return Signer(loaded)


def _make_key(path: Path) -> None:
    """Write a new key, whole and durable before it has its name; never over another."""
    text = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_once(path, text, mode=0o400)


def write_once(path: Path, content: bytes, *, mode: int = 0o440) -> None:
    """Write a file durably under its name; raises `FileExistsError` where there is one."""
    part = path.parent / f".{uuid4().hex}.part"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A hard link never replaces.
        os.link(part, path)
    finally:
        part.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decode(text: str) -> bytes:
    """Read base64 in its one canonical form; raises `NoteError`."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError("the base64 is malformed") from error
    if _encode(raw) != text:
        raise NoteError("the base64 is not in its canonical form")
    return raw

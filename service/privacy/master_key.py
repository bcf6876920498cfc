"""The master key: wraps the tenants' data keys, and is never in the database."""

import base64
import binascii
import hashlib
import os
import secrets
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.config import settings
from service.errors import MasterKeyError

KEY_BYTES, NONCE_BYTES = 32, 12
_WAYS_OUT = (
    "Set HEGUI_MASTER_KEY (32 bytes in base64) or HEGUI_MASTER_KEY_FILE; "
    "`hegui keys master` makes a new one."
)


@dataclass(frozen=True, slots=True)
class MasterKey:
    """One master key; `id` tells keys apart and says nothing of them."""

    id: str
    aead: AESGCM


def make_master_key() -> str:
    """Return a new master key in base64, as the setting and the key file hold it."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def read_master_key(text: str, *, origin: str) -> MasterKey:
    """Read a master key from its base64 form; raises `MasterKeyError` that names its origin."""
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise MasterKeyError(f"{origin} does not hold {KEY_BYTES} bytes in base64. {_WAYS_OUT}")
    return MasterKey(hashlib.sha256(b"hegui/master-key" + raw).hexdigest()[:8], AESGCM(raw))


@lru_cache(maxsize=1)
def master_keys() -> tuple[MasterKey, ...]:
    """The master key in use, and after it the one before, where it is set.

    Development makes a key file beside the object folder at first use; production never does.
    Raises `MasterKeyError` where there is none.
    """
    config = settings()
    given = config.master_key.get_secret_value()
    if given:
        current = read_master_key(given, origin="HEGUI_MASTER_KEY")
    elif config.master_key_file:
        current = _from_file(Path(config.master_key_file))
    elif config.environment == "production":
        raise MasterKeyError(f"There is no master key. {_WAYS_OUT}")
    else:
        current = _from_file(_own_file(config.object_dir.parent / "master.key"))
    before = config.master_key_previous.get_secret_value()
    if not before:
        return (current,)
    return (current, read_master_key(before, origin="HEGUI_MASTER_KEY_PREVIOUS"))


def wrap(key: bytes, about: bytes) -> tuple[str, bytes]:
    """Wrap a data key under the master key in use; `about` binds it to its place."""
    master = master_keys()[0]
    nonce = secrets.token_bytes(NONCE_BYTES)
    return master.id, nonce + master.aead.encrypt(nonce, key, about)


def unwrap(wrapped: bytes, about: bytes, *, master: str) -> bytes:
    """Open a wrapped data key; `master` is the id that was noted with it.

    Raises `MasterKeyError` that says which master key is asked for and which is set.
    """
    nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
    for candidate in master_keys():
        if candidate.id == master:
            try:
                return candidate.aead.decrypt(nonce, sealed, about)
            except InvalidTag:
                raise MasterKeyError("A data key was changed in the database.") from None
    held = ", ".join(candidate.id for candidate in master_keys())
    raise MasterKeyError(
        f"The data keys were wrapped by master key {master}; the one set is {held}. Bring back "
        "that key, or set it as HEGUI_MASTER_KEY_PREVIOUS and run `hegui keys rewrap`."
    )


def _from_file(path: Path) -> MasterKey:
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise MasterKeyError(
            f"The master key file {path} cannot be read: {type(error).__name__}. {_WAYS_OUT}"
        ) from None
    return read_master_key(text, origin=str(path))


def _own_file(path: Path) -> Path:
    """The folder's key file, made whole and for its owner alone where there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(make_master_key() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # of two processes the first one's key stays
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path

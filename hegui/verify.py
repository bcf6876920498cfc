"""Verifies evidence offline: packages, signed PDFs, checkpoints; names the first thing that fails.

Nothing of the service is asked: the file, and a public key that came by another way, are enough.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from service.evidence import merkle
from service.evidence.checkpoint import Checkpoint, NoteError, PublicKey, open_note
from service.evidence.ledger import canonical, commit_to
from service.evidence.manifest import KEY_NAME, NAME, Manifest, open_manifest
from service.evidence.pdf_seal import check_seal, read_seal
from service.evidence.sealed_zip import Found, ZipFormError, unpack

GENUINE, NOT_GENUINE, REFUSED = 0, 1, 2
SCHEMAS = frozenset({"hegui.bundle/1", "hegui.report/1"})
_LARGEST_NOTE = 10_000


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of it: `problem` is the first thing that is not genuine, by code and place."""

    status: int
    problem: str = ""
    place: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    key: PublicKey | None = None
    is_pinned: bool = False


class _Failure(Exception):  # noqa: N818  an answer on its way, not an error
    def __init__(self, problem: str, place: str = "") -> None:
        super().__init__(problem)
        self.problem, self.place = problem, place


def verify_file(path: Path, key_text: str | None) -> Verification:
    """Verify one file against a verifier key; without one against the key that the file names.

    Status 0 genuine, 1 not, 2 refused: no file, no key, or nothing that can be verified.
    """
    try:
        key = PublicKey.parse(key_text) if key_text is not None else None
    except NoteError:
        return Verification(REFUSED, "key_malformed")
    try:
        with path.open("rb") as file:
            return _verify(file, key)
    except OSError:
        return Verification(REFUSED, "file_unreadable")


def _verify(file: BinaryIO, key: PublicKey | None) -> Verification:
    start = file.read(5)
    file.seek(0)
    try:
        if start.startswith(b"PK\x03\x04"):
            return _verify_package(file, key)
        if start == b"%PDF-":
            return _verify_pdf(file.read(), key)
        if start == b"hegui":
            return _verify_note(file.read(_LARGEST_NOTE + 1), key)
    except _Failure as failure:
        return Verification(NOT_GENUINE, failure.problem, failure.place, key=key)
    return Verification(REFUSED, "not_verifiable")


def _verify_pdf(pdf: bytes, key: PublicKey | None) -> Verification:
    try:
        seal = read_seal(pdf)
        check_seal(seal, key or seal.key)
    except NoteError as error:
        raise _Failure("signature_refused", "pdf") from error
    return Verification(GENUINE, facts={"kind": "pdf"}, key=seal.key, is_pinned=key is not None)


def _verify_note(raw: bytes, key: PublicKey | None) -> Verification:
    if key is None:
        return Verification(REFUSED, "key_needed")
    try:
        head = Checkpoint.parse(open_note(raw.decode(), key))
    except (NoteError, UnicodeDecodeError) as error:
        raise _Failure("signature_refused", "checkpoint") from error
    if head.origin != key.name:
        raise _Failure("signature_refused", "checkpoint")
    facts = {"kind": "checkpoint", "size": str(head.size), "sealed_at": head.sealed_at.isoformat()}
    return Verification(GENUINE, facts=facts, key=key, is_pinned=True)


def _verify_package(file: BinaryIO, key: PublicKey | None) -> Verification:
    try:
        found = {one.name: one for one in unpack(file)}
    except ZipFormError as error:
        raise _Failure("zip_malformed") from error
    used = key or _named_key(file, found)
    manifest = _manifest(file, found, used)
    _check_files(file, found, manifest)
    if f"{used}\n".encode() != found[KEY_NAME].read(file):
        raise _Failure("key_differs", KEY_NAME)
    if "ledger.json" in found:
        _check_ledger(file, found, manifest, used)
    facts = {"kind": manifest.schema, **manifest.facts, "files": str(len(manifest.files))}
    return Verification(GENUINE, facts=facts, key=used, is_pinned=key is not None)


def _named_key(file: BinaryIO, found: Mapping[str, Found]) -> PublicKey:
    if KEY_NAME not in found or found[KEY_NAME].size > _LARGEST_NOTE:
        raise _Failure("file_missing", KEY_NAME)
    try:
        return PublicKey.parse(found[KEY_NAME].read(file).decode())
    except (NoteError, UnicodeDecodeError) as error:
        raise _Failure("key_malformed", KEY_NAME) from error


def _manifest(file: BinaryIO, found: Mapping[str, Found], key: PublicKey) -> Manifest:
    if next(iter(found), None) != NAME:
        raise _Failure("file_missing", NAME)
    try:
        manifest = open_manifest(found[NAME].read(file).decode(), key)
    except (NoteError, UnicodeDecodeError) as error:
        raise _Failure("signature_refused", NAME) from error
    if manifest.schema not in SCHEMAS:
        raise _Failure("schema_unknown", NAME)
    if f"hegui/ledger/{manifest.facts.get('tenant')}" != key.name:
        raise _Failure("key_differs", NAME)
    return manifest


def _check_files(file: BinaryIO, found: Mapping[str, Found], manifest: Manifest) -> None:
    for digest, size, name in manifest.files:
        if name not in found:
            raise _Failure("file_missing", name)
        made = hashlib.sha256()
        for chunk in found[name].chunks(file):
            made.update(chunk)
        if found[name].size != size or made.hexdigest() != digest:
            raise _Failure("file_changed", name)
    if [NAME, *(name for _, _, name in manifest.files)] != list(found):
        raise _Failure("file_unlisted", NAME)


def _check_ledger(
    file: BinaryIO, found: Mapping[str, Found], manifest: Manifest, key: PublicKey
) -> None:
    """Hold every entry against the signed head, and every text against its entry."""
    try:
        head = Checkpoint.parse(open_note(found["checkpoint.txt"].read(file).decode(), key))
    except (KeyError, NoteError, UnicodeDecodeError) as error:
        raise _Failure("signature_refused", "checkpoint.txt") from error
    digests = {name: digest for digest, _, name in manifest.files}
    try:
        ledger = orjson.loads(found["ledger.json"].read(file))
        if head.origin != key.name or head.size != ledger["size"]:
            raise _Failure("checkpoint_differs", "checkpoint.txt")
        for entry in ledger["entries"]:
            _check_entry(entry, head, digests, manifest.facts["tenant"])
    except (KeyError, TypeError, ValueError) as error:
        raise _Failure("ledger_malformed", "ledger.json") from error


def _check_entry(
    entry: Mapping[str, Any], head: Checkpoint, digests: Mapping[str, str], tenant: str
) -> None:
    place = f"entry {entry['seq']}"
    leaf = orjson.loads(entry["leaf"])
    is_ours = leaf["tenant"] == tenant and leaf["seq"] == entry["seq"]
    if not is_ours or canonical(leaf) != entry["leaf"].encode():
        raise _Failure("leaf_differs", place)
    path: Sequence[bytes] = [bytes.fromhex(node) for node in entry["path"]]
    hashed = merkle.leaf_hash(entry["leaf"].encode())
    if not merkle.verify_inclusion(hashed, entry["seq"], head.size, path, head.root):
        raise _Failure("not_in_the_ledger", place)
    if "content" not in entry:
        return
    made = commit_to(entry["content"], bytes.fromhex(entry["salt"]))
    if (made.sha256.hex(), made.sm3.hex()) != (leaf["sha256"], leaf["sm3"]):
        raise _Failure("content_differs", place)
    for name, document in entry["documents"].items():
        if digests.get(document) != entry["content"][name]:
            raise _Failure("document_differs", f"{place} {document}")

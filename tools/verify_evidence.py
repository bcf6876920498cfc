#!/usr/bin/env python3
"""Verifies hegui's evidence with nothing but Python and `cryptography`; this one file is all.

    python verify_evidence.py FILE [--key KEY]

FILE is an evidence bundle or report package (.zip), a signed report (.pdf) or a checkpoint (.txt).
KEY is the ledger's public key, `name+hash+base64`; ask the lender for it by another way than the
file. Without it the key in the file is used, and its fingerprint printed to be compared.

Prints one line of JSON. Status: 0 genuine, 1 not genuine (the first thing that is not is named),
2 refused.
"""

import argparse
import base64
import binascii
import hashlib
import json
import re
import struct
import sys
import zlib
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

GENUINE, NOT_GENUINE, REFUSED = 0, 1, 2


class Bad(Exception):
    """What is not genuine, and where."""


class Refused(Exception):
    """Why nothing can be said of the file."""


# ---- signed notes (c2sp.org/signed-note) -----------------------------------------------------


def from_base64(text: str) -> bytes:
    """Read base64 in its one form."""
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("not canonical")
    return raw


class Key:
    """A verifier key: `name+hash+base64 of 0x01 and 32 bytes`."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.name, mark, encoded = self.text.split("+", 2)
        raw = from_base64(encoded)
        if len(raw) != 33 or raw[0] != 1 or re.search(r"\s", self.name) or not self.name:
            raise ValueError("not an Ed25519 key")
        self.raw = raw[1:]
        self.mark = hashlib.sha256(self.name.encode() + b"\n" + raw).digest()[:4]
        if self.mark.hex() != mark or len(self.name) > 200:
            raise ValueError("the hash does not fit")

    def check(self, signature: bytes, message: bytes) -> None:
        """Raise unless the signature holds."""
        Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)


def open_note(note: str, key: Key) -> str:
    """Return the text of a note that this key alone has signed; raises `ValueError`."""
    text, found, line = note.rpartition("\n\n")
    start = f"\u2014 {key.name} "
    if not found or not line.startswith(start) or not line.endswith("\n"):
        raise ValueError("not signed under this name")
    raw = from_base64(line[len(start) : -1])
    if raw[:4] != key.mark:
        raise ValueError("signed by another key")
    try:
        key.check(raw[4:], (text + "\n").encode())
    except InvalidSignature as error:
        raise ValueError("the signature does not hold") from error
    return text + "\n"


def open_checkpoint(raw: bytes, key: Key, place: str) -> "tuple[int, bytes, str]":
    """Return size, root and time of a signed head of this key's ledger."""
    try:
        text = open_note(raw.decode(), key)
        origin, size, root, time = text.removesuffix("\n").split("\n")
        digest = from_base64(root)
        well_formed = re.fullmatch(r"0|[1-9][0-9]{0,18}", size) and len(digest) == 32
        if origin != key.name or not well_formed or not time.startswith("time "):
            raise ValueError("not a checkpoint")
    except ValueError as error:
        raise Bad("signature_refused", place) from error
    return int(size), digest, time[5:]


# ---- zip files of one form -------------------------------------------------------------------

COMMON = struct.pack("<HHHHH", 20, 0, 0, 0, 0x21)  # 2.0, no flags, stored, 1980-01-01
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


def unzip(data: bytes) -> "dict[str, bytes]":
    """Return the files by name; the zip has to be, byte for byte, the only one of its content."""
    files: dict[str, bytes] = {}
    directory, at = b"", 0
    while data[at : at + 4] == b"PK\x03\x04":
        head = data[at : at + 30]
        if len(head) < 30 or head[4:14] != COMMON:
            raise Bad("zip_malformed", "")
        crc, packed, size, length, extra = struct.unpack("<LLLHH", head[14:])
        name = data[at + 30 : at + 30 + length].decode("ascii", "replace")
        content = data[at + 30 + length : at + 30 + length + size]
        if packed != size or extra or not NAME.fullmatch(name) or name in files:
            raise Bad("zip_malformed", "")
        if len(content) != size or zlib.crc32(content) != crc:
            raise Bad("zip_malformed", "")
        files[name] = content
        directory += b"PK\x01\x02" + struct.pack("<H", 0x314) + COMMON + head[14:30]
        directory += struct.pack("<HHHLL", 0, 0, 0, 0o100444 << 16, at) + name.encode()
        at += 30 + length + size
    count = len(files)
    end = struct.pack("<HHHHLLH", 0, 0, count, count, len(directory), at, 0)
    if data[at:] != directory + b"PK\x05\x06" + end:
        raise Bad("zip_malformed", "")
    return files


# ---- packages --------------------------------------------------------------------------------


def verify_package(data: bytes, key: "Key | None") -> "tuple[dict[str, str], Key]":
    """Check zip, signature, every file and every proof."""
    files = unzip(data)
    used = key or named_key(files)
    facts, listed = read_manifest(files, used)
    for digest, size, name in listed:
        if name not in files:
            raise Bad("file_missing", name)
        if len(files[name]) != size or hashlib.sha256(files[name]).hexdigest() != digest:
            raise Bad("file_changed", name)
    if ["MANIFEST.txt", *(name for _, _, name in listed)] != list(files):
        raise Bad("file_unlisted", "MANIFEST.txt")
    if files["key.txt"] != used.text.encode() + b"\n":
        raise Bad("key_differs", "key.txt")
    if "ledger.json" in files:
        digests = {name: digest for digest, _, name in listed}
        verify_ledger(files, used, facts["tenant"], digests)
    facts["files"] = str(len(listed))
    return facts, used


def named_key(files: "dict[str, bytes]") -> Key:
    """Read the key that the package brought along."""
    if "key.txt" not in files:
        raise Bad("file_missing", "key.txt")
    try:
        return Key(files["key.txt"].decode())
    except ValueError as error:
        raise Bad("key_malformed", "key.txt") from error


def read_manifest(
    files: "dict[str, bytes]", key: Key
) -> "tuple[dict[str, str], list[tuple[str, int, str]]]":
    """Return the facts and the list of files that the key has signed."""
    if next(iter(files), None) != "MANIFEST.txt":
        raise Bad("file_missing", "MANIFEST.txt")
    facts: dict[str, str] = {}
    listed: list[tuple[str, int, str]] = []
    try:
        text = open_note(files["MANIFEST.txt"].decode(), key)
        schema, *lines = text.removesuffix("\n").split("\n")
        for line in lines:
            word, _, rest = line.partition(" ")
            if word == "sha256":
                digest, size, name = rest.split(" ")
                listed.append((digest, int(size), name))
            else:
                facts[word] = rest
    except ValueError as error:
        raise Bad("signature_refused", "MANIFEST.txt") from error
    if schema not in {"hegui.bundle/1", "hegui.report/1"}:
        raise Bad("schema_unknown", "MANIFEST.txt")
    if f"hegui/ledger/{facts.get('tenant')}" != key.name:
        raise Bad("key_differs", "MANIFEST.txt")
    return {"kind": schema, **facts}, listed


# ---- the ledger (RFC 9162) -------------------------------------------------------------------


def canonical(document: object) -> bytes:
    """Write JSON of texts, whole numbers, booleans and null as RFC 8785 does."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def root_of(leaf: bytes, index: int, size: int, path: "list[bytes]") -> "bytes | None":
    """Climb from a leaf's hash to the root (RFC 9162 §2.1.3.2); None where the path is wrong."""
    if not 0 <= index < size:
        return None
    low, high, found = index, size - 1, leaf
    for node in path:
        if high == 0:
            return None
        if low % 2 or low == high:
            found = hashlib.sha256(b"\x01" + node + found).digest()
            while low and not low % 2:
                low, high = low // 2, high // 2
        else:
            found = hashlib.sha256(b"\x01" + found + node).digest()
        low, high = low // 2, high // 2
    return found if high == 0 else None


def verify_ledger(
    files: "dict[str, bytes]", key: Key, tenant: str, digests: "dict[str, str]"
) -> None:
    """Hold each entry against the signed head, and each text against its entry."""
    if "checkpoint.txt" not in files:
        raise Bad("signature_refused", "checkpoint.txt")
    size, root, _ = open_checkpoint(files["checkpoint.txt"], key, "checkpoint.txt")
    try:
        ledger = json.loads(files["ledger.json"])
        if ledger["size"] != size:
            raise Bad("checkpoint_differs", "checkpoint.txt")
        for entry in ledger["entries"]:
            verify_entry(entry, size, root, tenant, digests)
    except (KeyError, TypeError, ValueError) as error:
        raise Bad("ledger_malformed", "ledger.json") from error


def verify_entry(
    entry: dict[str, Any], size: int, root: bytes, tenant: str, digests: "dict[str, str]"
) -> None:
    """Check leaf, path, commitments and documents of one entry."""
    place = f"entry {entry['seq']}"
    raw = entry["leaf"].encode()
    leaf = json.loads(raw)
    if leaf["tenant"] != tenant or leaf["seq"] != entry["seq"] or canonical(leaf) != raw:
        raise Bad("leaf_differs", place)
    path = [bytes.fromhex(node) for node in entry["path"]]
    hashed = hashlib.sha256(b"\x00" + raw).digest()
    if root_of(hashed, entry["seq"], size, path) != root:
        raise Bad("not_in_the_ledger", place)
    if "content" not in entry:
        return
    opened = bytes.fromhex(entry["salt"]) + canonical(entry["content"])
    sm3 = hashes.Hash(hashes.SM3())
    sm3.update(opened)
    made = (hashlib.sha256(opened).hexdigest(), sm3.finalize().hex())
    if made != (leaf["sha256"], leaf["sm3"]):
        raise Bad("content_differs", place)
    for name, document in entry["documents"].items():
        if digests.get(document) != entry["content"][name]:
            raise Bad("document_differs", f"{place} {document}")


# ---- signed PDFs -----------------------------------------------------------------------------

ED25519 = bytes.fromhex("300506032b6570")
SHA512 = bytes.fromhex("300d06096086480165030402030500")
DATA = bytes.fromhex("300b06092a864886f70d010701")
SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
MESSAGE_DIGEST = bytes.fromhex("06092a864886f70d010904")
ONE = b"\x02\x01\x01"


def head_of(element: bytes) -> "tuple[int, int]":
    """Return where an element's content begins and how long it is."""
    if element[1] < 0x80:
        return 2, element[1]
    start = 2 + (element[1] & 0x7F)
    return start, int.from_bytes(element[2:start], "big")


def inside(element: bytes, tag: int) -> "list[bytes]":
    """Return the elements within one of this tag."""
    start, length = head_of(element)
    if element[0] != tag or start + length != len(element):
        raise ValueError("not the element that should stand here")
    return each(element[start:])


def each(content: bytes) -> "list[bytes]":
    """Cut a content into its elements."""
    found = []
    while content:
        size = sum(head_of(content))
        if size > len(content):
            raise ValueError("an element ends early")
        found.append(content[:size])
        content = content[size:]
    return found


def wrap(tag: int, *content: bytes) -> bytes:
    """Write one element of DER."""
    body = b"".join(content)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def verify_pdf(data: bytes, key: "Key | None") -> "tuple[dict[str, str], Key]":
    """Check the one signature of a PDF: it covers all but itself, and is written in one form."""
    try:
        used = check_pdf(data, key)
    except (ValueError, IndexError, InvalidSignature) as error:
        raise Bad("signature_refused", "pdf") from error
    return {"kind": "pdf"}, used


def check_pdf(data: bytes, key: "Key | None") -> Key:
    """Raise unless the signature holds; return the key that made it."""
    ranges = re.findall(rb"/ByteRange \[0 ([0-9]{1,10}) ([0-9]{1,10}) ([0-9]{1,10})\]", data)
    if len(ranges) != 1:
        raise ValueError("not exactly one signature")
    first, after, rest = map(int, ranges[0])
    place = data[first:after]
    if after + rest != len(data) or not 0 < first < after or place[:1] + place[-1:] != b"<>":
        raise ValueError("the signature does not cover the file")
    raw = bytes.fromhex(place[1:-1].decode("ascii"))
    if raw.hex().upper().encode() != place[1:-1]:
        raise ValueError("not in the one form")
    length = sum(head_of(raw))
    if raw[length:].strip(b"\x00"):
        raise ValueError("something stands behind the signature")
    parts = inside(inside(inside(raw[:length], 0x30)[1], 0xA0)[0], 0x30)
    certificate = inside(parts[3], 0xA0)[0]
    info = inside(inside(parts[4], 0x31)[0], 0x30)
    body, _, bits = inside(certificate, 0x30)
    fields = inside(body, 0x30)
    attributes = info[3][head_of(info[3])[0] :]
    signature = info[5][2:]
    again = wrap(0x30, body, ED25519, wrap(0x03, b"\x00", bits[3:]))
    signer = wrap(
        0x30, ONE, wrap(0x30, fields[3], fields[1]), SHA512, wrap(0xA0, attributes), ED25519,
        wrap(0x04, signature),
    )  # fmt: skip
    signed = wrap(0x30, ONE, wrap(0x31, SHA512), DATA, wrap(0xA0, again), wrap(0x31, signer))
    if wrap(0x30, SIGNED_DATA, wrap(0xA0, signed)) != raw[:length]:
        raise ValueError("not in the one form")
    used = certificate_key(fields)
    if key is not None and key.text != used.text:
        raise ValueError("signed by another key")
    if hashlib.sha512(data[:first] + data[after:]).digest() != message_digest(attributes):
        raise ValueError("not what was signed")
    used.check(signature, wrap(0x31, attributes))
    used.check(bits[3:], body)
    return used


def certificate_key(fields: "list[bytes]") -> Key:
    """Read name and key of a certificate."""
    name = inside(inside(inside(fields[5], 0x30)[0], 0x31)[0], 0x30)
    algorithm, bits = inside(fields[6], 0x30)
    if name[0] != bytes.fromhex("0603550403") or algorithm != ED25519:
        raise ValueError("not a certificate of this product")
    if bits[:3] != b"\x03\x21\x00":
        raise ValueError("not an Ed25519 key")
    text, raw = name[1][head_of(name[1])[0] :].decode(), b"\x01" + bits[3:]
    mark = hashlib.sha256(text.encode() + b"\n" + raw).hexdigest()[:8]
    return Key(f"{text}+{mark}+{base64.b64encode(raw).decode()}")


def message_digest(attributes: bytes) -> bytes:
    """Read the digest that was signed."""
    for attribute in each(attributes):
        name, values = inside(attribute, 0x30)
        if name == MESSAGE_DIGEST:
            return inside(values, 0x31)[0][2:]
    raise ValueError("no digest was signed")


# ---- the command -----------------------------------------------------------------------------


def verify(data: bytes, key: "Key | None") -> "tuple[dict[str, str], Key]":
    """Verify a file's bytes; raises `Bad` or `Refused`."""
    if data.startswith(b"PK\x03\x04"):
        return verify_package(data, key)
    if data.startswith(b"%PDF-"):
        return verify_pdf(data, key)
    if data.startswith(b"hegui"):
        if key is None:
            raise Refused("key_needed")
        size, _, time = open_checkpoint(data, key, "checkpoint")
        return {"kind": "checkpoint", "size": str(size), "sealed_at": time}, key
    raise Refused("not_verifiable")


def answer(path: str, key_text: "str | None") -> "dict[str, object]":
    """Verify a file; gives the answer that is printed."""
    found: dict[str, object] = {"status": REFUSED, "problem": "", "place": "", "facts": {}}
    try:
        key = Key(key_text) if key_text is not None else None
    except (ValueError, binascii.Error):
        return {**found, "problem": "key_malformed"}
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return {**found, "problem": "file_unreadable"}
    try:
        facts, used = verify(data, key)
    except Refused as reason:
        return {**found, "problem": reason.args[0]}
    except Bad as bad:
        return {**found, "status": NOT_GENUINE, "problem": bad.args[0], "place": bad.args[1]}
    fingerprint = hashlib.sha256(used.raw).hexdigest()
    return {
        **found,
        "status": GENUINE,
        "facts": facts,
        "key_fingerprint": fingerprint,
        "key_given": key is not None,
    }


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("file")
    parser.add_argument("--key", help="the ledger's public key, name+hash+base64")
    arguments = parser.parse_args()
    found = answer(arguments.file, arguments.key)
    print(json.dumps(found, ensure_ascii=False))
    if found["status"] == GENUINE and not found["key_given"]:
        print("No key was given: compare the fingerprint with one that you trust.", file=sys.stderr)
    return int(str(found["status"]))


if __name__ == "__main__":
    raise SystemExit(main())

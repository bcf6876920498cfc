"""The signed list of a package's files: what it is about, and the SHA-256 of each file in it."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from service.evidence.checkpoint import NoteError, PublicKey, Signer, open_note
from service.evidence.ledger import moment_text
from service.evidence.sealed_zip import Part, pack

NAME = "MANIFEST.txt"
KEY_NAME = "key.txt"
_FACT = re.compile(r"([a-z_]+) ([^\n]{1,300})")
_FILE = re.compile(r"sha256 ([0-9a-f]{64}) (0|[1-9][0-9]{0,11}) ([A-Za-z0-9._/-]{1,300})")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a package is, facts about it, and its files in order: digest, size and name of each."""

    schema: str
    facts: Mapping[str, str]
    files: Sequence[tuple[str, int, str]]

    @property
    def text(self) -> str:
        """The text that is signed."""
        facts = [f"{name} {value}" for name, value in self.facts.items()]
        files = [f"sha256 {digest} {size} {name}" for digest, size, name in self.files]
        return "\n".join([self.schema, *facts, *files]) + "\n"

    @classmethod
    def parse(cls, text: str) -> "Manifest":
        """Read the text; raises `NoteError`."""
        schema, *lines = text.removesuffix("\n").split("\n")
        facts: dict[str, str] = {}
        files: list[tuple[str, int, str]] = []
        for line in lines:
            file, fact = _FILE.fullmatch(line), _FACT.fullmatch(line)
            if file is not None:
                files.append((file[1], int(file[2]), file[3]))
            elif fact is not None and not files:
                facts[fact[1]] = fact[2]
            else:
                raise NoteError("the manifest has a line of another form")
        found = cls(schema, facts, files)
        if found.text != text:
            raise NoteError("the manifest is not written in its one form")
        return found


def make_package(
    schema: str,
    facts: Mapping[str, str],
    parts: Sequence[Part],
    *,
    signer: Signer,
    origin: str,
    now: datetime,
) -> Iterator[bytes]:
    """Give a signed package piece by piece: the manifest first, then the key, then the files."""
    held = [Part.of(KEY_NAME, f"{signer.public(origin)}\n".encode()), *parts]
    files = [(_digest(part), part.size, part.name) for part in held]
    manifest = Manifest(schema, {**facts, "made": moment_text(now)}, files)
    note = signer.sign(manifest.text, origin)
    return pack([Part.of(NAME, note.encode()), *held])


def open_manifest(note: str, key: PublicKey) -> Manifest:
    """Return the manifest that this key has signed; raises `NoteError`."""
    return Manifest.parse(open_note(note, key))


def _digest(part: Part) -> str:
    digest = hashlib.sha256()
    for chunk in part.chunks():
        digest.update(chunk)
    return digest.hexdigest()

"""Reads a vCon into the event that it tells of; what cannot be read is refused by its name."""

import hashlib
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from service.errors import FieldProblem, InvalidInputError
from service.event_body import Parsed, parse, read_json
from service.vcon import DISPOSITIONS, EXTENSION, TEXT_CHANNELS, TRANSCRIPT

# Earlier drafts wrote the same names for what is read here.
VERSIONS = frozenset({"0.0.1", "0.0.2", "0.3.0", "0.4.0"})
COLLECTORS = frozenset({"agent", "collector"})
ROLES: Mapping[str, str] = {
    "customer": "debtor",
    **{role: role for role in ("debtor", "agreed_contact", "guarantor", "third_party", "unknown")},
}
OUTCOMES: Mapping[str, str] = {
    "no-answer": "no_answer",
    "congestion": "unreachable",
    "failed": "unreachable",
    "busy": "busy",
    "hung-up": "rejected",
    "voicemail-no-message": "voicemail",
}
_SHA256 = re.compile(r"^sha256-([A-Za-z0-9_-]{43})=?$", re.ASCII)
# Where the event's fields came from; what is not here came from the extension.
_SOURCES: Mapping[str, str] = {
    "timestamp": "created_at",
    "data.case_id": "subject",
    "data.started_at": "dialog.0.start",
    "data.text": "dialog.0.body",
    "data.recording.url": "dialog.0.url",
    "data.recording.duration_seconds": "dialog.0.duration",
    "data.recording": "dialog.0",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """The event of a vCon, and the sound that it carried inside, if it did.

    `filename` is the name that the sound's file had beside it.
    """

    event: dict[str, Any]
    audio: bytes | None = None
    filename: str | None = None
    sources: Mapping[str, str] = field(default_factory=lambda: dict(_SOURCES))

    def renamed(self, error: InvalidInputError) -> InvalidInputError:
        """The refusal of the event, with the names that its fields have in the vCon."""
        problems = tuple(
            FieldProblem(self._source(problem.field), problem.message) for problem in error.errors
        )
        return InvalidInputError("The vCon is not one we can take.", errors=problems)

    def _source(self, name: str) -> str:
        for own in sorted(self.sources, key=len, reverse=True):
            if name == own or name.startswith(own + "."):
                return self.sources[own] + name[len(own) :]
        return f"{EXTENSION}.interaction.{name.removeprefix('data.')}"


class _Faults:
    """Gathers what is wrong, so that the sender is told everything at once."""

    def __init__(self) -> None:
        self.found: list[FieldProblem] = []

    def add(self, name: str, message: str) -> None:
        self.found.append(FieldProblem(name, message))

    def end(self) -> None:
        if self.found:
            text = "The vCon is not one we can take."
            raise InvalidInputError(text, errors=tuple(self.found))


def looks_like_vcon(document: object) -> bool:
    """Whether a JSON document is a vCon, in whatever form."""
    if not isinstance(document, dict):
        return False
    if "uuid" in document and "dialog" in document:
        return True
    return "vcon" in document or {"payload", "signatures"} <= set(document)


def parse_vcon(body: bytes) -> tuple[Parsed, Reading]:
    """Read a vCon's text into the event that will be kept; raises `InvalidInputError`.

    The refusal names fields as they stand in the vCon.
    """
    document = read_json(body)
    reading = read_vcon(document)
    try:
        return parse(orjson.dumps(reading.event)), reading
    except InvalidInputError as error:
        raise reading.renamed(error) from None


def read_vcon(document: object) -> Reading:
    """Read the one contact of an unsigned vCon; raises `InvalidInputError` naming every field."""
    faults = _Faults()
    if not isinstance(document, dict):
        faults.add("body", "must be one JSON object")
        faults.end()
    assert isinstance(document, dict)
    _check_envelope(document, faults)
    own = _own(document, faults)
    parties = _objects(document, "parties", faults)
    dialogs = _objects(document, "dialog", faults)
    if len(dialogs) > 1 or (not dialogs and "channel" not in own):
        faults.add("dialog", "must hold one piece of dialog: a vCon tells of one contact")
    faults.end()
    return _Reader(document, own, parties, dialogs[0] if dialogs else {}, faults).read()


def _check_envelope(document: Mapping[str, Any], faults: _Faults) -> None:
    if "signatures" in document or "ciphertext" in document:
        name = "signatures" if "signatures" in document else "ciphertext"
        faults.add(name, "send the unsigned form; the message that carries it is signed")
        return
    if str(document.get("vcon", "0.4.0")) not in VERSIONS:
        faults.add("vcon", f"must be one of {', '.join(sorted(VERSIONS))}")
    for name in ("uuid", "created_at"):
        if not isinstance(document.get(name), str):
            faults.add(name, "is required")
    critical = document.get("critical") or []
    if not isinstance(critical, list) or set(map(str, critical)) - {EXTENSION}:
        faults.add("critical", "names extensions that are not known here")


def _own(document: Mapping[str, Any], faults: _Faults) -> dict[str, Any]:
    held = document.get(EXTENSION) or {}
    own = held.get("interaction") or {} if isinstance(held, dict) else None
    if not isinstance(own, dict):
        faults.add(f"{EXTENSION}.interaction", "must be an object")
        return {}
    return own


def _objects(document: Mapping[str, Any], name: str, faults: _Faults) -> list[dict[str, Any]]:
    held = document.get(name) or []
    if not isinstance(held, list) or not all(isinstance(part, dict) for part in held):
        faults.add(name, "must be a list of objects")
        return []
    return held


class _Reader:
    """One vCon under reading: its parts, and what is wrong with them."""

    def __init__(
        self,
        document: Mapping[str, Any],
        own: Mapping[str, Any],
        parties: Sequence[Mapping[str, Any]],
        dialog: Mapping[str, Any],
        faults: _Faults,
    ) -> None:
        self.document, self.own, self.parties = document, own, parties
        self.dialog, self.faults = dialog, faults
        self.audio: bytes | None = None
        self.sources = dict(_SOURCES)
        if "case_id" in own:
            self.sources["data.case_id"] = f"{EXTENSION}.interaction.case_id"

    def read(self) -> Reading:
        """Make the event: the core's fields first, then what the extension says of them."""
        collector, party = self._people()
        self.faults.end()
        data = {
            "interaction_id": self.document["uuid"],
            "case_id": self.document.get("subject"),
            "direction": "outbound" if self._originator(collector) == collector else "inbound",
            "started_at": self.dialog.get("start"),
            "collector": self._collector(collector),
            "party": self._party(party),
            **self._content(collector),
        }
        self.faults.end()
        data |= {key: value for key, value in self.own.items() if key not in {"recording", "vcon"}}
        if isinstance(self.own.get("recording"), dict):
            data["recording"] = {**self.own["recording"], **data.get("recording", {})}
        data["vcon"] = {
            key: self.document[key]
            for key in ("uuid", "created_at", "subject")
            if self.document.get(key) is not None
        }
        moment = self.document.get("updated_at") or self.document["created_at"]
        event = {"type": "interaction.completed", "timestamp": moment, "data": _filled(data)}
        name = self.dialog.get("filename")
        return Reading(event, self.audio, name if isinstance(name, str) else None, self.sources)

    def _role(self, index: int) -> str:
        held = self.parties[index]
        return str(held.get("role") or held.get("type") or "").lower()

    def _people(self) -> tuple[int, int | None]:
        """Who collects, and who was reached; the first other party where there are several."""
        collecting = [n for n in range(len(self.parties)) if self._role(n) in COLLECTORS]
        if len(collecting) != 1:
            self.faults.add("parties", 'exactly one party needs the role "agent" or "collector"')
            return 0, None
        others = [n for n in range(len(self.parties)) if n != collecting[0]]
        for n in others:
            if self._role(n) not in {*ROLES, ""}:
                self.faults.add(f"parties.{n}.role", f"must be one of {', '.join(sorted(ROLES))}")
        return collecting[0], others[0] if others else None

    def _originator(self, collector: int) -> int:
        named = self.dialog.get("originator")
        if isinstance(named, int):
            return named
        parties = self.dialog.get("parties")
        first = parties[0] if isinstance(parties, list) and parties else parties
        return first if isinstance(first, int) else collector

    def _collector(self, index: int) -> dict[str, Any]:
        held = self.parties[index]
        name = held.get("uuid") or held.get("name")
        if not name and "collector" not in self.own:
            self.faults.add(f"parties.{index}.uuid", "is required: the employee's number")
        return {"id": name, "name": held.get("name"), "org": held.get("org")}

    def _party(self, index: int | None) -> dict[str, Any]:
        if index is None:
            return {"role": "unknown"}
        held = self.parties[index]
        self.sources["data.party.phone"] = f"parties.{index}.tel"
        phone = str(held["tel"]).removeprefix("tel:") if held.get("tel") else None
        role = ROLES.get(self._role(index), "unknown")
        return {"role": role, "phone": phone, "name": held.get("name")}

    def _content(self, collector: int) -> dict[str, Any]:
        kind = self.dialog.get("type")
        if kind == "recording":
            return self._recording(collector)
        if kind == "text":
            return self._text()
        if kind == "incomplete":
            outcome = OUTCOMES.get(str(self.dialog.get("disposition")))
            if outcome is None:
                known = ", ".join(sorted({*OUTCOMES, *DISPOSITIONS.values()}))
                self.faults.add("dialog.0.disposition", f"must be one of {known}")
            return {"channel": "call", "outcome": outcome}
        if self.dialog:
            self.faults.add("dialog.0.type", "must be recording, text or incomplete")
        return {}

    def _text(self) -> dict[str, Any]:
        body, encoding = self.dialog.get("body"), self.dialog.get("encoding", "none")
        if encoding == "base64url" and isinstance(body, str):
            try:
                body = _decoded(body).decode()
            except (Base64Error, ValueError):
                body = None
        if not isinstance(body, str):
            self.faults.add("dialog.0.body", "is required: the text of the message")
        channel = str(self.dialog.get("application") or "").lower()
        if channel not in TEXT_CHANNELS and "channel" not in self.own:
            message = f"must say by what it was sent: {', '.join(TEXT_CHANNELS)}"
            self.faults.add("dialog.0.application", message)
        return {"channel": channel, "outcome": "delivered", "text": body}

    def _recording(self, collector: int) -> dict[str, Any]:
        found: dict[str, Any] = {"channel": "call", "outcome": "answered"}
        digest = self._digest()
        if digest is not None:
            found["recording"] = _filled(
                {
                    "sha256": digest,
                    "url": self.dialog.get("url"),
                    "duration_seconds": self.dialog.get("duration"),
                    "speakers": self._speakers(collector),
                }
            )
        found["transcript"] = self._transcript(collector, has_recording=digest is not None)
        return found

    def _digest(self) -> str | None:
        """The SHA-256 of the sound: computed where it is inside, read where it lies elsewhere."""
        if "body" in self.dialog:
            try:
                self.audio = _decoded(self.dialog["body"])
            except (Base64Error, TypeError, ValueError):
                self.audio = None
            if not self.audio:
                self.faults.add("dialog.0.body", "must be the recording in base64url")
                return None
            return hashlib.sha256(self.audio).hexdigest()
        hashes = self.dialog.get("content_hash") or []
        for text in hashes if isinstance(hashes, list) else [hashes]:
            match = _SHA256.match(str(text))
            if match:
                return _decoded(match[1]).hex()
        if "url" in self.dialog or hashes:
            message = "must hold a sha256 hash: recordings are kept under it"
            self.faults.add("dialog.0.content_hash", message)
        return None

    def _speakers(self, collector: int) -> list[str]:
        parties = self.dialog.get("parties", [])
        channels = parties if isinstance(parties, list) else [parties]
        return [self._speaker(channel, collector) for channel in channels] or ["unknown"]

    def _speaker(self, channel: Any, collector: int) -> str:
        alone = channel[0] if isinstance(channel, list) and len(channel) == 1 else channel
        if not isinstance(alone, int) or not 0 <= alone < len(self.parties):
            return "unknown"
        return "collector" if alone == collector else "party"

    def _transcript(self, collector: int, *, has_recording: bool) -> list[Any] | None:
        """The segments of the first transcript that can be read; a recording is heard without."""
        analyses = _objects(self.document, "analysis", self.faults)
        for place, analysis in enumerate(analyses):
            if analysis.get("type") != "transcript":
                continue
            segments = _segments(analysis.get("body"))
            if segments is not None:
                self.sources["data.transcript"] = f"analysis.{place}.body.segments"
                is_ours = analysis.get("schema") == TRANSCRIPT
                return segments if is_ours else [self._segment(s, collector) for s in segments]
            if not has_recording:
                message = "must be a list of segments with start, end, text and speaker"
                self.faults.add(f"analysis.{place}.body", message)
        return None

    def _segment(self, held: Any, collector: int) -> Any:
        if not isinstance(held, dict):
            return held
        speaker = held.get("speaker")
        if str(speaker) not in {"collector", "party"}:
            speaker = self._speaker(speaker, collector)
        return {key: held.get(key) for key in ("start", "end", "text")} | {"speaker": speaker}


def _segments(body: Any) -> list[Any] | None:
    if isinstance(body, str):
        try:
            body = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
    found = body.get("segments") if isinstance(body, dict) else body
    return found if isinstance(found, list) else None


def _decoded(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _filled(value: Any) -> Any:
    """The value without the fields that nothing was said of."""
    if isinstance(value, dict):
        return {key: _filled(part) for key, part in value.items() if part is not None}
    return value

"""Interactions as vCon documents: the words both directions share, and what we write.

A vCon (draft-ietf-vcon-vcon-core-04, media type `application/vcon`) holds parties, dialog and
analysis of one conversation. What it has no place for (case, roles, outcome …) stands in the
extension parameter `hegui`, which other readers may ignore.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MEDIA_TYPE = "application/vcon"
MEDIA_TYPES = frozenset({MEDIA_TYPE, "application/vcon+json"})
VERSION = "0.4.0"
EXTENSION = "hegui"
SCHEMA = "hegui.vcon/1"
TRANSCRIPT = "hegui.transcript/1"
VERDICT = "hegui.verdict/1"
# Outcomes of calls that came to no conversation, as the draft's dispositions.
DISPOSITIONS: Mapping[str, str] = {
    "no_answer": "no-answer",
    "busy": "busy",
    "rejected": "hung-up",
    "unreachable": "failed",
    "invalid_number": "failed",
    "voicemail": "voicemail-no-message",
}
TEXT_CHANNELS = ("sms", "im", "email", "letter")
COLLECTOR, PARTY = 0, 1
_SPEAKERS: Mapping[str, Any] = {"collector": COLLECTOR, "party": PARTY}
# These stand in the dialog or the analysis, and so not in the extension once more.
_ELSEWHERE = frozenset({"transcript", "text", "vcon", "agency_id"})
_BEGINNINGS: Mapping[bytes, str] = {
    b"RIFF": "audio/x-wav",
    b"OggS": "audio/ogg",
    b"fLaC": "audio/flac",
    b"ID3": "audio/x-mp3",
    b"#!AMR": "audio/amr",
}


@dataclass(frozen=True, slots=True)
class Content:
    """What one vCon is made of: the event as it came, what was heard, and the verdict.

    `transcript` and `verdict` are bodies of analyses; `audio` is embedded where it is given.
    With `is_masked` the numbers and the name of the person reached are left out.
    """

    uuid: str
    timestamp: str
    data: Mapping[str, Any]
    transcript: Mapping[str, Any] | None = None
    engine: str | None = None
    verdict: Mapping[str, Any] | None = None
    audio: bytes | None = None
    is_masked: bool = False


def write_vcon(content: Content) -> dict[str, Any]:
    """Put one interaction into the unsigned form of a vCon; its keys in a fixed order."""
    data = content.data
    came: Mapping[str, Any] = data.get("vcon") or {}
    dialog = _dialog(content)
    document: dict[str, Any] = {
        "vcon": VERSION,
        "uuid": came.get("uuid") or content.uuid,
        "extensions": [EXTENSION],
        "created_at": came.get("created_at") or content.timestamp,
        "updated_at": content.timestamp,
        "subject": came.get("subject") or data["case_id"],
    }
    if content.is_masked:
        # The draft marks a copy from which something was taken out in this way.
        document["redacted"] = {"type": "numbers and names of the person reached"}
    return document | {
        "parties": [_collector(data), _party(data, is_masked=content.is_masked)],
        "dialog": [dialog] if dialog else [],
        "analysis": list(_analyses(content, has_dialog=dialog is not None)),
        "attachments": [],
        EXTENSION: {"schema": SCHEMA, "interaction": _own(content)},
    }


def hash_of(sha256: str) -> str:
    """The draft's form of a hash: its algorithm, a hyphen, base64url without padding."""
    return "sha256-" + urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")


def _collector(data: Mapping[str, Any]) -> dict[str, Any]:
    held = data["collector"]
    named = {key: held[key] for key in ("name", "org") if held.get(key)}
    return {"uuid": held["id"], **named, "role": "collector"}


def _party(data: Mapping[str, Any], *, is_masked: bool) -> dict[str, Any]:
    held = data["party"]
    found: dict[str, Any] = {"role": held["role"]}
    if not is_masked:
        for key, name in (("phone", "tel"), ("name", "name")):
            if held.get(key):
                found[name] = held[key]
    return found


def _dialog(content: Content) -> dict[str, Any] | None:
    """The one piece of dialog; None for a visit or letter of which no word is kept."""
    data = content.data
    outbound = data["direction"] == "outbound"
    sides = [COLLECTOR, PARTY] if outbound else [PARTY, COLLECTOR]
    if data.get("text") is not None:
        return {
            "type": "text",
            "start": data["started_at"],
            "parties": sides,
            "mediatype": "text/plain",
            "body": data["text"],
            "encoding": "none",
            "application": data["channel"],
        }
    if data.get("recording") or content.transcript:
        return _recording(content, originator=sides[0])
    if data["channel"] == "call" and data["outcome"] in DISPOSITIONS:
        disposition = DISPOSITIONS[data["outcome"]]
        return {
            "type": "incomplete",
            "start": data["started_at"],
            "parties": sides,
            "disposition": disposition,
        }
    if data["channel"] == "call":
        return {"type": "recording", "start": data["started_at"], "parties": sides}
    return None


def _recording(content: Content, *, originator: int) -> dict[str, Any]:
    data = content.data
    held: Mapping[str, Any] = data.get("recording") or {}
    parties = [_SPEAKERS.get(name, [0, 1]) for name in held.get("speakers", ("collector", "party"))]
    found: dict[str, Any] = {
        "type": "recording",
        "start": data["started_at"],
        "duration": held.get("duration_seconds"),
        "parties": parties,
        "originator": originator if parties[0] != originator else None,
        "application": data["channel"] if data["channel"] != "call" else None,
        "url": held.get("url"),
        "content_hash": [hash_of(held["sha256"])] if held else None,
    }
    if content.audio is not None:
        del found["url"]
        found["mediatype"] = _media_type(content.audio)
        found["body"] = urlsafe_b64encode(content.audio).decode().rstrip("=")
        found["encoding"] = "base64url"
    return {key: value for key, value in found.items() if value is not None}


def _media_type(audio: bytes) -> str:
    known = (name for start, name in _BEGINNINGS.items() if audio.startswith(start))
    return next(known, "application/octet-stream")


def _analyses(content: Content, *, has_dialog: bool) -> Sequence[dict[str, Any]]:
    about = {"dialog": 0} if has_dialog else {}
    written = {"mediatype": "application/json", "encoding": "json"}
    found: list[dict[str, Any]] = []
    if content.transcript is not None:
        vendor = "hegui" if content.engine else "agency"
        product = {"product": content.engine} if content.engine else {}
        found.append(
            {"type": "transcript", **about, "vendor": vendor, **product, "schema": TRANSCRIPT}
            | written
            | {"body": content.transcript}
        )
    if content.verdict is not None:
        found.append(
            {"type": "report", **about, "vendor": "hegui", "schema": VERDICT}
            | written
            | {"body": content.verdict}
        )
    return found


def _own(content: Content) -> dict[str, Any]:
    """The event's fields for which a vCon has no place, those of later versions included."""
    own = {
        key: value
        for key, value in content.data.items()
        if key not in _ELSEWHERE and value is not None
    }
    if content.is_masked:
        hidden = {"phone", "name"}
        own["party"] = {key: value for key, value in own["party"].items() if key not in hidden}
    return own

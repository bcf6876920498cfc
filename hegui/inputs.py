"""Reads what `hegui check` is given: events files, transcripts, recordings and folders of them."""

import atexit
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hegui.errors import RefusedError
from rules.events import (
    EVENT,
    MAX_TURNS,
    CaseUpserted,
    InteractionCompleted,
    Segment,
    StopRequested,
    parse_event,
)
from service.errors import InvalidInputError
from service.vcon_reading import Reading, looks_like_vcon, parse_vcon

AnyEvent = CaseUpserted | InteractionCompleted | StopRequested

EVENTS = frozenset({".jsonl", ".ndjson"})
TRANSCRIPT = ".json"
VCONS = (".vcon", ".vcon.json")
SOUND = "sound"
AUDIO = frozenset(
    {
        ".wav", ".flac", ".mp3", ".m4a", ".mp4", ".aac", ".ogg", ".oga", ".opus", ".webm", ".wma",
        ".amr", ".gsm", ".au", ".aif", ".aiff", ".alaw", ".ulaw", ".vox", ".g722",
    }
)  # fmt: skip
LONGEST_ID = 128
MOST_PROBLEMS = 100
SEGMENTS: TypeAdapter[tuple[Segment, ...]] = TypeAdapter(tuple[Segment, ...])


@dataclass(frozen=True, slots=True)
class InputProblem:
    """Why an input is refused: the file, the line where there is one, the field, and what to do."""

    file: str
    line: int | None
    field: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return (
            f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"
        )


class InputError(RefusedError):
    """Some input is refused; all that is wrong is in `problems`."""

    def __init__(self, problems: Iterable[InputProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems[:MOST_PROBLEMS])))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an interaction was read: the file as named by the user, and the line from 1."""

    file: str
    line: int | None
    folder: Path


@dataclass(slots=True)
class Inputs:
    """Everything that was read; `words_only` holds the keys that came without any facts."""

    events: list[AnyEvent] = field(default_factory=list)
    origins: dict[int, Origin] = field(default_factory=dict)
    words_only: set[tuple[str, str]] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    problems: list[InputProblem] = field(default_factory=list)

    def origin(self, interaction: object) -> Origin | None:
        """Where that very interaction was read."""
        return self.origins.get(id(interaction))

    def add(self, event: AnyEvent, origin: Origin) -> None:
        """Keep an event and where it stood."""
        self.events.append(event)
        self.origins.setdefault(id(event.data), origin)


def read_inputs(paths: Iterable[Path], *, moment: datetime, speakers: tuple[str, ...]) -> Inputs:
    """Read every path; folders are searched in full, in the order of their names.

    A transcript or recording without facts is taken as an answered call at `moment`, of which only
    the words are judged. Raises `InputError` with every problem found.
    """
    found = Inputs()
    given = list(dict.fromkeys(paths))
    named = [path for path in given if not path.is_dir()]
    inside = [path for folder in given if folder.is_dir() for path in _walk(folder)]
    for path in named:
        _read_one(path, found, moment, speakers)
    _read_inside(inside, found, moment, speakers)
    if not given or (not found.events and not found.problems):
        names = ", ".join(map(str, given)) or "nothing"
        found.problems.append(InputProblem(names, None, "", "nothing to check was found"))
    if found.problems:
        raise InputError(found.problems)
    return found


def _read_inside(
    inside: list[Path], found: Inputs, moment: datetime, speakers: tuple[str, ...]
) -> None:
    """Read what lies in folders; a recording that a document announces is no input of its own."""
    for path in inside:
        if is_vcon(path):
            _read_document(path, found, moment)
        elif path.suffix.lower() in EVENTS:
            _read_events(path, found, must_hold_events=False)
    announced = {path.resolve() for path in _announced(found)}
    for path in inside:
        suffix = path.suffix.lower()
        if is_vcon(path):
            continue
        if suffix == TRANSCRIPT or (suffix in AUDIO and path.resolve() not in announced):
            _read_one(path, found, moment, speakers)
        elif suffix not in EVENTS and suffix not in AUDIO:
            found.notes.append(f"{path}: skipped, neither events, transcript nor audio")


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts):
            yield path


def _announced(found: Inputs) -> Iterator[Path]:
    for event in found.events:
        if isinstance(event, InteractionCompleted):
            path = recording_path(event, found)
            if path is not None:
                yield path


def recording_path(event: InteractionCompleted, found: Inputs) -> Path | None:
    """The file of an event's recording, beside its events file; None where no path is named."""
    origin = found.origin(event.data)
    recording = event.data.recording
    if recording is None or recording.path is None or origin is None:
        return None
    return origin.folder / recording.path


def _read_one(path: Path, found: Inputs, moment: datetime, speakers: tuple[str, ...]) -> None:
    suffix = path.suffix.lower()
    if not path.is_file():
        found.problems.append(InputProblem(str(path), None, "", "there is no such file or folder"))
    elif suffix in EVENTS:
        _read_events(path, found, must_hold_events=True)
    elif suffix == TRANSCRIPT or is_vcon(path):
        _read_document(path, found, moment)
    elif suffix in AUDIO:
        _add_bare(path, found, moment, segments=None, speakers=speakers)
    else:
        found.problems.append(
            InputProblem(
                str(path), None, "",
                "unknown kind of file; name events *.jsonl, transcripts *.json, vCons *.vcon, "
                f"or audio ({' '.join(sorted(AUDIO))})",
            )
        )  # fmt: skip


def _text(path: Path, found: Inputs) -> str | None:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        found.problems.append(InputProblem(str(path), line, "", "is not UTF-8 text"))
    except OSError as error:
        found.problems.append(InputProblem(str(path), None, "", error.strerror or "cannot be read"))
    return None


def _read_events(path: Path, found: Inputs, *, must_hold_events: bool) -> None:
    text = _text(path, found)
    if text is None:
        return
    if not must_hold_events and '"type"' not in text:
        found.notes.append(f"{path}: skipped, no line of it is an event")
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.add(parse_event(line), Origin(str(path), number, path.parent))
        except ValidationError as error:
            found.problems += _located(error, str(path), number)
        except ValueError as error:
            found.problems.append(InputProblem(str(path), number, "", _said(error)))


def _said(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"is not JSON: {error.msg} at column {error.colno}"
    return str(error)


TAGS = frozenset({"case.upserted", "interaction.completed", "stop.requested"})


def _located(
    error: ValidationError, file: str, line: int | None, *, inside: str = ""
) -> list[InputProblem]:
    """One problem a wrong field; the values themselves are personal data and are not shown."""
    return [
        InputProblem(
            file,
            line,
            inside + ".".join(str(part) for part in fault["loc"] if part not in TAGS) or "type",
            fault["msg"].removeprefix("Value error, "),
        )
        for fault in error.errors(include_url=False, include_input=False)
    ]


def _read_document(path: Path, found: Inputs, moment: datetime) -> None:
    text = _text(path, found)
    if text is None:
        return
    try:
        document = json.loads(text)
    except RecursionError:
        found.problems.append(InputProblem(str(path), None, "", "is nested too deep"))
        return
    except ValueError as error:
        found.problems.append(InputProblem(str(path), None, "", _said(error)))
        return
    try:
        if looks_like_vcon(document):
            take_vcon(path, text.encode(), found)
        else:
            _take_transcript(path, document, found, moment)
    except ValidationError as error:
        found.problems += _located(error, str(path), None)


def is_vcon(path: Path) -> bool:
    """Whether a file's name says that it is a vCon."""
    return path.name.lower().endswith(VCONS)


def take_vcon(path: Path, text: bytes, found: Inputs) -> None:
    """Take the contact of a vCon; its sound lies inside, or beside it under its file name."""
    try:
        parsed, reading = parse_vcon(text)
    except InvalidInputError as error:
        found.problems += [
            InputProblem(str(path), None, problem.field, problem.message)
            for problem in error.errors
        ]
        return
    event = parsed.event
    folder = path.parent
    if reading.audio is not None:
        folder = Path(mkdtemp(prefix="hegui-vcon-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        (folder / SOUND).write_bytes(reading.audio)
    assert isinstance(event, InteractionCompleted)
    found.add(_with_path(event, reading, folder), Origin(str(path), None, folder))


def _with_path(event: InteractionCompleted, reading: Reading, folder: Path) -> InteractionCompleted:
    """The event with the file of its recording, where there is one."""
    name = SOUND if reading.audio is not None else Path(reading.filename or "").name
    recording = event.data.recording
    if recording is None or not name or not (folder / name).is_file():
        return event
    held = recording.model_copy(update={"path": name})
    return event.model_copy(update={"data": event.data.model_copy(update={"recording": held})})


def _take_transcript(path: Path, document: Any, found: Inputs, moment: datetime) -> None:
    """A list of segments, `{"segments": […]}`, or either beside `interaction`, `case`, `stops`."""
    if isinstance(document, dict) and "type" in document:
        found.add(EVENT.validate_python(document), Origin(str(path), 1, path.parent))
        return
    body = document if isinstance(document, dict) else {"segments": document}
    segments = body.get("segments", body.get("transcript"))
    if not isinstance(segments, list):
        found.problems.append(
            InputProblem(
                str(path), None, "segments",
                'is missing; give a list of {"speaker", "start", "end", "text"}',
            )
        )  # fmt: skip
        return
    if len(segments) > MAX_TURNS:
        found.problems.append(
            InputProblem(str(path), None, "segments", f"holds more than {MAX_TURNS} entries")
        )
        return
    if not isinstance(body.get("interaction"), dict):
        try:
            heard = SEGMENTS.validate_python(segments)
        except ValidationError as error:
            found.problems += _located(error, str(path), None, inside="segments.")
            return
        _add_bare(path, found, moment, segments=heard, speakers=())
        return
    interaction = {**body["interaction"], "transcript": segments}
    stamp = interaction.get("started_at")
    origin = Origin(str(path), 1, path.parent)
    parts = [("interaction.completed", interaction)]
    if isinstance(body.get("case"), dict):
        parts.append(("case.upserted", body["case"]))
    parts += [("stop.requested", stop) for stop in body.get("stops") or ()]
    for kind, data in parts:
        found.add(EVENT.validate_python({"type": kind, "timestamp": stamp, "data": data}), origin)


def _add_bare(
    path: Path,
    found: Inputs,
    moment: datetime,
    *,
    segments: tuple[Segment, ...] | None,
    speakers: tuple[str, ...],
) -> None:
    """Take a call of which nothing but the words is known."""
    name = _identifier(path, found)
    data: dict[str, Any] = {
        "interaction_id": name,
        "case_id": name,
        "channel": "call",
        "direction": "outbound",
        "started_at": moment.isoformat(),
        "outcome": "answered",
        "collector": {"id": "unknown"},
        "party": {"role": "unknown"},
    }
    if segments is None:
        data["recording"] = {
            "path": path.name,
            "sha256": "0" * 64,
            "speakers": list(speakers),
        }
    document = {"type": "interaction.completed", "timestamp": moment.isoformat(), "data": data}
    event = EVENT.validate_python(document)
    assert isinstance(event, InteractionCompleted)
    if segments is not None:
        event = event.model_copy(
            update={"data": event.data.model_copy(update={"transcript": segments})}
        )
    found.add(event, Origin(str(path), None, path.parent))
    found.words_only.add(("", name))


def _identifier(path: Path, found: Inputs) -> str:
    """The file's name as an interaction id, made different from those already taken."""
    taken = {name for _, name in found.words_only}
    plain = "".join("_" if c.isspace() or ord(c) < ord(" ") else c for c in str(path))
    name, number = plain[-LONGEST_ID:], 1
    while name in taken:
        number += 1
        name = f"{plain[-LONGEST_ID + 8 :]}#{number}"
    return name

"""An event's body: strict JSON first, then its fields, then the document as it will be kept."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

import orjson
from pydantic import ValidationError

from rules.events import EVENT, CaseUpserted, InteractionCompleted, StopRequested
from service.errors import FieldProblem, InvalidInputError

AnyEvent = CaseUpserted | InteractionCompleted | StopRequested

MAX_PROBLEMS = 50
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_LARGEST = 2**63 - 1
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_BOM = b"\xef\xbb\xbf"
_KINDS = {"case.upserted", "interaction.completed", "stop.requested"}
# What a whole-object check says begins with the field that it is about.
_NAMED_FIRST = re.compile(r"^(ended_at|text|visit|end|start|transcript|recording)\b")
_FIELD_NAME = re.compile(r"[a-z_0-9]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Parsed:
    """An event that holds, and its document as it came."""

    event: AnyEvent
    document: dict[str, Any]


def refusal(message: str, field: str = "body") -> InvalidInputError:
    """Return the error that names one wrong field."""
    problem = FieldProblem(field, message)
    return InvalidInputError("The event is not one we can take.", errors=(problem,))


def _refuse(message: str, field: str = "body") -> NoReturn:
    raise refusal(message, field)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = ""
        for twice, _ in pairs:
            if twice in seen:
                break
            seen.add(twice)
        # An odd name is the sender's text, not a field's name.
        is_name = _FIELD_NAME.fullmatch(twice)
        _refuse("appears twice in one object", twice if is_name else "body")
    return found


def _bounded_int(digits: str) -> int:
    number = int(digits) if len(digits) <= len(str(_LARGEST)) + 1 else _LARGEST + 1
    if not -_LARGEST - 1 <= number <= _LARGEST:
        _refuse("holds a whole number beyond 64 bits")
    return number


def _finite_float(digits: str) -> float:
    number = float(digits)
    if number in {float("inf"), float("-inf")}:
        _refuse("holds a number that is too large")
    return number


def _refuse_constant(_name: str) -> NoReturn:
    _refuse("holds NaN or Infinity, which are not JSON")


def read_json(body: bytes) -> Any:
    """Read strict JSON whose value PostgreSQL can hold.

    Refuses, as `InvalidInputError`, what parsers disagree on or databases cannot keep: a byte order
    mark, doubled fields, NaN, numbers beyond 64 bits, NUL, lone surrogates, extreme depth.
    """
    if not body.strip():
        _refuse("is empty")
    if body.startswith(_BOM):
        _refuse("begins with a byte order mark")
    try:
        document = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_int=_bounded_int,
            parse_float=_finite_float,
            parse_constant=_refuse_constant,
        )
    except UnicodeDecodeError:
        _refuse("is not UTF-8")
    except json.JSONDecodeError as error:
        _refuse(f"is not JSON: {error.msg} (line {error.lineno}, column {error.colno})")
    except RecursionError:
        _refuse("is nested too deep")
    try:
        canonical = orjson.dumps(document)
    except (TypeError, RecursionError):
        _refuse("is nested too deep or holds a lone surrogate")
    if b"\\u0000" in canonical and _NUL.search(canonical):
        _refuse("holds a NUL character")
    return document


def _problem_of(error: Any) -> FieldProblem:
    """Name the field of one pydantic error, without its value."""
    kind, location, message = error["type"], error["loc"], error["msg"]
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return FieldProblem("type", f"must be one of: {', '.join(sorted(_KINDS))}")
    path = [str(part) for part in location if part not in _KINDS]
    message = message.removeprefix("Value error, ")
    named = _NAMED_FIRST.match(message)
    if kind == "value_error" and named and (not path or path[-1] != named[1]):
        path.append(named[1])
    if kind == "missing":
        message = "is required"
    return FieldProblem(".".join(path) or "body", message)


def parse(body: bytes) -> Parsed:
    """Read one event; raises `InvalidInputError` that names every field that is wrong."""
    document = read_json(body)
    if not isinstance(document, dict):
        _refuse("must be one JSON object")
    try:
        event = EVENT.validate_python(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise InvalidInputError(
            "The event has fields that are missing or wrong.",
            errors=tuple(_problem_of(problem) for problem in found[:MAX_PROBLEMS]),
        ) from None
    for field, moment in _moments(event):
        if not _EARLIEST <= moment < _LATEST:
            _refuse("must lie between 1990 and 2100", field)
    return Parsed(event=event, document=document)


def _moments(
    event: AnyEvent,
) -> list[tuple[str, datetime]]:
    found = [("timestamp", event.timestamp)]
    if isinstance(event, InteractionCompleted):
        found.append(("data.started_at", event.data.started_at))
        if event.data.ended_at is not None:
            found.append(("data.ended_at", event.data.ended_at))
    elif isinstance(event, StopRequested):
        found.append(("data.at", event.data.at))
    return found

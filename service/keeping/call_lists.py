"""Agencies' lists of a day's calls: CSV or JSON lines with a manifest, read whole or not at all."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from rules.events import Identifier, Phone, Seconds
from service.errors import DigestMismatchError, FieldProblem, InvalidInputError

ZONE = ZoneInfo("Asia/Shanghai")
MAX_ROWS = 200_000
_MAX_PROBLEMS = 20
_DELIMITERS = ",;\t"
# The columns by every name that exports give them.
COLUMNS = {
    "call_id": ("call_id", "interaction_id", "通话编号", "通话ID"),
    "started_at": ("started_at", "开始时间"),
    "answered": ("answered", "是否接通"),
    "talk_seconds": ("talk_seconds", "通话秒数"),
    "party_number": ("party_number", "被叫号码", "对方号码"),
}
_BY_NAME = {name.casefold(): column for column, names in COLUMNS.items() for name in names}
_OPTIONAL = frozenset({"party_number"})
_YES = frozenset({"1", "true", "yes", "y", "是"})
_NO = frozenset({"0", "false", "no", "n", "否"})
# What a spreadsheet would take for a formula when the list is looked at again.
_FORMULA = re.compile(r"^[=+\-@\t\r]")


def _refuse_formula(value: object) -> object:
    if isinstance(value, str) and _FORMULA.match(value):
        message = "must not begin with = + - @: a spreadsheet would take it for a formula"
        raise ValueError(message)
    return value


def _truth(value: object) -> object:
    if isinstance(value, str):
        word = value.strip().casefold()
        if word in _YES | _NO:
            return word in _YES
        message = "must be true or false (1, 0, 是, 否)"
        raise ValueError(message)
    return value


def _text_of_time(value: object) -> object:
    if not isinstance(value, str):
        message = "must be RFC 3339 text with an offset, for example 2026-06-03T10:12:00+08:00"
        raise ValueError(message)  # noqa: TRY004  pydantic turns only ValueError into a field error
    return value


def _nothing(value: object) -> object:
    return None if value == "" else value


class CallRow(BaseModel):
    """One listed call: the interaction's id, when, whether somebody answered, and for how long."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    call_id: Annotated[Identifier, BeforeValidator(_refuse_formula)]
    started_at: Annotated[AwareDatetime, BeforeValidator(_text_of_time)]
    answered: Annotated[bool, BeforeValidator(_truth)]
    talk_seconds: Seconds
    party_number: Annotated[Phone | None, BeforeValidator(_nothing)] = None


class NamedRow(BaseModel):
    """One listed contact by its id alone; a list that is JSON may say `interaction_id`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    call_id: Annotated[Identifier, BeforeValidator(_refuse_formula)] = Field(
        validation_alias=AliasChoices("call_id", "interaction_id")
    )


Row = TypeVar("Row", CallRow, NamedRow)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the agency says of its list; `rows` is None where it does not."""

    day: date
    rows: int | None
    sha256: str


def read_call_list(body: bytes, manifest: Manifest, *, as_csv: bool) -> list[CallRow]:
    """Read a list whole; raises `InvalidInputError` that names rows and columns, and no values.

    CSV has a header, commas, semicolons or tabs, and is UTF-8 (with or without a mark) or GB18030,
    as spreadsheets save it.
    """
    rows, problems = _read(
        body, CallRow, set(COLUMNS) - _OPTIONAL, manifest.rows, manifest.sha256, as_csv=as_csv
    )
    for number, row in rows:
        if len(problems) < _MAX_PROBLEMS and _day_of(row.started_at) != manifest.day:
            message = f"does not lie on {manifest.day} in {ZONE.key}"
            problems.append(FieldProblem(f"row {number}, started_at", message))
    if problems:
        raise _refusal(problems)
    return [row for _, row in rows]


def read_names(body: bytes, *, rows: int | None, sha256: str, as_csv: bool) -> list[str]:
    """Read the ids of a list of contacts, in its order; any other columns are passed over.

    A list of a day's calls can be read so, too. Raises as `read_call_list` does.
    """
    found, problems = _read(body, NamedRow, {"call_id"}, rows, sha256, as_csv=as_csv)
    if problems:
        raise _refusal(problems)
    return [row.call_id for _, row in found]


def _read(
    body: bytes,
    shape: type[Row],
    columns: set[str],
    count: int | None,
    sha256: str,
    *,
    as_csv: bool,
) -> tuple[list[tuple[int, Row]], list[FieldProblem]]:
    """The rows with their numbers, each call once, and what is wrong with them."""
    if hashlib.sha256(body).hexdigest() != sha256:
        problem = FieldProblem("sha256", "is not the SHA-256 of the list that arrived")
        raise DigestMismatchError("Nothing was stored.", errors=(problem,))
    text = _decode(body)
    rows: list[tuple[int, Row]] = []
    problems: list[FieldProblem] = []
    seen: dict[str, int] = {}
    for number, record in _csv_records(text, columns) if as_csv else _json_records(text):
        if len(problems) >= _MAX_PROBLEMS:
            break
        row = _read_row(number, record, shape, problems)
        if row is not None:
            _check_row(number, row.call_id, seen, problems)
            rows.append((number, row))
    if not problems and count not in {None, len(rows)}:
        problems.append(FieldProblem("rows", f"the manifest says {count}, read {len(rows)}"))
    return rows, problems


def _refusal(problems: list[FieldProblem]) -> InvalidInputError:
    return InvalidInputError(
        "The list cannot be taken; nothing of it was stored.", errors=tuple(problems)
    )


def _decode(body: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return body.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise _refusal([FieldProblem("body", "is neither UTF-8 nor GB18030")])


def _csv_records(text: str, required: set[str]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Each row's line number and its cells by column; a text says what is wrong with the row."""
    lines = io.StringIO(text, newline="")
    head = lines.readline()
    delimiter = max(_DELIMITERS, key=head.count)
    names = [name.strip() for name in next(csv.reader([head], delimiter=delimiter), [])]
    columns = [_BY_NAME.get(name.casefold()) for name in names]
    missing = required - set(columns)
    twice = {column for column in columns if column is not None and columns.count(column) > 1}
    if missing or twice:
        raise _refusal(
            [FieldProblem(f"row 1, {name}", "this column is missing") for name in sorted(missing)]
            + [FieldProblem(f"row 1, {name}", "this column is there twice") for name in twice]
        )
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            number = reader.line_num + 1
            if not cells:
                continue
            if len(cells) != len(columns):
                yield number, f"has {len(cells)} cells, the header has {len(columns)}"
                continue
            yield (
                number,
                {
                    column: cell.strip()
                    for column, cell in zip(columns, cells, strict=True)
                    if column is not None
                },
            )
    except csv.Error:
        yield reader.line_num + 1, "is broken: a quote is open, or a cell is too long"


def _json_records(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        yield number, found if isinstance(found, dict) else "is not a JSON object"


def _read_row(
    number: int, record: dict[str, Any] | str, shape: type[Row], problems: list[FieldProblem]
) -> Row | None:
    if isinstance(record, str):
        problems.append(FieldProblem(f"row {number}", record))
        return None
    try:
        return shape.model_validate(record)
    except ValidationError as error:
        problems += [
            FieldProblem(
                f"row {number}, {'.'.join(str(part) for part in found['loc'])}", found["msg"]
            )
            for found in error.errors(include_input=False, include_url=False)
        ]
        return None


def _check_row(
    number: int, call_id: str, seen: dict[str, int], problems: list[FieldProblem]
) -> None:
    first = seen.setdefault(call_id, number)
    if first != number:
        problems.append(FieldProblem(f"row {number}, call_id", f"was listed in row {first}"))
    if number > MAX_ROWS + 1:
        problems.append(FieldProblem(f"row {number}", f"a list may have up to {MAX_ROWS} rows"))


def _day_of(moment: datetime) -> date:
    return moment.astimezone(ZONE).date()

"""Whatever a vCon holds, it becomes an event or is refused with the names of its fields."""

import json
from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.errors import FieldProblem, InvalidInputError
from service.vcon_reading import parse_vcon

VCON: dict[str, Any] = {
    "vcon": "0.4.0",
    "uuid": "0199e054-ed10-8035-b9a2-279e0d16bc46",
    "created_at": "2026-06-03T10:15:00+08:00",
    "updated_at": "2026-06-03T10:15:00+08:00",
    "critical": ["hegui"],
    "subject": "K-1",
    "parties": [
        {"tel": "+8613800000001", "role": "customer"},
        {"uuid": "E-104", "name": "小王", "role": "agent"},
    ],
    "dialog": [
        {
            "type": "recording",
            "start": "2026-06-03T10:12:00+08:00",
            "duration": 4.5,
            "parties": [1, [0]],
            "originator": 1,
            "url": "https://recordings.example/1.wav",
            "content_hash": ["sha512-xyz", "sha256-" + "A" * 43],
        }
    ],
    "analysis": [
        {
            "type": "transcript",
            "dialog": 0,
            "vendor": "someone",
            "encoding": "json",
            "body": {"segments": [{"start": 0, "end": 2, "text": "您好", "speaker": 1}]},
        }
    ],
    "hegui": {"interaction": {"talk_seconds": 4, "recording": {"channel_names": 2}}},
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "text", "incomplete", "agent", "sms", "坏", "base64url", "AAAA"]),
    st.lists(st.one_of(st.integers(0, 2), st.text(max_size=3), st.lists(st.integers(0, 2)))),
    st.dictionaries(st.sampled_from(["segments", "role", "id", "type"]), st.integers(0, 3)),
)


def places(value: Any) -> list[tuple[Any, ...]]:
    """Every path into a document."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[tuple[Any, ...]] = []
    for key, part in parts:
        found.append((key,))
        if isinstance(part, dict | list):
            found += [(key, *rest) for rest in places(part)]
    return found


@given(st.lists(st.tuples(st.sampled_from(places(VCON)), VALUES), max_size=4))
def test_a_mutated_vcon_is_read_or_refused_by_name(
    changes: list[tuple[tuple[Any, ...], Any]],
) -> None:
    document = deepcopy(VCON)
    for path, value in changes:
        place: Any = document
        try:
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = value
        except (TypeError, KeyError, IndexError):
            continue  # an earlier change has taken the place away

    problems, kind = outcome(document)

    assert all(problem.field for problem in problems)
    assert bool(problems) != (kind == "interaction.completed")


def outcome(document: dict[str, Any]) -> tuple[tuple[FieldProblem, ...], str]:
    """What was wrong, or the type of the event that was read."""
    try:
        parsed, _ = parse_vcon(json.dumps(document, ensure_ascii=False).encode())
    except InvalidInputError as error:
        return error.errors, ""
    return (), parsed.event.type


def test_the_whole_vcon_is_read() -> None:
    parsed, reading = parse_vcon(json.dumps(VCON, ensure_ascii=False).encode())

    data = parsed.document["data"]
    assert data["recording"] == {
        "sha256": "0" * 64,
        "url": "https://recordings.example/1.wav",
        "duration_seconds": 4.5,
        "speakers": ["collector", "party"],
        "channel_names": 2,
    }
    assert (data["talk_seconds"], data["direction"]) == (4, "outbound")
    assert reading.audio is None

"""Reads the authored lawful lines, lawful dialogues and held-out bad lines into case histories."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rules.events import parse_event
from rules.history import build_histories
from rules.model import CaseHistory

HERE = Path(__file__).parent
OWN = "+8613800000001"
PHONES = {
    "agreed_contact": "+8613800000002",
    "guarantor": "+8613800000003",
}
CASE: dict[str, Any] = {
    "case_id": "C-1",
    "product": "online_loan",
    "overdue_since": "2026-03-01",
    "balance": "12000.00",
    "debtor": {"name": "韩雪", "phones": [OWN]},
    "contacts": [{"phone": PHONES["agreed_contact"], "relation": "同事"}],
    "guarantors": [{"phone": PHONES["guarantor"], "name": "徐建国"}],
    "proceedings": {"lawsuit": "none", "credit_reported": False},
    "payment_channels": ["远岸银行APP", "远岸银行对公账户"],
    "agency_disclosed": True,
}
VISIT = {
    "appointment": True,
    "place": "public",
    "collectors": 2,
    "id_shown": True,
    "av_recording": True,
    "entered": False,
    "entry_consent": False,
}
OPENING = [
    ("collector", "您好，我是远岸银行贷后，工号0088，本次通话录音，请问是韩雪女士本人吗？"),
    ("party", "我是韩雪。"),
]
OPENING_TO_OTHERS = [
    ("collector", "您好，我是远岸银行的，工号0088，电话录音，请问您贵姓？"),
    ("party", "我姓李。"),
]
MESSAGES = {"sms", "im", "email", "letter"}
OF_THE_MESSAGE = frozenset({"SMS-01", "SMS-02"})
"""Rules about a message as a whole, which these one-line messages are not about."""


@dataclass(frozen=True)
class Entry:
    """One authored contact: what it says, what must be found in it and what may be."""

    name: str
    text: str
    wanted: frozenset[str]
    tolerated: frozenset[str]
    history: CaseHistory


def lawful_lines() -> list[Entry]:
    """The lawful lines of every set."""
    return [
        *_lines("good_calls/lines.yaml"),
        *_lines("good_calls/lines_2.yaml"),
        *_lines("good_calls/lines_3.yaml"),
        *_lines("good_calls/lines_more.yaml"),
        *_lines("good_calls/lines_oblique.yaml"),
        *_lines("good_calls/lines_4.yaml"),
        *_lines("good_calls/lines_5.yaml"),
        *_lines("good_calls/lines_6.yaml"),
    ]


def bad_lines(name: str = "held_out") -> list[Entry]:
    """The lines of a file in `bad_calls`."""
    return list(_lines(f"bad_calls/{name}.yaml"))


def lawful_dialogues() -> list[Entry]:
    """The conversations of `good_calls/dialogues.yaml` and `dialogues_5.yaml`."""
    found = []
    for item in (*_read("good_calls/dialogues.yaml"), *_read("good_calls/dialogues_5.yaml")):
        turns = [
            ({"c": "collector", "p": "party"}[who], text)
            for turn in item.get("turns", ())
            for who, text in turn.items()
        ]
        fields = {"product": "credit_card", **item}
        text = " / ".join(said for _, said in turns) or item["text"]
        history = history_of(fields, turns)
        found.append(Entry(item["id"], text, frozenset(), frozenset(), history))
    return found


def turned_round(line: str) -> CaseHistory:
    """A proper call in which the other side says the line."""
    answer = [("party", line), ("collector", "好的，我记下来了，谢谢您，再见。")]
    return history_of({}, [*OPENING, ("collector", "您请讲。"), *answer])


def _read(name: str) -> Any:
    return yaml.safe_load((HERE / name).read_text("utf-8"))


def _lines(name: str) -> Iterator[Entry]:
    for group in _read(name):
        for number, line in enumerate(group["lines"], 1):
            item = {"text": line} if isinstance(line, str) else line
            wanted = item.get("rules", group.get("rules", ()))
            yield Entry(
                name=f"{(wanted or [group.get('like')])[0]}/{number}",
                text=item["text"],
                wanted=frozenset(wanted),
                tolerated=frozenset(item.get("also", group.get("also", ()))),
                history=history_of(item, _talk(item)),
            )


def _talk(item: dict[str, Any]) -> list[tuple[str, str]]:
    """The line after a proper opening; messages have no turns."""
    if item.get("channel") in MESSAGES:
        return []
    strangers = item.get("role") in {"agreed_contact", "third_party"}
    turns = list(OPENING_TO_OTHERS if strangers else OPENING)
    if "party" in item:
        turns.append(("party", item["party"]))
    elif turns[-1][0] == "party":
        turns += [("collector", "好的。"), ("party", "你说。")]
    return [*turns, ("collector", item["text"])]


def history_of(item: dict[str, Any], turns: list[tuple[str, str]]) -> CaseHistory:
    """A case with this one contact, after three days of failed calls so that contact is lost."""
    channel = item.get("channel", "call")
    role = item.get("role", "debtor")
    data: dict[str, Any] = {
        "interaction_id": "I-1",
        "case_id": "C-1",
        "channel": channel,
        "direction": item.get("direction", "outbound"),
        "mode": item.get("mode", "human"),
        "started_at": "2026-06-04T10:00:00+08:00",
        "outcome": {"call": "answered", "visit": "done", "letter": "done"}.get(
            channel, "delivered"
        ),
        "collector": {"id": "0088", "org": item.get("org", "远岸银行贷后")},
        "caller_number_type": "official",
        "party": {"role": role, "phone": PHONES.get(role, OWN)},
    }
    if turns:
        data["transcript"] = list(_timed(turns))
        data["talk_seconds"] = data["transcript"][-1]["end"]
    else:
        data["text"] = item["text"]
    if channel == "visit":
        data["visit"] = VISIT
    if channel in {"call", "visit"}:
        data["recording"] = {
            "path": "x.wav",
            "sha256": "0" * 64,
            "duration_seconds": data["talk_seconds"],
            "speakers": ["collector", "party"],
        }
    case = CASE | {key: item[key] for key in ("balance", "product") if key in item}
    case |= item.get("case", {})
    events = [{"type": "case.upserted", "timestamp": "2026-05-01T09:00:00+08:00", "data": case}]
    events += [
        {"type": "interaction.completed", "timestamp": "2026-06-04T10:30:00+08:00", "data": entry}
        for entry in (data, *_failed())
    ]
    return build_histories(parse_event(json.dumps(event)) for event in events)["C-1"]


def _timed(turns: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    at = 0.0
    for speaker, text in turns:
        end = round(at + len(text) / 4.5, 2)
        yield {"speaker": speaker, "start": at, "end": end, "text": text}
        at = round(end + 0.5, 2)


def _failed() -> Iterator[dict[str, Any]]:
    for day in (1, 2, 3):
        yield {
            "interaction_id": f"I-0{day}",
            "case_id": "C-1",
            "channel": "call",
            "direction": "outbound",
            "started_at": f"2026-06-0{day}T10:00:00+08:00",
            "outcome": "no_answer",
            "collector": {"id": "0088"},
            "caller_number_type": "official",
            "party": {"role": "debtor", "phone": OWN},
        }

"""Reads the authored disclosure corpora into case histories."""

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
OWN, CONTACT = "+8613800000001", "+8613800000002"
GUARANTOR = "+8613800000003"
PHONES = {"agreed_contact": CONTACT, "guarantor": GUARANTOR}
CASE: dict[str, Any] = {
    "product": "consumer_loan",
    "lender_type": "consumer_finance",
    "balance": "8000.00",
    "debtor": {"name": "张晓东", "phones": [OWN]},
    "contacts": [{"phone": CONTACT, "relation": "姐姐"}],
    "guarantors": [{"phone": GUARANTOR, "name": "王强"}],
    "proceedings": {"lawsuit": "none", "credit_reported": False},
    "payment_channels": ["海川消费金融APP", "海川消费金融对公账户"],
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
OPENING = "您好，博诚信息工号2203，受海川消费金融委托，本次通话录音，请问是{name}吗？"


@dataclass(frozen=True)
class Item:
    """One authored contact and the rules of which one must be reported (none: it is lawful)."""

    name: str
    rules: tuple[str, ...]
    history: CaseHistory


def signals(
    name: str = "held_out_disclosure.yaml", block: str = "signals"
) -> list[tuple[str, CaseHistory]]:
    """What the other side says, by the cue that must hear it."""
    document = yaml.safe_load((HERE / "bad_calls" / name).read_text("utf-8"))
    return [
        (
            item["kind"],
            history_of({**item, "talk": [f"c: {OPENING.format(name='您')}", f"p: {item['say']}"]}),
        )
        for item in document[block]
    ]


def lawful() -> list[Item]:
    """The lawful dialogues."""
    path = HERE / "good_calls" / "disclosure_dialogues.yaml"
    document = yaml.safe_load(path.read_text("utf-8"))
    return [Item(item["id"], (), history_of(item)) for item in document]


def lawful_talks() -> list[Item]:
    """Lawful lines and short talks full of the words that violations use."""
    path = HERE / "good_calls" / "talks_more.yaml"
    entries = yaml.safe_load(path.read_text("utf-8"))
    return [
        Item(f"T{number:03}", (), history_of({"say": [entry]} if isinstance(entry, str) else entry))
        for number, entry in enumerate(entries, 1)
    ]


def violating(name: str, block: str = "items") -> list[Item]:
    """The items of one block of a set of violating lines and talks."""
    document = yaml.safe_load((HERE / "bad_calls" / name).read_text("utf-8"))
    found = []
    for number, item in enumerate(document[block], 1):
        rules = item["rule"] if isinstance(item["rule"], list) else [item["rule"]]
        found.append(Item(f"H{number:03}", tuple(rules), history_of(item)))
    return found


def history_of(item: dict[str, Any], drop: tuple[str, ...] = ()) -> CaseHistory:
    """The contact that an entry describes, last in its case; fields of the case to `drop`."""
    role, _, relation = str(item.get("to", "debtor")).partition(" ")
    channel = item.get("channel") or ("visit" if "notes" in item or "visit" in item else "call")
    data: dict[str, Any] = {
        "interaction_id": "I-1",
        "case_id": "C-1",
        "agency_id": "A1",
        "channel": channel,
        "direction": "outbound",
        "mode": item.get("mode", "human"),
        "started_at": "2026-06-03T10:00:00+08:00",
        "outcome": item.get("outcome") or _outcome(channel),
        "collector": {"id": "BC2203", "name": "刘明", "org": "博诚信息"},
        "party": {"role": role, "phone": PHONES.get(role, OWN), "relation": relation or None},
    }
    turns = list(_turns(item, role))
    if turns:
        data["transcript"] = turns
        data["talk_seconds"] = turns[-1]["end"]
    if "text" in item:
        data["text"] = item["text"]
    if channel == "visit":
        data["visit"] = {**VISIT, **item.get("visit", {}), "notes": item.get("notes")}
    if channel in {"call", "visit"}:
        data["recording"] = {
            "path": "x.wav",
            "sha256": "0" * 64,
            "speakers": ["collector", "party"],
            "duration_seconds": data.get("talk_seconds", 60),
        }
    case = {"case_id": "C-1", **CASE, **item.get("case", {})}
    case = {key: value for key, value in case.items() if key not in drop}
    stamp = "2026-06-03T10:30:00+08:00"
    events = [
        {"type": "case.upserted", "timestamp": "2026-05-01T09:00:00+08:00", "data": case},
        {"type": "interaction.completed", "timestamp": stamp, "data": data},
        *(
            {"type": "interaction.completed", "timestamp": stamp, "data": _failed(hour)}
            for hour in (10, 14, 18)
        ),
    ]
    return build_histories(parse_event(json.dumps(event)) for event in events)["C-1"]


def _failed(hour: int) -> dict[str, Any]:
    """A failed call to the debtor on the day before, so that contact is lost."""
    return {
        "interaction_id": f"I-0-{hour}",
        "case_id": "C-1",
        "agency_id": "A1",
        "channel": "call",
        "direction": "outbound",
        "started_at": f"2026-06-02T{hour}:00:00+08:00",
        "outcome": "no_answer",
        "collector": {"id": "BC2203", "name": "刘明", "org": "博诚信息"},
        "party": {"role": "debtor", "phone": OWN},
    }


def _outcome(channel: str) -> str:
    return {"call": "answered", "visit": "done", "letter": "done"}.get(channel, "delivered")


def _turns(item: dict[str, Any], role: str) -> Iterator[dict[str, Any]]:
    said: list[tuple[str, str]] = []
    if "say" in item and isinstance(item["say"], list):
        name = "张晓东" if role in {"debtor", "unknown"} else "您本人"
        said = [("c", OPENING.format(name=name)), ("p", "是我。")]
        said += [("c", line) for line in item["say"]]
    for line in item.get("talk", []):
        who, _, text = line.partition(": ")
        said.append((who, text))
    for turn in item.get("turns", []):
        [(who, text)] = turn.items()
        said.append((who, text))
    at = 0.0
    for who, text in said:
        end = at + len(text) / 4.5
        speaker = "collector" if who == "c" else "party"
        yield {"speaker": speaker, "start": round(at, 2), "end": round(end, 2), "text": text}
        at = end + 0.5


def lawful_lines() -> list[Item]:
    """Single lawful lines, each after a lawful opening."""
    path = HERE / "good_calls" / "disclosure_lines.yaml"
    found = []
    for number, line in enumerate(yaml.safe_load(path.read_text("utf-8")), 1):
        item = {"text": line} if isinstance(line, str) else dict(line)
        if item.get("channel") != "sms":
            who = "您本人" if item.get("to", "debtor") != "debtor" else "张晓东"
            said = f"是我，{item.pop('party')}？" if "party" in item else "是我。"
            opening = OPENING.format(name=who)
            item["talk"] = [f"c: {opening}", f"p: {said}", f"c: {item.pop('text')}"]
        found.append(Item(f"L{number:03}", (), history_of(item)))
    return found

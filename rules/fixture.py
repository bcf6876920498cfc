"""Turn the test entries of a rule into case histories; docs/packs.md §7 lists the keys."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from rules.events import CaseUpserted, InteractionCompleted, StopRequested, parse_value
from rules.history import AnyEvent, build_histories
from rules.model import Audio, CaseHistory
from rules.rule import Rule

USUAL_DAY = date(2026, 6, 3)
ZONE = "+08:00"
PHONES = {
    "debtor": "+8613800000001",
    "contact": "+8613800000002",
    "guarantor": "+8613800000003",
    "stranger": "+8613800000009",
}
_PHONE_OF_ROLE = {
    "debtor": "debtor",
    "agreed_contact": "contact",
    "guarantor": "guarantor",
    "third_party": "stranger",
    "unknown": "debtor",
}
_MESSAGES = {"sms", "im", "email"}
_SILENT = {"no_answer", "busy", "rejected", "unreachable", "invalid_number"}
_KEYS = {
    "collector",
    "party_says",
    "turns",
    "text",
    "notes",
    "channel",
    "at",
    "seconds",
    "outcome",
    "direction",
    "mode",
    "party",
    "relation",
    "phone",
    "agency",
    "collector_id",
    "org",
    "name",
    "caller",
    "caller_type",
    "recording",
    "audio",
    "visit",
    "case",
    "history",
    "stops",
    "parameters",
    "expect",
    "times",
    "every",
}
_OFFSET = re.compile(r"^([+-])(\d+)([dhms])(?:\s+(\d{1,2}:\d{2}(?::\d{2})?))?$")
_CLOCK = re.compile(r"^\d{1,2}:\d{2}(:\d{2})?$")
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


class EntryError(ValueError):
    """A test entry that cannot be read."""


@dataclass(frozen=True, slots=True)
class Fixture:
    """A test entry made whole: `index` is the place of the contact under test in the history."""

    history: CaseHistory
    index: int
    parameters: Mapping[str, object]
    expect: Mapping[str, Any]


def as_mapping(rule: Rule, entry: Any) -> dict[str, Any]:
    """The entry as a mapping: a text alone is a turn, or the body of a message."""
    if isinstance(entry, dict):
        unknown = sorted(set(entry) - _KEYS)
        if unknown:
            raise EntryError(f"unknown keys: {', '.join(unknown)}")
        return dict(entry)
    if not isinstance(entry, str | int | float):
        raise EntryError("an entry is a text or a mapping")
    if rule.voice.value == "log":
        return {"notes": str(entry), "channel": "visit"}
    if rule.voice.value == "party":
        return {"party_says": str(entry)}
    return (
        {"collector": str(entry)}
        if rule.first_channel in {"call", "visit"}
        else {"text": str(entry)}
    )


def build(rule: Rule, entry: Any) -> Fixture:
    """The history of an entry.

    Raises `EntryError` or `pydantic.ValidationError` where the entry says what cannot be.
    """
    data = as_mapping(rule, entry)
    base = _moment(str(data.get("at", "10:00")), datetime.combine(_day(rule), datetime.min.time()))
    audio: dict[tuple[str, str], Audio] = {}
    events: list[AnyEvent] = list(_cases(data.get("case") or {}, base))
    for past in data.get("history") or ():
        repeated = enumerate(_repeated(rule, past, base), start=len(events))
        events.extend(_interaction(rule, m, at, f"h{n}", audio) for n, (at, m) in repeated)
    target = _interaction(rule, data, base, "target", audio)
    events.append(target)
    events.extend(_stop(stop, base) for stop in data.get("stops") or ())
    history = build_histories(events, audio)["case"]
    index = next(
        n for n, c in enumerate(history.contacts) if c.interaction.interaction_id == "target"
    )
    return Fixture(history, index, data.get("parameters") or {}, data.get("expect") or {})


def _day(rule: Rule) -> date:
    if rule.effective_to is not None and rule.effective_to < USUAL_DAY:
        return rule.effective_to
    if rule.effective_from is not None and rule.effective_from > USUAL_DAY:
        return rule.effective_from
    return USUAL_DAY


def _moment(text: str, base: datetime) -> datetime:
    """A clock on the day of `base`, an offset from it, or a full date and clock."""
    offset = _OFFSET.match(text)
    if offset:
        sign = 1 if offset[1] == "+" else -1
        moved = base + sign * timedelta(**{_UNITS[offset[3]]: int(offset[2])})
        return _moment(offset[4], moved) if offset[4] else moved
    if _CLOCK.match(text):
        parts = [int(part) for part in text.split(":")]
        found = base.replace(
            hour=parts[0], minute=parts[1], second=parts[2] if text.count(":") > 1 else 0
        )
    else:
        try:
            found = datetime.fromisoformat(text)
        except ValueError as error:
            raise EntryError(f"{text!r} is no time") from error
    return found if found.tzinfo else datetime.fromisoformat(found.isoformat() + ZONE)


def _repeated(rule: Rule, entry: Any, base: datetime) -> Iterator[tuple[datetime, dict[str, Any]]]:
    data = {"party": "debtor", **as_mapping(rule, entry)}
    start = _moment(str(data.get("at", "-1d")), base)
    step = data.get("every", "1m")
    every = re.fullmatch(r"(\d+)([dhms])", str(step))
    if every is None:
        raise EntryError(f"{step!r} is no step of time, for example 20m")
    for n in range(int(data.get("times", 1))):
        yield start + n * timedelta(**{_UNITS[every[2]]: int(every[1])}), data


def _cases(data: Mapping[str, Any], base: datetime) -> Iterator[CaseUpserted]:
    """The case, known long before the contact unless it says otherwise."""
    versions = [{"as_of": "-400d", **{k: v for k, v in data.items() if k != "versions"}}]
    versions += data.get("versions", [])
    for version in versions:
        fields: dict[str, Any] = {
            "case_id": "case",
            "product": "credit_card",
            "lender_type": "bank",
            "overdue_since": "2026-02-01",
            "balance": "12000.00",
            "contacts": [{"phone": PHONES["contact"], "relation": "朋友", "name": "李四"}],
        }
        fields |= {
            k: v
            for k, v in version.items()
            if k not in {"as_of", "debtor", "contacts", "guarantors"}
        }
        fields["debtor"] = {
            "name": "张三",
            "phones": [PHONES["debtor"]],
            **version.get("debtor", {}),
        }
        for key in ("contacts", "guarantors"):
            if key in version:
                fields[key] = [_person(member) for member in version[key]]
        fields["debtor"]["phones"] = [PHONES.get(p, p) for p in fields["debtor"]["phones"]]
        fields = {key: value for key, value in fields.items() if value is not None}
        yield parse_value(
            {
                "type": "case.upserted",
                "timestamp": _moment(version["as_of"], base).isoformat(),
                "data": fields,
            },
            CaseUpserted,
        )


def _person(member: Any) -> dict[str, Any]:
    fields = {"phone": member} if isinstance(member, str) else dict(member)
    fields["phone"] = PHONES.get(fields.get("phone", "contact"), fields.get("phone"))
    return {"relation": "朋友", **fields}


def _stop(stop: Mapping[str, Any], base: datetime) -> StopRequested:
    phone = stop.get("phone", "debtor" if stop.get("by", "debtor") == "debtor" else "contact")
    moment = _moment(str(stop.get("at", "-1d")), base).isoformat()
    data = {
        "case_id": "case",
        "phone": PHONES.get(phone, phone),
        "at": moment,
        "by": stop.get("by", "debtor"),
    }
    return parse_value({"type": "stop.requested", "timestamp": moment, "data": data}, StopRequested)


def _interaction(
    rule: Rule,
    data: Mapping[str, Any],
    moment: datetime,
    name: str,
    audio: dict[tuple[str, str], Audio],
) -> InteractionCompleted:
    channel = data.get("channel") or _channel(rule, data)
    outcome = data.get("outcome") or ("answered" if channel == "call" else "done")
    if channel in _MESSAGES and "outcome" not in data:
        outcome = "delivered"
    seconds = 0 if channel == "call" and outcome in _SILENT else data.get("seconds", 60)
    role = data.get("party", rule.first_party)
    phone = data.get("phone", _PHONE_OF_ROLE.get(role, "debtor"))
    fields: dict[str, Any] = {
        "interaction_id": name,
        "case_id": "case",
        "agency_id": data.get("agency", "A1"),
        "channel": channel,
        "direction": data.get("direction", "outbound"),
        "mode": data.get("mode", "human"),
        "started_at": moment.isoformat(),
        "outcome": outcome,
        "collector": {"id": data.get("collector_id", "0001"), "org": data.get("org", "诚讯商务")},
        "party": {"role": role, "phone": PHONES.get(phone, phone)},
    }
    if data.get("name"):
        fields["collector"]["name"] = data["name"]
    if data.get("relation"):
        fields["party"]["relation"] = data["relation"]
    if channel == "call":
        fields["talk_seconds"] = seconds
        fields["caller_number"] = data.get("caller", "+861000000001")
        fields["ended_at"] = (moment + timedelta(seconds=float(seconds))).isoformat()
    if channel in {"call", "im"}:
        fields["caller_number_type"] = data.get("caller_type", "official")
    turns = _turns(data, float(seconds or 60))
    if turns:
        fields["transcript"] = turns
    recording = _recording(data, channel, outcome, seconds)
    if recording is not None:
        fields["recording"] = recording
    if channel in _MESSAGES or "text" in data:
        fields["text"] = data.get("text", "")
    if channel == "visit":
        fields |= _visit(data, moment)
    audio[(fields["agency_id"], name)] = _audio(data, moment, fields)
    return parse_value(
        {
            "type": "interaction.completed",
            "timestamp": fields.get("ended_at", fields["started_at"]),
            "data": fields,
        },
        InteractionCompleted,
    )


def _channel(rule: Rule, data: Mapping[str, Any]) -> str:
    if "visit" in data or "notes" in data:
        return "visit"
    if "text" in data and rule.first_channel == "call":
        return "sms"
    return rule.first_channel


def _turns(data: Mapping[str, Any], seconds: float) -> list[dict[str, Any]]:
    said: list[tuple[str, str]] = []
    for turn in data.get("turns") or ():
        ((speaker, text),) = turn.items()
        said.append((speaker, str(text)))
    if data.get("party_says"):
        said.append(("party", str(data["party_says"])))
    if data.get("collector"):
        said.append(("collector", str(data["collector"])))
    step = seconds / max(1, len(said))
    return [
        {
            "speaker": speaker,
            "start": round(n * step, 2),
            "end": round((n + 1) * step, 2),
            "text": text,
        }
        for n, (speaker, text) in enumerate(said)
    ]


def _recording(
    data: Mapping[str, Any], channel: str, outcome: str, seconds: Any
) -> dict[str, Any] | None:
    given = data.get("recording", True)
    talked = (channel == "call" and outcome in {"answered", "voicemail"}) or channel == "visit"
    if given is False or (given is True and not talked):
        return None
    length = seconds if given is True or isinstance(given, dict) else given
    if channel == "visit" and given is True:
        length = data.get("seconds", 1800)
    more = given if isinstance(given, dict) else {}
    return {
        "sha256": "0" * 64,
        "duration_seconds": length,
        "speakers": ["collector", "party"],
        **more,
    }


def _visit(data: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    visit = {
        "appointment": True,
        "place": "public",
        "collectors": 2,
        "id_shown": True,
        "av_recording": True,
        "entered": False,
        "entry_consent": False,
        **(data.get("visit") or {}),
    }
    ended = visit.pop("ended_at", None)
    for key in ("asked_to_leave_at", "left_at"):
        if visit.get(key) is not None:
            visit[key] = _moment(str(visit[key]), moment).isoformat()
    if data.get("notes"):
        visit["notes"] = data["notes"]
    stay = timedelta(seconds=float(data.get("seconds", 1800)))
    end = _moment(str(ended), moment) if ended else moment + stay
    return {"visit": visit, "ended_at": end.isoformat()}


def _audio(data: Mapping[str, Any], moment: datetime, fields: Mapping[str, Any]) -> Audio:
    given = dict(data.get("audio") or {})
    if "transcript" in fields:
        state = "given"
    else:
        state = "transcribed" if "recording" in fields else "none"
    until = given.pop("retain_until", None)
    if isinstance(until, int):
        given["retain_until"] = moment + timedelta(days=until)
    elif until is not None:
        given["retain_until"] = _moment(str(until), moment)
    return Audio(**{"state": state, **given})

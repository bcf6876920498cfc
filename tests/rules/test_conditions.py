"""What the rules of facts say at their borders; the tests inside the pack hold the plain cases."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from rules import Pack, evaluate
from rules.conditions.hours import holiday_breaks
from rules.events import CaseUpserted, InteractionCompleted, StopRequested
from rules.history import build_histories
from rules.model import Audio, Finding, Verdict

OWN, OTHER_OWN = "+8613800000001", "+8613800000011"
CONTACT, STRANGER = "+8613800000002", "+8613800000009"
NAMES = ("张三", "李四", "王五")
AnyEvent = CaseUpserted | InteractionCompleted | StopRequested


def case(at: str = "2026-06-01T09:00:00+08:00", **changes: object) -> CaseUpserted:
    data: dict[str, Any] = {
        "case_id": "C1",
        "product": "credit_card",
        "lender_type": "bank",
        "debtor": {"name": NAMES[0], "phones": [OWN, OTHER_OWN]},
        "contacts": [{"phone": CONTACT, "relation": "同事", "name": NAMES[1]}],
        **changes,
    }
    return CaseUpserted.model_validate({"type": "case.upserted", "timestamp": at, "data": data})


def contact(name: str, at: str, **changes: object) -> InteractionCompleted:
    role, phone = changes.pop("role", "debtor"), changes.pop("phone", OWN)
    started = at if "T" in at else f"2026-06-03T{at}+08:00"
    data: dict[str, Any] = {
        "interaction_id": name,
        "case_id": "C1",
        "channel": "call",
        "direction": "outbound",
        "started_at": started,
        "outcome": "no_answer",
        "collector": {"id": "0001", "name": NAMES[2]},
        "party": {"role": role, "phone": phone},
        **changes,
    }
    return InteractionCompleted.model_validate(
        {"type": "interaction.completed", "timestamp": started, "data": data}
    )


def talk(name: str, at: str, *lines: tuple[str, str], **changes: object) -> InteractionCompleted:
    recording = {"sha256": "0" * 64, "duration_seconds": 30, "speakers": ["collector", "party"]}
    segments = [
        {"speaker": speaker, "start": 2.0 * n, "end": 2.0 * n + 1.5, "text": text}
        for n, (speaker, text) in enumerate(
            lines or [("collector", "您好，我是汇民银行的工号0001，本次通话录音。")]
        )
    ]
    changes = {
        "outcome": "answered",
        "talk_seconds": 30,
        "recording": recording,
        "transcript": segments,
        **changes,
    }
    return contact(name, at, **changes)


def text(name: str, at: str, body: str, **changes: object) -> InteractionCompleted:
    return contact(name, at, **{"channel": "sms", "outcome": "delivered", "text": body, **changes})


def stop(at: str, phone: str = OWN, by: str = "debtor") -> StopRequested:
    return StopRequested.model_validate(
        {
            "type": "stop.requested",
            "timestamp": at,
            "data": {"case_id": "C1", "phone": phone, "at": at, "by": by},
        }
    )


def check(
    facts_pack: Pack, events: Iterable[AnyEvent], **settings: Any
) -> dict[str, dict[str, Finding]]:
    """Findings by interaction and rule."""
    verdicts: tuple[Verdict, ...] = evaluate(facts_pack, build_histories(events)["C1"], **settings)
    return {v.interaction_id: {f.rule: f for f in v.findings} for v in verdicts}


def rules_of(facts_pack: Pack, name: str, *events: AnyEvent, **settings: Any) -> set[str]:
    return set(check(facts_pack, [case(), *events], **settings)[name])


@pytest.mark.parametrize(
    ("slot", "at", "forbidden"),
    [
        pytest.param(("22:00", "23:00"), "22:00:00", False, id="a slot begins with its start"),
        pytest.param(("22:00", "23:00"), "23:00:00", True, id="a slot ends before its end"),
        pytest.param(("23:00", "01:00"), "00:59:59", False, id="a slot may wrap midnight"),
        pytest.param(("23:00", "01:00"), "01:00:00", True, id="after a wrapping slot"),
        pytest.param(("23:00", "01:00"), "22:59:59", True, id="before a wrapping slot"),
        pytest.param(("22:00", "22:00"), "22:00:00", True, id="an empty slot"),
    ],
)
def test_an_agreed_slot_opens_its_hours_and_no_more(
    facts_pack: Pack, slot: tuple[str, str], at: str, *, forbidden: bool
) -> None:
    consent = {"kind": "contact_hours", "from": slot[0], "to": slot[1], "evidence": "x"}
    events: list[AnyEvent] = [case(consents=[consent]), contact("I1", at)]

    assert ("TIM-01" in check(facts_pack, events)["I1"]) is forbidden


def test_a_slot_agreed_later_does_not_excuse_an_earlier_call(facts_pack: Pack) -> None:
    consent = {"kind": "contact_hours", "from": "22:00", "to": "23:00", "evidence": "x"}
    events: list[AnyEvent] = [
        case(),
        case("2026-06-10T09:00:00+08:00", consents=[consent]),
        contact("early", "2026-06-03T22:10:00+08:00"),
        contact("late", "2026-06-11T22:10:00+08:00"),
    ]

    found = check(facts_pack, events)

    assert "TIM-01" in found["early"]
    assert "TIM-01" not in found["late"]


def test_the_debtor_s_slot_does_not_open_a_contact_person_s_evening(facts_pack: Pack) -> None:
    consent = {"kind": "contact_hours", "from": "22:00", "to": "23:00", "evidence": "x"}
    events: list[AnyEvent] = [
        case(consents=[consent]),
        contact("I1", "22:10:00", role="agreed_contact", phone=CONTACT),
    ]

    assert "TIM-01" in check(facts_pack, events)["I1"]


def test_the_clock_of_the_debtor_decides_also_over_a_change_of_the_clocks(facts_pack: Pack) -> None:
    debtor = {"name": NAMES[0], "phones": [OWN], "timezone": "Europe/Berlin"}
    events: list[AnyEvent] = [
        case("2026-01-01T00:00:00+08:00", debtor=debtor),
        contact("winter", "2026-03-28T21:30:00+00:00"),
        contact("summer", "2026-03-29T20:30:00+00:00"),
        contact("evening", "2026-03-29T19:30:00+00:00"),
    ]

    found = check(facts_pack, events)

    assert ["TIM-01" in found[name] for name in ("winter", "summer", "evening")] == [
        True,
        True,
        False,
    ]


def test_a_visit_over_midnight_with_one_agreed_slot_is_judged_by_the_rest(facts_pack: Pack) -> None:
    visit = {
        "appointment": True, "place": "public", "collectors": 2, "id_shown": True,
        "av_recording": True, "entered": False, "entry_consent": False,
    }  # fmt: skip
    consent = {"kind": "contact_hours", "from": "22:00", "to": "23:00", "evidence": "x"}
    ends = {"inside": "22:59:00", "after": "23:01:00"}
    events: list[AnyEvent] = [case(consents=[consent])]
    events += [
        contact(
            name, "21:50:00", channel="visit", outcome="done", visit=visit,
            ended_at=f"2026-06-03T{end}+08:00",
        )
        for name, end in ends.items()
    ]  # fmt: skip

    found = check(facts_pack, events)

    assert not {"TIM-01", "VIS-09"} & set(found["inside"])
    assert {"TIM-01", "VIS-09"} <= set(found["after"])


def test_only_a_talk_that_runs_into_the_night_is_noted(facts_pack: Pack) -> None:
    late = {"ended_at": "2026-06-03T22:05:00+08:00"}
    found = check(
        facts_pack,
        [case(), talk("talk", "21:58:00", **late), contact("ringing", "21:59:59", **late)],
    )

    assert found["talk"]["TIM-01"].disposition.value == "signal"
    assert found["talk"]["TIM-01"].severity.value == "low"
    assert "TIM-01" not in found["ringing"]


@pytest.mark.parametrize(
    ("day", "outcome", "fires"),
    [
        pytest.param("2026-10-01", "fail", True, id="a public holiday"),
        pytest.param("2026-02-21", "fail", True, id="a Saturday inside the Spring Festival"),
        pytest.param("2026-02-28", None, False, id="a Saturday worked in exchange"),
        pytest.param("2026-11-24", None, False, id="a plain Tuesday"),
        pytest.param("2035-10-01", "inconclusive", False, id="a year without a notice"),
    ],
)
def test_holidays_follow_the_yearly_notice_or_stay_open(
    facts_pack: Pack, day: str, outcome: str | None, *, fires: bool
) -> None:
    event = contact("I1", f"{day}T10:00:00+08:00")
    settings = {"TIM-02": {"enabled": True, "holidays": True, "weekends": True}}
    if day.startswith("2026-02-21"):
        settings["TIM-02"]["weekends"] = False

    (verdict,) = evaluate(facts_pack, build_histories([case(), event])["C1"], parameters=settings)

    assert any(finding.rule == "TIM-02" for finding in verdict.findings) is fires
    if outcome == "inconclusive":
        assert verdict.outcome.value == outcome
        assert verdict.reasons == ("calendar_year_unknown",)


def test_the_breaks_of_a_year_are_those_of_its_notice() -> None:
    breaks = holiday_breaks(2026)

    assert breaks is not None
    days = sorted(f"{day:%m-%d}" for day in breaks)
    assert days[:3] == ["01-01", "01-02", "01-03"]
    assert [day for day in days if day.startswith("02")] == [f"02-{n}" for n in range(15, 24)]
    assert holiday_breaks(1999) is None


def test_messages_of_both_kinds_add_up_and_receipts_do_not(facts_pack: Pack) -> None:
    events: list[AnyEvent] = [
        text(
            f"I{n:02}",
            f"{9 + n // 6:02}:{n % 6}0:00",
            "请尽快还款",
            channel="im" if n % 2 else "sms",
        )
        for n in range(9)
    ]
    events.append(text("receipt", "18:00:00", "【汇民银行】您已成功还款1000元，感谢支持。"))
    events.append(text("tenth", "19:00:00", "请尽快还款"))

    found = check(facts_pack, [case(), *events])

    assert [n for n in range(9) if "FRQ-05" in found[f"I{n:02}"]] == list(range(3, 9))
    assert {found[f"I{n:02}"]["FRQ-05"].disposition.value for n in range(3, 9)} == {"signal"}
    assert "FRQ-05" not in found["receipt"]
    assert found["tenth"]["FRQ-05"].disposition.value == "violation"
    assert found["tenth"]["FRQ-05"].facts["count"] == 10


def test_a_receipt_at_night_is_no_collection_and_a_demand_is(facts_pack: Pack) -> None:
    receipt = text("receipt", "22:24:00", "【汇民银行】您于22:24成功还款1000.00元，感谢支持。")
    code = text("code", "22:25:00", "【汇民银行】验证码 204518，请勿告诉他人。")
    demand = text("demand", "22:30:00", "您昨日成功还款500元，仍欠8000元，请尽快还款。")

    found = check(facts_pack, [case(), receipt, code, demand])

    assert ["TIM-01" in found[name] for name in ("receipt", "code", "demand")] == [
        False,
        False,
        True,
    ]


def test_the_fifth_stranger_within_a_day_s_length_and_every_later_one(facts_pack: Pack) -> None:
    events: list[AnyEvent] = [
        contact(f"I{n}", f"2026-06-0{3 + n // 4}T{9 + n % 4:02}:00:00+08:00", role="third_party",
                phone=f"+86138000077{n:02}")
        for n in range(6)
    ]  # fmt: skip

    found = check(facts_pack, [case(), *events])

    assert [n for n in range(6) if "TPC-05" in found[f"I{n}"]] == [4, 5]
    assert found["I4"]["TPC-05"].facts["count"] == 5


@pytest.mark.parametrize(
    ("at", "bound"), [("2026-06-03T10:00:00+08:00", False), ("2026-06-03T02:00:01+00:00", True)]
)
def test_a_stop_binds_strictly_after_its_moment(facts_pack: Pack, at: str, *, bound: bool) -> None:
    events: list[AnyEvent] = [contact("I1", at), stop("2026-06-03T10:00:00+08:00")]

    assert ("STP-01" in rules_of(facts_pack, "I1", *events)) is bound


def test_a_stop_by_the_debtor_binds_that_number_alone(facts_pack: Pack) -> None:
    events: list[AnyEvent] = [
        contact("same", "11:00:00"),
        contact("other", "11:30:00", phone=OTHER_OWN),
        contact("back", "12:00:00", direction="inbound", outcome="answered"),
    ]

    found = check(facts_pack, [case(), stop("2026-06-03T10:00:00+08:00"), *events])

    assert [name for name in ("same", "other", "back") if "STP-01" in found[name]] == ["same"]


def test_one_confirmation_is_free_and_the_next_message_is_not(facts_pack: Pack) -> None:
    body = "您的请求已登记，我们不再联系该号码。"
    events: list[AnyEvent] = [
        text("first", "11:00:00", body, role="agreed_contact", phone=CONTACT),
        text("second", "12:00:00", body, role="agreed_contact", phone=CONTACT),
    ]

    found = check(
        facts_pack, [case(), stop("2026-06-03T10:00:00+08:00", CONTACT, "agreed_contact"), *events]
    )

    assert "TPC-03" not in found["first"]
    assert "TPC-03" in found["second"]


def test_a_refusal_heard_in_a_call_binds_the_calls_after_it(facts_pack: Pack) -> None:
    who = {"role": "agreed_contact", "phone": CONTACT}
    events: list[AnyEvent] = [
        contact("before", "08:30:00", **who),
        talk("refusal", "09:00:00", ("party", "不要再给我打电话了。"), **who),
        contact("after", "11:00:00", **who),
        contact("debtor", "12:00:00"),
    ]  # fmt: skip

    found = check(facts_pack, [case(), *events])

    assert [name for name, rules in found.items() if "TPC-03" in rules] == ["after"]
    assert found["after"]["TPC-03"].facts["asked_in"] == "refusal"


def test_a_debtor_s_complaint_about_calls_is_no_stop(facts_pack: Pack) -> None:
    events: list[AnyEvent] = [
        talk("complaint", "09:00:00", ("collector", "您好"), ("party", "别打了，烦死了。")),
        talk("later", "2026-06-20T10:00:00+08:00"),
    ]

    assert not {"STP-01", "TPC-03"} & rules_of(facts_pack, "later", *events)


def test_the_first_talk_with_a_wrong_number_is_free(facts_pack: Pack) -> None:
    who = {"role": "unknown"}
    events: list[AnyEvent] = [
        talk("first", "09:00:00", ("party", "你打错了，我不认识他。"), **who),
        contact("again", "2026-06-05T09:00:00+08:00", **who),
        talk("reached", "2026-06-06T09:00:00+08:00"),
    ]  # fmt: skip

    found = check(facts_pack, [case(), *events])

    assert [name for name, rules in found.items() if "WRN-01" in rules] == ["again"]


def test_limits_add_up_over_agencies_and_sit_on_each_contact_above(facts_pack: Pack) -> None:
    events: list[AnyEvent] = [
        talk(f"I{n}", f"{9 + n:02}:00:00", agency_id=f"A{n % 2}", caller_number=str(n % 2))
        for n in range(6)
    ]
    events.append(contact("unanswered", "18:00:00"))

    found = check(facts_pack, [case(), *events])

    assert [n for n in range(6) if "FRQ-01" in found[f"I{n}"]] == [3, 4, 5]
    assert "FRQ-01" not in found["unanswered"]
    assert found["I3"]["FRQ-01"].facts["agencies"] == 2
    assert "FRQ-06" in found["I3"]


def test_a_burst_ends_with_its_window(facts_pack: Pack) -> None:
    minutes = ("10:00:00", "10:05:00", "10:10:00", "10:15:01", "15:00:00")

    found = check(facts_pack, [case(), *(contact(at, at) for at in minutes)])

    assert [at for at in minutes if "FRQ-04" in found[at]] == ["10:10:00"]


def test_a_tenant_may_tighten_a_limit(facts_pack: Pack) -> None:
    events: list[AnyEvent] = [talk("a", "09:00:00"), talk("b", "10:00:00")]

    assert "FRQ-01" not in rules_of(facts_pack, "b", *events)
    assert "FRQ-01" in rules_of(facts_pack, "b", *events, parameters={"FRQ-01": {"limit": 1}})


def test_switching_numbers_is_judged_by_the_limits_that_it_dodges(facts_pack: Pack) -> None:
    events: list[AnyEvent] = [
        talk("a", "09:00:00", caller_number="1"),
        talk("b", "10:00:00", caller_number="2"),
        talk("c", "11:00:00", caller_number="3"),
    ]
    tighter = {"FRQ-01": {"limit": 2}}
    own = {"FRQ-01": {"limit": 2}, "FRQ-06": {"effective_limit": 3}}

    assert "FRQ-06" not in rules_of(facts_pack, "c", *events)
    assert {"FRQ-01", "FRQ-06"} <= rules_of(facts_pack, "c", *events, parameters=tighter)
    assert "FRQ-06" not in rules_of(facts_pack, "c", *events, parameters=own)


@pytest.mark.parametrize(
    ("rule", "parameter", "value"),
    [
        ("FRQ-01", "limit", 4),
        ("FRQ-02", "limit", 7),
        ("FRQ-03", "limit", 4),
        ("TIM-01", "quiet_from", "22:30"),
        ("TIM-01", "quiet_to", "07:00"),
        ("TPC-04", "failures", 2),
        ("REC-02", "card_years", 1),
        ("VIS-01", "collectors", 1),
    ],
)
def test_no_tenant_may_loosen_a_limit(
    facts_pack: Pack, rule: str, parameter: str, value: object
) -> None:
    with pytest.raises(ValueError, match=f"{rule}.{parameter}"):
        evaluate(
            facts_pack,
            build_histories([case(), contact("I1", "10:00:00")])["C1"],
            parameters={rule: {parameter: value}},
        )


def test_a_recording_s_decoded_length_counts_too(facts_pack: Pack) -> None:
    event = talk("I1", "10:00:00")
    audio = {("", "I1"): Audio(state="transcribed", decoded_seconds=20.0)}

    (verdict,) = evaluate(facts_pack, build_histories([case(), event], audio)["C1"])

    assert "REC-03" in {finding.rule for finding in verdict.findings}


def test_facts_hold_numbers_and_no_person(facts_pack: Pack) -> None:
    events: list[AnyEvent] = [
        case(agency_disclosed=False),
        stop("2026-06-01T00:00:00+08:00", STRANGER, "third_party"),
    ]
    events += [
        contact(f"I{n:02}", f"22:{n:02}:00", role="third_party", phone=f"+86138000000{n:02}",
                caller_number="13912345678", caller_number_type="private", outcome="busy")
        for n in range(5, 12)
    ]  # fmt: skip
    events += [contact(f"D{n}", f"07:0{n}:00") for n in range(8)]

    found = check(facts_pack, events)

    told = json.dumps(
        [finding.as_dict() for rules in found.values() for finding in rules.values()],
        ensure_ascii=False,
    )
    assert len(told) > 1000
    assert not any(name in told for name in NAMES)
    assert "138000000" not in told
    assert "13912345678" not in told


def test_a_finding_cites_what_is_in_force_on_its_day(facts_pack: Pack) -> None:
    def cited(year: int) -> tuple[str, ...]:
        events: list[AnyEvent] = [case(f"{year}-06-01T00:00:00+08:00")]
        events += [text(f"I{n}", f"{year}-06-03T10:{n:02}:00+08:00", "请还款") for n in range(10)]
        return check(facts_pack, events)["I9"]["FRQ-05"].articles

    assert "psal-2012/42" in cited(2025)
    assert "psal-2025/50" not in cited(2025)
    assert "psal-2012/42" not in cited(2026)
    assert "psal-2025/50" in cited(2026)


def test_events_at_the_edges_of_the_calendar_are_judged(facts_pack: Pack) -> None:
    debtor = {"name": NAMES[0], "phones": [OWN], "timezone": "America/New_York"}
    events: list[AnyEvent] = [
        case("0001-01-01T00:00:00+14:00", debtor=debtor),
        talk("first", "0001-01-01T00:00:00+14:00", recording=None),
        talk("last", "9999-12-31T23:59:59-11:00", recording=None),
    ]

    assert "REC-01" in check(facts_pack, events)["last"]

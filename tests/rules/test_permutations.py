"""Verdicts depend on no order and no number of arrivals; late events change only what follows."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rules import Pack, evaluate
from rules.events import CaseUpserted, Interaction, InteractionCompleted, StopRequested
from rules.history import build_histories

PHONES = [f"+861380000000{n}" for n in range(1, 8)]
START = datetime(2026, 6, 3, 12, tzinfo=UTC)
AnyEvent = CaseUpserted | InteractionCompleted | StopRequested
WORDS = [
    "不要再联系我了",
    "你打错了，我不认识他",
    "好的",
    "我们不再联系该号码",
    "您已成功还款",
    "请尽快还款",
]

# A failing case would print the whole pack; the warning about that must not hide the failure.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")

moments = st.integers(0, 4000).map(lambda minutes: START + timedelta(minutes=minutes))
phones = st.sampled_from(PHONES)


@st.composite
def cases(draw: st.DrawFn) -> CaseUpserted:
    own = draw(st.lists(phones, min_size=1, max_size=2, unique=True))
    data: dict[str, Any] = {
        "case_id": "C1",
        "product": draw(st.sampled_from(["credit_card", "online_loan"])),
        "debtor": {
            "name": "张三",
            "phones": own,
            "timezone": draw(st.sampled_from(["Asia/Shanghai", "Asia/Tokyo", "America/New_York"])),
        },
        "contacts": [{"phone": p, "relation": "同事"} for p in draw(st.lists(phones, max_size=2))],
        "guarantors": [{"phone": p} for p in draw(st.lists(phones, max_size=1))],
        "agency_disclosed": draw(st.booleans()),
    }
    at = draw(moments).isoformat()
    return CaseUpserted.model_validate({"type": "case.upserted", "timestamp": at, "data": data})


@st.composite
def contacts(draw: st.DrawFn) -> InteractionCompleted:
    at = draw(moments).isoformat()
    channel = draw(st.sampled_from(["call", "call", "call", "sms", "im"]))
    says = draw(st.sampled_from(WORDS))
    data: dict[str, Any] = {
        "interaction_id": f"I{draw(st.integers(0, 10**9))}",
        "case_id": "C1",
        "agency_id": draw(st.sampled_from(["A1", "A2"])),
        "channel": channel,
        "direction": draw(st.sampled_from(["outbound", "outbound", "inbound"])),
        "mode": draw(st.sampled_from(["human", "notice", "ai_voice"])),
        "started_at": at,
        "collector": {"id": "1"},
        "caller_number": draw(st.sampled_from([None, "1", "2"])),
        "party": {
            "role": draw(
                st.sampled_from(["debtor", "debtor", "agreed_contact", "third_party", "unknown"])
            ),
            "phone": draw(st.none() | phones),
        },
    }
    if channel == "call":
        outcomes = ["answered", "no_answer", "busy", "invalid_number", "voicemail"]
        data["outcome"] = draw(st.sampled_from(outcomes))
        if data["outcome"] == "answered":
            data["talk_seconds"] = draw(st.sampled_from([5, 10, 60]))
            data["transcript"] = [{"speaker": "party", "start": 0, "end": 2, "text": says}]
    else:
        data |= {"outcome": "delivered", "text": says}
    return InteractionCompleted.model_validate(
        {"type": "interaction.completed", "timestamp": at, "data": data}
    )


@st.composite
def stops(draw: st.DrawFn) -> StopRequested:
    at = draw(moments).isoformat()
    by = draw(st.sampled_from(["debtor", "agreed_contact", "third_party"]))
    data = {"case_id": "C1", "phone": draw(phones), "at": at, "by": by}
    return StopRequested.model_validate({"type": "stop.requested", "timestamp": at, "data": data})


ledgers = st.lists(st.one_of(contacts(), contacts(), contacts(), stops(), cases()), max_size=30)


def verdicts(facts_pack: Pack, events: list[AnyEvent]) -> dict[tuple[str | None, str], str]:
    history = build_histories(events).get("C1")
    found = evaluate(facts_pack, history) if history else ()
    return {
        (v.agency_id, v.interaction_id): json.dumps(v.as_dict(), ensure_ascii=False) for v in found
    }


@given(ledgers.filter(bool), st.data())
def test_any_order_and_any_repetition_give_the_same_bytes(
    facts_pack: Pack, events: list[AnyEvent], data: st.DataObject
) -> None:
    repeated = data.draw(st.lists(st.sampled_from(events), max_size=10))
    shuffled = data.draw(st.permutations(events + repeated))

    assert verdicts(facts_pack, shuffled) == verdicts(facts_pack, events)


def kept(events: list[AnyEvent]) -> dict[tuple[str | None, str], Interaction]:
    """The contacts that count, by key; of two events for one contact the later report does."""
    history = build_histories(events).get("C1")
    found = [contact.interaction for contact in history.contacts] if history else []
    return {(one.agency_id, one.interaction_id): one for one in found}


@given(ledgers, contacts())
def test_a_late_contact_changes_no_verdict_before_it(
    facts_pack: Pack, events: list[AnyEvent], late: InteractionCompleted
) -> None:
    known = kept(events)
    assume((late.data.agency_id, late.data.interaction_id) not in known)

    before = verdicts(facts_pack, events)
    after = verdicts(facts_pack, [*events, late])

    earlier = [key for key, one in known.items() if one.started_at < late.data.started_at]
    assert [before[key] for key in earlier] == [after[key] for key in earlier]


@given(ledgers, stops())
def test_a_late_stop_changes_only_contacts_after_it_with_that_number(
    facts_pack: Pack, events: list[AnyEvent], late: StopRequested
) -> None:
    before = verdicts(facts_pack, events)
    after = verdicts(facts_pack, [*events, late])

    free = [
        key
        for key, one in kept(events).items()
        if one.party.phone is not None
        and (one.started_at <= late.data.at or one.party.phone != late.data.phone)
    ]
    assert [before[key] for key in free] == [after[key] for key in free]


@given(ledgers, cases(), cases())
def test_a_new_version_of_the_case_changes_no_verdict_before_it(
    facts_pack: Pack, events: list[AnyEvent], first: CaseUpserted, late: CaseUpserted
) -> None:
    opening = first.model_copy(update={"timestamp": START - timedelta(days=1)})
    before = verdicts(facts_pack, [*events, opening])
    after = verdicts(facts_pack, [*events, opening, late])

    earlier = [key for key, one in kept(events).items() if one.started_at < late.timestamp]
    assert [before[key] for key in earlier] == [after[key] for key in earlier]

"""The timeline of a case: whom a contact reached, what counts when, and when contact was lost."""

from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

import pytest

from rules.events import CaseUpserted, InteractionCompleted
from rules.history import build_histories
from rules.model import CaseHistory
from rules.retention import add_years, floor_years
from rules.timeline import Reach, Timeline, masked

OWN, OTHER_OWN = "+8613800000001", "+8613800000011"
CONTACT, GUARANTOR, STRANGER = "+8613800000002", "+8613800000003", "+8613800000009"

CASE: dict[str, Any] = {
    "case_id": "C1",
    "product": "credit_card",
    "debtor": {"name": "张三", "phones": [OWN, OTHER_OWN]},
    "contacts": [{"phone": CONTACT, "relation": "同事"}],
    "guarantors": [{"phone": GUARANTOR}],
}


def case(at: str = "2026-06-01T09:00:00+08:00", **changes: object) -> CaseUpserted:
    return CaseUpserted.model_validate(
        {"type": "case.upserted", "timestamp": at, "data": {**CASE, **changes}}
    )


def contact(number: int, at: str, **changes: object) -> InteractionCompleted:
    role = changes.pop("role", "debtor")
    phone = changes.pop("phone", OWN)
    data: dict[str, Any] = {
        "interaction_id": f"I{number:05}",
        "case_id": "C1",
        "channel": "call",
        "direction": "outbound",
        "started_at": at,
        "outcome": "no_answer",
        "collector": {"id": "1"},
        "party": {"role": role, **({"phone": phone} if phone else {})},
        **changes,
    }
    return InteractionCompleted.model_validate(
        {"type": "interaction.completed", "timestamp": at, "data": data}
    )


def history(*events: CaseUpserted | InteractionCompleted) -> CaseHistory:
    return build_histories(events)["C1"]


@pytest.mark.parametrize(
    ("role", "phone", "reach"),
    [
        pytest.param("debtor", OWN, Reach.DEBTOR, id="the debtor"),
        pytest.param("debtor", STRANGER, Reach.DEBTOR, id="the debtor on a new number"),
        pytest.param("third_party", OWN, Reach.OWN_NUMBER, id="somebody else on the debtor's"),
        pytest.param("unknown", OTHER_OWN, Reach.OWN_NUMBER, id="nobody known on the debtor's"),
        pytest.param("agreed_contact", CONTACT, Reach.AGREED_CONTACT, id="a contact person"),
        pytest.param("third_party", CONTACT, Reach.AGREED_CONTACT, id="a contact person's phone"),
        pytest.param("guarantor", STRANGER, Reach.GUARANTOR, id="a guarantor by role"),
        pytest.param("unknown", GUARANTOR, Reach.GUARANTOR, id="a guarantor by number"),
        pytest.param("third_party", STRANGER, Reach.STRANGER, id="a stranger"),
        pytest.param("agreed_contact", STRANGER, Reach.STRANGER, id="no contact of this case"),
        pytest.param("unknown", STRANGER, Reach.UNLISTED, id="nobody knows whose number"),
        pytest.param("third_party", None, Reach.STRANGER, id="a stranger without a number"),
    ],
)
def test_a_contact_is_for_whom_its_role_and_number_say(
    role: str, phone: str | None, reach: Reach
) -> None:
    timeline = Timeline(
        history(case(), contact(1, "2026-06-03T10:00:00+08:00", role=role, phone=phone))
    )

    assert timeline.entries[0].reach is reach


def test_the_case_of_a_contact_is_the_latest_version_not_after_it() -> None:
    first = case(contacts=[])
    second = case("2026-06-05T09:00:00+08:00")
    early = contact(1, "2026-06-03T10:00:00+08:00", role="agreed_contact", phone=CONTACT)
    late = contact(2, "2026-06-06T10:00:00+08:00", role="agreed_contact", phone=CONTACT)

    timeline = Timeline(history(second, late, early, first))

    assert [entry.reach for entry in timeline.entries] == [Reach.STRANGER, Reach.AGREED_CONTACT]


def test_a_contact_before_the_first_version_uses_the_first_version() -> None:
    timeline = Timeline(
        history(case("2026-07-01T00:00:00+08:00"), contact(1, "2026-06-03T10:00:00+08:00"))
    )

    assert timeline.entries[0].case is not None


def test_a_day_is_the_natural_day_of_shanghai() -> None:
    timeline = Timeline(
        history(
            contact(1, "2026-06-03T15:59:59+00:00"),
            contact(2, "2026-06-03T16:00:00+00:00"),
        )
    )

    assert [entry.day.isoformat() for entry in timeline.entries] == ["2026-06-03", "2026-06-04"]


def test_the_calendar_s_last_hours_do_not_break_the_timeline() -> None:
    timeline = Timeline(
        history(
            case(),
            contact(1, "0001-01-01T00:00:00+14:00"),
            contact(2, "9999-12-31T23:59:59-11:00"),
        )
    )

    assert len(timeline.entries) == 2
    assert timeline.unanswered(1) is not None
    assert timeline.burst(1, 10) == 1


def failed(*moments: str) -> list[InteractionCompleted]:
    return [contact(n, f"2026-06-{at}:00+08:00") for n, at in enumerate(moments, 1)]


def answered(at: str, **changes: object) -> InteractionCompleted:
    changes = {"outcome": "answered", "talk_seconds": 30, **changes}
    return contact(800, f"2026-06-{at}:00+08:00", **changes)


PROBE = contact(999, "2026-06-05T15:00:00+08:00", role="agreed_contact", phone=CONTACT)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        pytest.param([], None, id="nothing tried"),
        pytest.param(failed("04T09:00", "04T10:00"), None, id="two failures"),
        pytest.param(
            failed("04T09:00", "04T10:00", "04T11:00"), "consecutive_failures", id="three, next day"
        ),
        pytest.param(failed("05T09:00", "05T10:00", "05T11:00"), None, id="three, same day"),
        pytest.param(failed("04T09:00", "04T10:00", "05T09:00"), None, id="the third is of today"),
        pytest.param(
            failed("03T09:00", "04T09:00", "05T09:00"), "consecutive_days", id="three straight days"
        ),
        pytest.param(failed("02T09:00", "04T09:00", "05T09:00"), None, id="a day between"),
        pytest.param(
            [contact(1, "2026-06-05T14:00:00+08:00", outcome="invalid_number")],
            "number_invalid",
            id="invalid number, at once",
        ),
        pytest.param(
            [*failed("04T09:00", "04T10:00", "04T11:00"), answered("04T12:00")],
            None,
            id="answered since",
        ),
        pytest.param(
            [
                *failed("04T09:00", "04T10:00", "04T11:00"),
                answered("04T12:00", direction="inbound"),
            ],
            None,
            id="the debtor called since",
        ),
        pytest.param(
            [
                *failed("04T09:00", "04T10:00", "04T11:00"),
                answered("04T12:00", direction="inbound", role="agreed_contact", phone=CONTACT),
            ],
            "consecutive_failures",
            id="the contact person called, not the debtor",
        ),
        pytest.param(
            [answered("04T08:00"), *failed("04T09:00", "04T10:00", "04T11:00")],
            "consecutive_failures",
            id="answered before the failures",
        ),
        pytest.param(
            [
                contact(1, "2026-06-04T09:00:00+08:00", channel="sms", text="x", outcome="failed"),
                *failed("04T10:00", "04T11:00")[1:],
            ],
            None,
            id="failed messages are no failed calls",
        ),
    ],
)
def test_contact_is_lost_as_the_ladder_says(
    events: list[InteractionCompleted], reason: str | None
) -> None:
    timeline = Timeline(history(case(), *events, PROBE))

    assert timeline.loss(len(events), 3, 3).reason == reason


def test_bursts_count_dials_to_one_number_inside_the_window() -> None:
    minutes = (0, 5, 10, 20, 21)
    events = [contact(n, f"2026-06-03T10:{minute:02}:00+08:00") for n, minute in enumerate(minutes)]
    events.append(contact(90, "2026-06-03T10:22:00+08:00", phone=OTHER_OWN))

    timeline = Timeline(history(case(), *events))

    assert [timeline.burst(n, 10) for n in range(6)] == [1, 2, 3, 2, 2, 1]


def test_strangers_are_counted_once_each_within_a_day_s_length() -> None:
    start = datetime(2026, 6, 3, 10, tzinfo=UTC)
    numbers = [STRANGER, STRANGER, CONTACT, GUARANTOR, OWN, "+8613800000077"]
    events = [
        contact(n, (start + timedelta(hours=n)).isoformat(), role="third_party", phone=phone)
        for n, phone in enumerate(numbers)
    ]
    late = (start + timedelta(hours=26, seconds=1)).isoformat()
    events.append(contact(90, late, role="third_party", phone="+8613800000078"))

    timeline = Timeline(history(case(), *events))

    assert [timeline.strangers(n, 24) for n in range(7)] == [1, 1, 2, 0, 0, 3, 2]


def test_a_tally_knows_the_share_of_the_busiest_caller_number() -> None:
    callers = ["1", "1", "2", None]
    events = [
        contact(n, f"2026-06-03T1{n}:00:00+08:00", caller_number=caller)
        for n, caller in enumerate(callers)
    ]

    timeline = Timeline(history(case(), *events))
    tallies = [timeline.unanswered(n) for n in range(4)]

    assert [(t.count, t.busiest) for t in tallies if t] == [(1, 1), (2, 2), (3, 2), (4, None)]


def test_ten_thousand_contacts_take_little_time() -> None:
    start = datetime(2026, 6, 3, tzinfo=UTC)
    events = [
        contact(
            n,
            (start + timedelta(seconds=8 * n)).isoformat(),
            caller_number=str(n),
            role="third_party" if n % 2 else "debtor",
            phone=f"+86138{n % 5000:08}" if n % 2 else OWN,
        )
        for n in range(10_000)
    ]
    whole = history(case(), *events)

    began = perf_counter()
    timeline = Timeline(whole)
    for n in range(10_000):
        timeline.effective(n, 10)
        timeline.unanswered(n)
        timeline.notices(n)
        timeline.dials(n)
        timeline.messages(n, frozenset())
        timeline.burst(n, 10)
        timeline.strangers(n, 24)
        timeline.loss(n, 3, 3)
    seconds = perf_counter() - began

    assert seconds < 20


@pytest.mark.parametrize(
    ("product", "lender", "years"),
    [
        ("credit_card", "bank", 2),
        ("credit_card", None, 2),
        ("credit_card", "consumer_finance", 5),
        ("consumer_loan", "bank", 5),
        ("online_loan", "platform", 5),
        ("micro_loan", None, 5),
    ],
)
def test_the_longest_floor_of_product_and_lender_applies(
    product: str, lender: str | None, years: int
) -> None:
    event = case(product=product, **({"lender_type": lender} if lender else {}))

    assert floor_years(event.data.product, event.data.lender_type) == years


def test_years_end_on_the_same_day_and_never_earlier() -> None:
    assert add_years(datetime(2024, 2, 29, 8, tzinfo=UTC), 2) == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert add_years(datetime(2026, 6, 3, tzinfo=UTC), 5) == datetime(2031, 6, 3, tzinfo=UTC)


def test_facts_show_only_the_last_four_digits() -> None:
    assert masked(OWN) == "****0001"
    assert masked(None) == "unknown"

"""Samples are drawn by a seed that anyone can repeat, and tell what the system misses."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from service.db import tenant_session
from service.people.models import DrawMethod
from service.people.reviews_sample import RISK, Unit, ranked, select_units
from tests.factories import Lender, Sender
from tests.people import Auth, act, make_reviewer
from tests.workers.test_watch import QUARTER, add_contact

units = st.lists(
    st.builds(
        Unit,
        st.uuids(version=4),
        st.sampled_from([UUID(int=1), UUID(int=2)]),
        st.sampled_from(list(RISK)),
    ),
    min_size=1,
    max_size=60,
    unique_by=lambda unit: unit.id,
)


@given(frame=units, size=st.integers(1, 60), method=st.sampled_from(list(DrawMethod)))
def test_a_draw_has_its_size_its_chances_and_one_outcome(
    frame: list[Unit], size: int, method: DrawMethod
) -> None:
    size = min(size, len(frame))

    drawn = select_units(frame, method, size, "a-known-seed")

    assert abs(len(drawn) - size) <= (1 if method is DrawMethod.RISK else 0)
    assert all(0 < chance <= 1 + 1e-9 for chance in drawn.values())
    assert drawn == select_units(frame[::-1], method, size, "a-known-seed")
    if method is DrawMethod.STRATIFIED and size >= len({unit.stratum for unit in frame}):
        chosen = {unit.stratum for unit in frame if unit.id in drawn}
        assert chosen == {unit.stratum for unit in frame}


def test_every_contact_is_drawn_as_often_as_its_chance_says() -> None:
    frame = [Unit(UUID(int=n), UUID(int=0), outcome) for n, outcome in enumerate([*RISK] * 10)]
    counts: Counter[UUID] = Counter()
    chances: dict[UUID, float] = {}

    for round_ in range(600):
        drawn = select_units(frame, DrawMethod.RISK, 10, f"seed-{round_}")
        counts.update(list(drawn))
        chances |= drawn

    for unit in ranked(frame, "any"):
        assert counts[unit.id] / 600 == pytest.approx(chances[unit.id], abs=0.09)


def test_readers_estimate_what_the_system_misses(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    with tenant_session(lender.id) as session:
        for _ in range(12):
            add_contact(session, agency, None, QUARTER)
        add_contact(session, agency, "THR-02", QUARTER)
    first, second = make_reviewer(lender), make_reviewer(lender)
    wish = {
        "method": "stratified", "from": "2026-03-01T00:00:00Z", "to": datetime.now(UTC).isoformat(),
        "size": 13, "second_share": 1.0, "seed": "known-seed",
    }  # fmt: skip
    drawn = act(client, lender.auth, "/v1/reviews/samples", wish, expect=201)
    again = act(client, lender.auth, "/v1/reviews/samples", wish, expect=201)
    assert drawn["frame_sha256"] == again["frame_sha256"]
    path = f"/v1/reviews/samples/{drawn['id']}"
    items = client.get(f"{path}/items?reading=first", headers=first).json()["items"]
    assert len(items) == 13

    passed = [item for item in items if item["outcome"] == "pass"]
    for number, item in enumerate(passed):
        door = f"{path}/items/{item['interaction']}"
        read(client, first, door, "first", ["ABU-01"] if number < 3 else [])
    door = f"{path}/items/{passed[0]['interaction']}"
    own = {"reading": "second", "missed": [], "reason": "再听一遍"}
    assert act(client, first, f"{door}/reading", own, expect=409)["code"] == "own_reading"
    unheld = act(client, second, f"{door}/reading", own, expect=409)
    assert unheld["code"] == "lease_lost"
    waiting = client.get(f"{path}/items?reading=second", headers=second).json()["items"]
    assert len(waiting) == 12
    assert client.get(f"{path}/items?reading=second", headers=first).json()["items"] == []
    for number, item in enumerate(passed):
        door = f"{path}/items/{item['interaction']}"
        read(client, second, door, "second", ["ABU-01"] if number < 2 else [])

    shown = client.get(path, headers=lender.auth).json()["misses"]
    assert (shown["drawn"], shown["read"], shown["rules"]) == (12, 12, {"ABU-01": 3})
    assert shown["rate"]["share"] == 0.25
    # The exact interval of 3 in 12.
    assert (round(shown["rate"]["low"], 4), round(shown["rate"]["high"], 4)) == (0.0549, 0.5719)
    told = client.get(
        "/v1/reviews/agreement", params={"from": "2026-03-01T00:00:00Z"}, headers=lender.auth
    ).json()
    assert (told["contacts"]["pairs"], told["contacts"]["agreed"]) == (12, 11)
    assert 0 < told["contacts"]["kappa"]["value"] < 1
    assert [row["second"] for row in told["differences"]] == ["clean"]
    refused = {**wish, "to": wish["from"]}
    assert act(client, lender.auth, "/v1/reviews/samples", refused, expect=422)["errors"]


def read(client: TestClient, auth: Auth, door: str, reading: str, missed: list[str]) -> Any:
    act(client, auth, f"{door}/claim", {"reading": reading})
    body = {"reading": reading, "missed": missed, "reason": "全程听过"}
    made = act(client, auth, f"{door}/reading", body, expect=201)
    assert act(client, auth, f"{door}/reading", body) == made
    return made

"""Everything is killed while events pour in; nothing accepted is lost, nothing is judged twice."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest

from service import db
from service.alerts import endpoints
from tests.factories import (
    Lender,
    Sender,
    encode,
    make_agency,
    make_call,
    make_case,
    make_recording,
    make_sms,
    make_tenant,
    sign,
)
from tests.receiver import Receiver
from tests.workers.system import ROOT, System, running_system
from tests.workers.texts import LAWFUL

AUDIO = (ROOT / "tests" / "data" / "prison_threat.ogg").read_bytes()
CASES, MESSAGES = 40, 5
PATIENCE_S = 120.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def system(receiver: Receiver) -> Iterator[System]:
    with running_system(receiver.address) as made:
        yield made


@dataclass
class Ledger:
    """What the sender knows: Jepsen's sets of tried and acknowledged."""

    tried: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    refusals: Counter[int] = field(default_factory=Counter)


def insist(request: Callable[[], httpx.Response], ledger: Ledger) -> httpx.Response:
    """Repeat a request, as senders do, until it is acknowledged."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            answer = request()
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        if answer.is_success:
            return answer
        ledger.refusals[answer.status_code] += 1
        assert answer.status_code in {503, 507}, answer.text
        time.sleep(0.2)
    raise TimeoutError


def send(
    client: httpx.Client,
    agency: Sender,
    event: dict[str, Any],
    ledger: Ledger,
    *,
    is_doubled: bool = False,
) -> None:
    body, name = encode(event), f"msg_{uuid4().hex}"
    key = event["data"].get("interaction_id")
    if key:
        ledger.tried.add(key)

    def post() -> httpx.Response:
        headers = sign(agency.secret, body, message_id=name)
        return client.post(f"/v1/webhooks/{agency.id}", content=body, headers=headers)

    receipt = insist(post, ledger).json()["receipt"]
    if key:
        ledger.acknowledged.add(key)
    if is_doubled:
        again = insist(post, ledger)
        assert (again.status_code, again.json()["receipt"]) == (200, receipt)


def make_events() -> list[dict[str, Any]]:
    """Lawful messages in many cases, and in each fourth case one at night."""
    events = []
    for case in range(CASES):
        case_id = f"K-{case:02}"
        events.append(make_case(case_id=case_id))
        for day in range(MESSAGES):
            hour = 23 if day == 0 and case % 4 == 0 else 11
            events.append(
                make_sms(
                    case_id=case_id,
                    interaction_id=f"S-{case:02}-{day}",
                    text=LAWFUL,
                    started_at=f"2026-06-{3 + day:02}T{hour}:00:00+08:00",
                )
            )
    return events


def unfinished(system: System) -> int:
    (row,) = system.query(
        "select count(*) from interaction where verdict_id is null"
        " or exists (select 1 from collection_case where checked < wanted)"
        " or exists (select 1 from alert where state = 'pending')"
    )
    count: int = row[0]
    return count


def test_nothing_accepted_is_lost_or_judged_twice(system: System, receiver: Receiver) -> None:
    lender = make_tenant()
    agency = make_agency(lender)
    with db.tenant_session(lender.id) as session:
        wish = endpoints.EndpointWish(url=receiver.url)
        endpoints.add_endpoint(session, tenant_id=lender.id, wish=wish, by="test")
    ledger, dice = Ledger(), random.Random(20261122)  # noqa: S311  a fixed order of events
    events = make_events()
    dice.shuffle(events)

    with httpx.Client(base_url=system.url, timeout=10) as client:
        start_a_call(system, client, lender, agency, ledger)
        for number, event in enumerate(events):
            if number == len(events) // 3:
                wait_for_verdicts(system, 10)
                system.kill_database()
            if number == 2 * len(events) // 3:
                wait_for_verdicts(system, len(events) // 3)
                system.worker.kill()
            send(client, agency, event, ledger, is_doubled=dice.random() < 0.05)
    is_done = system.wait_until(lambda: unfinished(system) == 0, PATIENCE_S)
    assert is_done, (system.folder / "worker.log").read_text()[-4000:]

    judge(system, ledger, receiver)
    assert system.worker.deaths[-signal.SIGKILL] >= 2
    assert system.worker.deaths[1] >= 1  # it ended by itself when it lost its database


def wait_for_verdicts(system: System, count: int) -> None:
    """Wait until the worker is in the midst of its work."""
    statement = f"select count(*) >= {count} from verdict"
    assert system.wait_until(lambda: system.query(statement) == [(True,)], PATIENCE_S)


def start_a_call(
    system: System, client: httpx.Client, lender: Lender, agency: Sender, ledger: Ledger
) -> None:
    """Have a call heard, and kill its worker in the middle of it."""
    call = make_call(
        interaction_id="C-1", case_id="K-C", recording=make_recording(AUDIO, duration_seconds=20.4)
    )
    name = call["data"]["recording"]["sha256"]
    send(client, agency, make_case(case_id="K-C"), ledger)
    send(client, agency, call, ledger)
    insist(lambda: client.put(f"/v1/recordings/{name}", content=AUDIO, headers=agency.auth), ledger)
    claimed = "select 1 from interaction where state = 'transcribing' and lease_until > now()"
    assert system.wait_until(lambda: bool(system.query(claimed)), 60)
    system.worker.kill()


def judge(system: System, ledger: Ledger, receiver: Receiver) -> None:
    """Account for everything: lost, unexpected, twice, and told once."""
    present = {
        name: (count, outcome)
        for name, count, outcome in system.query(
            "select i.interaction_id, count(v.id), min(v.outcome) from interaction i"
            " left join verdict v on v.interaction_id = i.id group by i.id, i.interaction_id"
        )
    }
    assert len(ledger.acknowledged) == CASES * MESSAGES + 1
    assert ledger.acknowledged - set(present) == set()  # lost
    assert set(present) - ledger.tried == set()  # unexpected
    messages = {name: found for name, found in present.items() if name != "C-1"}
    assert {name for name, (count, _) in messages.items() if count != 1} == set()  # twice
    failed = {name for name, (_, outcome) in messages.items() if outcome == "fail"}
    assert failed == {f"S-{case:02}-0" for case in range(0, CASES, 4)}

    assert system.query("select count(*) from transcript") == [(1,)]
    assert present["C-1"][1] == "fail"
    assert system.query("select attempt >= 2 from interaction where interaction_id = 'C-1'") == [
        (True,)
    ]
    told = Counter(request.headers["webhook-id"] for request in receiver.requests)
    stored = system.query("select message_id, state from alert")
    assert len(stored) == len(failed) + 1
    assert {name for name, _ in stored} == set(told)
    assert {state for _, state in stored} == {"delivered"}


def test_a_worker_ends_in_order_when_told_to(system: System) -> None:
    registered = "select 1 from procrastinate_workers"
    assert system.wait_until(lambda: len(system.query(registered)) == 2, 60)

    assert system.worker.stop() == 0

    assert system.query(registered) == []

"""Marked names, numbers and words are driven down the road, and found nowhere they may not be."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service import db, endpoints
from tests.factories import (
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

AUDIO = (ROOT / "tests" / "data" / "prison_threat.ogg").read_bytes()
JUNK = b"no recording at all" * 50
NAME, PHONE, WORDS, COLLECTOR = "欧阳金丝雀", "+8613900017654", "柠檬三轮车暗号", "司徒信天翁"
SPOKEN = ("坐牢", "做牢", "判三年")
MARKS = (NAME, PHONE, PHONE.removeprefix("+86"), WORDS, COLLECTOR, *SPOKEN)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def system(receiver: Receiver) -> Iterator[System]:
    with running_system(receiver.address, HEGUI_LOG_LEVEL="DEBUG") as made:
        yield made


def drive(system: System, receiver: Receiver) -> None:
    """Send what holds the marks along every branch: good, bad, heard, unheard, alerted."""
    lender = make_tenant()
    agency = make_agency(lender)
    with db.tenant_session(lender.id) as session:
        wish = endpoints.EndpointWish(url=receiver.url)
        endpoints.add_endpoint(session, tenant_id=lender.id, wish=wish, by="test")
    who = {"party": {"role": "debtor", "phone": PHONE}, "collector": {"id": "1", "name": COLLECTOR}}
    night = "2026-06-03T23:30:00+08:00"
    events = [
        make_case(debtor={"name": NAME, "phones": [PHONE]}),
        make_sms(interaction_id="A", text=f"{NAME}{WORDS}", started_at=night, **who),
        make_call(interaction_id="B", recording=make_recording(AUDIO), **who),
        make_call(interaction_id="C", recording=make_recording(JUNK), **who),
        make_sms(interaction_id="D", case_id="K-2", text=WORDS, **who),
        make_sms(interaction_id="D", case_id="K-3", text=WORDS, **who),
        make_sms(interaction_id="E", channel="pigeon", text=WORDS, **who),
    ]
    transport = httpx.HTTPTransport(retries=20)
    with httpx.Client(base_url=system.url, timeout=20, transport=transport) as client:
        assert system.wait_until(lambda: is_up(client), 30)
        statuses = []
        for event in events:
            body = encode(event)
            url = f"/v1/webhooks/{agency.id}"
            answer = client.post(url, content=body, headers=sign(agency.secret, body))
            statuses.append(answer.status_code)
        for audio in (AUDIO, JUNK):
            name = make_recording(audio)["sha256"]
            put = client.put(f"/v1/recordings/{name}", content=audio, headers=agency.auth)
            assert put.is_success
    assert statuses == [202, 202, 202, 202, 202, 409, 422]


def is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").is_success
    except httpx.TransportError:
        return False


def test_marks_stay_where_they_belong(system: System, receiver: Receiver) -> None:
    drive(system, receiver)
    open_ = "select count(*) from interaction where verdict_id is null"
    pending = "select count(*) from alert where state = 'pending'"
    assert system.wait_until(lambda: system.query(open_) == [(0,)], 120)
    assert system.wait_until(lambda: system.query(pending) == [(0,)], 30)
    assert len(receiver.requests) >= 2

    places = {
        "alerts sent": "\n".join(
            f"{request.headers} {request.body.decode()}" for request in receiver.requests
        ),
        "log of the API": read(system.folder / "api.log"),
        "log of the worker": read(system.folder / "worker.log"),
        "log of the database": read(system.folder / "pg" / "server.log"),
        **{
            f"table {table}": str(system.query(f"select t::text from {table} as t"))
            for table in (
                "procrastinate_jobs",
                "procrastinate_events",
                "procrastinate_periodic_defers",
                "alert",
                "audit_entry",
            )
        },
    }

    assert len(places["log of the worker"]) > 1000
    found = [(place, mark) for place, text in places.items() for mark in MARKS if is_in(mark, text)]
    assert found == []


def read(path: Path) -> str:
    return path.read_text(errors="replace")


def is_in(mark: str, text: str) -> bool:
    """Also as JSON writes it where it escapes what is not ASCII."""
    return mark in text or mark.encode("unicode_escape").decode() in text

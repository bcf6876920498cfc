"""Marked names, numbers and words are driven down the road, and found nowhere they may not be."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service import db
from service.alerts import endpoints
from tests.factories import (
    Lender,
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


def drive(system: System, receiver: Receiver) -> tuple[Lender, str]:
    """Send what holds the marks along every branch: good, bad, heard, unheard, alerted.

    Gives the lender, and the text of every refusal.
    """
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
        statuses, refusals = [], ""
        for event in events:
            body = encode(event)
            url = f"/v1/webhooks/{agency.id}"
            answer = client.post(url, content=body, headers=sign(agency.secret, body))
            statuses.append(answer.status_code)
            refusals += answer.text if answer.is_error else ""
        for audio in (AUDIO, JUNK):
            name = make_recording(audio)["sha256"]
            put = client.put(f"/v1/recordings/{name}", content=audio, headers=agency.auth)
            assert put.is_success, put.text
    assert statuses == [202, 202, 202, 202, 202, 409, 422]
    return lender, refusals


def use(system: System, lender: Lender) -> dict[str, str]:
    """Read, report, review and ask for a person's data; gives the metrics and the refusals."""
    refusals = ""
    span = {"from": "2026-06-01", "to": "2026-06-30"}
    with httpx.Client(base_url=system.url, timeout=60, headers=lender.auth) as client:
        agency = client.get("/v1/agencies").json()["items"][0]["id"]
        assert client.get(f"/v1/reports/agencies/{agency}", params=span).is_success
        finding = client.get("/v1/findings").json()["items"][0]
        told = {"decision": "confirm", "reason": f"{NAME}{WORDS}{PHONE}"}
        assert client.post(f"/v1/findings/{finding['id']}/claim").is_success
        assert client.post(f"/v1/findings/{finding['id']}/review", json=told).is_success
        for act in ("access", "export", "erasure"):
            answer = client.post(f"/v1/subjects/{act}", json={"phone": PHONE})
            refusals += answer.text if answer.is_error else ""
        refusals += client.post("/v1/subjects/access", json={"phone": WORDS}).text
        refusals += client.get("/v1/interactions", params={"cursor": PHONE}).text
        return {"refusals": refusals, "metrics": client.get("/metrics").text}


def is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").is_success
    except httpx.TransportError:
        return False


@pytest.mark.asvs("16.2.5")
def test_marks_stay_where_they_belong(system: System, receiver: Receiver) -> None:
    lender, refusals = drive(system, receiver)
    open_ = "select count(*) from interaction where verdict_id is null"
    pending = "select count(*) from alert where state = 'pending'"
    assert system.wait_until(lambda: system.query(open_) == [(0,)], 240)
    assert system.wait_until(lambda: system.query(pending) == [(0,)], 30)
    assert len(receiver.requests) >= 2

    used = use(system, lender)
    assert "erasure_refused" in used["refusals"]
    assert "hegui_http_answers_total" in used["metrics"]

    places = {
        "refusals": refusals,
        **used,
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
                "ledger_entry",
                "person_phone",
                "data_key",
                "rate_state",
            )
        },
    }

    assert len(places["log of the worker"]) > 1000
    found = [(place, mark) for place, text in places.items() for mark in MARKS if is_in(mark, text)]
    assert found == []
    # Who an event is about is sealed; the words themselves are what is judged.
    held = str(system.query("select t::text from event as t where body->'data'->>'text' is null"))
    assert [mark for mark in (NAME, PHONE[1:], COLLECTOR) if is_in(mark, held)] == []


def read(path: Path) -> str:
    return path.read_text(errors="replace")


def is_in(mark: str, text: str) -> bool:
    """Also as JSON writes it where it escapes what is not ASCII."""
    return mark in text or mark.encode("unicode_escape").decode() in text

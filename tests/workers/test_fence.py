"""Work that is cut short is taken up again, and only the one who holds it may store a result."""

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient

from rules.events import Segment, Speaker
from rules.model import Outcome, Verdict
from service.check import load_case, store_verdicts
from service.clock import now
from service.db import front_door_session, tenant_session
from service.keeping.storage import store
from service.models import (
    AuditEntry,
    CollectionCase,
    Heartbeat,
    InteractionRow,
    TranscriptRow,
    VerdictRow,
)
from service.privacy.sealed_words import segments_of
from service.transcribe import Heard, Hearing, begin, load_recording, store_transcript
from service.work import LEASE, MAX_TRIES, LostLeaseError, renew
from tests.conftest import Database
from tests.factories import (
    Lender,
    Sender,
    make_call,
    make_case,
    make_recording,
    make_sms,
    post_event,
    put_recording,
)
from tests.receiver import Receiver
from tests.workers.texts import LAWFUL
from workers.reconcile import reconcile, reconcile_tenant

WAITING = "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
JUNK = b"this is a letter and not a recording" * 20


def hearing(lender: Lender, *, later: timedelta = timedelta()) -> Hearing | None:
    """Claim the only interaction, as a worker would at that time."""
    with tenant_session(lender.id) as session:
        row = session.exec(select(InteractionRow)).one()
        found = load_recording(
            session, tenant_id=lender.id, interaction_id=row.id, now=now() + later
        )
    if found is not None:
        with tenant_session(lender.id) as session:
            begin(session, found)
    return found


def heard(text: str) -> Heard:
    segment = Segment(speaker=Speaker.COLLECTOR, start=0, end=2, text=text)
    return Heard((segment,), "openai-whisper", "0" * 64, {}, 2.0, 0.0)


def interaction(lender: Lender) -> InteractionRow:
    with tenant_session(lender.id) as session:
        return session.exec(select(InteractionRow)).one()


@pytest.fixture
def unheard(client: TestClient, agency: Sender) -> None:
    """A call whose bytes are here and that nobody has heard."""
    post_event(client, agency, make_case())
    put_recording(client, agency, JUNK)
    post_event(client, agency, make_call(recording=make_recording(JUNK)))


@pytest.mark.usefixtures("unheard")
def test_a_zombies_late_result_is_refused(lender: Lender) -> None:
    zombie = hearing(lender)
    assert zombie is not None
    assert hearing(lender) is None  # while the lease lives nobody else gets it
    successor = hearing(lender, later=LEASE + timedelta(seconds=1))
    assert successor is not None
    assert successor.attempt == zombie.attempt + 1

    with pytest.raises(LostLeaseError), tenant_session(lender.id) as session:
        store_transcript(session, zombie, heard("来自僵尸"), now=now())
    with tenant_session(lender.id) as session:
        assert session.exec(select(TranscriptRow)).all() == []
        assert not renew(session, zombie.interaction_id, zombie.attempt, now=now())
        store_transcript(session, successor, heard("来自后继"), now=now())
    with pytest.raises(LostLeaseError), tenant_session(lender.id) as session:
        store_transcript(session, zombie, heard("来自僵尸"), now=now())

    with tenant_session(lender.id) as session:
        (kept,) = session.exec(select(TranscriptRow)).all()
    assert segments_of(kept)[0]["text"] == "来自后继"
    assert interaction(lender).state == "transcribed"


def test_a_check_that_was_overtaken_writes_nothing(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    post_event(client, agency, make_sms(text=LAWFUL))
    with tenant_session(lender.id) as session:
        case_uuid = session.exec(select(CollectionCase)).one().id
        slow = load_case(session, tenant_id=lender.id, case_uuid=case_uuid, now=now())
    assert slow is not None
    later = now() + LEASE + timedelta(seconds=1)
    with tenant_session(lender.id) as session:
        quick = load_case(session, tenant_id=lender.id, case_uuid=case_uuid, now=later)
    assert quick is not None
    (held,) = quick.held.values()
    verdict = Verdict(
        interaction_id=held.interaction_id,
        agency_id=str(held.agency_id),
        outcome=Outcome.PASS,
        findings=(),
        pack="collection",
        pack_digest="0" * 64,
    )

    with pytest.raises(LostLeaseError), tenant_session(lender.id) as session:
        store_verdicts(session, slow, [verdict], base_url="http://x", now=now())
    with tenant_session(lender.id) as session:
        assert store_verdicts(session, quick, [verdict], base_url="http://x", now=now()) == 1
    with pytest.raises(LostLeaseError), tenant_session(lender.id) as session:
        store_verdicts(session, slow, [verdict], base_url="http://x", now=now())

    with tenant_session(lender.id) as session:
        assert len(session.exec(select(VerdictRow)).all()) == 1


@pytest.mark.usefixtures("unheard")
def test_a_recording_that_keeps_ending_its_worker_is_set_aside(
    lender: Lender, run_jobs: Callable[[], None]
) -> None:
    for death in range(MAX_TRIES):
        claimed = hearing(lender, later=(LEASE + timedelta(seconds=1)) * death)
        assert claimed is not None
    assert hearing(lender, later=(LEASE + timedelta(seconds=1)) * MAX_TRIES) is None

    run_jobs()

    row = interaction(lender)
    assert (row.state, row.outcome) == ("undecodable", "error")
    assert row.reason == "set_aside: transcription was cut short 3 times"


def test_a_case_that_keeps_ending_its_worker_is_set_aside_until_it_changes(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> None:
    post_event(client, agency, make_case())
    post_event(client, agency, make_sms(text=LAWFUL))
    with tenant_session(lender.id) as session:
        case = session.exec(select(CollectionCase)).one()
        case.tries = MAX_TRIES
    run_jobs()
    assert interaction(lender).outcome == "error"
    with tenant_session(lender.id) as session:
        verdict = session.exec(select(VerdictRow)).one()
        assert verdict.reasons == ["set_aside: its check was cut short 3 times"]
        acts = session.exec(select(AuditEntry.action)).all()
        assert acts.count("case_set_aside") == 1

    post_event(client, agency, make_case(timestamp="2026-06-05T09:00:00+08:00"))
    run_jobs()
    assert interaction(lender).outcome == "pass"


def forget_jobs(database: Database, status: str) -> None:
    """Leave every job as a worker does whose connection died at the wrong moment."""
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(f"update procrastinate_jobs set status = '{status}'".encode())


@pytest.mark.parametrize("status", ["doing", "succeeded", "failed"])
def test_what_the_queue_has_forgotten_is_found_in_our_tables(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    database: Database,
    run_jobs: Callable[[], None],
    status: str,
) -> None:
    post_event(client, agency, make_case())
    post_event(client, agency, make_sms(text=LAWFUL))
    forget_jobs(database, status)
    run_jobs()
    assert interaction(lender).outcome is None

    assert reconcile_tenant(lender.id, now=now()) == {"check": 1}
    assert reconcile_tenant(lender.id, now=now()) == {}
    run_jobs()

    assert interaction(lender).outcome == "pass"


def test_old_rows_of_the_queue_go_and_live_ones_stay(
    client: TestClient, lender: Lender, agency: Sender, database: Database
) -> None:
    """A failed job and a dead worker's job of last week go; waiting and running ones stay."""
    ages = {"todo": 30, "failed": 8, "doing": 8, "cancelled": 6}
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        connection.execute(
            "insert into procrastinate_workers (id, last_heartbeat)"
            " overriding system value values (7, now()), (8, now() - interval '9 days')"
        )
        for worker in (7, 8):
            for status, days in ages.items():
                connection.execute(
                    "insert into procrastinate_jobs (queue_name, task_name, lock, worker_id)"
                    " values ('rules', 'check', %s, %s)",
                    (f"{status}-{worker}", worker),
                )
                connection.execute(
                    "update procrastinate_jobs set status = %s::procrastinate_job_status"
                    " where lock = %s",
                    (status, f"{status}-{worker}"),
                )
                connection.execute(
                    "update procrastinate_events set at = now() - make_interval(days => %s)"
                    " where job_id = (select id from procrastinate_jobs where lock = %s)",
                    (days, f"{status}-{worker}"),
                )

    reconcile(0)

    with psycopg.connect(database.superuser_url) as connection:
        left = connection.execute("select lock from procrastinate_jobs order by lock").fetchall()
    assert [name for (name,) in left if name] == [
        "cancelled-7", "cancelled-8", "doing-7", "todo-7", "todo-8",
    ]  # fmt: skip


def test_a_recording_that_never_comes_is_not_waited_for_for_ever(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> None:
    post_event(client, agency, make_case())
    post_event(client, agency, make_call(recording=make_recording(JUNK)))
    run_jobs()
    assert reconcile_tenant(lender.id, now=now() + timedelta(hours=23)) == {}
    assert interaction(lender).state == "waiting"

    assert reconcile_tenant(lender.id, now=now() + timedelta(hours=25)) == {"missing": 1}
    run_jobs()

    row = interaction(lender)
    assert (row.state, row.reason) == ("missing", "never_received")
    assert row.outcome in {"inconclusive", "fail"}


@pytest.mark.usefixtures("clean")
def test_the_reconcile_step_leaves_a_sign_of_life(database: Database) -> None:
    reconcile(0)

    with front_door_session() as session:
        beat = session.exec(select(Heartbeat).where(col(Heartbeat.name) == "reconcile")).one()
    assert now() - beat.at < timedelta(seconds=10)


def call_with_url(receiver: Receiver, path: str, audio: bytes) -> dict[str, object]:
    return make_call(recording=make_recording(audio, url=f"{receiver.url}{path}"))


def test_a_recording_is_fetched_kept_and_honestly_called_undecodable(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    receiver: Receiver,
    run_jobs: Callable[[], None],
) -> None:
    receiver.serve("/call.wav", JUNK)
    post_event(client, agency, make_case())
    post_event(client, agency, call_with_url(receiver, "/call.wav", JUNK))

    run_jobs()

    row = interaction(lender)
    assert (row.state, row.outcome) == ("undecodable", "error")
    assert row.reason
    assert b"".join(store().read(lender.id, hashlib.sha256(JUNK).hexdigest())) == JUNK
    with tenant_session(lender.id) as session:
        (verdict,) = session.exec(select(VerdictRow)).all()
    assert verdict.reasons


@pytest.mark.parametrize(
    ("path", "reason", "state"),
    [
        ("/absent", "fetch_failed: http_204", "fetching"),
        ("/other", "fetch_failed: digest_mismatch", "waiting"),
        ("https://169.254.169.254/x", "fetch_failed: address_refused", "waiting"),
    ],
)
def test_what_cannot_be_fetched_waits_for_the_bytes_with_a_reason(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    receiver: Receiver,
    run_jobs: Callable[[], None],
    path: str,
    reason: str,
    state: str,
) -> None:
    receiver.serve("/other", b"other bytes")
    url = path if path.startswith("https") else f"{receiver.url}{path}"
    post_event(client, agency, make_call(recording=make_recording(JUNK, url=url)))

    run_jobs()

    row = interaction(lender)
    assert (row.state, row.reason, row.outcome) == (state, reason, None)
    assert not store().exists(lender.id, hashlib.sha256(JUNK).hexdigest())

    put_recording(client, agency, JUNK)
    assert interaction(lender).state == "transcribing"


def test_ids_of_another_lender_lead_nowhere(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    post_event(client, agency, make_sms(text=LAWFUL))
    with tenant_session(lender.id) as session:
        case_uuid = session.exec(select(CollectionCase)).one().id

    other = UUID(int=7)
    with tenant_session(other) as session:
        assert load_case(session, tenant_id=other, case_uuid=case_uuid, now=now()) is None


def test_a_check_waits_for_the_event_that_found_its_job_waiting(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    database: Database,
    run_jobs: Callable[[], None],
) -> None:
    post_event(client, agency, make_case())
    run_jobs()

    def check() -> int | None:
        with tenant_session(lender.id) as session:
            case = session.exec(select(CollectionCase)).one()
            work = load_case(session, tenant_id=lender.id, case_uuid=case.id, now=now())
            return None if work is None else work.wanted

    with ThreadPoolExecutor(1) as pool, psycopg.connect(database.app_url) as storing:
        storing.execute("select set_config('app.tenant_id', %s, true)", [str(lender.id)])
        storing.execute("update collection_case set wanted = wanted + 1")
        found = pool.submit(check)
        while not found.done() and not storing.execute(WAITING).fetchone():
            time.sleep(0.01)
        storing.commit()

        assert found.result(10) == 2

"""Purge runs: listed, left to wait, approved by another person, removed, certified."""

import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from starlette.testclient import TestClient

from service.db import tenant_session
from service.errors import ConflictError, ForbiddenError
from service.keeping import holds, purge
from service.keeping.holds import HoldWish
from service.keeping.retention_models import PurgeRun
from service.keeping.storage import store
from tests.conftest import Database
from tests.factories import Lender, Sender, make_recording, make_sms, post_event
from tests.retention import keep_bytes, let_time_pass, make_kept_call, rows, tick, where
from workers.keeping import protect_recordings, run_purge

ROOT = Path(__file__).parents[2]
LONG_AGO = datetime.now(UTC) - timedelta(days=2000)
WEEK = timedelta(days=7)
CARD = {"lender_type": "bank"}


def plan(lender: Lender, by: str = "proposer") -> PurgeRun:
    with tenant_session(lender.id) as session:
        return purge.plan_purge(
            session, tenant_id=lender.id, by=by, cooling=WEEK, limit=100, now=datetime.now(UTC)
        )


def approve(lender: Lender, run: PurgeRun, by: str = "approver", digest: str = "") -> PurgeRun:
    with tenant_session(lender.id) as session:
        return purge.approve_purge(
            session, run.id, list_sha256=digest or run.list_sha256, by=by, now=datetime.now(UTC)
        )


def ended(lender: Lender, run_id: UUID) -> PurgeRun:
    with tenant_session(lender.id) as session:
        return purge.get_purge(session, run_id)


@pytest.fixture
def expired(client: TestClient, lender: Lender, agency: Sender) -> list[str]:
    """Three recordings of credit cards, long past their two years; the clock was seen."""
    tick()
    return [
        make_kept_call(client, agency, b"old %d" % number, started_at=LONG_AGO, case=CARD)
        for number in range(3)
    ]


@pytest.mark.asvs("14.2.7")
def test_a_recording_goes_only_after_list_wait_and_second_check(
    lender: Lender, expired: list[str], database: Database
) -> None:
    run = plan(lender)
    assert run.listed == 3
    copied = {sha256: where(lender, sha256).read_bytes() for sha256 in expired}
    assert rows(database.superuser_url, "select count(*) from recording_key") == [(3,)]
    with pytest.raises(ConflictError, match="waits until"):
        approve(lender, run)
    with pytest.raises(ConflictError, match="No recording is due"):
        plan(lender)

    let_time_pass(database.superuser_url, timedelta(days=8))
    with pytest.raises(ForbiddenError):
        approve(lender, run, by="proposer")
    with pytest.raises(ConflictError, match="digest"):
        approve(lender, run, digest="0" * 64)
    approve(lender, run)
    assert run_purge(lender.id, run.id) == 3

    done = ended(lender, run.id)
    assert (done.state, done.approved_by) == ("done", "approver")
    assert not any(where(lender, sha256).exists() for sha256 in expired)
    certificate = done.certificate
    assert certificate is not None
    assert [item["sha256"] for item in certificate["items"]] == sorted(expired)
    canonical = orjson.dumps(certificate, option=orjson.OPT_SORT_KEYS)
    assert hashlib.sha256(canonical).hexdigest() == done.certificate_sha256
    assert certificate["list_sha256"] == run.list_sha256
    kept = rows(database.superuser_url, "select count(purged_at), count(*) from recording")
    assert kept == [(3, 3)], "the rows stay as tombstones"
    # Somebody brings the files back from a copy: their keys are gone, and they open nowhere.
    assert rows(database.superuser_url, "select * from recording_key") == []
    for sha256, sealed in copied.items():
        where(lender, sha256).write_bytes(sealed)
        assert not store().exists(lender.id, sha256)
        where(lender, sha256).unlink()
    acts = rows(database.superuser_url, "select action from audit_entry order by seq")
    assert [act for (act,) in acts if act.startswith("purge")] == [
        "purge_planned", "purge_approved", "purge_certified",
    ]  # fmt: skip


def test_what_is_needed_again_by_then_is_kept(
    client: TestClient, lender: Lender, agency: Sender, expired: list[str], database: Database
) -> None:
    run = plan(lender)
    let_time_pass(database.superuser_url, timedelta(days=8))
    with tenant_session(lender.id) as session:
        holds.place_hold(
            session,
            tenant_id=lender.id,
            wish=HoldWish("投诉", sha256=expired[0]),
            by="t",
            now=datetime.now(UTC),
        )
    make_kept_call(client, agency, b"old 1", started_at=datetime.now(UTC), case_id="K-2")
    approve(lender, run)
    with tenant_session(lender.id) as session:
        wish = HoldWish("诉讼", sha256=expired[2])
        holds.place_hold(session, tenant_id=lender.id, wish=wish, by="t", now=datetime.now(UTC))

    assert run_purge(lender.id, run.id) == 0
    with tenant_session(lender.id) as session:
        items = purge.list_items(session, run.id)
    reasons = {item.sha256: item.reason for item in items}
    assert reasons == {
        expired[0]: "held", expired[1]: "under_retention", expired[2]: "held"
    }  # fmt: skip
    assert all(where(lender, sha256).exists() for sha256 in expired)
    assert ended(lender, run.id).certificate_sha256


def test_bytes_of_another_lender_are_another_file(
    client: TestClient, lender: Lender, expired: list[str], database: Database
) -> None:
    from tests.factories import make_agency, make_tenant

    other = make_tenant("乙银行")
    sha256 = keep_bytes(make_agency(other), b"old 0")
    run = plan(lender)
    let_time_pass(database.superuser_url, timedelta(days=8))
    approve(lender, run)

    assert run_purge(lender.id, run.id) == 3
    assert b"".join(store().read(other.id, sha256)) == b"old 0"
    assert rows(database.superuser_url, "select tenant_id from recording_key") == [(other.id,)]


def test_bytes_that_come_again_are_kept_again(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    expired: list[str],
    database: Database,
    run_jobs: Any,
) -> None:
    run = plan(lender)
    let_time_pass(database.superuser_url, timedelta(days=8))
    approve(lender, run)
    run_jobs()
    assert ended(lender, run.id).state == "done"
    audio = b"old 0"

    call = {"interaction_id": "C-NEW", "channel": "call", "outcome": "answered", "text": None}
    posted = post_event(client, agency, make_sms(**call, recording=make_recording(audio)))
    assert posted.status_code == 202
    query = "select state from interaction where interaction_id = 'C-NEW'"
    assert rows(database.superuser_url, query) == [("waiting",)], "a tombstone is no recording"
    answer = client.put(f"/v1/recordings/{expired[0]}", content=audio, headers=agency.auth)

    assert answer.status_code == 201
    assert rows(database.superuser_url, query) == [("transcribing",)]
    [(purged, until)] = rows(
        database.superuser_url,
        "select purged_at, retain_until from recording where sha256 = %s",
        expired[0],
    )
    assert purged is None
    assert until > datetime.now(UTC)
    with tenant_session(lender.id) as session:
        states = {item.sha256: item.state for item in purge.list_items(session, run.id)}
    assert states[expired[0]] == "removed", "the tombstone of the first removal stays"


def test_what_the_store_keeps_is_not_called_removed(
    lender: Lender, expired: list[str], database: Database
) -> None:
    run = plan(lender)
    let_time_pass(database.superuser_url, timedelta(days=8))
    far = datetime.now(UTC) + timedelta(days=400)
    store().protect(lender.id, expired[1], until=far, held=False)
    approve(lender, run)

    assert run_purge(lender.id, run.id) == 2
    with tenant_session(lender.id) as session:
        reasons = {item.sha256: item.reason for item in purge.list_items(session, run.id)}
    assert reasons[expired[1]] == "refused_by_store"
    assert where(lender, expired[1]).exists()
    query = "select purged_at from recording where sha256 = %s"
    assert rows(database.superuser_url, query, expired[1]) == [(None,)]


KILLED = """
import os, sys
from uuid import UUID
from service.keeping import purge, storage
from service.db import tenant_session
from workers.keeping import run_purge

def after(function, left):
    def wrapped(*given, **named):
        result = function(*given, **named)
        left[0] -= 1
        if left[0] == 0:
            os._exit(137)
        return result
    return wrapped

place, number = sys.argv[3], [int(sys.argv[4])]
if place == "bytes":
    storage.LocalStore.remove = after(storage.LocalStore.remove, number)
else:
    setattr(purge, place, after(getattr(purge, place), number))
run_purge(UUID(sys.argv[1]), UUID(sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("place", "number"),
    [("begin_removal", 1), ("bytes", 2)],
)
def test_a_killed_run_goes_on_where_it_stood(
    lender: Lender, expired: list[str], database: Database, place: str, number: int
) -> None:
    run = plan(lender)
    let_time_pass(database.superuser_url, timedelta(days=8))
    protect_recordings(lender.id)
    approve(lender, run)
    command = [sys.executable, "-c", KILLED, str(lender.id), str(run.id), place, str(number)]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), check=False, timeout=120)
    assert done.returncode == 137

    assert run_purge(lender.id, run.id) is None, "the dead worker's lease still stands"
    let_time_pass(database.superuser_url, timedelta(minutes=5), ticking=False)
    assert run_purge(lender.id, run.id) is not None

    finished = ended(lender, run.id)
    assert finished.certificate is not None
    assert finished.certificate["removed"] == 3
    assert not any(where(lender, sha256).exists() for sha256 in expired)


def test_after_a_jump_of_the_clock_nothing_is_listed_or_removed(
    client: TestClient, lender: Lender, agency: Sender, database: Database
) -> None:
    tick()
    fresh = make_kept_call(client, agency, b"new", started_at=datetime.now(UTC), case=CARD)
    old = make_kept_call(client, agency, b"old", started_at=LONG_AGO, case=CARD, case_id="K-2")
    run = plan(lender)
    let_time_pass(database.superuser_url, timedelta(days=1100), ticking=False)

    for seen in (False, True):
        if seen:
            tick()  # the keeper goes on as if nothing had happened
        with pytest.raises(ConflictError, match="clock"):
            plan(lender)
        with pytest.raises(ConflictError, match="clock"):
            approve(lender, run)
    assert where(lender, fresh).exists()
    assert where(lender, old).exists()


def test_only_the_lender_sees_and_moves_runs(
    client: TestClient, lender: Lender, agency: Sender, expired: list[str]
) -> None:
    run = plan(lender)
    seen: list[Any] = []
    with tenant_session(lender.id, agency_id=agency.id) as session:
        seen += purge.list_purges(session).rows
        seen += holds.list_holds(session).rows
        seen += purge.list_items(session, run.id)

    assert seen == []

"""One lender's flood neither passes its limit nor takes the turns of another lender's work."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest
from starlette.testclient import TestClient

from service import limits
from service.db import tenant_session
from service.errors import InvalidInputError, LimitedError, NotFoundError
from service.limits import Limit
from service.privacy.models import LimitKind
from tests.conftest import Database
from tests.factories import Lender, Sender, make_agency, make_sms, make_tenant, post_event


def set_limit(
    lender: Lender,
    kind: LimitKind,
    amount: int,
    *,
    agency_id: UUID | None = None,
    period_s: int = 3600,
) -> None:
    with tenant_session(lender.id) as session:
        limits.set_limit(
            session,
            tenant_id=lender.id,
            agency_id=agency_id,
            kind=kind,
            limit=Limit(amount, period_s, amount),
            by="test",
        )
    limits.forget_limits()


def passed(lender: Lender, kind: LimitKind, tries: int, agency_id: UUID | None = None) -> int:
    """How many of so many requests are let through by processes that know nothing of each other."""
    count = 0
    for _ in range(tries):
        limits.forget_limits()
        try:
            limits.spend(lender.id, agency_id, kind)
        except LimitedError:
            continue
        count += 1
    return count


@pytest.mark.asvs("2.4.1")
def test_requests_over_the_limit_are_429_and_say_when_to_come_back(
    client: TestClient, lender: Lender
) -> None:
    set_limit(lender, LimitKind.REQUESTS, 3)

    answers = [client.get("/v1/agencies", headers=lender.auth) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    refused = answers[3]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "limited"
    assert 0 < int(refused.headers["retry-after"]) <= 1200
    assert refused.headers["ratelimit-policy"] == '"requests";q=3;w=3600'
    assert refused.headers["ratelimit"] == '"requests";r=0'
    assert answers[0].headers["ratelimit"] == '"requests";r=2'
    assert client.get("/v1/agencies", headers=make_tenant("another").auth).status_code == 200


def test_webhooks_over_an_agencys_own_limit_are_refused_and_its_neighbours_are_not(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    other = make_agency(lender)
    set_limit(lender, LimitKind.EVENTS, 2, agency_id=agency.id)

    mine = [post_event(client, agency, make_sms()).status_code for _ in range(4)]
    theirs = [post_event(client, other, make_sms()).status_code for _ in range(4)]

    assert mine == [202, 202, 429, 429]
    assert theirs == [202] * 4


def test_a_limit_comes_back_at_its_rate(client: TestClient, lender: Lender) -> None:
    set_limit(lender, LimitKind.REQUESTS, 2, period_s=1)

    assert passed(lender, LimitKind.REQUESTS, 5) == 2
    time.sleep(0.6)
    assert passed(lender, LimitKind.REQUESTS, 5) == 1


@pytest.mark.asvs("2.4.1")
def test_many_processes_at_once_do_not_pass_a_limit(client: TestClient, lender: Lender) -> None:
    set_limit(lender, LimitKind.EVENTS, 50)
    barrier = threading.Barrier(8)

    def flood() -> int:
        barrier.wait()
        return passed(lender, LimitKind.EVENTS, 30)

    with ThreadPoolExecutor(8) as pool:
        counts = [future.result() for future in [pool.submit(flood) for _ in range(8)]]

    assert 45 <= sum(counts) <= 50


def test_a_busy_process_asks_the_database_seldom_and_an_idle_one_gives_nothing_away(
    database: Database, client: TestClient, lender: Lender
) -> None:
    set_limit(lender, LimitKind.EVENTS, 100_000)

    for _ in range(2000):
        if not limits.is_free(lender.id, None, LimitKind.EVENTS):
            limits.spend(lender.id, None, LimitKind.EVENTS)

    with psycopg.connect(database.superuser_url) as connection:
        (ahead,) = connection.execute(
            "select extract(epoch from arrives_at - now()) / 3600 * 100000 from rate_state"
            " where tenant_id = %s",
            (lender.id,),
        ).fetchone() or (0,)
    assert 1900 <= ahead <= 4100
    limits.forget_limits()
    limits.spend(lender.id, None, LimitKind.EVENTS)


def test_requests_at_once_of_one_process_spend_one_token_each(
    database: Database, client: TestClient, lender: Lender
) -> None:
    set_limit(lender, LimitKind.EVENTS, 100_000, period_s=1_000_000)
    barrier = threading.Barrier(32)

    def flood() -> None:
        barrier.wait()
        for _ in range(250):
            time.sleep(0.0005)  # the others' turn
            if not limits.is_free(lender.id, None, LimitKind.EVENTS):
                limits.spend(lender.id, None, LimitKind.EVENTS)

    with ThreadPoolExecutor(32) as pool:
        for future in [pool.submit(flood) for _ in range(32)]:
            future.result()

    with psycopg.connect(database.superuser_url) as connection:
        (ahead,) = connection.execute(
            "select extract(epoch from arrives_at - now()) / 10 from rate_state"
            " where tenant_id = %s",
            (lender.id,),
        ).fetchone() or (0,)
    # What this process holds at the end is less than two of its largest draws.
    assert 7900 <= ahead <= 8000 + 2 * 512


def test_what_costs_more_than_is_left_takes_nothing_and_more_than_a_burst_takes_one(
    client: TestClient, lender: Lender
) -> None:
    set_limit(lender, LimitKind.UPLOAD_MB, 10)
    limits.spend(lender.id, None, LimitKind.UPLOAD_MB, 6)
    limits.forget_limits()

    with pytest.raises(LimitedError):
        limits.spend(lender.id, None, LimitKind.UPLOAD_MB, 6)
    limits.forget_limits()
    limits.spend(lender.id, None, LimitKind.UPLOAD_MB, 4)

    other = make_tenant("another")
    set_limit(other, LimitKind.UPLOAD_MB, 10)
    limits.spend(other.id, None, LimitKind.UPLOAD_MB, 200)
    with pytest.raises(LimitedError):
        limits.spend(other.id, None, LimitKind.UPLOAD_MB, 1)


def test_a_limit_that_is_none_is_refused_and_a_cleared_one_no_longer_counts(
    client: TestClient, lender: Lender
) -> None:
    with tenant_session(lender.id) as session:
        with pytest.raises(InvalidInputError) as caught:
            limits.set_limit(
                session,
                tenant_id=lender.id,
                agency_id=None,
                kind=LimitKind.EVENTS,
                limit=Limit(0, 60, -1),
                by="test",
            )
        assert [problem.field for problem in caught.value.errors] == ["amount", "burst"]
    set_limit(lender, LimitKind.REQUESTS, 1)
    assert passed(lender, LimitKind.REQUESTS, 3) == 1
    with tenant_session(lender.id) as session:
        limits.clear_limit(
            session, tenant_id=lender.id, agency_id=None, kind=LimitKind.REQUESTS, by="test"
        )
        with pytest.raises(NotFoundError):
            limits.clear_limit(
                session, tenant_id=lender.id, agency_id=None, kind=LimitKind.REQUESTS, by="test"
            )
    assert passed(lender, LimitKind.REQUESTS, 3) == 3


def fill(connection: psycopg.Connection, tenant: UUID, count: int) -> None:
    connection.execute(
        "select hegui_enqueue('check', 'rules', %s, gen_random_uuid(), null)"
        " from generate_series(1, %s)",
        (tenant, count),
    )


@pytest.mark.asvs("2.4.1")
def test_ten_thousand_waiting_jobs_of_one_lender_do_not_starve_the_others(
    database: Database, clean: None
) -> None:
    flood, small, single = uuid4(), uuid4(), uuid4()
    with psycopg.connect(database.app_url, autocommit=True) as connection:
        fill(connection, flood, 10_000)
        fill(connection, small, 20)
        fill(connection, single, 1)
        connection.execute(
            "insert into procrastinate_jobs (queue_name, task_name, priority) values"
            " ('rules', 'reconcile', 100)"
        )

        taken = [fetch(connection) for _ in range(120)]

    assert taken[0] is None, "periodic work goes first"
    counts = Counter(taken)
    assert counts[small] == 20
    assert counts[single] == 1
    # Each of the two has a third of the turns at least: 60 turns without it are one in 10^10.
    assert taken.index(single) < 60
    assert taken.index(small) < 60


def fetch(connection: psycopg.Connection) -> UUID | None:
    """The lender of the next job that a worker gets."""
    row = connection.execute(
        "select args ->> 'tenant_id' from procrastinate_fetch_job_v2(array['rules', 'audio'], null)"
    ).fetchone()
    assert row is not None
    return UUID(row[0]) if row[0] else None


def test_jobs_that_are_not_due_keep_no_turn_and_every_job_is_taken_once(
    database: Database, clean: None
) -> None:
    tenants = [uuid4() for _ in range(40)]
    with psycopg.connect(database.app_url, autocommit=True) as connection:
        for tenant in tenants:
            connection.execute(
                "select hegui_enqueue('alert', 'rules', %s, gen_random_uuid(),"
                " now() + interval '1 h')",
                (tenant,),
            )
        fill(connection, tenants[17], 3)

        assert [fetch(connection) for _ in range(3)] == [tenants[17]] * 3
        assert fetch(connection) is None
    with psycopg.connect(database.app_url, autocommit=True) as connection:
        doing = connection.execute(
            "select count(*) from procrastinate_jobs where status = 'doing'"
        ).fetchone()
    assert doing == (3,)

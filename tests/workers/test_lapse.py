"""A dispute that nobody judges lapses by its job: at its time, early, or after the job was lost."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

from service.clock import now
from tests.conftest import Database
from tests.factories import Lender, Sender
from tests.people import act, findings, make_quality, send_threat
from workers.reconcile import reconcile_tenant

WHY = "这是借款人自己的话，催收员只是复述，请听录音。"


class Case:
    """An open dispute, its clock, and its job in the queue."""

    def __init__(self, client: TestClient, lender: Lender, agency: Sender, url: str) -> None:
        self.client, self.lender, self.url = client, lender, url
        self.quality = make_quality(lender, agency)
        (threat,) = findings(client, lender.auth, rule="THR-02")
        path = f"/v1/findings/{threat['id']}/disputes"
        self.id = act(client, self.quality, path, {"text": WHY}, expect=201)["id"]

    @property
    def state(self) -> str:
        answer = self.client.get(f"/v1/disputes/{self.id}", headers=self.quality)
        return str(answer.json()["state"])

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            # Time passes: no trigger keeps a dispute's dates from moving back with all others.
            connection.execute("set session_replication_role = replica")
            return connection.execute(statement.encode()).fetchall()

    def pass_deadline(self) -> None:
        """Let all working days go by, for the dispute and for what is queued."""
        self.query(
            "update dispute set opened_at = opened_at - interval '60 days',"
            " window_until = window_until - interval '60 days',"
            " decide_by = decide_by - interval '60 days' returning 1"
        )
        self.query(
            "update procrastinate_jobs set scheduled_at = scheduled_at - interval '60 days'"
            " where task_name = 'lapse' returning 1"
        )

    def jobs(self) -> list[str]:
        rows = self.query(
            "select status::text from procrastinate_jobs where task_name = 'lapse' order by id"
        )
        return [status for (status,) in rows]


@pytest.fixture
def case(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    database: Database,
    run_jobs: Callable[[], None],
) -> Case:
    send_threat(client, agency)
    run_jobs()
    return Case(client, lender, agency, database.superuser_url)


def test_the_job_closes_it_at_its_deadline_and_not_before(
    case: Case, run_jobs: Callable[[], None]
) -> None:
    run_jobs()
    assert (case.state, case.jobs()) == ("open", ["todo"])

    case.pass_deadline()
    run_jobs()

    assert case.state == "lapsed"
    assert case.jobs() in ([], ["succeeded"])
    acts = case.client.get("/v1/audit?action=dispute_lapsed", headers=case.lender.auth).json()
    assert [(row["actor"], row["subject_id"]) for row in acts["items"]] == [("lapse", case.id)]


def test_a_job_that_comes_too_early_waits_again(case: Case, run_jobs: Callable[[], None]) -> None:
    case.query(
        "update procrastinate_jobs set scheduled_at = now() where task_name = 'lapse' returning 1"
    )
    run_jobs()
    assert case.state == "open"
    assert case.jobs()[-1] == "todo"

    case.pass_deadline()
    run_jobs()
    assert case.state == "lapsed"


def test_a_lost_job_is_queued_again_once_it_is_due(
    case: Case, run_jobs: Callable[[], None]
) -> None:
    case.query("delete from procrastinate_jobs where task_name = 'lapse' returning 1")
    assert reconcile_tenant(case.lender.id, now=now())["lapse"] == 0

    case.pass_deadline()
    assert reconcile_tenant(case.lender.id, now=now())["lapse"] == 1
    run_jobs()
    assert case.state == "lapsed"


def test_a_judged_dispute_does_not_lapse(case: Case, run_jobs: Callable[[], None]) -> None:
    judgement = {"upheld": True, "reason": "确为复述"}
    act(case.client, case.lender.auth, f"/v1/disputes/{case.id}/judgement", judgement, expect=201)

    case.pass_deadline()
    run_jobs()
    assert case.state == "upheld"
    assert reconcile_tenant(case.lender.id, now=now())["lapse"] == 0

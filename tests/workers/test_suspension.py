"""The work of a suspended lender waits and is done after all; that of a removed one ends."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

from service.access import tenants
from service.errors import ConflictError
from tests.conftest import Database
from tests.factories import Lender, Sender, make_agency, make_tenant
from tests.people import send_threat
from tests.receiver import Receiver
from workers.reconcile import reconcile
from workers.tasks import check


def ask(database: Database, query: str) -> list[Any]:
    with psycopg.connect(database.superuser_url) as connection:
        return connection.execute(query.encode()).fetchall()


def outcomes(database: Database) -> dict[str, str | None]:
    found = ask(database, "select interaction_id, outcome from interaction")
    return dict(found)


@pytest.mark.asvs("8.3.2")
def test_jobs_of_a_suspended_lender_wait_and_are_done_after_it_is_resumed(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    database: Database,
    endpoint: dict[str, Any],
    receiver: Receiver,
    run_jobs: Callable[[], None],
) -> None:
    other = make_agency(make_tenant("乙银行"))
    send_threat(client, agency, interaction_id="mine")
    tenants.suspend_tenant(lender.id)
    send_threat(client, other, interaction_id="theirs")

    run_jobs()
    reconcile(0)  # finds nothing to do for it, and takes nothing away
    run_jobs()

    assert outcomes(database) == {"mine": None, "theirs": "fail"}
    assert receiver.requests == []
    waiting = "select task_name from procrastinate_jobs where status = 'todo'"
    assert ask(database, waiting) == [("check",)]
    tenants.resume_tenant(lender.id)
    run_jobs()
    assert outcomes(database) == {"mine": "fail", "theirs": "fail"}
    assert len(receiver.requests) == 1
    # An alert that stands in line when its lender is suspended waits too.
    send_threat(client, agency, 1, interaction_id="more")
    for tenant, subject in ask(
        database, "select args ->> 'tenant_id', args ->> 'subject_id' from procrastinate_jobs"
        " where status = 'todo' and task_name = 'check'",
    ):  # fmt: skip
        check(tenant_id=tenant, subject_id=subject)
    tenants.suspend_tenant(lender.id)
    run_jobs()
    assert len(receiver.requests) == 1
    tenants.resume_tenant(lender.id)
    run_jobs()
    assert len(receiver.requests) == 2


@pytest.mark.asvs("8.3.2")
def test_jobs_of_a_removed_lender_end_and_it_is_not_resumed(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    database: Database,
    run_jobs: Callable[[], None],
) -> None:
    send_threat(client, agency, interaction_id="mine")
    tenants.remove_tenant(lender.id)

    run_jobs()
    reconcile(0)

    assert outcomes(database) == {"mine": None}
    assert ask(database, "select * from procrastinate_jobs where status = 'todo'") == []
    with pytest.raises(ConflictError) as refused:
        tenants.resume_tenant(lender.id)
    assert refused.value.code == "removed"

"""Jobs are born with their rows, once a subject, with ids and nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from service.db import tenant_session
from service.jobs import Job, enqueue
from tests.conftest import Database
from tests.factories import make_tenant

AT = datetime(2027, 1, 1, tzinfo=UTC)


def _jobs(database: Database) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.superuser_url) as connection:
        return connection.execute(
            "select task_name, queue_name, scheduled_at from procrastinate_jobs"
        ).fetchall()


def test_job_goes_with_its_transaction(database: Database, clean: None) -> None:
    lender = make_tenant()

    with tenant_session(lender.id) as session, session.begin_nested() as inner:
        enqueue(session, Job.TRANSCRIBE, tenant_id=lender.id, subject_id=uuid4())
        inner.rollback()

    assert _jobs(database) == []


@pytest.mark.parametrize(
    ("times", "kept"),
    [
        ((None, None), None),
        ((AT, None), None),
        ((None, AT), None),
        ((AT, AT - timedelta(hours=1)), AT - timedelta(hours=1)),
        ((AT, AT + timedelta(hours=1)), AT),
    ],
)
def test_one_job_waits_for_a_subject_and_the_earlier_time_wins(
    database: Database,
    clean: None,
    times: tuple[datetime | None, ...],
    kept: datetime | None,
) -> None:
    lender, subject = make_tenant(), uuid4()

    with tenant_session(lender.id) as session:
        for at in times:
            enqueue(session, Job.CHECK, tenant_id=lender.id, subject_id=subject, at=at)

    assert _jobs(database) == [("check", "rules", kept)]

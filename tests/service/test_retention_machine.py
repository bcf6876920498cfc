"""Any order of contacts, holds, purges, attacks and years: nothing goes before its time.

A short walk in the suite; `HYPOTHESIS_PROFILE=long` makes it 10,000 steps.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from starlette.testclient import TestClient

from rules.retention import add_years
from service.db import tenant_session
from service.errors import ConflictError, ForbiddenError
from service.keeping import holds, purge
from service.keeping.holds import HoldWish
from service.keeping.retention_models import PurgeRun
from service.keeping.storage import RetentionError, store
from tests.conftest import Database
from tests.factories import make_agency, make_tenant
from tests.retention import let_time_pass, make_kept_call, tick, where
from workers.keeping import protect_recordings, run_purge

IS_LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
EXAMPLES, STEPS = (100, 100) if IS_LONG else (2, 30)
# A shift of all dates moves leap days too: dates computed before and after differ by a day.
SLACK = timedelta(days=2)
AUDIOS = [b"audio %d" % number for number in range(4)]
NAMES = [hashlib.sha256(audio).hexdigest() for audio in AUDIOS]
CASES = {"K-CARD": {"product": "credit_card", "lender_type": "bank"},
         "K-LOAN": {"product": "online_loan", "lender_type": "platform"}}  # fmt: skip
YEARS = {"K-CARD": 2, "K-LOAN": 5}


@dataclass
class Kept:
    """What must be true of one recording."""

    until: datetime
    cases: set[str] = field(default_factory=set)
    gone: bool = False


class Machine(RuleBasedStateMachine):
    """The model beside the service; `begin` gives an empty database."""

    def __init__(self, client: TestClient, database: Database, begin: Callable[[], None]) -> None:
        super().__init__()
        begin()
        self.client, self.database = client, database
        self.lender = make_tenant()
        self.agency = make_agency(self.lender)
        self.kept: dict[str, Kept] = {}
        self.holds: dict[UUID, HoldWish] = {}
        self.runs: list[PurgeRun] = []
        tick()

    def is_held(self, sha256: str) -> bool:
        cases = self.kept[sha256].cases
        return any(wish.sha256 == sha256 or wish.case_id in cases for wish in self.holds.values())

    @rule(which=st.integers(0, 3), age=st.integers(0, 2500), case=st.sampled_from(sorted(CASES)))
    def contact(self, which: int, age: int, case: str) -> None:
        """A contact names a recording and its bytes come, for the first time or again."""
        at = datetime.now(UTC) - timedelta(days=age)
        make_kept_call(
            self.client, self.agency, AUDIOS[which], started_at=at, case_id=case, case=CASES[case]
        )
        until = add_years(at, YEARS[case])
        held = self.kept.setdefault(NAMES[which], Kept(until))
        held.until, held.gone = max(held.until, until), False
        held.cases.add(case)

    @precondition(lambda self: self.kept)
    @rule(data=st.data(), by_case=st.booleans())
    def hold(self, data: Any, by_case: bool) -> None:  # noqa: FBT001
        sha256 = data.draw(st.sampled_from(sorted(self.kept)))
        case = data.draw(st.sampled_from(sorted(self.kept[sha256].cases)))
        wish = HoldWish("r", case_id=case) if by_case else HoldWish("r", sha256=sha256)
        with tenant_session(self.lender.id) as session:
            placed = holds.place_hold(
                session, tenant_id=self.lender.id, wish=wish, by="t", now=datetime.now(UTC)
            )
        self.holds[placed.row.id] = wish

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def release(self, data: Any) -> None:
        chosen = data.draw(st.integers(0, len(self.holds) - 1))
        hold_id = list(self.holds)[chosen]
        with tenant_session(self.lender.id) as session:
            holds.release_hold(session, hold_id, reason="x", by="t", now=datetime.now(UTC))
        del self.holds[hold_id]

    @rule(days=st.sampled_from([1, 8, 8, 200, 800]))
    def wait(self, days: int) -> None:
        """Time passes and the keeper sees it."""
        protect_recordings(self.lender.id)
        let_time_pass(self.database.superuser_url, timedelta(days=days))
        for held in self.kept.values():
            held.until -= timedelta(days=days)

    @rule()
    def plan(self) -> None:
        try:
            with tenant_session(self.lender.id) as session:
                run = purge.plan_purge(
                    session, tenant_id=self.lender.id, by="one", cooling=timedelta(days=7),
                    limit=10, now=datetime.now(UTC),
                )  # fmt: skip
        except ConflictError:
            return
        self.runs.append(run)

    @precondition(lambda self: self.runs)
    @rule(by=st.sampled_from(["one", "two"]))
    def approve_and_remove(self, by: str) -> None:
        run = self.runs[-1]
        try:
            with tenant_session(self.lender.id) as session:
                purge.approve_purge(
                    session, run.id, list_sha256=run.list_sha256, by=by, now=datetime.now(UTC)
                )
        except (ConflictError, ForbiddenError):
            return
        assert by == "two"
        run_purge(self.lender.id, run.id)
        self.runs.pop()
        with tenant_session(self.lender.id) as session:
            for item in purge.list_items(session, run.id):
                self._account(item.sha256, item.state, item.reason)

    def _account(self, sha256: str, state: str, reason: str | None) -> None:
        held, now = self.kept[sha256], datetime.now(UTC)
        if state == "removed":
            assert held.until <= now + SLACK, "it went before its time"
            assert not self.is_held(sha256), "it went from under a hold"
            held.gone = True
        elif reason not in {"refused_by_store", "refused_by_database"}:
            assert held.gone or held.until > now - SLACK or self.is_held(sha256), reason

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def attack(self, data: Any) -> None:
        """The application's own role, and the store's own door, past all code."""
        sha256 = data.draw(st.sampled_from(sorted(self.kept)))
        with psycopg.connect(self.database.app_url) as connection:
            connection.execute(
                "select set_config('app.tenant_id', %s, true)", (str(self.lender.id),)
            )
            with pytest.raises(psycopg.DatabaseError) as caught:
                connection.execute(
                    "update recording set purged_at = now() - interval '1 second',"
                    " purge_run_id = gen_random_uuid() where sha256 = %s",
                    (sha256,),
                )
        assert caught.value.sqlstate == "HG001"
        protect_recordings(self.lender.id)
        if self.is_held(sha256) and not self.kept[sha256].gone:
            with pytest.raises(RetentionError):
                store().remove(self.lender.id, sha256, now=datetime.now(UTC))

    @invariant()
    def what_must_be_there_is_there(self) -> None:
        for sha256, held in self.kept.items():
            if not held.gone:
                assert where(self.lender, sha256).is_file(), sha256


@pytest.mark.timeout(7200 if IS_LONG else 300)
def test_nothing_goes_before_its_time(
    client: TestClient, database: Database, sweeper: Callable[[], None]
) -> None:
    make: Any = lambda: Machine(client, database, sweeper)  # noqa: E731
    run_state_machine_as_test(
        make,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    sweeper()

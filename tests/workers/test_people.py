"""Review and dispute in any order: no decision is lost, nobody judges himself, windows hold."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text
from sqlmodel import col, select

from service.db import tenant_session
from service.errors import ConflictError
from service.people import disputes, reviews
from service.people.disputes_calendar import ZONE, end_of_working_days
from service.people.models import Decision, DisputeRow, Reading, ReviewRow
from tests.conftest import Database
from tests.factories import make_agency, make_tenant
from tests.people import draw_all_twice
from tests.workers.test_watch import add_contact

IS_LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
EXAMPLES, STEPS = (100, 100) if IS_LONG else (4, 40)
READERS = ("anna", "boli", "chen")
FINDINGS = 2
# The evening before National Day: a week off, and a Saturday that is worked.
SEEN = datetime(2026, 9, 30, 18, 0, tzinfo=ZONE)
WINDOW = end_of_working_days(SEEN, 5)
readers, which = st.sampled_from(READERS), st.integers(0, FINDINGS - 1)


class People(RuleBasedStateMachine):
    """A model of what should be, held against the database after every step."""

    @initialize()
    def begin(self) -> None:
        self.lender = make_tenant()
        self.agency = make_agency(self.lender)
        with tenant_session(self.lender.id) as session:
            self.findings = [
                add_contact(session, self.agency, "THR-02", SEEN) for _ in range(FINDINGS)
            ]
        draw_all_twice(self.lender)
        self.now = SEEN
        self.holder: dict[int, str] = {}
        self.decided: dict[int, list[tuple[str, str, str]]] = {n: [] for n in range(FINDINGS)}
        self.dispute: dict[int, dict[str, Any]] = {}

    def call(self, work: Callable[[Any], Any]) -> str | None:
        """Do it in one transaction; gives the code of a refusal."""
        try:
            with tenant_session(self.lender.id) as session:
                work(session)
        except ConflictError as error:
            return error.code
        return None

    def of(self, n: int, reading: str) -> list[tuple[str, str, str]]:
        return [row for row in self.decided[n] if row[0] == reading]

    def is_final(self, n: int) -> bool:
        return self.dispute.get(n, {}).get("state") in {"upheld", "rejected"}

    @rule(hours=st.sampled_from([1, 24, 24 * 7]))
    def let_time_pass(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(seconds=st.sampled_from([-1, 0, 1]))
    def go_to_the_edge_of_the_window(self, seconds: int) -> None:
        self.now = max(self.now, WINDOW + timedelta(seconds=seconds))

    @rule()
    def let_leases_end(self) -> None:
        statement = text("update review_item set lease_until = clock_timestamp()")
        self.call(lambda session: session.connection().execute(statement))
        self.holder.clear()

    @rule(n=which, reader=readers)
    def claim(self, n: int, reader: str) -> None:
        refused = self.call(
            lambda session: reviews.claim(
                session, self.findings[n], tenant_id=self.lender.id, by=reader
            )
        )
        held = self.holder.get(n)
        assert refused == (None if held in {None, reader} else "claimed_by_another")
        self.holder.setdefault(n, reader)

    @rule(
        n=which,
        reader=readers,
        reading=st.sampled_from([Reading.FIRST, Reading.SECOND]),
        decision=st.sampled_from([Decision.CONFIRM, Decision.DISMISS]),
        revise=st.booleans(),
    )
    def decide(
        self, n: int, reader: str, reading: Reading, decision: Decision, *, revise: bool
    ) -> None:
        own = self.of(n, reading.value)
        with tenant_session(self.lender.id) as session:
            subject = reviews.get_subject(session, self.findings[n])
            rows = [r for r in reviews.list_reviews(session, subject) if r.reading == reading.value]
        wish = reviews.Wish(
            decision, "理由", reading=reading, revises=rows[-1].id if revise and rows else None
        )
        refused = self.call(
            lambda session: reviews.decide(
                session, self.findings[n], wish, tenant_id=self.lender.id, by=reader,
                known_rules={"THR-02"}, base_url="http://x", now=self.now,
            )
        )  # fmt: skip
        if own and own[-1] == (reading.value, reader, decision.value):
            assert refused is None  # the same again: nothing changes
            return
        expected = self.expected_refusal(n, reader, reading, is_revision=revise and bool(own))
        assert refused == expected
        if refused is None:
            self.decided[n].append((reading.value, reader, decision.value))
            del self.holder[n]

    def expected_refusal(
        self, n: int, reader: str, reading: Reading, *, is_revision: bool
    ) -> str | None:
        own, state = self.of(n, reading.value), self.dispute.get(n, {}).get("state")
        if self.holder.get(n) != reader:
            return "lease_lost"
        if self.is_final(n):
            return "judgement_final"
        if any(row[1] == reader and row[0] != reading.value for row in self.decided[n]):
            return "own_reading"
        if reading is Reading.SECOND and not self.of(n, "first"):
            return "second_not_wanted"
        if reading is Reading.FIRST and state == "open" and own:
            return "dispute_open"
        return "already_decided" if own and not is_revision else None

    @rule(n=which)
    def open_dispute(self, n: int) -> None:
        made: list[DisputeRow] = []
        refused = self.call(
            lambda session: made.append(
                disputes.open_dispute(
                    session, self.findings[n], f"理由 {self.now}", tenant_id=self.lender.id,
                    agency_id=self.agency.id, by="quality", now=self.now,
                )[0]
            )
        )  # fmt: skip
        if n in self.dispute:
            is_same = self.dispute[n]["text"] == f"理由 {self.now}"
            assert refused == (None if is_same else "disputed_before")
        elif self.now >= WINDOW:
            assert refused == "window_closed"
        else:
            assert refused is None
            self.dispute[n] = {
                "id": made[0].id, "state": "open", "due": made[0].decide_by,
                "text": f"理由 {self.now}", "judge": None,
            }  # fmt: skip

    @rule(n=which, reader=readers, upheld=st.booleans())
    def judge(self, n: int, reader: str, *, upheld: bool) -> None:
        found = self.dispute.get(n)
        if found is None:
            return
        refused = self.call(
            lambda session: disputes.judge(
                session, found["id"], is_upheld=upheld, reason="判断", by=reader,
                base_url="http://x", now=self.now,
            )
        )  # fmt: skip
        state = "upheld" if upheld else "rejected"
        if self.is_final(n):
            is_same = (found["state"], found["judge"]) == (state, reader)
            assert refused == (None if is_same else "judgement_final")
        elif found["state"] != "open" or self.now >= found["due"]:
            word = "withdrawn" if found["state"] == "withdrawn" else "lapsed"
            assert refused == f"dispute_{word}"
        elif reader in {row[1] for row in self.decided[n]}:
            assert refused == "own_decision"
        else:
            assert refused is None
            found |= {"state": state, "judge": reader}
            decision = "dismiss" if upheld else "confirm"
            self.decided[n].append(("judgement", reader, decision))

    @rule(n=which)
    def withdraw(self, n: int) -> None:
        found = self.dispute.get(n)
        if found is None:
            return
        refused = self.call(
            lambda session: disputes.withdraw(
                session, found["id"], agency_id=self.agency.id, by="quality", now=self.now
            )
        )
        if found["state"] == "withdrawn":
            assert refused is None
        elif self.is_final(n):
            assert refused == "judgement_final"
        elif found["state"] == "lapsed" or self.now >= found["due"]:
            assert refused == "dispute_lapsed"
        else:
            assert refused is None
            found["state"] = "withdrawn"

    @rule(n=which)
    def run_the_deadline(self, n: int) -> None:
        found = self.dispute.get(n)
        if found is None:
            return
        closed: list[bool] = []
        self.call(
            lambda session: closed.append(
                disputes.lapse(session, found["id"], tenant_id=self.lender.id, now=self.now)
            )
        )
        is_due = found["state"] == "open" and self.now >= found["due"]
        assert closed == [is_due]
        if is_due:
            found["state"] = "lapsed"

    @invariant()
    def everything_is_on_record_and_stands_as_it_should(self) -> None:
        if not hasattr(self, "dispute"):
            return
        with tenant_session(self.lender.id) as session:
            rows = session.exec(select(ReviewRow).order_by(col(ReviewRow.number))).all()
            stands = reviews.standing(session, self.findings)
            states = dict(session.exec(select(DisputeRow.id, DisputeRow.state)).all())
        assert states == {each["id"]: each["state"] for each in self.dispute.values()}
        for n, finding in enumerate(self.findings):
            stored = sorted(
                (r.reading, r.decided_by, r.decision) for r in rows if r.finding_id == finding
            )
            assert stored == sorted(self.decided[n])
            self.hold_standing(n, stands.get(finding))
            for each in READERS:  # nobody reads twice, and no judge is one of the readers
                assert len({reading for reading, by, _ in self.decided[n] if by == each}) <= 1

    def hold_standing(self, n: int, stands: reviews.Standing | None) -> None:
        first, judged = self.of(n, "first"), self.of(n, "judgement")
        if judged:
            assert stands is not None
            assert (stands.state, stands.is_final) == (judged[0][2], True)
        elif first:
            assert stands is not None
            assert (stands.state, stands.decided_by) == (first[-1][2], first[-1][1])
        else:
            assert stands is None or stands.state == "open"


def test_people_may_do_anything_in_any_order(database: Database, clean: None) -> None:
    run_state_machine_as_test(
        People,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

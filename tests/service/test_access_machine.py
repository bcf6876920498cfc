"""Whatever is done to keys, agencies, lenders, regulators and grants, the door says what is true.

Two machines do things at random and hold, after every step, who is let in against a plain model.
150 steps each in the suite; 10,000 each with HYPOTHESIS_PROFILE=long.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlmodel import col, select

from service.access import grants, tenants
from service.access import keys as access_keys
from service.access.door import authenticate
from service.access.grants import GrantWish
from service.access.keys import IssuedKey, Owner
from service.access.models import OperatorEntry
from service.access.notebook import OPERATOR
from service.clock import now
from service.db import front_door_session, tenant_session
from service.errors import BadKeyError, ConflictError, ForbiddenError, RefusedError
from service.models import Actor, Agency, Scope
from tests.conftest import Database
from tests.factories import make_agency, make_key, make_regulator_key, make_tenant

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
STEPS = settings(
    max_examples=200 if LONG else 6,
    stateful_step_count=50 if LONG else 25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
AT_MOST = 6
PLACES = st.integers(0, AT_MOST - 1)


@dataclass
class Held:
    """What the model knows of a key."""

    key: IssuedKey
    agency: UUID | None
    before: "Held | None" = None
    suspended: bool = False
    over: bool = False
    rotated: bool = False


class Keys(RuleBasedStateMachine):
    """Keys of one lender and its agencies."""

    @initialize()
    def begin(self) -> None:
        self.lender = make_tenant()
        self.agencies = {make_agency(self.lender, name).id: "active" for name in ("a", "b")}
        self.tenant = "active"
        self.keys: list[Held] = []

    def pick(self, place: int) -> Held:
        return self.keys[place % len(self.keys)]

    def act(self, work: Any, held: Held) -> Any:
        with tenant_session(self.lender.id) as session:
            return work(session, Owner(self.lender.id), held.key.id, by="machine")

    @precondition(lambda self: len(self.keys) < AT_MOST)
    @rule(scope=st.sampled_from([Scope.REVIEW, Scope.READ]))
    def add_lenders(self, scope: Scope) -> None:
        self.keys.append(Held(make_key(self.lender, scope=scope), None))

    @precondition(lambda self: len(self.keys) < AT_MOST)
    @rule(scope=st.sampled_from([Scope.SEND, Scope.QUALITY]), place=st.integers(0, 1))
    def add_agencys(self, scope: Scope, place: int) -> None:
        agency = list(self.agencies)[place]
        wish: dict[str, Any] = {"actor": Actor.AGENCY, "agency_id": agency, "scope": scope}
        if self.agencies[agency] == "removed":
            with pytest.raises(RefusedError):
                make_key(self.lender, **wish)
        else:
            self.keys.append(Held(make_key(self.lender, **wish), agency))

    @precondition(lambda self: self.keys)
    @rule(place=PLACES, overlap=st.sampled_from([0, 24]))
    def rotate(self, place: int, overlap: int) -> None:
        held = self.pick(place)
        try:
            with tenant_session(self.lender.id) as session:
                owner = Owner(self.lender.id)
                made = access_keys.rotate_key(
                    session, owner, held.key.id, overlap_hours=overlap, by="machine"
                )
        except ConflictError:
            assert held.over or held.suspended or held.rotated
            return
        assert (held.over, held.suspended, held.rotated) == (False, False, False)
        held.rotated = True
        held.over = overlap == 0
        if held.before is not None:
            held.before.over = True
        self.keys.append(Held(made, held.agency, before=held))

    @precondition(lambda self: self.keys)
    @rule(place=PLACES)
    def suspend(self, place: int) -> None:
        held = self.pick(place)
        self.act(access_keys.suspend_key, held)
        held.suspended = True

    @precondition(lambda self: self.keys)
    @rule(place=PLACES)
    def resume(self, place: int) -> None:
        held = self.pick(place)
        self.act(access_keys.resume_key, held)
        held.suspended = False

    @precondition(lambda self: self.keys)
    @rule(place=PLACES)
    def revoke(self, place: int) -> None:
        held = self.pick(place)
        self.act(access_keys.revoke_key, held)
        held.over = True

    @rule(place=st.integers(0, 1), what=st.sampled_from(["suspend", "resume", "remove"]))
    def change_agency(self, place: int, what: str) -> None:
        agency = list(self.agencies)[place]
        change = getattr(tenants, f"{what}_agency")
        is_removed = self.agencies[agency] == "removed"
        try:
            with tenant_session(self.lender.id) as session:
                change(session, agency, by="machine")
        except ConflictError:
            assert is_removed
            assert what != "remove"
            return
        states = {"suspend": "suspended", "resume": "active", "remove": "removed"}
        self.agencies[agency] = states[what]
        if what == "remove":
            for held in self.keys:
                held.over = held.over or held.agency == agency

    @rule(what=st.sampled_from(["suspend", "resume"]))
    def change_tenant(self, what: str) -> None:
        getattr(tenants, f"{what}_tenant")(self.lender.id)
        self.tenant = {"suspend": "suspended", "resume": "active"}[what]

    @invariant()
    def the_door_says_what_is_true(self) -> None:
        for held in getattr(self, "keys", []):
            is_live = not held.over and not held.suspended and self.tenant == "active"
            if held.agency is not None:
                is_live = is_live and self.agencies[held.agency] == "active"
            try:
                found = authenticate(held.key.token)
            except BadKeyError:
                assert not is_live, held
            else:
                assert is_live, held
                assert (found.tenant_id, found.agency_id) == (self.lender.id, held.agency)

    @invariant()
    def two_of_a_chain_live_at_most(self) -> None:
        for held in getattr(self, "keys", []):
            if held.before is not None and held.before.before is not None:
                assert held.over or held.before.over or held.before.before.over


@dataclass
class Given:
    """What the model knows of a grant."""

    id: UUID
    approvers: set[str]
    ended: bool = False
    over: bool = False


class Grants(RuleBasedStateMachine):
    """Grants of two lenders to one regulator."""

    superuser_url = ""

    @initialize()
    def begin(self) -> None:
        self.lenders = [make_tenant(name) for name in ("甲", "乙")]
        self.agencies = {lender.id: make_agency(lender).id for lender in self.lenders}
        self.admins = {
            lender.id: [lender.key_id, make_key(lender).key_id, OPERATOR] for lender in self.lenders
        }
        self.regulator = tenants.add_regulator("监管局").id
        self.key = make_regulator_key(self.regulator)
        self.state = "active"
        self.suspended: set[UUID] = set()
        self.held: dict[UUID, list[Given]] = {lender.id: [] for lender in self.lenders}

    def pick(self, first: int, place: int) -> tuple[UUID, Given | None]:
        lender = self.lenders[first].id
        given = self.held[lender]
        return lender, given[place % len(given)] if given else None

    @rule(first=st.integers(0, 1))
    def request(self, first: int) -> None:
        lender = self.lenders[first].id
        if len(self.held[lender]) == AT_MOST:
            return
        soon = datetime.now(UTC) + timedelta(days=1)
        wish = GrantWish(self.regulator, "1", "x", now() - timedelta(days=1), now(), soon)
        with tenant_session(lender) as session:
            row = grants.request_grant(session, tenant_id=lender, wish=wish, by=OPERATOR)
        self.held[lender].append(Given(row.id, set()))

    @rule(first=st.integers(0, 1), place=PLACES, who=st.integers(0, 2))
    def approve(self, first: int, place: int, who: int) -> None:
        lender, given = self.pick(first, place)
        if given is None:
            return
        by = self.admins[lender][who]
        may = not (given.ended or given.over or len(given.approvers) == 2 or by in given.approvers)
        try:
            with tenant_session(lender) as session:
                grants.approve_grant(session, given.id, by=by)
        except ConflictError:
            assert not may
        else:
            assert may
            given.approvers.add(by)

    @rule(first=st.integers(0, 1), place=PLACES)
    def end(self, first: int, place: int) -> None:
        lender, given = self.pick(first, place)
        if given is not None:
            with tenant_session(lender) as session:
                grants.end_grant(session, given.id, by="machine")
            given.ended = True

    @rule(first=st.integers(0, 1), place=PLACES)
    def let_time_pass(self, first: int, place: int) -> None:
        _, given = self.pick(first, place)
        if given is not None:
            with psycopg.connect(self.superuser_url) as connection:
                connection.execute("set session_replication_role = replica")
                connection.execute(
                    "update access_grant set starts_at = now() - interval '2 days',"
                    " ends_at = now() - interval '1 s' where id = %s",
                    (given.id,),
                )
            given.over = True

    @rule(what=st.sampled_from(["suspended", "resumed"]))
    def change_regulator(self, what: str) -> None:
        tenants.change_regulator(self.regulator, what)
        self.state = "active" if what == "resumed" else what

    @rule(first=st.integers(0, 1), what=st.sampled_from(["suspend", "resume"]))
    def change_lender(self, first: int, what: str) -> None:
        lender = self.lenders[first].id
        getattr(tenants, f"{what}_tenant")(lender)
        (self.suspended.add if what == "suspend" else self.suspended.discard)(lender)

    @invariant()
    def a_regulator_reads_under_live_grants_alone(self) -> None:
        live: set[UUID] = set()
        for lender, given in getattr(self, "held", {}).items():
            for one in given:
                is_live = len(one.approvers) == 2 and not one.ended and not one.over
                assert self.seen(lender, one.id) == ([self.agencies[lender]] if is_live else [])
                if is_live and lender not in self.suspended:
                    live.add(one.id)
                self.choose(one.id, is_live=is_live and lender not in self.suspended)
        if hasattr(self, "held"):
            self.choose(None, is_live=len(live) == 1)
            with suppress(BadKeyError):
                authenticate(self.key.token)
                assert self.state == "active"

    def seen(self, lender: UUID, grant: UUID) -> list[UUID]:
        """What the database alone shows under a grant."""
        with tenant_session(lender, regulator_id=self.regulator, grant_id=grant) as session:
            return list(session.exec(select(Agency.id)).all())

    def choose(self, grant: UUID | None, *, is_live: bool) -> None:
        try:
            found = grants.choose_grant(self.regulator, grant)
        except (ForbiddenError, RefusedError):
            assert not is_live
        else:
            assert is_live
            assert grant in {None, found.id}


def test_keys_are_good_for_what_was_decided(clean: None, database: Database) -> None:
    run_state_machine_as_test(Keys, settings=STEPS)


def test_grants_show_what_was_decided(clean: None, database: Database) -> None:
    Grants.superuser_url = database.superuser_url
    run_state_machine_as_test(Grants, settings=STEPS)


def test_the_operators_own_acts_are_written_down(clean: None) -> None:
    regulator = tenants.add_regulator("监管局").id
    key = make_regulator_key(regulator)
    tenants.change_regulator(regulator, "removed")

    with front_door_session() as session:
        acts = session.exec(select(OperatorEntry).order_by(col(OperatorEntry.seq))).all()

    assert [(act.action, act.subject_id) for act in acts] == [
        ("regulator_added", str(regulator)),
        ("key_added", key.key_id),
        ("regulator_removed", str(regulator)),
    ]
    assert acts[-1].details == {"keys_ended": 1}

"""Whatever is done to people, their sessions, passwords and keys, the door says what is true.

A machine does things at random and holds, after every step, who is let in and who counts as whom
against a plain model. Up to 300 steps in the suite; 10,000 with HYPOTHESIS_PROFILE=long.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from service.access import grants, persons, tenants
from service.access import keys as access_keys
from service.access.console import authenticate_session
from service.access.door import authenticate
from service.access.grants import GrantWish
from service.access.keys import KeyWish, Owner
from service.access.persons import Circle
from service.clock import now
from service.db import tenant_session
from service.errors import (
    BadKeyError,
    BadSignInError,
    ConflictError,
    ForbiddenError,
    RefusedError,
)
from service.models import Actor, Scope
from tests.conftest import Database
from tests.factories import Lender, make_agency, make_person, make_tenant, sign_in
from tests.service.test_access_machine import LONG, STEPS

AT_MOST = 5
PLACES = st.integers(0, AT_MOST - 1)
LENDERS = st.sampled_from([Scope.ADMIN, Scope.REVIEW, Scope.READ])
REACH = {Scope.ADMIN: 2, Scope.REVIEW: 1, Scope.READ: 0}


@dataclass
class Known:
    """What the model knows of a person."""

    row: Any
    scope: Scope
    agency: UUID | None = None
    suspended: bool = False
    removed: bool = False
    sessions: list["Opened"] = field(default_factory=list)
    keys: list["Made"] = field(default_factory=list)


@dataclass
class Opened:
    """What the model knows of a session."""

    token: str
    ended: bool = False


@dataclass
class Made:
    """What the model knows of a person's own key."""

    token: str
    id: UUID
    key_id: str
    scope: Scope
    ended: bool = False


class People(RuleBasedStateMachine):
    """People of one lender and its agency, their sessions and keys, and grants that two approve."""

    superuser_url = ""

    @initialize()
    def begin(self) -> None:
        self.lender: Lender = make_tenant()
        self.agency = make_agency(self.lender).id
        self.agency_open = self.tenant_open = True
        self.people: list[Known] = []
        self.regulator = tenants.add_regulator("监管局").id
        self.grant: UUID | None = None
        self.approved_by: set[str] = set()
        # Begun in the middle of things: short walks would seldom come to keys and approvals.
        self.add_lenders(Scope.ADMIN)
        self.add_lenders(Scope.ADMIN)
        self.add_agencys()
        for place in range(3):
            self.enter(place)
            for scope in REACH:
                self.make_key(place, scope)
        self.request_grant()

    def pick(self, place: int) -> Known:
        return self.people[place % len(self.people)]

    def act(self, work: Any, known: Known, *more: Any) -> None:
        circle = Circle(self.lender.id)
        with tenant_session(self.lender.id) as session:
            work(session, circle, known.row.id, *more, by="machine")

    def may_enter(self, known: Known) -> bool:
        is_open = self.tenant_open and (known.agency is None or self.agency_open)
        return is_open and not known.suspended and not known.removed

    @precondition(lambda self: len(self.people) < AT_MOST)
    @rule(scope=LENDERS)
    def add_lenders(self, scope: Scope) -> None:
        self.people.append(Known(make_person(self.lender, scope=scope), scope))

    @precondition(lambda self: len(self.people) < AT_MOST)
    @rule()
    def add_agencys(self) -> None:
        row = make_person(self.lender, Actor.AGENCY, Scope.QUALITY, agency_id=self.agency)
        self.people.append(Known(row, Scope.QUALITY, self.agency))

    @precondition(lambda self: self.people)
    @rule(place=PLACES)
    def enter(self, place: int) -> None:
        known = self.pick(place)
        known.row.scope = known.scope.value
        try:
            signed = sign_in(known.row)
        except BadSignInError:
            assert not self.may_enter(known)
        else:
            assert self.may_enter(known)
            known.sessions.append(Opened(signed.token))

    @precondition(lambda self: any(each.sessions for each in self.people))
    @rule(place=PLACES, all_of_them=st.booleans())
    def leave(self, place: int, *, all_of_them: bool) -> None:
        known = self.pick(place)
        if not all_of_them and known.sessions:
            with tenant_session(self.lender.id) as session:
                rows = persons.list_sessions(session, known.row.id)
                if rows:
                    persons.end_session(session, known.row, rows[0].id, by="machine")
            live = [each for each in known.sessions if not each.ended]
            if live:
                live[-1].ended = True
            return
        self.act(persons.sign_out_person, known)
        self.end_all(known)

    def end_all(self, known: Known) -> None:
        for each in known.sessions:
            each.ended = True

    @precondition(lambda self: any(each.sessions for each in self.people))
    @rule(place=PLACES, column=st.sampled_from(["seen_at", "expires_at"]))
    def let_time_pass(self, place: int, column: str) -> None:
        known = self.pick(place)
        with psycopg.connect(self.superuser_url) as connection:
            connection.execute("set session_replication_role = replica")
            connection.execute(
                f"update console_session set {column} = now() - interval '1 day'"
                " where person_id = %s".encode(),
                (known.row.id,),
            )
        self.end_all(known)

    @precondition(lambda self: self.people)
    @rule(place=PLACES, what=st.sampled_from(["suspend", "resume", "remove"]))
    def change(self, place: int, what: str) -> None:
        known = self.pick(place)
        try:
            self.act(getattr(persons, f"{what}_person"), known)
        except ConflictError:
            assert known.removed
            return
        assert not known.removed or what == "remove"
        known.suspended = what == "suspend" or (known.suspended and what == "remove")
        if what in {"suspend", "remove"}:
            self.end_all(known)
        if what == "remove":
            known.removed = True
            for key in known.keys:
                key.ended = True

    @precondition(lambda self: self.people)
    @rule(place=PLACES, scope=LENDERS)
    def give_role(self, place: int, scope: Scope) -> None:
        known = self.pick(place)
        try:
            self.act(persons.change_scope, known, scope)
        except RefusedError:
            assert known.removed or known.agency is not None
            return
        assert not known.removed
        if scope is not known.scope:
            known.scope = scope
            self.end_all(known)
            for key in known.keys:
                key.ended = key.ended or REACH[key.scope] > REACH[scope]

    @precondition(lambda self: self.people)
    @rule(place=PLACES, scope=LENDERS)
    def make_key(self, place: int, scope: Scope) -> None:
        known = self.pick(place)
        if known.removed or known.scope is not Scope.ADMIN or len(known.keys) == AT_MOST:
            return
        with tenant_session(self.lender.id) as session:
            made = access_keys.add_key(
                session,
                tenant_id=self.lender.id,
                wish=KeyWish(Actor.LENDER, scope, "x"),
                by=known.row.handle,
            )
        known.keys.append(Made(made.token, made.id, made.key_id, scope))

    @precondition(lambda self: any(each.keys for each in self.people))
    @rule(place=PLACES)
    def rotate_key(self, place: int) -> None:
        known = self.pick(place)
        live = [key for key in known.keys if not key.ended]
        if not live or len(known.keys) == AT_MOST:
            return
        with tenant_session(self.lender.id) as session:
            made = access_keys.rotate_key(
                session, Owner(self.lender.id), live[-1].id, overlap_hours=0, by="somebody-else"
            )
        live[-1].ended = True
        known.keys.append(Made(made.token, made.id, made.key_id, live[-1].scope))

    @rule(what=st.sampled_from(["suspend", "resume"]))
    def change_agency(self, what: str) -> None:
        with tenant_session(self.lender.id) as session:
            getattr(tenants, f"{what}_agency")(session, self.agency, by="machine")
        self.agency_open = what == "resume"

    @rule(what=st.sampled_from(["suspend", "resume"]))
    def change_lender(self, what: str) -> None:
        getattr(tenants, f"{what}_tenant")(self.lender.id)
        self.tenant_open = what == "resume"

    @rule()
    def request_grant(self) -> None:
        soon = now() + timedelta(days=1)
        wish = GrantWish(self.regulator, "1", "x", now() - timedelta(days=1), now(), soon)
        with tenant_session(self.lender.id) as session:
            row = grants.request_grant(session, tenant_id=self.lender.id, wish=wish, by="machine")
        self.grant, self.approved_by = row.id, set()
        self.asked_before = {each.row.handle for each in self.people}

    @precondition(lambda self: self.grant and self.people)
    @rule(place=PLACES, with_key=st.booleans())
    def approve(self, place: int, *, with_key: bool) -> None:
        known = self.pick(place)
        live = [key for key in known.keys if not key.ended and key.scope is Scope.ADMIN]
        if known.scope is not Scope.ADMIN or known.suspended or known.removed:
            return
        by = live[-1].key_id if with_key and live else known.row.handle
        assert self.grant is not None
        try:
            with tenant_session(self.lender.id) as session:
                grants.approve_grant(session, self.grant, by=by)
        except ConflictError:
            assert known.row.handle in self.approved_by or len(self.approved_by) == 2
        except ForbiddenError:
            assert known.row.handle not in self.asked_before
        else:
            assert known.row.handle in self.asked_before - self.approved_by
            self.approved_by.add(known.row.handle)
        assert len(self.approved_by) <= 2

    @invariant()
    def the_door_says_what_is_true(self) -> None:
        for known in getattr(self, "people", []):
            for opened in known.sessions:
                is_live = self.may_enter(known) and not opened.ended
                try:
                    found = authenticate_session(opened.token)
                except BadKeyError:
                    assert not is_live, known
                else:
                    assert is_live, known
                    assert (found.person, found.key_id) == (known.row.handle, known.row.handle)
                    assert (found.scope, found.agency_id) == (known.scope, known.agency)
            for key in known.keys:
                self.hold_key(known, key)

    def hold_key(self, known: Known, key: Made) -> None:
        is_live = self.may_enter(known) and not key.ended
        try:
            found = authenticate(key.token)
        except BadKeyError:
            assert not is_live, (known, key)
        else:
            assert is_live, (known, key)
            assert found.person == known.row.handle
            assert REACH[found.scope] <= REACH[known.scope]


@pytest.mark.asvs("7.4.1", "7.4.2", "8.3.2")
def test_sessions_and_keys_of_people_are_good_for_what_was_decided(
    clean: None, database: Database
) -> None:
    People.superuser_url = database.superuser_url
    many = STEPS if LONG else settings(STEPS, max_examples=12)
    run_state_machine_as_test(People, settings=many)

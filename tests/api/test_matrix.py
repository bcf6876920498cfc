"""Every route with every actor and every id: who may, who may not, and that nobody is told more."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from starlette.routing import BaseRoute, Route
from starlette.testclient import TestClient

from service.access.console import COOKIE
from service.app import create_app
from tests.api.matrix import (
    BY_KEY,
    BY_SESSION,
    OPEN,
    OTHERWISE,
    REGULATOR,
    RULES,
    Rule,
    World,
    ask,
    make_world,
    values_of,
    variants,
    write_table,
)


def routes() -> set[str]:
    """Every route that the application serves, in the schema or not."""

    def walk(served: Iterable[BaseRoute]) -> Iterator[str]:
        for route in served:
            if isinstance(route, Route):
                yield from (f"{method} {route.path}" for method in route.methods or ())
            else:
                # A router that was included; anything else (a mount) has to be told here first.
                yield from walk(cast("Any", route).original_router.routes)

    return {route for route in walk(create_app().routes) if not route.startswith("HEAD ")}


@pytest.fixture(scope="module")
def world(api: TestClient, sweeper: Any) -> Iterator[World]:
    from workers.app import run_once  # loads the speech engines, which few tests need

    api.headers.pop("authorization", None)
    yield make_world(api, run_once)
    sweeper()


def test_every_route_has_its_rule() -> None:
    known = set(RULES) | set(OTHERWISE) | set(BY_KEY) | BY_SESSION
    missing = routes() - known - OPEN
    gone = known - routes()

    lines = [f'    "{route}": reads(LENDER, ids=…),' for route in sorted(missing)]
    assert not missing, "add who may take them to RULES in tests/api/matrix.py:\n" + "\n".join(
        lines
    )
    assert not gone, f"take them out of tests/api/matrix.py: {sorted(gone)}"
    for route, rule in RULES.items():
        named = {part[1:-1] for part in route.split("/") if part.startswith("{")}
        assert named == set(rule.ids) | set(rule.fixed), f"{route}: name each of its parameters"


def test_the_page_of_access_shows_the_rules() -> None:
    page = (Path(__file__).parents[2] / "docs" / "access.md").read_text("utf-8")

    hint = "print(tests.api.matrix.write_table()) gives the table for docs/access.md"
    assert write_table() in page, hint


@pytest.mark.parametrize("route", sorted({*RULES, *BY_KEY}))
def test_without_a_live_key_there_is_no_answer(api: TestClient, world: World, route: str) -> None:
    rule = RULES.get(route, Rule(BY_KEY.get(route, frozenset())))
    values = {**world.ids, **rule.fixed, **{name: str(uuid4()) for name in rule.ids}}

    unknown = {"authorization": "Bearer hg_dev_unknown"}
    nobody = {**world.ended, "cookie": f"{COOKIE}=x"}
    auths = (unknown, world.revoked, nobody, world.ended)
    answers = [ask(api, route, world, auth, values) for auth in ({}, *auths)]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers[1:]}) == 1


@pytest.mark.parametrize("route", sorted(BY_SESSION))
def test_what_is_for_people_who_signed_in_is_for_no_key(
    api: TestClient, world: World, route: str
) -> None:
    values = {"session": str(uuid4())}

    answers = [
        ask(api, route, world, auth, values) for auth in ({}, world.ended, *world.own.values())
    ]

    assert {answer.status_code for answer in answers} == {401}


@pytest.mark.parametrize(
    "route", sorted(route for route in {*RULES, *BY_SESSION} if not route.startswith("GET "))
)
@pytest.mark.asvs("3.5.1", "3.5.3")
def test_another_sites_page_acts_for_nobody(api: TestClient, world: World, route: str) -> None:
    rule = RULES.get(route, Rule(frozenset()))
    values = {**world.ids, **rule.fixed, "session": str(uuid4())}
    values |= {name: str(uuid4()) for name in rule.ids}
    cookie = {"cookie": world.signed["admin"]["cookie"]}

    for named in ({}, {"origin": "https://elsewhere.example"}):
        answer = ask(api, route, world, {**cookie, **named}, values)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")


@pytest.mark.parametrize("route", sorted(RULES))
@pytest.mark.asvs("8.2.1", "8.3.1")
def test_who_may_not_is_told_nothing(api: TestClient, world: World, route: str) -> None:
    rule = RULES[route]
    callers = {role: auth for role, auth in world.own.items() if role not in rule.who}
    callers["without a grant"] = world.ungranted
    signed = {role: auth for role, auth in world.signed.items() if role not in rule.who}
    callers |= {f"{role}, signed in": auth for role, auth in signed.items()}
    known = values_of(rule, world)

    for role, auth in callers.items():
        answer = ask(api, route, world, auth, known)
        assert answer.status_code == 403, (role, answer.text)
        assert not [value for value in known.values() if value in answer.text], role
    for values, random in variants(rule, world):
        told = [ask(api, route, world, auth, asked).content for asked in (values, random)]
        assert told[0] == told[1]


@pytest.mark.parametrize("route", sorted(RULES))
@pytest.mark.asvs("8.2.2")
def test_a_foreign_id_is_answered_like_one_that_never_was(
    api: TestClient, world: World, route: str
) -> None:
    rule = RULES[route]

    for whose, role, auth in world.foreign:
        if role not in rule.who:
            answer = ask(api, route, world, auth, values_of(rule, world))
            assert answer.status_code == 403, (whose, role, answer.text)
            continue
        for known, random in variants(rule, world):
            foreign, missing = (ask(api, route, world, auth, value) for value in (known, random))
            assert foreign.status_code == 404, (whose, role, foreign.text)
            assert foreign.content == missing.content, (whose, role)
        if not rule.ids:
            answer = ask(api, route, world, auth, rule.fixed)
            assert answer.status_code not in {401, 403}, (whose, role, answer.text)
            if answer.request.method == "GET" and not rule.echoes:
                hidden = {
                    value
                    for name, value in world.ids.items()
                    if name != "regulator" and not (whose == "another agency" and name == "agency")
                }
                assert not [value for value in hidden if value in answer.text], (whose, role)


@pytest.mark.parametrize("route", sorted(route for route in RULES if RULES[route].body_ids))
def test_a_foreign_id_in_a_body_is_answered_like_one_that_never_was(
    api: TestClient, world: World, route: str
) -> None:
    rule = RULES[route]
    (admin,) = (
        auth for whose, role, auth in world.foreign if (whose, role) == ("another lender", "admin")
    )

    for field, what in rule.body_ids.items():
        answers = []
        for value in (world.ids[what], str(uuid4())):
            body = dict(rule.body(world) if callable(rule.body) else rule.body)
            body[field] = [value] if field == "agencies" else value
            if field == "escalate_to":
                body["escalate_after_s"] = 3600
            if field == "interaction_id":
                del body["case_id"]
            answers.append(ask(api, route, world, admin, values_of(rule, world), body))
        assert answers[0].status_code in {404, 422}, answers[0].text
        assert answers[0].content == answers[1].content


@pytest.mark.parametrize("route", sorted(RULES))
def test_who_may_is_let_in(api: TestClient, world: World, route: str) -> None:
    rule = RULES[route]

    statuses = {
        (role, how): ask(api, route, world, held[role], values_of(rule, world))
        for how, held in (("key", world.own), ("session", world.signed))
        for role in sorted(rule.who & set(held))
    }

    for role, answer in statuses.items():
        assert answer.status_code in rule.ok, (role, answer.status_code, answer.text)


@pytest.mark.parametrize("route", sorted(BY_KEY))
def test_a_key_is_enough(api: TestClient, world: World, route: str) -> None:
    signed = {f"{role}, signed in": auth for role, auth in world.signed.items()}
    callers = {**world.own, **signed, "without a grant": world.ungranted}

    answers = {role: ask(api, route, world, auth, {}) for role, auth in callers.items()}

    assert {answer.status_code for answer in answers.values()} == {200}
    for whose, role, auth in world.foreign:
        text = ask(api, route, world, auth, {}).text
        assert world.ids["grant"] not in text, (whose, role)
    assert world.ids["grant"] in answers[REGULATOR].text

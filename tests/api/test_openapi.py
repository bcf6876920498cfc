"""Anything that the OpenAPI allows, and much that it does not, gets a documented answer."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.core.result import Ok
from schemathesis.generation.hypothesis.builder import (
    HypothesisTestConfig,
    HypothesisTestMode,
    create_test,
)
from starlette.testclient import TestClient

from service.app import create_app
from tests.factories import make_tenant

schemathesis.serializer.alias("application/vcon", "application/json")
schemathesis.serializer.alias("application/x-ndjson", "text/plain")
schema = schemathesis.openapi.from_dict(create_app().openapi())
OPERATIONS = {
    found.ok().label: found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)
}


@pytest.fixture(scope="module")
def key(api: TestClient, sweeper: Any) -> Iterator[str]:
    yield make_tenant().key
    sweeper()


@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def has_documented_answer(case: Case[Any], api: TestClient, key: str) -> None:
    transport: dict[str, Any] = case.as_transport_kwargs(base_url="http://testserver")
    transport.pop("cookies", None)
    if isinstance(transport.get("data"), bytes | str):
        transport["content"] = transport.pop("data")
    given = {**(transport.pop("headers", None) or {}), "authorization": f"Bearer {key}"}
    # The wire carries Latin-1, which this client would not by itself.
    headers = {
        name: value.encode("latin-1", "replace") for name, value in given.items() if name.isascii()
    }

    answer = api.request(**transport, headers=headers)

    documented = {int(status) for status in case.operation.definition.raw["responses"]}
    assert answer.status_code < 500, answer.text
    assert answer.status_code in documented | {405}, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("label", sorted(OPERATIONS))
@pytest.mark.asvs("2.2.1", "16.5.1")
def test_no_input_is_a_server_error(label: str, api: TestClient, key: str) -> None:
    # Thinking up the cases of all operations takes longer than asking them: it is done here and
    # not by the tool's own decorator, which does it whenever tests are collected.
    config = HypothesisTestConfig(project=schema.config, modes=list(HypothesisTestMode))

    create_test(operation=OPERATIONS[label], test_func=has_documented_answer, config=config)(
        api=api, key=key
    )


def longest(parameter: dict[str, Any]) -> int:
    """Bytes of the longest value that the description allows, percent-encoded."""
    shapes = parameter["schema"].get("anyOf", [parameter["schema"]])
    return max(map(longest_of, shapes)) + len(parameter["name"]) + 2


def longest_of(shape: dict[str, Any]) -> int:
    if shape.get("type") != "string" or "enum" in shape or "format" in shape:
        return 200  # numbers, times, ids and choices, all short and ours
    wide = "pattern" not in shape or re.search(shape["pattern"], "\U0010ffff")
    assert "maxLength" in shape or not wide, shape
    return int(shape.get("maxLength", 200)) * (12 if wide else 3)


@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_no_allowed_address_is_longer_than_the_server_reads(label: str) -> None:
    # The server answers an address of 64 KiB by itself, in a form of its own.
    raw = OPERATIONS[label].definition.raw
    inside = [p for p in raw.get("parameters", []) if p["in"] in {"path", "query"}]
    assert sum(map(longest, inside)) < 60_000

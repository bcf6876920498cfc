"""A lender's own limits: tighter is taken, looser is refused, and earlier contacts keep theirs."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.clock import now
from tests.factories import Lender, Sender, make_call, make_case, post_event


def value_of(document: dict[str, Any], rule: str, name: str) -> object:
    (item,) = [i for i in document["items"] if (i["rule"], i["name"]) == (rule, name)]
    return item["value"]


def put(client: TestClient, lender: Lender, values: dict[str, Any]) -> Any:
    return client.put("/v1/parameters", json={"values": values}, headers=lender.auth)


def dials(start: Any, name: str, count: int) -> list[dict[str, Any]]:
    return [
        make_call(
            interaction_id=f"{name}-{n}",
            started_at=(start + timedelta(minutes=20 * n)).isoformat(),
            outcome="no_answer",
            talk_seconds=None,
        )
        for n in range(count)
    ]


def rules_of(client: TestClient, lender: Lender, interaction: str) -> set[str]:
    items = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    (row,) = [item for item in items if item["interaction_id"] == interaction]
    found = client.get(f"/v1/interactions/{row['id']}", headers=lender.auth).json()
    return {finding["rule"] for finding in found["verdict"]["findings"]}


def test_a_tighter_limit_counts_from_then_on(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> None:
    noon = now().replace(hour=4, minute=0, second=0, microsecond=0)
    past, future = noon - timedelta(days=1), noon + timedelta(days=1)

    answer = put(client, lender, {"FRQ-02": {"limit": 2}})

    assert answer.status_code == 200, answer.text
    assert answer.json()["revision"] == 1
    assert value_of(answer.json(), "FRQ-02", "limit") == 2
    for document in (make_case(), *dials(past, "P", 3), *dials(future, "F", 3)):
        assert post_event(client, agency, document).status_code == 202
    run_jobs()
    assert "FRQ-02" not in rules_of(client, lender, "P-2")
    assert "FRQ-02" not in rules_of(client, lender, "F-1")
    assert "FRQ-02" in rules_of(client, lender, "F-2")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"FRQ-02": {"limit": 7}}, "values.FRQ-02.limit"),
        ({"FRQ-02": {"limit": "3"}}, "values.FRQ-02.limit"),
        ({"FRQ-02": {"nothing": 1}}, "values.FRQ-02.nothing"),
        ({"XXX-01": {"limit": 1}}, "values.XXX-01.*"),
    ],
)
def test_a_looser_or_unknown_value_is_refused_by_name(
    client: TestClient, lender: Lender, values: dict[str, Any], field: str
) -> None:
    answer = put(client, lender, values)

    assert answer.status_code == 422
    assert [problem["field"] for problem in answer.json()["errors"]] == [field]
    assert client.get("/v1/parameters", headers=lender.auth).json()["revision"] == 0


def test_an_agency_neither_reads_nor_sets(client: TestClient, agency: Sender) -> None:
    assert client.get("/v1/parameters", headers=agency.auth).status_code == 403
    body = {"values": {"FRQ-02": {"limit": 2}}}
    assert client.put("/v1/parameters", json=body, headers=agency.auth).status_code == 403

"""What the tests of the road share: a real receiver of alerts, and an endpoint for it."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.config import settings
from tests.conftest import Database
from tests.factories import Lender
from tests.receiver import Receiver


@pytest.fixture
def receiver(database: Database) -> Iterator[Receiver]:
    """A receiver that the operator's settings allow although it is local."""
    with Receiver() as running:
        os.environ["HEGUI_EGRESS_ALLOW"] = running.address
        settings.cache_clear()
        yield running
    del os.environ["HEGUI_EGRESS_ALLOW"]
    settings.cache_clear()


@pytest.fixture
def endpoint(client: TestClient, lender: Lender, receiver: Receiver) -> dict[str, Any]:
    """The receiver as the lender's endpoint; holds its `id` and `secret`."""
    answer = client.post("/v1/endpoints", json={"url": receiver.url}, headers=lender.auth)
    assert answer.status_code == 201
    made: dict[str, Any] = answer.json()
    return made

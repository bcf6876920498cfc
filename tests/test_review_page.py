"""The page of review says what the code does, and its examples run."""

import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.people import disputes, scorecards
from service.people.reviews_policy import Policy
from tests.factories import Lender, Sender
from tests.people import findings, make_reviewer, send_threat
from tests.receiver import Receiver
from tests.workers.conftest import endpoint, receiver  # noqa: F401  fixtures of the road

PAGE = (Path(__file__).parents[1] / "docs" / "review.md").read_text("utf-8")


def example(name: str) -> str:
    (found,) = re.findall(rf"```\w+ {name}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_every_call_on_the_page_exists() -> None:
    known = {
        (method.upper(), path)
        for path, methods in create_app().openapi()["paths"].items()
        for method in methods
    }

    told = set(re.findall(r"^\| `([A-Z]+) (/v1/\S+?)`", PAGE, re.MULTILINE))
    assert len(told) == 24
    assert told <= known


def test_the_numbers_on_the_page_are_those_of_the_code() -> None:
    policy = Policy()

    for words in (
        f"{policy.lease_minutes} minutes by the database's clock",
        f"{policy.dispute_days} working days (`dispute_days`)",
        f"{policy.decide_days} working days (`decide_days`)",
        f"newest {policy.window} reviewed (`window`)",
        f"{policy.minimum}\nreviews on (`minimum`)",
        f"the floor ({policy.floor:g};",
        f"{disputes.MAX_FILE_MB} MB, ten a dispute",
        f"Below {scorecards.SMALL} contacts",
    ):
        assert words in PAGE, words
    assert disputes.MAX_FILES == 10


@pytest.fixture
def waiting(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> list[str]:
    send_threat(client, agency)
    run_jobs()
    rows = findings(client, lender.auth, severity="critical")
    return [row["id"] for row in rows]


def test_the_client_example_works_through_the_queue(
    port: int, client: TestClient, lender: Lender, waiting: list[str]
) -> None:
    key = make_reviewer(lender)["authorization"].removeprefix("Bearer ")

    exec(example("client"), {"BASE": f"http://127.0.0.1:{port}", "KEY": key})  # noqa: S102  our page

    rows = findings(client, lender.auth, severity="critical")
    assert [row["id"] for row in rows] == waiting
    assert {row["review"]["state"] for row in rows} == {"confirm"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
def test_the_curl_example_decides_a_finding(
    port: int, client: TestClient, lender: Lender, waiting: list[str]
) -> None:
    key = make_reviewer(lender)["authorization"].removeprefix("Bearer ")
    environment = {
        "BASE": f"http://127.0.0.1:{port}", "KEY": key, "FINDING": waiting[0],
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }  # fmt: skip

    done = subprocess.run(
        ["sh", "-ec", example("curl")], env=environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    (row,) = (row for row in findings(client, lender.auth) if row["id"] == waiting[0])
    assert row["review"]["state"] == "dismiss"


def test_the_receiver_example_takes_a_real_alert_once_and_refuses_a_forged_one(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    receiver: Receiver,  # noqa: F811  the fixture
    endpoint: dict[str, Any],  # noqa: F811  the fixture
    run_jobs: Callable[[], None],
) -> None:
    send_threat(client, agency)
    run_jobs()
    (sent,) = receiver.requests
    handled: list[Any] = []
    names: dict[str, Any] = {"SECRET": endpoint["secret"], "handle": handled.append}
    exec(example("receiver"), names)  # noqa: S102  our page
    server = HTTPServer(("127.0.0.1", 0), names["Receiver"])
    names["Receiver"].log_message = lambda *_: None
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    import httpx

    address = f"http://127.0.0.1:{server.server_port}/"
    kept = ("webhook-id", "webhook-timestamp", "webhook-signature")
    headers = {name: sent.headers[name] for name in kept}
    try:
        statuses = [
            httpx.post(address, content=body, headers=headers, trust_env=False).status_code
            for body in (sent.body, sent.body, sent.body + b" ")
        ]
    finally:
        server.shutdown()
        server.server_close()

    assert statuses == [204, 204, 400]
    assert [event["type"] for event in handled] == ["interaction.failed"]

"""The commands of keeping, as an operator types them."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from hegui.cli import app
from service.errors import ServiceError
from tests.conftest import Database
from tests.factories import Lender, Sender
from tests.retention import let_time_pass, make_kept_call, tick, where


def run(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Run a command; gives its status and the JSON lines it printed."""
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def test_a_purge_takes_the_operator_and_an_administrator(
    client: TestClient, lender: Lender, agency: Sender, database: Database
) -> None:
    tick()
    old = datetime.now(UTC) - timedelta(days=2000)
    first, second = (
        make_kept_call(client, agency, audio, started_at=old, case={"lender_type": "bank"})
        for audio in (b"one", b"two")
    )
    tenant = ("--tenant", str(lender.id))
    _, [placed] = run("hold", "place", *tenant, "--reason", "诉讼", "--recording", first)
    assert placed["held"] == 1
    past = client.get("/v1/retention/past?limit=1", headers=lender.auth).json()
    rest = client.get(
        f"/v1/retention/past?cursor={past['next_cursor']}", headers=lender.auth
    ).json()
    held = {item["sha256"]: item["held"] for item in [*past["items"], *rest["items"]]}
    assert held == {first: True, second: False}

    _, [planned] = run("purge", "plan", *tenant)
    assert planned["listed"] == 1
    let_time_pass(database.superuser_url, timedelta(days=8))
    approval = ("--list-sha256", planned["list_sha256"])
    with pytest.raises(ServiceError, match="Somebody else"):
        run("purge", "approve", planned["id"], *tenant, *approval)
    approved = client.post(
        f"/v1/purges/{planned['id']}/approve",
        json={"list_sha256": planned["list_sha256"]},
        headers=lender.auth,
    )
    assert approved.status_code == 202, approved.text
    _, [done] = run("purge", "run", planned["id"], *tenant)

    assert (done["state"], done["removed"]) == ("done", 1)
    assert where(lender, first).exists()
    assert not where(lender, second).exists()
    certificate = client.get(f"/v1/purges/{planned['id']}/certificate", headers=lender.auth).json()
    assert certificate["certificate"]["items"][0]["sha256"] == second
    _, [item] = run("purge", "list", *tenant, "--run", planned["id"])
    assert (item["sha256"], item["state"]) == (second, "removed")
    _, [released] = run("hold", "release", placed["hold_id"], *tenant, "--reason", "结案")
    assert released["released_at"]
    _, holds = run("hold", "list", *tenant)
    assert [row["release_reason"] for row in holds] == ["结案"]
    assert run("hold", "list", *tenant, "--standing") == (0, [])
    figures = client.get("/v1/retention", headers=lender.auth).json()
    assert (figures["kept"], figures["purged"], figures["clock"]) == (1, 1, None)


def test_a_key_made_after_the_plan_is_no_second_person(
    client: TestClient, lender: Lender, agency: Sender, database: Database
) -> None:
    tick()
    make_kept_call(client, agency, b"x", started_at=datetime.now(UTC) - timedelta(days=4000))
    planned = client.post("/v1/purges", headers=lender.auth).json()
    let_time_pass(database.superuser_url, timedelta(days=8))
    wish = {"actor": "lender", "scope": "admin", "label": "second me"}
    made = client.post("/v1/keys", json=wish, headers=lender.auth)
    assert made.status_code == 201, made.text

    answer = client.post(
        f"/v1/purges/{planned['id']}/approve",
        json={"list_sha256": planned["list_sha256"]},
        headers={"authorization": f"Bearer {made.json()['key']}"},
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "approver_too_new")
    cancelled = client.post(f"/v1/purges/{planned['id']}/cancel", headers=lender.auth)
    assert cancelled.json()["state"] == "cancelled"


def test_a_list_is_reconciled_from_a_file_with_its_manifest(
    client: TestClient, lender: Lender, agency: Sender, tmp_path: Path
) -> None:
    body = (
        b"call_id,started_at,answered,talk_seconds\n"
        b"C-1,2026-06-03T10:12:00+08:00,1,60\nC-2,2026-06-03T10:15:00+08:00,0,0\n"
    )
    path = tmp_path / "day.csv"
    path.write_bytes(body)
    manifest = {"agency": str(agency.id), "day": "2026-06-03", "rows": 2,
                "sha256": hashlib.sha256(body).hexdigest()}  # fmt: skip
    path.with_name("day.csv.manifest.json").write_text(json.dumps(manifest))

    status, [figure, *faults] = run("calls", "reconcile", str(path))

    assert (status, figure["listed"], figure["expected"], figure["complete"]) == (1, 2, 1, 0)
    assert [(row["call_id"], row["kind"]) for row in faults] == [
        ("C-1", "absent"),
        ("C-2", "absent"),
    ]
    path.with_name("day.csv.manifest.json").write_text(json.dumps({**manifest, "rows": 3}))
    with pytest.raises(ServiceError):
        run("calls", "reconcile", str(path))


def test_the_clock_can_be_looked_at_and_vouched_for(lender: Lender, database: Database) -> None:
    tick()
    assert run("purge", "clock") == (0, [{"clock": "trusted"}])
    let_time_pass(database.superuser_url, timedelta(days=30), ticking=False)
    tick()
    result = CliRunner().invoke(app, ["purge", "clock"])
    assert "jumped" in str(result.exception)
    assert run("purge", "clock", "--accept") == (0, [{"clock": "trusted"}])

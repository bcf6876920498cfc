"""The operator's commands of access: lives of lenders and agencies, keys, regulators, grants."""

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from hegui.cli import app
from tests.factories import Lender, Sender, make_sms, post_event


def run(folder: Path, *words: str, expect: int = 0) -> dict[str, str]:
    """Run a command; gives what it printed as `name=value`."""
    done = CliRunner().invoke(app, [*words, "--data-dir", str(folder)])
    assert done.exit_code == expect, f"{done.output}{done.exception or ''}"
    return dict(re.findall(r"^(\w+)=(.*)$", done.stdout, re.MULTILINE))


def printed(folder: Path, *words: str) -> str:
    return CliRunner().invoke(app, [*words, "--data-dir", str(folder)]).stdout


def status(client: TestClient, token: str, path: str = "/v1/me") -> int:
    answer = client.get(path, headers={"authorization": f"Bearer {token}"})
    return int(answer.status_code)


def test_keys_live_as_the_operator_says(client: TestClient, lender: Lender, tmp_path: Path) -> None:
    of = ("--tenant", str(lender.id))
    made = run(tmp_path, "key", "add", *of, "--actor", "lender", "--scope", "review")
    assert status(client, made["key"]) == 200

    next_key = run(tmp_path, "key", "rotate", made["id"], *of, "--overlap-hours", "0")
    assert (status(client, made["key"]), status(client, next_key["key"])) == (401, 200)
    seen = []
    for verb in ("suspend", "resume", "revoke"):
        run(tmp_path, "key", verb, next_key["id"], *of)
        seen.append(status(client, next_key["key"]))
    assert seen == [401, 200, 401]
    listed = printed(tmp_path, "key", "list", *of)
    assert next_key["key_id"] in listed
    assert "revoked" in listed
    assert next_key["key"].split("_")[3] not in listed


def test_lenders_and_agencies_live_as_the_operator_says(
    client: TestClient, lender: Lender, agency: Sender, tmp_path: Path
) -> None:
    from service.signature import forget_sources  # what other processes forget within a second

    def doors() -> tuple[int, int]:
        forget_sources()
        return status(client, agency.key), post_event(client, agency, make_sms()).status_code

    seen = []
    for words in (
        ("agency", "suspend", str(agency.id), "--tenant", str(lender.id)),
        ("agency", "resume", str(agency.id), "--tenant", str(lender.id)),
        ("tenant", "suspend", str(lender.id)),
        ("tenant", "resume", str(lender.id)),
        ("agency", "remove", str(agency.id), "--tenant", str(lender.id)),
        ("tenant", "remove", str(lender.id)),
    ):
        run(tmp_path, *words)
        seen.append(doors())

    assert seen == [(401, 401), (200, 202), (401, 401), (200, 202), (401, 401), (401, 401)]
    assert "removed" in printed(tmp_path, "agency", "list", "--tenant", str(lender.id))
    secret = run(tmp_path, "agency", "rotate", str(agency.id), "--tenant", str(lender.id))
    assert secret["webhook_secret"].startswith("whsec_")


def test_a_regulator_is_set_up_and_reads_once_two_have_approved(
    client: TestClient, lender: Lender, tmp_path: Path
) -> None:
    regulator = run(tmp_path, "regulator", "add", "示例监管局")["regulator_id"]
    of = ("--regulator", regulator)
    key = run(tmp_path, "key", "add", *of, "--actor", "regulator")["key"]
    terms = (
        "--case-number", "金罚查〔2026〕12号", "--purpose", "inspection", "--field", "transcripts",
        "--from", "2026-01-01T00:00:00+08:00", "--to", "2027-01-01T00:00:00+08:00",
        "--ends", "2027-06-01T00:00:00+08:00", "--starts", "2026-11-01T00:00:00+08:00",
    )  # fmt: skip
    grant = run(tmp_path, "grant", "request", "--tenant", str(lender.id), *of, *terms)["grant_id"]
    where = (grant, "--tenant", str(lender.id))

    states = [run(tmp_path, "grant", "approve", *where)["state"]]
    run(tmp_path, "grant", "approve", *where, expect=1)
    before = status(client, key, "/v1/interactions")
    client.post(f"/v1/grants/{grant}/approve", headers=lender.auth)
    reads = status(client, key, "/v1/interactions")
    listed = printed(tmp_path, "grant", "list", "--tenant", str(lender.id))
    run(tmp_path, "grant", "end", *where)
    ended = status(client, key, "/v1/interactions")

    assert (states, before, reads, ended) == (["approved_once"], 403, 200, 403)
    assert f"{grant}  live" in listed
    for verb, expected in (("suspend", 401), ("resume", 200), ("remove", 401)):
        run(tmp_path, "regulator", verb, regulator)
        assert status(client, key) == expected
    assert "removed" in printed(tmp_path, "regulator", "list")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("key", "list"), "--tenant and --regulator"),
        (("tenant", "suspend", "x"), "TENANT_ID"),
        (("regulator", "suspend", "00000000-0000-0000-0000-000000000000"), "no such regulator"),
        (("key", "add", "--actor", "king", "--tenant", "x"), "--actor"),
        (("grant", "list", "--tenant", "00000000-0000-0000-0000-000000000000"), "no lender"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    client: TestClient, tmp_path: Path, words: tuple[Any, ...], told: str
) -> None:
    done = CliRunner().invoke(app, [*words, "--data-dir", str(tmp_path)])

    assert done.exit_code != 0
    assert told in f"{done.output}{done.exception}"

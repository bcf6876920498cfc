"""The documents say what the code does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from hegui.cli import app
from hegui.cli_rules import rules
from rules.retention import CARD_YEARS, CONSUMER_FINANCE_YEARS, CONVENTION_YEARS
from service.alerts.alert import MAX_ATTEMPTS
from service.alerts.alert_log import RECOVER_AT_MOST
from service.alerts.channel import CHANNELS
from service.alerts.endpoints import ESCALATE_AFTER_S
from service.app import create_app
from service.config import Settings
from service.keeping.completeness import RULES
from service.keeping.completeness_models import Fault
from service.models import EndpointKind
from service.packs import load_pack
from workers.sender import RETRY_DELAYS_S

ROOT = Path(__file__).parents[1]


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_every_setting_is_on_its_page_with_its_default() -> None:
    page = dict(
        re.findall(r"^\| `HEGUI_([A-Z0-9_]+)` \| (.*?) \|", read("docs/settings.md"), re.MULTILINE)
    )

    assert set(page) == {name.upper() for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        default = field.default
        if hasattr(default, "get_secret_value"):
            default = default.get_secret_value()
        assert page[name.upper()] == (f"`{default}`" if str(default) else "empty"), name


@pytest.mark.parametrize("name", ["docs/webhooks.md", "docs/operations.md", "docker-compose.yml"])
def test_every_setting_named_elsewhere_exists(name: str) -> None:
    named = set(re.findall(r"HEGUI_([A-Z0-9_]+)", read(name)))

    known = {field.upper() for field in Settings.model_fields}
    assert named <= known | {"OWNER_PASSWORD", "PORT"}


def test_the_retry_schedule_is_the_documented_one() -> None:
    words = "5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h"
    unit = {"s": 1, "min": 60, "h": 3600}
    told = tuple(int(n) * unit[u] for n, u in re.findall(r"(\d+) (s|min|h)\b", words))

    assert words in read("docs/webhooks.md")
    assert told == RETRY_DELAYS_S
    assert len(told) + 1 == MAX_ATTEMPTS


def test_the_page_of_alerts_tells_each_kind_with_its_limits() -> None:
    page = read("docs/alerts.md")
    rows = {
        cells[0].strip("`"): cells[1:]
        for line in page.splitlines()
        if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 7
    }

    assert set(rows) - {"kind", "---"} == {kind.value for kind in EndpointKind}
    for kind, known in CHANNELS.items():
        limits = ", ".join(f"{count} in {seconds} s" for count, seconds in known.limits)
        assert rows[kind.value] == [
            "yes" if known.signs else "no",
            limits or "none",
            f"{known.pace_s:g} s" if known.pace_s else "none",
            f"{known.text_bytes} bytes" if known.text_bytes else "–",
            f"{known.window_s} s",
            f"{known.penalty_s:g} s" if known.penalty_s else "–",
        ], kind
        assert known.source in page
        for count, seconds in known.limits:
            posts = 1 + int((seconds - 1e-9) // known.pace_s)
            assert posts <= count, "the pause is too short for the limit"
    assert f"({ESCALATE_AFTER_S[0]} to {ESCALATE_AFTER_S[-1]})" in page
    assert f"up to {RECOVER_AT_MOST.days} days back" in page


def test_every_call_on_the_page_of_alerts_exists() -> None:
    page = read("docs/alerts.md")
    known = {
        (method.upper(), path)
        for path, methods in create_app().openapi()["paths"].items()
        for method in methods
    }

    told = set(re.findall(r"^\| `([A-Z]+) (/v1/\S+?)`", page, re.MULTILINE))
    assert len(told) == 6
    assert told <= known
    options = set(re.findall(r"(?<!\S)--[a-z-]+", page.split("hegui endpoint add", 1)[1]))
    shown = CliRunner().invoke(app, ["endpoint", "add", "--help"]).stdout
    assert options & set(re.findall(r"--[a-z-]+", shown)) == options


def test_the_page_of_retention_tells_the_years_the_faults_and_the_calls() -> None:
    page = read("docs/retention.md")
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("|")
    ]
    years = {cells[0]: cells[1] for cells in rows if len(cells) == 3}
    paths = create_app().openapi()["paths"]
    told = re.findall(r"`(GET|PUT|POST) (/v1/[a-z/-]+)", page)

    assert years["a bank's credit card"] == str(CARD_YEARS)
    assert years["a consumer finance company"] == str(CONSUMER_FINANCE_YEARS)
    assert years["everything else, and what is not known"] == str(CONVENTION_YEARS)
    assert {name: RULES[name][0] for name in Fault} == {
        Fault(cells[0]): cells[1] for cells in rows if cells[0] in set(Fault)
    }
    assert len(told) > 8
    for method, path in told:
        known = {name for name, methods in paths.items() if method.lower() in methods}
        assert any(name.startswith(path) for name in known), path
    for name in re.findall(r"`(tests/\S+\.py)", page):
        assert (ROOT / name).is_file(), name


def test_compose_starts_every_part_after_the_migration() -> None:
    services = yaml.safe_load(read("docker-compose.yml"))["services"]

    assert set(services) == {"db", "migrate", "api", "worker-audio", "worker-rules"}
    for name in ("api", "worker-audio", "worker-rules"):
        wait = services[name]["depends_on"]["migrate"]
        assert wait == {"condition": "service_completed_successfully"}
    assert services["migrate"]["depends_on"]["db"] == {"condition": "service_healthy"}


def test_the_rules_page_is_what_the_command_prints() -> None:
    result = CliRunner().invoke(rules, ["coverage"])

    assert result.exit_code == 0
    assert read("docs/rules.md") == result.stdout, "run: hegui rules coverage > docs/rules.md"


def test_the_accuracy_page_names_its_pack_and_the_command_that_made_it() -> None:
    page = read("docs/accuracy.md")
    made = re.search('Made by `make eval CORPUS="([^"]+)"`', page)

    assert f"Pack `{load_pack().name}`" in page
    assert made is not None
    assert "hegui/evaluation/corpora/field" in made[1].split()
    assert "\neval: " in read("Makefile")


@pytest.mark.parametrize(
    ("forge", "schema"),
    [("github", "vendor.github-workflows"), ("gitlab", "vendor.gitlab-ci")],
)
def test_the_recipes_for_pipelines_follow_the_forges_schemas(
    forge: str, schema: str, tmp_path: Path
) -> None:
    (recipe,) = re.findall(rf"```yaml {forge}\n(.*?)```", read("docs/ci.md"), re.DOTALL)
    target = tmp_path / "recipe.yml"
    target.write_text(recipe, "utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, target],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_option_of_the_gate_in_the_recipes_exists() -> None:
    known = set(re.findall(r"--[a-z-]+", CliRunner().invoke(app, ["gate", "--help"]).stdout))
    told = {
        option
        for line in re.findall(r"hegui gate ([^`\n]+)", read("docs/ci.md"))
        for option in re.findall(r"(?<!\S)--[a-z-]+", line)
    }

    assert told
    assert told <= known

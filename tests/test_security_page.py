"""Each promise of the page on security names a test that is there."""

import ast
import re
from collections.abc import Iterator
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


def marked() -> Iterator[tuple[str, frozenset[str]]]:
    """Every test that says which requirements it serves, with them."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            for mark in getattr(node, "decorator_list", ()):
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.asvs":
                    assert isinstance(node, ast.FunctionDef)
                    ids = frozenset(str(ast.literal_eval(given)) for given in mark.args)
                    yield f"{path.relative_to(ROOT)}::{node.name}", ids


def test_page_and_tests_name_the_same_requirements_of_the_standard() -> None:
    told: dict[str, frozenset[str]] = {}
    for row in ROW.finditer(PAGE):
        ids = frozenset(row["asvs"].split(", "))
        assert all(re.fullmatch(r"\d{1,2}\.\d\.\d{1,2}", each) for each in ids), row["promise"]
        told[row["test"]] = told.get(row["test"], frozenset()) | ids
    held = dict(marked())

    hint = {
        test: f"@pytest.mark.asvs({', '.join(repr(each) for each in sorted(told.get(test, ())))})"
        for test in sorted(set(told) | set(held))
        if told.get(test) != held.get(test)
    }
    assert hint == {}, "what docs/security.md says of these tests; take it there or take it away"


def test_the_commands_and_settings_of_the_page_exist() -> None:
    from typer.main import get_command

    from hegui.cli import app
    from service.config import Settings

    commands = get_command(app)
    for group, verbs in re.findall(r"`hegui ([a-z]+) ([a-z|-]+)", PAGE):
        known = commands.commands[group].commands  # type: ignore[attr-defined]
        assert set(verbs.split("|")) <= set(known), group
    settings = {f"HEGUI_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"HEGUI_[A-Z_]+", PAGE)) <= settings

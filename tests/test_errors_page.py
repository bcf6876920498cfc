"""The catalogue of errors has every code that the service can answer, and no other."""

import ast
from pathlib import Path

import service.app  # noqa: F401  so that every error class is known
from service.error_codes import CODES, error_page
from service.errors import ServiceError

ROOT = Path(__file__).parents[1]
# Codes that only parts of a sentence make up.
COMPOSED = {"dispute_lapsed", "dispute_withdrawn"}
FRAMEWORK = {"method_not_allowed"}


def family(kind: type[ServiceError]) -> list[type[ServiceError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in family(child))]


def written_codes() -> dict[str, int | None]:
    """Codes that are passed to an error by name, and the status of that error where it is ours."""
    statuses = {kind.__name__: kind.status for kind in family(ServiceError)}
    found: dict[str, int | None] = {}
    for path in (ROOT / "service").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id not in statuses:
                continue
            for keyword in node.keywords:
                if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                    found[str(keyword.value.value)] = statuses[node.func.id]
    return found


def test_every_code_is_in_the_catalogue_with_its_status() -> None:
    known = {kind.code: kind.status for kind in family(ServiceError)} | written_codes()

    missing = set(known) - set(CODES)
    assert not missing, f"say what they mean in service/error_codes.py: {sorted(missing)}"
    assert set(CODES) <= set(known) | COMPOSED | FRAMEWORK
    for code, status in known.items():
        assert CODES[code].status == status, code


def test_the_page_of_errors_is_what_the_catalogue_says() -> None:
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")

    assert page == error_page(), "run: .venv/bin/python -m service.error_codes > docs/errors.md"

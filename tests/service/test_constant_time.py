"""No secret, signature or keyed digest is compared by what ends at the first difference."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECRET = re.compile(
    r"secret|signature|(?<!next_)token(?!s)|hmac|password|passwd|(?<!_)mac$|code_verifier|nonce"
)


def names(node: ast.AST) -> Iterator[str]:
    """The words by which an operand is called."""
    for found in ast.walk(node):
        if isinstance(found, ast.Name):
            yield found.id
        elif isinstance(found, ast.Attribute):
            yield found.attr
        elif isinstance(found, ast.Subscript) and isinstance(found.slice, ast.Constant):
            yield str(found.slice.value)


def is_value(node: ast.AST) -> bool:
    """Whether an operand may hold a secret; None, a flag or a length does not."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str | bytes) and len(node.value) > 0
    if isinstance(node, ast.Call):
        called = node.func
        name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
        return name not in {"len", "count", "isdigit"}
    return True


def unsafe(source: str) -> list[str]:
    """Comparisons by `==`, `!=` or `in` of something that is called a secret."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare):
            continue
        operands = [node.left, *node.comparators]
        if not any(isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops):
            continue
        words = [name for operand in operands for name in names(operand)]
        if any(SECRET.search(word.lower()) for word in words) and all(map(is_value, operands)):
            found.append(ast.unparse(node))
    return found


@pytest.mark.asvs("11.2.4")
def test_secrets_are_compared_in_constant_time() -> None:
    met = {
        f"{path.relative_to(ROOT)}: {each}"
        for folder in ("service", "workers", "hegui")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "evaluation" not in path.parts
        for each in unsafe(path.read_text("utf-8"))
    }

    assert met == set()


@pytest.mark.parametrize(
    ("source", "is_unsafe"),
    [
        ("if signature == expected: pass", True),
        ("ok = row.secret_current != given", True),
        ("if headers['webhook-signature'] in known: pass", True),
        ("if compare_digest(signature, expected): pass", False),
        ("if secret is None: pass", False),
        ("if len(token) == 3: pass", False),
        ("if token == '': pass", False),
    ],
)
def test_the_search_sees_what_it_looks_for(source: str, *, is_unsafe: bool) -> None:
    assert bool(unsafe(source)) == is_unsafe

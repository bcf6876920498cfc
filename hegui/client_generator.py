"""Writes the client's operations from the API itself: `python -m hegui.client_generator`."""

import builtins
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel

from service.api import ROUTERS
from service.app import create_app

FOLDER = Path(__file__).parent / "client" / "operations"
HEAD = '"""Operations of `{module}`; written by hegui.client_generator, do not edit."""\n'
_FORMATS = {"uuid": "UUID", "date-time": "datetime", "date": "date"}
_TYPES = {"integer": "int", "number": "float", "boolean": "bool", "string": "str"}
_WIDTH = 86
_JSON = "application/json"
_SETTINGS = Path(__file__).parents[1] / "pyproject.toml"


def render() -> dict[str, str]:
    """Every file of the folder by its name, with its text."""
    paths = create_app().openapi()["paths"]
    modules: dict[str, list[tuple[APIRoute, str, dict[str, Any]]]] = defaultdict(list)
    for route in routes():
        module = route.endpoint.__module__.rpartition(".")[2]
        for method in sorted(route.methods or ()):
            modules[module].append((route, method, paths[route.path][method.lower()]))
    files = {f"{module}.py": _module(module, found) for module, found in sorted(modules.items())}
    files["__init__.py"] = _groups(sorted(modules))
    return files


def routes() -> Iterator[APIRoute]:
    """Every operation that the OpenAPI names and a client can call."""
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute) and route.include_in_schema and not _redirects(route):
                yield route


def _redirects(route: APIRoute) -> bool:
    """Whether it only sends browsers elsewhere: nothing that a client would call."""
    return route.status_code == HTTPStatus.SEE_OTHER


def _groups(modules: list[str]) -> str:
    lines = ['"""Every group of operations; written by hegui.client_generator, do not edit."""', ""]
    lines += ["from functools import cached_property", ""]
    lines += [f"from hegui.client.operations.{name} import {_class(name)}" for name in modules]
    lines += ["from hegui.transport import Transport", "", ""]
    lines += ["class Operations:", '    """The groups, each made when it is first used."""', ""]
    lines += ["    def __init__(self, transport: Transport) -> None:"]
    lines += ["        self.transport = transport"]
    for name in modules:
        lines += ["", "    @cached_property", f"    def {name}(self) -> {_class(name)}:"]
        lines += [f'        """Operations of `{name}`."""']
        lines += [f"        return {_class(name)}(self.transport)"]
    return "\n".join([*lines, ""])


def _class(module: str) -> str:
    return "".join(part.capitalize() for part in module.split("_")) + "Group"


def _module(module: str, found: list[tuple[APIRoute, str, dict[str, Any]]]) -> str:
    used: set[str] = set()
    shapes: dict[str, set[str]] = defaultdict(set)
    methods = [_method(route, verb, doc, used, shapes) for route, verb, doc in found]
    imports = [
        f"from {name} import {', '.join(sorted(names))}"
        for name, names in sorted({**shapes, "hegui.client.group": {"Group"}}.items())
    ]
    standard = []
    if used & {"Mapping"}:
        standard.append("from collections.abc import Mapping")
    if dates := sorted(used & {"date", "datetime"}):
        standard.append(f"from datetime import {', '.join(dates)}")
    if "Any" in used:
        standard.append("from typing import Any")
    if "UUID" in used:
        standard.append("from uuid import UUID")
    parts = [HEAD.format(module=module), *standard, "" if standard else None, *imports, "", ""]
    text = "\n".join(part for part in parts if part is not None)
    body = f'class {_class(module)}(Group):\n    """Operations of `{module}`."""\n'
    return f"{text}\n{body}\n" + "\n".join(methods)


def _method(
    route: APIRoute,
    verb: str,
    doc: dict[str, Any],
    used: set[str],
    shapes: dict[str, set[str]],
) -> str:
    places: list[tuple[dict[str, Any], str]] = []
    query: list[tuple[dict[str, Any], str]] = []
    for parameter in doc.get("parameters", ()):
        if parameter["in"] in {"path", "query"}:
            kind = _type(parameter["schema"], used)
            (places if parameter["in"] == "path" else query).append((parameter, kind))
    arguments = [f"{parameter['name']}: {kind}" for parameter, kind in places]
    calls = [f'"{verb}"', _path(route.path)]
    body, call = _body(route, doc, used, shapes)
    arguments += body
    keywords = [_keyword(parameter, kind) for parameter, kind in query]
    if keywords:
        arguments += ["*", *keywords]
        pairs = ", ".join(f'"{p["name"]}": {_name(p["name"])}' for p, _ in query)
        calls.append(f"query={{{pairs}}}")
    calls += call
    answer, how = _answer(route, doc, used, shapes)
    if how == "self._typed":
        calls.insert(0, answer)
    head = f"    def {route.endpoint.__name__}(self, {', '.join(arguments)}) -> {answer}:"
    head = head.replace("(self, )", "(self)")
    told = route.description.split("\n\n")[0].replace("\n", " ").strip()
    summary = told if 0 < len(told) <= _WIDTH else f"{doc['summary'].rstrip('.')}."
    return f'{head}\n        """{summary}"""\n        return {how}({", ".join(calls)})\n'


def _path(path: str) -> str:
    return f'f"{path}"' if "{" in path else f'"{path}"'


def _name(name: str) -> str:
    """A name that Python allows: `from` becomes `since`."""
    plain = {"from": "since", "format": "form"}.get(name, re.sub(r"\W", "_", name))
    return f"is_{plain}" if hasattr(builtins, plain) else plain


def _keyword(parameter: dict[str, Any], kind: str) -> str:
    if parameter.get("required"):
        return f"{_name(parameter['name'])}: {kind}"
    optional = kind if kind.endswith("| None") else f"{kind} | None"
    return f"{_name(parameter['name'])}: {optional} = None"


def _type(schema: dict[str, Any], used: set[str]) -> str:
    if "anyOf" in schema:
        kinds = dict.fromkeys(_type(each, used) for each in schema["anyOf"])
        return " | ".join(kinds)
    if schema.get("type") == "null":
        return "None"
    if schema.get("type") == "array":
        return f"list[{_type(schema['items'], used)}]"
    name = _FORMATS.get(schema.get("format", "")) or _TYPES.get(schema.get("type", ""), "str")
    if name in _FORMATS.values():
        used.add(name)
    return name


def _body(
    route: APIRoute, doc: dict[str, Any], used: set[str], shapes: dict[str, set[str]]
) -> tuple[list[str], list[str]]:
    """The arguments that carry a body, and how they are passed on."""
    given = doc.get("requestBody")
    if given is None:
        return [], []
    if _JSON in given["content"]:
        used |= {"Mapping", "Any"}
        shape = route.body_field.field_info.annotation if route.body_field else None
        if isinstance(shape, type) and issubclass(shape, BaseModel):
            shapes[shape.__module__].add(shape.__name__)
            return [f"body: {shape.__name__} | Mapping[str, Any]"], ["body=body"]
        return ["body: Mapping[str, Any]"], ["body=body"]
    kind = next(iter(given["content"]))
    return (
        ["content: bytes", f'content_type: str = "{kind}"'],
        ["content=content", "content_type=content_type"],
    )


def _answer(
    route: APIRoute, doc: dict[str, Any], used: set[str], shapes: dict[str, set[str]]
) -> tuple[str, str]:
    """The type of the answer, and the call that reads it."""
    shape = route.response_model
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        shapes[shape.__module__].add(shape.__name__)
        return shape.__name__, "self._typed"
    good = next(each for code, each in sorted(doc["responses"].items()) if code.startswith("2"))
    if _JSON in good.get("content", {}) and len(good["content"]) == 1 and shape is not None:
        used.add("Any")
        return "dict[str, Any]", "self._document"
    return "bytes", "self._bytes"


def write(folder: Path) -> int:
    """Write the files, formatted; those of groups that are gone go too. Gives their number."""
    files = render()
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.py"):
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    settings = ["--quiet", "--config", str(_SETTINGS), str(folder)]
    subprocess.run([*ruff, "check", "--fix", "--select", "I", *settings], check=True)  # noqa: S603  our own linter
    subprocess.run([*ruff, "format", *settings], check=True)  # noqa: S603  the same
    return len(files)


def main() -> int:
    """Write the operations into their place."""
    sys.stderr.write(f"{write(FOLDER)} files written to {FOLDER}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

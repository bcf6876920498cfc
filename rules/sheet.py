"""YAML with places: each value knows its line and column; only true and false are booleans."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from rules.rule import Problem


class _Loader(yaml.CSafeLoader):
    """YAML without the traps: no yes/no/on/off booleans, no base-60 numbers, no dates."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", "^(?:true|false)$", "tf"),
    ("null", "^(?:~|null|)$", "~n"),
    ("int", "^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?[0-9]+\.[0-9]+$", "-+0123456789"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(_pattern),
        [*_first, ""] if _tag == "null" else list(_first),
    )


@dataclass
class Value:
    """A value and where it stands; mappings and lists hold `Value`s."""

    data: Any
    file: str
    line: int
    column: int
    used: set[str] = field(default_factory=set)

    def problem(self, message: str) -> Problem:
        """A problem at this place."""
        return Problem(self.file, self.line, self.column, message)

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.data, dict):
            return {key: value.plain() for key, value in self.data.items()}
        if isinstance(self.data, list):
            return [value.plain() for value in self.data]
        return self.data

    def items(self) -> Iterator["Value"]:
        """The members of a list; a lone value is a list of one."""
        if isinstance(self.data, list):
            yield from self.data
        else:
            yield self


def read(file: str, text: str, problems: list[Problem]) -> Value | None:
    """Read one file; None, with a problem noted, where it is no YAML mapping."""
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is None:
            return Value({}, file, 1, 1)
        value = _value(node, file, problems, depth=0)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problems.append(Problem(file, line, column, str(getattr(error, "problem", error) or error)))
        return None
    except RecursionError:
        problems.append(Problem(file, 1, 1, "is nested too deep"))
        return None
    if not isinstance(value.data, dict):
        problems.append(value.problem("must be a mapping"))
        return None
    return value


def _value(node: yaml.Node, file: str, problems: list[Problem], depth: int) -> Value:
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    if depth > 60:  # noqa: PLR2004  no honest pack is this deep
        problems.append(Problem(file, line, column, "is nested too deep"))
        return Value(None, file, line, column)
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Value] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            mark = key_node.start_mark
            if key in found:
                problems.append(
                    Problem(file, mark.line + 1, mark.column + 1, f"{key!r} appears twice")
                )
            found[key] = _value(value_node, file, problems, depth + 1)
        return Value(found, file, line, column)
    if isinstance(node, yaml.SequenceNode):
        members = [_value(member, file, problems, depth + 1) for member in node.value]
        return Value(members, file, line, column)
    return Value(_scalar(node), file, line, column)


def _scalar(node: yaml.Node) -> Any:
    text = str(node.value)
    kind = node.tag.rsplit(":", 1)[-1]
    if kind == "bool":
        return text == "true"
    if kind == "null":
        return None
    if kind == "int":
        return int(text)
    return float(text) if kind == "float" else text

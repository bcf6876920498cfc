"""Near misses from upheld disputes: whether the rules still report them, and into the pack."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hegui.errors import RefusedError
from rules import Pack
from rules.selftest import check


@dataclass(frozen=True, slots=True)
class NearMiss:
    """One entry of an exported file."""

    source: Path
    rule: str
    entry: Any


def read_near_misses(folder: Path) -> list[NearMiss]:
    """Every entry of every `*.yaml` in a folder; raises `RefusedError` naming the file."""
    if not folder.is_dir():
        raise RefusedError(f"DIR: {folder} is no folder")
    return [found for path in sorted(folder.glob("*.yaml")) for found in _read(path)]


def still_reported(pack: Pack, found: NearMiss) -> str | None:
    """What is wrong: the rule reports the words, or the entry cannot be used; None where mended."""
    rule = next((each for each in pack.rules if each.id == found.rule), None)
    if rule is None:
        return "the pack has no such rule"
    return check(pack, rule, found.entry, fires=False)


def write_into(folder: Path, near_misses: list[NearMiss]) -> int:
    """Add the entries to the `misses` of their rules in a pack's folder; gives how many were new.

    Only lines are added; all else in the files stays as it is. Raises `RefusedError` where a rule
    has no list of misses of its own.
    """
    files = {path: path.read_text("utf-8") for path in sorted(folder.glob("*.yaml"))}
    added = 0
    for found in near_misses:
        path = next((each for each, text in files.items() if _start(text, found.rule)), None)
        if path is None:
            raise RefusedError(f"{found.source}: no file of {folder} has the rule {found.rule}")
        text = files[path]
        line = (
            yaml.safe_dump(
                found.entry,
                allow_unicode=True,
                sort_keys=False,
                default_flow_style=True,
                width=10_000,
            )
            .removesuffix("...\n")
            .strip()
        )
        if line not in text:
            files[path] = _insert(text, found, line)
            added += 1
    for path, text in files.items():
        path.write_text(text, "utf-8")
    return added


def _read(path: Path) -> Iterator[NearMiss]:
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
        rule, entries = str(document["rule"]), list(document["misses"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise RefusedError(f"{path}: not a near miss as hegui exports it") from error
    return (NearMiss(path, rule, entry) for entry in entries)


def _start(text: str, rule: str) -> re.Match[str] | None:
    return re.search(rf"^( *)- id: {re.escape(rule)}\s*$", text, re.MULTILINE)


def _insert(text: str, found: NearMiss, line: str) -> str:
    start = _start(text, found.rule)
    assert start is not None
    following = re.compile(rf"^{start[1]}- id: ", re.MULTILINE).search(text, start.end())
    end = following.start() if following else len(text)
    head = re.compile(r"^( *)misses:\n", re.MULTILINE).search(text, start.end(), end)
    if head is None:
        raise RefusedError(f"{found.source}: {found.rule} has no list of misses to add to")
    return f"{text[: head.end()]}{head[1]}  - {line}\n{text[head.end() :]}"

"""The command `hegui rules near-misses`: what upheld disputes ask of the rules."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hegui.cli_rules import PackName, load
from hegui.errors import RefusedError


def near_misses(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Near misses as GET /v1/disputes/{id}/near-miss gives them, a file each.",
            show_default=False,
        ),
    ],
    pack: PackName = "collection",
    apply: Annotated[
        Path | None,
        typer.Option("--apply", help="Add them to the tests of the pack in this folder."),
    ] = None,
) -> None:
    """Run the near misses of upheld disputes; status 1 while a rule still reports one.

    With --apply they become tests of their rules: `hegui rules test` then fails until each rule
    is mended.
    """
    from hegui.near_misses import read_near_misses, still_reported, write_into

    found = read_near_misses(folder)
    if not found:
        raise RefusedError(f"DIR: {folder} has no near miss (*.yaml)")
    if apply is not None:
        if not apply.is_dir():
            raise RefusedError(f"--apply: {apply} is no folder of YAML files")
        added = write_into(apply, found)
        sys.stdout.write(f"{len(found)} near misses, {added} added to {apply}\n")
        return
    loaded = load(pack)
    failed = 0
    for each in found:
        message = still_reported(loaded, each)
        if message is not None:
            failed += 1
            sys.stdout.write(f"{each.rule} {each.source.name}: {message}\n")
    sys.stdout.write(f"{len(found)} near misses, {failed} still reported\n")
    raise typer.Exit(1 if failed else 0)

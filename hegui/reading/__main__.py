"""`python -m hegui.reading`: train the second reader and write it into the pack."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import rules
from hegui.evaluation.corpus import Corpus
from hegui.reading.examples import all_examples, lines_digest, seen_corpora
from rules.reader import FILE
from service.packs import load_pack

NEEDED = "training needs scikit-learn, which `make venv` installs"
_console = Console(stderr=True)


def main(
    pack: Annotated[str, typer.Option(help="The pack whose rules are learned.")] = "collection",
    out: Annotated[Path | None, typer.Option(help="Write it here, not into the pack.")] = None,
) -> None:
    """Learn from lines, in-rule tests, seen cases and calls; write `reader.yaml`."""
    try:
        from hegui.reading import settle, train  # noqa: PLC0415  only training needs them
    except ModuleNotFoundError as error:
        _console.print(f"{NEEDED} ({error.name} is missing)")
        sys.exit(1)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=_console) as progress:
        held = load_pack(pack)
        corpora: list[Corpus] = seen_corpora()
        task = progress.add_task("collecting utterances", total=None)
        examples = all_examples(held, corpora)
        progress.update(task, description="reading by the patterns", total=len(examples))
        found = settle.found_by_patterns(held, examples, corpora, lambda: progress.advance(task))

        def tell(step: str) -> None:
            progress.update(task, description=step)

        tell("counting n-grams")
        material = train.Material.of(examples, held)
        text, report = train.trained(material, found, lines_digest(), tell)
    path = out or Path(rules.__file__).parent / "packs" / pack / FILE
    path.write_text(text, "utf-8")
    for line in report:
        _console.print(line)
    _console.print(f"wrote {path}: {len(text)} bytes from {len(examples)} utterances")


if __name__ == "__main__":
    typer.run(main)

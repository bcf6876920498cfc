"""`python -m hegui.evaluation CORPUS...`: score the pack and both baselines, write the page."""

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hegui.evaluation.anew import Anew, MissingLibraryError
from hegui.evaluation.audio import heard_corpus, recorded
from hegui.evaluation.corpus import Corpus, read_corpus
from hegui.evaluation.folds import pack_files
from hegui.evaluation.page import accuracy_page
from hegui.evaluation.run import Evaluation, evaluate_corpus
from rules import parse

_console = Console(stderr=True)


def main(
    corpora: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            file_okay=False,
            help="Folders with events.jsonl and expected.jsonl, and audio/ where there is audio.",
        ),
    ],
    engine: Annotated[str, typer.Option(help="Speech engine of the audio track.")] = (
        "openai-whisper"
    ),
    audio: Annotated[bool, typer.Option(help="Run the audio track where there is audio.")] = True,
    page: Annotated[Path | None, typer.Option(help="Write the page here.")] = None,
    folds: Annotated[
        bool, typer.Option(help="Run the five folds without held-out phrases.")
    ] = True,
    mistakes: Annotated[
        bool, typer.Option(help="List misses and false alarms, but not of unseen cases.")
    ] = False,
    cache: Annotated[Path, typer.Option(help="Where transcripts are kept.")] = Path("var/heard"),
) -> None:
    """Score every corpus; one JSON line a track on standard output."""
    files = pack_files()
    pack = parse(files)
    evaluation = Evaluation(pack.name, pack.digest)
    anew = Anew(files)
    for folder in corpora:
        corpus = read_corpus(folder)
        heard = _heard(folder, corpus, cache, engine) if audio and _has_audio(folder) else None
        with _console.status(folder.name) as status:
            try:
                evaluation.tracks += evaluate_corpus(
                    pack,
                    corpus,
                    files=files if folds else None,
                    anew=anew,
                    heard=heard,
                    recorded=recorded(folder) if heard else frozenset(),
                    on_step=status.update,
                )
            except MissingLibraryError as error:
                _console.print(str(error))
                raise typer.Exit(1) from error
        if mistakes:
            _list_mistakes(evaluation, corpus)
    for track in evaluation.tracks:
        print(orjson.dumps(track.as_dict()).decode())
    if page is not None:
        page.write_text(accuracy_page(evaluation, [_named(folder) for folder in corpora]), "utf-8")
        _console.print(f"wrote {page}")


def _named(folder: Path) -> str:
    """How the page names a corpus: as given where anybody can follow it, else by its last part."""
    return folder.name if folder.is_absolute() else folder.as_posix()


def _has_audio(folder: Path) -> bool:
    return (folder / "audio" / "events.jsonl").is_file()


def _list_mistakes(evaluation: Evaluation, corpus: Corpus) -> None:
    for track in evaluation.tracks:
        if track.corpus == corpus.name and track.track in {"text, all rules", "audio, words"}:
            for mistake in track.score.mistakes:
                if mistake.interaction_id not in corpus.unseen:
                    _console.print(
                        f"{track.track}: {mistake.kind} {mistake.label} {mistake.interaction_id}"
                    )


def _heard(folder: Path, corpus: Corpus, cache: Path, engine: str) -> Corpus:
    total = len(recorded(folder))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=_console) as progress:
        task = progress.add_task(f"{folder.name}: listening ({engine})", total=total)
        return heard_corpus(folder, corpus, cache, engine, lambda: progress.advance(task))


if __name__ == "__main__":
    typer.run(main)

"""The command `hegui check`: from its options to its exit status."""

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hegui.check import Result, Speech, check_inputs, needs_hearing, today_at_noon
from hegui.errors import RefusedError
from hegui.formats import json_format, junit_format, sarif_format, text_format
from hegui.inputs import Inputs, read_inputs
from rules import Pack
from rules.events import Speaker
from rules.model import Severity
from service.clock import now
from service.packs import load_pack

ZONE = ZoneInfo("Asia/Shanghai")
PIPED_WIDTH = 120  # columns where nobody told how wide the reader's page is


@dataclass(frozen=True, slots=True)
class Wish:
    """The options as given."""

    paths: list[Path]
    form: str
    fail_on: str
    packs: list[str]
    output: Path | None
    engine: str
    model: str
    speakers: str


def run_check(wish: Wish) -> int:
    """Check, write the result, and give the exit status. Raises `RefusedError` for bad input."""
    errors = Console(stderr=True)
    speakers = _speakers(wish.speakers)
    packs = [_pack(name) for name in dict.fromkeys(wish.packs)]
    moment = today_at_noon(now().astimezone(ZONE))
    inputs = read_inputs(wish.paths, moment=moment, speakers=speakers)
    for note in inputs.notes:
        errors.print(note, style="dim", soft_wrap=True)
    result = _checked(wish, inputs, packs, errors)
    if wish.output is None:
        _write(result, wish.form)
    else:
        _save(wish.output, result, wish.form, errors)
    return result.exit_status


def _speakers(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    allowed = [speaker.value for speaker in Speaker]
    if any(name not in allowed for name in names):
        raise RefusedError(f"--speakers: {text}: use {', '.join(allowed)}, one for each channel")
    return names


def _pack(name: str) -> Pack:
    try:
        return load_pack(name)
    except FileNotFoundError as error:
        raise RefusedError(f"--pack: {error}; hegui rules list shows what there is") from error


def _checked(wish: Wish, inputs: Inputs, packs: list[Pack], errors: Console) -> Result:
    """Check with a bar for every recording, on standard error."""
    waiting = needs_hearing(inputs)
    with ExitStack() as stack:
        tick = None
        if waiting:
            errors.print(f"{len(waiting)} recordings to transcribe with {wish.engine}")
            bars = stack.enter_context(
                Progress(
                    TextColumn("{task.description}"),
                    BarColumn(),
                    TextColumn("{task.percentage:>3.0f}%"),
                    TimeElapsedColumn(),
                    console=errors,
                )
            )
            tasks = {
                contact.interaction.interaction_id: bars.add_task(
                    contact.interaction.interaction_id, total=1.0, start=False
                )
                for contact, _ in waiting
            }

            def tick(name: str, share: float) -> None:
                bars.start_task(tasks[name])
                bars.update(tasks[name], completed=share)

        return check_inputs(
            inputs,
            packs,
            speech=Speech(wish.engine, wish.model),
            fail_on=None if wish.fail_on == "never" else Severity(wish.fail_on),
            on_progress=tick,
        )


def _write(result: Result, form: str) -> None:
    if form == "text":
        text_format.render(result, _console(Console()))
    else:
        sys.stdout.write(rendered(result, form))


def _console(console: Console) -> Console:
    """Give a reader who is no terminal a page wide enough for a quote."""
    if not console.is_terminal and console.width < PIPED_WIDTH:
        console.width = PIPED_WIDTH
    return console


def rendered(result: Result, form: str) -> str:
    """The result as text in that format, without colours."""
    if form == "text":
        page = StringIO()
        text_format.render(result, Console(file=page, width=PIPED_WIDTH))
        return page.getvalue()
    formats = {
        "json": json_format.render,
        "junit": junit_format.render,
        "sarif": sarif_format.render,
    }
    return formats[form](result)


def _save(path: Path, result: Result, form: str, errors: Console) -> None:
    try:
        path.write_text(rendered(result, form), encoding="utf-8")
    except OSError as error:
        raise RefusedError(f"--output: {path}: {error.strerror}") from error
    counts = ", ".join(f"{count} {name}" for name, count in result.outcomes().items() if count)
    errors.print(f"{len(result.checked)} checked: {counts}; written to {path}", soft_wrap=True)

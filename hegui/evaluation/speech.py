"""`python -m hegui.evaluation.speech CORPUS`: what each telephone codec costs in hearing."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hegui.evaluation.audio import hear, recordings, sound_of, with_hearing
from hegui.evaluation.cer import Errors, interval, rate
from hegui.evaluation.codecs import CODECS, Codec
from hegui.evaluation.corpus import Corpus, read_corpus
from hegui.evaluation.run import report_rules, spoken_rules
from hegui.evaluation.scoring import Score, score
from rules import Pack
from rules.events import InteractionCompleted
from service.packs import load_pack
from workers.speech.transcript import Transcription

APP = typer.Typer(add_completion=False)
VOICES = ("collector", "party")
CLEAN = "clean"
_console = Console(stderr=True)

Call = tuple[InteractionCompleted, Transcription]


@dataclass(frozen=True)
class Row:
    """How one engine hears the calls through one codec."""

    engine: str
    codec: str
    calls: tuple[str, ...]
    errors: dict[str, tuple[Errors, ...]]
    untrusted: float
    found: Score

    @property
    def both(self) -> tuple[Errors, ...]:
        """The errors of a call, both voices together."""
        return tuple(
            Errors(sum(e.edits for e in call), sum(e.length for e in call))
            for call in zip(*self.errors.values(), strict=True)
        )

    def as_dict(self, clean: "Row | None") -> dict[str, Any]:
        """The row as plain values; with `clean`, also the difference to it."""
        worse = {}
        if clean is not None and clean is not self:
            low, high = interval(self.both, clean.both)
            worse = {
                "worse_than_clean": round(rate(self.both) - rate(clean.both), 4),
                "worse_95": [round(low, 4), round(high, 4)],
            }
        return {
            "eval": "speech",
            "engine": self.engine,
            "codec": self.codec,
            "calls": len(self.calls),
            "cer": round(rate(self.both), 4),
            "cer_95": [round(value, 4) for value in interval(self.both)],
            **{f"cer_{voice}": round(rate(each), 4) for voice, each in self.errors.items()},
            **worse,
            "untrusted_share": round(self.untrusted, 4),
            "planted": self.found.family.tp + self.found.family.fn,
            "family": self.found.family.as_dict(),
            "rule": self.found.rule.as_dict(),
        }


def read_said(path: Path) -> dict[str, dict[str, str]]:
    """Read what was really said: text by voice, by the stem of the recording's name."""
    said: dict[str, dict[str, str]] = {}
    for line in path.read_text("utf-8").splitlines():
        entry = json.loads(line)
        name = entry.get("interaction_id") or Path(entry["file"]).stem
        said[name] = {
            voice: "".join(part["text"] for part in entry["segments"] if part["speaker"] == voice)
            for voice in VOICES
        }
    return said


def hear_all(
    folder: Path,
    events: Sequence[InteractionCompleted],
    codec: Codec,
    *,
    engine: str,
    cache: Path,
    on_done: Callable[[], None],
) -> list[Call]:
    """Pass each call through the codec and have the engine hear it; see `hear` for the cache."""
    heard = []
    for event in events:
        recording = event.data.recording
        assert recording is not None
        with tempfile.TemporaryDirectory(prefix="hegui-eval-") as name:
            path = codec.write(sound_of(folder, event.data), Path(name))
            kept = cache / f"{recording.sha256}.{codec.name}.{engine}.pieces.json"
            speakers = [speaker.value for speaker in recording.speakers]
            heard.append((event, hear(path, speakers, engine=engine, kept=kept)))
        on_done()
    return heard


def row_of(
    engine: str,
    codec: str,
    heard: Sequence[Call],
    *,
    said: dict[str, dict[str, str]],
    corpus: Corpus,
    pack: Pack,
) -> Row:
    """Count character errors by voice, and which planted violations of words became findings."""
    spoken = spoken_rules(pack)
    calls = tuple(event.data.interaction_id for event, _ in heard)
    found = report_rules(pack, with_hearing(corpus, heard))
    kept = {call: found.get(call, set()) for call in calls}
    return Row(
        engine,
        codec,
        calls,
        {
            voice: tuple(
                Errors.between(said[call][voice], _text(transcription, voice))
                for call, (_, transcription) in zip(calls, heard, strict=True)
            )
            for voice in VOICES
        },
        _untrusted(heard),
        score(kept, corpus.expected, lambda rule: rule in spoken),
    )


def _text(transcription: Transcription, voice: str) -> str:
    return "".join(part.text for part in transcription.segments if part.speaker == voice)


def _untrusted(heard: Sequence[Call]) -> float:
    seconds = sum(found.decoded_seconds for _, found in heard)
    doubted = sum(found.untrusted_share * found.decoded_seconds for _, found in heard)
    return doubted / seconds if seconds else 0.0


def table_of(rows: Sequence[Row]) -> Table:
    """Lay the rows out for people."""
    table = Table("engine", "codec", "CER", "95%", *VOICES, "to clean", "found", "false alarms")
    clean = {row.engine: row for row in rows if row.codec == CLEAN}
    for row in rows:
        low, high = interval(row.both)
        family, base = row.found.family, clean.get(row.engine)
        table.add_row(
            row.engine,
            row.codec,
            f"{rate(row.both):.3f}",
            f"{low:.3f}–{high:.3f}",
            *(f"{rate(row.errors[voice]):.3f}" for voice in VOICES),
            f"{rate(row.both) - rate(base.both):+.3f}" if base else "",
            f"{family.tp}/{family.tp + family.fn}",
            str(family.fp),
        )
    return table


@APP.command()
def main(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="A corpus with audio/ in it.")
    ],
    engine: Annotated[list[str] | None, typer.Option(help="Repeatable; both by default.")] = None,
    codec: Annotated[list[str] | None, typer.Option(help="Repeatable; all by default.")] = None,
    calls: Annotated[int, typer.Option(min=0, help="Only N calls, evenly spread; 0: all.")] = 0,
    cache: Annotated[Path, typer.Option(help="Where what was heard is kept.")] = Path("var/heard"),
) -> None:
    """Hear every call through every codec; one JSON line a row on standard output."""
    unknown = set(codec or ()) - CODECS.keys()
    if unknown:
        raise typer.BadParameter(f"codec is one of {', '.join(CODECS)}")
    engines = engine or ["faster-whisper", "openai-whisper"]
    codecs = [CODECS[name] for name in codec or CODECS]
    corpus, pack = read_corpus(folder), load_pack()
    said = read_said(folder / "audio" / "reference.jsonl")
    events = [event for event in recordings(folder) if event.data.interaction_id in said]
    count = min(calls, len(events)) or len(events)
    events = [events[at * len(events) // count] for at in range(count)]
    rows: list[Row] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=_console) as progress:
        task = progress.add_task("", total=len(engines) * len(codecs) * len(events))
        for name in engines:
            for each in codecs:
                progress.update(task, description=f"{name}, {each.name}")
                heard = hear_all(
                    folder,
                    events,
                    each,
                    engine=name,
                    cache=cache,
                    on_done=lambda: progress.advance(task),
                )
                row = row_of(name, each.name, heard, said=said, corpus=corpus, pack=pack)
                rows.append(row)
                clean = next((r for r in rows if (r.engine, r.codec) == (name, CLEAN)), None)
                print(orjson.dumps(row.as_dict(clean)).decode(), flush=True)
    _console.print(table_of(rows))


if __name__ == "__main__":
    APP()

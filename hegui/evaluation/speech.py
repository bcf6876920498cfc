"""`python -m hegui.evaluation.speech CORPUS`: what each telephone codec costs in hearing.

Each file goes through the bare engine, too: what a codec costs both is in the codec.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hegui.evaluation.audio import hear, recordings, sound_of, with_hearing
from hegui.evaluation.bare import BARE, Reader, hear_bare
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

Said = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Call:
    """A call as we heard it, and, if it was asked for, what the bare engine read by voice."""

    event: InteractionCompleted
    found: Transcription
    bare: dict[str, str] | None


@dataclass(frozen=True)
class Row:
    """How one engine hears the calls through one codec."""

    engine: str
    codec: str
    calls: tuple[str, ...]
    errors: dict[str, tuple[Errors, ...]]
    bare: tuple[Errors, ...]
    untrusted: float
    found: Score

    @property
    def both(self) -> tuple[Errors, ...]:
        """The errors of a call, both voices together."""
        return _together(self.errors.values())

    def as_dict(self, clean: "Row | None") -> dict[str, Any]:
        """The row as plain values; with `clean`, also the difference to it."""
        worse = {}
        if clean is not None and clean is not self:
            low, high = interval(self.both, clean.both)
            worse = {
                "worse_than_clean": round(rate(self.both) - rate(clean.both), 4),
                "worse_95": [round(low, 4), round(high, 4)],
            }
            if self.bare and clean.bare:
                worse["bare_worse_than_clean"] = round(rate(self.bare) - rate(clean.bare), 4)
        return {
            "eval": "speech",
            "engine": self.engine,
            "codec": self.codec,
            "calls": len(self.calls),
            "cer": round(rate(self.both), 4),
            "cer_95": [round(value, 4) for value in interval(self.both)],
            **{f"cer_{voice}": round(rate(each), 4) for voice, each in self.errors.items()},
            **worse,
            **({"bare_cer": round(rate(self.bare), 4)} if self.bare else {}),
            "untrusted_share": round(self.untrusted, 4),
            "planted": self.found.family.tp + self.found.family.fn,
            "family": self.found.family.as_dict(),
            "rule": self.found.rule.as_dict(),
        }


def _together(voices: Iterable[Sequence[Errors]]) -> tuple[Errors, ...]:
    return tuple(
        Errors(sum(e.edits for e in call), sum(e.length for e in call))
        for call in zip(*voices, strict=True)
    )


def read_said(path: Path) -> Said:
    """Read what was really said: text by voice, by the stem of the recording's name."""
    said: Said = {}
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
    bare: Reader | None = None,
) -> list[Call]:
    """Pass each call through the codec and have the engine hear it; see `hear` for the cache.

    With `bare` each file is also read by it.
    """
    heard = []
    for event in events:
        recording = event.data.recording
        assert recording is not None
        with tempfile.TemporaryDirectory(prefix="hegui-eval-") as name:
            path = codec.write(sound_of(folder, event.data), Path(name))
            beside = f"{recording.sha256}.{codec.name}"
            speakers = [speaker.value for speaker in recording.speakers]
            found = hear(
                path, speakers, engine=engine, kept=cache / f"{beside}.{engine}.pieces.json"
            )
            texts = bare and hear_bare(path, bare, cache / f"{beside}.bare-{engine}.json")
            read = dict(zip(speakers, texts, strict=True)) if texts else None
            heard.append(Call(event, found, read))
        on_done()
    return heard


def row_of(
    engine: str,
    codec: str,
    heard: Sequence[Call],
    *,
    said: Said,
    corpus: Corpus,
    pack: Pack,
) -> Row:
    """Count character errors by voice, and which planted violations of words became findings."""
    spoken = spoken_rules(pack)
    calls = tuple(call.event.data.interaction_id for call in heard)
    found = report_rules(pack, with_hearing(corpus, [(c.event, c.found) for c in heard]))
    kept = {call: found.get(call, set()) for call in calls}
    return Row(
        engine,
        codec,
        calls,
        {
            voice: tuple(
                Errors.between(said[call.event.data.interaction_id][voice], text)
                for call, text in ((call, _text(call.found, voice)) for call in heard)
            )
            for voice in VOICES
        },
        _together(
            [
                Errors.between(said[call.event.data.interaction_id][voice], call.bare[voice])
                for call in heard
                if call.bare is not None
            ]
            for voice in VOICES
        ),
        _untrusted(heard),
        score(kept, corpus.expected, lambda rule: rule in spoken),
    )


def _text(transcription: Transcription, voice: str) -> str:
    return "".join(part.text for part in transcription.segments if part.speaker == voice)


def _untrusted(heard: Sequence[Call]) -> float:
    seconds = sum(call.found.decoded_seconds for call in heard)
    doubted = sum(call.found.untrusted_share * call.found.decoded_seconds for call in heard)
    return doubted / seconds if seconds else 0.0


def table_of(rows: Sequence[Row]) -> Table:
    """Lay the rows out for people."""
    table = Table("engine", "codec", "CER", "95%", *VOICES, "to clean")
    for heading in ("bare", "bare to clean", "found", "false alarms"):
        table.add_column(heading)
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
            f"{rate(row.bare):.3f}" if row.bare else "",
            f"{rate(row.bare) - rate(base.bare):+.3f}" if base and row.bare else "",
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
    beside: Annotated[
        bool, typer.Option("--bare/--no-bare", help="Have the bare engine read each file, too.")
    ] = True,
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
            bare = BARE[name]() if beside else None
            for each in codecs:
                progress.update(task, description=f"{name}, {each.name}")
                heard = hear_all(
                    folder,
                    events,
                    each,
                    engine=name,
                    cache=cache,
                    on_done=lambda: progress.advance(task),
                    bare=bare,
                )
                row = row_of(name, each.name, heard, said=said, corpus=corpus, pack=pack)
                rows.append(row)
                clean = next((r for r in rows if (r.engine, r.codec) == (name, CLEAN)), None)
                print(orjson.dumps(row.as_dict(clean)).decode(), flush=True)
    _console.print(table_of(rows))


if __name__ == "__main__":
    APP()

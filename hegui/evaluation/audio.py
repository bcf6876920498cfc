"""The corpus as it is heard: every recording through the speech engine, kept between runs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hegui.evaluation.corpus import Corpus, read_events
from rules.events import InteractionCompleted, Segment
from workers.speech import transcribe_file


def heard_corpus(
    folder: Path, corpus: Corpus, cache: Path, engine: str, on_done: Callable[[], None]
) -> Corpus:
    """Replace each recorded interaction's words by what `engine` hears in `folder/audio`.

    Interactions without a recording there are left out of the result's scoring (see `recorded`).
    A transcript is kept in `cache` under the recording's SHA-256 and the engine's name.
    """
    heard = {}
    for event in read_events(folder / "audio" / "events.jsonl"):
        if isinstance(event, InteractionCompleted) and event.data.recording is not None:
            recording = event.data.recording
            path = folder / "audio" / Path(recording.path or "").name
            kept = cache / f"{recording.sha256}.{engine}.json"
            segments = _segments(path, [s.value for s in recording.speakers], engine, kept)
            heard[event.data.interaction_id] = event.model_copy(
                update={"data": event.data.model_copy(update={"transcript": segments})}
            )
            on_done()
    return replace(
        corpus,
        name=f"{corpus.name}-audio",
        events=tuple(
            heard.get(event.data.interaction_id, event)
            if isinstance(event, InteractionCompleted)
            else event
            for event in corpus.events
        ),
    )


def recorded(folder: Path) -> frozenset[str]:
    """The ids of the interactions that have a recording in `folder/audio`."""
    return frozenset(
        event.data.interaction_id
        for event in read_events(folder / "audio" / "events.jsonl")
        if isinstance(event, InteractionCompleted)
    )


def _segments(path: Path, speakers: list[str], engine: str, kept: Path) -> tuple[Segment, ...]:
    if kept.exists():
        rows = json.loads(kept.read_text("utf-8"))
        return tuple(Segment.model_validate(row) for row in rows)
    found = transcribe_file(path, speakers=speakers, engine=engine).segments
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(
        json.dumps([segment.model_dump(mode="json") for segment in found], ensure_ascii=False),
        "utf-8",
    )
    return found

"""The corpus as it is heard: every recording through the speech engine, kept between runs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from hegui.evaluation.corpus import Corpus, read_events
from rules.events import Interaction, InteractionCompleted
from rules.model import Audio
from workers.speech import transcribe_file
from workers.speech.transcript import Transcription

_TRANSCRIPTION = TypeAdapter(Transcription)


def heard_corpus(
    folder: Path, corpus: Corpus, cache: Path, engine: str, on_done: Callable[[], None]
) -> Corpus:
    """Replace each recorded interaction's words by what `engine` hears in `folder/audio`.

    Interactions without a recording there are left out of the result's scoring (see `recorded`).
    A transcript is kept in `cache` under the recording's SHA-256 and the engine's name.
    """
    heard, audio = {}, {}
    for event in read_events(folder / "audio" / "events.jsonl"):
        if isinstance(event, InteractionCompleted) and event.data.recording is not None:
            found = _hear(folder, event.data, engine, cache)
            data = event.data.model_copy(update={"transcript": found.segments})
            heard[event.data.interaction_id] = event.model_copy(update={"data": data})
            audio[event.data.agency_id or "", event.data.interaction_id] = Audio(
                state="transcribed",
                decoded_seconds=found.decoded_seconds,
                untrusted_share=found.untrusted_share,
                flags=found.flags,
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
        audio=audio,
    )


def recorded(folder: Path) -> frozenset[str]:
    """The ids of the interactions that have a recording in `folder/audio`."""
    return frozenset(
        event.data.interaction_id
        for event in read_events(folder / "audio" / "events.jsonl")
        if isinstance(event, InteractionCompleted)
    )


def _hear(folder: Path, data: Interaction, engine: str, cache: Path) -> Transcription:
    assert data.recording is not None
    kept = cache / f"{data.recording.sha256}.{engine}.json"
    if kept.exists():
        return _TRANSCRIPTION.validate_json(kept.read_bytes())
    path = folder / "audio" / Path(data.recording.path or "").name
    speakers = [speaker.value for speaker in data.recording.speakers]
    found = transcribe_file(path, speakers=speakers, engine=engine)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(_TRANSCRIPTION.dump_json(found))
    return found

"""The corpus as it is heard: every recording through the speech engine, kept between runs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from hegui.evaluation.corpus import Corpus, read_events
from rules.events import Interaction, InteractionCompleted
from rules.model import Audio
from workers.speech import Piece, transcribe_file
from workers.speech.transcript import Transcription

_PIECES = TypeAdapter(tuple[Piece, ...])


def heard_corpus(
    folder: Path, corpus: Corpus, cache: Path, engine: str, on_done: Callable[[], None]
) -> Corpus:
    """Replace each recorded interaction's words by what `engine` hears in `folder/audio`.

    Interactions without a recording there are left out of the result's scoring (see `recorded`).
    What was heard is kept in `cache`; see `hear`.
    """
    heard = []
    for event in recordings(folder):
        heard.append((event, _hear(folder, event.data, engine, cache)))
        on_done()
    return with_hearing(corpus, heard)


def with_hearing(
    corpus: Corpus, heard: Iterable[tuple[InteractionCompleted, Transcription]]
) -> Corpus:
    """Put what was heard in place of the words of these interactions."""
    events, audio = {}, {}
    for event, found in heard:
        data = event.data.model_copy(update={"transcript": found.segments})
        events[data.interaction_id] = event.model_copy(update={"data": data})
        audio[data.agency_id or "", data.interaction_id] = Audio(
            state="transcribed",
            decoded_seconds=found.decoded_seconds,
            untrusted_share=found.untrusted_share,
            flags=found.flags,
        )
    return replace(
        corpus,
        name=f"{corpus.name}-audio",
        events=tuple(
            events.get(event.data.interaction_id, event)
            if isinstance(event, InteractionCompleted)
            else event
            for event in corpus.events
        ),
        audio=audio,
    )


def recordings(folder: Path) -> tuple[InteractionCompleted, ...]:
    """The recorded interactions of `audio/events.jsonl`, or where it is missing `events.jsonl`."""
    beside = folder / "audio" / "events.jsonl"
    return tuple(
        event
        for event in read_events(beside if beside.exists() else folder / "events.jsonl")
        if isinstance(event, InteractionCompleted) and event.data.recording is not None
    )


def sound_of(folder: Path, data: Interaction) -> Path:
    """Where the recording of an interaction lies."""
    assert data.recording is not None
    return folder / "audio" / Path(data.recording.path or "").name


def recorded(folder: Path) -> frozenset[str]:
    """The ids of the interactions that have a recording in `folder/audio`."""
    return frozenset(
        event.data.interaction_id
        for event in read_events(folder / "audio" / "events.jsonl")
        if isinstance(event, InteractionCompleted)
    )


def _hear(folder: Path, data: Interaction, engine: str, cache: Path) -> Transcription:
    assert data.recording is not None
    return hear(
        sound_of(folder, data),
        [speaker.value for speaker in data.recording.speakers],
        engine=engine,
        kept=cache / f"{data.recording.sha256}.{engine}.pieces.json",
    )


def hear(path: Path, speakers: Sequence[str], *, engine: str, kept: Path) -> Transcription:
    """Transcribe a recording; what was heard is kept in a file and not heard again.

    A piece is taken from there only where the sound, the engine, its model and every parameter
    are the same, so the file never goes stale.
    """
    done = _PIECES.validate_json(kept.read_bytes()) if kept.exists() else ()
    made: list[Piece] = []

    def keep(piece: Piece) -> None:
        made.append(piece)
        known = [each for each in done if each.key == piece.key]
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(_PIECES.dump_json((*known, *made)))

    return transcribe_file(path, speakers=speakers, engine=engine, done=done, on_piece=keep)

"""Recordings in, segments with speakers and times out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workers.speech.decode import UndecodableError
from workers.speech.pieces import Piece

if TYPE_CHECKING:
    from workers.speech.engines import EngineOptions
    from workers.speech.transcript import Transcription

__all__ = ["Piece", "UndecodableError", "transcribe_file"]


def transcribe_file(
    path: Path,
    *,
    speakers: Sequence[str],
    engine: str = "openai-whisper",
    model: str = "",
    on_progress: Callable[[float], None] | None = None,
    options: "EngineOptions | None" = None,
    done: Sequence[Piece] = (),
    on_piece: Callable[[Piece], None] | None = None,
    cache_dir: Path | None = None,
    threads: int = 1,
    batch_s: float = 0.0,
) -> "Transcription":
    """Transcribe a recording whose channels hold `speakers` in that order; times are seconds.

    `on_progress` is called with the share done, 0 to 1. `on_piece` is given each part as it is
    finished; a later call that is given these parts as `done` goes on from there and returns what
    an uninterrupted call returns. `cache_dir` is where weights are kept (the user's cache by
    default); one thread a process is the default because several processes outrun several threads.
    Calls that are transcribed in several threads of a process share the model's batches, which
    changes nothing in what is heard; `batch_s` is how much sound is read at once (0: as the device
    likes it).
    Raises `UndecodableError` where there is no sound to be had.
    """
    # The models behind it take seconds to import, and the command line often needs none of them.
    from workers.speech.transcript import transcribe  # noqa: PLC0415

    return transcribe(
        path,
        speakers=speakers,
        engine=engine,
        model=model,
        on_progress=on_progress,
        options=options,
        done=done,
        on_piece=on_piece,
        cache_dir=cache_dir,
        threads=threads,
        batch_s=batch_s,
    )

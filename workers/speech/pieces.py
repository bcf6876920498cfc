"""What is already heard of a recording, so that a killed worker goes on instead of starting again.

Position 0 holds where somebody speaks; each position after it holds the lines heard in one group
of clips. A piece counts only under its own key: another recording, engine, model or parameter
gives another key, and the piece is made anew.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

from workers.speech.decode import BLOCK_SECONDS, RATE, Audio

# Raised when what a piece holds changes its meaning.
LAYOUT = 6
# A newer library may hear the same sound a little differently.
LIBRARIES = ("openai-whisper", "torch", "faster-whisper", "ctranslate2", "onnxruntime")


@dataclass(frozen=True)
class Piece:
    """One stored part of a transcript in the making; `doc` is JSON and holds what was said.

    `position` counts from 0; `until_seconds` is how far the recording has been heard with it.
    """

    position: int
    until_seconds: float
    key: str
    doc: dict[str, object]


class Pieces:
    """The pieces of one transcription: those at hand are read, the others made and handed out."""

    def __init__(
        self, key: str, done: Iterable[Piece], on_piece: Callable[[Piece], None] | None
    ) -> None:
        self.key = key
        self._done = {piece.position: piece for piece in done if piece.key == key}
        self._on_piece = on_piece

    def at(
        self, position: int, until_seconds: float, make: Callable[[], dict[str, object]]
    ) -> dict[str, object]:
        """Return the document at `position`, made only where it is not at hand.

        A new document is read back from its JSON text, so that it is what a stored one would be.
        """
        piece = self._done.get(position)
        if piece is None:
            doc = json.loads(json.dumps(make(), ensure_ascii=False, allow_nan=False))
            piece = Piece(position, round(until_seconds, 3), self.key, doc)
            if self._on_piece is not None:
                self._on_piece(piece)
        return piece.doc


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def key_of(audio: Audio, facts: Mapping[str, object]) -> str:
    """Return the SHA-256 (hex) of the sound and of everything that decides what is heard in it."""
    digest = hashlib.sha256()
    step = BLOCK_SECONDS * RATE
    for start in range(0, audio.samples.shape[0], step):
        digest.update(audio.samples[start : start + step].tobytes())
        audio.forget()
    about = {
        "layout": LAYOUT,
        "shape": list(audio.samples.shape),
        "libraries": _versions(),
        **facts,
    }
    digest.update(json.dumps(about, sort_keys=True, ensure_ascii=False, default=list).encode())
    return digest.hexdigest()

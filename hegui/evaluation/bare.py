"""The engines without us: each channel of a recording through a library's own call."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from faster_whisper import BatchedInferencePipeline, WhisperModel, decode_audio
from numpy.typing import NDArray

from workers.speech import weights

LANGUAGE = "zh"
# The batch and beam of the fastest known way to run the library on one core.
BATCH = 8

Voice = NDArray[np.float32]
Reader = Callable[[Voice], str]


def channels(path: Path) -> tuple[Voice, Voice]:
    """Return both channels of a stereo file at 16 kHz, as faster-whisper decodes it."""
    first, second = decode_audio(str(path), split_stereo=True)
    return first, second


def openai_whisper() -> Reader:
    """Return `whisper.transcribe` with its defaults but the language, on one thread."""
    torch.set_num_threads(1)
    model = whisper.load_model(weights.for_openai_whisper().source)

    def read(voice: Voice) -> str:
        return str(model.transcribe(voice, language=LANGUAGE, fp16=False)["text"])

    return read


def faster_whisper() -> Reader:
    """Return `WhisperModel.transcribe` in 8-bit integers with voice activity, on one thread."""
    model = _faster()
    return lambda voice: _joined(model.transcribe(voice, language=LANGUAGE, vad_filter=True)[0])


def faster_whisper_batched() -> Reader:
    """Return the batched pipeline, greedy, on one thread."""
    pipeline = BatchedInferencePipeline(_faster())

    def read(voice: Voice) -> str:
        found = pipeline.transcribe(voice, language=LANGUAGE, batch_size=BATCH, beam_size=1)
        return _joined(found[0])

    return read


def _faster() -> WhisperModel:
    source = weights.for_faster_whisper().source
    return WhisperModel(source, compute_type="int8", cpu_threads=1)


def _joined(segments: Any) -> str:
    return "".join(segment.text for segment in segments)


BARE: dict[str, Callable[[], Reader]] = {
    "openai-whisper": openai_whisper,
    "faster-whisper": faster_whisper,
}


def hear_bare(path: Path, read: Reader, kept: Path) -> Sequence[str]:
    """Return the text of each channel; what was heard is kept in a file by the sound's digest."""
    voices = channels(path)
    digest = hashlib.sha256(b"".join(voice.tobytes() for voice in voices)).hexdigest()
    if kept.exists():
        known = json.loads(kept.read_text("utf-8"))
        if known["sound"] == digest:
            return tuple(known["texts"])
    texts = [read(voice) for voice in voices]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps({"sound": digest, "texts": texts}, ensure_ascii=False), "utf-8")
    return texts

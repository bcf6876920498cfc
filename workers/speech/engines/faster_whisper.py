"""The engine for throughput: CTranslate2 in 8-bit integers, the encoder in bfloat16 if native."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import torch
from whisper.tokenizer import Tokenizer

from workers.speech import conversion, encoder, weights
from workers.speech.decode import Samples
from workers.speech.encoder import HalfEncoder
from workers.speech.reading import (
    CPU_BATCH_S,
    GPU_BATCH_S,
    MOST_TOKENS,
    Pass,
    Reading,
    WhisperReader,
    spectrograms,
)
from workers.speech.vocabulary import Vocabulary
from workers.speech.wording import TICK, Timing

MAX_INITIAL_TICKS = 50
# Whisper's vocabularies of several languages begin here; all tokens but the languages' are so many.
MULTILINGUAL_TOKENS = 51_865
OTHER_TOKENS = 51_765
MOST_CONTEXT = 448


class FasterWhisper(WhisperReader):
    """Whisper in CTranslate2, over short clips and in batches."""

    name = "faster-whisper"
    precision = "int8"

    def __init__(
        self, model: str, *, cache_dir: Path | None, threads: int, batch_s: float = 0.0
    ) -> None:
        torch.set_num_threads(threads)
        found = weights.for_faster_whisper(model, cache_dir=cache_dir)
        folder = Path(found.source)
        count = _token_count(folder)
        multilingual = count >= MULTILINGUAL_TOKENS
        super().__init__(
            digest=found.digest,
            multilingual=multilingual,
            languages=count - OTHER_TOKENS - int(multilingual),
            batch_s=batch_s or (GPU_BATCH_S if has_gpu() else CPU_BATCH_S),
        )
        tokenizer = self.tokenizer
        self._vocabulary, files = _narrowed(folder, tokenizer, count)
        self._model: Any = ctranslate2.models.Whisper(
            found.source,
            device="cuda" if has_gpu() else "cpu",
            compute_type="int8",
            intra_threads=threads,
            files=files,
        )
        self._encoder = _half_encoder(folder) if self._model.device == "cpu" else None
        if self._encoder is not None:
            self.precision = "int8, encoder in bfloat16"
        self._opening = self._vocabulary.inner(tokenizer.sot_sequence)
        self._suppressed = sorted(
            self._vocabulary.known(
                {
                    *tokenizer.non_speech_tokens,
                    *(tokenizer.transcribe, tokenizer.translate, tokenizer.sot),
                    *(tokenizer.sot_prev, tokenizer.sot_lm, tokenizer.no_speech),
                }
            )
        )

    @property
    def parameters(self) -> Mapping[str, object]:
        """Return everything that changes the text."""
        return {**super().parameters, "tokens": len(self._vocabulary.kept)}

    def encode(self, clips: Sequence[Samples], frames: int) -> Any:
        """Run the encoder over `frames` instead of over 30 seconds."""
        mels = spectrograms(clips, self._model.n_mels, frames)
        if self._encoder is not None:
            return ctranslate2.StorageView.from_array(self._encoder(mels).numpy())
        view = ctranslate2.StorageView.from_array(np.ascontiguousarray(mels.numpy()))
        return self._model.encode(view, to_cpu=self._model.device == "cuda")

    def pick(self, features: Any, places: Sequence[int]) -> Any:
        """Return the features of some of the clips."""
        return ctranslate2.StorageView.from_array(np.array(features)[list(places)])

    def read(self, features: Any, how: Pass) -> list[Reading]:
        """Return the text tokens of each clip."""
        told = self._vocabulary.inner(how.prompt)[-(MOST_TOKENS - 1) :]
        before = self._vocabulary.inner([self.tokenizer.sot_prev]) + told if told else []
        prompt = [*before, *self._opening]
        results = self._model.generate(
            features,
            [prompt] * features.shape[0],
            beam_size=how.beam,
            max_length=min(MOST_CONTEXT, len(prompt) + how.limit),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=self._suppressed,
            max_initial_timestamp_index=MAX_INITIAL_TICKS,
        )
        readings = []
        for result in results:
            count = len(result.sequences_ids[0])
            readings.append(
                Reading(
                    self._vocabulary.outer(result.sequences_ids[0]),
                    # The score is the mean over the tokens; the end token counts as one more.
                    float(result.scores[0]) * count / (count + 1),
                    float(result.no_speech_prob),
                )
            )
        return readings

    def align(
        self, features: Any, texts: Sequence[Sequence[int]], frames: Sequence[int]
    ) -> list[Timing]:
        """Follow each text through its clip by the attention of the heads that track words.

        Texts of a batch would be padded to the longest of them, and rounding then shows in the
        8-bit integers. One by one costs a processor no more: each text is many rows by itself.
        """
        known = [self._vocabulary.known(text) for text in texts]
        if self._model.device == "cuda":
            found = self._model.align(features, self._opening, known, list(frames))
        else:
            found = [
                timed
                for place, text in enumerate(known)
                for timed in self._model.align(
                    self.pick(features, [place]), self._opening, [text], [frames[place]]
                )
            ]
        timings = []
        for each in found:
            steps = np.array([step for step, _ in each.alignments])
            ticks = np.array([tick for _, tick in each.alignments])
            firsts = np.flatnonzero(np.diff(steps, prepend=-1))
            timings.append(Timing((ticks[firsts] * TICK).tolist(), list(each.text_token_probs)))
        return timings


def has_gpu() -> bool:
    """Tell whether CTranslate2 finds a GPU."""
    return bool(ctranslate2.get_cuda_device_count())


def _token_count(folder: Path) -> int:
    try:
        return conversion.token_count(folder)
    except conversion.ConversionError:
        model = ctranslate2.models.Whisper(str(folder))
        return OTHER_TOKENS + int(model.num_languages) + int(model.is_multilingual)


def _narrowed(
    folder: Path, tokenizer: Tokenizer, count: int
) -> tuple[Vocabulary, dict[str, bytes] | None]:
    """Return the tokens and the files of the model with them alone; all where that cannot be."""
    vocabulary = Vocabulary(tokenizer, count)
    try:
        return vocabulary, conversion.narrowed(folder, vocabulary.kept)
    except conversion.ConversionError:
        return Vocabulary(tokenizer, count, is_whole=True), None


def _half_encoder(source: Path) -> HalfEncoder | None:
    """Return the faster encoder where this processor and these weights allow it."""
    if not encoder.is_native():
        return None
    try:
        return conversion.half_encoder(source / "model.bin")
    except conversion.ConversionError:
        return None


load = FasterWhisper

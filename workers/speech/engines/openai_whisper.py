"""The reference engine: openai-whisper in single precision."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from torch.nn import functional
from whisper.decoding import DecodingOptions, DecodingTask
from whisper.model import disable_sdpa
from whisper.timing import median_filter

from workers.speech import weights
from workers.speech.decode import Samples
from workers.speech.engines.protocol import LANGUAGE
from workers.speech.reading import (
    CPU_BATCH_S,
    GPU_BATCH_S,
    Pass,
    Reading,
    WhisperReader,
    spectrograms,
)
from workers.speech.wording import TICK, Timing, first_ticks

MEDIAN_WIDTH = 7


class _Task(DecodingTask):  # type: ignore[misc]  # whisper carries no types
    """openai-whisper's decoding over features that were encoded before, of any length."""

    def _get_audio_features(self, mel: torch.Tensor) -> torch.Tensor:
        return mel


class OpenAIWhisper(WhisperReader):
    """Whisper as its makers run it, but over short clips and in batches."""

    name = "openai-whisper"
    precision = "float32"

    def __init__(
        self, model: str, *, cache_dir: Path | None, threads: int, batch_s: float = 0.0
    ) -> None:
        torch.set_num_threads(threads)
        found = weights.for_openai_whisper(model, cache_dir=cache_dir)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model: Any = whisper.load_model(found.source, device=device)
        if found.size is not None:
            # A checkpoint loaded from a path does not know which heads follow the words.
            heads = whisper._ALIGNMENT_HEADS[found.size]  # noqa: SLF001  no public way to them
            self._model.set_alignment_heads(heads)
        super().__init__(
            digest=found.digest,
            multilingual=self._model.is_multilingual,
            languages=self._model.num_languages,
            batch_s=batch_s or (GPU_BATCH_S if device == "cuda" else CPU_BATCH_S),
        )

    @torch.inference_mode()
    def encode(self, clips: Sequence[Samples], frames: int) -> torch.Tensor:
        """Run the encoder over `frames` instead of over 30 seconds."""
        encoder = self._model.encoder
        mels = spectrograms(clips, self._model.dims.n_mels, frames)
        hidden = functional.gelu(encoder.conv1(mels.to(self._model.device)))
        hidden = functional.gelu(encoder.conv2(hidden)).permute(0, 2, 1)
        hidden = hidden + encoder.positional_embedding[: hidden.shape[1]]
        for block in encoder.blocks:
            hidden = block(hidden)
        encoded: torch.Tensor = encoder.ln_post(hidden)
        return encoded

    def pick(self, features: torch.Tensor, places: Sequence[int]) -> torch.Tensor:
        """Return the features of some of the clips."""
        return features[list(places)]

    @torch.inference_mode()
    def read(self, features: torch.Tensor, how: Pass) -> list[Reading]:
        """Return the text tokens of each clip."""
        options = DecodingOptions(
            language=LANGUAGE,
            beam_size=how.beam if how.beam > 1 else None,
            prompt=list(how.prompt) or None,
            sample_len=how.limit,
            fp16=False,
        )
        return [
            Reading(result.tokens, float(result.avg_logprob), float(result.no_speech_prob))
            for result in _Task(self._model, options).run(features)
        ]

    @torch.inference_mode()
    def align(
        self, features: torch.Tensor, texts: Sequence[Sequence[int]], frames: Sequence[int]
    ) -> list[Timing]:
        """Follow each text through its clip by the attention of the heads that track words."""
        opening = [*self.tokenizer.sot_sequence, self.tokenizer.no_timestamps]
        longest = max(map(len, texts)) + 1
        rows = [[*opening, *text, *[self.tokenizer.eot] * (longest - len(text))] for text in texts]
        tokens = torch.tensor(rows, device=self._model.device)
        attention, logits = self._attended(tokens, features)
        timings = []
        for place, text in enumerate(texts):
            end = len(opening) + len(text)
            paths = attention[place, :, : end + 1, : frames[place] // 2].softmax(dim=-1)
            spread, mean = torch.std_mean(paths, dim=-2, keepdim=True, unbiased=False)
            matrix = median_filter((paths - mean) / spread, MEDIAN_WIDTH).mean(dim=0)
            starts = first_ticks(matrix[len(opening) - 1 : -1].double().cpu().numpy())
            likely = logits[place, len(opening) - 1 : end - 1, : self.tokenizer.eot].softmax(-1)
            chosen = likely[np.arange(len(text)), list(text)]
            timings.append(Timing([tick * TICK for tick in starts], chosen.tolist()))
        return timings

    def _attended(
        self, tokens: torch.Tensor, features: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the tracking heads attend to (clip, head, token, tick), and the logits."""
        layers: dict[int, torch.Tensor] = {}

        def keep(layer: int) -> Any:
            return lambda _module, _given, result: layers.__setitem__(layer, result[-1])

        blocks = self._model.decoder.blocks
        hooks = [block.cross_attn.register_forward_hook(keep(n)) for n, block in enumerate(blocks)]
        try:
            with disable_sdpa():
                logits = self._model.decoder(tokens, features)
        finally:
            for hook in hooks:
                hook.remove()
        heads = self._model.alignment_heads.indices().T.tolist()
        return torch.stack([layers[layer][:, head] for layer, head in heads], dim=1), logits


load = OpenAIWhisper

"""The speech engines behind one protocol: clips of speech in, text with times and doubts out.

Both hear only as much time as there is sound: a clip goes through the encoder with a short margin
of silence instead of being filled up to the 30 seconds that Whisper was made for, which is most of
the cost of short turns. A third engine is one more class here with `name`, `model_digest`,
`parameters` and `hear`, and one more line in `ENGINES`.
"""

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import ctranslate2
import numpy as np
import torch
import whisper
from faster_whisper import WhisperModel
from torch.nn import functional
from whisper.audio import log_mel_spectrogram
from whisper.decoding import DecodingOptions, DecodingTask
from whisper.tokenizer import Tokenizer, get_tokenizer
from whisper.utils import compression_ratio

from workers.speech import weights
from workers.speech.decode import RATE, Samples

LANGUAGE = "zh"
# Ordinary opening words of such calls, in half-width marks (full-width ones make base loop).
# It names nothing that a rule forbids, so that an echo of it cannot become a finding.
PROMPT = "喂,您好,银行委托,工号一二三,通话有录音。借款账单,什么时候还款?"
TICK = 0.02
FRAMES_PER_SECOND = 100
LONGEST = 30.0
TOKENS_PER_SECOND = 12
SPARE_TOKENS = 12
MOST_TOKENS = 224
MAX_INITIAL_TICKS = 50


class UnknownEngineError(ValueError):
    """No engine has this name."""


@dataclass(frozen=True)
class Heard:
    """A stretch of text; times are seconds from the start of its clip."""

    start: float
    end: float
    text: str
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float


@dataclass(frozen=True)
class EngineOptions:
    """What changes the text an engine gives; stored with each transcript.

    `margin` is the silence (seconds) heard after a clip. A clip whose text is improbable or loops
    is read again with `second_beam` (0: never), with the prompt or without it.
    """

    beam: int = 1
    prompt: str = PROMPT
    batch: int = 4
    margin: float = 3.0
    second_beam: int = 1
    second_prompt: bool = False
    second_below: float = -1.0
    second_above: float = 2.4


class Engine(Protocol):
    """Hears clips of up to 30 seconds of 16 kHz speech."""

    name: str
    model_digest: str

    @property
    def parameters(self) -> Mapping[str, object]:
        """Return everything that changes the text."""
        ...

    def hear(self, clips: Sequence[Samples]) -> list[list[Heard]]:
        """Return what is said in each clip, in order."""
        ...


@dataclass(frozen=True)
class _Reading:
    """The tokens that a model gave for one clip."""

    tokens: Sequence[int]
    avg_logprob: float
    no_speech_prob: float


@dataclass(frozen=True)
class _Pass:
    """One reading of encoded clips; `limit` is the most tokens a clip of this length can hold."""

    beam: int
    prompt: str
    limit: int


class _Batches:
    """What both engines share: batching by length, the second hearing, tokens into segments."""

    def __init__(self, options: EngineOptions, *, multilingual: bool, languages: int) -> None:
        self.options = options
        # The models and the hooks on them are not made for two threads at once.
        self.lock = threading.Lock()
        with warnings.catch_warnings():
            # whisper leaves its vocabulary file to the garbage collector.
            warnings.simplefilter("ignore", ResourceWarning)
            self.tokenizer: Tokenizer = get_tokenizer(
                multilingual, num_languages=languages, language=LANGUAGE, task="transcribe"
            )

    def hear(
        self,
        clips: Sequence[Samples],
        encode: Callable[[Sequence[Samples], int], Any],
        read: Callable[[Any, _Pass], list[_Reading]],
        pick: Callable[[Any, int], Any],
    ) -> list[list[Heard]]:
        """Encode clips of like length together, read them, and read the doubtful ones again."""
        heard: list[list[Heard]] = [[] for _ in clips]
        order = sorted(range(len(clips)), key=lambda at: len(clips[at]))
        for low in range(0, len(order), self.options.batch):
            batch = order[low : low + self.options.batch]
            longest = max(len(clips[at]) for at in batch) / RATE
            seconds = min(LONGEST, longest + self.options.margin)
            limit = min(MOST_TOKENS, round(longest * TOKENS_PER_SECOND) + SPARE_TOKENS)
            with self.lock:
                features = encode([clips[at] for at in batch], round(seconds * 50) * 2)
                readings = read(features, _Pass(self.options.beam, self.options.prompt, limit))
                for place, at in enumerate(batch):
                    reading = readings[place]
                    if self._is_doubtful(reading):
                        again = read(pick(features, place), self._second_pass(limit))[0]
                        reading = max(reading, again, key=self._worth)
                    heard[at] = list(self._segments(reading, len(clips[at]) / RATE))
        return heard

    def _second_pass(self, limit: int) -> _Pass:
        prompt = self.options.prompt if self.options.second_prompt else ""
        return _Pass(self.options.second_beam, prompt, limit)

    def _text(self, reading: _Reading) -> str:
        words = [token for token in reading.tokens if token < self.tokenizer.eot]
        return str(self.tokenizer.decode(words)).strip()

    def _is_doubtful(self, reading: _Reading) -> bool:
        return self.options.second_beam > 0 and (
            reading.avg_logprob < self.options.second_below or self._loops(reading)
        )

    def _loops(self, reading: _Reading) -> bool:
        return bool(compression_ratio(self._text(reading)) > self.options.second_above)

    def _worth(self, reading: _Reading) -> tuple[bool, float]:
        return not self._loops(reading), reading.avg_logprob

    def _segments(self, reading: _Reading, length: float) -> Iterator[Heard]:
        """Cut the tokens at the time tokens that the model puts around each sentence."""
        first = self.tokenizer.timestamp_begin
        tokens = list(reading.tokens)
        edges = [at for at, token in enumerate(tokens) if token >= first]
        if not edges or edges[0] != 0:
            edges = [-1, *edges]
        if edges[-1] != len(tokens) - 1:
            edges.append(len(tokens))
        for low, high in pairwise(edges):
            words = [token for token in tokens[low + 1 : high] if token < self.tokenizer.eot]
            text = str(self.tokenizer.decode(words)).strip()
            if not text:
                continue
            start = min((tokens[low] - first) * TICK if low >= 0 else 0.0, length)
            end = min((tokens[high] - first) * TICK if high < len(tokens) else length, length)
            yield Heard(
                start=start,
                end=max(start, end),
                text=text,
                avg_logprob=reading.avg_logprob,
                no_speech_prob=reading.no_speech_prob,
                compression_ratio=compression_ratio(text),
            )


def _mel(clip: Samples, bands: int, frames: int) -> torch.Tensor:
    """Return the spectrogram of a clip followed by silence up to `frames`."""
    missing = max(0, frames * RATE // FRAMES_PER_SECOND - len(clip))
    mel: torch.Tensor = log_mel_spectrogram(clip, bands, padding=missing)
    return mel[:, :frames]


class _Task(DecodingTask):  # type: ignore[misc]  # whisper carries no types
    """openai-whisper's decoding over features that were encoded before, of any length."""

    def _get_audio_features(self, mel: torch.Tensor) -> torch.Tensor:
        return mel


class OpenAIWhisper:
    """The reference engine: openai-whisper in single precision."""

    name = "openai-whisper"

    def __init__(
        self, model: str, options: EngineOptions, *, cache_dir: Path | None, threads: int
    ) -> None:
        torch.set_num_threads(threads)
        found = weights.for_openai_whisper(model, cache_dir=cache_dir)
        self.model_digest = found.digest
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model: Any = whisper.load_model(found.source, device=device)
        if found.size is not None:
            # A checkpoint loaded from a path does not know which heads follow the words.
            heads = whisper._ALIGNMENT_HEADS[found.size]  # noqa: SLF001  no public way to them
            self._model.set_alignment_heads(heads)
        self._batches = _Batches(
            options,
            multilingual=self._model.is_multilingual,
            languages=self._model.num_languages,
        )

    @property
    def parameters(self) -> Mapping[str, object]:
        """Return everything that changes the text."""
        return {"language": LANGUAGE, "precision": "float32", **asdict(self._batches.options)}

    @torch.inference_mode()
    def hear(self, clips: Sequence[Samples]) -> list[list[Heard]]:
        """Return what is said in each clip, in order."""
        return self._batches.hear(clips, self._encode, self._read, _one_of_tensor)

    def _encode(self, clips: Sequence[Samples], frames: int) -> torch.Tensor:
        """Run the encoder over `frames` instead of over 30 seconds."""
        encoder = self._model.encoder
        mels = torch.stack([_mel(clip, self._model.dims.n_mels, frames) for clip in clips])
        hidden = functional.gelu(encoder.conv1(mels.to(self._model.device)))
        hidden = functional.gelu(encoder.conv2(hidden)).permute(0, 2, 1)
        hidden = hidden + encoder.positional_embedding[: hidden.shape[1]]
        for block in encoder.blocks:
            hidden = block(hidden)
        encoded: torch.Tensor = encoder.ln_post(hidden)
        return encoded

    def _read(self, features: torch.Tensor, how: _Pass) -> list[_Reading]:
        options = DecodingOptions(
            language=LANGUAGE,
            beam_size=how.beam if how.beam > 1 else None,
            prompt=how.prompt or None,
            sample_len=how.limit,
            fp16=False,
        )
        return [
            _Reading(result.tokens, float(result.avg_logprob), float(result.no_speech_prob))
            for result in _Task(self._model, options).run(features)
        ]


def _one_of_tensor(features: torch.Tensor, place: int) -> torch.Tensor:
    return features[place : place + 1]


class FasterWhisper:
    """The engine for throughput: CTranslate2 in 8-bit integers."""

    name = "faster-whisper"

    def __init__(
        self, model: str, options: EngineOptions, *, cache_dir: Path | None, threads: int
    ) -> None:
        torch.set_num_threads(threads)
        found = weights.for_faster_whisper(model, cache_dir=cache_dir)
        self.model_digest = found.digest
        loaded = WhisperModel(found.source, device="auto", compute_type="int8", cpu_threads=threads)
        self._model: Any = loaded.model
        self._batches = _Batches(
            options,
            multilingual=self._model.is_multilingual,
            languages=self._model.num_languages,
        )
        tokenizer = self._batches.tokenizer
        self._suppressed = sorted(
            {
                *tokenizer.non_speech_tokens,
                *(tokenizer.transcribe, tokenizer.translate, tokenizer.sot),
                *(tokenizer.sot_prev, tokenizer.sot_lm, tokenizer.no_speech),
            }
        )

    @property
    def parameters(self) -> Mapping[str, object]:
        """Return everything that changes the text."""
        return {"language": LANGUAGE, "precision": "int8", **asdict(self._batches.options)}

    def hear(self, clips: Sequence[Samples]) -> list[list[Heard]]:
        """Return what is said in each clip, in order."""
        return self._batches.hear(clips, self._encode, self._read, self._one_of)

    def _encode(self, clips: Sequence[Samples], frames: int) -> Any:
        mels = torch.stack([_mel(clip, self._model.n_mels, frames) for clip in clips])
        view = ctranslate2.StorageView.from_array(np.ascontiguousarray(mels.numpy()))
        return self._model.encode(view, to_cpu=self._model.device == "cuda")

    def _read(self, features: Any, how: _Pass) -> list[_Reading]:
        prompt = self._opening(how.prompt)
        results = self._model.generate(
            features,
            [prompt] * features.shape[0],
            beam_size=how.beam,
            max_length=min(448, len(prompt) + how.limit),
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
                _Reading(
                    result.sequences_ids[0],
                    # The score is the mean over the tokens; the end token counts as one more.
                    float(result.scores[0]) * count / (count + 1),
                    float(result.no_speech_prob),
                )
            )
        return readings

    def _opening(self, prompt: str) -> list[int]:
        """Return the tokens that stand before the text, as openai-whisper puts them."""
        tokenizer = self._batches.tokenizer
        before = [tokenizer.sot_prev, *tokenizer.encode(" " + prompt.strip())] if prompt else []
        return [*before, *tokenizer.sot_sequence]

    @staticmethod
    def _one_of(features: Any, place: int) -> Any:
        return ctranslate2.StorageView.from_array(np.array(features)[place : place + 1].copy())


ENGINES: Mapping[str, Callable[..., Engine]] = {
    OpenAIWhisper.name: OpenAIWhisper,
    FasterWhisper.name: FasterWhisper,
}
_loading = threading.Lock()


@lru_cache(maxsize=4)
def _loaded(
    name: str, model: str, options: EngineOptions, cache_dir: Path | None, threads: int
) -> Engine:
    maker = ENGINES.get(name)
    if maker is None:
        raise UnknownEngineError("engine must be one of " + ", ".join(ENGINES))
    return maker(model, options, cache_dir=cache_dir, threads=threads)


def get_engine(
    name: str,
    *,
    model: str = "",
    options: EngineOptions | None = None,
    cache_dir: Path | None = None,
    threads: int = 1,
) -> Engine:
    """Return the engine, loaded once a process; safe to use from several threads.

    Raises `UnknownEngineError` or `weights.WeightsError`.
    """
    with _loading:
        return _loaded(name, model, options or EngineOptions(), cache_dir, threads)

"""What Whisper engines share: batches of one length, doubtful clips read again, words timed."""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Self

import torch
from whisper.audio import log_mel_spectrogram
from whisper.tokenizer import Tokenizer, get_tokenizer
from whisper.utils import compression_ratio

from workers.speech import bias
from workers.speech.decode import RATE, Samples
from workers.speech.engines.protocol import LANGUAGE, LONGEST, EngineOptions, Heard
from workers.speech.sharing import Sharing, Wish
from workers.speech.wording import TICK, Timing, spell

FRAMES_PER_SECOND = 100
TOKENS_PER_SECOND = 12
SPARE_TOKENS = 12
MOST_TOKENS = 224
# Sound (seconds) that is read at once: more makes nothing faster on a processor, and takes memory.
CPU_BATCH_S = 64.0
GPU_BATCH_S = 960.0


@dataclass(frozen=True)
class Reading:
    """The tokens that a model gave for one clip."""

    tokens: Sequence[int]
    avg_logprob: float
    no_speech_prob: float


@dataclass(frozen=True)
class Pass:
    """One reading of encoded clips; `limit` is the most tokens a clip of this length can hold."""

    beam: int
    prompt: tuple[int, ...]
    limit: int


class WhisperReader(ABC):
    """A Whisper engine: what it hears is the same road, how it computes is the subclass's."""

    name: str
    precision: str

    def __init__(self, *, digest: str, multilingual: bool, languages: int, batch_s: float) -> None:
        self.model_digest = digest
        # The models and the hooks on them are not made for two threads at once: all copies of the
        # engine hear through this.
        self.sharing: Sharing[Samples, list[Heard]] = Sharing(batch_s)
        with warnings.catch_warnings():
            # whisper leaves its vocabulary file to the garbage collector.
            warnings.simplefilter("ignore", ResourceWarning)
            self.tokenizer: Tokenizer = get_tokenizer(
                multilingual, num_languages=languages, language=LANGUAGE, task="transcribe"
            )
        self._adopt(EngineOptions())

    def with_options(self, options: EngineOptions) -> Self:
        """Return an engine that hears with these options on the same loaded model."""
        other = copy(self)
        other._adopt(options)  # noqa: SLF001  it is one of us
        return other

    def _adopt(self, options: EngineOptions) -> None:
        self.options = options
        self._terms = bias.terms(options)
        self._told = self._tokens(bias.told(options))
        self._plain = self._tokens(bias.told_without(options))

    @property
    def parameters(self) -> Mapping[str, object]:
        """Return everything that changes the text."""
        return {"language": LANGUAGE, "precision": self.precision, **asdict(self.options)}

    @property
    def told(self) -> str:
        """Return what the model is told before each clip."""
        return bias.told(self.options)

    @abstractmethod
    def encode(self, clips: Sequence[Samples], frames: int) -> Any:
        """Return the features of the clips, each heard for `frames` hundredths of a second."""

    @abstractmethod
    def pick(self, features: Any, places: Sequence[int]) -> Any:
        """Return the features of some of the clips."""

    @abstractmethod
    def read(self, features: Any, how: Pass) -> list[Reading]:
        """Return the text tokens of each clip."""

    @abstractmethod
    def align(
        self, features: Any, texts: Sequence[Sequence[int]], frames: Sequence[int]
    ) -> list[Timing]:
        """Return when each token of each text is said; `frames` is how long each clip is."""

    def hear(self, clips: Sequence[Samples]) -> list[list[Heard]]:
        """Return what is said in each clip, in order.

        Clips of one length are batched, with those of other callers too. What is heard in a clip
        depends on nothing but the clip: it is heard for a time that its own length alone decides.
        """
        return self.sharing.ask([self._wish(clip) for clip in clips])

    def _wish(self, clip: Samples) -> Wish[Samples, list[Heard]]:
        step = self.options.step
        seconds = math.ceil((len(clip) / RATE + self.options.margin) / step) * step
        heard = min(LONGEST, seconds)
        return Wish(clip, (self.options, heard), heard, partial(self._hear_batch, seconds=heard))

    def _hear_batch(self, clips: Sequence[Samples], *, seconds: float) -> list[list[Heard]]:
        """Encode clips together, read them, and read the doubtful ones again."""
        limit = min(MOST_TOKENS, round(seconds * TOKENS_PER_SECOND) + SPARE_TOKENS)
        features = self.encode(clips, round(seconds * FRAMES_PER_SECOND / 2) * 2)
        readings = self.read(features, Pass(self.options.beam, self._told, limit))
        self._read_again(features, readings, limit)
        biased = self._biased(features, readings, limit)
        frames = [len(clip) * FRAMES_PER_SECOND // RATE for clip in clips]
        timings = self._timed(features, readings, frames)
        return [
            list(self._pieces(reading, len(clip) / RATE, timing, owed))
            for reading, clip, timing, owed in zip(readings, clips, timings, biased, strict=True)
        ]

    def _read_again(self, features: Any, readings: list[Reading], limit: int) -> None:
        """Put a better second reading in the place of each doubtful first one."""
        places = [place for place, reading in enumerate(readings) if self._is_doubtful(reading)]
        if not places:
            return
        told = self._told if self.options.second_prompt else ()
        how = Pass(self.options.second_beam, told, limit)
        for place, again in zip(places, self.read(self.pick(features, places), how), strict=True):
            readings[place] = max(readings[place], again, key=self._worth)

    def _biased(
        self, features: Any, readings: Sequence[Reading], limit: int
    ) -> list[frozenset[str]]:
        """Return for each clip what of the tenant's words is not heard without its help."""
        owed = [bias.found(self._text(reading.tokens), self._terms) for reading in readings]
        places = [place for place, words in enumerate(owed) if words]
        if places:
            how = Pass(self.options.beam, self._plain, limit)
            plain = self.read(self.pick(features, places), how)
            for place, reading in zip(places, plain, strict=True):
                owed[place] -= bias.found(self._text(reading.tokens), self._terms)
        return owed

    def _timed(
        self, features: Any, readings: Sequence[Reading], frames: Sequence[int]
    ) -> list[Timing]:
        """Time the tokens of each clip; no times for empty and looping texts."""
        texts = [
            [] if self._loops(reading) else self._spoken(reading.tokens) for reading in readings
        ]
        places = [place for place, text in enumerate(texts) if text]
        timings = [Timing((), ())] * len(readings)
        if self.options.words and places:
            chosen = features if len(places) == len(texts) else self.pick(features, places)
            found = self.align(chosen, [texts[at] for at in places], [frames[at] for at in places])
            for place, timing in zip(places, found, strict=True):
                timings[place] = timing
        return timings

    def _tokens(self, text: str) -> tuple[int, ...]:
        """Return the prompt's tokens; Whisper takes half its context, and the end counts."""
        tokens = self.tokenizer.encode(" " + text.strip()) if text else []
        return tuple(tokens[-(MOST_TOKENS - 1) :])

    def _spoken(self, tokens: Sequence[int]) -> list[int]:
        return [token for token in tokens if token < self.tokenizer.eot]

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode(self._spoken(tokens))).strip()

    def _is_doubtful(self, reading: Reading) -> bool:
        return self.options.second_beam > 0 and (
            reading.avg_logprob < self.options.second_below or self._loops(reading)
        )

    def _loops(self, reading: Reading) -> bool:
        return bool(compression_ratio(self._text(reading.tokens)) > self.options.second_above)

    def _worth(self, reading: Reading) -> tuple[bool, float]:
        return not self._loops(reading), reading.avg_logprob

    def _pieces(
        self, reading: Reading, length: float, timing: Timing, owed: frozenset[str]
    ) -> Iterator[Heard]:
        """Cut the tokens at the time tokens that the model puts around each sentence."""
        first = self.tokenizer.timestamp_begin
        tokens = list(reading.tokens)
        edges = [at for at, token in enumerate(tokens) if token >= first]
        if not edges or edges[0] != 0:
            edges = [-1, *edges]
        if edges[-1] != len(tokens) - 1:
            edges.append(len(tokens))
        said = 0
        for low, high in pairwise(edges):
            spoken = self._spoken(tokens[low + 1 : high])
            part, said = timing.part(said, said + len(spoken)), said + len(spoken)
            text = self._text(spoken)
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
                words=spell(self.tokenizer, spoken, part),
                biased=bool(bias.found(text, owed)),
            )


def spectrograms(clips: Sequence[Samples], bands: int, frames: int) -> torch.Tensor:
    """Return the spectrogram of each clip followed by silence up to `frames`."""

    def one(clip: Samples) -> torch.Tensor:
        missing = max(0, frames * RATE // FRAMES_PER_SECOND - len(clip))
        mel: torch.Tensor = log_mel_spectrogram(clip, bands, padding=missing)
        return mel[:, :frames]

    return torch.stack([one(clip) for clip in clips])

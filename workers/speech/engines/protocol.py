"""What every speech engine is: clips of speech in, text with times and probabilities out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from workers.speech.decode import Samples

LANGUAGE = "zh"
# Ordinary opening words of such calls, in half-width marks (full-width ones make base loop).
# It names nothing that a rule forbids, so that an echo of it cannot become a finding.
PROMPT = "喂,您好,银行委托,工号一二三,通话有录音。借款账单,什么时候还款?"
LONGEST = 30.0


class UnknownEngineError(ValueError):
    """No engine has this name."""


@dataclass(frozen=True)
class Word:
    """The smallest stretch of text that the engine can time: a character, or a Latin word.

    Times are seconds from the start of the clip; marks belong to the word before them.
    """

    start: float
    end: float
    text: str
    probability: float


@dataclass(frozen=True)
class Heard:
    """A stretch of text; times are seconds from the start of its clip.

    `words` spell the text, or are empty where the engine could not time them. `biased` is True
    where words of the tenant are in the text that are not heard without its prompt and hotwords.
    """

    start: float
    end: float
    text: str
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    words: tuple[Word, ...] = ()
    biased: bool = False


@dataclass(frozen=True)
class EngineOptions:
    """What changes the text an engine gives; stored with each transcript.

    `prompt` and `hotwords` are told to the model before each clip; the default prompt counts as no
    bias. After a clip at least `margin` seconds of silence are heard, up to the next multiple of
    `step`. A clip whose text is improbable or
    loops is read again with `second_beam` (0: never), with the prompt or without it.
    """

    beam: int = 1
    prompt: str = PROMPT
    hotwords: tuple[str, ...] = ()
    margin: float = 1.0
    step: float = 4.0
    second_beam: int = 1
    second_prompt: bool = False
    second_below: float = -1.0
    second_above: float = 2.4
    words: bool = True


class Engine(Protocol):
    """Hears clips of up to 30 seconds of 16 kHz speech."""

    name: str
    model_digest: str

    @property
    def parameters(self) -> Mapping[str, object]:
        """Return everything that changes the text."""
        ...

    @property
    def told(self) -> str:
        """Return what the model is told before each clip: an echo of it is no speech."""
        ...

    def with_options(self, options: EngineOptions) -> "Engine":
        """Return an engine that hears with these options on the same loaded model."""
        ...

    def hear(self, clips: Sequence[Samples]) -> list[list[Heard]]:
        """Return what is said in each clip, in order."""
        ...

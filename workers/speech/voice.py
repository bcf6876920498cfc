"""Finds where somebody speaks, and joins it into turns that the model hears in one go."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from faster_whisper.vad import VadOptions, get_speech_timestamps

from workers.speech.decode import RATE, Audio, Samples

BLOCK_SECONDS = 600
FRAME = RATE // 50
ECHO_LEVEL_DB = -9.0
ECHO_LIKENESS = 0.6
QUIETEST = 1e-5


@dataclass(frozen=True)
class VoiceOptions:
    """How speech is found and joined; all but `threshold` in seconds."""

    threshold: float = 0.5
    shortest_silence: float = 0.5
    padding: float = 0.2
    join_within: float = 1.5
    longest_turn: float = 25.0


@dataclass(frozen=True)
class Stretch:
    """Samples [start, end) of one channel in which somebody speaks.

    `speech` counts the samples of it that are speech; the rest are pauses.
    """

    channel: int
    start: int
    end: int
    speech: int

    @property
    def seconds(self) -> float:
        """Return the length with its pauses."""
        return (self.end - self.start) / RATE

    @property
    def speech_seconds(self) -> float:
        """Return the length of the speech in it."""
        return self.speech / RATE

    def samples(self, audio: Audio) -> Samples:
        """Return what the model hears."""
        return audio.piece(self.channel, self.start, self.end)


def find_turns(audio: Audio, channels: Iterable[int], options: VoiceOptions) -> tuple[Stretch, ...]:
    """Return the turns of all channels in time order, none longer than `longest_turn`.

    Stretches of one voice make one turn until another channel speaks or a pause is too long:
    whole sentences give the model the context that single utterances lack.
    """
    found = [stretch for channel in channels for stretch in find_speech(audio, channel, options)]
    found.sort(key=lambda stretch: (stretch.start, stretch.channel))
    reach, most = round(options.join_within * RATE), round(options.longest_turn * RATE)
    turns: list[Stretch] = []
    for stretch in found:
        last = turns[-1] if turns else None
        if (
            last is not None
            and last.channel == stretch.channel
            and stretch.start - last.end <= reach
            and stretch.end - last.start <= most
        ):
            spoken = last.speech + stretch.speech
            turns[-1] = Stretch(last.channel, last.start, stretch.end, spoken)
        else:
            turns.append(stretch)
    return tuple(turns)


def find_speech(audio: Audio, channel: int, options: VoiceOptions) -> tuple[Stretch, ...]:
    """Return the stretches of speech in one channel, without what leaks in from another."""
    if channel in audio.silent_channels:
        return ()
    found = _in_blocks(audio, channel, options)
    return tuple(stretch for stretch in found if not _is_echo(audio, stretch))


def _in_blocks(audio: Audio, channel: int, options: VoiceOptions) -> Iterator[Stretch]:
    """Read a long recording in blocks that begin in silence, so that memory stays bounded."""
    vad = VadOptions(
        threshold=options.threshold,
        min_silence_duration_ms=round(options.shortest_silence * 1000),
        speech_pad_ms=round(options.padding * 1000),
        max_speech_duration_s=options.longest_turn,
    )
    total = audio.samples.shape[0]
    start = 0
    while start < total:
        end = min(total, start + BLOCK_SECONDS * RATE)
        chunks = get_speech_timestamps(audio.piece(channel, start, end), vad)
        resume = end
        if end < total and len(chunks) > 1 and chunks[-1]["end"] >= end - start:
            # Somebody is speaking across the border: the next block begins with that speech.
            resume = start + chunks.pop()["start"]
        for chunk in chunks:
            low, high = start + chunk["start"], start + chunk["end"]
            yield Stretch(channel, low, high, high - low)
        start = resume


def _is_echo(audio: Audio, stretch: Stretch) -> bool:
    """Tell whether the stretch is another channel leaking in: quieter, and moving alike."""
    own = _loudness(stretch.samples(audio))
    for other in range(audio.channels):
        if other == stretch.channel or other in audio.silent_channels:
            continue
        theirs = _loudness(audio.piece(other, stretch.start, stretch.end))
        if own.size < 2 or float(np.mean(own) - np.mean(theirs)) > ECHO_LEVEL_DB:  # noqa: PLR2004
            continue
        if float(np.corrcoef(own, theirs)[0, 1]) > ECHO_LIKENESS:
            return True
    return False


def _loudness(samples: Samples) -> Samples:
    whole = samples[: samples.size // FRAME * FRAME].reshape(-1, FRAME)
    rms = np.sqrt(np.mean(np.square(whole), axis=1))
    loudness: Samples = 20 * np.log10(np.maximum(rms, QUIETEST))
    return loudness

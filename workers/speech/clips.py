"""Packs turns of one voice into clips that the model hears in one go, and finds its way back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from workers.speech.decode import RATE, Audio, Samples
from workers.speech.voice import Stretch, VoiceOptions


@dataclass(frozen=True)
class Clip:
    """Turns of one voice, with `between` samples of silence after each but the last."""

    turns: tuple[Stretch, ...]
    between: int

    @property
    def length(self) -> int:
        """Return the length in samples."""
        return sum(turn.end - turn.start for turn in self.turns) + self.between * (
            len(self.turns) - 1
        )

    @property
    def span(self) -> int:
        """Return how many samples of the recording lie between its first and its last."""
        return self.turns[-1].end - self.turns[0].start

    @property
    def speech_seconds(self) -> float:
        """Return how much of it is speech."""
        return sum(turn.speech for turn in self.turns) / RATE

    def samples(self, audio: Audio) -> Samples:
        """Return what the model hears."""
        silence = np.zeros(self.between, dtype=np.float32)
        parts = [part for turn in self.turns for part in (turn.samples(audio), silence)]
        return np.concatenate(parts[:-1])

    def turn_at(self, seconds: float) -> tuple[Stretch, float]:
        """Return the turn at a time of the clip, and where in the clip that turn begins."""
        begins = 0
        for turn in self.turns[:-1]:
            ends = begins + turn.end - turn.start
            if seconds * RATE < ends + self.between / 2:
                return turn, begins / RATE
            begins = ends + self.between
        return self.turns[-1], begins / RATE


def pack(turns: Iterable[Stretch], options: VoiceOptions) -> tuple[Clip, ...]:
    """Pack the turns of each voice, in time order, into clips of no more than the options allow.

    Context makes the model surer, and each clip costs a margin and a prompt of its own.
    """
    between, most = round(options.between * RATE), round(options.longest_clip * RATE)
    widest = round(options.widest_clip * RATE)
    clips: list[Clip] = []
    open_clips: dict[tuple[int, int], int] = {}
    for turn in turns:
        voice = turn.channel, turn.voice
        at = open_clips.get(voice)
        held = () if at is None else clips[at].turns
        longer = Clip((*held, turn), between)
        if at is not None and longer.length <= most and longer.span <= widest:
            clips[at] = longer
        else:
            open_clips[voice] = len(clips)
            clips.append(Clip((turn,), between))
    return tuple(clips)


def grouped(clips: Iterable[Clip], longest: float) -> Iterator[tuple[Clip, ...]]:
    """Cut the clips into groups of up to `longest` seconds, at least one clip each."""
    group: list[Clip] = []
    length = 0
    for clip in clips:
        if group and length + clip.length > longest * RATE:
            yield tuple(group)
            group, length = [], 0
        group.append(clip)
        length += clip.length
    if group:
        yield tuple(group)

"""Finds where somebody speaks, and joins it into turns."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from faster_whisper.vad import VadOptions, get_speech_timestamps

from workers.speech.decode import RATE, Audio, Samples

BLOCK_SECONDS = 120
FRAME = RATE // 50
ECHO_LEVEL_DB = -9.0
ECHO_LIKENESS = 0.6
QUIETEST = 1e-5
# Frames this near to the quietest ones are noise; a word louder than the noise is never among them.
NOISE_SHARE = 0.15
NOISE_SWING_DB = 3.0
# Frames before and after a sound that go with it.
LEAD = 25
HALF = 0.5


@dataclass(frozen=True)
class VoiceOptions:
    """How speech is found and joined; all but `threshold` in seconds.

    A silence of `shortest_pause` is a pause, of `shortest_silence` the end of a stretch, which
    keeps `padding` of it. Stretches within `join_within` make a turn. The model hears turns of one
    voice together, up to `longest_clip` of sound out of `widest_clip` of the recording, with
    `between` of silence after each; clips of up to `longest_piece` in all are batched, and lost
    together when a worker is killed.
    """

    threshold: float = 0.5
    shortest_pause: float = 0.3
    shortest_silence: float = 0.5
    padding: float = 0.2
    join_within: float = 1.5
    longest_turn: float = 25.0
    longest_clip: float = 15.0
    widest_clip: float = 60.0
    between: float = 0.3
    longest_piece: float = 120.0


@dataclass(frozen=True)
class Stretch:
    """Samples [start, end) of one channel in which somebody speaks.

    `speech` counts the samples of it that are speech; `pauses` are the silences in it, as samples
    of the recording. `voice` tells speakers of one channel apart, where they are, and `score` (0 to
    1) says how sure that is.
    """

    channel: int
    start: int
    end: int
    speech: int
    pauses: tuple[tuple[int, int], ...] = ()
    voice: int = 0
    score: float = 1.0

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

    def joined(self, later: "Stretch") -> "Stretch":
        """Return both stretches and the pause between them as one."""
        between = ((self.end, later.start),) if later.start > self.end else ()
        return Stretch(
            channel=self.channel,
            start=self.start,
            end=later.end,
            speech=self.speech + later.speech,
            pauses=(*self.pauses, *between, *later.pauses),
            voice=self.voice,
            score=min(self.score, later.score),
        )


def join_turns(stretches: Iterable[Stretch], options: VoiceOptions) -> tuple[Stretch, ...]:
    """Join stretches into turns, in time order, none longer than `longest_turn`.

    Stretches of one voice make one turn until another channel speaks or a pause is too long:
    whole sentences give the model the context that single utterances lack.
    """
    reach, most = round(options.join_within * RATE), round(options.longest_turn * RATE)
    turns: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda each: (each.start, each.channel)):
        last = turns[-1] if turns else None
        if (
            last is not None
            and (last.channel, last.voice) == (stretch.channel, stretch.voice)
            and stretch.start - last.end <= reach
            and stretch.end - last.start <= most
        ):
            turns[-1] = last.joined(stretch)
        else:
            turns.append(stretch)
    return tuple(turns)


def find_speech(
    audio: Audio,
    channel: int,
    options: VoiceOptions,
    on_block: Callable[[float], None] | None = None,
) -> tuple[Stretch, ...]:
    """Return the stretches of speech in one channel, without what leaks in from another.

    `on_block` is told the share (0 to 1) that has been looked at, some minutes at a time.
    """
    if channel in audio.silent_channels:
        return ()
    blocks = _in_blocks(audio, channel, options, on_block or (lambda _share: None))
    found = _padded(list(blocks), audio.samples.shape[0], options)
    return tuple(stretch for stretch in found if not _is_echo(audio, stretch))


def _in_blocks(
    audio: Audio, channel: int, options: VoiceOptions, on_block: Callable[[float], None]
) -> Iterator[Stretch]:
    """Read a long recording in blocks that begin in silence, so that memory stays bounded."""
    vad = VadOptions(
        threshold=options.threshold,
        min_silence_duration_ms=round(options.shortest_pause * 1000),
        speech_pad_ms=0,
        max_speech_duration_s=options.longest_turn,
    )
    total = audio.samples.shape[0]
    start = 0
    held: Stretch | None = None
    while start < total:
        end = min(total, start + BLOCK_SECONDS * RATE)
        chunks = list(_chunks(audio.piece(channel, start, end), vad))
        resume = end
        if end < total and len(chunks) > 1 and chunks[-1]["end"] >= end - start:
            # Somebody is speaking across the border: the next block begins with that speech.
            resume = start + chunks.pop()["start"]
        for chunk in chunks:
            low, high = start + chunk["start"], start + chunk["end"]
            stretch = Stretch(channel, low, high, high - low)
            if held is not None and _belongs(held, stretch, options):
                held = held.joined(stretch)
                continue
            if held is not None:
                yield held
            held = stretch
        start = resume
        on_block(start / total)
    if held is not None:
        yield held


def _chunks(block: Samples, vad: VadOptions) -> Iterator[dict[str, int]]:
    """Yield where the voice model finds speech in a block; it is shown only what may hold some."""
    for low, high in _sounding(block):
        for chunk in get_speech_timestamps(block[low:high], vad):
            yield {edge: low + at for edge, at in chunk.items()}


def _sounding(block: Samples) -> list[tuple[int, int]]:
    """Return the parts of a block without the silences that stay at the level of its noise."""
    levels = loudness(block)
    if levels.size < 2 * LEAD:
        return [(0, block.size)]
    heard = levels > np.quantile(levels, NOISE_SHARE) + NOISE_SWING_DB
    # What is within reach of a sound is kept: the voice model needs a run-up, and words trail off.
    near = np.convolve(heard, np.ones(2 * LEAD + 1), mode="same") > HALF
    edges = np.flatnonzero(np.diff(near, prepend=False, append=False))
    starts, ends = edges[::2] * FRAME, edges[1::2] * FRAME
    if near[-1]:
        ends[-1] = block.size
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _belongs(held: Stretch, later: Stretch, options: VoiceOptions) -> bool:
    """Tell whether only a pause lies between them, and together they are not too long."""
    most = round((options.longest_turn - 2 * options.padding) * RATE)
    near = later.start - held.end < options.shortest_silence * RATE
    return near and later.end - held.start <= most


def _padded(stretches: list[Stretch], total: int, options: VoiceOptions) -> Iterator[Stretch]:
    """Add the silence around each stretch, at most half of what lies between two."""
    pad = round(options.padding * RATE)
    middles = [(before.end + after.start) // 2 for before, after in pairwise(stretches)]
    for low, here, high in zip([0, *middles], stretches, [*middles, total], strict=bool(stretches)):
        start, end = max(low, here.start - pad), min(high, here.end + pad)
        spoken = here.speech + here.start - start + end - here.end
        yield Stretch(here.channel, start, end, spoken, here.pauses, here.voice)


def _is_echo(audio: Audio, stretch: Stretch) -> bool:
    """Tell whether the stretch is another channel leaking in: quieter, and moving alike."""
    own = loudness(stretch.samples(audio))
    for other in range(audio.channels):
        if other == stretch.channel or other in audio.silent_channels:
            continue
        theirs = loudness(audio.piece(other, stretch.start, stretch.end))
        if own.size < 2 or float(np.mean(own) - np.mean(theirs)) > ECHO_LEVEL_DB:  # noqa: PLR2004
            continue
        if float(np.corrcoef(own, theirs)[0, 1]) > ECHO_LIKENESS:
            return True
    return False


def loudness(samples: Samples) -> Samples:
    """Return the level of each whole frame of 20 ms in dB of full scale."""
    whole = samples[: samples.size // FRAME * FRAME].reshape(-1, FRAME)
    rms = np.sqrt(np.mean(np.square(whole), axis=1))
    loudness: Samples = 20 * np.log10(np.maximum(rms, QUIETEST))
    return loudness

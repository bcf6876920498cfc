"""Writes sound in any format that FFmpeg can write."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.int16]
# Encoders that FFmpeg calls experimental are good enough to test decoders with.
OPTIONS = {"strict": "experimental"}


def write_sound(
    path: Path,
    sound: Sound,
    *,
    container: str,
    encoder: str,
    rate: int,
    bit_rate: int | None = None,
) -> Path:
    """Write samples, one column a channel, at `rate` hertz and `bit_rate` bits a second."""
    with av.open(str(path), "w", format=container) as output:
        track = add_track(
            output, encoder=encoder, rate=rate, channels=sound.shape[1], bit_rate=bit_rate
        )
        fill_track(output, track, sound)
    return path


def add_track(
    output: av.container.OutputContainer,
    *,
    encoder: str,
    rate: int,
    channels: int,
    bit_rate: int | None = None,
) -> av.AudioStream:
    """Add an audio stream; every stream is added before the first is filled."""
    layout = {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")
    track = output.add_stream(encoder, rate=rate, layout=layout, options=OPTIONS)
    assert isinstance(track, av.AudioStream)
    if bit_rate:
        track.codec_context.bit_rate = bit_rate
    if encoder == "flac":
        track.codec_context.format = "s16"
    else:
        track.codec_context.open(strict=False)
    return track


def fill_track(output: av.container.OutputContainer, track: av.AudioStream, sound: Sound) -> None:
    """Encode all samples into a stream; their rate and channels must be the stream's."""
    context = track.codec_context
    frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), "s16", context.layout.name)
    frame.sample_rate = context.sample_rate
    size = context.frame_size if context.frame_size > 1 else 1024
    resampler = av.AudioResampler(
        context.format.name, context.layout.name, context.sample_rate, frame_size=size
    )
    place = 0
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        piece.pts, piece.time_base = place, Fraction(1, context.sample_rate)
        place += piece.samples
        output.mux(track.encode(piece))
    output.mux(track.encode(None))

"""Takes steady noise out of a voice, for channels where it would drown the words."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# Speech this many decibels above what lies between the words needs no help, and help would harm.
NOISY_BELOW_DB = 11.0
FRAME_SECONDS = 0.02
PAUSE_SHARE = 0.15
SPEECH_SHARE = 0.001
BLOCK_SECONDS = 30
CONTEXT_SECONDS = 1
WINDOW, HOP = 512, 128
SMOOTHED_FRAMES = 9
# The quietest frames lie below the mean of the noise.
NOISE_BIAS = 1.5
MEMORY = 0.96
FLOOR = 0.15

Doubles = NDArray[np.float64]


def frame_powers(row: NDArray[np.int16], rate: int) -> NDArray[np.float32]:
    """Return the mean power of each fiftieth of a second."""
    step = round(FRAME_SECONDS * rate)
    frames = row[: len(row) // step * step].astype(np.float32).reshape(-1, step)
    return np.asarray(np.einsum("ij,ij->i", frames, frames) / step, dtype=np.float32)


def clearness(powers: NDArray[np.float32]) -> float:
    """Return how far speech lies above what is between the words, in decibels."""
    if not powers.size or not powers.max() > 0:
        return float("inf")
    speech = float(powers[powers > powers.max() * SPEECH_SHARE].mean(dtype=np.float64))
    pauses = float(np.quantile(powers, PAUSE_SHARE))
    return 10 * float(np.log10(speech / pauses)) if pauses > 0 else float("inf")


def quietened(row: NDArray[np.int16], rate: int) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """Yield the place and the cleaned samples of each block of one channel.

    A Wiener filter with decision-directed prior (Ephraim and Malah 1984) on the noise that the
    quietest frames of each block show; no band is weakened by more than `FLOOR`.
    """
    context, block = CONTEXT_SECONDS * rate, BLOCK_SECONDS * rate
    before = np.zeros(0, dtype=np.int16)
    for start in range(0, len(row), block):
        # The context before is kept aside, because the row may be written over meanwhile.
        piece = np.concatenate((before, row[start : start + block + context]))
        length = min(block, len(row) - start)
        before_length = len(before)
        before = np.array(row[max(0, start + block - context) : start + block])
        clean = _filtered(piece.astype(np.float64))[before_length : before_length + length]
        yield start, np.clip(np.rint(clean), -32_768, 32_767).astype(np.int16)


def _filtered(sound: Doubles) -> Doubles:
    window = np.hanning(WINDOW + 1)[:-1]
    padded = np.concatenate((np.zeros(WINDOW), sound, np.zeros(2 * WINDOW)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP] * window
    spectra = np.fft.rfft(frames, axis=1)
    spectra *= _gains(np.abs(spectra) ** 2)
    pieces = np.fft.irfft(spectra, WINDOW, axis=1) * window
    out, weight = np.zeros(len(padded)), np.zeros(len(padded))
    square = window**2
    for number, piece in enumerate(pieces):
        at = number * HOP
        out[at : at + WINDOW] += piece
        weight[at : at + WINDOW] += square
    clean: Doubles = (out / np.maximum(weight, 1e-3))[WINDOW : WINDOW + len(sound)]
    return clean


def _gains(power: Doubles) -> Doubles:
    sums = np.cumsum(np.vstack((np.zeros(power.shape[1]), power)), axis=0)
    smooth = (sums[SMOOTHED_FRAMES:] - sums[:-SMOOTHED_FRAMES]) / SMOOTHED_FRAMES
    spoken = smooth if len(smooth) else power
    noise = np.quantile(spoken, PAUSE_SHARE, axis=0) * NOISE_BIAS + 1e-9
    gains = np.empty_like(power)
    last = np.ones(power.shape[1])
    for number, after in enumerate(power / noise):
        prior = MEMORY * last + (1 - MEMORY) * np.maximum(after - 1, 0)
        gains[number] = np.maximum(FLOOR, prior / (1 + prior))
        last = gains[number] ** 2 * after
    return gains

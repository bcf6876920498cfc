"""Measures how loud the channels of a recording are, and whether they are two or one twice."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.speech.noise import NOISY_BELOW_DB, clearness, frame_powers

SCALE = 32_768.0
SILENCE_LEVEL = 0.001
# G.711 never goes above 0.98 of full scale, and a limiter rarely lets 1 in 1,000 samples there.
CLIPPED_LEVEL = 31_800
CLIPPED_SHARE = 0.001
# Two channels are twins when they move alike, at most this far apart in time and in level.
TWIN_LIKENESS = 0.9
TWIN_LAG_SECONDS = 0.1
TWIN_LEVEL = 0.01
TWIN_RATE = 2_000


@dataclass(frozen=True)
class Levels:
    """What one pass over the samples found; `flags` are keys of `decode.FLAGS`."""

    peaks: tuple[float, ...]
    silent_channels: tuple[int, ...]
    noisy_channels: tuple[int, ...]
    flags: tuple[str, ...]


def measure(blocks: Iterable[NDArray[np.int16]], *, channels: int, rate: int) -> Levels:
    """Measure a recording block by block; a block has a row a sample and a column a channel."""
    lowest = np.full(channels, 32_767, dtype=np.int64)
    highest = np.full(channels, -32_768, dtype=np.int64)
    clipped = np.zeros(channels, dtype=np.int64)
    twins = _Twins(rate)
    powers: list[list[NDArray[np.float32]]] = [[] for _ in range(channels)]
    total = 0
    for block in blocks:
        total += len(block)
        rows = np.ascontiguousarray(block.T)
        lowest = np.minimum(lowest, rows.min(axis=1))
        highest = np.maximum(highest, rows.max(axis=1))
        for channel, row in enumerate(rows):
            powers[channel].append(frame_powers(row, rate))
            if row.max() >= CLIPPED_LEVEL or row.min() <= -CLIPPED_LEVEL:
                over = (row >= CLIPPED_LEVEL) | (row <= -CLIPPED_LEVEL)
                clipped[channel] += np.count_nonzero(over)
        if channels == 2:  # noqa: PLR2004  one voice a channel
            twins.add(rows)
    # A constant offset is no sound, so the swing counts and not the level.
    silent = tuple(int(n) for n in np.flatnonzero(highest - lowest < 2 * SILENCE_LEVEL * SCALE))
    noisy = tuple(
        channel
        for channel, parts in enumerate(powers)
        if channel not in silent and clearness(np.concatenate(parts)) < NOISY_BELOW_DB
    )
    flags = ["noisy"] if noisy else []
    if silent:
        flags.append("silent" if len(silent) == channels else "silent_channel")
    if (clipped > CLIPPED_SHARE * total).any():
        flags.append("clipped")
    if not silent and twins.found:
        flags.append("dual_mono")
    peaks = np.maximum(highest, -lowest) / SCALE
    return Levels(tuple(float(peak) for peak in peaks), silent, noisy, tuple(flags))


class _Twins:
    """Correlates two channels, also where one of them comes later or is weaker."""

    def __init__(self, rate: int) -> None:
        self._step = rate // TWIN_RATE
        self._energy = np.zeros(2)
        self._cross: NDArray[np.float64] = np.zeros(2 * round(TWIN_LAG_SECONDS * TWIN_RATE) + 1)

    def add(self, rows: NDArray[np.int16]) -> None:
        """Take the next block, a row a channel, thinned to where voices mostly are: below 1 kHz."""
        whole = rows.shape[1] // self._step
        cells = rows[:, : whole * self._step].reshape(2, whole, self._step)
        thin = np.zeros((2, whole), dtype=np.float32)
        for at in range(self._step):
            thin += cells[:, :, at]
        thin -= thin.mean(axis=1, keepdims=True) if whole else 0.0
        self._energy += np.einsum("ij,ij->i", thin, thin, dtype=np.float64)
        size = 1 << (2 * whole).bit_length()
        first, second = np.fft.rfft(thin, size)
        cross = np.fft.irfft(first * np.conj(second), size)
        lag = len(self._cross) // 2
        if size > 2 * lag:
            self._cross += np.concatenate((cross[-lag:], cross[: lag + 1]))

    @property
    def found(self) -> bool:
        """Tell whether one channel repeats the other."""
        weaker, stronger = sorted(self._energy)
        if weaker <= TWIN_LEVEL * stronger:
            return False
        return bool(np.abs(self._cross).max() > TWIN_LIKENESS * np.sqrt(weaker * stronger))

"""Measures how loud the channels of a recording are, and whether they are two or one twice."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    flags: tuple[str, ...]


def measure(blocks: Iterable[NDArray[np.int16]], *, channels: int, rate: int) -> Levels:
    """Measure a recording block by block; a block has a row a sample and a column a channel."""
    lowest = np.full(channels, 32_767, dtype=np.int64)
    highest = np.full(channels, -32_768, dtype=np.int64)
    clipped = np.zeros(channels, dtype=np.int64)
    twins = _Twins(rate)
    total = 0
    for block in blocks:
        total += len(block)
        lowest = np.minimum(lowest, block.min(axis=0))
        highest = np.maximum(highest, block.max(axis=0))
        clipped += ((block >= CLIPPED_LEVEL) | (block <= -CLIPPED_LEVEL)).sum(axis=0)
        if channels == 2:  # noqa: PLR2004  one voice a channel
            twins.add(block)
    # A constant offset is no sound, so the swing counts and not the level.
    silent = tuple(int(n) for n in np.flatnonzero(highest - lowest < 2 * SILENCE_LEVEL * SCALE))
    flags = []
    if silent:
        flags.append("silent" if len(silent) == channels else "silent_channel")
    if (clipped > CLIPPED_SHARE * total).any():
        flags.append("clipped")
    if not silent and twins.found:
        flags.append("dual_mono")
    peaks = np.maximum(highest, -lowest) / SCALE
    return Levels(tuple(float(peak) for peak in peaks), silent, tuple(flags))


class _Twins:
    """Correlates two channels, also where one of them comes later or is weaker."""

    def __init__(self, rate: int) -> None:
        self._step = rate // TWIN_RATE
        self._energy = np.zeros(2)
        self._cross: NDArray[np.float64] = np.zeros(2 * round(TWIN_LAG_SECONDS * TWIN_RATE) + 1)

    def add(self, block: NDArray[np.int16]) -> None:
        """Take the next block, thinned to what voices mostly are: below 1 kHz."""
        whole = len(block) // self._step
        thin = block[: whole * self._step].reshape(whole, self._step, 2).mean(axis=1)
        thin -= thin.mean(axis=0) if whole else 0.0
        self._energy += np.einsum("ij,ij->j", thin, thin)
        size = 1 << (2 * whole).bit_length()
        first, second = (np.fft.rfft(thin[:, at], size) for at in (0, 1))
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

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from rules.field import Field

DIGEST: str

class Zone(IntEnum):
    BEFORE = ...
    INSIDE = ...
    AFTER = ...
    LATER = ...
    TURN_ROUND = ...

class Glance:
    def __init__(
        self,
        zones: NDArray[np.int32],
        rows: NDArray[np.uint16],
        first: NDArray[np.int32],
        signs: NDArray[np.int32],
        keyed: NDArray[np.int32],
        bits: NDArray[np.uint32],
        starts: NDArray[np.int32],
        needs: NDArray[np.int32],
        seen: NDArray[np.int64],
    ) -> None: ...
    def tells(self, field: Field, start: int, end: int, wanted: int) -> int: ...

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rules.field import Field
from rules.walk import Walk

DIGEST: str
MAX_SEEDS: int
STRETCH: int
SLIPS: int

class Trait(IntEnum):
    SOUNDS = ...
    COUNTS = ...
    STRONG = ...

class Machine:
    def __init__(
        self,
        sown: Any,
        needs: Any,
        program: Any,
        triggers: NDArray[np.int32],
        leads: NDArray[np.int32],
        limits: NDArray[np.int8],
    ) -> None: ...

class Trail(Walk):
    conditions: Mapping[int, list[tuple[int, int]]]
    def __init__(self, machine: Machine, field: Field) -> None: ...

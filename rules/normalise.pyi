from array import array

import numpy as np
from numpy.typing import NDArray

from rules.tables import Table

DIGEST: str
SOFT: str
HARD: str
TURN: str
BREAKS: str
SEGMENT_JOINT: str
TURN_JOINT: str
FILLERS: tuple[str, ...]

normal_forms: Table[NDArray[np.uint16]]

def normalise(raw: str) -> tuple[str, array[int], array[int]]: ...
def plain(text: str) -> str: ...

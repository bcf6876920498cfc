import numpy as np
from numpy.typing import NDArray

DIGEST: str
FAMILIES: int
LEAST: int
MOST: int
ONE: int

def features(text: str, codes: str, start: int, end: int) -> list[tuple[int, int, int]]: ...

class Tally:
    families: int
    def __init__(
        self, keys: NDArray[np.uint32], rarities: NDArray[np.uint8], rows: NDArray[np.int8]
    ) -> None: ...
    def margins(
        self, text: str, codes: str, start: int, end: int, biases: NDArray[np.int32]
    ) -> list[int] | None: ...
    def beyond(
        self,
        text: str,
        codes: str,
        stretches: list[tuple[int, int]],
        biases: NDArray[np.int32],
        floors: NDArray[np.int32],
    ) -> list[tuple[int, int, int]]: ...

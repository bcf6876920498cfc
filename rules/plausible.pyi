from collections.abc import Iterable, KeysView

DIGEST: str
SHORT: int
NEAR: float
WRONG: float
REPAIRABLE: int
STRETCHABLE: int
LONG: int
EVERYDAY: frozenset[str]
ALONE: frozenset[str]
HELD: int
AROUND: int

class Sounds:
    def __init__(self, words: Iterable[str]) -> None: ...
    @property
    def codes(self) -> KeysView[str]: ...
    def likeliest(self, heard: str) -> tuple[int, int, str] | None: ...

def limit(length: int, together: int, syllables: int) -> float: ...
def allowed(syllables: int, off: int, *, strong: bool) -> float: ...

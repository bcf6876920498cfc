from collections.abc import KeysView

from rules.compile import Compiled
from rules.field import Field
from rules.trail import Machine, Trail

DIGEST: str
MAX_HITS: int

class Match:
    pattern: Compiled
    start: int
    end: int
    words: tuple[tuple[int, int, str], ...]
    cost: float
    exact: bool
    quote: str
    def __init__(
        self,
        pattern: Compiled,
        start: int,
        end: int,
        words: tuple[tuple[int, int, str], ...],
        cost: float,
        exact: bool,
        quote: str,
    ) -> None: ...
    @property
    def syllables(self) -> int: ...

class Scan(Trail):
    def __init__(self, machine: Machine, patterns: tuple[Compiled, ...], field: Field) -> None: ...
    @property
    def set_off(self) -> KeysView[int]: ...
    def matches(self, condition: int) -> list[Match]: ...

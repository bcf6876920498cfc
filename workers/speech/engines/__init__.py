"""The speech engines, found by name: each is one module beside this one, loaded when asked for.

An engine is a module whose `load(model, *, cache_dir, threads, batch_s)` returns an `Engine`; its
file name, with hyphens for underscores, is the engine's name.
"""

import threading
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from workers.speech.engines.protocol import (
    LANGUAGE,
    PROMPT,
    Engine,
    EngineOptions,
    Heard,
    UnknownEngineError,
    Word,
)

__all__ = [
    "LANGUAGE",
    "PROMPT",
    "Engine",
    "EngineOptions",
    "Heard",
    "UnknownEngineError",
    "Word",
    "engine_names",
    "get_engine",
]

_loading = threading.Lock()


@lru_cache(maxsize=1)
def engine_names() -> tuple[str, ...]:
    """Return the names that `get_engine` takes, in alphabetical order."""
    modules = {module.name for module in iter_modules(__path__)} - {"protocol"}
    return tuple(sorted(name.replace("_", "-") for name in modules))


def get_engine(
    name: str,
    *,
    model: str = "",
    options: EngineOptions | None = None,
    cache_dir: Path | None = None,
    threads: int = 1,
    batch_s: float = 0.0,
) -> Engine:
    """Return the engine, loaded once a process; several threads may use it and share its batches.

    `batch_s` is how much sound is read at once (seconds); 0 leaves it to the engine. Raises
    `UnknownEngineError` or `weights.WeightsError`.
    """
    with _loading:
        loaded = _loaded(name, model, cache_dir, threads, batch_s)
    return loaded.with_options(options or EngineOptions())


@lru_cache(maxsize=4)
def _loaded(name: str, model: str, cache_dir: Path | None, threads: int, batch_s: float) -> Engine:
    if name not in engine_names():
        raise UnknownEngineError("engine must be one of " + ", ".join(engine_names()))
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    engine: Engine = module.load(model, cache_dir=cache_dir, threads=threads, batch_s=batch_s)
    return engine

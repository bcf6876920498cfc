"""The pure engine: events and a pack in, verdicts out."""

try:
    import rules.trail  # noqa: F401  without it nothing else here can be imported
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("rules."):
        raise
    raise ImportError(
        f"{error.name} is not compiled for this Python: run `make venv` in this working tree"
    ) from error

from rules.engine import evaluate, explain, gated_utterances
from rules.pack import parse
from rules.parameters import resolve as resolve_parameters
from rules.rule import Pack, PackError, ParameterError, Problem
from rules.selftest import Failure, selftest

__all__ = [
    "Failure",
    "Pack",
    "PackError",
    "ParameterError",
    "Problem",
    "evaluate",
    "explain",
    "gated_utterances",
    "parse",
    "resolve_parameters",
    "selftest",
]

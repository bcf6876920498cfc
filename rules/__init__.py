"""The pure engine: events and a pack in, verdicts out."""

try:
    import rules.machine  # noqa: F401  without it nothing else here can be imported
except ModuleNotFoundError as error:
    if error.name != "rules.machine":
        raise
    raise ImportError(
        "rules/machine.pyx is not compiled for this Python: run `make venv`, "
        "or `python setup.py build_ext --inplace` in a working tree of its own"
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

"""The pure engine: events and a pack in, verdicts out."""

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

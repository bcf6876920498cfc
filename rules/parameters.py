"""Tenant values for the parameters of rules: typed, and inside the bounds that the rule sets."""

import re
from collections.abc import Mapping
from typing import Any

from rules.rule import Pack, Parameter, ParameterError, Rule

Overrides = Mapping[str, Mapping[str, object]]
_CLOCK = re.compile("^(?:[01][0-9]|2[0-4]):[0-5][0-9]$")


def resolve(pack: Pack, overrides: Overrides | None) -> dict[str, dict[str, Any]]:
    """Values of all parameters, by rule id; one that follows another takes that one's value.

    Raises `ParameterError` for an unknown rule or parameter, a wrong type, a value out of bounds.
    """
    known = {rule.id for rule in pack.rules}
    for rule_id in overrides or {}:
        if rule_id not in known:
            raise ParameterError(rule_id, "*", "no rule has this id")
    given = overrides or {}
    values = {rule.id: _of_rule(rule, given.get(rule.id, {})) for rule in pack.rules}
    for rule in pack.rules:
        for parameter in rule.parameters:
            if parameter.follows and parameter.name not in given.get(rule.id, {}):
                other, name = parameter.follows
                values[rule.id][parameter.name] = values[other][name]
    return values


def _of_rule(rule: Rule, given: Mapping[str, object]) -> dict[str, Any]:
    known = {parameter.name: parameter for parameter in rule.parameters}
    for name in given:
        if name not in known:
            raise ParameterError(rule.id, name, "the rule has no such parameter")
    return {
        name: _checked(rule.id, parameter, given[name]) if name in given else parameter.default
        for name, parameter in known.items()
    }


def _checked(rule: str, parameter: Parameter, value: object) -> object:
    default = parameter.default
    same = type(value) is type(default) or (
        isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool)
    )
    if not same:
        raise ParameterError(
            rule, parameter.name, f"must be of the kind of its default, {default!r}"
        )
    if isinstance(default, str) and _CLOCK.match(default) and not _CLOCK.match(str(value)):
        raise ParameterError(rule, parameter.name, "must be a clock, for example 22:00")
    if isinstance(value, list) and not all(isinstance(member, str) for member in value):
        raise ParameterError(rule, parameter.name, "must be a list of texts")
    if parameter.choices and value not in parameter.choices:
        raise ParameterError(rule, parameter.name, f"must be one of {', '.join(parameter.choices)}")
    low, high = parameter.minimum, parameter.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = f"{low if low is not None else 'any'} to {high if high is not None else 'any'}"
        raise ParameterError(rule, parameter.name, f"{value!r} is outside its bounds, {bounds}")
    return value

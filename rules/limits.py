"""Read the parameters of rules: their defaults, their bounds, and what they follow."""

from rules.draft import BASES, RULE_ID, Draft, only, title_of
from rules.rule import Parameter, Problem
from rules.sheet import Value

_PARAMETER_KEYS = {"default", "min", "max", "choices", "label", "basis", "unit", "follows"}


def read_parameters(value: Value | None, draft: Draft) -> tuple[Parameter, ...]:
    """The parameters of a rule."""
    if value is None or value.data is None:
        return ()
    if not isinstance(value.data, dict):
        draft.problems.append(value.problem("parameters must be a mapping"))
        return ()
    found = []
    for name, member in value.data.items():
        if not isinstance(member.data, dict) or "default" not in member.data:
            draft.problems.append(member.problem(f"parameter {name!r} needs a default"))
            continue
        only(member, _PARAMETER_KEYS, draft)
        data = member.plain()
        parameter = Parameter(
            name,
            data["default"],
            data.get("min"),
            data.get("max"),
            tuple(data.get("choices") or ()),
            title_of(member, "label", draft),
            str(data.get("basis", "policy")),
            _followed(member.data.get("follows"), draft),
        )
        if parameter.basis not in BASES:
            draft.problems.append(
                member.problem(f"basis must be one of: {', '.join(sorted(BASES))}")
            )
        found.append(parameter)
    return tuple(found)


def _followed(value: Value | None, draft: Draft) -> tuple[str, str] | None:
    if value is None:
        return None
    rule, dot, name = str(value.data).partition(".")
    if not (dot and name and RULE_ID.match(rule)):
        draft.problems.append(value.problem("follows names a rule and a parameter: FRQ-01.limit"))
        return None
    return rule, name


def check_followed(draft: Draft) -> None:
    """What a parameter follows must be there, of the same kind and with the same bounds."""
    known = {(rule.id, p.name): p for rule in draft.rules for p in rule.parameters}
    for rule in draft.rules:
        for own in rule.parameters:
            if own.follows is None:
                continue
            other = known.get(own.follows)
            same = other is not None and (own.default, own.minimum, own.maximum) == (
                other.default,
                other.minimum,
                other.maximum,
            )
            if not same or (other is not None and other.follows is not None):
                name = ".".join(own.follows)
                message = (
                    f"{rule.id}.{own.name} cannot follow {name}: there is no such parameter, or "
                    "it has another default or other bounds, or follows one itself"
                )
                draft.problems.append(Problem(rule.file, rule.line, 1, message))

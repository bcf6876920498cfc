"""Every test in every rule of the shipped pack."""

import pytest

from rules.selftest import check, entries
from tests.rules.small_pack import collection


@pytest.mark.parametrize("rule_id", sorted({rule.id for rule in collection().rules}))
def test_a_rule_does_what_its_tests_say(rule_id: str) -> None:
    pack = collection()

    failures = [
        f"{kind}[{number}] {message}: {entry}"
        for rule in pack.rules
        if rule.id == rule_id
        for kind, number, entry, fires in entries(rule)
        if (message := check(pack, rule, entry, fires=fires)) is not None
    ]

    assert failures == []


def test_no_rule_cites_what_is_not_verified() -> None:
    pack = collection()

    labels = {pack.articles[article].label for rule in pack.rules for article in rule.articles}

    assert "U" not in labels


def test_no_default_is_looser_than_law_or_guideline_lets_a_tenant_be() -> None:
    """What a source sets stands at its bound: a tenant can move it to the strict side alone."""
    free = [
        (rule.id, parameter.name)
        for rule in collection().rules
        for parameter in rule.parameters
        if parameter.basis in {"law", "guideline"}
        and parameter.default not in (parameter.minimum, parameter.maximum)
    ]
    open_ended = [
        (rule.id, parameter.name)
        for rule in collection().rules
        for parameter in rule.parameters
        if type(parameter.default) in (int, float)
        and None in (parameter.minimum, parameter.maximum)
    ]

    assert free == []
    assert open_ended == []

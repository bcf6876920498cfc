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

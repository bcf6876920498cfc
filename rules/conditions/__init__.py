"""The fact conditions that packs may name: `facts: <name>` calls `FACTS[name]`."""

from rules.context import FactCondition

FACTS: dict[str, FactCondition] = {}

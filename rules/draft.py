"""What has been read of a pack so far, and the small parts that all its files share."""

import re
from dataclasses import dataclass, field
from datetime import date

from rules.grammar import Words
from rules.rule import Article, NotChecked, Problem, Rule, Title, WordsCondition
from rules.sheet import Value

BASES = {"law", "guideline", "policy"}
RULE_ID = re.compile("^[A-Z]{3}-[0-9]{2}[a-z]?$")


@dataclass
class Draft:
    """What has been read so far."""

    problems: list[Problem] = field(default_factory=list)
    lexicon: dict[str, Words] = field(default_factory=dict)
    articles: dict[str, Article] = field(default_factory=dict)
    families: dict[str, Title] = field(default_factory=dict)
    cues: dict[str, WordsCondition] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    not_checked: list[NotChecked] = field(default_factory=list)


def only(value: Value, allowed: set[str], draft: Draft) -> None:
    """Note the keys of a mapping that do not belong."""
    for key, member in value.data.items():
        if key not in allowed:
            draft.problems.append(
                member.problem(
                    f"unknown key {key!r}; expected one of: {', '.join(sorted(allowed))}"
                )
            )


def title_of(value: Value, key: str, draft: Draft) -> Title:
    """A text in both languages; a problem is noted where one is missing."""
    member = value.data.get(key)
    data = member.plain() if member else None
    if (
        isinstance(data, dict)
        and set(data) == {"zh", "en"}
        and all(isinstance(t, str) and t for t in data.values())
    ):
        return Title(data["zh"], data["en"])
    draft.problems.append((member or value).problem(f"{key} must be a mapping of zh and en"))
    return Title("", "")


def day_of(value: Value | None, draft: Draft) -> date | None:
    """A date, or None where there is none or, with a problem noted, it cannot be read."""
    if value is None or value.data is None:
        return None
    try:
        return date.fromisoformat(str(value.data))
    except ValueError:
        draft.problems.append(value.problem("must be a date, for example 2026-01-01"))
        return None

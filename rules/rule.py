"""Packs, rules and conditions as values; docs/packs.md says what each of them means."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from rules.document import Voice
from rules.match import Matcher
from rules.model import Disposition, Severity
from rules.reader import Reader
from rules.unless import Unless


@dataclass(frozen=True, slots=True)
class Title:
    """A text in both languages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Within:
    """How far apart two steps may be: in turns of either side (0: one turn), or in seconds."""

    turns: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One pattern of a `words` condition, with what it overrides."""

    say: str
    unless: tuple[int, ...] = ()
    disposition: Disposition | None = None
    severity: Severity | None = None
    confidence: float = 1.0
    guards: frozenset[str] = frozenset()
    parties: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class WordsCondition:
    """A match of any of these patterns in the words of a voice; `key` names it in the matchers."""

    key: int
    voice: Voice
    entries: tuple[Entry, ...]
    turns: int | None = None


@dataclass(frozen=True, slots=True)
class CueCondition:
    """A named `words` condition."""

    name: str


@dataclass(frozen=True, slots=True)
class AnyCondition:
    """Any of the parts."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AllCondition:
    """All of the parts, the first carrying the finding; `scope` None: anywhere in the contact."""

    parts: tuple["Condition", ...]
    scope: Within | None = None


@dataclass(frozen=True, slots=True)
class NotCondition:
    """The part does not hold."""

    part: "Condition"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a sequence; a negative one must not come in between."""

    part: "Condition"
    within: Within | None = None
    negative: bool = False


@dataclass(frozen=True, slots=True)
class SequenceCondition:
    """Steps that follow one another; `carrier` counts the positive and negative steps from 0."""

    steps: tuple[Step, ...]
    carrier: int


@dataclass(frozen=True, slots=True)
class RepeatedCondition:
    """The part holds at least `times` times."""

    part: "Condition"
    times: int
    within: Within | None = None


@dataclass(frozen=True, slots=True)
class AbsentCondition:
    """Nothing matches in the first turns of a voice, or in the whole contact."""

    part: WordsCondition
    name: Title


@dataclass(frozen=True, slots=True)
class FactsCondition:
    """A function over the facts of the case."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class FindingsCondition:
    """Other rules of these families have found something; the whole `when` of its rule."""

    families: tuple[str, ...]


Condition = (
    WordsCondition
    | CueCondition
    | AnyCondition
    | AllCondition
    | NotCondition
    | SequenceCondition
    | RepeatedCondition
    | AbsentCondition
    | FactsCondition
    | FindingsCondition
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that a tenant may set within bounds."""

    name: str
    default: Any
    minimum: Any = None
    maximum: Any = None
    choices: tuple[str, ...] = ()
    label: Title = Title("", "")
    basis: str = "policy"
    follows: tuple[str, str] | None = None
    """Rule and parameter whose value it takes where the tenant gives it none of its own."""


@dataclass(frozen=True, slots=True)
class Tests:
    """The tests in a rule, as written."""

    hits: tuple[Any, ...] = ()
    misses: tuple[Any, ...] = ()
    heard: tuple[Any, ...] = ()
    boundary_hits: tuple[Any, ...] = ()
    boundary_misses: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Binding:
    """Whom an article binds; None stands for any, `unknown` for what the case does not say."""

    product: str | None = None
    lender_type: str | None = None


@dataclass(frozen=True, slots=True)
class Article:
    """A clause that findings cite; without `binds` it binds every lender and product."""

    id: str
    instrument: Title
    article: str
    text: str
    label: str
    source: str
    effective_from: date | None
    effective_to: date | None
    published_as: str | None
    binds: tuple[Binding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a pack."""

    id: str
    family: str
    title: Title
    severity: Severity
    disposition: Disposition
    articles: tuple[str, ...]
    basis: str
    voice: Voice
    channels: frozenset[str]
    parties: frozenset[str]
    modes: frozenset[str]
    directions: frozenset[str]
    outcomes: frozenset[str]
    effective_from: date | None
    effective_to: date | None
    parameters: tuple[Parameter, ...]
    when: Condition
    why: Title
    coverage: str
    tests: Tests
    file: str
    line: int
    first_channel: str = "call"
    first_party: str = "debtor"

    def binds(self, day: date) -> bool:
        """Whether the rule is in force on that day."""
        return (self.effective_from is None or self.effective_from <= day) and (
            self.effective_to is None or day <= self.effective_to
        )


@dataclass(frozen=True, slots=True)
class NotChecked:
    """What the law asks and the data received cannot show: `needs_data` or `out_of_scope`."""

    id: str
    title: Title
    articles: tuple[str, ...]
    status: str
    data: Title


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault of a pack: lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class PackError(ValueError):
    """The pack has problems; all of them are in `problems`."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class ParameterError(ValueError):
    """A tenant's value is not allowed: names the rule and the parameter."""

    def __init__(self, rule: str, parameter: str, message: str) -> None:
        super().__init__(f"{rule}.{parameter}: {message}")
        self.rule, self.parameter, self.message = rule, parameter, message


@dataclass(frozen=True, slots=True)
class Pack:
    """A parsed pack, ready to be evaluated."""

    name: str
    version: str
    digest: str
    title: Title
    rules: tuple[Rule, ...]
    articles: Mapping[str, Article]
    families: Mapping[str, Title]
    cues: Mapping[str, WordsCondition]
    conditions: Mapping[int, WordsCondition]
    matchers: Mapping[Voice, Matcher]
    unless: Unless
    idioms: Any
    untrusted_limit: float = 0.4
    not_checked: tuple[NotChecked, ...] = ()
    reader: Reader | None = None
    memory: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What follows from the pack alone and is worked out when it is first asked for."""

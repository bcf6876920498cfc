"""Read conditions: what a rule's `when`, a cue or a step of a sequence says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rules.compile import Compiled, Style
from rules.conditions import FACTS
from rules.document import Voice
from rules.events import PartyRole
from rules.grammar import Item, PatternError, Words, parse_pattern
from rules.guards import GUARDS, OPTIONAL, SOFTENING
from rules.model import Disposition, Severity
from rules.rule import (
    AbsentCondition,
    AllCondition,
    AnyCondition,
    Condition,
    CueCondition,
    Entry,
    FactsCondition,
    FindingsCondition,
    NotCondition,
    Problem,
    RepeatedCondition,
    SequenceCondition,
    Step,
    Title,
    Within,
    WordsCondition,
)
from rules.sheet import Value

OPERATORS = (
    "words",
    "cue",
    "any",
    "all",
    "not",
    "sequence",
    "repeated",
    "absent",
    "facts",
    "findings",
)
_NAMES = (*GUARDS, *SOFTENING)
ALL_GUARDS = frozenset(_NAMES)
LOG_GUARDS = frozenset({"negated", "idiom"})
_WORDS_KEYS = {
    "words",
    "unless",
    "speaker",
    "phonetic",
    "turns",
    "guards",
    "parties",
    "disposition",
    "within",
}
_ENTRY_KEYS = {
    "say",
    "unless",
    "phonetic",
    "disposition",
    "severity",
    "confidence",
    "untried",
    "guards",
    "parties",
}
_KEYS = {
    "words": _WORDS_KEYS,
    "cue": {"cue", "within"},
    "any": {"any", "within"},
    "all": {"all", "scope", "within"},
    "not": {"not", "within"},
    "sequence": {"sequence", "carrier", "within"},
    "repeated": {"repeated", "within"},
    "absent": {"absent", "name", "within"},
    "facts": {"facts", "with", "within"},
    "findings": {"findings"},
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What a condition inherits from its rule or cue."""

    voice: Voice
    guards: frozenset[str]
    lenient: bool = False


def default_guards(voice: Voice) -> frozenset[str]:
    """The guards that are on for the words of a voice."""
    if voice is Voice.COLLECTOR:
        return ALL_GUARDS - OPTIONAL
    return LOG_GUARDS if voice is Voice.LOG else frozenset()


@dataclass
class Reader:
    """Reads conditions and collects the patterns in them."""

    lexicon: Mapping[str, Words]
    cues: frozenset[str]
    problems: list[Problem]
    patterns: dict[Voice, list[Compiled]] = field(
        default_factory=lambda: {voice: [] for voice in Voice}
    )
    unless: dict[int, tuple[Compiled, ...]] = field(default_factory=dict)
    conditions: dict[int, WordsCondition] = field(default_factory=dict)
    _unless_keys: dict[tuple[str, ...], int] = field(default_factory=dict)
    _depth: int = 0

    def bad(self, value: Value, message: str) -> None:
        """Note a problem at a value."""
        self.problems.append(value.problem(message))

    def condition(self, value: Value, setting: Setting) -> Condition | None:
        """Read one condition; None with problems noted where it cannot be read."""
        if not isinstance(value.data, dict):
            self.bad(value, "a condition must be a mapping")
            return None
        found = [name for name in OPERATORS if name in value.data]
        if len(found) != 1:
            self.bad(value, f"a condition needs exactly one of: {', '.join(OPERATORS)}")
            return None
        self.only(value, _KEYS[found[0]])
        if "findings" in value.data and self._depth:
            self.bad(value, "findings may only be the whole condition of a rule")
        read = {
            "words": self.words,
            "cue": self.cue,
            "any": self.any_of,
            "all": self.all_of,
            "not": self.negation,
            "sequence": self.sequence,
            "repeated": self.repeated,
            "absent": self.absent,
            "facts": self.facts,
            "findings": self.findings,
        }
        self._depth += 1
        condition: Condition | None = read[found[0]](value, setting)
        self._depth -= 1
        return condition

    def only(self, value: Value, allowed: set[str]) -> None:
        """Note the keys that do not belong."""
        for key, member in value.data.items():
            if key not in allowed:
                self.bad(
                    member, f"unknown key {key!r}; expected one of: {', '.join(sorted(allowed))}"
                )

    def guards(self, value: Value | None, base: frozenset[str]) -> frozenset[str]:
        """Apply `{off: […], add: […]}` to a set of guards."""
        if value is None:
            return base
        if not isinstance(value.data, dict):
            self.bad(value, "guards must be a mapping of off and add")
            return base
        self.only(value, {"off", "add"})
        for key in ("off", "add"):
            member = value.data.get(key)
            names: set[str] = set()
            for name in member.items() if member else ():
                if name.data == "all":
                    names |= ALL_GUARDS
                elif name.data in ALL_GUARDS:
                    names.add(name.data)
                else:
                    self.bad(
                        name, f"no guard is called {name.data!r}; there are: {', '.join(_NAMES)}"
                    )
            base = base - names if key == "off" else base | names
        return base

    def choice(self, value: Value | None, kind: type[Any]) -> Any:
        """Read one value of an enumeration."""
        if value is None:
            return None
        try:
            return kind(value.data)
        except ValueError:
            self.bad(value, f"must be one of: {', '.join(member.value for member in kind)}")
            return None

    def voice(self, value: Value | None, default: Voice) -> Voice:
        """Read `speaker`."""
        return self.choice(value, Voice) or default

    def words(self, value: Value, setting: Setting) -> WordsCondition | None:
        """Read a `words` condition and keep its patterns for the matcher of its voice."""
        data = value.data
        voice = self.voice(data.get("speaker"), setting.voice)
        base = (
            setting.guards if voice is setting.voice or setting.lenient else default_guards(voice)
        )
        guards = self.guards(data.get("guards"), base)
        phonetic = (
            data["phonetic"].data if "phonetic" in data else ("strong" if setting.lenient else True)
        )
        parties = self.parties(data.get("parties"))
        turns = self.count(data.get("turns"))
        standing = self.choice(data.get("disposition"), Disposition)
        key = len(self.conditions)
        shared = self.unless_key(data.get("unless"))
        entries: list[Entry] = []
        for member in data["words"].items():
            entry = self.entry(member, guards, parties, shared)
            if entry is None:
                continue
            if entry.disposition is None and standing is not None:
                entry = replace(entry, disposition=standing)
            own = member.data.get("phonetic") if isinstance(member.data, dict) else None
            style = self.style(own or member, own.data if own else phonetic)
            self.keep(member, entry.say, Compiled(key, len(entries), (), style), voice)
            entries.append(entry)
        condition = WordsCondition(key, voice, tuple(entries), turns)
        self.conditions[key] = condition
        return condition if entries else None

    def style(self, value: Value, phonetic: Any) -> Style:
        """Read `phonetic`."""
        if phonetic not in (True, False, "strong"):
            self.bad(value, "phonetic must be true, false or strong")
        return Style(phonetic=phonetic is not False, strong=phonetic == "strong")

    def keep(self, value: Value, say: str, draft: Compiled, voice: Voice) -> None:
        """Compile the alternatives of a pattern."""
        try:
            alternatives = parse_pattern(say, self.lexicon)
        except PatternError as error:
            self.bad(value, f"in pattern {say!r} at character {error.column + 1}: {error}")
            return
        self.patterns[voice] += [
            Compiled(draft.condition, draft.entry, items, draft.style)
            for items in _distinct(alternatives)
        ]

    def entry(
        self, value: Value, guards: frozenset[str], parties: frozenset[str], shared: int | None
    ) -> Entry | None:
        """Read one pattern with its overrides."""
        unless = () if shared is None else (shared,)
        if not isinstance(value.data, dict):
            return Entry(str(value.data), unless, guards=guards, parties=parties)
        self.only(value, _ENTRY_KEYS)
        data = value.data
        if "say" not in data:
            self.bad(value, "a pattern with overrides needs 'say'")
            return None
        own = self.unless_key(data.get("unless"))
        confidence = data["confidence"].data if "confidence" in data else 1.0
        if not isinstance(confidence, int | float) or not 0 < confidence <= 1:
            self.bad(data["confidence"], "confidence must lie in (0, 1]")
            confidence = 1.0
        disposition = self.choice(data.get("disposition"), Disposition)
        if "untried" in data:  # no labelled contact has shown it yet
            guards, disposition = guards | {"untried"}, disposition or Disposition.REVIEW
        return Entry(
            str(data["say"].data),
            unless if own is None else (*unless, own),
            disposition,
            self.choice(data.get("severity"), Severity),
            float(confidence),
            self.guards(data.get("guards"), guards),
            self.parties(data.get("parties")) or parties,
        )

    def unless_key(self, value: Value | None) -> int | None:
        """Compile a list of cancelling patterns, once for each distinct list."""
        if value is None:
            return None
        texts = tuple(str(member.data) for member in value.items())
        if texts not in self._unless_keys:
            found: list[Compiled] = []
            for member in value.items():
                try:
                    alternatives = parse_pattern(str(member.data), self.lexicon)
                except PatternError as error:
                    self.bad(
                        member,
                        f"in pattern {member.data!r} at character {error.column + 1}: {error}",
                    )
                    continue
                found += [Compiled(-1, 0, items) for items in alternatives]
            self._unless_keys[texts] = len(self._unless_keys)
            self.unless[self._unless_keys[texts]] = tuple(found)
        return self._unless_keys[texts]

    def parties(self, value: Value | None) -> frozenset[str]:
        """Read a list of party roles."""
        roles = [self.choice(member, PartyRole) for member in value.items()] if value else []
        return frozenset(role.value for role in roles if role)

    def count(self, value: Value | None) -> int | None:
        """Read a whole number above zero."""
        if value is None:
            return None
        if type(value.data) is not int or value.data < 1:
            self.bad(value, "must be a whole number above 0")
            return None
        return value.data

    def within(self, value: Value | None) -> Within | None:
        """Read `within` or `scope`."""
        if value is None or value.data == "contact":
            return None
        if value.data == "turn":
            return Within(turns=0)
        if isinstance(value.data, dict) and len(value.data) == 1:
            ((name, member),) = value.data.items()
            if name == "turns" and type(member.data) is int and member.data >= 0:
                return Within(turns=member.data)
            if name == "seconds" and isinstance(member.data, int | float) and member.data >= 0:
                return Within(seconds=float(member.data))
        self.bad(value, "must be turn, {turns: n} or {seconds: n}")
        return None

    def cue(self, value: Value, _setting: Setting) -> CueCondition | None:
        """Read a reference to a cue."""
        name = value.data["cue"].data
        if name not in self.cues:
            self.bad(value.data["cue"], f"no cue is called {name!r}")
            return None
        return CueCondition(name)

    def parts(self, value: Value, setting: Setting) -> tuple[Condition, ...]:
        """Read a list of conditions."""
        if not isinstance(value.data, list) or not value.data:
            self.bad(value, "must be a list of conditions")
            return ()
        found = [self.condition(member, setting) for member in value.data]
        return tuple(part for part in found if part is not None)

    def any_of(self, value: Value, setting: Setting) -> AnyCondition:
        """Read `any`."""
        return AnyCondition(self.parts(value.data["any"], setting))

    def all_of(self, value: Value, setting: Setting) -> AllCondition | None:
        """Read `all`."""
        parts = self.parts(value.data["all"], setting)
        if parts and isinstance(parts[0], NotCondition):
            self.bad(
                value.data["all"], "the first part of all carries the finding and may not be a not"
            )
        return AllCondition(parts, self.within(value.data.get("scope"))) if parts else None

    def negation(self, value: Value, setting: Setting) -> NotCondition | None:
        """Read `not`."""
        part = self.condition(value.data["not"], setting)
        return NotCondition(part) if part else None

    def sequence(self, value: Value, setting: Setting) -> SequenceCondition | None:
        """Read `sequence`: its steps, and which of them carries the finding."""
        steps: list[Step] = []
        body = value.data["sequence"]
        for member in body.items():
            part = self.condition(member, setting)
            if part is None:
                continue
            within = self.within(member.data.get("within"))
            if isinstance(part, NotCondition):
                steps.append(Step(part.part, within, negative=True))
            else:
                steps.append(Step(part, within))
        positive = [n for n, step in enumerate(steps) if not step.negative]
        if not positive or len(steps) < 2:  # noqa: PLR2004
            self.bad(body, "a sequence needs two steps, one of them not negative")
            return None
        carrier = self.count(value.data.get("carrier"))
        if carrier is not None and carrier - 1 not in positive:
            self.bad(
                value.data["carrier"], "carrier must be the number of a step that is not negative"
            )
            carrier = None
        return SequenceCondition(tuple(steps), positive[-1] if carrier is None else carrier - 1)

    def repeated(self, value: Value, setting: Setting) -> RepeatedCondition | None:
        """Read `repeated`: a condition with `times` and perhaps `within`."""
        body = value.data["repeated"]
        if not isinstance(body.data, dict):
            self.bad(body, "must be a condition with times")
            return None
        times = self.count(body.data.pop("times", None))
        within = self.within(body.data.pop("within", None))
        part = self.condition(body, setting)
        if times is None:
            self.bad(body, "repeated needs times")
        return RepeatedCondition(part, times or 2, within) if part else None

    def absent(self, value: Value, setting: Setting) -> AbsentCondition | None:
        """Read `absent`: words that must be there, matched leniently and without guards."""
        body = value.data["absent"]
        lenient = Setting(setting.voice, frozenset(), lenient=True)
        part = (
            self.words(body, lenient)
            if isinstance(body.data, dict) and "words" in body.data
            else None
        )
        if part is None:
            self.bad(body, "absent needs words")
            return None
        self.only(body, _WORDS_KEYS)
        name = value.data.get("name")
        return AbsentCondition(part, self.title(name) if name else Title("", ""))

    def facts(self, value: Value, _setting: Setting) -> FactsCondition | None:
        """Read `facts`: a function by name with constants."""
        name = value.data["facts"].data
        if name not in FACTS:
            self.bad(value.data["facts"], f"no fact condition is called {name!r}")
            return None
        arguments = value.data.get("with")
        return FactsCondition(name, arguments.plain() if arguments else {})

    def findings(self, value: Value, _setting: Setting) -> FindingsCondition | None:
        """Read `findings`: families of rules."""
        families = tuple(str(member.data) for member in value.data["findings"].items())
        if not families or not all(len(name) == 3 and name.isupper() for name in families):  # noqa: PLR2004
            self.bad(
                value.data["findings"], "must be a list of families, three capital letters each"
            )
            return None
        return FindingsCondition(families)

    def title(self, value: Value) -> Title:
        """Read a text in both languages."""
        data = value.plain()
        if not isinstance(data, dict) or not all(
            isinstance(data.get(k), str) and data[k] for k in ("zh", "en")
        ):
            self.bad(value, "must be a mapping of zh and en")
            return Title("", "")
        return Title(data["zh"], data["en"])


def _distinct(alternatives: Iterable[tuple[Item, ...]]) -> Iterable[tuple[Item, ...]]:
    """Those that are not like an earlier one, by all that they are made of."""
    return {repr(items): items for items in alternatives}.values()

"""Parse a pack: all its files at once, all its problems at once."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import daachorse

from rules.citation import UNKNOWN
from rules.document import Voice
from rules.events import Channel, ContactOutcome, LenderType, Mode, PartyRole, Product
from rules.grammar import PatternError, Words, parse_class
from rules.match import Matcher
from rules.model import Disposition, Severity
from rules.normalise import plain
from rules.quota import check_quota
from rules.rule import (
    Article,
    Binding,
    Condition,
    NotChecked,
    Pack,
    PackError,
    Parameter,
    Problem,
    Rule,
    Tests,
    Title,
    WordsCondition,
)
from rules.sheet import Value, read
from rules.when import Reader, Setting, default_guards

_FILE_KEYS = {"family", "title", "lexicon", "lexicon+", "idioms", "cues", "rules", "not_checked"}
_PACK_KEYS = {"pack", "version", "title", "untrusted_limit"}
_ARTICLE_KEYS = {
    "id",
    "instrument",
    "article",
    "text",
    "label",
    "source",
    "effective_from",
    "effective_to",
    "published_as",
    "basis",
    "note",
    "binds",
}
_RULE_KEYS = {
    "id",
    "title",
    "severity",
    "disposition",
    "articles",
    "basis",
    "speaker",
    "channels",
    "parties",
    "modes",
    "directions",
    "outcomes",
    "effective",
    "parameters",
    "guards",
    "when",
    "why",
    "coverage",
    "tests",
}
_REQUIRED = ("id", "title", "severity", "articles", "basis", "when", "why", "tests")
_BASES = {"law", "guideline", "policy"}
_BOUND = {
    "product": {UNKNOWN, *(product.value for product in Product)},
    "lender_type": {UNKNOWN, *(lender.value for lender in LenderType)},
}
_RULE_ID = re.compile("^[A-Z]{3}-[0-9]{2}[a-z]?$")
_CLASS_NAME = re.compile("^[a-z][a-z0-9_]*$")
_NOTHING = Words(("\ufffd",), tree="\ufffd")


@dataclass
class _Draft:
    """What has been read so far."""

    problems: list[Problem] = field(default_factory=list)
    lexicon: dict[str, Words] = field(default_factory=dict)
    articles: dict[str, Article] = field(default_factory=dict)
    families: dict[str, Title] = field(default_factory=dict)
    cues: dict[str, WordsCondition] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    not_checked: list[NotChecked] = field(default_factory=list)


def parse(files: Mapping[str, str]) -> Pack:
    """Read a pack from its files (name to YAML text).

    Raises `PackError` with every problem, each with file, line and column.
    """
    draft = _Draft()
    sheets = {}
    for name in sorted(files):
        sheet = read(name, files[name], draft.problems)
        if sheet is not None:
            sheets[name] = sheet
    head = sheets.pop("pack.yaml", None)
    name, version, title, limit = _head(head, draft)
    table = sheets.pop("articles.yaml", None)
    if table is not None:
        _articles(table, draft)
    for sheet in sheets.values():
        _only(sheet, _FILE_KEYS, draft)
    _lexicon(list(sheets.values()), draft)
    names = frozenset(key for sheet in sheets.values() for key, _ in _members(sheet, "cues", draft))
    reader = Reader(draft.lexicon, names, draft.problems)
    for sheet in sheets.values():
        _cues(sheet, reader, draft)
    for sheet in sheets.values():
        _rules(sheet, reader, draft)
        _not_checked(sheet, draft)
    _versions(draft)
    if draft.problems:
        raise PackError(
            tuple(sorted(draft.problems, key=lambda p: (p.file, p.line, p.column, p.message)))
        )
    return Pack(
        name=name,
        version=version,
        digest=_digest(files),
        title=title,
        rules=tuple(
            sorted(draft.rules, key=lambda rule: (rule.id, rule.effective_from or date.min))
        ),
        articles=draft.articles,
        families=draft.families,
        cues=draft.cues,
        conditions=reader.conditions,
        matchers={voice: Matcher(reader.patterns[voice]) for voice in Voice},
        unless=reader.unless,
        idioms=_idioms(list(sheets.values()), draft),
        untrusted_limit=limit,
        not_checked=tuple(sorted(draft.not_checked, key=lambda item: item.id)),
    )


def _digest(files: Mapping[str, str]) -> str:
    total = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name].encode()):
            total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


def _only(value: Value, allowed: set[str], draft: _Draft) -> None:
    for key, member in value.data.items():
        if key not in allowed:
            draft.problems.append(
                member.problem(
                    f"unknown key {key!r}; expected one of: {', '.join(sorted(allowed))}"
                )
            )


def _members(sheet: Value, key: str, draft: _Draft) -> Iterator[tuple[str, Value]]:
    """The named members of a mapping of the sheet."""
    value = sheet.data.get(key)
    if value is None or value.data is None:
        return
    if not isinstance(value.data, dict):
        problem = value.problem(f"{key} must be a mapping")
        if problem not in draft.problems:
            draft.problems.append(problem)
        return
    yield from value.data.items()


def _head(head: Value | None, draft: _Draft) -> tuple[str, str, Title, float]:
    if head is None:
        draft.problems.append(Problem("pack.yaml", 1, 1, "is missing"))
        return "", "", Title("", ""), 0.4
    _only(head, _PACK_KEYS, draft)
    data = head.plain()
    for key in ("pack", "version"):
        if not data.get(key):
            draft.problems.append(head.problem(f"{key} is missing"))
    limit = data.get("untrusted_limit", 0.4)
    if not isinstance(limit, int | float) or not 0 < limit <= 1:
        draft.problems.append(head.problem("untrusted_limit must lie in (0, 1]"))
        limit = 0.4
    return (
        str(data.get("pack")),
        str(data.get("version")),
        _title(head, "title", draft),
        float(limit),
    )


def _title(value: Value, key: str, draft: _Draft) -> Title:
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


def _date(value: Value | None, draft: _Draft) -> date | None:
    if value is None or value.data is None:
        return None
    try:
        return date.fromisoformat(str(value.data))
    except ValueError:
        draft.problems.append(value.problem("must be a date, for example 2026-01-01"))
        return None


def _articles(sheet: Value, draft: _Draft) -> None:
    table = sheet.data.get("articles")
    for value in table.items() if table else ():
        if not isinstance(value.data, dict):
            draft.problems.append(value.problem("an article must be a mapping"))
            continue
        _only(value, _ARTICLE_KEYS, draft)
        data = value.plain()
        missing = [
            key
            for key in ("id", "instrument", "article", "text", "label", "source")
            if not data.get(key)
        ]
        if missing:
            draft.problems.append(value.problem(f"{', '.join(missing)} missing"))
            continue
        label = str(data["label"])
        if not re.fullmatch(r"policy|[VTSQU](\+[VTSQU])*", label):
            draft.problems.append(
                value.data["label"].problem("label must be policy, or V, T, S, Q, U joined with +")
            )
        if data["id"] in draft.articles:
            draft.problems.append(value.problem(f"article {data['id']!r} appears twice"))
        published = data.get("published_as")
        draft.articles[str(data["id"])] = Article(
            str(data["id"]),
            _title(value, "instrument", draft),
            str(data["article"]),
            str(data["text"]),
            label,
            str(data["source"]),
            _date(value.data.get("effective_from"), draft),
            _date(value.data.get("effective_to"), draft),
            None if published is None else str(published),
            _bindings(value.data.get("binds"), draft),
        )


def _bindings(value: Value | None, draft: _Draft) -> tuple[Binding, ...]:
    """Whom an article binds: products, kinds of lenders, or one kind's product."""
    found = []
    for member in value.items() if value is not None and value.data else ():
        if not isinstance(member.data, dict) or not member.data:
            draft.problems.append(member.problem("must name a product, a lender_type or both"))
            continue
        _only(member, set(_BOUND), draft)
        data = {str(key): str(part.data) for key, part in member.data.items()}
        for key, known in _BOUND.items():
            if key in data and data[key] not in known:
                message = f"{key} must be one of: {', '.join(sorted(known))}"
                draft.problems.append(member.data[key].problem(message))
        found.append(Binding(data.get("product"), data.get("lender_type")))
    return tuple(found)


def _lexicon(sheets: list[Value], draft: _Draft) -> None:
    """Read all classes; a class may name others, in any file, but not itself."""
    raw: dict[str, list[Value]] = {}
    for sheet in sheets:
        for name, value in _members(sheet, "lexicon", draft):
            if not _CLASS_NAME.match(name):
                draft.problems.append(
                    value.problem("a class name is lower case letters, digits and _")
                )
            if name in raw:
                draft.problems.append(
                    value.problem(f"class {name!r} is defined twice; use lexicon+ to add words")
                )
            raw.setdefault(name, []).extend(value.items())
    for sheet in sheets:
        for name, value in _members(sheet, "lexicon+", draft):
            if name not in raw:
                draft.problems.append(value.problem(f"no class is called {name!r}"))
            raw.setdefault(name, []).extend(value.items())
    done: dict[str, Words] = {}
    for name in raw:
        _resolve(name, raw, done, (), draft)
    draft.lexicon.update(done)


def _resolve(
    name: str,
    raw: dict[str, list[Value]],
    done: dict[str, Words],
    path: tuple[str, ...],
    draft: _Draft,
) -> None:
    if name in done:
        return
    if name in path:
        draft.problems.append(raw[name][0].problem(f"class {name!r} contains itself"))
        done[name] = _NOTHING
        return
    texts: list[str] = []
    for value in raw[name]:
        text = str(value.data)
        for inner in re.findall(r"\{\s*([a-z0-9_]+)\s*\}", text):
            if inner in raw:
                _resolve(inner, raw, done, (*path, name), draft)
        try:
            parse_class([text], done)
            texts.append(text)
        except PatternError as error:
            draft.problems.append(
                value.problem(f"in {text!r} at character {error.column + 1}: {error}")
            )
    done.setdefault(name, parse_class(texts, done) if texts else _NOTHING)


def _idioms(sheets: list[Value], draft: _Draft) -> Any:
    found: dict[str, None] = {}
    for sheet in sheets:
        value = sheet.data.get("idioms")
        for member in value.items() if value is not None and value.data else ():
            try:
                found |= dict.fromkeys(parse_class([str(member.data)], draft.lexicon).words)
            except PatternError as error:
                draft.problems.append(member.problem(str(error)))
    return daachorse.CharwiseDoubleArrayAhoCorasick(sorted(map(plain, found))) if found else None


def _cues(sheet: Value, reader: Reader, draft: _Draft) -> None:
    for name, value in _members(sheet, "cues", draft):
        if name in draft.cues:
            draft.problems.append(value.problem(f"cue {name!r} is defined twice"))
        if not isinstance(value.data, dict) or "words" not in value.data:
            draft.problems.append(value.problem("a cue must be a words condition"))
            continue
        voice = reader.voice(value.data.get("speaker"), Voice.COLLECTOR)
        condition = reader.condition(value, Setting(voice, default_guards(voice)))
        if isinstance(condition, WordsCondition):
            draft.cues[name] = condition


def _rules(sheet: Value, reader: Reader, draft: _Draft) -> None:
    rules = sheet.data.get("rules")
    if rules is None or not rules.data:
        return
    family = sheet.data.get("family")
    code = str(family.data) if family else ""
    if not re.fullmatch("[A-Z]{3}", code):
        draft.problems.append(
            (family or sheet).problem("rules need a family of three capital letters")
        )
    if code not in draft.families or not draft.families[code].zh:
        draft.families[code] = _title(sheet, "title", draft)
    for value in rules.items():
        if not isinstance(value.data, dict):
            draft.problems.append(value.problem("a rule must be a mapping"))
            continue
        rule = _rule(value, code, reader, draft)
        if rule is not None:
            draft.rules.append(rule)


def _names(value: Value | None, kind: Any, reader: Reader) -> tuple[str, ...]:
    found = (
        [reader.choice(member, kind) for member in value.items()] if value and value.data else []
    )
    return tuple(item.value for item in found if item)


def _rule(value: Value, family: str, reader: Reader, draft: _Draft) -> Rule | None:
    data = value.data
    before = len(draft.problems)
    _only(value, _RULE_KEYS, draft)
    for key in _REQUIRED:
        if key not in data:
            draft.problems.append(value.problem(f"{key} is missing"))
    if len(draft.problems) > before:
        return None
    if not _RULE_ID.match(str(data["id"].data)):
        draft.problems.append(
            data["id"].problem("an id is three capital letters, a dash, two digits")
        )
    if data["basis"].data not in _BASES:
        draft.problems.append(
            data["basis"].problem(f"basis must be one of: {', '.join(sorted(_BASES))}")
        )
    voice = reader.voice(data.get("speaker"), Voice.COLLECTOR)
    guards = reader.guards(data.get("guards"), default_guards(voice))
    when: Condition | None = reader.condition(data["when"], Setting(voice, guards))
    channels = _names(data.get("channels"), Channel, reader)
    parties = _names(data.get("parties"), PartyRole, reader)
    effective = data["effective"].data if "effective" in data else {}
    disposition = reader.choice(data.get("disposition"), Disposition) or Disposition.VIOLATION
    severity = reader.choice(data["severity"], Severity)
    if voice is Voice.PARTY and disposition is Disposition.VIOLATION:
        draft.problems.append(
            value.problem("the party's own words can be a signal or a review, no violation")
        )
    rule = None
    if when is not None and severity is not None:
        rule = Rule(
            id=str(data["id"].data),
            family=family,
            title=_title(value, "title", draft),
            severity=severity,
            disposition=disposition,
            articles=_citations(data["articles"], draft),
            basis=str(data["basis"].data),
            voice=voice,
            channels=frozenset(channels),
            parties=frozenset(parties),
            modes=frozenset(_names(data.get("modes"), Mode, reader)),
            directions=frozenset(str(m.data) for m in data["directions"].items())
            if "directions" in data
            else frozenset(),
            outcomes=frozenset(_names(data.get("outcomes"), ContactOutcome, reader)),
            effective_from=_date(effective.get("from"), draft),
            effective_to=_date(effective.get("to"), draft),
            parameters=_parameters(data.get("parameters"), draft),
            when=when,
            why=_title(value, "why", draft),
            coverage=str(data["coverage"].data).strip() if "coverage" in data else "",
            tests=_tests(data["tests"], draft),
            file=value.file,
            line=value.line,
            first_channel=channels[0] if channels and "call" not in channels else "call",
            first_party=parties[0] if parties else "debtor",
        )
        draft.problems += [value.problem(f"{rule.id}: {text}") for text in check_quota(rule)]
    return rule


def _not_checked(sheet: Value, draft: _Draft) -> None:
    """Read what the pack lists as beyond the data it is given."""
    table = sheet.data.get("not_checked")
    for value in table.items() if table else ():
        if not isinstance(value.data, dict) or not {"id", "articles", "status"} <= set(value.data):
            draft.problems.append(value.problem("needs id, title, articles, status and data"))
            continue
        _only(value, {"id", "title", "articles", "status", "data"}, draft)
        status = str(value.data["status"].data)
        if status not in {"needs_data", "out_of_scope"}:
            draft.problems.append(value.problem("status must be needs_data or out_of_scope"))
        draft.not_checked.append(
            NotChecked(
                str(value.data["id"].data),
                _title(value, "title", draft),
                _citations(value.data["articles"], draft),
                status,
                _title(value, "data", draft),
            )
        )


def _citations(value: Value, draft: _Draft) -> tuple[str, ...]:
    found = []
    for member in value.items():
        article = draft.articles.get(str(member.data))
        if article is None:
            draft.problems.append(member.problem(f"no article is called {member.data!r}"))
        elif set(article.label) <= {"U", "+"}:
            draft.problems.append(
                member.problem(f"article {member.data!r} is not verified (U) and cannot be cited")
            )
        found.append(str(member.data))
    if not found:
        draft.problems.append(value.problem("a rule cites at least one article"))
    return tuple(found)


def _parameters(value: Value | None, draft: _Draft) -> tuple[Parameter, ...]:
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
        _only(member, {"default", "min", "max", "choices", "label", "basis", "unit"}, draft)
        data = member.plain()
        parameter = Parameter(
            name,
            data["default"],
            data.get("min"),
            data.get("max"),
            tuple(data.get("choices") or ()),
            _title(member, "label", draft),
            str(data.get("basis", "policy")),
        )
        if parameter.basis not in _BASES:
            draft.problems.append(
                member.problem(f"basis must be one of: {', '.join(sorted(_BASES))}")
            )
        found.append(parameter)
    return tuple(found)


def _tests(value: Value, draft: _Draft) -> Tests:
    if not isinstance(value.data, dict):
        draft.problems.append(
            value.problem("tests must be a mapping of hits, misses, heard, boundary")
        )
        return Tests()
    _only(value, {"hits", "misses", "heard", "boundary"}, draft)
    data = value.plain()
    boundary = data.get("boundary") or {}
    parts = [
        data.get("hits"),
        data.get("misses"),
        data.get("heard"),
        boundary.get("hits"),
        boundary.get("misses"),
    ]
    return Tests(*(tuple(part or ()) for part in parts))


def _versions(draft: _Draft) -> None:
    """Versions of one rule must not be in force on the same day."""
    by_id: dict[str, list[Rule]] = {}
    for rule in draft.rules:
        for other in by_id.setdefault(rule.id, []):
            starts, ends = rule.effective_from or date.min, rule.effective_to or date.max
            if (
                starts <= (other.effective_to or date.max)
                and (other.effective_from or date.min) <= ends
            ):
                draft.problems.append(
                    Problem(
                        rule.file, rule.line, 1, f"{rule.id} is defined twice for the same days"
                    )
                )
        by_id[rule.id].append(rule)

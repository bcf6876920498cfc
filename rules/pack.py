"""Parse a pack: all its files at once, all its problems at once."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import daachorse

from rules.articles import citations, read_articles
from rules.document import Voice
from rules.draft import BASES, RULE_ID, Draft, day_of, only, title_of
from rules.events import Channel, ContactOutcome, Mode, PartyRole
from rules.grammar import PatternError, Words, parse_class
from rules.limits import check_followed, read_parameters
from rules.match import Matcher
from rules.model import Disposition, Severity
from rules.normalise import plain
from rules.quota import check_quota
from rules.reader import FILE as READER_FILE
from rules.reader import Reader as SecondReader
from rules.reader import ReaderError, read_reader
from rules.rule import (
    Condition,
    NotChecked,
    Pack,
    PackError,
    Problem,
    Rule,
    Tests,
    Title,
    WordsCondition,
)
from rules.sheet import Value, read
from rules.unless import Unless
from rules.when import Reader, Setting, default_guards

_FILE_KEYS = {"family", "title", "lexicon", "lexicon+", "idioms", "cues", "rules", "not_checked"}
_PACK_KEYS = {"pack", "version", "title", "untrusted_limit"}
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
_CLASS_NAME = re.compile("^[a-z][a-z0-9_]*$")
_NOTHING = Words(("\ufffd",), tree="\ufffd")


def parse(files: Mapping[str, str]) -> Pack:
    """Read a pack from its files (name to YAML text).

    Raises `PackError` with every problem, each with file, line and column.
    """
    draft = Draft()
    sheets = {}
    for name in sorted(files.keys() - {READER_FILE}):
        sheet = read(name, files[name], draft.problems)
        if sheet is not None:
            sheets[name] = sheet
    head = sheets.pop("pack.yaml", None)
    name, version, title, limit = _head(head, draft)
    table = sheets.pop("articles.yaml", None)
    if table is not None:
        read_articles(table, draft)
    for sheet in sheets.values():
        only(sheet, _FILE_KEYS, draft)
    _lexicon(list(sheets.values()), draft)
    names = frozenset(key for sheet in sheets.values() for key, _ in _members(sheet, "cues", draft))
    reader = Reader(draft.lexicon, names, draft.problems)
    for sheet in sheets.values():
        _cues(sheet, reader, draft)
    for sheet in sheets.values():
        _rules(sheet, reader, draft)
        _not_checked(sheet, draft)
    _versions(draft)
    check_followed(draft)
    second = _second_reader(files, draft)
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
        unless=Unless(reader.unless),
        idioms=_idioms(list(sheets.values()), draft),
        untrusted_limit=limit,
        not_checked=tuple(sorted(draft.not_checked, key=lambda item: item.id)),
        reader=second,
    )


def _second_reader(files: Mapping[str, str], draft: Draft) -> SecondReader | None:
    """The second reader that comes with the pack; none where it brings none."""
    if READER_FILE not in files:
        return None
    try:
        return read_reader(files[READER_FILE])
    except ReaderError as error:
        draft.problems.append(Problem(READER_FILE, 1, 1, str(error)))
        return None


def _digest(files: Mapping[str, str]) -> str:
    total = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name].encode()):
            total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


def _members(sheet: Value, key: str, draft: Draft) -> Iterator[tuple[str, Value]]:
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


def _head(head: Value | None, draft: Draft) -> tuple[str, str, Title, float]:
    if head is None:
        draft.problems.append(Problem("pack.yaml", 1, 1, "is missing"))
        return "", "", Title("", ""), 0.4
    only(head, _PACK_KEYS, draft)
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
        title_of(head, "title", draft),
        float(limit),
    )


def _lexicon(sheets: list[Value], draft: Draft) -> None:
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
    draft: Draft,
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


def _idioms(sheets: list[Value], draft: Draft) -> Any:
    found: dict[str, None] = {}
    for sheet in sheets:
        value = sheet.data.get("idioms")
        for member in value.items() if value is not None and value.data else ():
            try:
                found |= dict.fromkeys(parse_class([str(member.data)], draft.lexicon).words)
            except PatternError as error:
                draft.problems.append(member.problem(str(error)))
    return daachorse.CharwiseDoubleArrayAhoCorasick(sorted(map(plain, found))) if found else None


def _cues(sheet: Value, reader: Reader, draft: Draft) -> None:
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


def _rules(sheet: Value, reader: Reader, draft: Draft) -> None:
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
        draft.families[code] = title_of(sheet, "title", draft)
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


def _rule(value: Value, family: str, reader: Reader, draft: Draft) -> Rule | None:
    data = value.data
    before = len(draft.problems)
    only(value, _RULE_KEYS, draft)
    for key in _REQUIRED:
        if key not in data:
            draft.problems.append(value.problem(f"{key} is missing"))
    if len(draft.problems) > before:
        return None
    if not RULE_ID.match(str(data["id"].data)):
        draft.problems.append(
            data["id"].problem("an id is three capital letters, a dash, two digits")
        )
    if data["basis"].data not in BASES:
        draft.problems.append(
            data["basis"].problem(f"basis must be one of: {', '.join(sorted(BASES))}")
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
            title=title_of(value, "title", draft),
            severity=severity,
            disposition=disposition,
            articles=citations(data["articles"], draft),
            basis=str(data["basis"].data),
            voice=voice,
            channels=frozenset(channels),
            parties=frozenset(parties),
            modes=frozenset(_names(data.get("modes"), Mode, reader)),
            directions=frozenset(str(m.data) for m in data["directions"].items())
            if "directions" in data
            else frozenset(),
            outcomes=frozenset(_names(data.get("outcomes"), ContactOutcome, reader)),
            effective_from=day_of(effective.get("from"), draft),
            effective_to=day_of(effective.get("to"), draft),
            parameters=read_parameters(data.get("parameters"), draft),
            when=when,
            why=title_of(value, "why", draft),
            coverage=str(data["coverage"].data).strip() if "coverage" in data else "",
            tests=_tests(data["tests"], draft),
            file=value.file,
            line=value.line,
            first_channel=channels[0] if channels and "call" not in channels else "call",
            first_party=parties[0] if parties else "debtor",
        )
        draft.problems += [value.problem(f"{rule.id}: {text}") for text in check_quota(rule)]
    return rule


def _not_checked(sheet: Value, draft: Draft) -> None:
    """Read what the pack lists as beyond the data it is given."""
    table = sheet.data.get("not_checked")
    for value in table.items() if table else ():
        if not isinstance(value.data, dict) or not {"id", "articles", "status"} <= set(value.data):
            draft.problems.append(value.problem("needs id, title, articles, status and data"))
            continue
        only(value, {"id", "title", "articles", "status", "data"}, draft)
        status = str(value.data["status"].data)
        if status not in {"needs_data", "out_of_scope"}:
            draft.problems.append(value.problem("status must be needs_data or out_of_scope"))
        draft.not_checked.append(
            NotChecked(
                str(value.data["id"].data),
                title_of(value, "title", draft),
                citations(value.data["articles"], draft),
                status,
                title_of(value, "data", draft),
            )
        )


def _tests(value: Value, draft: Draft) -> Tests:
    if not isinstance(value.data, dict):
        draft.problems.append(
            value.problem("tests must be a mapping of hits, misses, heard, boundary")
        )
        return Tests()
    only(value, {"hits", "misses", "heard", "boundary"}, draft)
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


def _versions(draft: Draft) -> None:
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

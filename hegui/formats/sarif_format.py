"""A result as SARIF 2.1.0, for code scanners and their viewers."""

import json
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from hegui import __version__
from hegui.check import Checked, Result
from hegui.formats.words import sentence
from rules import Pack
from rules.model import Disposition, Finding, Outcome, Severity
from rules.rule import Rule

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
}
KINDS = {
    Disposition.VIOLATION: "fail",
    Disposition.REVIEW: "review",
    Disposition.SIGNAL: "informational",
}


def render(result: Result) -> str:
    """One run with every rule of the packs; what could not be read is a notification of the run."""
    rules = [rule for pack in result.packs for rule in pack.rules]
    numbers = {rule.id: number for number, rule in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "hegui",
                "version": __version__,
                "rules": [_rule(rule) for rule in rules],
                "properties": {"packs": [_pack(pack) for pack in result.packs]},
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not any(
                    one.outcome is Outcome.ERROR for one in result.checked
                ),
                "toolExecutionNotifications": [
                    _notification(one) for one in result.checked if one.reasons
                ],
            }
        ],
        "results": [
            _result(one, finding, numbers[finding.rule])
            for one in result.checked
            for finding in one.findings
        ],
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _pack(pack: Pack) -> dict[str, str]:
    return {"name": pack.name, "version": pack.version, "digest": pack.digest}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": rule.title.en,
        "shortDescription": {"text": f"{rule.title.zh} · {rule.title.en}"},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
        "properties": {"articles": list(rule.articles), "basis": rule.basis},
    }


def _location(one: Checked) -> dict[str, Any]:
    about = one.interaction
    found: dict[str, Any] = {
        "logicalLocations": [
            {
                "name": about.interaction_id,
                "fullyQualifiedName": "/".join(
                    part for part in (about.agency_id, about.case_id, about.interaction_id) if part
                ),
                "kind": about.channel.value,
            }
        ]
    }
    if one.origin is not None:
        found["physicalLocation"] = {
            "artifactLocation": {"uri": _uri(one.origin.file)},
            "region": {"startLine": one.origin.line or 1},
        }
    return found


def _uri(path: str) -> str:
    return quote(path.replace("\\", "/"))


def _result(one: Checked, finding: Finding, index: int) -> dict[str, Any]:
    """A finding; only a violation may carry a level, as the standard asks."""
    kind = KINDS[finding.disposition]
    about = one.interaction
    stands_on = (
        about.agency_id, about.case_id, about.interaction_id, finding.rule, finding.segment,
        finding.char_start, finding.char_end,
    )  # fmt: skip
    facts = finding.as_dict()
    for told in ("rule", "why", "why_zh"):
        facts.pop(told)
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "kind": kind,
        "level": LEVELS[finding.severity] if kind == "fail" else "none",
        "message": {"text": sentence(finding)},
        "locations": [_location(one)],
        "partialFingerprints": {"hegui/v1": sha256(repr(stands_on).encode()).hexdigest()},
        "properties": facts,
    }


def _notification(one: Checked) -> dict[str, Any]:
    return {
        "level": "error" if one.outcome is Outcome.ERROR else "warning",
        "message": {"text": f"{one.outcome.value}: {', '.join(one.reasons)}"},
        "descriptor": {"id": one.outcome.value},
        "locations": [_location(one)],
    }

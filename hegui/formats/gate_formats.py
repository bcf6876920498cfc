"""A gate's result for people, programs, test reporters and code scanners; no quote, no name.

What a CI job prints is read by more people than may read a call: findings are named by rule,
severity and the ids under which their evidence can be looked up.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from hegui import __version__
from hegui.formats.junit_format import NOT_XML
from hegui.formats.sarif_format import LEVELS
from hegui.formats.sarif_format import SCHEMA as SARIF_SCHEMA
from hegui.gate import Gate, expected
from rules.model import Severity
from service.clock import now

SCHEMA = "hegui.gate/1"
# What an agency calls its upload or campaign must not become a link or a picture on a page of CI.
MARKUP = re.compile(r"[\\`*_{}\[\]<>()#!|~]")
FEW = 20  # findings that a page for people lists


def render(gate: Gate, form: str) -> str:
    """The result as `text`, `json`, `junit`, `sarif` or `markdown`."""
    return {
        "text": _text,
        "json": _json,
        "junit": _junit,
        "sarif": _sarif,
        "markdown": _markdown,
    }[form](gate)


def _verdict(gate: Gate) -> str:
    if not expected(gate.batch):
        return "open: no contacts in this time" if gate.is_open else "closed"
    return "open" if gate.is_open else "closed"


def _name(batch: Mapping[str, Any]) -> str:
    """What was checked, as people call it."""
    if "manifest" in batch:
        return f"{batch['agency_name']}, {batch['name']}"
    if "campaign" in batch:
        names = ", ".join(agency["name"] for agency in batch["agencies"])
        return f"{batch['campaign']} ({names})"
    return str(batch["agency_name"])


def _id(batch: Mapping[str, Any]) -> str:
    """What was checked, as programs call it."""
    return str(batch.get("manifest") or batch.get("campaign") or batch["agency_id"])


def _extent(batch: Mapping[str, Any]) -> str:
    """The time that was asked for, or how many contacts were announced."""
    if "from" in batch:
        return f"{batch['from']} to {batch['to']}"
    if "manifest" in batch:
        return f"manifest of {batch['listed']}, due {batch['due_at']}"
    return f"campaign of {expected(batch)}, in {batch['manifests']} manifests"


def _outcomes(batch: Mapping[str, Any]) -> str:
    counts = [(name, count) for name, count in batch["outcomes"].items() if count]
    counts += [(name, batch[name]) for name in ("pending", "missing") if batch.get(name)]
    told = ", ".join(f"{count} {name}" for name, count in counts)
    unlisted = f"; {batch['unlisted']} more not listed" if batch.get("unlisted") else ""
    return f"{expected(batch)} contacts" + (f": {told}" if told else "") + unlisted


def _listed(gate: Gate) -> Iterator[tuple[str, ...]]:
    """Severity, rule, start and id of the findings, worst first."""
    worst = sorted(
        gate.findings, key=lambda row: (-Severity(row["severity"]).rank, row["rule"], row["id"])
    )
    for row in worst:
        yield row["severity"], row["rule"], row["started_at"], row["interaction"]


def _text(gate: Gate) -> str:
    batch = gate.batch
    lines = [f"gate {_verdict(gate)}  {_name(batch)}  {_extent(batch)}", _outcomes(batch)]
    width = max((len(measure.name) for measure in gate.measures), default=0)
    for one in gate.measures:
        mark = "kept  " if one.is_kept else "BROKEN"
        lines.append(f"  {mark}  {one.name:<{width}}  {one.found}, at most {one.limit}")
    rows = list(_listed(gate))
    lines += ["  ".join((f"  {row[0]:<8}", *row[1:])) for row in rows[:FEW]]
    if len(rows) > FEW:
        lines.append(f"  and {len(rows) - FEW} more violations")
    return "\n".join(lines) + "\n"


def _markdown(gate: Gate) -> str:
    batch = gate.batch
    name = MARKUP.sub(r"\\\g<0>", _name(batch))
    lines = [
        f"## {'✅' if gate.is_open else '❌'} hegui gate {_verdict(gate)}: {name}",
        "",
        f"{_extent(batch)} · {_outcomes(batch)}",
        "",
        "| limit | at most | found | |",
        "|---|---|---|---|",
        *(
            f"| {one.name} | {one.limit} | {one.found} | {'✅' if one.is_kept else '❌'} |"
            for one in gate.measures
        ),
    ]
    counted = [row for row in batch["rules"] if row["disposition"] == "violation"]
    if counted:
        lines += ["", "| rule | severity | violations | contacts |", "|---|---|---|---|"]
        lines += [
            f"| {row['rule']} | {row['severity']} | {row['findings']} | {row['interactions']} |"
            for row in counted
        ]
    return "\n".join(lines) + "\n"


def _json(gate: Gate) -> str:
    document = {
        "schema": SCHEMA,
        "open": gate.is_open,
        "batch": dict(gate.batch),
        "limits": [
            {"name": one.name, "limit": one.limit, "found": one.found, "kept": one.is_kept}
            for one in gate.measures
        ],
        "violations": [
            dict(zip(("severity", "rule", "started_at", "interaction"), row, strict=True))
            for row in _listed(gate)
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _junit(gate: Gate) -> str:
    """One suite for the gate, one test for each limit."""
    broken = [one for one in gate.measures if not one.is_kept]
    root = Element("testsuites")
    suite = SubElement(
        root,
        "testsuite",
        name=NOT_XML.sub("?", f"hegui gate {_id(gate.batch)}"),
        package="hegui",
        id="0",
        hostname="localhost",
        timestamp=str(gate.batch.get("to") or now().isoformat())[:19],
        tests=str(len(gate.measures)),
        failures=str(len(broken)),
        errors="0",
        time="0",
    )
    SubElement(suite, "properties")
    for one in gate.measures:
        name = f"{one.name} at most {one.limit}"
        test = SubElement(suite, "testcase", name=name, classname="hegui.gate", time="0")
        if not one.is_kept:
            failure = SubElement(test, "failure", type="limit", message=f"found {one.found}")
            failure.text = "\n".join("  ".join(row) for row in _listed(gate))
    SubElement(suite, "system-out").text = _outcomes(gate.batch)
    SubElement(suite, "system-err")
    indent(root)
    return tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _sarif(gate: Gate) -> str:
    names = sorted({row["rule"] for row in gate.findings})
    driver = {"name": "hegui", "version": __version__, "rules": [{"id": name} for name in names]}
    results = [
        {
            "ruleId": rule,
            "ruleIndex": names.index(rule),
            "kind": "fail",
            "level": LEVELS[Severity(severity)],
            "message": {"text": f"{rule} ({severity}) in a contact of {started_at}"},
            "locations": [{"logicalLocations": [{"name": contact, "kind": "interaction"}]}],
        }
        for severity, rule, started_at, contact in _listed(gate)
    ]
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": True, "exitCode": 0 if gate.is_open else 1}],
        "results": results,
    }
    document = {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"

"""A result as JUnit XML: one suite a case, one test an interaction."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC
from itertools import groupby
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from hegui.check import Checked, Result
from hegui.formats.words import place, sentence
from rules.model import Outcome

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Nothing was proven either way: for a test reporter that is a test that could not be run.
UNPROVEN = frozenset({Outcome.ERROR, Outcome.INCONCLUSIVE})


def render(result: Result) -> str:
    """The result as the XML that Ant's JUnit schema describes; no clock is read for it."""
    root = Element("testsuites")
    by_case = groupby(result.checked, key=lambda one: one.interaction.case_id)
    for number, (case_id, group) in enumerate(by_case):
        _add_suite(root, number, case_id, list(group), result)
    indent(root)
    return tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_suite(
    root: Element, number: int, case_id: str, group: list[Checked], result: Result
) -> None:
    latest = max(one.interaction.started_at for one in group).astimezone(UTC)
    reaching = [one for one in group if result.reaches(one)]
    unproven = [one for one in group if one not in reaching and one.outcome in UNPROVEN]
    suite = SubElement(
        root,
        "testsuite",
        name=_clean(case_id),
        package="hegui",
        id=str(number),
        hostname="localhost",
        timestamp=latest.strftime("%Y-%m-%dT%H:%M:%S"),
        tests=str(len(group)),
        failures=str(len(reaching)),
        errors=str(len(unproven)),
        time="0",
    )
    properties = SubElement(suite, "properties")
    for pack in result.packs:
        value = f"{pack.version} {pack.digest}"
        SubElement(properties, "property", name=f"pack.{pack.name}", value=value)
    for one in group:
        _add_test(suite, one, result)
    below = [one for one in group if one not in reaching]
    SubElement(suite, "system-out").text = _clean("\n".join(_lines(below)))
    SubElement(suite, "system-err")


def _add_test(suite: Element, one: Checked, result: Result) -> None:
    about = one.interaction
    test = SubElement(
        suite,
        "testcase",
        name=_clean(about.interaction_id),
        classname=_clean(about.agency_id or "hegui"),
        time="0",
    )
    if result.reaches(one):
        rules = ", ".join(dict.fromkeys(finding.rule for finding in one.findings))
        failure = SubElement(test, "failure", type=one.outcome.value, message=rules)
        failure.text = _clean("\n".join(_lines([one])))
    elif one.outcome in UNPROVEN:
        message = _clean(", ".join(one.reasons) or one.outcome.value)
        SubElement(test, "error", type=one.outcome.value, message=message)


def _lines(group: Iterable[Checked]) -> Iterator[str]:
    for one in group:
        for finding in one.findings:
            yield (
                f"{one.interaction.interaction_id}: {finding.severity.value}"
                f" {finding.disposition.value} {finding.rule} [{' '.join(finding.articles)}]"
                f" {place(finding)}: {sentence(finding)}"
            )


def _clean(text: str) -> str:
    """Replace what XML cannot carry."""
    return NOT_XML.sub("\ufffd", text)

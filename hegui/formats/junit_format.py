"""A result as JUnit XML: one suite a case, one test an interaction."""

import re
from collections.abc import Iterable
from datetime import UTC
from decimal import Decimal
from itertools import groupby

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from hegui.check import Checked, Result
from hegui.formats.words import place, sentence
from rules.model import Outcome

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Nothing was proven either way: for a test reporter that is a test that could not be run.
UNPROVEN = frozenset({Outcome.ERROR, Outcome.INCONCLUSIVE})


def render(result: Result) -> str:
    """The result as the XML that Ant's JUnit schema describes; no clock is read for it."""
    document = JUnitXml("hegui")
    by_case = groupby(result.checked, key=lambda one: one.interaction.case_id)
    for number, (case_id, group) in enumerate(by_case):
        document.add_testsuite(_suite(number, case_id, list(group), result))
    document.update_statistics()
    root = document._elem  # noqa: SLF001  the schema knows no totals on the root
    root.attrib.clear()
    text: bytes = document.tostring()
    return text.decode() + "\n"


def _suite(number: int, case_id: str, group: list[Checked], result: Result) -> TestSuite:
    suite = TestSuite(_clean(case_id))
    latest = max(one.interaction.started_at for one in group).astimezone(UTC)
    suite.timestamp = latest.strftime("%Y-%m-%dT%H:%M:%S")
    suite.hostname = "localhost"
    suite._elem.set("package", "hegui")  # noqa: SLF001  the library has no word for these two
    suite._elem.set("id", str(number))  # noqa: SLF001
    for pack in result.packs:
        suite.add_property(f"pack.{pack.name}", f"{pack.version} {pack.digest}")
    for one in group:
        suite.add_testcase(_test(one, result))
    suite.system_out = _clean("\n".join(_below(group, result)))
    suite.system_err = ""
    suite.update_statistics()
    suite.time = Decimal(0)
    suite._elem.attrib.pop("skipped", None)  # noqa: SLF001  the schema knows no skipped tests
    return suite


def _test(one: Checked, result: Result) -> TestCase:
    about = one.interaction
    case = TestCase(_clean(about.interaction_id), classname=_clean(about.agency_id or "hegui"))
    case.time = 0
    if result.reaches(one):
        failure = Failure(_clean("; ".join(dict.fromkeys(f.rule for f in one.findings))))
        failure.type = one.outcome.value
        failure.text = _clean("\n".join(_lines([one])))
        case.result = [failure]
    elif one.outcome in UNPROVEN:
        error = Error(_clean(", ".join(one.reasons) or one.outcome.value))
        error.type = one.outcome.value
        case.result = [error]
    return case


def _below(group: Iterable[Checked], result: Result) -> Iterable[str]:
    """What was found without reaching the limit."""
    return _lines([one for one in group if not result.reaches(one)])


def _lines(group: Iterable[Checked]) -> Iterable[str]:
    for one in group:
        for finding in one.findings:
            articles = " ".join(finding.articles)
            yield (
                f"{one.interaction.interaction_id}: {finding.severity.value}"
                f" {finding.disposition.value} {finding.rule} [{articles}]"
                f" {place(finding)}: {sentence(finding)}"
            )


def _clean(text: str) -> str:
    """Replace what XML cannot carry."""
    return NOT_XML.sub("\ufffd", text)

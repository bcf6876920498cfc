"""The few phrases that every format shares."""

from rules.model import Finding


def place(finding: Finding) -> str:
    """Where in the contact a finding stands: seconds of the recording, or a dash."""
    return "-" if finding.start is None else f"{finding.start:.1f} s"


def quoted(finding: Finding) -> str:
    """The words a finding stands on, with what was heard where that differs."""
    if finding.quote is None:
        return "，".join(f"{name}={value}" for name, value in finding.facts.items())
    if finding.heard is not None and finding.heard != finding.quote:
        return f"“{finding.quote}” (heard: “{finding.heard}”)"
    return f"“{finding.quote}”"


def sentence(finding: Finding) -> str:
    """The finding's reason in both languages, after its quote."""
    return f"{quoted(finding)} {finding.why_zh} {finding.why}".strip()

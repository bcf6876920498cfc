"""A result as `hegui.check/1`: see check.schema.json beside this file."""

import json
from typing import Any

from hegui.check import Checked, Result

SCHEMA = "hegui.check/1"


def to_document(result: Result) -> dict[str, Any]:
    """The result as plain values; the same input gives the same document."""
    packs = [
        {"name": pack.name, "version": pack.version, "digest": pack.digest} for pack in result.packs
    ]
    return {
        "schema": SCHEMA,
        "pack": packs[0],
        "packs": packs,
        "summary": {
            "interactions": len(result.checked),
            "outcomes": result.outcomes(),
            "findings": result.severities(),
            "fail_on": result.fail_on.value if result.fail_on else "never",
            "failing": sum(result.reaches(one) for one in result.checked),
        },
        "interactions": [_interaction(one) for one in result.checked],
    }


def _interaction(one: Checked) -> dict[str, Any]:
    about = one.interaction
    return {
        "interaction_id": about.interaction_id,
        "agency_id": about.agency_id,
        "case_id": about.case_id,
        "channel": about.channel.value,
        "started_at": None if one.words_only else about.started_at.isoformat(),
        "outcome": one.outcome.value,
        "reasons": list(one.reasons),
        "untrusted_share": round(one.untrusted_share, 4),
        "findings": [finding.as_dict() for finding in one.findings],
    }


def render(result: Result) -> str:
    """The document as indented JSON text, Chinese left readable."""
    return json.dumps(to_document(result), ensure_ascii=False, indent=2) + "\n"

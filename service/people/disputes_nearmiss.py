"""What an upheld dispute teaches: a near miss for the rule, masked, in the pack's own test form."""

from collections.abc import Iterator
from typing import Any

import yaml
from sqlmodel import Session, col, select

from rules import Pack
from rules.rule import Rule
from rules.selftest import check
from service.errors import ConflictError
from service.models import EventRow, TranscriptRow
from service.people import reviews
from service.people.models import DisputeRow, DisputeState
from service.people.reviews import Subject
from service.privacy.masking import people_of
from service.privacy.personal import mask, mask_each
from service.privacy.sealed_words import segments_of

# How many turns before the words are tried, the fewest first.
_CONTEXTS = (0, 2, 8)


def near_miss(session: Session, pack: Pack, dispute: DisputeRow) -> str:
    """The near miss as YAML: it fails until the rule is mended.

    Raises `ConflictError` with the code `not_upheld`, or `no_words` where the finding stands on
    facts, the rule is gone, or nothing is reported any more once people are masked.
    """
    if dispute.state != DisputeState.UPHELD.value:
        raise ConflictError("Only an upheld dispute makes a near miss.", code="not_upheld")
    subject = reviews.get_subject(session, dispute.finding_id)
    rule = next((each for each in pack.rules if each.id == dispute.rule), None)
    if rule is not None:
        for entry in _entries(session, subject):
            if _is_reported(pack, rule, entry):
                return _page(dispute, entry)
    raise ConflictError(
        "No masked words of this contact make the rule speak; write its near miss by hand.",
        code="no_words",
    )


def _is_reported(pack: Pack, rule: Rule, entry: Any) -> bool:
    message = check(pack, rule, entry, fires=False)
    return message is not None and message.startswith("is reported")


def _entries(session: Session, subject: Subject) -> Iterator[dict[str, Any]]:
    """The words of the finding as test entries, masked, with little context and then with more."""
    contact, doc = subject.interaction, subject.finding.doc
    if doc.get("heard") is None:
        return
    event = session.exec(select(EventRow).where(col(EventRow.id) == contact.event_id)).one()
    data = event.body.get("data", {})
    known = people_of(session, [contact.case_id])
    party = {"party": (data.get("party") or {}).get("role") or "debtor"}
    if data.get("text"):
        yield {"text": mask(data["text"], known), "channel": contact.channel, **party}
        return
    heard = session.exec(
        select(TranscriptRow).where(col(TranscriptRow.interaction_id) == contact.id)
    ).one_or_none()
    segments = data.get("transcript") or (segments_of(heard) if heard else [])
    at = doc.get("segment")
    if at is None or at >= len(segments):
        return
    texts = mask_each([segment["text"] for segment in segments], known)
    turns = [
        {"party" if segment.get("speaker") == "party" else "collector": text}
        for segment, text in zip(segments, texts, strict=True)
    ]
    for before in _CONTEXTS:
        yield {"turns": turns[max(0, at - before) : at + 1], "channel": contact.channel, **party}


def _page(dispute: DisputeRow, entry: dict[str, Any]) -> str:
    document = {
        "rule": dispute.rule,
        "dispute": str(dispute.id),
        "misses": [entry],
    }
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=1000)

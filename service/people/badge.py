"""Badges: an agency's check as a small picture, for pages that can send no API key."""

import hashlib
import secrets
from datetime import datetime, timedelta
from hmac import compare_digest
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, delete, select

from service.audit import add_entry
from service.checks import Conclusion, check_batch
from service.db import front_door_session, tenant_session
from service.errors import BadKeyError
from service.models import WebhookSource
from service.people.models import Badge
from service.read import get_agency

PERIOD = timedelta(days=7)
_NOT_SHOWN = "The badge's token or the API key is missing, unknown or revoked."
_COLOURS = {
    None: "#6b7280",
    Conclusion.SUCCESS: "#15803d",
    Conclusion.NEUTRAL: "#6b7280",
    Conclusion.ACTION_REQUIRED: "#b45309",
    Conclusion.FAILURE: "#b91c1c",
}
_WORDS = {
    "zh": {
        None: "检查中",
        Conclusion.SUCCESS: "通过",
        Conclusion.NEUTRAL: "证据不足",
        Conclusion.ACTION_REQUIRED: "待复核",
        Conclusion.FAILURE: "未通过",
    },
    "en": {
        None: "in progress",
        Conclusion.SUCCESS: "passing",
        Conclusion.NEUTRAL: "no proof",
        Conclusion.ACTION_REQUIRED: "review",
        Conclusion.FAILURE: "failing",
    },
}
_LABELS = {"zh": "催收检查 · 近7日", "en": "collection check · 7 days"}
_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img"'
    ' aria-label="{label}: {word}"><title>{label}: {word}</title>'
    '<rect width="{width}" height="20" rx="3" fill="{colour}"/>'
    '<path d="M3 0h{left}v20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#374151"/>'
    '<g fill="#fff" font-family="system-ui,sans-serif" font-size="11">'
    '<text x="7" y="14">{label}</text><text x="{at}" y="14">{word}</text></g></svg>\n'
)
_WIDE, _NARROW, _PAD = 11.5, 6.3, 14
_ASCII = 128


def make_token(session: Session, agency_id: UUID, *, tenant_id: UUID, by: str) -> str:
    """Give an agency's badge a new token, shown this once; the one before ends."""
    get_agency(session, agency_id)
    token = secrets.token_urlsafe(32)
    row = Badge(tenant_id=tenant_id, agency_id=agency_id, digest=_digest(token), made_by=by)
    session.exec(
        insert(Badge)
        .values(**row.model_dump())
        .on_conflict_do_update(
            index_elements=["tenant_id", "agency_id"],
            set_=row.model_dump(include={"digest", "made_by", "made_at"}),
        )
    )
    _note(session, tenant_id, agency_id, by, "badge_token_made")
    return token


def revoke_token(session: Session, agency_id: UUID, *, tenant_id: UUID, by: str) -> None:
    """Let nobody see the badge without a key any more."""
    get_agency(session, agency_id)
    session.exec(delete(Badge).where(col(Badge.agency_id) == agency_id))
    _note(session, tenant_id, agency_id, by, "badge_token_revoked")


def conclude_by_token(agency_id: UUID, token: str, *, now: datetime) -> Conclusion | None:
    """What the badge shows to a holder of its token; raises `BadKeyError`, alike for all faults."""
    with front_door_session() as door:
        source = door.get(WebhookSource, agency_id)
    if source is None:
        raise BadKeyError(_NOT_SHOWN)
    with tenant_session(source.tenant_id) as session:
        held = session.exec(
            select(Badge.digest).where(col(Badge.agency_id) == agency_id)
        ).one_or_none()
        if held is None or not compare_digest(held, _digest(token)):
            raise BadKeyError(_NOT_SHOWN)
        return conclude(session, agency_id, now=now)


def conclude(session: Session, agency_id: UUID, *, now: datetime) -> Conclusion | None:
    """The conclusion of the agency's last seven days; None while a contact waits."""
    return check_batch(session, agency_id, since=now - PERIOD, to=now).tally.conclusion


def draw(conclusion: Conclusion | None, language: str) -> str:
    """The picture as SVG: a word and a colour, no name and no number."""
    label, word = _LABELS[language], _WORDS[language][conclusion]
    left = _width(label) + _PAD
    return _SVG.format(
        width=left + _width(word) + _PAD,
        left=left - 3,
        at=left + 7,
        label=label,
        word=word,
        colour=_COLOURS[conclusion],
    )


def _width(text: str) -> int:
    return round(sum(_NARROW if ord(letter) < _ASCII else _WIDE for letter in text))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _note(session: Session, tenant_id: UUID, agency_id: UUID, by: str, action: str) -> None:
    add_entry(session, tenant_id=tenant_id, actor=by, action=action, subject_id=str(agency_id))

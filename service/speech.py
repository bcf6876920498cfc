"""A lender's own words for the speech engine: names and terms that its calls are full of.

Each change is a new set, and a recording is heard with the set in force when its hearing begins;
what was used is stored with the transcript. Words heard only with this help are for review.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlmodel import Session, col, select

from service.audit import add_entry
from service.errors import FieldProblem, InvalidInputError
from service.models import SpeechSet

# An engine listens to about 220 tokens before a clip; a Chinese character takes up to two.
MAX_PROMPT = 100
MAX_HOTWORDS = 40
MAX_HOTWORD = 16
_CONTROL = re.compile(r"[\x00-\x1f\x7f<>|]")


@dataclass(frozen=True, slots=True)
class Bias:
    """The words in force; revision 0 says that the lender has set none."""

    revision: int = 0
    since: datetime | None = None
    prompt: str = ""
    hotwords: tuple[str, ...] = ()


NO_BIAS = Bias()


def find_bias(session: Session) -> Bias:
    """The tenant's words in force now."""
    row = session.exec(select(SpeechSet).order_by(col(SpeechSet.revision).desc()).limit(1)).first()
    if row is None:
        return NO_BIAS
    return Bias(row.revision, row.set_at, row.prompt, tuple(row.hotwords))


def shown_parameters(parameters: Mapping[str, Any], *, to_agency: bool) -> dict[str, Any]:
    """The parameters of a transcript; an agency's are without the lender's own words."""
    hidden = {"prompt", "hotwords"} if to_agency else frozenset()
    return {key: value for key, value in parameters.items() if key not in hidden}


def set_bias(
    session: Session,
    *,
    tenant_id: UUID,
    prompt: str,
    hotwords: Sequence[str],
    by: str,
    now: datetime,
) -> Bias:
    """Put a prompt and hotwords in force for recordings heard from now on; both may be empty.

    Raises `InvalidInputError` that names the field.
    """
    told = prompt.strip()
    wanted = tuple(dict.fromkeys(word.strip() for word in hotwords))
    problems = [*_faults_of_prompt(told), *_faults_of_hotwords(wanted)]
    if problems:
        raise InvalidInputError(
            "The words cannot be given to a speech engine.", errors=tuple(problems)
        )
    last = session.exec(select(func.max(SpeechSet.revision))).one()
    row = SpeechSet(
        tenant_id=tenant_id,
        revision=(last or 0) + 1,
        prompt=told,
        hotwords=list(wanted),
        set_at=now,
        set_by=by,
    )
    session.add(row)
    add_entry(
        session,
        tenant_id=tenant_id,
        actor=by,
        action="speech_set",
        subject_id=str(row.revision),
        details={"prompt_characters": len(told), "hotwords": len(wanted)},
    )
    return Bias(row.revision, now, told, wanted)


def _faults_of_prompt(prompt: str) -> list[FieldProblem]:
    if len(prompt) > MAX_PROMPT:
        return [FieldProblem("prompt", f"may have up to {MAX_PROMPT} characters")]
    if _CONTROL.search(prompt):
        return [FieldProblem("prompt", "must not contain control characters, <, > or |")]
    return []


def _faults_of_hotwords(hotwords: Sequence[str]) -> list[FieldProblem]:
    problems = []
    if len(hotwords) > MAX_HOTWORDS:
        problems.append(FieldProblem("hotwords", f"may have up to {MAX_HOTWORDS} entries"))
    for place, word in enumerate(hotwords):
        if not 1 < len(word) <= MAX_HOTWORD:
            message = f"must have 2 to {MAX_HOTWORD} characters"
            problems.append(FieldProblem(f"hotwords.{place}", message))
        elif _CONTROL.search(word):
            message = "must not contain control characters, <, > or |"
            problems.append(FieldProblem(f"hotwords.{place}", message))
    return problems

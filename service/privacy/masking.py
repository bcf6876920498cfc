"""Who sees personal data, and the documents of those who do not: one place for every answer."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any, cast
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import QueryableAttribute, defer
from sqlmodel import Session, col, select

from service.access.tenants import Principal
from service.db import tenant_session
from service.models import EventRow
from service.privacy.personal import BLOT, mask, mask_each
from service.privacy.sealing import sealed_texts

# Fields that hold a person's number or name whatever they look like.
NUMBERS = frozenset({"phone", "phones", "tel", "mobile", "caller_number", "called_number"})
PEOPLE = frozenset({"debtor", "party", "parties", "collector", "contacts", "guarantors"})
# Identifiers are references, and cursors are opaque: neither is a text.
KEPT = frozenset(
    {"id", "case_id", "interaction_id", "collector_id", "message_id", "key_id", "next_cursor"}
)
# Words that follow one another: a number may be read out over several of them.
SPOKEN = frozenset({"text", "normalised"})
_OPAQUE = re.compile(
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-fA-F]{32,}|sha256-[A-Za-z0-9_-]{43}"
    r"|\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_MOST_CASES, _MOST_EVENTS = 500, 5000
_WITHOUT_BODY = defer(cast("QueryableAttribute[Any]", EventRow.body), raiseload=True)
_CASES_OF = text(
    "select distinct case_id from interaction where id = any(:ids)"
    " union select distinct case_id from interaction where interaction_id = any(:names) limit :most"
)

Place = tuple[Any, Any]


def may_see_plain(principal: Principal) -> bool:
    """Whether a caller sees names, numbers and addresses as they are.

    A lender's administrators and reviewers do, and an agency what it sent itself; a lender's
    readers do not, and a regulator only the contact it has unmasked (`service.access.admission`).
    """
    return principal.sees_personal


def mask_document(document: Any, known: Collection[str] = ()) -> Any:
    """A copy of a JSON document without personal data; `known` are names of people concerned.

    Every text keeps its length, so spans into it stay true. Identifiers, digests and times stay.
    """
    copy = _copied(document)
    groups: dict[str, list[Place]] = defaultdict(list)
    for path, place in _texts(copy, ()):
        key = _key(path)
        value = place[0][place[1]]
        if key in KEPT:
            continue
        if key in NUMBERS or (key == "name" and not PEOPLE.isdisjoint(path)):
            place[0][place[1]] = BLOT * len(value)
        elif key in SPOKEN:
            groups["/".join(step for step in path if isinstance(step, str))].append(place)
        else:
            place[0][place[1]] = mask_text(value, known)
    for places in groups.values():
        texts = mask_each([holder[step] for holder, step in places], known)
        for (holder, step), masked in zip(places, texts, strict=True):
            holder[step] = masked
    return copy


def mask_text(value: str, known: Collection[str] = ()) -> str:
    """A text without personal data; ids, digests and times in it stay as they are."""
    parts: list[str] = []
    at = 0
    for found in _OPAQUE.finditer(value):
        parts += [mask(value[at : found.start()], known), found[0]]
        at = found.end()
    return "".join(parts) + mask(value[at:], known)


def shown_to(principal: Principal, document: Any) -> Any:
    """The document as this caller may see it; for files that are not JSON answers (PDF, XLSX, ZIP).

    JSON answers of the API pass `service.api.masked` in any case. Who the people are is asked in a
    session of its own: the caller's may be too narrow to know the names that must not be shown.
    """
    if may_see_plain(principal):
        return document
    with tenant_session(principal.tenant_id) as session:
        return mask_document(document, people_in(session, document))


def people_in(session: Session, document: Any) -> frozenset[str]:
    """Names and numbers of everybody in the cases that a document speaks of."""
    cases: set[str] = set()
    ids: set[UUID] = set()
    names: set[str] = set()
    for path, (holder, step) in _texts(document, ()):
        value, key = holder[step], _key(path)
        if key == "case_id":
            cases.add(value)
        elif key == "interaction_id":
            names.add(value)
        elif _UUID.fullmatch(value):
            ids.add(UUID(value))
    if ids or names:
        found = session.connection().execute(
            _CASES_OF, {"ids": list(ids), "names": list(names), "most": _MOST_CASES}
        )
        cases.update(case for (case,) in found)
    return people_of(session, cases)


def _copied(document: Any) -> Any:
    if isinstance(document, dict):
        return {key: _copied(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [_copied(value) for value in document]
    return document


def _key(path: tuple[Any, ...]) -> str:
    return next((step for step in reversed(path) if isinstance(step, str)), "")


def _texts(document: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Place]]:
    """Each text of a document: the keys that lead to it, and where it hangs."""
    if isinstance(document, dict):
        steps: Any = document.items()
    elif isinstance(document, list):
        steps = enumerate(document)
    else:
        return
    for step, value in steps:
        here = (*path, step)
        if isinstance(value, str):
            yield here, (document, step)
        else:
            yield from _texts(value, here)


def people_of(session: Session, cases: Collection[str]) -> frozenset[str]:
    """Names and numbers of everybody that the events of these cases name."""
    if not cases:
        return frozenset()
    rows = session.exec(
        select(EventRow)
        .where(col(EventRow.case_id).in_(cases), col(EventRow.sealed).is_not(None))
        .order_by(col(EventRow.received_at).desc())
        .limit(_MOST_EVENTS)
        .options(_WITHOUT_BODY)
    )
    return frozenset(text for row in rows for text in sealed_texts(row))

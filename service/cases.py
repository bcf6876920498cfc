"""The one way for a step to ask that a case be checked again."""

from sqlalchemy import update
from sqlmodel import Session, col

from service.jobs import Job, enqueue
from service.models import CollectionCase


def want_check(session: Session, case_id: str) -> None:
    """Raise `wanted` of a case and enqueue its check, in the caller's transaction.

    Call it before touching the case's interactions: every writer locks the case first.
    """
    case = session.scalars(
        update(CollectionCase)
        .where(col(CollectionCase.case_id) == case_id)
        .values(wanted=col(CollectionCase.wanted) + 1)
        .returning(CollectionCase)
    ).one()
    enqueue(session, Job.CHECK, tenant_id=case.tenant_id, subject_id=case.id)

"""The names of the jobs, and the one way to enqueue them: by name, in the caller's transaction."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session


class Job(StrEnum):
    """The steps that run in workers; the value is the task's name there."""

    FETCH = "fetch"
    TRANSCRIBE = "transcribe"
    CHECK = "check"
    ALERT = "alert"
    DIGEST = "digest"
    ESCALATE = "escalate"
    LAPSE = "lapse"
    PURGE = "purge"
    NOTIFY = "notify"
    CHECKPOINT = "checkpoint"


class Queue(StrEnum):
    """The two queues: slow work on audio, quick work on everything else."""

    AUDIO = "audio"
    RULES = "rules"


QUEUES: dict[Job, Queue] = {
    Job.FETCH: Queue.AUDIO,
    Job.TRANSCRIBE: Queue.AUDIO,
    Job.CHECK: Queue.RULES,
    Job.ALERT: Queue.RULES,
    Job.DIGEST: Queue.RULES,
    Job.ESCALATE: Queue.RULES,
    Job.LAPSE: Queue.RULES,
    Job.PURGE: Queue.RULES,
    Job.NOTIFY: Queue.RULES,
    Job.CHECKPOINT: Queue.RULES,
}
_ENQUEUE = text("select hegui_enqueue(:job, :queue, :tenant, :subject, :at)")


def enqueue(
    session: Session, job: Job, *, tenant_id: UUID, subject_id: UUID, at: datetime | None = None
) -> None:
    """Add a job, not before `at`, in the session's transaction.

    While the same job for the same subject still waits there is only one: the earlier time wins.
    The subject is a case's id for `check`, an interaction's for `fetch` and `transcribe`, an
    alert's for `alert` and `escalate`, an endpoint's for `digest` and
    `checkpoint`, a dispute's for `lapse`. Arguments are these ids and
    nothing else, because queue tables are not fenced and workers write job arguments to their
    logs.
    """
    session.connection().execute(
        _ENQUEUE,
        {
            "job": job.value,
            "queue": QUEUES[job].value,
            "tenant": tenant_id,
            "subject": subject_id,
            "at": at,
        },
    )

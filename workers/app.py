"""The procrastinate application: which job runs which function, and how a worker lives and ends."""

import asyncio
import os
import signal
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import procrastinate

from service import log
from service.config import settings
from service.db import conninfo
from service.jobs import QUEUES, Job, Queue
from service.packs import load_pack
from workers import keeping, people, reconcile, sealing, tasks

_LOG = log.get(__name__)
# Checks are short, and alerts mostly wait.
RULES_AT_ONCE = 4
DRAIN_S = 25.0
_POLL_S = 2.0
_FIRST = 100


def make_app() -> procrastinate.App:
    """Build the application of this process; its jobs take ids and give nothing back."""
    connector = procrastinate.PsycopgConnector(
        conninfo=conninfo(settings().database_url.get_secret_value(), application="hegui-worker"),
        min_size=1,
        max_size=4,
        timeout=5,
        reconnect_timeout=5,
    )
    app = procrastinate.App(connector=connector)
    for job, function in {
        Job.FETCH: tasks.fetch,
        Job.TRANSCRIBE: tasks.transcribe,
        Job.CHECK: tasks.check,
        Job.ALERT: tasks.alert,
        Job.DIGEST: tasks.digest,
        Job.ESCALATE: tasks.escalate,
        Job.PURGE: keeping.purge_recordings,
        Job.NOTIFY: keeping.notify,
        Job.LAPSE: people.lapse,
        Job.CHECKPOINT: sealing.checkpoint,
    }.items():
        app.task(name=job.value, queue=QUEUES[job].value)(function)
    periodic = app.task(
        name="reconcile", queue=Queue.RULES.value, priority=_FIRST, queueing_lock="reconcile"
    )(reconcile.reconcile)
    # The sixth field of the schedule is the seconds.
    app.periodic(cron=f"* * * * * */{reconcile.EVERY_S}", periodic_id="")(periodic)
    sealer = app.task(name="seal", queue=Queue.RULES.value, queueing_lock="seal")(sealing.seal)
    app.periodic(cron="* * * * *", periodic_id="seal")(sealer)
    keeper = app.task(name="keep", queue=Queue.RULES.value, queueing_lock="keep")(keeping.keep)
    app.periodic(cron="* * * * *", periodic_id="keep")(keeper)
    return app


def run_once(queues: Iterable[Queue] = tuple(Queue)) -> None:
    """Run the jobs that are due, and those they lead to, one by one until none is left."""
    chosen = list(queues)

    async def until_empty() -> None:
        app = make_app()
        async with app.open_async():
            while await _is_due(app, chosen):
                await _worker(app, chosen, at_once=1, wait=False)

    asyncio.run(until_empty())


def run(queues: Iterable[Queue]) -> int:
    """Run until told to end; 0 after SIGTERM or SIGINT, 1 where the database was lost.

    On loss of the database the process ends by design: a supervisor starts a clean one. Raises
    `rules.PackError` before any job is taken where the pack does not hold.
    """
    chosen = list(queues)
    if Queue.RULES in chosen:
        load_pack()
    _LOG.info("worker_started", queue=",".join(queue.value for queue in chosen), pid=os.getpid())
    try:
        was_told = asyncio.run(_serve(chosen))
    except procrastinate.exceptions.ProcrastinateException as error:
        _LOG.error("worker_lost_its_database", **log.describe_error(error))
        return 1
    _LOG.info("worker_ended", code=0 if was_told else 1)
    return 0 if was_told else 1


async def _is_due(app: procrastinate.App, queues: list[Queue]) -> bool:
    row = await app.connector.execute_query_one_async(
        "select count(*) from procrastinate_jobs where status = 'todo'"
        " and queue_name = any(%(queues)s) and coalesce(scheduled_at, now()) <= now()"
        " and coalesce(args ->> 'tenant_id', '') <> all(hegui_resting_tenants())",
        queues=[queue.value for queue in queues],
    )
    return bool(row["count"])


def _at_once(queue: Queue) -> int:
    """How many jobs of a queue one process runs side by side."""
    return settings().engine_calls if queue is Queue.AUDIO else RULES_AT_ONCE


async def _worker(app: procrastinate.App, queues: list[Queue], *, at_once: int, wait: bool) -> None:
    await app.run_worker_async(
        queues=[queue.value for queue in queues],
        name=f"hegui-{queues[0].value}",
        concurrency=at_once,
        wait=wait,
        fetch_job_polling_interval=_POLL_S,
        install_signal_handlers=False,
        delete_jobs="successful",
    )


async def _serve(queues: list[Queue]) -> bool:
    """Run one worker a queue, so that slow audio never holds up checks and alerts."""
    loop = asyncio.get_running_loop()
    threads = sum(map(_at_once, queues))
    loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="job"))
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    app = make_app()
    async with app.open_async():
        running = [
            asyncio.create_task(_worker(app, [queue], at_once=_at_once(queue), wait=True))
            for queue in queues
        ]
        waiter = asyncio.create_task(told.wait())
        await asyncio.wait([*running, waiter], return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        await _drain(running, was_told=told.is_set())
    return told.is_set()


async def _drain(running: list[asyncio.Task[None]], *, was_told: bool) -> None:
    """Let running jobs end, for a while; what is cut short is taken up again after its lease."""
    for task in running:
        task.cancel()
    _, late = await asyncio.wait(running, timeout=DRAIN_S)
    if late:
        _LOG.warning("worker_left_work_behind", count=len(late))
        # A thread inside Whisper cannot be stopped; its result would be refused by the fence.
        os._exit(0 if was_told else 1)
    errors = [task.exception() for task in running if not task.cancelled()]
    for error in errors:
        if error is not None:
            raise error

"""What the background jobs do, when the scheduled ones are due, and the loop in which a worker runs them."""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import asyncpg
import structlog
from pgqueuer import PgQueuer
from pgqueuer.domain.errors import RetryRequested

from models.database import APP_ROLE, DATABASE_ERRORS
from services import jobs, measures, payout_calls, payout_schedules, reconciliation
from services.engine import Engine
from services.jobs import Job

_POLL: Final = timedelta(seconds=5)
_HEARTBEAT: Final = timedelta(seconds=30)
_BATCH: Final = 5
_AT_ONCE: Final = 10
_STATEMENT_SECONDS: Final = 20
# A worker is given five seconds to stop; a job that takes longer goes back to the queue.
_GRACE_SECONDS: Final = 3.0
_FIRST_DELAY: Final = timedelta(seconds=1)
_LONGEST_DELAY: Final = timedelta(minutes=5)

# While a job runs, another for the same subject may be put on the queue: what it is for may come too late for
# the one that runs. The library alone would refuse it.
_RELEASE_KEY: Final = "update jobs.pgqueuer set dedupe_key = null where id = $1"
_TRIM_LOG: Final = "delete from jobs.pgqueuer_log where aggregated and created < now() - interval '30 days'"
_TRIM_AT: Final = "41 3 * * *"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Work:
    """What a job does. ``attempts``: how often it is tried; ``schedule``: when it is due, as cron says it, in UTC.

    Of those that stand alone one runs at a time, in all workers together.
    """

    act: Callable[[Engine, UUID | None], Awaitable[object]]
    attempts: int = 1
    alone: bool = False
    schedule: str | None = None


class JobFailedError(Exception):
    """A job failed for good; the message names the kind of error and nothing of its text."""


async def _advance_payout(engine: Engine, subject: UUID | None) -> None:
    if subject is None:
        raise TypeError("a payout is advanced by its id")
    await payout_calls.advance(engine, subject)


async def _run_payout_schedules(engine: Engine, _: UUID | None) -> None:
    while await payout_schedules.run_due(engine):
        pass


async def _reconcile(engine: Engine, _: UUID | None) -> None:
    await reconciliation.run(engine)


WORK: Final[Mapping[Job, Work]] = {
    Job.ADVANCE_PAYOUT: Work(_advance_payout, attempts=8),
    Job.RUN_PAYOUT_SCHEDULES: Work(_run_payout_schedules, alone=True, schedule="* * * * *"),
    Job.RECONCILE: Work(_reconcile, attempts=5, alone=True, schedule="17 3 * * *"),
}


async def run_jobs(engine: Engine, dsn: str, stop: asyncio.Event, work: Mapping[Job, Work] = WORK) -> None:
    """Run jobs until ``stop`` is set. Being cancelled ends it as gently.

    What runs is given three seconds and then put back on the queue. Raises ``ConnectionError`` and asyncpg's or
    OS errors when the database goes away: then it is to be started again, and what ran is run again.
    """
    connection = await asyncpg.connect(
        dsn,
        timeout=_STATEMENT_SECONDS,
        # Of its own: it listens, and statements of others would wait behind those of the queue.
        command_timeout=_STATEMENT_SECONDS,
        server_settings={"role": APP_ROLE, "application_name": "comptoir jobs", "timezone": "UTC", "jit": "off"},
    )
    try:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        interrupt = asyncio.Event()
        runner = _runner(engine, connection, interrupt, work)
        running = asyncio.create_task(
            runner.run(
                dequeue_timeout=_POLL,
                batch_size=_BATCH,
                max_concurrent_tasks=_AT_ONCE,
                heartbeat_timeout=_HEARTBEAT,
            ),
            name="jobs",
        )
        try:
            await _first_of(running, stop, lost)
        finally:
            # The library throws away what runs when it is cancelled; told to stop, it waits for it.
            runner.shutdown.set()
            timer = asyncio.get_running_loop().call_later(_GRACE_SECONDS, interrupt.set)
            await asyncio.wait({running})
            timer.cancel()
        if lost.is_set() and not stop.is_set():
            raise ConnectionError("the connection of the queue was lost")
        running.result()
    finally:
        with suppress(*DATABASE_ERRORS, TimeoutError):
            await connection.close(timeout=1)


async def _first_of(running: asyncio.Future[Any], *events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait({running, *waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


def _runner(
    engine: Engine,
    connection: "asyncpg.Connection[asyncpg.Record]",
    interrupt: asyncio.Event,
    work: Mapping[Job, Work],
) -> PgQueuer:
    queries = jobs.queries(connection)
    runner = PgQueuer(queries.driver, channel=jobs.SETTINGS.channel, queries=queries)
    for job, does in work.items():

        async def run(taken: Any, job: Job = job, does: Work = does) -> None:
            if taken.payload is not None:
                await queries.driver.execute(_RELEASE_KEY, taken.id)
            await _run(engine, job, does, taken, interrupt)

        runner.entrypoint(job.value, concurrency_limit=int(does.alone), accepts_context=False)(run)
        if does.schedule is not None:
            runner.schedule(job.value, does.schedule, accepts_context=False)(partial(_due, engine, job))
    runner.schedule("trim_log", _TRIM_AT, accepts_context=False)(partial(_trim_log, engine))
    return runner


async def _due(engine: Engine, job: Job, _: object) -> None:
    async with engine.database.writer.acquire() as connection:
        await jobs.enqueue(connection, job)


async def _trim_log(engine: Engine, _: object) -> None:
    await engine.database.writer.execute(_TRIM_LOG)


async def _run(engine: Engine, job: Job, does: Work, taken: Any, interrupt: asyncio.Event) -> None:
    """Run a job once. Raises what tells the library to try again later, or that it failed for good.

    What it raises is kept in the queue's log, so it says nothing of the text of an error.
    """
    attempt = taken.attempts + 1
    with (
        structlog.contextvars.bound_contextvars(trace_id=secrets.token_hex(16), job=job.value, attempt=attempt),
        measures.JOB_SECONDS.labels(job.value).time(),
    ):
        failed = await _act(engine, does, taken.payload, interrupt)
        if failed is None:
            measures.JOBS.labels(job.value, "done").inc()
            return
        kind = type(failed).__name__
        if isinstance(failed, _InterruptedError):
            measures.JOBS.labels(job.value, "interrupted").inc()
            raise RetryRequested(timedelta(0), "the worker stopped")
        # An outage is no riddle: a line says it. Anything else is shown with where it happened.
        trace = None if isinstance(failed, DATABASE_ERRORS) else failed
        if attempt < does.attempts:
            measures.JOBS.labels(job.value, "retried").inc()
            delay = _delay(attempt)
            log.warning("job failed, trying again", error=kind, delay_seconds=delay.seconds, exc_info=trace)
            raise RetryRequested(delay, kind)
        measures.JOBS.labels(job.value, "failed").inc()
        log.error("job failed for good", error=kind, exc_info=trace)
        raise JobFailedError(kind)


class _InterruptedError(Exception):
    """The worker stops, and the job was not done."""


async def _act(
    engine: Engine, does: Work, payload: bytes | None, interrupt: asyncio.Event
) -> BaseException | None:
    """Do the work until it is done or the worker stops; return what went wrong."""
    subject = None if payload is None else UUID(payload.decode())
    acting = asyncio.ensure_future(does.act(engine, subject))
    try:
        await _first_of(acting, interrupt)
        if not acting.done() or acting.cancelled():
            return _InterruptedError()
        return acting.exception()
    finally:
        if not acting.done():
            acting.cancel()
            await asyncio.wait({acting})


def _delay(attempt: int) -> timedelta:
    """Return how long a job that failed for the ``attempt``-th time waits: longer each time, never all at once."""
    longest: timedelta = min(_FIRST_DELAY * 4 ** min(attempt, 10), _LONGEST_DELAY)
    return longest * random.uniform(0.5, 1)

"""Jobs are run at least once, whatever dies: the worker that ran one, the connection, the job itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter

import app.jobs
from app.engine import open_engine
from app.jobs import Work, run_jobs
from app.settings import Settings
from app.supervisor import Supervisor
from services import measures
from services.engine import Engine
from services.jobs import Job, enqueue, queries
from tests.support.world import eventually

PRIVATE = "ann@example.org wrote this"


@pytest.fixture
async def engine(dsn: str, tmp_path: Path) -> AsyncIterator[Engine]:
    settings = Settings(_env_file=None, state_directory=tmp_path)
    async with open_engine(settings, dsn, subscribers=False) as opened:
        yield opened


@pytest.fixture
async def queue(owner: asyncpg.Connection) -> Queries:
    return queries(owner)


@asynccontextmanager
async def running(engine: Engine, dsn: str, work: dict[Job, Work]) -> AsyncIterator[Supervisor]:
    """A worker's jobs, kept running."""
    supervisor = Supervisor()
    stop = asyncio.Event()
    supervisor.start("jobs", lambda: run_jobs(engine, dsn, stop, work))
    try:
        yield supervisor
    finally:
        stop.set()
        await supervisor.stop()


async def ask(engine: Engine, job: Job = Job.ADVANCE_PAYOUT, subject: UUID | None = None) -> UUID:
    subject = subject or uuid4()
    async with engine.database.transaction() as transaction:
        await enqueue(transaction.connection, job, subject)
    return subject


def is_empty(queue: Queries) -> Callable[[], Awaitable[bool]]:
    async def empty() -> bool:
        return await queue.browse_queue() == []

    return empty


def count(job: Job, outcome: str) -> float:
    return measures.REGISTRY.get_sample_value("comptoir_jobs_total", {"job": job.value, "outcome": outcome}) or 0.0


async def test_job_is_run_with_its_subject_and_gone(engine: Engine, dsn: str, queue: Queries) -> None:
    done: list[UUID | None] = []

    async def act(_: Engine, subject: UUID | None) -> None:
        done.append(subject)

    before = count(Job.ADVANCE_PAYOUT, "done")
    async with running(engine, dsn, {Job.ADVANCE_PAYOUT: Work(act)}):
        subject = await ask(engine)
        await eventually(is_empty(queue))

    assert done == [subject]
    assert count(Job.ADVANCE_PAYOUT, "done") == before + 1


async def test_job_of_a_worker_that_was_killed_is_run_by_another(
    engine: Engine, dsn: str, queue: Queries, owner: asyncpg.Connection
) -> None:
    done: list[UUID | None] = []

    async def act(_: Engine, subject: UUID | None) -> None:
        done.append(subject)

    subject = await ask(engine)
    taken = await queue.dequeue(
        batch_size=1,
        entrypoints={QueueEntrypoint(Job.ADVANCE_PAYOUT.value): EntrypointExecutionParameter(0)},
        queue_manager_id=QueueManagerId(uuid4()),
        global_concurrency_limit=None,
        heartbeat_timeout=timedelta(seconds=30),
    )
    assert [job.payload for job in taken] == [str(subject).encode()]
    # Killed, it says nothing any more.
    await owner.execute("update jobs.pgqueuer set heartbeat = now() - interval '1 minute'")

    async with running(engine, dsn, {Job.ADVANCE_PAYOUT: Work(act)}):
        await eventually(is_empty(queue))

    assert done == [subject]


async def test_worker_that_stops_puts_back_what_it_runs(
    engine: Engine, dsn: str, queue: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.jobs, "_GRACE_SECONDS", 0.05)
    began = asyncio.Event()
    ended: list[str] = []

    async def hang(_: Engine, __: UUID | None) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    async def act(_: Engine, __: UUID | None) -> None:
        ended.append("done")

    async with running(engine, dsn, {Job.ADVANCE_PAYOUT: Work(hang)}):
        await ask(engine)
        await began.wait()
    assert ended == ["ended"]
    assert [job.status for job in await queue.browse_queue()] == ["queued"]

    async with running(engine, dsn, {Job.ADVANCE_PAYOUT: Work(act)}):
        await eventually(is_empty(queue))

    assert ended == ["ended", "done"]


async def test_job_asked_for_while_it_runs_is_run_once_more(engine: Engine, dsn: str, queue: Queries) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    runs: list[UUID | None] = []

    async def act(_: Engine, subject: UUID | None) -> None:
        runs.append(subject)
        began.set()
        await go_on.wait()

    async with running(engine, dsn, {Job.ADVANCE_PAYOUT: Work(act)}):
        subject = await ask(engine)
        await began.wait()
        await ask(engine, subject=subject)
        await ask(engine, subject=subject)
        go_on.set()
        await eventually(is_empty(queue))

    assert runs == [subject, subject]


async def test_job_that_fails_is_tried_again_and_leaves_a_trace_when_it_fails_for_good(
    engine: Engine, dsn: str, queue: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.jobs, "_FIRST_DELAY", timedelta(milliseconds=1))
    runs: list[UUID | None] = []

    async def act(_: Engine, subject: UUID | None) -> None:
        runs.append(subject)
        raise ValueError(PRIVATE)

    retried, failed = count(Job.ADVANCE_PAYOUT, "retried"), count(Job.ADVANCE_PAYOUT, "failed")
    async with running(engine, dsn, {Job.ADVANCE_PAYOUT: Work(act, attempts=3)}):
        subject = await ask(engine)
        await eventually(is_empty(queue))

    assert runs == [subject] * 3
    assert count(Job.ADVANCE_PAYOUT, "retried") == retried + 2
    assert count(Job.ADVANCE_PAYOUT, "failed") == failed + 1
    logged = await queue.queue_log()
    assert [entry.status for entry in logged if entry.traceback] == ["queued", "queued", "exception"]
    assert all("ValueError" in entry.traceback.exception_message for entry in logged if entry.traceback)
    # What an error says may be what somebody sent: the log of the queue has its kind and nothing else.
    assert not any(PRIVATE in entry.model_dump_json() for entry in logged)


async def test_jobs_go_on_after_the_database_went_away(
    engine: Engine, dsn: str, queue: Queries, owner: asyncpg.Connection
) -> None:
    done: list[UUID | None] = []

    async def act(_: Engine, subject: UUID | None) -> None:
        done.append(subject)

    backend = "select pid from pg_stat_activity where application_name = 'comptoir jobs' and datname = current_database()"
    async with running(engine, dsn, {Job.ADVANCE_PAYOUT: Work(act)}):
        first = await ask(engine)
        await eventually(is_empty(queue))
        lost = await owner.fetchval(backend)
        assert await owner.fetchval("select pg_terminate_backend($1)", lost)
        second = await ask(engine)
        await eventually(is_empty(queue))
        assert await owner.fetchval(backend) != lost

    assert done == [first, second]


async def test_scheduled_job_is_put_on_the_queue_when_it_is_due(
    engine: Engine, dsn: str, queue: Queries, owner: asyncpg.Connection
) -> None:
    done: list[UUID | None] = []

    async def act(_: Engine, subject: UUID | None) -> None:
        done.append(subject)

    work = {Job.RECONCILE: Work(act, alone=True, schedule="0 0 1 1 *")}
    async with running(engine, dsn, work):

        async def is_scheduled() -> bool:
            return bool(
                await owner.fetchval("select count(*) from jobs.pgqueuer_schedules where next_run > now()")
            )

        await eventually(is_scheduled)
    await owner.execute(
        "update jobs.pgqueuer_schedules set next_run = now() - interval '1 second' where entrypoint = 'reconcile'"
    )
    assert done == []

    async with running(engine, dsn, work):

        async def is_done() -> bool:
            return bool(done)

        await eventually(is_done)

    assert done == [None]
    assert await owner.fetchval(
        "select next_run > now() from jobs.pgqueuer_schedules where entrypoint = 'reconcile'"
    )


async def test_jobs_that_stand_alone_run_one_at_a_time(engine: Engine, dsn: str, queue: Queries) -> None:
    at_once: list[int] = []
    present = 0

    async def act(_: Engine, __: UUID | None) -> None:
        nonlocal present
        present += 1
        at_once.append(present)
        await asyncio.sleep(0.02)
        present -= 1

    for _ in range(4):
        await ask(engine, Job.RECONCILE)
    work = {Job.RECONCILE: Work(act, alone=True)}
    async with running(engine, dsn, work), running(engine, dsn, work):
        await eventually(is_empty(queue), 20)

    assert at_once == [1, 1, 1, 1]
